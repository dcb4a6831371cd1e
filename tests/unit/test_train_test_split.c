#include <math.h>
#include <string.h>

#include "data/train_test_split.h"
#include "unit.h"

static void rows_equal_scikit_learn(void **state)
{
    (void)state;
    /* train_test_split(np.arange(10), train_size=.75, random_state=4) */
    static const int64_t expected_train[] = {9, 2, 6, 0, 1, 5, 7}, expected_test[] = {3, 8, 4};
    int64_t n_train, n_test, train[7], test[3];
    assert_int_equal(ls_train_test_sizes(10, 0.75, &n_train, &n_test), LS_OK);
    assert_int_equal(n_train, 7);
    assert_int_equal(n_test, 3);
    assert_int_equal(ls_train_test_split(10, n_train, n_test, 4, train, test), LS_OK);
    assert_memory_equal(train, expected_train, sizeof train);
    assert_memory_equal(test, expected_test, sizeof test);
}

static void a_size_is_a_share_or_a_number_of_rows(void **state)
{
    (void)state;
    int64_t n_train, n_test;
    assert_int_equal(ls_train_test_sizes(100000, 0.8, &n_train, &n_test), LS_OK);
    assert_int_equal(n_train, 80000);
    assert_int_equal(ls_train_test_sizes(1501, 0.8, &n_train, &n_test), LS_OK);
    assert_int_equal(n_train, 1200);
    assert_int_equal(n_test, 301);
    assert_int_equal(ls_train_test_sizes(100, 99, &n_train, &n_test), LS_OK);
    assert_int_equal(n_train, 99);
    assert_int_equal(ls_train_test_sizes(2, 1, &n_train, &n_test), LS_OK);
    assert_int_equal(n_test, 1);
    /* The largest share below 1 leaves one row, also where it is a tie between two products. */
    assert_int_equal(ls_train_test_sizes(65, nextafter(1, 0), &n_train, &n_test), LS_OK);
    assert_int_equal(n_test, 1);
}

static void sizes_that_leave_a_part_empty_are_refused(void **state)
{
    (void)state;
    static const double wrong[] = {0, -0.1, -1, 1.5, 100, 101, 1e300, NAN, INFINITY, 0.001};
    int64_t n_train, n_test;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(ls_train_test_sizes(100, wrong[i], &n_train, &n_test), LS_E_USAGE);
        assert_non_null(strstr(ls_error_message(), "train_size"));
    }
    assert_int_equal(ls_train_test_sizes(1, 0.5, &n_train, &n_test), LS_E_USAGE);
}

static void parts_beyond_the_samples_are_a_defect(void **state)
{
    (void)state;
    int64_t rows[4];
    assert_int_equal(ls_train_test_split(3, 2, 2, 0, rows, rows + 2), LS_E_INTERNAL);
    assert_int_equal(ls_train_test_split(3, 4, 0, 0, rows, rows), LS_E_INTERNAL);
    assert_int_equal(ls_train_test_split(3, -1, 2, 0, rows, rows), LS_E_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_equal_scikit_learn),
        cmocka_unit_test(a_size_is_a_share_or_a_number_of_rows),
        cmocka_unit_test(sizes_that_leave_a_part_empty_are_refused),
        cmocka_unit_test(parts_beyond_the_samples_are_a_defect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
