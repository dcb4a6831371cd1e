/* How often the chunks of a file are read, counted by a filter that they all go through. */
#include <hdf5.h>

#include "data/dataset.h"
#include "data/order.h"
#include "dataset_unit.h"

enum { COUNTING = 300, RAMP = 301, ROWS = 40000, COLUMNS = 5 };

static int64_t n_read; /* chunks */

static size_t count_chunk(unsigned flags, size_t n_values, const unsigned *values, size_t n_bytes,
                          size_t *size, void **buffer)
{
    (void)n_values;
    (void)values;
    (void)size;
    (void)buffer;
    if (flags & H5Z_FLAG_REVERSE) n_read++;
    return n_bytes;
}

/* Makes a chunk of values[0] doubles from the first of them, each 1 more than the one before: large chunks in
 * a small file. */
static size_t count_and_expand(unsigned flags, size_t n_values, const unsigned *values, size_t n_bytes,
                               size_t *size, void **buffer)
{
    if (!(flags & H5Z_FLAG_REVERSE) || n_values != 1 || n_bytes != sizeof(double)) return 0;
    double *ramp = malloc(values[0] * sizeof *ramp);
    ramp[0] = *(const double *)*buffer;
    for (unsigned i = 1; i < values[0]; i++) ramp[i] = ramp[i - 1] + 1;
    free(*buffer);
    *buffer = ramp;
    *size = values[0] * sizeof *ramp;
    n_read++;
    return *size;
}

static void register_filters(void)
{
    const H5Z_class2_t counting = {H5Z_CLASS_T_VERS, COUNTING, 1, 1, "counting", NULL, NULL, count_chunk};
    const H5Z_class2_t ramp = {H5Z_CLASS_T_VERS, RAMP, 1, 1, "ramp", NULL, NULL, count_and_expand};
    assert_true(H5Zregister(&counting) >= 0 && H5Zregister(&ramp) >= 0);
}

static double value_at(int64_t row, int64_t column)
{
    return (double)(row * COLUMNS + column);
}

