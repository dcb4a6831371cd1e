#include "base/sums.h"

#include <math.h>

#include "base/wide.h"

enum { LANES = 16 };

/* Value i goes to lane i % LANES; neighbouring lanes are added last. */
#define DEFINE_SUM(name, real, term)                                                                         \
    LS_WIDE double name(const real *values, int64_t n);                                                      \
    LS_WIDE double name(const real *values, int64_t n)                                                       \
    {                                                                                                        \
        double sums[LANES] = {0};                                                                            \
        int64_t i = 0;                                                                                       \
        for (; i + LANES <= n; i += LANES)                                                                   \
            for (int lane = 0; lane < LANES; lane++) {                                                       \
                const double value = (double)values[i + lane];                                               \
                sums[lane] += term;                                                                          \
            }                                                                                                \
        for (int lane = 0; i + lane < n; lane++) {                                                           \
            const double value = (double)values[i + lane];                                                   \
            sums[lane] += term;                                                                              \
        }                                                                                                    \
        for (int width = 1; width < LANES; width *= 2)                                                       \
            for (int lane = 0; lane < LANES; lane += 2 * width) sums[lane] += sums[lane + width];            \
        return sums[0];                                                                                      \
    }
DEFINE_SUM(ls_sum_absolute_float32, float, fabs(value))
DEFINE_SUM(ls_sum_absolute_float64, double, fabs(value))
DEFINE_SUM(ls_sum_squares_float32, float, value *value)
DEFINE_SUM(ls_sum_squares_float64, double, value *value)

double ls_sum_absolute(ls_dtype dtype, const void *values, int64_t n)
{
    return dtype == LS_FLOAT32 ? ls_sum_absolute_float32(values, n) : ls_sum_absolute_float64(values, n);
}

double ls_sum_squares(ls_dtype dtype, const void *values, int64_t n)
{
    return dtype == LS_FLOAT32 ? ls_sum_squares_float32(values, n) : ls_sum_squares_float64(values, n);
}
