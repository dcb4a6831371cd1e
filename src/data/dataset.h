/* Reading rows of an open set; the public half is lockstep/dataset.h. */
#ifndef LS_DATA_DATASET_H
#define LS_DATA_DATASET_H

#include "comm/comm.h"
#include "lockstep/dataset.h"

/* n_rows consecutive rows of a file. */
typedef struct ls_segment {
    int64_t first_row;
    int64_t n_rows;
} ls_segment;

/* Reads the rows of all segments, in the order given, into x (sum of n_rows x n_features, row-major) and y
 * (sum of n_rows), both of type dtype; y may be NULL. Segments may come in any order; near ones are fetched
 * in one transfer of bounded size. NaN, Inf (also a value that overflows float32) and labels that are not 0
 * or 1 are LS_E_INPUT with the row (counted in the file), the column and the value. Local: ranks read what
 * they need. */
ls_status ls_dataset_read_segments(ls_dataset *dataset, ls_dtype dtype, const ls_segment *segments,
                                   int64_t n_segments, void *x, void *y);

/* The same for one range of rows. Local. */
ls_status ls_dataset_read_rows(ls_dataset *dataset, ls_dtype dtype, int64_t first_row, int64_t n_rows,
                               void *x, void *y);

#endif
