#include <hdf5.h>
#include <sys/stat.h>
#include <time.h>

#include "data/dataset_writer.h"
#include "dataset_unit.h"

enum { ROWS = 10007, COLUMNS = 3 };

static void fill(double *x, int64_t *y, int64_t first_row, int64_t n_rows)
{
    for (int64_t i = 0; i < n_rows; i++) {
        for (int64_t j = 0; j < COLUMNS; j++)
            x[i * COLUMNS + j] = (double)((first_row + i) * COLUMNS + j) + 0.25;
        y[i] = (first_row + i) % 2;
    }
}

/* Writes the file of the tests with its rows split over parts; the ranks take turns at the parts. */
static ls_status write_file(const char *path, int64_t parts)
{
    ls_dataset_writer *writer;
    LS_TRY(ls_dataset_writer_create(session, path, &writer));
    int x_array, y_array, empty_array;
    const double weights[2] = {0.25, 0.75};
    assert_int_equal(
        ls_dataset_writer_add_array(writer, "/train/X", LS_FILE_FLOAT64, ROWS, COLUMNS, &x_array), 0);
    assert_int_equal(ls_dataset_writer_add_array(writer, "/train/y", LS_FILE_INT64, ROWS, 0, &y_array), 0);
    assert_int_equal(ls_dataset_writer_add_array(writer, "/test/X", LS_FILE_FLOAT32, 0, 5, &empty_array), 0);
    assert_int_equal(ls_dataset_writer_set_text(writer, "/", "words", "sch\u00f6n"), 0);
    assert_int_equal(ls_dataset_writer_set_int(writer, "/train", "number", -7), 0);
    assert_int_equal(ls_dataset_writer_set_double(writer, "/train/X", "share", 0.1), 0);
    assert_int_equal(ls_dataset_writer_set_doubles(writer, "/made/here", "weights", weights, 2), 0);
    ls_status status = ls_dataset_writer_begin(writer);
    for (int64_t part = session->rank; part < parts && status == LS_OK; part += session->size) {
        const int64_t first = ls_split(ROWS, parts, part), n = ls_split(ROWS, parts, part + 1) - first;
        double *x = malloc((size_t)n * COLUMNS * sizeof *x);
        int64_t *y = malloc((size_t)n * sizeof *y);
        fill(x, y, first, n);
        status = ls_dataset_writer_write_rows(writer, x_array, first, n, x);
        if (status == LS_OK) status = ls_dataset_writer_write_rows(writer, y_array, first, n, y);
        free(x);
        free(y);
    }
    return ls_dataset_writer_commit(writer, status);
}

