#include "data/train_test_split.h"
#include "dataset_files_unit.h"

static double get(ls_dtype dtype, const void *values, int64_t i)
{
    return dtype == LS_FLOAT32 ? (double)((const float *)values)[i] : ((const double *)values)[i];
}

/* Reads the segments and compares with value_at. */
static void check_segments(ls_dataset *dataset, ls_dtype dtype, const ls_segment *segments, int64_t n)
{
    int64_t n_rows = 0;
    for (int64_t i = 0; i < n; i++) n_rows += segments[i].n_rows;
    char *x = malloc((size_t)n_rows * COLUMNS * ls_dtype_size(dtype) + 1);
    char *y = malloc((size_t)n_rows * ls_dtype_size(dtype) + 1);
    x[(size_t)n_rows * COLUMNS * ls_dtype_size(dtype)] = 'x';
    y[(size_t)n_rows * ls_dtype_size(dtype)] = 'y';
    const ls_status status = ls_dataset_read_segments(dataset, dtype, segments, n, x, y);
    if (status != LS_OK) fail_msg("%s", ls_error_message());
    for (int64_t i = 0, at = 0; i < n; i++)
        for (int64_t row = segments[i].first_row; row < segments[i].first_row + segments[i].n_rows;
             row++, at++) {
            for (int64_t j = 0; j < COLUMNS; j++)
                assert_true(get(dtype, x, at * COLUMNS + j) == value_at(row, j));
            assert_true(get(dtype, y, at) == (double)(row % 2));
        }
    assert_int_equal(x[(size_t)n_rows * COLUMNS * ls_dtype_size(dtype)], 'x');
    assert_int_equal(y[(size_t)n_rows * ls_dtype_size(dtype)], 'y');
    free(x);
    free(y);
}

/* NumPy's float16. */
static hid_t half_type(void)
{
    const hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, 10, 5, 0, 10);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, 15);
    return type;
}

static void every_number_type_is_read(void **state)
{
    (void)state;
    const hid_t half = half_type();
    const struct {
        const char *group;
        hid_t type;
    } types[] = {
        {"/i1", H5T_STD_I8LE},   {"/i2", H5T_STD_I16LE},
        {"/i4", H5T_STD_I32BE},  {"/i8", H5T_STD_I64LE},
        {"/u1", H5T_STD_U8LE},   {"/u2", H5T_STD_U16BE},
        {"/u4", H5T_STD_U32LE},  {"/u8", H5T_STD_U64BE},
        {"/f4", H5T_IEEE_F32LE}, {"/f4b", H5T_IEEE_F32BE},
        {"/f8", H5T_IEEE_F64LE}, {"/f8b", H5T_IEEE_F64BE},
        {"/f2", half},           {"/f16", H5T_NATIVE_LDOUBLE},
    };
    const char *path = path_of("types.h5");
    if (session->rank == 0) {
        const hid_t file = new_file("types.h5");
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
            add_set(file, types[i].group, (layout){.type = types[i].type});
        H5Fclose(file);
    }
    barrier();
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        ls_dataset *dataset = open_or_fail(&(ls_dataset_source){.file = path, .set = types[i].group + 1});
        const ls_segment all = {0, ROWS};
        check_segments(dataset, LS_FLOAT32, &all, 1);
        check_segments(dataset, LS_FLOAT64, &all, 1);
        ls_dataset_close(dataset);
    }
    H5Tclose(half);
}

