#include "engine/packed_rows.h"

#include <string.h>

int64_t ls_total_rows(const int64_t *shard_rows, int64_t n_shards)
{
    int64_t n = 0;
    for (int64_t shard = 0; shard < n_shards; shard++) n += shard_rows[shard];
    return n;
}

size_t ls_packed_rows_size(const ls_engine *engine, const int64_t *shard_rows, int64_t n_shards)
{
    return (size_t)(ls_total_rows(shard_rows, n_shards) * (engine->model->n_features + 1)) *
           ls_dtype_size(engine->model->dtype);
}

void ls_pack_rows(const ls_engine *engine, const void *x, const void *y, const int64_t *rows,
                  const int64_t *shard_rows, int64_t n_shards, void *packed)
{
    const size_t size = ls_dtype_size(engine->model->dtype),
                 row_size = (size_t)engine->model->n_features * size;
    const int64_t n_rows = ls_total_rows(shard_rows, n_shards);
    char *to_x = packed, *to_y = to_x + (size_t)n_rows * row_size;
    for (int64_t i = 0; i < n_rows; i++, to_x += row_size, to_y += size) {
        memcpy(to_x, (const char *)x + (size_t)rows[i] * row_size, row_size);
        memcpy(to_y, (const char *)y + (size_t)rows[i] * size, size);
    }
}
