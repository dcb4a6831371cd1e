/* Data that cannot be used: said with the file, the place and what was found. */
#include <float.h>
#include <math.h>
#include <sys/stat.h>

#include "dataset_files_unit.h"

static void write_text(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    fputs(text, file);
    fclose(file);
}

static void add_text_array(hid_t file)
{
    const hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, (const hsize_t[]){4}, NULL);
    H5Tset_size(type, 8);
    H5Dclose(H5Dcreate2(file, "/text", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
    H5Tclose(type);
}

static void add_complex_array(hid_t file)
{
    const hid_t type = H5Tcreate(H5T_COMPOUND, 16), space = H5Screate_simple(1, (const hsize_t[]){4}, NULL);
    H5Tinsert(type, "r", 0, H5T_NATIVE_DOUBLE);
    H5Tinsert(type, "i", 8, H5T_NATIVE_DOUBLE);
    H5Dclose(H5Dcreate2(file, "/complex", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
    H5Tclose(type);
}

/* A filter that is registered for writing only in this test, and gone when the library reads. */
static size_t keep_bytes(unsigned flags, size_t n_values, const unsigned *values, size_t n_bytes,
                         size_t *size, void **buffer)
{
    (void)flags;
    (void)n_values;
    (void)values;
    (void)size;
    (void)buffer;
    return n_bytes;
}

static void add_filtered_array(hid_t file)
{
    const H5Z_class2_t filter = {H5Z_CLASS_T_VERS, 32001, 1, 1, "blosc", NULL, NULL, keep_bytes};
    H5Zregister(&filter);
    const hid_t space = H5Screate_simple(1, (const hsize_t[]){4}, NULL),
                creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, 1, (const hsize_t[]){4});
    H5Pset_filter(creation, 32001, H5Z_FLAG_OPTIONAL, 0, NULL);
    const hid_t dataset =
        H5Dcreate2(file, "/filtered", H5T_IEEE_F64LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, (const double[]){1, 2, 3, 4});
    H5Dclose(dataset);
    H5Pclose(creation);
    H5Sclose(space);
    H5Fflush(file, H5F_SCOPE_GLOBAL);
}

static void make_bad_files(void)
{
    const layout doubles = {.type = H5T_IEEE_F64LE};
    const double zeros[64] = {0};
    hid_t file = new_file("bad.h5");
    add_array(file, "/X", doubles, 2, (const hsize_t[]){4, 2}, zeros);
    add_array(file, "/y", doubles, 1, (const hsize_t[]){4}, zeros);
    add_array(file, "/y3", doubles, 1, (const hsize_t[]){3}, zeros);
    add_array(file, "/cube", doubles, 3, (const hsize_t[]){4, 2, 2}, zeros);
    add_array(file, "/scalar", doubles, 0, NULL, zeros);
    add_array(file, "/none", doubles, 2, (const hsize_t[]){0, 2}, NULL);
    add_array(file, "/narrow", doubles, 2, (const hsize_t[]){4, 0}, NULL);
    add_array(file, "/group/inner", doubles, 1, (const hsize_t[]){4}, zeros);
    add_text_array(file);
    add_complex_array(file);
    add_table(file, "/table");
    H5Lcreate_soft("/nowhere", file, "/dangling", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);

    file = new_file("filtered.h5");
    add_filtered_array(file);
    H5Fclose(file);
    H5Zunregister(32001);

    file = new_file("cut.h5");
    add_set(file, "", doubles);
    H5Fclose(file);
    assert_int_equal(truncate(path_of("cut.h5"), 40000), 0);

    write_text("empty.h5", "");
    write_text("text.h5", "these are no numbers, and there are quite a few of them that are none");
    mkdir(path_of("directory.h5"), 0777);
}

static void bad_files_are_named_with_what_is_wrong(void **state)
{
    (void)state;
    if (session->rank == 0) make_bad_files();
    barrier();
    const struct {
        const char *file;
        const char *set;
        const char *x;
        const char *y;
        const char *words;
        const char *more_words;
    } cases[] = {
        {"missing.h5", NULL, NULL, NULL, "missing.h5", "No such file"},
        {"directory.h5", NULL, NULL, NULL, "directory.h5", "is a directory"},
        {"empty.h5", NULL, NULL, NULL, "empty.h5", "empty"},
        {"text.h5", NULL, NULL, NULL, "text.h5", "not an HDF5 file"},
        {"cut.h5", NULL, NULL, NULL, "cut.h5", "truncated"},
        {"bad.h5", "train", NULL, NULL, "/train/X", "/X (4 x 2 float64)"},
        {"bad.h5", "train", NULL, NULL, "--x FILE:/PATH --y FILE:/PATH", "/y (4 float64)"},
        {"bad.h5", NULL, "/X/deeper", NULL, "/X/deeper", "no such dataset"},
        {"bad.h5", NULL, "/", NULL, "bad.h5:/", "is a group"},
        {"bad.h5", NULL, "/group", NULL, "/group", "is a group"},
        {"bad.h5", NULL, "/dangling", NULL, "/dangling", "leads nowhere"},
        {"bad.h5", NULL, "/cube", NULL, "/cube", "3 dimensions"},
        {"bad.h5", NULL, "/scalar", NULL, "/scalar", "a single value"},
        {"bad.h5", NULL, "/none", NULL, "/none", "no rows"},
        {"bad.h5", NULL, "/narrow", NULL, "/narrow", "no columns"},
        {"bad.h5", NULL, "/text", NULL, "/text", "holds text"},
        {"bad.h5", NULL, "/complex", NULL, "/complex", "complex numbers"},
        {"bad.h5", NULL, "/table", NULL, "/table", "index, values_block_0, label"},
        {"bad.h5", NULL, "/table:vlaues", NULL, "no such field", "index, values_block_0, label"},
        {"bad.h5", NULL, "/X:index", NULL, "/X:index", "is no table"},
        {"bad.h5", NULL, NULL, "/y3", "has 4 rows", "has 3"},
        {"filtered.h5", NULL, "/filtered", NULL, "blosc", "h5repack"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const ls_dataset_source source = {
            .file = path_of(cases[i].file), .set = cases[i].set, .x = cases[i].x, .y = cases[i].y};
        ls_dataset *dataset = NULL;
        assert_int_equal(ls_dataset_open(session, &source, &dataset), LS_E_INPUT);
        assert_null(dataset);
        assert_words(cases[i].words);
        assert_words(cases[i].more_words);
    }
    ls_dataset *dataset;
    const ls_dataset_source two = {.file = path_of("bad.h5"), .y = "/X"};
    assert_int_equal(ls_dataset_open(session, &two, &dataset), LS_OK);
    assert_int_equal(ls_dataset_expect_targets(dataset, LS_TARGET_LABELS, 1), LS_E_INPUT);
    assert_words("has 2 columns");
    assert_int_equal(ls_dataset_expect_targets(dataset, LS_TARGET_CLASSES, 3), LS_E_INPUT);
    assert_words("3 outputs");
    assert_int_equal(ls_dataset_expect_targets(dataset, LS_TARGET_NUMBERS, 2), LS_OK);
    ls_dataset_close(dataset);
    assert_int_equal(ls_dataset_open(session, &(ls_dataset_source){.x = "/X"}, &dataset), LS_E_USAGE);
    assert_int_equal(ls_dataset_open(session, &(ls_dataset_source){.file = "f", .x = "/X:"}, &dataset),
                     LS_E_USAGE);
}

/* The header is whole, the rows at the end are not. */
static void storage_beyond_the_end_of_the_file_is_found_at_open(void **state)
{
    (void)state;
    const char *path = path_of("data.h5");
    if (session->rank == 0) {
        hid_t file = new_file("data.h5");
        add_set(file, "", (layout){.type = H5T_IEEE_F64LE});
        const hid_t dataset = H5Dopen2(file, "/X", H5P_DEFAULT);
        const uint64_t end = H5Dget_offset(dataset) + 1000;
        H5Dclose(dataset);
        H5Fclose(file);
        /* The superblock (version 0) tells the end of the file at byte 40: make it agree with the cut. */
        assert_int_equal(truncate(path, (off_t)end), 0);
        FILE *bytes = fopen(path, "r+b");
        fseek(bytes, 40, SEEK_SET);
        fwrite(&end, sizeof end, 1, bytes);
        fclose(bytes);
    }
    barrier();
    ls_dataset *dataset;
    assert_int_equal(
        ls_dataset_open(session, &(ls_dataset_source){.file = path, .without_y = true}, &dataset),
        LS_E_INPUT);
    assert_words("truncated");
    assert_words("data.h5");
}

static void bad_values_are_named_with_row_and_column(void **state)
{
    (void)state;
    const struct {
        double x; /* at row 1234, column 3 */
        double y; /* at row 1235 */
        hid_t type;
        ls_dtype dtype;
        const char *words;
        const char *more_words;
    } cases[] = {
        {NAN, 0, H5T_IEEE_F64LE, LS_FLOAT64, "/X: row 1234, column 3", "nan"},
        {NAN, 0, H5T_IEEE_F64LE, LS_FLOAT32, "/X: row 1234, column 3", "nan"},
        {INFINITY, 0, H5T_IEEE_F32LE, LS_FLOAT32, "/X: row 1234, column 3", "inf"},
        {-INFINITY, 0, H5T_IEEE_F32LE, LS_FLOAT64, "/X: row 1234, column 3", "-inf"},
        {-1e39, 0, H5T_IEEE_F64LE, LS_FLOAT32, "/X: row 1234, column 3", "overflows float32"},
        {1, 2, H5T_IEEE_F64LE, LS_FLOAT64, "/y: row 1235", "the label is 2"},
        {1, -1, H5T_STD_I8LE, LS_FLOAT32, "/y: row 1235", "the label is -1"},
        {1, 200, H5T_STD_U8LE, LS_FLOAT32, "/y: row 1235", "the label is 200"},
        {1, 1e-60, H5T_IEEE_F64LE, LS_FLOAT32, "/y: row 1235", "the label is 9.9999999999999997e-61"},
        {1, NAN, H5T_IEEE_F32LE, LS_FLOAT32, "/y: row 1235", "the label is nan"},
    };
    const char *path = path_of("values.h5");
    double *x = calloc(ROWS * COLUMNS, sizeof *x), *y = calloc(ROWS, sizeof *y);
    char set[8];
    if (session->rank == 0) {
        const hid_t file = new_file("values.h5");
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            char name[16];
            x[1234 * COLUMNS + 3] = cases[i].x;
            y[1235] = cases[i].y;
            snprintf(name, sizeof name, "/%zu/X", i);
            add_array(file, name, (layout){.type = cases[i].type}, 2, (const hsize_t[]){ROWS, COLUMNS}, x);
            snprintf(name, sizeof name, "/%zu/y", i);
            add_array(file, name, (layout){.type = cases[i].type}, 2, (const hsize_t[]){ROWS, 1}, y);
        }
        H5Fclose(file);
    }
    barrier();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(set, sizeof set, "%zu", i);
        ls_dataset *dataset = open_or_fail(&(ls_dataset_source){.file = path, .set = set});
        assert_int_equal(ls_dataset_read_rows(dataset, cases[i].dtype, 0, ROWS, x, y), LS_E_INPUT);
        assert_words(cases[i].words);
        assert_words(cases[i].more_words);
        assert_words("values.h5");
        /* The rows before and after are good. */
        const ls_segment around[] = {{1236, ROWS - 1236}, {0, 1234}};
        assert_int_equal(ls_dataset_read_segments(dataset, cases[i].dtype, around, 2, x, y), LS_OK);
        ls_dataset_close(dataset);
    }
    free(x);
    free(y);
}

/* The largest double that is a finite float, and the smallest that is not. */
static void overflow_is_where_rounding_reaches_infinity(void **state)
{
    (void)state;
    const double limit = 0x1.ffffffp127;
    const double good[2] = {nextafter(limit, 0), -nextafter(limit, 0)}, bad[2] = {0, -limit};
    const char *path = path_of("limit.h5");
    if (session->rank == 0) {
        const hid_t file = new_file("limit.h5");
        add_array(file, "/good/X", (layout){.type = H5T_IEEE_F64LE}, 1, (const hsize_t[]){2}, good);
        add_array(file, "/bad/X", (layout){.type = H5T_IEEE_F64LE}, 1, (const hsize_t[]){2}, bad);
        H5Fclose(file);
    }
    barrier();
    float x[2];
    ls_dataset *dataset = open_or_fail(&(ls_dataset_source){.file = path, .set = "good", .without_y = true});
    assert_int_equal(ls_dataset_read_rows(dataset, LS_FLOAT32, 0, 2, x, NULL), LS_OK);
    assert_true(x[0] == FLT_MAX && x[1] == -FLT_MAX);
    ls_dataset_close(dataset);
    dataset = open_or_fail(&(ls_dataset_source){.file = path, .set = "bad", .without_y = true});
    assert_int_equal(ls_dataset_read_rows(dataset, LS_FLOAT32, 0, 2, x, NULL), LS_E_INPUT);
    assert_words("row 1, column 0");
    ls_dataset_close(dataset);
}

static void a_bad_row_on_one_rank_stops_the_split_on_all(void **state)
{
    (void)state;
    char input[512], output[512];
    snprintf(input, sizeof input, "%s", path_of("data.h5"));
    snprintf(output, sizeof output, "%s", path_of("split.h5"));
    if (session->rank == 0) {
        double *x = calloc(ROWS, sizeof *x);
        x[2222] = NAN;
        const hid_t file = new_file("data.h5");
        add_array(file, "/X", (layout){.type = H5T_IEEE_F64LE}, 1, (const hsize_t[]){ROWS}, x);
        x[2222] = 0;
        add_array(file, "/y", (layout){.type = H5T_IEEE_F64LE}, 1, (const hsize_t[]){ROWS}, x);
        H5Fclose(file);
        free(x);
    }
    barrier();
    assert_int_equal(
        ls_dataset_split(session, &(ls_dataset_source){.file = input}, 0.5, 0, LS_FLOAT64, NULL, output),
        LS_E_INPUT);
    assert_words("row 2222, column 0");
    barrier();
    if (session->rank == 0) assert_int_equal(count_files(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(bad_files_are_named_with_what_is_wrong, begin_test),
        cmocka_unit_test_setup(storage_beyond_the_end_of_the_file_is_found_at_open, begin_test),
        cmocka_unit_test_setup(bad_values_are_named_with_row_and_column, begin_test),
        cmocka_unit_test_setup(overflow_is_where_rounding_reaches_infinity, begin_test),
        cmocka_unit_test_setup(a_bad_row_on_one_rank_stops_the_split_on_all, begin_test),
    };
    return run_dataset_tests(tests, sizeof tests / sizeof tests[0]);
}
