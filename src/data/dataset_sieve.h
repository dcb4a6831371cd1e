/* Many scattered rows of one array: few, larger transfers ("data sieving"), conversion and checks in one
 * pass. */
#ifndef LS_DATA_DATASET_SIEVE_H
#define LS_DATA_DATASET_SIEVE_H

#include "data/dataset.h"
#include "data/dataset_convert.h"

/* Reads the rows of all segments, in the order given, into values (sum of n_rows x n_columns, row-major, of
 * dtype). LS_E_INPUT with row, column and value for NaN, Inf, what overflows dtype, or a label other than 0
 * and 1. Local. */
ls_status ls_dataset_sieve(const ls_dataset_array *array, ls_dtype dtype, ls_value_check check,
                           const ls_segment *segments, int64_t n_segments, void *values);

#endif
