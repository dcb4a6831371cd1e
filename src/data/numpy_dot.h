/* numpy.dot of two float64 matrices with NumPy's rounding.
 *
 * A matrix product is the one operation of make_classification whose bits depend on the order of a sum. NumPy
 * hands it to OpenBLAS, which has an order of its own for each shape; this module follows the order that
 * OpenBLAS 0.3.31 (in NumPy's wheels) has on CPUs with AVX-512, with one BLAS thread. Products that other
 * CPUs or BLAS versions make differ from it in the last bits only. */
#ifndef LS_DATA_NUMPY_DOT_H
#define LS_DATA_NUMPY_DOT_H

#include <stdint.h>

#include "base/fail.h"

/* out = x . a, where x is (n, k) row-major with ldx >= k values from row to row, a is (k, m) row-major
 * without gaps, out is (n, m) with ldout >= m. Row i of out may be the memory of row i of x (the same address
 * and ldout == ldx), but not overlap other rows of x. n >= 0, k >= 1, m >= 1. LS_E_MEMORY. Local. */
ls_status ls_numpy_dot(int64_t n, int64_t k, int64_t m, const double *x, int64_t ldx, const double *a,
                       double *out, int64_t ldout);

/* The same bits without the CPU's fused multiply-add, by the C library's fma: slow, for CPUs that have none
 * and as the twin that tests compare with. Local. */
ls_status ls_numpy_dot_portable(int64_t n, int64_t k, int64_t m, const double *x, int64_t ldx,
                                const double *a, double *out, int64_t ldout);

#endif
