/* Normal numbers by Box and Muller's transform, in float32: their 24 bits are what 32 random ones are worth,
 * and twice as many fit a vector. */

/* Minimax polynomials: of (2 f - 2 log(1 + f)) / f^2, error of the logarithm below 3e-8 of it; for sin and
 * cos of a quarter turn times g, |g| <= 1/2, in g^2, errors below 5e-9 and 6e-11. */
static const float log_q[] = {-0x1.65c76ep-3f, 0x1.250494p-2f, -0x1.318522p-2f, 0x1.535d3p-2f,
                              -0x1.98d2cp-2f,  0x1.00049ap-1f, -0x1.5556f4p-1f, 0x1.fffffap-1f};
static const float sin_s[] = {-0x1.2d9bb8p-8f, 0x1.465ec6p-4f, -0x1.4abbbap-1f, 0x1.921fb6p+0f};
static const float cos_c[] = {0x1.d9f7bep-11f, -0x1.55c664p-6f, 0x1.03c1dep-2f, -0x1.3bd3ccp+0f, 1.0f};

INLINE void polynomial(const floats x[TOGETHER], const float *c, int n, floats p[TOGETHER])
{
    EACH(u) p[u] = all_floats(c[0]);
    for (int i = 1; i < n; i++) EACH(u) p[u] = fma_floats(p[u], x[u], all_floats(c[i]));
}

INLINE floats probability(words m)
{
    return fma_floats(floats_of((signed_words)m), all_floats(0x1p-31f), all_floats(0x1p-32f));
}

/* -2 log(v), v = (2 m + 1) / 2^32 with m of 31 bits. v = 2^k * (1 + f) with 1 + f in [sqrt(1/2), sqrt(2));
 * where k is 0, f comes from 1 - v, which m gives with all its digits. */
INLINE void square_radius(const words m[TOGETHER], floats square[TOGETHER])
{
    const words base = (words)all_floats(SQRT_HALF);
    floats k[TOGETHER], f[TOGETHER], q[TOGETHER];
    EACH(u)
    {
        const words from_base = (words)probability(m[u]) - base;
        const words below = (words)((signed_words)from_base >> 31);
        const floats scaled = (floats)((from_base & 0x7fffff) + base) - all_floats(1);
        k[u] = floats_of((signed_words)from_base >> 23);
        f[u] = (floats)((below & (words)scaled) | (~below & (words)-probability(m[u] ^ 0x7fffffff)));
    }
    polynomial(f, log_q, COUNT_OF(log_q), q);
    EACH(u) q[u] = fma_floats(f[u] * f[u], q[u], all_floats(-2) * f[u]);
    EACH(u) square[u] = fma_floats(k[u], all_floats(MINUS_2_LN_2), q[u]);
}

/* Two independent normal numbers from two words: 31 bits of the one choose the radius' probability (2 m + 1)
 * / 2^32, the other one the angle. */
INLINE void normal_pairs(const words radius[TOGETHER], const words angle[TOGETHER], floats first[TOGETHER],
                         floats second[TOGETHER])
{
    words m[TOGETHER];
    floats length[TOGETHER], g[TOGETHER], square[TOGETHER], sine[TOGETHER], cosine[TOGETHER];
    EACH(u)
    {
        m[u] = radius[u] >> 1;
        g[u] = floats_of((signed_words)angle[u] >> 2) * all_floats(0x1p-30f);
        square[u] = g[u] * g[u];
    }
    square_radius(m, length);
    EACH(u) length[u] = sqrt_floats(length[u]);
    polynomial(square, sin_s, COUNT_OF(sin_s), sine);
    polynomial(square, cos_c, COUNT_OF(cos_c), cosine);
    EACH(u)
    {
        /* Whole quarter turns: 1 is (-sin, cos), 2 (-cos, -sin), 3 (sin, -cos). */
        const words odd = 0 - (angle[u] & 1);
        const words sine_sign = (angle[u] >> 1) << 31, cosine_sign = (angle[u] ^ (angle[u] >> 1)) << 31;
        const words s = (words)(g[u] * sine[u]), c = (words)cosine[u];
        first[u] = length[u] * (floats)(((odd & s) | (~odd & c)) ^ cosine_sign);
        second[u] = length[u] * (floats)(((odd & c) | (~odd & s)) ^ sine_sign);
    }
}
