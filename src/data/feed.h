/* Hands the training loop its rank's part of each batch. The rows of the rank's shards are read once and
 * kept. */
#ifndef LS_DATA_FEED_H
#define LS_DATA_FEED_H

#include "data/order.h"

typedef struct ls_feed ls_feed;

/* Reads the rows of shards [first_shard, end_shard) of the order from dataset. order is borrowed until
 * ls_feed_destroy, dataset for the call. LS_E_INPUT, LS_E_MEMORY. Local: the caller shares the outcome. The
 * caller destroys *feed. */
ls_status ls_feed_create(const ls_order *order, ls_dataset *dataset, ls_dtype dtype, int64_t first_shard,
                         int64_t end_shard, ls_feed **feed);

/* Frees it; NULL is allowed. Local. */
void ls_feed_destroy(ls_feed *feed);

/* The rows of batch k of an epoch that belong to the feed's shards, one shard after the other: *rows, numbers
 * of rows in *x (rows x n_features, row-major) and *y, of the feed's dtype, and *shard_rows, how many each of
 * its shards has. All belong to the feed and hold until the next call. Local. */
void ls_feed_batch(ls_feed *feed, int64_t epoch, int64_t k, const void **x, const void **y,
                   const int64_t **rows, const int64_t **shard_rows);

#endif
