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
    const int64_t row_values = engine->model->n_features + ls_targets_row_values(&engine->targets);
    return (size_t)(ls_total_rows(shard_rows, n_shards) * row_values) * ls_dtype_size(engine->model->dtype);
}

void ls_pack_rows(const ls_engine *engine, const ls_rows *rows, const int64_t *shard_rows, int64_t n_shards,
                  void *packed)
{
    const size_t size = ls_dtype_size(engine->model->dtype),
                 row_size = (size_t)engine->model->n_features * size,
                 y_size = (size_t)ls_targets_row_values(&engine->targets) * size;
    char *x = packed, *y = x + (size_t)ls_total_rows(shard_rows, n_shards) * row_size;
    for (int64_t shard = 0; shard < n_shards; shard++) {
        const size_t n = (size_t)shard_rows[shard];
        if (n == 0) continue;
        memcpy(x, rows[shard].x, n * row_size);
        memcpy(y, rows[shard].y, n * y_size);
        x += n * row_size;
        y += n * y_size;
    }
}

void ls_sum_shards(ls_engine *engine,
                   void (*shard_gradient)(ls_engine *, const void *x, const void *y, int64_t n_rows,
                                          void *sums),
                   const void *packed, const int64_t *shard_rows, int64_t n_shards, char *partial,
                   void *message)
{
    const size_t value = ls_dtype_size(engine->model->dtype),
                 row_size = (size_t)engine->model->n_features * value, size = engine->layout.size,
                 y_size = (size_t)ls_targets_row_values(&engine->targets) * value;
    const char *x = packed, *y = x + (size_t)ls_total_rows(shard_rows, n_shards) * row_size;
    int level = 0; /* sums that wait; the lowest one waits in message itself */
    for (int64_t shard = 0; shard < n_shards; shard++) {
        char *sums = level == 0 ? message : partial + (size_t)level * size;
        memset(sums, 0, size);
        if (shard_rows[shard] > 0) shard_gradient(engine, x, y, shard_rows[shard], sums);
        x += (size_t)shard_rows[shard] * row_size;
        y += (size_t)shard_rows[shard] * y_size;
        engine->first_sample += shard_rows[shard];
        level++;
        /* Each factor 2 of the shards done completes a right half: add it to its left half. */
        for (int64_t done = shard + 1; done % 2 == 0; done /= 2) {
            level--;
            char *left = level == 1 ? message : partial + (size_t)(level - 1) * size;
            ls_message_add(&engine->layout, left, partial + (size_t)level * size);
        }
    }
}
