/* From the values of an array to those of a dtype, with the checks that training needs, in one pass. */
#ifndef LS_DATA_DATASET_CONVERT_H
#define LS_DATA_DATASET_CONVERT_H

#include "data/dataset_array.h"
#include "lockstep/types.h"

/* What the values must be. */
typedef enum ls_value_check { LS_CHECK_FINITE, LS_CHECK_LABELS } ls_value_check;

/* Converts n values of the array's kind into values of dtype, which may not overlap. Returns whether all are
 * good: finite also as dtype, or 0 and 1. Local. */
bool ls_dataset_convert(ls_array_kind kind, ls_dtype dtype, ls_value_check check, const void *source,
                        void *target, int64_t n);

/* Whether all of n values of dtype are finite. Local. */
bool ls_dataset_all_finite(ls_dtype dtype, const void *values, int64_t n);

/* LS_E_INPUT with the place of the first bad one of n values, which are columns [first_column, first_column +
 * n_columns) of rows from first_row, and what it is. Local. */
ls_status ls_dataset_fail_value(const ls_dataset_array *array, ls_dtype dtype, ls_value_check check,
                                int64_t first_row, int64_t first_column, int64_t n_columns,
                                const void *values, int64_t n);

#endif
