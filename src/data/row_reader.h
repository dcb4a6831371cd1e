/* Reads a range of rows from first to last, perhaps again and again, through a buffer of bounded size. */
#ifndef LS_DATA_ROW_READER_H
#define LS_DATA_ROW_READER_H

#include "data/dataset.h"

typedef struct ls_row_reader ls_row_reader;

/* Features in a buffer, unless a few rows are more. */
enum { LS_ROW_READER_BYTES = 4 << 20 };

/* Prepares reading rows [begin_row, end_row) of dataset (borrowed) in dtype, labels too if the set has them.
 * At least min_rows rows fit the buffer, and all of them if they take at most `memory` bytes (and are not in
 * memory anyway): then they are read once. LS_E_MEMORY. Local. The caller destroys *reader. */
ls_status ls_row_reader_create(ls_dataset *dataset, ls_dtype dtype, int64_t begin_row, int64_t end_row,
                               int64_t min_rows, int64_t memory, ls_row_reader **reader);

/* Frees it; NULL is allowed. Local. */
void ls_row_reader_destroy(ls_row_reader *reader);

/* Rows [first_row, first_row + n_rows), n_rows <= min_rows, below end_row: *x (n_rows x n_features) and *y
 * (n_rows, NULL without labels) belong to the reader and hold until the next call. LS_E_INPUT. Local. */
ls_status ls_row_reader_get(ls_row_reader *reader, int64_t first_row, int64_t n_rows, const void **x,
                            const void **y);

#endif