static void integers_beyond_53_bits_are_rounded_once(void **state)
{
    (void)state;
    const char *path = path_of("wide.h5");
    /* Halfway between two floats but for the last bit, which a detour over double would lose. */
    const int64_t values[2] = {((int64_t)1 << 60) + ((int64_t)1 << 36) + 1, -3};
    if (session->rank == 0) {
        const hid_t file = new_file("wide.h5"), space = H5Screate_simple(1, (const hsize_t[]){2}, NULL);
        const hid_t dataset =
            H5Dcreate2(file, "/X", H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        H5Dwrite(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
        H5Dclose(dataset);
        H5Sclose(space);
        H5Fclose(file);
    }
    barrier();
    ls_dataset *dataset = open_or_fail(&(ls_dataset_source){.file = path, .without_y = true});
    assert_false(ls_dataset_has_y(dataset));
    assert_int_equal(ls_dataset_n_features(dataset), 1);
    float x[2];
    assert_int_equal(ls_dataset_read_rows(dataset, LS_FLOAT32, 0, 2, x, NULL), LS_OK);
    assert_true(x[0] == (float)values[0] && x[0] != (float)(double)values[0]);
    assert_true(x[1] == -3);
    ls_dataset_close(dataset);
}

/* A small generator of its own, so that the test does not change with the C library. */
static int64_t draw(uint64_t *state, int64_t limit)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((*state >> 33) % (uint64_t)limit);
}

static void segments_come_in_the_order_given(void **state)
{
    (void)state;
    const layout layouts[] = {
        {.type = H5T_IEEE_F64LE},
        {.type = H5T_IEEE_F32LE},
        {.type = H5T_STD_I16LE},
        {.type = H5T_IEEE_F64LE, .chunk_rows = 100, .chunk_columns = 5, .filters = 1},
        {.type = H5T_IEEE_F32LE, .chunk_rows = 7, .chunk_columns = 2, .filters = 1},
        {.type = H5T_IEEE_F64LE, .chunk_rows = 3001, .chunk_columns = 1},
    };
    const char *path = path_of("layouts.h5");
    char set[8];
    if (session->rank == 0) {
        const hid_t file = new_file("layouts.h5");
        for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
            snprintf(set, sizeof set, "/%zu", i);
            add_set(file, set, layouts[i]);
        }
        H5Fclose(file);
    }
    barrier();
    uint64_t seed = (uint64_t)session->rank;
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        snprintf(set, sizeof set, "%zu", i);
        ls_dataset *dataset = open_or_fail(&(ls_dataset_source){.file = path, .set = set});
        assert_int_equal(ls_dataset_n_samples(dataset), ROWS);
        assert_int_equal(ls_dataset_n_features(dataset), COLUMNS);
        check_segments(dataset, LS_FLOAT64, NULL, 0);
        for (int round = 0; round < 60; round++) {
            ls_segment segments[40];
            const int64_t n = 1 + draw(&seed, 40), longest = round % 2 ? 3 : 500;
            for (int64_t k = 0; k < n; k++) {
                segments[k].n_rows = draw(&seed, longest);
                segments[k].first_row = draw(&seed, ROWS - segments[k].n_rows + 1);
            }
            check_segments(dataset, round % 3 ? LS_FLOAT32 : LS_FLOAT64, segments, n);
        }
        const ls_segment outside[] = {{ROWS, 1}, {-1, 1}, {1, ROWS}, {0, -1}};
        double sink[COLUMNS];
        for (size_t k = 0; k < 4; k++)
            assert_int_equal(ls_dataset_read_segments(dataset, LS_FLOAT64, &outside[k], 1, sink, NULL),
                             LS_E_INTERNAL);
        ls_dataset_close(dataset);
    }
}

