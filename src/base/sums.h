/* Sums over arrays in one fixed order, wide enough for vectors: the same bits on every processor and rank.
 * Local. */
#ifndef LS_BASE_SUMS_H
#define LS_BASE_SUMS_H

#include "lockstep/types.h"

/* The sum of the absolute values, and of the squares, of n values of that type, added as doubles. */
double ls_sum_absolute(ls_dtype dtype, const void *values, int64_t n);
double ls_sum_squares(ls_dtype dtype, const void *values, int64_t n);

#endif
