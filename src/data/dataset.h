/* Reading rows of an open set; the public half is lockstep/dataset.h. */
#ifndef LS_DATA_DATASET_H
#define LS_DATA_DATASET_H

#include "comm/comm.h"
#include "data/segment.h"
#include "lockstep/dataset.h"

/* Reads the rows of all segments, in the order given, into x (sum of n_rows x n_features, row-major) and y
 * (sum of n_rows), both of type dtype; y may be NULL. Segments may come in any order; near ones are fetched
 * in one transfer of bounded size. NaN, Inf (also a value that overflows float32) and labels that are not 0
 * or 1 are LS_E_INPUT with the row (counted in the file), the column and the value. Local: ranks read what
 * they need. */
extern double ls_dataset_reading; /* seconds that this process has spent in it */
ls_status ls_dataset_read_segments(ls_dataset *dataset, ls_dtype dtype, const ls_segment *segments,
                                   int64_t n_segments, void *x, void *y);

/* Says that these rows will be read soon, so that they come from the disk while others are in use. Local. */
void ls_dataset_expect(const ls_dataset *dataset, const ls_segment *segments, int64_t n_segments);

/* The same as ls_dataset_read_segments for one range of rows. Local. */
ls_status ls_dataset_read_rows(ls_dataset *dataset, ls_dtype dtype, int64_t first_row, int64_t n_rows,
                               void *x, void *y);

#endif
