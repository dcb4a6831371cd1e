/* What the values of targets tell: one odd value is found wherever it lies, in any number of rows and ranks.
 */
#include "dataset_files_unit.h"

enum { MOST_ROWS = 40000 };

/* The range of n rows of targets; only rank 0's values matter. */
static ls_target_range scan_values(int64_t n, int64_t n_columns, const double *values)
{
    if (session->rank == 0) {
        const layout doubles = {.type = H5T_IEEE_F64LE};
        const hsize_t extent[] = {(hsize_t)n, (hsize_t)n_columns};
        const hid_t file = new_file("data.h5");
        add_array(file, "/train/X", doubles, 2, extent, values);
        add_array(file, "/train/y", doubles, n_columns > 1 ? 2 : 1, extent, values);
        H5Fclose(file);
    }
    barrier();
    ls_target_range range;
    ls_dataset *dataset = open_or_fail(&(ls_dataset_source){.file = path_of("data.h5"), .set = "train"});
    assert_int_equal(ls_dataset_scan_targets(session, dataset, &range), LS_OK);
    ls_dataset_close(dataset);
    barrier();
    assert_int_equal(range.n_columns, n_columns);
    return range;
}

/* Of a single column, all `usual` but the one at `place`. */
static ls_target_range scan(int64_t n, double usual, int64_t place, double odd)
{
    double *values = malloc((size_t)n * sizeof *values);
    for (int64_t i = 0; i < n; i++) values[i] = usual;
    values[place] = odd;
    const ls_target_range range = scan_values(n, 1, values);
    free(values);
    return range;
}

static void check(int64_t n, int64_t place)
{
    ls_target_range range = scan(n, 1, place, 1);
    assert_true(range.is_whole && range.is_one_hot && !range.is_integer);
    assert_true(range.minimum == 1 && range.maximum == 1);
    range = scan(n, 1, place, -7);
    assert_true(range.is_whole && !range.is_one_hot);
    assert_true(range.minimum == -7 && range.maximum == (n > 1 ? 1 : -7));
    range = scan(n, 3, place, 3.25);
    assert_true(!range.is_whole && !range.is_one_hot);
    assert_true(range.minimum == (n > 1 ? 3 : 3.25) && range.maximum == 3.25);
}

static void an_odd_value_is_found_anywhere(void **state)
{
    (void)state;
    const int64_t sizes[] = {1, 2, 7, 8, 9, 23, MOST_ROWS - 3, MOST_ROWS};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        check(sizes[i], 0);
        check(sizes[i], sizes[i] / 2);
        check(sizes[i], sizes[i] - 1);
    }
}

/* Rows of three columns with a 1 each; then one with two of them, and one with none. */
static void columns_are_judged_row_by_row(void **state)
{
    (void)state;
    enum { ROWS_OF_3 = 1001, LAST = 3 * ROWS_OF_3 - 1 };
    double values[3 * ROWS_OF_3] = {0};
    for (int64_t i = 0; i < ROWS_OF_3; i++) values[3 * i + i % 2] = 1;
    ls_target_range range = scan_values(ROWS_OF_3, 3, values);
    assert_true(range.is_whole && range.is_one_hot && range.minimum == 0 && range.maximum == 1);
    values[LAST] = 1;
    range = scan_values(ROWS_OF_3, 3, values);
    assert_true(range.is_whole && !range.is_one_hot && range.minimum == 0 && range.maximum == 1);
    memset(values + LAST - 2, 0, sizeof(double[3]));
    range = scan_values(ROWS_OF_3, 3, values);
    assert_true(range.is_whole && !range.is_one_hot && range.minimum == 0 && range.maximum == 1);
    values[LAST] = -0.5;
    range = scan_values(ROWS_OF_3, 3, values);
    assert_true(!range.is_whole && !range.is_one_hot && range.minimum == -0.5 && range.maximum == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(an_odd_value_is_found_anywhere, begin_test),
                                       cmocka_unit_test_setup(columns_are_judged_row_by_row, begin_test)};
    return run_dataset_tests(tests, 1);
}
