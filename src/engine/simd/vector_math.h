/* Elementary functions of a vector, in one fixed sequence of correctly rounded operations. Coefficients:
 * minimax polynomials by Remez' algorithm. Errors over the whole range, measured by
 * tests/unit/test_simd.c, are in src/README.md. NaN stays NaN. */

#if LS_SIMD_DOUBLE
#define LOG2_E     0x1.71547652b82fep+0
#define LN_2_HIGH  0x1.62e42fefa39efp-1
#define LN_2_LOW   0x1.abc9e3b39803fp-56
#define TANH_LIMIT 20                   /* from here on tanh rounds to 1 */
#define EXP_LIMIT  0x1.6232bdd7abcd2p+9 /* beyond, exp(-x) is below the smallest normal number */
#define TAIL_LIMIT 64                   /* from here on the normal distribution's tail is 0 */
#define TAIL_K     5
#define TAIL_S     1
static const REAL expm1_q[] = {0x1.1f95794384687p-29,
                               -0x1.af5ef29118539p-26,
                               0x1.27e4c59496a8ep-22,
                               -0x1.71ddf8387890ap-19,
                               0x1.a01a01b0bb646p-16,
                               -0x1.a01a01afeee3fp-13,
                               0x1.6c16c16c14449p-10,
                               -0x1.111111110f699p-7,
                               0x1.555555555555ap-5,
                               -0x1.5555555555559p-3,
                               0x1p-1};
static const REAL coth_c[] = {0x1.637694bce58cap-16, -0x1.bbd41c5385c66p-13, 0x1.1566aaf2561fbp-9,
                              -0x1.6c16c16bebd3ep-6, 0x1.555555555553ep-2,   1};
static const REAL log_r[] = {0x1.0f6a9a3470da6p-3, 0x1.0f5bf60835854p-3, 0x1.3b20b4deb2efcp-3,
                             0x1.745cddff662ecp-3, 0x1.c71c7259aa3ebp-3, 0x1.249249242aaf5p-2,
                             0x1.9999999999e06p-2, 0x1.5555555555555p-1};
static const REAL tail_f[] = {
    0x1.3dcaacdbccc1cp-34, 0x1.bb780a2ea457cp-36,  -0x1.ca11e0f2084d8p-31, -0x1.dc9834adba149p-32,
    0x1.83cd94bb3de24p-28, 0x1.148e53cad4072p-28,  -0x1.1ada12e0942c2p-25, -0x1.cde1358e844ccp-26,
    0x1.a9d300b126c70p-23, 0x1.13d88f68e1828p-23,  -0x1.5f5533b7cf71cp-20, -0x1.2fb05825a034dp-24,
    0x1.3004b6dd9942ep-17, -0x1.4c0d86146a022p-17, -0x1.c1b1d2a0b8aa8p-15, 0x1.7e61e047b191ap-13,
    0x1.0571a6a76184fp-17, -0x1.b75f4f7ea9022p-10, 0x1.ab6d038d2b10ep-8,   -0x1.f11aab030d549p-7,
    0x1.92037bab4777cp-6,  -0x1.b08e0007b4c2dp-6,  0x1.47c1d03054878p-7,   0x1.fc66cc64a13dep-6,
    -0x1.76ff86859eb14p-4, 0x1.d8979b0f2b39dp-2};
#else
#define LOG2_E     0x1.715476p+0f
#define LN_2_HIGH  0x1.62e430p-1f
#define LN_2_LOW   (-0x1.05c610p-29f)
#define TANH_LIMIT 9.25f
#define EXP_LIMIT  0x1.5d589ep+6f
#define TAIL_LIMIT 64
#define TAIL_K     3.5f
#define TAIL_S     2
static const REAL expm1_q[] = {0x1.6d992ep-10f, -0x1.122836p-7f, 0x1.555486p-5f, -0x1.5554b0p-3f, 0x1p-1f};
static const REAL coth_c[] = {-0x1.6aa4d8p-6f, 0x1.55551ep-2f, 1};
static const REAL log_r[] = {0x1.31e678p-2f, 0x1.995e9cp-2f, 0x1.55557ap-1f};
static const REAL tail_f[] = {-0x1.a504d8p-15f, -0x1.be5c18p-16f, 0x1.d6ae08p-12f, 0x1.4afc18p-13f,
                              -0x1.a69c5ep-9f,  0x1.f4a1f8p-10f,  0x1.6da9dap-6f,  -0x1.45f404p-4f,
                              0x1.1a14cap-3f,   -0x1.fd0e9ep-4f,  -0x1.0f7f58p-7f, 0x1.b396fap-1f};
#endif

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Vectors that take each step together: processors look ahead too few instructions to find another one. */
enum { TOGETHER = 4 };
#define EACH(u, n) for (int u = 0; u < (n); u++)

ALWAYS_INLINE vec polynomial(vec x, const REAL *c, int n)
{
    vec p = all(c[0]);
    for (int i = 1; i < n; i++) p = fma_(p, x, all(c[i]));
    return p;
}

/* The same of an even number of coefficients, in half as many steps; square is x * x. */
ALWAYS_INLINE vec polynomial_by_pairs(vec x, vec square, const REAL *c, int n)
{
    vec p = fma_(all(c[0]), x, all(c[1]));
    for (int i = 2; i < n; i += 2) p = fma_(p, square, fma_(all(c[i]), x, all(c[i + 1])));
    return p;
}

