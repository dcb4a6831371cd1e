#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "data/feed.h"
#include "unit.h"

static ls_session *session;

static ls_dataset *make_rows(int64_t n_samples, int64_t n_features)
{
    ls_dataset *dataset;
    ls_generate_options options = {.rng = LS_RNG_PHILOX};
    ls_make_classification_defaults(&options.data);
    options.data.n_samples = n_samples;
    options.data.n_features = n_features;
    options.data.n_redundant = 0;
    assert_int_equal(ls_dataset_open_generated(session, &options, &dataset), LS_OK);
    return dataset;
}

/* Rows of the data that shard s takes of batch k, by the definition of the order. */
static void expected_rows(const ls_order *order, int64_t s, int64_t epoch, int64_t k, int64_t *rows)
{
    const int64_t n = ls_order_share(order, k, s), begin = k * ls_order_share(order, 0, s);
    if (!order->shuffle) {
        const ls_segment segment = ls_order_batch_segment(order, k, s, s + 1);
        for (int64_t i = 0; i < n; i++) rows[i] = segment.first_row + i;
        return;
    }
    uint32_t *inside = malloc((size_t)order->window_rows * sizeof *inside);
    int64_t there = -1;
    ls_window window = {0};
    for (int64_t i = 0; i < n; i++) {
        ls_segment segment[3];
        const int64_t position = begin + i;
        if (position / order->window_rows != there) {
            there = position / order->window_rows;
            window = ls_order_window(order, s, epoch, there);
            ls_order_window_rows(order, &window, inside);
        }
        ls_order_segments(order, s, window.first_row + inside[position % order->window_rows], 1, segment);
        rows[i] = segment[0].first_row;
    }
    free(inside);
}

/* all: the rows of the data, NULL where they are too many. */
static void check_batch(ls_feed *feed, const ls_order *order, ls_dataset *dataset, ls_dtype dtype,
                        const ls_rows *all, int64_t first_shard, int64_t end_shard, int64_t epoch, int64_t k)
{
    const ls_rows *got;
    const size_t size = ls_dtype_size(dtype);
    assert_int_equal(ls_feed_batch(feed, epoch, k, &got), LS_OK);
    for (int64_t s = first_shard; s < end_shard; s++, got++) {
        const int64_t n = ls_order_share(order, k, s), n_features = ls_dataset_n_features(dataset);
        int64_t *rows = malloc((size_t)(n + 1) * sizeof *rows);
        expected_rows(order, s, epoch, k, rows);
        char x[64], y[8];
        for (int64_t i = 0; i < n; i += all ? 1 : 97) {
            const size_t row_size = (size_t)n_features * size;
            const void *from_x = x, *from_y = y;
            if (all) {
                from_x = (const char *)all->x + (size_t)rows[i] * row_size;
                from_y = (const char *)all->y + (size_t)rows[i] * size;
            } else {
                assert_int_equal(ls_dataset_read_rows(dataset, dtype, rows[i], 1, x, y), LS_OK);
            }
            assert_memory_equal((const char *)got->x + (size_t)i * row_size, from_x, row_size);
            assert_memory_equal((const char *)got->y + (size_t)i * size, from_y, size);
        }
        free(rows);
    }
}

/* Whatever is kept, and in whatever order batches are asked for, they are those of the order. */
static void batches_do_not_depend_on_memory(void **state)
{
    (void)state;
    static const struct {
        int64_t n_samples, batch_size, n_shards, first_shard, end_shard, window_rows;
        ls_dtype dtype;
    } cases[] = {
        {20011, 1000, 8, 0, 8, 256, LS_FLOAT32}, {20011, 1000, 8, 3, 5, 256, LS_FLOAT64},
        {3001, 37, 64, 5, 31, 32, LS_FLOAT32},   {5000, 9999, 4, 1, 3, 512, LS_FLOAT64},
        {4099, 2048, 2, 0, 2, 128, LS_FLOAT32},
    };
    static const int64_t memories[] = {0, 100000, 200000, 1 << 30};
    const int64_t live = ls_alloc_live();
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++)
        for (int m = 0; m < 4; m++)
            for (int shuffle = 0; shuffle < 2; shuffle++) {
                ls_order order;
                ls_feed *feed;
                ls_dataset *dataset = make_rows(cases[c].n_samples, 3);
                double *x = malloc((size_t)cases[c].n_samples * 3 * sizeof *x),
                       *y = malloc((size_t)cases[c].n_samples * sizeof *y);
                const ls_rows all = {x, y};
                assert_int_equal(ls_dataset_read_rows(dataset, cases[c].dtype, 0, cases[c].n_samples, x, y),
                                 LS_OK);
                const int64_t first = cases[c].first_shard, end = cases[c].end_shard;
                ls_order_init(&order, cases[c].n_samples, 3, cases[c].batch_size, cases[c].n_shards, shuffle,
                              7);
                order.window_rows = cases[c].window_rows; /* so that there are several */
                assert_int_equal(
                    ls_feed_create(&order, dataset, cases[c].dtype, first, end, memories[m], &feed), LS_OK);
                for (int64_t epoch = 0; epoch < 2; epoch++)
                    for (int64_t k = 0; k < order.n_batches; k++)
                        check_batch(feed, &order, dataset, cases[c].dtype, &all, first, end, epoch, k);
                for (int64_t jump = 0; jump < 5; jump++) /* as after a resume */
                    check_batch(feed, &order, dataset, cases[c].dtype, &all, first, end, 7 - jump,
                                jump * 7919 % order.n_batches);
                ls_feed_destroy(feed);
                ls_dataset_close(dataset);
                free(x);
                free(y);
            }
    assert_int_equal(ls_alloc_live(), live);
}

