/* Reading rows of an open set; the public half is lockstep/dataset.h. */
#ifndef LS_DATA_DATASET_H
#define LS_DATA_DATASET_H

#include "comm/comm.h"
#include "data/segment.h"
#include "data/targets.h"
#include "lockstep/dataset.h"

/* Says what the targets must be: n_outputs labels of 0 and 1 (one by default), one of n_outputs classes, as
 * its number from 0 or in a column for each, or n_outputs numbers. LS_E_INPUT if the array has another number
 * of columns. Local. */
ls_status ls_dataset_expect_targets(ls_dataset *dataset, ls_target_kind kind, int64_t n_outputs);

/* Reads targets as they are stored, n_rows x n_columns, whatever is expected of them; finite ones. Local. */
ls_status ls_dataset_read_targets(ls_dataset *dataset, int64_t first_row, int64_t n_rows, double *values);

/* What the header tells of the targets: their columns, their type; and the classes of generated rows, 0 if
 * they must be read. Local. */
int64_t ls_dataset_target_columns(const ls_dataset *dataset);
bool ls_dataset_targets_are_integers(const ls_dataset *dataset);
int64_t ls_dataset_generated_classes(const ls_dataset *dataset);

/* What a row of y holds. Local. */
ls_targets ls_dataset_targets(const ls_dataset *dataset);

/* Reads the rows of all segments, in the order given, into x (sum of n_rows x n_features, row-major) and y
 * (sum of n_rows x the values of ls_dataset_targets), both of type dtype; y may be NULL. Segments may come in
 * any order; near ones are fetched in one transfer of bounded size. NaN, Inf (also a value that overflows
 * float32), targets that are not what is expected and weights below 0 are LS_E_INPUT with the row (counted in
 * the file), the column and the value. Local: ranks read what they need. */
extern double ls_dataset_reading; /* seconds that this process has spent in it */
ls_status ls_dataset_read_segments(ls_dataset *dataset, ls_dtype dtype, const ls_segment *segments,
                                   int64_t n_segments, void *x, void *y);

/* Reads all rows now, as values of dtype, and keeps them in memory until the dataset is closed: from then on
 * reading with that dtype copies. Other targets or class weights let go of them. Nothing happens where they
 * would take more than `memory` bytes. LS_E_INPUT, LS_E_MEMORY. Local. */
ls_status ls_dataset_hold(ls_dataset *dataset, ls_dtype dtype, int64_t memory);
/* The rows of whole, standardised by mean and variance (see data/scaling.h), or as they are if mean is NULL;
 * they can be read in dtype only. whole is borrowed until the set is closed. LS_E_MEMORY. Local. The caller
 * closes *scaled. */
ls_status ls_dataset_open_scaled(ls_dataset *whole, ls_dtype dtype, const double *mean,
                                 const double *variance, ls_dataset **scaled);

/* Whether reading with that dtype copies rows that are held. Local. */
bool ls_dataset_is_held(const ls_dataset *dataset, ls_dtype dtype);

/* Says that these rows will be read soon, so that they come from the disk while others are in use. Local. */
void ls_dataset_expect(const ls_dataset *dataset, const ls_segment *segments, int64_t n_segments);

/* The same as ls_dataset_read_segments for one range of rows. Local. */
ls_status ls_dataset_read_rows(ls_dataset *dataset, ls_dtype dtype, int64_t first_row, int64_t n_rows,
                               void *x, void *y);

#endif
