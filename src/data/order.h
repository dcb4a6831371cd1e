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

#include "data/segment.h"
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

/* Without shuffling: the rows of the data that shards [first_shard, end_shard) take of batch k. Local. */
ls_segment ls_order_batch_segment(const ls_order *order, int64_t k, int64_t first_shard, int64_t end_shard);

/* With it: rows [begin, begin + n) of shard s in its own numbering (0 .. shard_rows-1) as segments of the
 * data, the same in every epoch. segments has room for ls_order_segment_room(order, n) of them; returns how
 * many there are. Local. */
int64_t ls_order_segment_room(const ls_order *order, int64_t n);
int64_t ls_order_segments(const ls_order *order, int64_t s, int64_t begin, int64_t n, ls_segment *segments);

/* Rows that a shard mixes: in an epoch it goes through its windows one after the other. */
typedef struct ls_window {
    int64_t first_row; /* in the shard's own numbering: a multiple of window_rows */
    int64_t n_rows;
    uint64_t seed; /* of the order inside */
} ls_window;

/* The window that shard s visits as number i (from 0) of an epoch: it holds the positions [i * window_rows, i
 * * window_rows + n_rows) of the shard's epoch. Local. */
ls_window ls_order_window(const ls_order *order, int64_t s, int64_t epoch, int64_t i);

/* The order of the rows in a window, counted from its first: rows has n_rows places. Local. */
void ls_order_window_rows(const ls_order *order, const ls_window *window, uint32_t *rows);

#endif
