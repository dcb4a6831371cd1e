#include "data/feed.h"

#include "base/memory.h"
#include "data/windows.h"

enum {
    RUN_BYTES = 512 * 1024, /* read at a time in file order: stays in a core's cache until it is used */
    AHEAD_BYTES = 16 << 20, /* that the system is told to read meanwhile */
    GAP_BYTES = 64 * 1024   /* between rows that are told as one run */
};

struct ls_feed {
    const ls_order *order;
    ls_dataset *dataset;
    ls_dtype dtype;
    size_t y_size, row_size; /* bytes of a row */
    int64_t first_shard, end_shard;
    ls_rows *rows;              /* of each shard in the present batch */
    ls_windows *windows;        /* shuffled; otherwise: */
    int64_t batch_rows;         /* of these shards in a batch */
    int64_t run_batches;        /* read at a time */
    int64_t run_begin, run_end; /* batches in x and y */
    int64_t expected, ahead;    /* batches that the system knows of, and how many it should */
    ls_segment *segments;
    char *x, *y;
};

static ls_status prepare_runs(ls_feed *feed)
{
    const ls_order *order = feed->order;
    feed->batch_rows = ls_order_batch_segment(order, 0, feed->first_shard, feed->end_shard).n_rows;
    const int64_t bytes =
        (feed->batch_rows > 0 ? feed->batch_rows : 1) * (int64_t)(feed->row_size + feed->y_size);
    feed->run_batches = bytes < RUN_BYTES ? RUN_BYTES / bytes : 1;
    if (feed->run_batches > order->n_batches) feed->run_batches = order->n_batches;
    feed->ahead = AHEAD_BYTES / bytes + 1;
    /* The last batch, although shorter, may have a row more for these shards. */
    const size_t rows = (size_t)(feed->run_batches * feed->batch_rows + 1);
    LS_TRY(ls_alloc(&feed->x, rows, feed->row_size, "rows of a batch"));
    LS_TRY(ls_alloc(&feed->y, rows, feed->y_size, "labels of a batch"));
    return ls_alloc(&feed->segments, (size_t)feed->run_batches, sizeof *feed->segments,
                    "row numbers of a batch");
}

ls_status ls_feed_create(const ls_order *order, ls_dataset *dataset, ls_dtype dtype, int64_t first_shard,
                         int64_t end_shard, int64_t memory, ls_feed **result)
{
    ls_feed *feed;
    *result = NULL;
    LS_TRY(ls_alloc(&feed, 1, sizeof *feed, "rows of the training set"));
    feed->order = order;
    feed->dataset = dataset;
    feed->dtype = dtype;
    const ls_targets targets = ls_dataset_targets(dataset);
    feed->y_size = (size_t)ls_targets_row_values(&targets) * ls_dtype_size(dtype);
    feed->row_size = (size_t)ls_dataset_n_features(dataset) * ls_dtype_size(dtype);
    feed->first_shard = first_shard;
    feed->end_shard = end_shard;
    ls_status status =
        ls_alloc(&feed->rows, (size_t)(end_shard - first_shard), sizeof *feed->rows, "shards of a rank");
    if (status == LS_OK)
        status = order->shuffle ? ls_windows_create(order, dataset, dtype, first_shard, end_shard, memory,
                                                    &feed->windows)
                                : prepare_runs(feed);
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
    ls_windows_destroy(feed->windows);
    ls_free(feed->rows);
    ls_free(feed->segments);
    ls_free(feed->x);
    ls_free(feed->y);
    ls_free(feed);
}

int64_t ls_feed_bytes(const ls_feed *feed)
{
    return (feed->run_batches * feed->batch_rows + 1) * (int64_t)(feed->row_size + feed->y_size);
}

/* The rows of batches [k, end) as segments, those nearer than gap_rows as one. */
static int64_t segments_of(const ls_feed *feed, int64_t k, int64_t end, int64_t gap_rows,
                           ls_segment *segments)
{
    int64_t n = 0;
    for (; k < end; k++) {
        const ls_segment next = ls_order_batch_segment(feed->order, k, feed->first_shard, feed->end_shard);
        ls_segment *last = n > 0 ? &segments[n - 1] : NULL;
        if (last && next.first_row - (last->first_row + last->n_rows) <= gap_rows)
            last->n_rows = next.first_row + next.n_rows - last->first_row;
        else
            segments[n++] = next;
    }
    return n;
}

/* What follows the present run is read by the system meanwhile. */
static void expect_ahead(ls_feed *feed)
{
    const int64_t n_batches = feed->order->n_batches;
    const int64_t until = feed->run_end + feed->ahead < n_batches ? feed->run_end + feed->ahead : n_batches;
    if (feed->expected < feed->run_end || feed->expected > until) feed->expected = feed->run_end;
    while (feed->expected < until) {
        const int64_t left = until - feed->expected,
                      end = feed->expected + (left < feed->run_batches ? left : feed->run_batches);
        const int64_t n =
            segments_of(feed, feed->expected, end, GAP_BYTES / (int64_t)feed->row_size, feed->segments);
        ls_dataset_expect(feed->dataset, feed->segments, n);
        feed->expected = end;
    }
}

static ls_status read_run(ls_feed *feed, int64_t k)
{
    const int64_t left = feed->order->n_batches - k;
    const int64_t end = k + (left < feed->run_batches ? left : feed->run_batches);
    feed->run_begin = feed->run_end = 0; /* of no use should reading fail */
    const int64_t n = segments_of(feed, k, end, 0, feed->segments);
    LS_TRY(ls_dataset_read_segments(feed->dataset, feed->dtype, feed->segments, n, feed->x, feed->y));
    feed->run_begin = k;
    feed->run_end = end;
    expect_ahead(feed);
    return LS_OK;
}

static ls_status batch_of_run(ls_feed *feed, int64_t k)
{
    const ls_order *order = feed->order;
    if (k < feed->run_begin || k >= feed->run_end) {
        if (ls_order_batch_segment(order, k, feed->first_shard, feed->end_shard).n_rows == 0) return LS_OK;
        LS_TRY(read_run(feed, k));
    }
    int64_t row = (k - feed->run_begin) * feed->batch_rows;
    for (int64_t i = 0; i < feed->end_shard - feed->first_shard; i++) {
        feed->rows[i] =
            (ls_rows){feed->x + (size_t)row * feed->row_size, feed->y + (size_t)row * feed->y_size};
        row += ls_order_share(order, k, feed->first_shard + i);
    }
    return LS_OK;
}

ls_status ls_feed_batch(ls_feed *feed, int64_t epoch, int64_t k, const ls_rows **rows)
{
    *rows = feed->rows;
    return feed->windows ? ls_windows_batch(feed->windows, epoch, k, feed->rows) : batch_of_run(feed, k);
}
