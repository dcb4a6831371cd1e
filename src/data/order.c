#include "data/order.h"

#include "comm/comm.h"

enum {
    BLOCK_BYTES = 64 * 1024,   /* a read worth its latency */
    WINDOW_BYTES = 512 * 1024, /* small enough to stay in a core's cache, large enough to mix */
    WINDOWS_BYTES = 128 << 20, /* of all shards together: one rank may have all of them in memory */
    BLOCKS_PER_SHARD = 128,    /* small data: deal finely, so that every window sees much of it */
    MIN_WINDOW_ROWS = 256
};

static int64_t power_of_two_below(int64_t n)
{
    int64_t power = 1;
    while (power <= n / 2) power *= 2;
    return power;
}

void ls_order_init(ls_order *order, int64_t n_samples, int64_t n_features, int64_t batch_size,
                   int64_t n_shards, bool shuffle, uint64_t seed)
{
    /* A nominal size, float64 for all: what is stored must not change the order. */
    const int64_t row_bytes = (n_features + 1) * (int64_t)sizeof(double);
    *order = (ls_order){
        .n_samples = n_samples,
        .batch_size = batch_size,
        .n_shards = n_shards,
        .n_batches = (n_samples - 1) / batch_size + 1,
        .seed = seed,
        .shuffle = shuffle,
    };
    int64_t block_rows = BLOCK_BYTES / row_bytes;
    if (block_rows > n_samples / n_shards / BLOCKS_PER_SHARD)
        block_rows = n_samples / n_shards / BLOCKS_PER_SHARD;
    order->block_rows = power_of_two_below(block_rows < 1 ? 1 : block_rows);
    int64_t window_rows = WINDOW_BYTES / row_bytes;
    if (window_rows < MIN_WINDOW_ROWS) window_rows = MIN_WINDOW_ROWS;
    /* Rows of a batch or two are in memory anyway. */
    int64_t most_rows = WINDOWS_BYTES / n_shards / row_bytes;
    if (most_rows < 2 * (batch_size / n_shards + 1)) most_rows = 2 * (batch_size / n_shards + 1);
    order->window_rows = power_of_two_below(window_rows < most_rows ? window_rows : most_rows);
    order->n_blocks = (n_samples - 1) / order->block_rows + 1;
    order->short_block_rows = n_samples - (order->n_blocks - 1) * order->block_rows;
    ls_bijection_init(&order->deal, seed, LS_STREAM_DEAL, 0, (uint64_t)order->n_blocks);
    order->short_position = (int64_t)ls_bijection_invert(&order->deal, (uint64_t)order->n_blocks - 1);
}

int64_t ls_order_batch_rows(const ls_order *order, int64_t k)
{
    return k < order->n_batches - 1 ? order->batch_size
                                    : order->n_samples - (order->n_batches - 1) * order->batch_size;
}

static int64_t share(int64_t batch_rows, int64_t n_shards, int64_t s)
{
    return ls_split(batch_rows, n_shards, s + 1) - ls_split(batch_rows, n_shards, s);
}

int64_t ls_order_share(const ls_order *order, int64_t k, int64_t s)
{
    return share(ls_order_batch_rows(order, k), order->n_shards, s);
}

int64_t ls_order_shard_rows(const ls_order *order, int64_t s)
{
    return (order->n_batches - 1) * share(order->batch_size, order->n_shards, s) +
           ls_order_share(order, order->n_batches - 1, s);
}

/* Rows that the shards before s use in one epoch: where s begins in the dealt sequence. */
static int64_t dealt_before(const ls_order *order, int64_t s)
{
    return (order->n_batches - 1) * ls_split(order->batch_size, order->n_shards, s) +
           ls_split(ls_order_batch_rows(order, order->n_batches - 1), order->n_shards, s);
}

ls_segment ls_order_batch_segment(const ls_order *order, int64_t k, int64_t first_shard, int64_t end_shard)
{
    const int64_t rows = ls_order_batch_rows(order, k), begin = ls_split(rows, order->n_shards, first_shard);
    return (ls_segment){k * order->batch_size + begin, ls_split(rows, order->n_shards, end_shard) - begin};
}

/* Block at a position of the dealt sequence of rows: its number in the sequence and where it begins there.
 * Only the file's last block is short, so later blocks begin that much earlier. */
static int64_t block_at(const ls_order *order, int64_t position, int64_t *begin)
{
    const int64_t missing = order->block_rows - order->short_block_rows;
    int64_t block = position / order->block_rows;
    if (block >= order->short_position) {
        const int64_t short_begin = order->short_position * order->block_rows;
        block = position < short_begin + order->short_block_rows ? order->short_position
                                                                 : (position + missing) / order->block_rows;
    }
    *begin = block * order->block_rows - (block > order->short_position ? missing : 0);
    return block;
}

int64_t ls_order_segment_room(const ls_order *order, int64_t n)
{
    return n / order->block_rows + 3;
}

int64_t ls_order_segments(const ls_order *order, int64_t s, int64_t first, int64_t n, ls_segment *segments)
{
    int64_t position = dealt_before(order, s) + first, used = 0;
    const int64_t end = position + n;
    while (position < end) {
        int64_t begin;
        const int64_t place = block_at(order, position, &begin);
        const int64_t block = (int64_t)ls_bijection_apply(&order->deal, (uint64_t)place);
        const int64_t rows = block == order->n_blocks - 1 ? order->short_block_rows : order->block_rows;
        const int64_t stop = begin + rows < end ? begin + rows : end;
        segments[used++] = (ls_segment){block * order->block_rows + (position - begin), stop - position};
        position = stop;
    }
    return used;
}

ls_window ls_order_window(const ls_order *order, int64_t s, int64_t epoch, int64_t i)
{
    const int64_t shard_rows = ls_order_shard_rows(order, s), whole_windows = shard_rows / order->window_rows;
    const uint64_t instance = (uint64_t)epoch * (uint64_t)order->n_shards + (uint64_t)s;
    /* One key per (epoch, shard) keeps the 32-bit instance free for the window. */
    uint32_t key[4];
    ls_philox(order->seed, LS_STREAM_WINDOWS, UINT32_MAX, instance, key);
    const uint64_t seed = ((uint64_t)key[0] << 32) | key[1];
    /* The short window stays last: only whole windows change places. */
    if (i < whole_windows) {
        ls_bijection windows;
        ls_bijection_init(&windows, seed, LS_STREAM_WINDOWS, 0, (uint64_t)whole_windows);
        i = (int64_t)ls_bijection_apply(&windows, (uint64_t)i);
    }
    const int64_t rest = shard_rows - i * order->window_rows;
    return (ls_window){i * order->window_rows, rest < order->window_rows ? rest : order->window_rows, seed};
}

void ls_order_window_rows(const ls_order *order, const ls_window *window, uint32_t *rows)
{
    ls_permutation(window->seed, LS_STREAM_ROWS, (uint32_t)(window->first_row / order->window_rows),
                   (uint32_t)window->n_rows, rows);
}
