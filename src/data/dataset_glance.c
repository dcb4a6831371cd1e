#include "data/dataset_glance.h"

#include <xxhash.h>

#include "base/memory.h"
#include "comm/comm.h"

enum { MAX_BLOCKS = 32, BLOCK_BYTES = 4096, MAX_BYTES = 1 << 20, MAX_ROW_BYTES = 64 << 20 };

ls_status ls_dataset_glance(const ls_dataset_array *array, uint64_t *digest)
{
    const int64_t shape[3] = {array->n_rows, array->n_columns, array->kind};
    const int64_t row_bytes = array->n_columns * (int64_t)array->value_size;
    *digest = XXH3_64bits(shape, sizeof shape);
    if (row_bytes > MAX_ROW_BYTES) return LS_OK; /* then the shape must do */
    int64_t rows = BLOCK_BYTES / row_bytes, n_blocks;
    if (rows < 1) rows = 1;
    if (rows > array->n_rows) rows = array->n_rows;
    n_blocks = MAX_BYTES / (rows * row_bytes);
    if (n_blocks > MAX_BLOCKS) n_blocks = MAX_BLOCKS;
    if (n_blocks < 2) n_blocks = 2;
    void *values;
    LS_TRY(ls_alloc(&values, (size_t)rows, (size_t)row_bytes, "rows to look at"));
    ls_status status = LS_OK;
    for (int64_t i = 0; i < n_blocks && status == LS_OK; i++) {
        status = ls_dataset_array_read(array, ls_split(array->n_rows - rows, n_blocks - 1, i), rows, 0,
                                       array->n_columns, values);
        if (status == LS_OK) *digest = XXH3_64bits_withSeed(values, (size_t)(rows * row_bytes), *digest);
    }
    ls_free(values);
    return status;
}
