/* Vectors of 128 bits in the compiler's own notation, for any processor. Without a fused multiply-add in
 * hardware fma is a call: the same bits, slowly. */
#include <math.h>

#if LS_SIMD_DOUBLE
enum { VL = 2 };
typedef int64_t mask __attribute__((vector_size(16)));
#else
enum { VL = 4 };
typedef int32_t mask __attribute__((vector_size(16)));
#endif
typedef REAL vec __attribute__((vector_size(16)));

static inline vec load(const REAL *p)
{
    vec v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void store(REAL *p, vec v)
{
    memcpy(p, &v, sizeof v);
}

static inline vec all(REAL x)
{
    return x - (vec){0}; /* not +: that would lose the sign of -0 */
}

static inline vec fma_(vec a, vec b, vec c)
{
    vec r;
#if LS_SIMD_DOUBLE
    for (int i = 0; i < VL; i++) r[i] = fma(a[i], b[i], c[i]);
#else
    for (int i = 0; i < VL; i++) r[i] = fmaf(a[i], b[i], c[i]);
#endif
    return r;
}

/* c - ab */
static inline vec fnma_(vec a, vec b, vec c)
{
    return fma_(-a, b, c);
}

static inline vec fms_(vec a, vec b, vec c)
{
    return fma_(a, b, -c);
}

static inline mask greater(vec a, vec b)
{
    return a > b;
}

static inline mask both(mask a, mask b)
{
    return a & b;
}

static inline int count(mask m)
{
    int n = 0;
    for (int i = 0; i < VL; i++) n -= (int)m[i];
    return n;
}

static inline vec where(mask m, vec a, vec b)
{
    return (vec)((m & (mask)a) | (~m & (mask)b));
}

static inline vec where_or_zero(mask m, vec a)
{
    return (vec)(m & (mask)a);
}

/* The smaller and the greater one; b if one of them is NaN. */
static inline vec smaller_of(vec a, vec b)
{
    return where(greater(b, a), a, b);
}

static inline vec greater_of(vec a, vec b)
{
    return where(greater(a, b), a, b);
}

/* 0 where the mask is set. */
static inline vec zero_where(mask m, vec a)
{
    return (vec)(~m & (mask)a);
}

static inline vec magnitude(vec v)
{
    return (vec)((mask)v & ~(mask)all(-(REAL)0));
}

/* b, which has none, with the sign of a. */
static inline vec with_sign_of(vec b, vec a)
{
    return (vec)(((mask)all(-(REAL)0) & (mask)a) | (mask)b);
}

/* 2^n, where the low bits of v hold n above a multiple of a power of two. */
static inline vec power_of_two(vec v)
{
    return (vec)(((mask)v << FRACTION_BITS) + (mask)all(1));
}

/* For v >= 1: v = 2^*exponent * result, with the result in [sqrt(1/2), sqrt(2)). */
static inline vec significand_of(vec v, vec *exponent)
{
    const mask base = (mask)all(SQRT_HALF), bits = (mask)v - base;
    *exponent = (vec)((bits >> FRACTION_BITS) + (mask)all(MAGIC)) - all(MAGIC);
    return (vec)((bits & ((((mask){0} + 1) << FRACTION_BITS) - 1)) + base);
}

/* to[i] += lane i. */
static inline void add_to_doubles(double *to, vec v)
{
    for (int i = 0; i < VL; i++) to[i] += (double)v[i];
}

/* The first and the second half of a[0] b[0] a[1] b[1] ... */
#if LS_SIMD_DOUBLE
static inline vec interleave_low(vec a, vec b)
{
    return (vec){a[0], b[0]};
}

static inline vec interleave_high(vec a, vec b)
{
    return (vec){a[1], b[1]};
}
#else
static inline vec interleave_low(vec a, vec b)
{
    return (vec){a[0], b[0], a[1], b[1]};
}

static inline vec interleave_high(vec a, vec b)
{
    return (vec){a[2], b[2], a[3], b[3]};
}
#endif

/* Lane i of the result is the sum of v[i]'s lanes along the pairwise-adjacent tree. */
#if LS_SIMD_DOUBLE
static inline vec fold(const vec v[VL])
{
    return (vec){v[0][0], v[1][0]} + (vec){v[0][1], v[1][1]};
}
#else
static inline vec add_pairs(vec a, vec b)
{
    return (vec){a[0], a[2], b[0], b[2]} + (vec){a[1], a[3], b[1], b[3]};
}

static inline vec fold(const vec v[VL])
{
    return add_pairs(add_pairs(v[0], v[1]), add_pairs(v[2], v[3]));
}
#endif
