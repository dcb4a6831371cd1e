/* Single values of an array whose type is known at run time, where speed does not matter. All functions are
 * local. */
#ifndef LS_BASE_VALUES_H
#define LS_BASE_VALUES_H

#include "lockstep/types.h"

static inline double ls_value_at(ls_dtype dtype, const void *values, int64_t i)
{
    return dtype == LS_FLOAT32 ? (double)((const float *)values)[i] : ((const double *)values)[i];
}

static inline void ls_value_put(ls_dtype dtype, void *values, int64_t i, double value)
{
    if (dtype == LS_FLOAT32) {
        ((float *)values)[i] = (float)value;
    } else {
        ((double *)values)[i] = value;
    }
}

/* The first of the greatest of n values from number begin on, counted from there. */
static inline int64_t ls_value_greatest(ls_dtype dtype, const void *values, int64_t begin, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (ls_value_at(dtype, values, begin + i) > ls_value_at(dtype, values, begin + best)) best = i;
    return best;
}

#endif
