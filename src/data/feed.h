/* Hands out a rank's rows batch by batch, in any order of the epoch, from a source that may be larger than
 * memory. What is handed out never depends on how much of it is kept. */
#ifndef LS_DATA_FEED_H
#define LS_DATA_FEED_H

#include "data/dataset.h"
#include "data/order.h"

typedef struct ls_feed ls_feed;

/* Prepares shards [first_shard, end_shard) of the order. Shuffled rows are kept, once read, as far as they
 * fit into `memory` bytes; in file order none is. order and dataset are borrowed until ls_feed_destroy.
 * LS_E_INPUT, LS_E_MEMORY. Local: the caller shares the outcome. The caller destroys *feed. */
ls_status ls_feed_create(const ls_order *order, ls_dataset *dataset, ls_dtype dtype, int64_t first_shard,
                         int64_t end_shard, int64_t memory, ls_feed **feed);

/* Frees it; NULL is allowed. Local. */
void ls_feed_destroy(ls_feed *feed);

/* Bytes that it takes to hand out batches in file order. Local. */
int64_t ls_feed_bytes(const ls_feed *feed);

/* Seconds spent reading until now. Local. */
double ls_feed_seconds(const ls_feed *feed);

/* The rows of batch k of an epoch: (*rows)[i] is where those of the feed's shard i begin, ls_order_share of
 * them, of the feed's dtype. They belong to the feed and hold until the next call. Cheapest for batches in
 * their order. LS_E_INPUT, LS_E_MEMORY. Local. */
ls_status ls_feed_batch(ls_feed *feed, int64_t epoch, int64_t k, const ls_rows **rows);

#endif
