/* The rows of a set that lies in HDF5 files: the arrays of its features, targets and weights, as one. */
#ifndef LS_DATA_STORED_ROWS_H
#define LS_DATA_STORED_ROWS_H

#include "comm/comm.h"
#include "data/dataset_array.h"
#include "data/dataset_convert.h"
#include "data/segment.h"

/* Stays where it was opened, for arrays point to their places. */
typedef struct ls_stored_rows {
    ls_dataset_place x_place, y_place, weight_place;
    ls_dataset_array x, y, weight; /* as many rows each */
    bool has_y, has_weight;
} ls_stored_rows;

/* Opens the arrays of a source and checks that they go together and that all ranks see the same. *rows is all
 * zero bytes before. LS_E_INPUT. Collective; source must agree. The caller closes *rows, also after a
 * failure. */
ls_status ls_stored_rows_open(ls_session *session, const ls_dataset_source *source, ls_stored_rows *rows);

/* Closes them; all zero bytes are allowed. Local. */
void ls_stored_rows_close(ls_stored_rows *rows);

/* Bytes that features and targets take in their files. Local. */
int64_t ls_stored_rows_bytes(const ls_stored_rows *rows);

/* Says that these rows will be read soon, so that they come from the disk meanwhile. Local. */
void ls_stored_rows_expect(const ls_stored_rows *rows, int64_t first_row, int64_t n_rows);

/* Reads the rows of all segments, in the order given, into x, y and weights, row-major, of type dtype and as
 * wide as the arrays; what is NULL is not read. Targets must pass y_check, everything else be finite:
 * LS_E_INPUT with row, column and value. Local. */
ls_status ls_stored_rows_read(const ls_stored_rows *rows, ls_dtype dtype, ls_value_check y_check,
                              const ls_segment *segments, int64_t n_segments, void *x, void *y,
                              void *weights);

#endif
