#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data/order.h"
#include "unit.h"

/* Every row of the data is used exactly once per epoch, for every M, B, S, and every batch has its size. */
static void check_epoch(const ls_order *order, int64_t epoch)
{
    char *seen = calloc((size_t)order->n_samples, 1);
    int64_t total = 0;
    for (int64_t s = 0; s < order->n_shards; s++) {
        ls_segment *segments;
        int64_t n_segments, rows = 0;
        assert_int_equal(ls_order_segments(order, s, &segments, &n_segments), LS_OK);
        for (int64_t i = 0; i < n_segments; i++) rows += segments[i].n_rows;
        assert_int_equal(rows, ls_order_shard_rows(order, s));
        int64_t *file_row = malloc((size_t)(rows + 1) * sizeof *file_row), at = 0;
        for (int64_t i = 0; i < n_segments; i++)
            for (int64_t r = 0; r < segments[i].n_rows; r++) file_row[at++] = segments[i].first_row + r;
        ls_walk walk;
        assert_int_equal(ls_walk_begin(&walk, order, s), LS_OK);
        int64_t position = 0;
        for (int64_t k = 0; k < order->n_batches; k++)
            for (int64_t i = 0; i < ls_order_share(order, k, s); i++, position++) {
                int64_t row;
                ls_walk_rows(&walk, epoch, position, 1, 0, &row);
                assert_true(row >= 0 && row < rows);
                const int64_t in_file = file_row[row];
                assert_true(in_file >= 0 && in_file < order->n_samples);
                assert_false(seen[in_file]);
                seen[in_file] = 1;
                total++;
                if (!order->shuffle) assert_int_equal(in_file / order->batch_size, k);
            }
        assert_int_equal(position, rows);
        ls_walk_end(&walk);
        ls_free(segments);
        free(file_row);
    }
    assert_int_equal(total, order->n_samples);
    free(seen);
}

static void every_row_is_used_once_per_epoch(void **state)
{
    (void)state;
    static const int64_t samples[] = {1, 7, 8, 64, 1000, 2003, 70001};
    static const int64_t batches[] = {1, 8, 37, 1000};
    static const int64_t shards[] = {1, 2, 8, 64};
    for (int m = 0; m < 7; m++)
        for (int b = 0; b < 4; b++)
            for (int s = 0; s < 4; s++)
                for (int shuffle = 0; shuffle < 2; shuffle++) {
                    ls_order order;
                    ls_order_init(&order, samples[m], 2, batches[b], shards[s], shuffle, 5);
                    for (int64_t epoch = 0; epoch < 2; epoch++) check_epoch(&order, epoch);
                }
}

/* Asked for any number at a time, the rows are the same. */
static void rows_come_in_pieces_of_any_length(void **state)
{
    (void)state;
    ls_order order;
    ls_walk walk;
    ls_order_init(&order, 10007, 2000, 100, 4, true, 9);
    assert_int_equal(ls_walk_begin(&walk, &order, 1), LS_OK);
    const int64_t n = walk.shard_rows;
    int64_t *whole = malloc((size_t)n * sizeof *whole), piece[1000];
    ls_walk_rows(&walk, 2, 0, n, 5, whole);
    for (int64_t length = 1; length <= 1000; length = 3 * length + 1)
        for (int64_t at = 0; at + length <= n; at += length) {
            ls_walk_rows(&walk, 2, at, length, 5, piece);
            assert_memory_equal(piece, whole + at, (size_t)length * sizeof *piece);
        }
    free(whole);
    ls_walk_end(&walk);
}

static void several_windows_per_shard_are_covered_too(void **state)
{
    (void)state;
    ls_order order;
    ls_order_init(&order, 10007, 2000, 100, 4, true, 9);
    assert_int_equal(order.window_rows, 256);
    assert_true(ls_order_shard_rows(&order, 0) > 4 * order.window_rows);
    check_epoch(&order, 3);
}

/* The rows of the first batch, in order. */
static void first_batch(const ls_order *order, int64_t epoch, int64_t *rows)
{
    int64_t at = 0;
    for (int64_t s = 0; s < order->n_shards; s++) {
        ls_walk walk;
        assert_int_equal(ls_walk_begin(&walk, order, s), LS_OK);
        const int64_t n = ls_order_share(order, 0, s);
        ls_walk_rows(&walk, epoch, 0, n, s * 100000, rows + at);
        at += n;
        ls_walk_end(&walk);
    }
}

static void epochs_and_seeds_differ_and_repeat(void **state)
{
    (void)state;
    int64_t a[100], b[100], c[100], d[100];
    ls_order order, other;
    ls_order_init(&order, 5000, 2, 100, 4, true, 1);
    ls_order_init(&other, 5000, 2, 100, 4, true, 2);
    first_batch(&order, 0, a);
    first_batch(&order, 1, b);
    first_batch(&other, 0, c);
    first_batch(&order, 0, d);
    assert_memory_not_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    assert_memory_equal(a, d, sizeof a);
}

/* Data sorted by label: the dealt shards must see both halves. Each shard's share of the first half is within
 * six standard deviations of the binomial's half. */
static void sorted_data_reach_every_shard_evenly(void **state)
{
    (void)state;
    ls_order order;
    ls_order_init(&order, 80000, 2, 8, 8, true, 3);
    for (int64_t s = 0; s < 8; s++) {
        ls_segment *segments;
        int64_t n_segments, low = 0;
        assert_int_equal(ls_order_segments(&order, s, &segments, &n_segments), LS_OK);
        for (int64_t i = 0; i < n_segments; i++)
            if (segments[i].first_row < 40000) low += segments[i].n_rows;
        const double share = (double)low / (double)ls_order_shard_rows(&order, s);
        assert_true(share > 0.5 - 6 * 0.5 / 8.8 && share < 0.5 + 6 * 0.5 / 8.8); /* 78 blocks per shard */
        ls_free(segments);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_used_once_per_epoch),
        cmocka_unit_test(rows_come_in_pieces_of_any_length),
        cmocka_unit_test(several_windows_per_shard_are_covered_too),
        cmocka_unit_test(epochs_and_seeds_differ_and_repeat),
        cmocka_unit_test(sorted_data_reach_every_shard_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