/* X of value_at, and y of row % 2 in chunks of the same rows. Returns the number of chunks of both. */
static int64_t make_file(hid_t type, hsize_t chunk_rows, hsize_t chunk_columns)
{
    const hsize_t extent[2] = {ROWS, COLUMNS}, chunk[2] = {chunk_rows, chunk_columns};
    double *x = malloc(sizeof(double[ROWS]) * COLUMNS);
    const hid_t file = H5Fcreate(path_of("data.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    for (int rank = 2; rank >= 1; rank--) {
        for (int64_t i = 0; i < ROWS * (rank == 2 ? COLUMNS : 1); i++)
            x[i] = rank == 2 ? value_at(i / COLUMNS, i % COLUMNS) : (double)(i % 2);
        const hid_t space = H5Screate_simple(rank, extent, NULL), creation = H5Pcreate(H5P_DATASET_CREATE);
        assert_true(H5Pset_chunk(creation, rank, chunk) >= 0);
        assert_true(H5Pset_filter(creation, COUNTING, 0, 0, NULL) >= 0);
        const hid_t dataset =
            H5Dcreate2(file, rank == 2 ? "/X" : "/y", type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
        assert_true(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0);
        H5Dclose(dataset);
        H5Pclose(creation);
        H5Sclose(space);
    }
    assert_true(H5Fclose(file) >= 0);
    free(x);
    const int64_t bands = (ROWS - 1) / (int64_t)chunk_rows + 1;
    return bands * ((COLUMNS - 1) / (int64_t)chunk_columns + 1) + bands;
}

static ls_dataset *open_file(bool without_y)
{
    ls_dataset *dataset;
    const ls_dataset_source source = {.file = path_of("data.h5"), .without_y = without_y};
    if (ls_dataset_open(session, &source, &dataset) != LS_OK) fail_msg("%s", ls_error_message());
    n_read = 0;
    return dataset;
}

/* Compares rows as they were read with those of the segments. */
static void check_rows(const ls_segment *segments, int64_t n, const double *x, const double *y)
{
    for (int64_t i = 0, at = 0; i < n; i++)
        for (int64_t row = segments[i].first_row; row < segments[i].first_row + segments[i].n_rows;
             row++, at++) {
            for (int64_t j = 0; j < COLUMNS; j++) assert_true(x[at * COLUMNS + j] == value_at(row, j));
            assert_true(y[at] == (double)(row % 2));
        }
}

/* The segments of all shards, in turn, as training has them. */
static ls_segment *deal(int64_t n_shards, int64_t *n)
{
    ls_order order;
    ls_segment *all = calloc(2 * ROWS, sizeof *all);
    ls_order_init(&order, ROWS, COLUMNS, 64 * n_shards, n_shards, true, 1);
    *n = 0;
    for (int64_t s = 0; s < n_shards; s++)
        *n += ls_order_segments(&order, s, 0, ls_order_shard_rows(&order, s), all + *n);
    assert_true(*n > 64 * n_shards);
    return all;
}

static void every_chunk_is_read_once_in_a_pass(void **state)
{
    (void)state;
    const struct {
        hid_t type;
        hsize_t rows, columns;
    } chunks[] = {
        {H5T_IEEE_F64LE, 1250, 1}, {H5T_IEEE_F32BE, 1250, 2}, {H5T_STD_I32LE, 29, 5},
        {H5T_IEEE_F64BE, 3, 5},    {H5T_IEEE_F64LE, ROWS, 1}, {H5T_STD_U32BE, ROWS, 5},
        {H5T_IEEE_F32LE, 333, 3},
    };
    double *x = malloc(sizeof(double[ROWS]) * COLUMNS), *y = malloc(sizeof(double[ROWS]));
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        const int64_t n_chunks = make_file(chunks[i].type, chunks[i].rows, chunks[i].columns);
        int64_t n;
        ls_segment *segments = deal(8, &n);
        ls_dataset *dataset = open_file(false);
        assert_int_equal(ls_dataset_read_segments(dataset, LS_FLOAT64, segments, n, x, y), LS_OK);
        assert_int_equal(n_read, n_chunks);
        check_rows(segments, n, x, y);
        ls_dataset_close(dataset);
        free(segments);

        /* In pieces that end in the middle of chunks. */
        const ls_segment whole = {0, ROWS};
        dataset = open_file(false);
        for (int64_t row = 0, rows; row < ROWS; row += rows) {
            rows = ROWS - row < 777 ? ROWS - row : 777;
            assert_int_equal(ls_dataset_read_rows(dataset, LS_FLOAT64, row, rows, x + row * COLUMNS, y + row),
                             LS_OK);
        }
        assert_int_equal(n_read, n_chunks);
        check_rows(&whole, 1, x, y);
        ls_dataset_close(dataset);
    }
    free(x);
    free(y);
}

/* Otherwise reading a large file would fill the memory. */
static void chunks_read_in_part_are_not_kept_for_ever(void **state)
{
    (void)state;
    enum { CHUNK_ROWS = 1250, BANDS = ROWS / CHUNK_ROWS };
    ls_segment segments[BANDS];
    double x[BANDS * COLUMNS], y[BANDS];
    const int64_t n_chunks = make_file(H5T_IEEE_F64LE, CHUNK_ROWS, 1);
    for (int64_t i = 0; i < BANDS; i++) segments[i] = (ls_segment){i * CHUNK_ROWS + 17, 1};
    ls_dataset *dataset = open_file(true);
    for (int pass = 1; pass <= 2; pass++) {
        assert_int_equal(ls_dataset_read_segments(dataset, LS_FLOAT64, segments, BANDS, x, NULL), LS_OK);
        assert_int_equal(n_read, pass * (n_chunks - BANDS));
    }
    for (int64_t i = 0; i < BANDS; i++) y[i] = (double)(segments[i].first_row % 2);
    check_rows(segments, BANDS, x, y);
    ls_dataset_close(dataset);
}

/* Chunks of 32 MB, three for each row: more than is kept. */
static void chunks_too_large_to_keep_are_read_once_a_call(void **state)
{
    (void)state;
    enum { TALL = 1 << 22, N_CHUNKS = 3 };
    const hsize_t extent[2] = {TALL, N_CHUNKS}, chunk[2] = {TALL, 1};
    const hid_t file = H5Fcreate(path_of("data.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(2, extent, NULL), creation = H5Pcreate(H5P_DATASET_CREATE);
    const unsigned n_values = TALL;
    assert_true(H5Pset_chunk(creation, 2, chunk) >= 0);
    assert_true(H5Pset_filter(creation, RAMP, 0, 1, &n_values) >= 0);
    hid_t dataset = H5Dcreate2(file, "/X", H5T_IEEE_F64LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    for (hsize_t j = 0; j < N_CHUNKS; j++) {
        const double first = (double)(j * TALL);
        assert_true(H5Dwrite_chunk(dataset, H5P_DEFAULT, 0, (const hsize_t[]){0, j}, sizeof first, &first) >=
                    0);
    }
    H5Dclose(dataset);
    H5Pclose(creation);
    H5Sclose(space);
    assert_true(H5Fclose(file) >= 0);
    /* A file may not claim too much for its size. */
    assert_int_equal(truncate(path_of("data.h5"), 1 << 20), 0);

    ls_dataset *set = open_file(true);
    const ls_segment segments[] = {{TALL - 3, 3}, {1000, 70000}, {0, 2}, {TALL / 2, 5}};
    float *x = malloc(sizeof(float[70010]) * N_CHUNKS);
    assert_int_equal(ls_dataset_read_segments(set, LS_FLOAT32, segments, 4, x, NULL), LS_OK);
    assert_int_equal(n_read, N_CHUNKS);
    for (int64_t i = 0, at = 0; i < 4; i++)
        for (int64_t row = segments[i].first_row; row < segments[i].first_row + segments[i].n_rows; row++)
            for (int64_t j = 0; j < N_CHUNKS; j++) assert_true(x[at++] == (float)(j * TALL + row));
    free(x);
    ls_dataset_close(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_chunk_is_read_once_in_a_pass, begin_test),
        cmocka_unit_test_setup(chunks_read_in_part_are_not_kept_for_ever, begin_test),
        cmocka_unit_test_setup(chunks_too_large_to_keep_are_read_once_a_call, begin_test),
    };
    register_filters();
    return run_dataset_tests(tests, sizeof tests / sizeof tests[0]);
}
