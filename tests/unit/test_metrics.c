#include "lockstep/evaluate.h"
#include "unit.h"

static void quotients_are_those_of_the_counts(void **state)
{
    (void)state;
    const ls_metrics m = {.n_samples = 10, .loss_sum = 2.5, .tn = 4, .fp = 1, .fn = 2, .tp = 3};
    assert_true(ls_metrics_loss(&m) == 0.25);
    assert_true(ls_metrics_binary_accuracy(&m) == 0.7);
    assert_true(ls_metrics_precision(&m) == 0.75);
    assert_true(ls_metrics_recall(&m) == 0.6);
    assert_true(ls_metrics_f1(&m) == 6.0 / 9.0);
}

/* Keras divides by zero to 0: nothing predicted positive, nothing positive, nothing at all. */
static void zero_denominators_give_zero(void **state)
{
    (void)state;
    const ls_metrics never = {.n_samples = 5, .tn = 3, .fn = 2}, negative = {.n_samples = 5, .tn = 5},
                     none = {0};
    assert_true(ls_metrics_precision(&never) == 0);
    assert_true(ls_metrics_f1(&never) == 0);
    assert_true(ls_metrics_recall(&negative) == 0);
    assert_true(ls_metrics_f1(&negative) == 0);
    assert_true(ls_metrics_binary_accuracy(&negative) == 1);
    assert_true(ls_metrics_loss(&none) == 0);
    assert_true(ls_metrics_binary_accuracy(&none) == 0);
}

static void sums_beyond_32_bits_add_up(void **state)
{
    (void)state;
    ls_metrics total = {0};
    const ls_metrics part = {.n_samples = 3000000000, .loss_sum = 1.5, .tn = 2000000000, .tp = 1000000000};
    ls_metrics_add(&total, &part);
    ls_metrics_add(&total, &part);
    assert_int_equal(total.n_samples, 6000000000);
    assert_int_equal(total.tn, 4000000000);
    assert_int_equal(total.tp, 2000000000);
    assert_true(total.loss_sum == 3);
    assert_true(ls_metrics_binary_accuracy(&total) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotients_are_those_of_the_counts),
        cmocka_unit_test(zero_denominators_give_zero),
        cmocka_unit_test(sums_beyond_32_bits_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
