#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "data/numpy_dot.h"
#include "random/mt19937.h"
#include "unit.h"

static double *random_values(ls_mt19937 *generator, int64_t n)
{
    double *values;
    assert_int_equal(ls_alloc(&values, (size_t)n, sizeof *values, "test"), LS_OK);
    for (int64_t i = 0; i < n; i++) values[i] = ls_mt19937_normal(generator);
    return values;
}

/* Every path: gemm small and large with all remainders, gemv both ways, dot, products of single values. */
static const int64_t row_counts[] = {1, 2, 3, 4, 5, 7, 64, 1003},
                     depths[] = {1, 2, 3, 4, 7, 8, 16, 19, 33, 50, 400};
static const int64_t column_counts[] = {1, 2, 3, 4, 5, 8, 9, 12, 13, 20};

#define FOR_EACH(item, list)                                                                                 \
    for (const int64_t *item = list; item < list + sizeof list / sizeof *list; item++)

static void both_twins_give_the_same_bits_near_the_exact_sum(void **state)
{
    (void)state;
    ls_mt19937 generator;
    ls_mt19937_seed(&generator, 1);
    FOR_EACH(n, row_counts) FOR_EACH(k, depths) FOR_EACH(m, column_counts)
    {
        const int64_t ldx = *k + 3, ldout = *m + 2;
        double *x = random_values(&generator, *n * ldx), *a = random_values(&generator, *k * *m);
        double *fast = random_values(&generator, *n * ldout), *plain = random_values(&generator, *n * ldout);
        memcpy(plain, fast, (size_t)(*n * ldout) * sizeof *plain);
        assert_int_equal(ls_numpy_dot(*n, *k, *m, x, ldx, a, fast, ldout), LS_OK);
        assert_int_equal(ls_numpy_dot_portable(*n, *k, *m, x, ldx, a, plain, ldout), LS_OK);
        /* The gaps between the rows are compared too: nobody may have written there. */
        assert_memory_equal(fast, plain, (size_t)(*n * ldout) * sizeof *plain);
        for (int64_t i = 0; i < *n; i++)
            for (int64_t j = 0; j < *m; j++) {
                long double sum = 0, size = 0;
                for (int64_t q = 0; q < *k; q++) {
                    sum += (long double)x[i * ldx + q] * a[q * *m + j];
                    size += fabsl((long double)x[i * ldx + q] * a[q * *m + j]);
                }
                assert_true(fabsl(fast[i * ldout + j] - sum) <= (long double)*k * 0x1p-53L * size);
            }
        ls_free(x);
        ls_free(a);
        ls_free(fast);
        ls_free(plain);
    }
}

static void the_result_may_replace_the_rows(void **state)
{
    (void)state;
    ls_mt19937 generator;
    ls_mt19937_seed(&generator, 2);
    FOR_EACH(n, row_counts) FOR_EACH(k, depths)
    {
        const int64_t ldx = *k + 1;
        double *x = random_values(&generator, *n * ldx), *a = random_values(&generator, *k * *k);
        double *out = random_values(&generator, *n * ldx);
        for (int64_t i = 0; i < *n; i++) out[i * ldx + *k] = x[i * ldx + *k];
        assert_int_equal(ls_numpy_dot(*n, *k, *k, x, ldx, a, out, ldx), LS_OK);
        assert_int_equal(ls_numpy_dot(*n, *k, *k, x, ldx, a, x, ldx), LS_OK);
        assert_memory_equal(x, out, (size_t)(*n * ldx) * sizeof *x);
        ls_free(x);
        ls_free(a);
        ls_free(out);
    }
}

/* The order of a sum shows where terms cancel: 2^53 + 1 - 2^53 and the like. */
static void sums_run_in_the_order_of_blas(void **state)
{
    (void)state;
    const double big = 0x1p53;
    const double rows[2][4] = {{big, 1, -big, 1}, {1, big, 1, -big}};
    const double ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    double out[4];
    /* Matrix times matrix: one after the other. */
    assert_int_equal(ls_numpy_dot(2, 4, 2, rows[0], 4, ones, out, 2), LS_OK);
    assert_true(out[0] == 1 && out[1] == 1 && out[2] == 0 && out[3] == 0);
    /* Two rows times a vector: even terms and odd terms apart. */
    assert_int_equal(ls_numpy_dot(2, 4, 1, rows[0], 4, ones, out, 1), LS_OK);
    assert_true(out[0] == 2 && out[1] == 2);
    /* A row times two columns: pairs. */
    assert_int_equal(ls_numpy_dot(1, 4, 2, rows[1], 4, ones, out, 2), LS_OK);
    assert_true(out[0] == 1 && out[1] == 1);
}

static void no_rows_are_nothing_to_do(void **state)
{
    (void)state;
    double value = 3;
    assert_int_equal(ls_numpy_dot(0, 1, 1, &value, 1, &value, &value, 1), LS_OK);
    assert_true(value == 3);
}

static int no_memory_is_left(void **state)
{
    (void)state;
    return ls_alloc_live() != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_twins_give_the_same_bits_near_the_exact_sum),
        cmocka_unit_test(the_result_may_replace_the_rows),
        cmocka_unit_test(sums_run_in_the_order_of_blas),
        cmocka_unit_test(no_rows_are_nothing_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, no_memory_is_left);
}