/* Wide rows: one needs a transfer of its own, gaps are larger than what is read over. */
static void rows_larger_than_a_transfer_are_read(void **state)
{
    (void)state;
    enum { WIDE = 300000, FEW = 6 };
    const char *path = path_of("wide.h5");
    double *x = malloc(sizeof(double[FEW]) * WIDE);
    if (session->rank == 0) {
        for (int64_t i = 0; i < FEW * WIDE; i++) x[i] = (double)i;
        const hid_t file = new_file("wide.h5");
        add_array(file, "/X", (layout){.type = H5T_IEEE_F64LE}, 2, (const hsize_t[]){FEW, WIDE}, x);
        H5Fclose(file);
    }
    barrier();
    ls_dataset *dataset = open_or_fail(&(ls_dataset_source){.file = path, .without_y = true});
    const ls_segment segments[] = {{4, 2}, {0, 1}, {2, 1}};
    const int64_t rows[] = {4, 5, 0, 2};
    float *singles = malloc(sizeof(float[4]) * WIDE);
    assert_int_equal(ls_dataset_read_segments(dataset, LS_FLOAT64, segments, 3, x, NULL), LS_OK);
    assert_int_equal(ls_dataset_read_segments(dataset, LS_FLOAT32, segments, 3, singles, NULL), LS_OK);
    for (int64_t i = 0; i < 4; i++)
        for (int64_t j = 0; j < WIDE; j++) {
            assert_true(x[i * WIDE + j] == (double)(rows[i] * WIDE + j));
            assert_true(singles[i * WIDE + j] == (float)(rows[i] * WIDE + j));
        }
    free(singles);
    free(x);
    ls_dataset_close(dataset);
}

