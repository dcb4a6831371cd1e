#include <math.h>

#include "train/mixing.h"
#include "unit.h"

static double spread_of(const ls_order *order, const int64_t *positives)
{
    ls_mixing mixing = {0};
    ls_metrics epoch = {.n_samples = order->n_samples};
    for (int64_t k = 0; k < order->n_batches; k++) {
        epoch.tp += positives[k];
        if (ls_order_batch_rows(order, k) == order->batch_size) ls_mixing_add(&mixing, positives[k]);
    }
    epoch.fn = epoch.tp / 3; /* positives are both kinds */
    epoch.tp -= epoch.fn;
    return ls_mixing_label_spread(&mixing, order, &epoch);
}

/* Batches of one label each, of both in equal parts, of one label in all the data; a single batch. */
static void spread_is_that_of_the_counts(void **state)
{
    (void)state;
    ls_order order;
    ls_order_init(&order, 1000, 2, 100, 4, false, 0);
    const double ideal = sqrt(100 * 0.25 * 900 / 999);
    const int64_t sorted[] = {0, 0, 0, 0, 0, 100, 100, 100, 100, 100},
                  even[] = {50, 50, 50, 50, 50, 50, 50, 50, 50, 50}, none[10] = {0},
                  by_chance[] = {45, 55, 45, 55, 45, 55, 45, 55, 45, 55};
    assert_true(fabs(spread_of(&order, sorted) - 50 / ideal) < 1e-9);
    assert_true(fabs(spread_of(&order, by_chance) - 5 / ideal) < 1e-9);
    assert_true(spread_of(&order, even) == 0);
    assert_true(isnan(spread_of(&order, none)));
    /* Two labels for each sample. */
    ls_mixing mixing = {0};
    const ls_metrics labels = {.n_samples = 1000, .tn = 1500, .tp = 500};
    for (int k = 0; k < 10; k++) ls_mixing_add(&mixing, by_chance[k]);
    assert_true(isnan(ls_mixing_label_spread(&mixing, &order, &labels)));
    ls_order_init(&order, 1000, 2, 1000, 4, false, 0);
    assert_true(isnan(spread_of(&order, (int64_t[]){500})));
}

/* Large counts keep their small differences. */
static void spread_of_large_batches_is_exact(void **state)
{
    (void)state;
    ls_order order;
    const int64_t batch = INT64_C(1) << 40;
    ls_order_init(&order, 4 * batch, 2, batch, 4, false, 0);
    const int64_t d = 1 << 19, half = batch / 2, counts[] = {half + d, half - d, half + d, half - d};
    assert_true(fabs(spread_of(&order, counts) - (double)d / sqrt((double)batch * 0.25 * 0.75)) < 1e-6);
}

static void neighbours_tell_file_order_from_shuffled(void **state)
{
    (void)state;
    static const int64_t samples[] = {3000, 100000, INT64_C(1) << 40};
    double correlation;
    ls_order order;
    for (int i = 0; i < 3; i++) {
        ls_order_init(&order, samples[i], 2, 1000, 8, false, 1);
        assert_int_equal(ls_mixing_neighbours(&order, 0, &correlation), LS_OK);
        assert_true(correlation > 0.999 && correlation < 1.000001);
        ls_order_init(&order, samples[i], 2, 1000, 8, true, 1);
        assert_int_equal(ls_mixing_neighbours(&order, 3, &correlation), LS_OK);
        /* A window of a large file holds 8 blocks, so that every eighth neighbour is of the same one. */
        assert_true(fabs(correlation - (i == 2 ? 0.125 : 0)) < 0.1);
    }
    ls_order_init(&order, 4, 2, 4, 4, true, 1);
    assert_int_equal(ls_mixing_neighbours(&order, 0, &correlation), LS_OK);
    assert_true(isnan(correlation));
}

/* So few windows stand for several places each, which must not all look at the same rows. */
static void few_windows_are_looked_at_all_over(void **state)
{
    (void)state;
    enum { SEEDS = 16 };
    double correlation, squares = 0;
    ls_order order;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        ls_order_init(&order, 100000, 2, 1000, 8, true, seed);
        assert_int_equal(ls_mixing_neighbours(&order, 0, &correlation), LS_OK);
        squares += correlation * correlation;
    }
    /* 32 x 127 pairs would differ from 0 by 0.016 in the mean, 8 x 127 by 0.031. */
    assert_true(sqrt(squares / SEEDS) < 0.024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spread_is_that_of_the_counts),
        cmocka_unit_test(spread_of_large_batches_is_exact),
        cmocka_unit_test(neighbours_tell_file_order_from_shuffled),
        cmocka_unit_test(few_windows_are_looked_at_all_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