static void arrays_and_attributes_are_read_back(void **state)
{
    (void)state;
    assert_int_equal(write_file(path_of("data.h5"), 13), LS_OK);
    if (session->rank != 0) return;
    assert_int_equal(count_files(), 1);

    double *x = malloc(sizeof(double[ROWS * COLUMNS])), *expected_x = malloc(sizeof(double[ROWS * COLUMNS]));
    int64_t *y = malloc(sizeof(int64_t[ROWS])), *expected_y = malloc(sizeof(int64_t[ROWS]));
    fill(expected_x, expected_y, 0, ROWS);
    const hid_t file = H5Fopen(path_of("data.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
    const hid_t x_data = H5Dopen2(file, "/train/X", H5P_DEFAULT),
                y_data = H5Dopen2(file, "/train/y", H5P_DEFAULT);
    assert_true(H5Dread(x_data, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) >= 0);
    assert_true(H5Dread(y_data, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, y) >= 0);
    assert_memory_equal(x, expected_x, sizeof(double[ROWS * COLUMNS]));
    assert_memory_equal(y, expected_y, sizeof(int64_t[ROWS]));
    assert_int_equal(H5Dget_offset(x_data) % 4096, 0);
    free(x);
    free(expected_x);
    free(y);
    free(expected_y);

    const hid_t empty = H5Dopen2(file, "/test/X", H5P_DEFAULT), space = H5Dget_space(empty);
    hsize_t extent[2];
    assert_int_equal(H5Sget_simple_extent_dims(space, extent, NULL), 2);
    assert_int_equal(extent[0], 0);
    assert_int_equal(extent[1], 5);

    hid_t attribute = H5Aopen_by_name(file, "/train", "number", H5P_DEFAULT, H5P_DEFAULT);
    int64_t number = 0;
    assert_true(H5Aread(attribute, H5T_NATIVE_INT64, &number) >= 0);
    assert_int_equal(number, -7);
    H5Aclose(attribute);
    attribute = H5Aopen_by_name(file, "/train/X", "share", H5P_DEFAULT, H5P_DEFAULT);
    double share = 0;
    assert_true(H5Aread(attribute, H5T_NATIVE_DOUBLE, &share) >= 0);
    assert_true(share == 0.1);
    H5Aclose(attribute);
    attribute = H5Aopen_by_name(file, "/made/here", "weights", H5P_DEFAULT, H5P_DEFAULT);
    double weights[2] = {0};
    assert_true(H5Aread(attribute, H5T_NATIVE_DOUBLE, weights) >= 0);
    assert_true(weights[0] == 0.25 && weights[1] == 0.75);
    H5Aclose(attribute);
    attribute = H5Aopen_by_name(file, "/", "words", H5P_DEFAULT, H5P_DEFAULT);
    const hid_t type = H5Aget_type(attribute);
    char *words = NULL;
    assert_true(H5Aread(attribute, type, &words) >= 0);
    assert_string_equal(words, "sch\u00f6n");
    H5free_memory(words);
    H5Tclose(type);
    H5Aclose(attribute);

    H5Sclose(space);
    H5Dclose(empty);
    H5Dclose(x_data);
    H5Dclose(y_data);
    assert_true(H5Fclose(file) >= 0);
}

static void bytes_do_not_depend_on_name_parts_or_time(void **state)
{
    (void)state;
    assert_int_equal(write_file(path_of("one.h5"), 1), LS_OK);
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 100000000}, NULL);
    assert_int_equal(write_file(path_of("another-name.h5"), 17), LS_OK);
    if (session->rank == 0) assert_same_files(path_of("one.h5"), path_of("another-name.h5"));
}

static void an_existing_file_is_replaced_only_by_a_whole_one(void **state)
{
    (void)state;
    const char *path = path_of("data.h5");
    if (session->rank == 0) {
        FILE *file = fopen(path, "w");
        fputs("old", file);
        fclose(file);
        assert_int_equal(symlink("data.h5", path_of("link.h5")), 0);
    }
    barrier();

    /* The last rank fails: nobody keeps anything, and all have its message. */
    ls_dataset_writer *writer;
    int array;
    assert_int_equal(ls_dataset_writer_create(session, path, &writer), LS_OK);
    assert_int_equal(ls_dataset_writer_add_array(writer, "/X", LS_FILE_FLOAT64, 10, 2, &array), LS_OK);
    assert_int_equal(ls_dataset_writer_begin(writer), LS_OK);
    ls_status status = LS_OK;
    if (session->rank == session->size - 1) status = ls_fail(LS_E_INPUT, "row 3 is bad");
    assert_int_equal(ls_dataset_writer_commit(writer, status), LS_E_INPUT);
    assert_string_equal(ls_error_message(), "row 3 is bad");
    barrier();
    char *bytes;
    if (session->rank == 0) {
        assert_int_equal(read_whole_file(path, &bytes), 3);
        assert_memory_equal(bytes, "old", 3);
        free(bytes);
        assert_int_equal(count_files(), 2);
    }

    /* Abandoned before and after begin. */
    for (int begun = 0; begun < 2; begun++) {
        assert_int_equal(ls_dataset_writer_create(session, path, &writer), LS_OK);
        assert_int_equal(ls_dataset_writer_add_array(writer, "/X", LS_FILE_FLOAT64, 10, 2, &array), LS_OK);
        if (begun) assert_int_equal(ls_dataset_writer_begin(writer), LS_OK);
        ls_dataset_writer_abandon(writer);
        if (session->rank == 0) assert_int_equal(count_files(), 2);
        barrier();
    }
    ls_dataset_writer_abandon(NULL);

    /* Through the link: the link stays. */
    assert_int_equal(write_file(path_of("link.h5"), 3), LS_OK);
    if (session->rank == 0) {
        struct stat status_of_link;
        assert_int_equal(lstat(path_of("link.h5"), &status_of_link), 0);
        assert_true(S_ISLNK(status_of_link.st_mode));
        assert_true(H5Fis_hdf5(path) > 0);
        assert_int_equal(count_files(), 2);
    }
}