/* h5py's booleans: an enum over int8. */
static void add_booleans(hid_t file, const char *path)
{
    const hid_t type = H5Tenum_create(H5T_NATIVE_INT8);
    H5Tenum_insert(type, "FALSE", (const int8_t[]){0});
    H5Tenum_insert(type, "TRUE", (const int8_t[]){1});
    int8_t *values = malloc(ROWS);
    for (int64_t i = 0; i < ROWS; i++) values[i] = (int8_t)(i % 2);
    const hid_t space = H5Screate_simple(2, (const hsize_t[]){ROWS, 1}, NULL);
    const hid_t dataset = H5Dcreate2(file, path, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    free(values);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Tclose(type);
}

static void arrays_are_found_wherever_they_lie(void **state)
{
    (void)state;
    char plain[512], other[512], grouped[600], elsewhere[600];
    snprintf(plain, sizeof plain, "%s", path_of("data.h5"));
    snprintf(other, sizeof other, "%s", path_of("other.h5"));
    snprintf(grouped, sizeof grouped, "%s:/a/b/", plain);
    snprintf(elsewhere, sizeof elsewhere, "%s:/bools", other);
    if (session->rank == 0) {
        hid_t file = new_file("data.h5");
        add_set(file, "", (layout){.type = H5T_IEEE_F64LE});
        add_set(file, "/train", (layout){.type = H5T_IEEE_F64LE});
        add_set(file, "/a/b", (layout){.type = H5T_IEEE_F64LE});
        add_set(file, "/a/b/train", (layout){.type = H5T_IEEE_F64LE});
        add_table(file, "/table");
        H5Fclose(file);
        file = new_file("other.h5");
        add_booleans(file, "/bools");
        H5Fclose(file);
    }
    barrier();
    const struct {
        ls_dataset_source source;
        const char *x;
        const char *y;
    } forms[] = {
        {{.file = plain}, "data.h5:/X", "data.h5:/y"},
        {{.file = plain, .set = "train"}, "data.h5:/train/X", "data.h5:/train/y"},
        {{.file = grouped}, "data.h5:/a/b/X", "data.h5:/a/b/y"},
        {{.file = grouped, .set = "train"}, "data.h5:/a/b/train/X", "data.h5:/a/b/train/y"},
        {{.file = plain, .set = "train", .x = "/X", .y = elsewhere}, "data.h5:/X", "other.h5:/bools"},
        {{.file = plain, .x = "/table:values_block_0", .y = "/table:label"},
         "data.h5:/table:values_block_0",
         "data.h5:/table:label"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        ls_dataset *dataset = open_or_fail(&forms[i].source);
        const char *x_name = ls_dataset_x_name(dataset), *y_name = ls_dataset_y_name(dataset);
        assert_string_equal(x_name + strlen(directory) + 1, forms[i].x);
        assert_string_equal(y_name + strlen(directory) + 1, forms[i].y);
        const ls_segment segments[] = {{ROWS - 10, 10}, {0, ROWS}};
        check_segments(dataset, LS_FLOAT64, segments, 2);
        check_segments(dataset, LS_FLOAT32, segments, 2);
        ls_dataset_close(dataset);

        bool exists = false;
        assert_int_equal(ls_dataset_exists(session, &forms[i].source, &exists), LS_OK);
        assert_true(exists);
    }
    bool exists = true;
    assert_int_equal(ls_dataset_exists(session, &(ls_dataset_source){.file = plain, .set = "test"}, &exists),
                     LS_OK);
    assert_false(exists);
    assert_int_equal(ls_dataset_exists(session, &(ls_dataset_source){.file = plain, .set = "X"}, &exists),
                     LS_OK);
    assert_false(exists);
    assert_int_equal(ls_dataset_exists(session, &(ls_dataset_source){.file = path_of("none.h5")}, &exists),
                     LS_E_INPUT);
}

static void a_split_has_the_rows_of_train_test_split(void **state)
{
    (void)state;
    char input[512], output[512];
    snprintf(input, sizeof input, "%s", path_of("data.h5"));
    snprintf(output, sizeof output, "%s", path_of("split.h5"));
    if (session->rank == 0) {
        const hid_t file = new_file("data.h5");
        add_set(file, "/mine",
                (layout){.type = H5T_STD_I32BE, .chunk_rows = 100, .chunk_columns = 2, .filters = 1});
        H5Fclose(file);
    }
    barrier();
    const ls_dataset_source source = {.file = input, .set = "mine"};
    int64_t n_train, n_test;
    assert_int_equal(ls_train_test_sizes(ROWS, 0.75, &n_train, &n_test), LS_OK);
    int64_t *rows = malloc(sizeof(int64_t[ROWS]));
    assert_int_equal(ls_train_test_split(ROWS, n_train, n_test, 3, rows, rows + n_train), LS_OK);
    for (int dtype = LS_FLOAT32; dtype <= LS_FLOAT64; dtype++) {
        if (ls_dataset_split(session, &source, 0.75, 3, (ls_dtype)dtype, NULL, output) != LS_OK)
            fail_msg("%s", ls_error_message());
        double x[COLUMNS], y;
        for (int part = 0; part < 2; part++) {
            ls_dataset *dataset =
                open_or_fail(&(ls_dataset_source){.file = output, .set = part ? "test" : "train"});
            assert_int_equal(ls_dataset_n_samples(dataset), part ? n_test : n_train);
            for (int64_t i = 0; i < (part ? n_test : n_train); i += 17) {
                const int64_t row = rows[(part ? n_train : 0) + i];
                assert_int_equal(ls_dataset_read_rows(dataset, LS_FLOAT64, i, 1, x, &y), LS_OK);
                for (int64_t j = 0; j < COLUMNS; j++) assert_true(x[j] == value_at(row, j));
                assert_true(y == (double)(row % 2));
            }
            ls_dataset_close(dataset);
        }
        barrier();
    }
    free(rows);
    if (session->rank == 0) assert_int_equal(count_files(), 2);
    barrier();

    /* A failure leaves the old output and nothing else. */
    assert_int_equal(ls_dataset_split(session, &source, 2.0 * ROWS, 3, LS_FLOAT64, NULL, output), LS_E_USAGE);
    assert_int_equal(ls_dataset_split(session, &source, 0.5, 3, LS_FLOAT64, NULL, path_of("none/x.h5")),
                     LS_E_OUTPUT);
    if (session->rank == 0) assert_int_equal(count_files(), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_number_type_is_read, begin_test),
        cmocka_unit_test_setup(integers_beyond_53_bits_are_rounded_once, begin_test),
        cmocka_unit_test_setup(segments_come_in_the_order_given, begin_test),
        cmocka_unit_test_setup(rows_larger_than_a_transfer_are_read, begin_test),
        cmocka_unit_test_setup(arrays_are_found_wherever_they_lie, begin_test),
        cmocka_unit_test_setup(a_split_has_the_rows_of_train_test_split, begin_test),
    };
    return run_dataset_tests(tests, sizeof tests / sizeof tests[0]);
}
