/* Vectors of 64-bit lanes in the compiler's own notation, and what that notation cannot say well. */
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

#define INLINE static inline __attribute__((always_inline))

INLINE bits all_bits(uint64_t v)
{
    return v - (bits){0};
}

INLINE real all(double v)
{
    return v - (real){0}; /* not +: that would lose the sign of -0 */
}

INLINE real load(const double *p)
{
    real v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE bits load_bits(const void *p)
{
    bits v;
    memcpy(&v, p, sizeof v);
    return v;
}

INLINE void store(void *p, real v)
{
    memcpy(p, &v, sizeof v);
}

INLINE void store_bits(void *p, bits v)
{
    memcpy(p, &v, sizeof v);
}

INLINE bits lane_numbers(void)
{
    bits v;
    for (int i = 0; i < VL; i++) v[i] = (uint64_t)i;
    return v;
}

INLINE real where(mask m, real a, real b)
{
    return (real)((m & (mask)a) | (~m & (mask)b));
}

#if defined(__AVX512F__)
/* Products of the lanes' low halves. */
INLINE bits multiply(bits a, bits b)
{
    return (bits)_mm512_mul_epu32((__m512i)a, (__m512i)b);
}

INLINE real fma_(real a, real b, real c)
{
    return (real)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}

INLINE real sqrt_(real v)
{
    return (real)_mm512_sqrt_pd((__m512d)v);
}

/* v below 2 n, less n where that is not below 0; n < 2^31. */
INLINE bits wrap(bits v, bits n)
{
    return (bits)_mm512_min_epu32((__m512i)v, (__m512i)(v - n));
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
INLINE bits multiply(bits a, bits b)
{
    return (bits)_mm256_mul_epu32((__m256i)a, (__m256i)b);
}

INLINE real fma_(real a, real b, real c)
{
    return (real)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}

INLINE real sqrt_(real v)
{
    return (real)_mm256_sqrt_pd((__m256d)v);
}

INLINE bits wrap(bits v, bits n)
{
    return (bits)_mm256_min_epu32((__m256i)v, (__m256i)(v - n));
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

INLINE real sqrt_(real v)
{
    for (int i = 0; i < VL; i++) v[i] = sqrt(v[i]);
    return v;
}

INLINE bits wrap(bits v, bits n)
{
    const bits less = v - n;
    return less + (n & (0 - (less >> 63)));
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
