/* Which row of the data is used when: a pure function of (seed, epoch, step, n_samples, n_features,
 * batch_size, n_shards, shuffle) and of nothing else, so it is the same on any number of ranks and after a
 * restart.
 *
 * Batch k of an epoch holds b = batch_size samples, the last one what is left. Shard s of S takes the samples
 * [floor(s*b/S), floor((s+1)*b/S)) of it. Without shuffling sample i of batch k is row k*batch_size + i of
 * the data. With it, blocks of rows are dealt to the shards by a seeded bijection, once for the whole run; a
 * shard is dealt exactly as many rows as an epoch takes from it. In every epoch a shard visits its windows of
 * rows in a new order and the rows inside a window in a new order. */
#ifndef LS_DATA_ORDER_H
#define LS_DATA_ORDER_H

#include <stdbool.h>

#include "base/fail.h"
#include "data/dataset.h"
#include "random/permute.h"

typedef struct ls_order {
    int64_t n_samples;
    int64_t batch_size;
    int64_t n_shards;
    int64_t n_batches; /* steps of an epoch: ceil(n_samples / batch_size) */
    uint64_t seed;
    bool shuffle;
    int64_t block_rows;  /* rows dealt at a time */
    int64_t window_rows; /* rows that a shard mixes at a time */
    int64_t n_blocks;
    ls_bijection deal;        /* position in the dealt sequence -> block of the file */
    int64_t short_block_rows; /* rows of the file's last block, in 1 .. block_rows */
    int64_t short_position;   /* where the deal puts that block */
} ls_order;

/* Fills the order. All sizes at least 1, n_shards a power of two. Local. */
void ls_order_init(ls_order *order, int64_t n_samples, int64_t n_features, int64_t batch_size,
                   int64_t n_shards, bool shuffle, uint64_t seed);

/* Samples of batch k, and shard s' share of it. Local. */
int64_t ls_order_batch_rows(const ls_order *order, int64_t k);
int64_t ls_order_share(const ls_order *order, int64_t k, int64_t s);

/* Rows that shard s uses in one epoch, each exactly once. Local. */
int64_t ls_order_shard_rows(const ls_order *order, int64_t s);

/* The rows of shard s in its own numbering (0 .. shard_rows-1) as segments of the data, the same in every
 * epoch. *segments is the caller's, to be freed with ls_free. LS_E_MEMORY. Local. */
ls_status ls_order_segments(const ls_order *order, int64_t s, ls_segment **segments, int64_t *n_segments);

/* One shard's walk through an epoch. */
typedef struct ls_walk {
    const ls_order *order;
    int64_t shard;
    int64_t shard_rows;
    int64_t epoch;
    int64_t begin, end;   /* positions of the window in `rows` */
    int64_t first_row;    /* where that window begins in the shard's own numbering */
    ls_bijection windows; /* of this epoch */
    uint32_t *rows;       /* order inside the window, window_rows values; NULL without shuffling */
} ls_walk;

/* Prepares a walk; the caller ends it with ls_walk_end. order is borrowed. LS_E_MEMORY. Local. */
ls_status ls_walk_begin(ls_walk *walk, const ls_order *order, int64_t shard);
void ls_walk_end(ls_walk *walk);

/* Rows (in the shard's own numbering) at positions [position, position + n) of the shard's epoch, each plus
 * `offset`. Cheapest for ascending positions. Local. */
void ls_walk_rows(ls_walk *walk, int64_t epoch, int64_t position, int64_t n, int64_t offset, int64_t *rows);

#endif
