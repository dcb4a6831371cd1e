#include <stdlib.h>
#include <string.h>

#include "data/order.h"
#include "unit.h"

/* Rows of the data that shard s uses in an epoch, in order; the caller frees them. */
static int64_t *shard_rows(const ls_order *order, int64_t s, int64_t epoch)
{
    const int64_t n = ls_order_shard_rows(order, s);
    int64_t *own = malloc((size_t)(n + 1) * sizeof *own), *used = malloc((size_t)(n + 1) * sizeof *used),
            at = 0;
    if (!order->shuffle) {
        for (int64_t k = 0; k < order->n_batches; k++) {
            const ls_segment segment = ls_order_batch_segment(order, k, s, s + 1);
            assert_int_equal(segment.n_rows, ls_order_share(order, k, s));
            for (int64_t i = 0; i < segment.n_rows; i++) used[at++] = segment.first_row + i;
        }
        assert_int_equal(at, n);
        free(own);
        return used;
    }
    ls_segment *segments = malloc((size_t)ls_order_segment_room(order, n) * sizeof *segments);
    const int64_t n_segments = ls_order_segments(order, s, 0, n, segments);
    assert_true(n_segments <= ls_order_segment_room(order, n));
    for (int64_t i = 0; i < n_segments; i++)
        for (int64_t r = 0; r < segments[i].n_rows; r++) own[at++] = segments[i].first_row + r;
    assert_int_equal(at, n);
    uint32_t *rows = malloc((size_t)order->window_rows * sizeof *rows);
    at = 0;
    for (int64_t i = 0; at < n; i++) {
        const ls_window window = ls_order_window(order, s, epoch, i);
        assert_int_equal(window.first_row % order->window_rows, 0);
        assert_true(window.n_rows > 0 && window.first_row + window.n_rows <= n);
        ls_order_window_rows(order, &window, rows);
        for (int64_t r = 0; r < window.n_rows; r++) used[at++] = own[window.first_row + rows[r]];
    }
    assert_int_equal(at, n);
    free(rows);
    free(segments);
    free(own);
    return used;
}

/* Every row of the data is used exactly once per epoch, for every M, B, S, and every batch has its size. */
static void check_epoch(const ls_order *order, int64_t epoch)
{
    char *seen = calloc((size_t)order->n_samples, 1);
    int64_t total = 0;
    for (int64_t s = 0; s < order->n_shards; s++) {
        int64_t *used = shard_rows(order, s, epoch), position = 0;
        for (int64_t k = 0; k < order->n_batches; k++)
            for (int64_t i = 0; i < ls_order_share(order, k, s); i++, position++) {
                const int64_t row = used[position];
                assert_true(row >= 0 && row < order->n_samples);
                assert_false(seen[row]);
                seen[row] = 1;
                total++;
                if (!order->shuffle) assert_int_equal(row / order->batch_size, k);
            }
        assert_int_equal(position, ls_order_shard_rows(order, s));
        free(used);
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

/* Any part of a shard's rows is found without the rest. */
static void segments_of_a_part_are_those_of_the_whole(void **state)
{
    (void)state;
    ls_order order;
    ls_segment whole[400], part[400];
    ls_order_init(&order, 10007, 20, 100, 4, true, 9);
    for (int64_t s = 0; s < 4; s++) {
        const int64_t n = ls_order_shard_rows(&order, s), n_whole = ls_order_segments(&order, s, 0, n, whole);
        for (int64_t first = 0; first < n; first = 2 * first + 7) {
            const int64_t length = (n - first) / 2 + 1;
            const int64_t n_part = ls_order_segments(&order, s, first, length, part);
            int64_t at = 0, in_part = 0, i = 0, skip = first;
            for (; whole[i].n_rows <= skip; i++) skip -= whole[i].n_rows;
            for (; at < length; at++, skip++) {
                if (skip == whole[i].n_rows) i++, skip = 0;
                if (part[in_part].n_rows == 0) in_part++;
                assert_int_equal(part[in_part].first_row, whole[i].first_row + skip);
                part[in_part].first_row++;
                part[in_part].n_rows--;
            }
            assert_int_equal(in_part, n_part - 1);
            assert_int_equal(part[in_part].n_rows, 0);
        }
        assert_true(n_whole > 10);
    }
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
    for (int64_t s = 0; s < order->n_shards; s++) {
        int64_t *used = shard_rows(order, s, epoch);
        const int64_t n = ls_order_share(order, 0, s);
        memcpy(rows, used, (size_t)n * sizeof *rows);
        rows += n;
        free(used);
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
        const int64_t n = ls_order_shard_rows(&order, s);
        int64_t *used = shard_rows(&order, s, 0), low = 0;
        for (int64_t i = 0; i < n; i++) low += used[i] < 40000;
        const double share = (double)low / (double)n;
        assert_true(share > 0.5 - 6 * 0.5 / 12.4 && share < 0.5 + 6 * 0.5 / 12.4); /* 156 blocks per shard */
        free(used);
    }
}

/* Many shards would need many windows in memory: then they are smaller, but never below two batches' rows. */
static void windows_of_all_shards_stay_within_bounds(void **state)
{
    (void)state;
    static const int64_t features[] = {1, 2, 100, 10000, 1000000};
    for (int n = 0; n < 5; n++)
        for (int64_t n_shards = 1; n_shards <= 1 << 20; n_shards *= 8) {
            ls_order order;
            ls_order_init(&order, INT64_C(1) << 40, features[n], 1000000, n_shards, true, 1);
            const int64_t rows = n_shards * order.window_rows, bytes = rows * (features[n] + 1) * 8;
            assert_true(bytes <= 128 << 20 || rows <= 2 * (1000000 + n_shards));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_used_once_per_epoch),
        cmocka_unit_test(segments_of_a_part_are_those_of_the_whole),
        cmocka_unit_test(several_windows_per_shard_are_covered_too),
        cmocka_unit_test(epochs_and_seeds_differ_and_repeat),
        cmocka_unit_test(windows_of_all_shards_stay_within_bounds),
        cmocka_unit_test(sorted_data_reach_every_shard_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