/* More rows than 32 bits can count, made on the fly; memory does not grow with them. */
static void rows_are_counted_in_64_bits(void **state)
{
    (void)state;
    for (int shuffle = 0; shuffle < 2; shuffle++) {
        ls_order order;
        ls_feed *feed;
        const int64_t n_samples = (INT64_C(1) << 40) + 12345;
        ls_dataset *dataset = make_rows(n_samples, 2);
        ls_order_init(&order, n_samples, 2, 65536, 64, shuffle, 3);
        assert_int_equal(ls_feed_create(&order, dataset, LS_FLOAT32, 62, 64, 1 << 20, &feed), LS_OK);
        int64_t rows[1024];
        expected_rows(&order, 63, 2, order.n_batches - 2, rows);
        assert_true(rows[0] > INT64_C(1) << 32);
        for (int64_t k = order.n_batches - 3; k < order.n_batches; k++)
            check_batch(feed, &order, dataset, LS_FLOAT32, NULL, 62, 64, 2, k);
        ls_feed_destroy(feed);
        ls_dataset_close(dataset);
    }
}

/* A file with holes: X has more than 4 GiB, of which the last rows alone are there. */
enum { WIDTH = 4, TAIL = 1000 };

static void write_array(hid_t file, const char *name, hid_t type, int rank, hsize_t n_rows, const void *tail)
{
    const hsize_t extent[2] = {n_rows, WIDTH}, count[2] = {TAIL, WIDTH}, start[2] = {n_rows - TAIL, 0};
    const hid_t list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(rank, extent, NULL),
                memory = H5Screate_simple(rank, count, NULL);
    assert_true(H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY) >= 0 &&
                H5Pset_fill_time(list, H5D_FILL_TIME_NEVER) >= 0);
    const hid_t array = H5Dcreate2(file, name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
    assert_true(H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
                H5Dwrite(array, type, memory, space, H5P_DEFAULT, tail) >= 0);
    assert_true(H5Dclose(array) >= 0 && H5Sclose(memory) >= 0 && H5Sclose(space) >= 0 && H5Pclose(list) >= 0);
}

static void bytes_are_counted_in_64_bits(void **state)
{
    (void)state;
    static float x[TAIL][WIDTH];
    static uint8_t y[TAIL];
    char path[] = "/tmp/lockstep-feed-XXXXXX";
    const int64_t n_samples = (INT64_C(1) << 28) + 77;
    close(mkstemp(path));
    for (int i = 0; i < TAIL; i++) {
        for (int j = 0; j < WIDTH; j++) x[i][j] = (float)(i * WIDTH + j);
        y[i] = i % 2;
    }
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    write_array(file, "X", H5T_NATIVE_FLOAT, 2, (hsize_t)n_samples, x);
    write_array(file, "y", H5T_NATIVE_UINT8, 1, (hsize_t)n_samples, y);
    assert_true(H5Fclose(file) >= 0);
    ls_dataset *dataset;
    const ls_dataset_source source = {.file = path};
    assert_int_equal(ls_dataset_open(session, &source, &dataset), LS_OK);
    ls_order order;
    ls_feed *feed;
    ls_order_init(&order, n_samples, WIDTH, 100, 4, false, 0);
    assert_int_equal(ls_feed_create(&order, dataset, LS_FLOAT32, 0, 4, 0, &feed), LS_OK);
    int64_t checked = 0;
    for (int64_t k = order.n_batches - TAIL / 100; k < order.n_batches; k++) {
        const ls_rows *rows;
        assert_int_equal(ls_feed_batch(feed, 0, k, &rows), LS_OK);
        for (int64_t s = 0; s < 4; s++) {
            const ls_segment segment = ls_order_batch_segment(&order, k, s, s + 1);
            for (int64_t i = 0; i < segment.n_rows; i++) {
                const int64_t row = segment.first_row + i - (n_samples - TAIL);
                if (row < 0) continue;
                assert_memory_equal((const float *)rows[s].x + i * WIDTH, x[row], sizeof x[row]);
                assert_true(((const float *)rows[s].y)[i] == (float)y[row]);
                checked++;
            }
        }
    }
    assert_true(checked > TAIL - 100);
    ls_feed_destroy(feed);
    ls_dataset_close(dataset);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_do_not_depend_on_memory),
        cmocka_unit_test(rows_are_counted_in_64_bits),
        cmocka_unit_test(bytes_are_counted_in_64_bits),
    };
    if (ls_session_open(&session) != LS_OK) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ls_session_close(session);
    return failed;
}
