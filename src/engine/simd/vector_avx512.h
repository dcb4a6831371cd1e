/* Vectors of 512 bits. */
#include <immintrin.h>

#if LS_SIMD_DOUBLE
enum { VL = 8 };
typedef __m512d vec;
typedef __mmask8 mask;
#define OP(name)           _mm512_##name##_pd
#define BITS(name)         _mm512_##name##_epi64
#define AS_BITS(v)         _mm512_castpd_si512(v)
#define FROM_BITS(v)       _mm512_castsi512_pd(v)
#define COMPARE(a, b, how) _mm512_cmp_pd_mask(a, b, how)
#else
enum { VL = 16 };
typedef __m512 vec;
typedef __mmask16 mask;
#define OP(name)           _mm512_##name##_ps
#define BITS(name)         _mm512_##name##_epi32
#define AS_BITS(v)         _mm512_castps_si512(v)
#define FROM_BITS(v)       _mm512_castsi512_ps(v)
#define COMPARE(a, b, how) _mm512_cmp_ps_mask(a, b, how)
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
    return COMPARE(a, b, _CMP_GT_OQ);
}

static inline mask both(mask a, mask b)
{
    return (mask)(a & b);
}

static inline int count(mask m)
{
    return __builtin_popcount(m);
}

static inline vec where(mask m, vec a, vec b)
{
    return OP(mask_blend)(m, b, a);
}

static inline vec where_or_zero(mask m, vec a)
{
    return OP(maskz_mov)(m, a);
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
    return OP(maskz_mov)((mask)~m, a);
}

static inline vec magnitude(vec v)
{
    return OP(abs)(v);
}

/* b, which has none, with the sign of a. */
static inline vec with_sign_of(vec b, vec a)
{
    const __m512i sign = AS_BITS(all(-(REAL)0));
    return FROM_BITS(_mm512_ternarylogic_epi64(sign, AS_BITS(a), AS_BITS(b), 0xCA));
}

/* 2^n, where the low bits of v hold n above a multiple of a power of two. */
static inline vec power_of_two(vec v)
{
    return FROM_BITS(BITS(add)(BITS(slli)(AS_BITS(v), FRACTION_BITS), AS_BITS(all(1))));
}

/* For v >= 1: v = 2^*exponent * result, with the result in [sqrt(1/2), sqrt(2)). */
static inline vec significand_of(vec v, vec *exponent)
{
    const __m512i base = AS_BITS(all(SQRT_HALF)), bits = BITS(sub)(AS_BITS(v), base);
    const __m512i fraction =
        _mm512_and_si512(bits, BITS(srli)(_mm512_set1_epi32(-1), 8 * (int)sizeof(REAL) - FRACTION_BITS));
    *exponent = FROM_BITS(BITS(add)(BITS(srli)(bits, FRACTION_BITS), AS_BITS(all(MAGIC)))) - all(MAGIC);
    return FROM_BITS(BITS(add)(fraction, base));
}

/* to[i] += lane i. */
static inline void add_to_doubles(double *to, vec v)
{
#if LS_SIMD_DOUBLE
    store(to, load(to) + v);
#else
    const __m256 high = _mm512_extractf32x8_ps(v, 1);
    _mm512_storeu_pd(to, _mm512_loadu_pd(to) + _mm512_cvtps_pd(_mm512_castps512_ps256(v)));
    _mm512_storeu_pd(to + 8, _mm512_loadu_pd(to + 8) + _mm512_cvtps_pd(high));
#endif
}

/* The first and the second half of a[0] b[0] a[1] b[1] ... */
#if LS_SIMD_DOUBLE
static inline vec interleave_low(vec a, vec b)
{
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), b);
}

static inline vec interleave_high(vec a, vec b)
{
    return _mm512_permutex2var_pd(a, _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15), b);
}
#else
static inline vec interleave_low(vec a, vec b)
{
    const __m512i from = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return _mm512_permutex2var_ps(a, from, b);
}

static inline vec interleave_high(vec a, vec b)
{
    const __m512i from = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    return _mm512_permutex2var_ps(a, from, b);
}
#endif

/* Lane i of the result is the sum of v[i]'s lanes along the pairwise-adjacent tree. */
#if LS_SIMD_DOUBLE
static inline vec add_pairs(vec a, vec b)
{
    return _mm512_unpacklo_pd(a, b) + _mm512_unpackhi_pd(a, b);
}

static inline vec add_blocks(vec a, vec b)
{
    return _mm512_shuffle_f64x2(a, b, 0x88) + _mm512_shuffle_f64x2(a, b, 0xDD);
}

static inline vec fold(const vec v[VL])
{
    return add_blocks(add_blocks(add_pairs(v[0], v[1]), add_pairs(v[2], v[3])),
                      add_blocks(add_pairs(v[4], v[5]), add_pairs(v[6], v[7])));
}
#else
static inline vec add_pairs(vec a, vec b)
{
    return _mm512_shuffle_ps(a, b, 0x88) + _mm512_shuffle_ps(a, b, 0xDD);
}

static inline vec add_blocks(vec a, vec b)
{
    return _mm512_shuffle_f32x4(a, b, 0x88) + _mm512_shuffle_f32x4(a, b, 0xDD);
}

static inline vec fold_four(const vec v[4])
{
    return add_pairs(add_pairs(v[0], v[1]), add_pairs(v[2], v[3]));
}

static inline vec fold(const vec v[VL])
{
    return add_blocks(add_blocks(fold_four(v), fold_four(v + 4)),
                      add_blocks(fold_four(v + 8), fold_four(v + 12)));
}
#endif
