#include "data/feed.h"

#include <string.h>

#include "base/memory.h"

enum { SEGMENTS_OF_A_PASS = 1 << 20 };

struct ls_feed {
    const ls_order *order;
    size_t value_size;
    int64_t n_features;
    int64_t first_shard, n_shards;
    int64_t *shard_begin; /* of each shard in the kept rows */
    ls_walk *walks;
    char *x, *y;                     /* kept rows, shard after shard, in the shards' own numbering */
    int64_t *batch_rows;             /* their numbers */
    int64_t *shard_rows, *last_rows; /* of each shard in a batch, and in the last one of an epoch */
};

typedef struct segment_list {
    ls_segment *segments;
    int64_t n, capacity;
} segment_list;

/* Appends the segments of a shard. */
static ls_status add_segments(segment_list *list, const ls_order *order, int64_t shard)
{
    ls_segment *more;
    int64_t n;
    LS_TRY(ls_order_segments(order, shard, &more, &n));
    ls_status status = LS_OK;
    if (list->n + n > list->capacity) {
        ls_segment *larger;
        const int64_t capacity = 2 * list->capacity + n;
        status = ls_alloc(&larger, (size_t)capacity, sizeof *larger, "row numbers of the shards of a rank");
        if (status == LS_OK) {
            if (list->n > 0) memcpy(larger, list->segments, (size_t)list->n * sizeof *larger);
            ls_free(list->segments);
            list->segments = larger;
            list->capacity = capacity;
        }
    }
    if (status == LS_OK && n > 0) memcpy(list->segments + list->n, more, (size_t)n * sizeof *more);
    if (status == LS_OK) list->n += n;
    ls_free(more);
    return status;
}

/* As few passes over the file as the lists of rows allow: where rows are compressed together, nearly every
 * shard has some of them. */
static ls_status read_rows(ls_feed *feed, ls_dataset *dataset, ls_dtype dtype)
{
    ls_status status = LS_OK;
    for (int64_t i = 0; i < feed->n_shards && status == LS_OK;) {
        const size_t at = (size_t)feed->shard_begin[i] * feed->value_size;
        segment_list list = {0};
        while (i < feed->n_shards && status == LS_OK && list.n < SEGMENTS_OF_A_PASS)
            status = add_segments(&list, feed->order, feed->first_shard + i++);
        if (status == LS_OK)
            status = ls_dataset_read_segments(dataset, dtype, list.segments, list.n,
                                              feed->x + at * (size_t)feed->n_features, feed->y + at);
        ls_free(list.segments);
    }
    return status;
}

static ls_status prepare(ls_feed *feed, ls_dataset *dataset, ls_dtype dtype)
{
    const ls_order *order = feed->order;
    const size_t n_shards = (size_t)feed->n_shards, n_features = (size_t)feed->n_features,
                 size = feed->value_size;
    LS_TRY(ls_alloc(&feed->shard_begin, n_shards + 1, sizeof *feed->shard_begin, "shards of a rank"));
    LS_TRY(ls_alloc(&feed->walks, n_shards, sizeof *feed->walks, "shards of a rank"));
    LS_TRY(ls_alloc(&feed->shard_rows, n_shards, sizeof *feed->shard_rows, "shards of a rank"));
    LS_TRY(ls_alloc(&feed->last_rows, n_shards, sizeof *feed->last_rows, "shards of a rank"));
    int64_t batch_rows = 0;
    for (int64_t i = 0; i < feed->n_shards; i++) {
        const int64_t shard = feed->first_shard + i;
        feed->shard_begin[i + 1] = feed->shard_begin[i] + ls_order_shard_rows(order, shard);
        feed->shard_rows[i] = ls_order_share(order, 0, shard);
        feed->last_rows[i] = ls_order_share(order, order->n_batches - 1, shard);
        batch_rows += feed->shard_rows[i];
        LS_TRY(ls_walk_begin(&feed->walks[i], order, shard));
    }
    const size_t rows = (size_t)feed->shard_begin[feed->n_shards];
    LS_TRY(ls_alloc(&feed->x, rows, n_features * size, "rows of the training set"));
    LS_TRY(ls_alloc(&feed->y, rows, size, "labels of the training set"));
    LS_TRY(
        ls_alloc(&feed->batch_rows, (size_t)batch_rows, sizeof *feed->batch_rows, "row numbers of a batch"));
    return read_rows(feed, dataset, dtype);
}

ls_status ls_feed_create(const ls_order *order, ls_dataset *dataset, ls_dtype dtype, int64_t first_shard,
                         int64_t end_shard, ls_feed **result)
{
    ls_feed *feed;
    *result = NULL;
    LS_TRY(ls_alloc(&feed, 1, sizeof *feed, "rows of the training set"));
    feed->order = order;
    feed->value_size = ls_dtype_size(dtype);
    feed->n_features = ls_dataset_n_features(dataset);
    feed->first_shard = first_shard;
    feed->n_shards = end_shard - first_shard;
    const ls_status status = prepare(feed, dataset, dtype);
    if (status != LS_OK) {
        ls_feed_destroy(feed);
        return status;
    }
    *result = feed;
    return LS_OK;
}

void ls_feed_destroy(ls_feed *feed)
{
    if (!feed) return;
    for (int64_t i = 0; feed->walks && i < feed->n_shards; i++) ls_walk_end(&feed->walks[i]);
    ls_free(feed->walks);
    ls_free(feed->shard_begin);
    ls_free(feed->batch_rows);
    ls_free(feed->shard_rows);
    ls_free(feed->last_rows);
    ls_free(feed->x);
    ls_free(feed->y);
    ls_free(feed);
}

void ls_feed_batch(ls_feed *feed, int64_t epoch, int64_t k, const void **x, const void **y,
                   const int64_t **rows, const int64_t **shard_rows)
{
    const int64_t *shares = k < feed->order->n_batches - 1 ? feed->shard_rows : feed->last_rows;
    int64_t *to = feed->batch_rows;
    for (int64_t i = 0; i < feed->n_shards; i++) {
        ls_walk_rows(&feed->walks[i], epoch, k * feed->shard_rows[i], shares[i], feed->shard_begin[i], to);
        to += shares[i];
    }
    *x = feed->x;
    *y = feed->y;
    *rows = feed->batch_rows;
    *shard_rows = shares;
}