/* exp(-a) = scale * (1 + result), for a in [0, EXP_LIMIT]. */
ALWAYS_INLINE vec reduced_expm1(vec a, vec *scale)
{
    enum { N = sizeof expm1_q / sizeof expm1_q[0] };
    const vec shifted = fma_(a, all(-LOG2_E), all(MAGIC)), n = shifted - all(MAGIC);
    const vec r = fma_(n, all(LN_2_LOW), fma_(n, all(LN_2_HIGH), a)), square = r * r; /* exp(-r) - 1: */
    *scale = power_of_two(shifted);
    return fma_(square * r, polynomial_by_pairs(r, square, expm1_q, N - 1),
                fms_(square, all(expm1_q[N - 1]), r));
}

/* exp(-|x|); 0 where that is below the smallest normal number. */
ALWAYS_INLINE vec exp_minus(vec x)
{
    vec scale;
    const vec a = magnitude(x), p = reduced_expm1(a, &scale);
    return zero_where(greater(a, all(EXP_LIMIT)), fma_(scale, p, scale));
}

/* exp(2x) = t (c + h) / (c - h) with t = 2^n, h = x - n log(2) / 2 and c = h coth(h), a polynomial in h * h.
 * So tanh(x) = (t (c + h) - (c - h)) / (t (c + h) + (c - h)), ordered such that nothing cancels where t is 1.
 */
ALWAYS_INLINE void tanh_together(int n, vec *x)
{
    enum { N = sizeof coth_c / sizeof coth_c[0] };
    vec t[TOGETHER], h[TOGETHER], square[TOGETHER], c[TOGETHER], less[TOGETHER], more[TOGETHER];
    EACH(u, n) h[u] = greater_of(all(-TANH_LIMIT), smaller_of(all(TANH_LIMIT), x[u])); /* NaN stays */
    EACH(u, n) t[u] = fma_(h[u], all(2 * LOG2_E), all(MAGIC));
    EACH(u, n) h[u] = fma_(t[u] - all(MAGIC), all(-LN_2_HIGH / 2), h[u]);
    EACH(u, n) square[u] = h[u] * h[u];
    EACH(u, n) c[u] = fma_(all(coth_c[0]), square[u], all(coth_c[1]));
    for (int i = 2; i < N; i++) EACH(u, n) c[u] = fma_(c[u], square[u], all(coth_c[i]));
    EACH(u, n) t[u] = power_of_two(t[u]);
    EACH(u, n) less[u] = all(1) - t[u];
    EACH(u, n) more[u] = all(1) + t[u];
    EACH(u, n) x[u] = fnma_(c[u], less[u], h[u] * more[u]);
    EACH(u, n) x[u] = x[u] / fms_(c[u], more[u], h[u] * less[u]);
}

ALWAYS_INLINE vec tanh_(vec x)
{
    tanh_together(1, &x);
    return x;
}

/* 1 / (1 + exp(-x)), where e is exp(-|x|): for x < 0 as e / (1 + e). */
ALWAYS_INLINE vec sigmoid_of(vec x, vec e)
{
    return where(greater(all(0), x), e, all(1)) / (all(1) + e);
}

/* log(1 + x) for x >= 0. 1 + x = 2^k * (1 + f) with f in [sqrt(1/2) - 1, sqrt(2) - 1], s = f / (2 + f), log(1
 * + f) = 2 atanh(s); what was lost in adding 1 comes back as a quotient. */
ALWAYS_INLINE vec log1p_(vec x)
{
    const vec u = all(1) + x, lost = (x - (u - all(1))) / u;
    vec k;
    const vec f = significand_of(u, &k) - all(1), s = f / (all(2) + f), z = s * s;
    const vec series = z * polynomial(z, log_r, sizeof log_r / sizeof log_r[0]);
    const vec small = fma_(k, all(LN_2_LOW), lost);
    const vec log = fma_(k, all(LN_2_HIGH), f - (s * (f - series) - small));
    return log + (x - x); /* NaN and infinity have no significand */
}

/* exp(x) - 1 for x <= 0, where a is |x|. */
ALWAYS_INLINE vec expm1_minus(vec a)
{
    vec scale;
    const vec p = reduced_expm1(smaller_of(all(EXP_LIMIT), a), &scale);
    return fma_(scale, p, scale - all(1));
}

/* The normal distribution's density at x times sqrt(2 pi), exp(-x^2 / 2), and its tail beyond |x|: with u =
 * (a - k) / (a + k), a = |x|, (1 + s a) * exp(a^2 / 2) * tail is a polynomial in u (Shepherd and Laframboise
 * 1981). */
ALWAYS_INLINE vec normal_tail(vec x, vec *bell)
{
    const vec a = smaller_of(all(TAIL_LIMIT), magnitude(x)), half = all((REAL)0.5) * a, square = half * a,
              lost = fnma_(half, a, square);
    const vec u = (a - all(TAIL_K)) / (a + all(TAIL_K)), e = exp_minus(square);
    *bell = fma_(e, lost, e);
    return *bell * polynomial(u, tail_f, sizeof tail_f / sizeof tail_f[0]) / fma_(all(TAIL_S), a, all(1));
}
