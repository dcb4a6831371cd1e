#include "data/order.h"

#include "base/memory.h"

enum {
    BLOCK_BYTES = 64 * 1024, /* a read worth its latency */
    WINDOW_BYTES =
        512 * 1024,        /* small enough that all windows of a rank fit its memory, large enough to mix */
    BLOCKS_PER_SHARD = 64, /* small data: deal finely enough that every shard sees all of it */
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
    const int64_t window_rows = WINDOW_BYTES / row_bytes;
    order->window_rows = power_of_two_below(window_rows < MIN_WINDOW_ROWS ? MIN_WINDOW_ROWS : window_rows);
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

static ls_status segments_in_file_order(const ls_order *order, int64_t s, ls_segment **segments, int64_t *n)
{
    LS_TRY(ls_alloc(segments, (size_t)order->n_batches, sizeof **segments, "row numbers of a shard"));
    int64_t used = 0;
    for (int64_t k = 0; k < order->n_batches; k++) {
        const int64_t rows = ls_order_batch_rows(order, k);
        const ls_segment segment = {k * order->batch_size + ls_split(rows, order->n_shards, s),
                                    share(rows, order->n_shards, s)};
        if (segment.n_rows > 0) (*segments)[used++] = segment;
    }
    *n = used;
    return LS_OK;
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

static ls_status segments_dealt(const ls_order *order, int64_t s, ls_segment **segments, int64_t *n)
{
    int64_t position = dealt_before(order, s), used = 0;
    const int64_t end = position + ls_order_shard_rows(order, s);
    const size_t most = (size_t)((end - position) / order->block_rows + 3);
    LS_TRY(ls_alloc(segments, most, sizeof **segments, "row numbers of a shard"));
    while (position < end) {
        int64_t begin;
        const int64_t place = block_at(order, position, &begin);
        const int64_t block = (int64_t)ls_bijection_apply(&order->deal, (uint64_t)place);
        const int64_t rows = block == order->n_blocks - 1 ? order->short_block_rows : order->block_rows;
        const int64_t stop = begin + rows < end ? begin + rows : end;
        (*segments)[used++] = (ls_segment){block * order->block_rows + (position - begin), stop - position};
        position = stop;
    }
    *n = used;
    return LS_OK;
}

ls_status ls_order_segments(const ls_order *order, int64_t s, ls_segment **segments, int64_t *n_segments)
{
    return order->shuffle ? segments_dealt(order, s, segments, n_segments)
                          : segments_in_file_order(order, s, segments, n_segments);
}

ls_status ls_walk_begin(ls_walk *walk, const ls_order *order, int64_t shard)
{
    *walk = (ls_walk){
        .order = order, .shard = shard, .shard_rows = ls_order_shard_rows(order, shard), .epoch = -1};
    if (!order->shuffle) return LS_OK;
    const int64_t longest = walk->shard_rows < order->window_rows ? walk->shard_rows : order->window_rows;
    return ls_alloc(&walk->rows, (size_t)longest, sizeof *walk->rows, "order of a window of rows");
}

void ls_walk_end(ls_walk *walk)
{
    ls_free(walk->rows);
    walk->rows = NULL;
}

/* Makes the window that the position is in the present one. */
static void enter_window(ls_walk *walk, int64_t epoch, int64_t position)
{
    const ls_order *order = walk->order;
    const int64_t whole_windows = walk->shard_rows / order->window_rows;
    const int64_t window = position / order->window_rows;
    const uint64_t instance = (uint64_t)epoch * (uint64_t)order->n_shards + (uint64_t)walk->shard;
    /* One key per (epoch, shard) keeps the 32-bit instance free for the window. */
    uint32_t key[4];
    ls_philox(order->seed, LS_STREAM_WINDOWS, UINT32_MAX, instance, key);
    const uint64_t seed = ((uint64_t)key[0] << 32) | key[1];
    if (epoch != walk->epoch && whole_windows > 0)
        ls_bijection_init(&walk->windows, seed, LS_STREAM_WINDOWS, 0, (uint64_t)whole_windows);
    /* The short window stays last: only whole windows change places. */
    const int64_t source =
        window < whole_windows ? (int64_t)ls_bijection_apply(&walk->windows, (uint64_t)window) : window;
    const int64_t rest = walk->shard_rows - source * order->window_rows;
    const int64_t rows = rest < order->window_rows ? rest : order->window_rows;
    walk->epoch = epoch;
    walk->begin = window * order->window_rows;
    walk->end = walk->begin + rows;
    walk->first_row = source * order->window_rows;
    ls_permutation(seed, LS_STREAM_ROWS, (uint32_t)source, (uint32_t)rows, walk->rows);
}

void ls_walk_rows(ls_walk *walk, int64_t epoch, int64_t position, int64_t n, int64_t offset, int64_t *rows)
{
    if (!walk->order->shuffle) {
        for (int64_t i = 0; i < n; i++) rows[i] = offset + position + i;
        return;
    }
    while (n > 0) {
        if (epoch != walk->epoch || position < walk->begin || position >= walk->end)
            enter_window(walk, epoch, position);
        const int64_t there = walk->end - position < n ? walk->end - position : n;
        const uint32_t *order = walk->rows + (position - walk->begin);
        for (int64_t i = 0; i < there; i++) rows[i] = offset + walk->first_row + order[i];
        rows += there;
        position += there;
        n -= there;
    }
}
