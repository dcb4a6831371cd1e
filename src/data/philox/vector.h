/* Vectors of 64, 32 and 16-bit lanes in the compiler's own notation, and what that notation cannot say well.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__)
#include <immintrin.h>
enum { VL = 8 };
#elif defined(__AVX2__)
#include <immintrin.h>
enum { VL = 4 };
#else
#if defined(__SSE2__)
#include <emmintrin.h>
#endif
enum { VL = 2 };
#endif

typedef uint64_t bits __attribute__((vector_size(8 * VL)));
typedef int64_t mask __attribute__((vector_size(8 * VL))); /* -1 or 0 */
typedef double real __attribute__((vector_size(8 * VL)));
typedef int32_t narrow __attribute__((vector_size(4 * VL))); /* as many as 64-bit lanes */
typedef uint32_t words __attribute__((vector_size(8 * VL)));
typedef int32_t signed_words __attribute__((vector_size(8 * VL)));
typedef float floats __attribute__((vector_size(8 * VL)));
enum { DIGITS = 4 * VL };
typedef uint16_t digits __attribute__((vector_size(8 * VL)));

#define INLINE static inline __attribute__((always_inline))

INLINE bits all_bits(uint64_t v)
{
    return v - (bits){0};
}

INLINE real all(double v)
{
    return v - (real){0}; /* not +: that would lose the sign of -0 */
}

INLINE floats all_floats(float v)
{
    return v - (floats){0};
}

INLINE digits all_digits(uint16_t v)
{
    return v - (digits){0};
}

INLINE floats floats_of(signed_words v)
{
    return __builtin_convertvector(v, floats);
}

INLINE real load(const double *p)
{
    real v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store(void *p, real v)
{
    memcpy(p, &v, sizeof v);
}

INLINE bits lane_numbers(void)
{
    bits v;
    for (int i = 0; i < VL; i++) v[i] = (uint64_t)i;
    return v;
}

INLINE digits digit_numbers(void)
{
    digits v;
    for (int i = 0; i < DIGITS; i++) v[i] = (uint16_t)i;
    return v;
}

#if defined(__AVX512F__) || defined(__AVX2__)
#if defined(__AVX512F__)
#define OP(name)    _mm512_##name
#define INTEGERS(v) ((__m512i)(v))
#define DOUBLES(v)  ((__m512d)(v))
#define SINGLES(v)  ((__m512)(v))
#else
#define OP(name)    _mm256_##name
#define INTEGERS(v) ((__m256i)(v))
#define DOUBLES(v)  ((__m256d)(v))
#define SINGLES(v)  ((__m256)(v))
#endif

/* Products of the lanes' low halves. */
INLINE bits multiply(bits a, bits b)
{
    return (bits)OP(mul_epu32)(INTEGERS(a), INTEGERS(b));
}

INLINE real fma_(real a, real b, real c)
{
    return (real)OP(fmadd_pd)(DOUBLES(a), DOUBLES(b), DOUBLES(c));
}

INLINE floats fma_floats(floats a, floats b, floats c)
{
    return (floats)OP(fmadd_ps)(SINGLES(a), SINGLES(b), SINGLES(c));
}

INLINE floats sqrt_floats(floats v)
{
    return (floats)OP(sqrt_ps)(SINGLES(v));
}

/* The high halves of the products. */
INLINE digits high_product(digits a, digits b)
{
    return (digits)OP(mulhi_epu16)(INTEGERS(a), INTEGERS(b));
}

/* v below 2 n, less n where that is not below 0; n <= 2^15. */
INLINE digits wrap(digits v, digits n)
{
    return (digits)OP(min_epu16)(INTEGERS(v), INTEGERS(v - n));
}
#endif

#if defined(__AVX512F__)
/* One more where a >= b. */
INLINE digits add_if_at_least(digits count, digits a, digits b)
{
    const __mmask32 reached = _mm512_cmpge_epu16_mask((__m512i)a, (__m512i)b);
    return (digits)_mm512_mask_sub_epi16((__m512i)count, reached, (__m512i)count, _mm512_set1_epi16(-1));
}

INLINE bits load_words(const uint32_t *p)
{
    return (bits)_mm512_cvtepu32_epi64(_mm256_loadu_si256((const void *)p));
}

INLINE void store_doubles(double *p, floats v)
{
    _mm512_storeu_pd(p, _mm512_cvtps_pd(_mm512_castps512_ps256((__m512)v)));
    _mm512_storeu_pd(p + VL, _mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)v, 1)));
}

