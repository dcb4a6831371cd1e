/* Packed rows as they are in the data, for engines that take samples one after the other: all features, row
 * after row, then all labels. The functions are those of ls_engine_kind. */
#ifndef LS_ENGINE_PACKED_ROWS_H
#define LS_ENGINE_PACKED_ROWS_H

#include "engine/engine.h"

/* Rows of n_shards shards together. Local. */
int64_t ls_total_rows(const int64_t *shard_rows, int64_t n_shards);

size_t ls_packed_rows_size(const ls_engine *engine, const int64_t *shard_rows, int64_t n_shards);
void ls_pack_rows(const ls_engine *engine, const ls_rows *rows, const int64_t *shard_rows, int64_t n_shards,
                  void *packed);

/* The gradient of n_shards shards of packed rows: that of each by itself, which adds to zeroed sums, and
 * these along the tree. partial has room for ls_tree_levels messages. */
void ls_sum_shards(ls_engine *engine,
                   void (*shard_gradient)(ls_engine *, const void *x, const void *y, int64_t n_rows,
                                          void *sums),
                   const void *packed, const int64_t *shard_rows, int64_t n_shards, char *partial,
                   void *message);

#endif
