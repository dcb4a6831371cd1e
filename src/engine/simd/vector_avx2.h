/* Vectors of 256 bits, with fused multiply-add. */
#include <immintrin.h>

#if LS_SIMD_DOUBLE
enum { VL = 4 };
typedef __m256d vec;
typedef __m256d mask;
#define OP(name)     _mm256_##name##_pd
#define BITS(name)   _mm256_##name##_epi64
#define AS_BITS(v)   _mm256_castpd_si256(v)
#define FROM_BITS(v) _mm256_castsi256_pd(v)
#else
enum { VL = 8 };
typedef __m256 vec;
typedef __m256 mask;
#define OP(name)     _mm256_##name##_ps
#define BITS(name)   _mm256_##name##_epi32
#define AS_BITS(v)   _mm256_castps_si256(v)
#define FROM_BITS(v) _mm256_castsi256_ps(v)
#endif

static inline vec load(const REAL *p)
{
    return OP(loadu)(p);
}

static inline void store(REAL *p, vec v)
{
    OP(storeu)(p, v);
}

static inline vec all(REAL x)
{
    return OP(set1)(x);
}

static inline vec fma_(vec a, vec b, vec c)
{
    return OP(fmadd)(a, b, c);
}

/* c - ab */
static inline vec fnma_(vec a, vec b, vec c)
{
    return OP(fnmadd)(a, b, c);
}

/* ab - c */
static inline vec fms_(vec a, vec b, vec c)
{
    return OP(fmsub)(a, b, c);
}

static inline mask greater(vec a, vec b)
{
    return OP(cmp)(a, b, _CMP_GT_OQ);
}

static inline mask both(mask a, mask b)
{
    return OP(and)(a, b);
}

static inline int count(mask m)
{
    return __builtin_popcount((unsigned)OP(movemask)(m));
}

static inline vec where(mask m, vec a, vec b)
{
    return OP(blendv)(b, a, m);
}

static inline vec where_or_zero(mask m, vec a)
{
    return OP(and)(m, a);
}

/* The smaller and the greater one; b if one of them is NaN. */
static inline vec smaller_of(vec a, vec b)
{
    return OP(min)(a, b);
}

static inline vec greater_of(vec a, vec b)
{
    return OP(max)(a, b);
}

/* 0 where the mask is set. */
static inline vec zero_where(mask m, vec a)
{
    return OP(andnot)(m, a);
}

static inline vec magnitude(vec v)
{
    return OP(andnot)(all(-(REAL)0), v);
}

/* b, which has none, with the sign of a. */
static inline vec with_sign_of(vec b, vec a)
{
    return OP(or)(OP(and)(all(-(REAL)0), a), b);
}

/* 2^n, where the low bits of v hold n above a multiple of a power of two. */
static inline vec power_of_two(vec v)
{
    return FROM_BITS(BITS(add)(BITS(slli)(AS_BITS(v), FRACTION_BITS), AS_BITS(all(1))));
}

/* For v >= 1: v = 2^*exponent * result, with the result in [sqrt(1/2), sqrt(2)). */
static inline vec significand_of(vec v, vec *exponent)
{
    const __m256i base = AS_BITS(all(SQRT_HALF)), bits = BITS(sub)(AS_BITS(v), base);
    const __m256i fraction =
        _mm256_and_si256(bits, BITS(srli)(_mm256_set1_epi32(-1), 8 * (int)sizeof(REAL) - FRACTION_BITS));
    *exponent = FROM_BITS(BITS(add)(BITS(srli)(bits, FRACTION_BITS), AS_BITS(all(MAGIC)))) - all(MAGIC);
    return FROM_BITS(BITS(add)(fraction, base));
}

/* to[i] += lane i. */
static inline void add_to_doubles(double *to, vec v)
{
#if LS_SIMD_DOUBLE
    store(to, load(to) + v);
#else
    _mm256_storeu_pd(to, _mm256_loadu_pd(to) + _mm256_cvtps_pd(_mm256_castps256_ps128(v)));
    _mm256_storeu_pd(to + 4, _mm256_loadu_pd(to + 4) + _mm256_cvtps_pd(_mm256_extractf128_ps(v, 1)));
#endif
}

/* The first and the second half of a[0] b[0] a[1] b[1] ... */
static inline vec interleave_low(vec a, vec b)
{
    return OP(permute2f128)(OP(unpacklo)(a, b), OP(unpackhi)(a, b), 0x20);
}

static inline vec interleave_high(vec a, vec b)
{
    return OP(permute2f128)(OP(unpacklo)(a, b), OP(unpackhi)(a, b), 0x31);
}

static inline vec add_blocks(vec a, vec b)
{
    return OP(permute2f128)(a, b, 0x20) + OP(permute2f128)(a, b, 0x31);
}

/* Lane i of the result is the sum of v[i]'s lanes along the pairwise-adjacent tree. */
#if LS_SIMD_DOUBLE
static inline vec add_pairs(vec a, vec b)
{
    return _mm256_unpacklo_pd(a, b) + _mm256_unpackhi_pd(a, b);
}

static inline vec fold(const vec v[VL])
{
    return add_blocks(add_pairs(v[0], v[1]), add_pairs(v[2], v[3]));
}
#else
static inline vec add_pairs(vec a, vec b)
{
    return _mm256_shuffle_ps(a, b, 0x88) + _mm256_shuffle_ps(a, b, 0xDD);
}

static inline vec fold_four(const vec v[4])
{
    return add_pairs(add_pairs(v[0], v[1]), add_pairs(v[2], v[3]));
}

static inline vec fold(const vec v[VL])
{
    return add_blocks(fold_four(v), fold_four(v + 4));
}
#endif