static void assert_refused(const char *path, const char *words)
{
    ls_dataset_writer *writer = (ls_dataset_writer *)&writer;
    assert_int_equal(ls_dataset_writer_create(session, path, &writer), LS_E_OUTPUT);
    assert_null(writer);
    if (!strstr(ls_error_message(), words)) fail_msg("\"%s\" lacks \"%s\"", ls_error_message(), words);
}

static void targets_that_cannot_be_written_are_refused_at_once(void **state)
{
    (void)state;
    assert_refused(path_of("nowhere/data.h5"), "does not exist");
    assert_refused(directory, "is a directory");
    assert_refused(path_of("name/"), "directory");
    assert_refused("", "empty");
    assert_refused("/dev/null", "not a regular file");
    assert_refused("/proc/data.h5", "cannot write in the directory");
    char *name = malloc(300);
    memset(name, 'n', 299);
    name[299] = 0;
    assert_refused(path_of(name), "long");
    free(name);
    char *endless = malloc(6000);
    memset(endless, 'n', 5999);
    endless[5999] = 0;
    assert_refused(endless, "long");
    free(endless);
    if (session->rank == 0) assert_int_equal(count_files(), 0);
}

static void the_longest_file_name_is_written(void **state)
{
    (void)state;
    char name[256];
    memset(name, 'n', 255);
    name[255] = 0;
    assert_int_equal(write_file(path_of(name), 2), LS_OK);
    if (session->rank == 0) assert_int_equal(count_files(), 1);
}

static void a_file_beyond_the_space_fails_before_rows_are_written(void **state)
{
    (void)state;
    ls_dataset_writer *writer;
    int array;
    assert_int_equal(ls_dataset_writer_create(session, path_of("data.h5"), &writer), LS_OK);
    assert_int_equal(ls_dataset_writer_add_array(writer, "/X", LS_FILE_FLOAT64, INT64_MAX / 2, 2, &array),
                     LS_E_OUTPUT);
    assert_int_equal(ls_dataset_writer_add_array(writer, "/X", LS_FILE_FLOAT64, (int64_t)1 << 48, 2, &array),
                     LS_OK);
    assert_int_equal(ls_dataset_writer_begin(writer), LS_E_OUTPUT);
    assert_non_null(strstr(ls_error_message(), "data.h5"));
    ls_dataset_writer_abandon(writer);
    if (session->rank == 0) assert_int_equal(count_files(), 0);
}

static void rows_outside_the_array_are_a_defect(void **state)
{
    (void)state;
    ls_dataset_writer *writer;
    int array;
    const double values[4] = {1, 2, 3, 4};
    assert_int_equal(ls_dataset_writer_create(session, path_of("data.h5"), &writer), LS_OK);
    assert_int_equal(ls_dataset_writer_add_array(writer, "/X", LS_FILE_FLOAT64, 2, 2, &array), LS_OK);
    assert_int_equal(ls_dataset_writer_write_rows(writer, array, 0, 1, values), LS_E_INTERNAL);
    assert_int_equal(ls_dataset_writer_begin(writer), LS_OK);
    assert_int_equal(ls_dataset_writer_write_rows(writer, array, 1, 2, values), LS_E_INTERNAL);
    assert_int_equal(ls_dataset_writer_write_rows(writer, array, -1, 1, values), LS_E_INTERNAL);
    assert_int_equal(ls_dataset_writer_write_rows(writer, array + 1, 0, 1, values), LS_E_INTERNAL);
    assert_int_equal(ls_dataset_writer_write_rows(writer, array, 2, 0, values), LS_OK);
    ls_dataset_writer_abandon(writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(arrays_and_attributes_are_read_back, begin_test),
        cmocka_unit_test_setup(bytes_do_not_depend_on_name_parts_or_time, begin_test),
        cmocka_unit_test_setup(an_existing_file_is_replaced_only_by_a_whole_one, begin_test),
        cmocka_unit_test_setup(targets_that_cannot_be_written_are_refused_at_once, begin_test),
        cmocka_unit_test_setup(the_longest_file_name_is_written, begin_test),
        cmocka_unit_test_setup(a_file_beyond_the_space_fails_before_rows_are_written, begin_test),
        cmocka_unit_test_setup(rows_outside_the_array_are_a_defect, begin_test),
    };
    return run_dataset_tests(tests, sizeof tests / sizeof tests[0]);
}