INLINE int any(mask m)
{
    return _mm512_test_epi64_mask((__m512i)m, (__m512i)m) != 0;
}

/* table[which], of LS_PHILOX_FEW_CLUSTERS. */
INLINE real look_up(const double *table, bits which)
{
    return (real)_mm512_permutexvar_pd((__m512i)which, _mm512_loadu_pd(table));
}

/* a[0] b[0] a[1] b[1] ... */
INLINE void interleave(real a, real b, real out[2])
{
    const __m512i low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
    const __m512i high = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
    out[0] = (real)_mm512_permutex2var_pd((__m512d)a, low, (__m512d)b);
    out[1] = (real)_mm512_permutex2var_pd((__m512d)a, high, (__m512d)b);
}

INLINE void store_float(float *p, real v)
{
    _mm256_storeu_ps(p, _mm512_cvtpd_ps((__m512d)v));
}
#elif defined(__AVX2__)
INLINE digits add_if_at_least(digits count, digits a, digits b)
{
    return count - (digits)(a >= b);
}

INLINE bits load_words(const uint32_t *p)
{
    return (bits)_mm256_cvtepu32_epi64(_mm_loadu_si128((const void *)p));
}

INLINE void store_doubles(double *p, floats v)
{
    _mm256_storeu_pd(p, _mm256_cvtps_pd(_mm256_castps256_ps128((__m256)v)));
    _mm256_storeu_pd(p + VL, _mm256_cvtps_pd(_mm256_extractf128_ps((__m256)v, 1)));
}

INLINE int any(mask m)
{
    return !_mm256_testz_si256((__m256i)m, (__m256i)m);
}

INLINE real look_up(const double *table, bits which)
{
    return (real)_mm256_i64gather_pd(table, (__m256i)which, 8);
}

INLINE void interleave(real a, real b, real out[2])
{
    const __m256d low = _mm256_unpacklo_pd((__m256d)a, (__m256d)b);
    const __m256d high = _mm256_unpackhi_pd((__m256d)a, (__m256d)b);
    out[0] = (real)_mm256_permute2f128_pd(low, high, 0x20);
    out[1] = (real)_mm256_permute2f128_pd(low, high, 0x31);
}

INLINE void store_float(float *p, real v)
{
    _mm_storeu_ps(p, _mm256_cvtpd_ps((__m256d)v));
}
#else
INLINE bits multiply(bits a, bits b)
{
#if defined(__SSE2__)
    return (bits)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return (a & UINT32_MAX) * (b & UINT32_MAX);
#endif
}

/* Without a fused multiply-add in hardware a call: the same bits, slowly. */
INLINE real fma_(real a, real b, real c)
{
    for (int i = 0; i < VL; i++) c[i] = fma(a[i], b[i], c[i]);
    return c;
}

INLINE floats fma_floats(floats a, floats b, floats c)
{
    for (int i = 0; i < 2 * VL; i++) c[i] = fmaf(a[i], b[i], c[i]);
    return c;
}

INLINE floats sqrt_floats(floats v)
{
    for (int i = 0; i < 2 * VL; i++) v[i] = sqrtf(v[i]);
    return v;
}

INLINE digits high_product(digits a, digits b)
{
#if defined(__SSE2__)
    return (digits)_mm_mulhi_epu16((__m128i)a, (__m128i)b);
#else
    for (int i = 0; i < DIGITS; i++) a[i] = (uint16_t)((uint32_t)a[i] * b[i] >> 16);
    return a;
#endif
}

INLINE digits wrap(digits v, digits n)
{
    const digits less = v - n;
    return less + (n & (0 - (less >> 15)));
}

INLINE digits add_if_at_least(digits count, digits a, digits b)
{
    return count - (digits)(a >= b);
}

INLINE bits load_words(const uint32_t *p)
{
    return (bits){p[0], p[1]};
}

INLINE void store_doubles(double *p, floats v)
{
    for (int i = 0; i < 2 * VL; i++) p[i] = v[i];
}

INLINE int any(mask m)
{
    return (m[0] | m[1]) != 0;
}

INLINE real look_up(const double *table, bits which)
{
    real v;
    for (int i = 0; i < VL; i++) v[i] = table[which[i]];
    return v;
}

INLINE void interleave(real a, real b, real out[2])
{
    out[0] = (real){a[0], b[0]};
    out[1] = (real){a[1], b[1]};
}

INLINE void store_float(float *p, real v)
{
    for (int i = 0; i < VL; i++) p[i] = (float)v[i];
}
#endif
