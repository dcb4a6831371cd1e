#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "random/permute.h"
#include "train/search.h"
#include "unit.h"

enum { MAX_UNITS = 4000 };

/* Does a whole search; units under way end in an order that depends on seed. value gives a training's result.
 * epochs[trial] becomes what it got; returns the number of trainings. */
static int64_t play(ls_search *search, uint64_t seed, int n_workers, double (*value)(const ls_unit *))
{
    ls_unit busy[16];
    int n_busy = 0;
    int64_t n = 0;
    for (uint32_t round = 0;; round++) {
        while (n_busy < n_workers && ls_search_next(search, &busy[n_busy])) n_busy++;
        if (n_busy == 0) break;
        uint32_t words[4];
        ls_philox(seed, LS_STREAM_ROWS, 0, round, words);
        const int which = (int)(words[0] % (uint32_t)n_busy);
        assert_int_equal(ls_search_finish(search, &busy[which], value(&busy[which])), LS_OK);
        /* The same result twice is refused. */
        assert_int_equal(ls_search_finish(search, &busy[which], 0) == LS_OK, 0);
        busy[which] = busy[--n_busy];
        assert_true(++n < MAX_UNITS);
    }
    assert_true(ls_search_is_over(search));
    assert_true(fabs(ls_search_share(search) - 1) < 1e-12);
    for (int64_t i = 0; i < ls_search_n_trials(search); i++) assert_true(ls_search_is_done(search, i));
    return n;
}

static double by_number(const ls_unit *unit)
{
    return (double)((unit->trial * 7 + 3) % 81) + 0.001 * (double)unit->execution;
}

static void random_search_does_each_training_once(void **state)
{
    (void)state;
    ls_search *search;
    int64_t order[20];
    assert_int_equal(ls_search_create(LS_SEARCH_RANDOM, 20, 3, 5, 3, &search), LS_OK);
    assert_int_equal(ls_search_n_units(search), 60);
    assert_int_equal(play(search, 1, 4, by_number), 60);
    ls_search_rank(search, order);
    for (int i = 1; i < 20; i++)
        assert_true(ls_search_value(search, order[i - 1]) <= ls_search_value(search, order[i]));
    assert_int_equal(ls_search_best(search), order[0]);
    assert_int_equal(ls_search_epochs(search, 3), 5);
    ls_search_destroy(search);
}

/* The best by value on each rung climb, whatever the order in which the trainings end. */
static void halving_promotes_the_best(void **state)
{
    (void)state;
    static const int64_t at_least[] = {81, 27, 9, 3, 1}, epochs[] = {1, 3, 9, 27, 81};
    for (uint64_t seed = 0; seed < 20; seed++) {
        ls_search *search;
        assert_int_equal(ls_search_create(LS_SEARCH_HALVING, 81, 2, 81, 3, &search), LS_OK);
        assert_int_equal(play(search, seed, 1 + (int)seed % 8, by_number), 2 * (81 + 27 + 9 + 3 + 1));
        for (int64_t trial = 0; trial < 81; trial++) {
            const int64_t place = (trial * 7 + 3) % 81; /* 0 is the best */
            int rung = 0;
            while (rung < 4 && place < at_least[rung + 1]) rung++;
            assert_int_equal(ls_search_epochs(search, trial), epochs[rung]);
            assert_int_equal(ls_search_is_top(search, trial), rung == 4);
        }
        ls_search_destroy(search);
    }
}

/* Two in three diverge, and all on the second rung but two. */
static double mostly_nan(const ls_unit *unit)
{
    if (unit->rung == 0 && unit->trial % 3 != 0) return NAN;
    if (unit->rung == 1 && unit->trial > 5) return NAN;
    return (double)unit->trial;
}

static void trials_without_a_value_do_not_climb(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        ls_search *search;
        assert_int_equal(ls_search_create(LS_SEARCH_HALVING, 27, 1, 27, 3, &search), LS_OK);
        assert_int_equal(play(search, seed, 3, mostly_nan), 27 + 9 + 2 + 1);
        assert_int_equal(ls_search_best(search), 0);
        assert_int_equal(ls_search_epochs(search, 0), 27);
        assert_int_equal(ls_search_epochs(search, 3), 9);
        assert_int_equal(ls_search_epochs(search, 1), 1);
        assert_true(isnan(ls_search_value(search, 1)));
        ls_search_destroy(search);
    }
}

static double always_nan(const ls_unit *unit)
{
    (void)unit;
    return NAN;
}

static void a_search_of_failures_ends(void **state)
{
    (void)state;
    ls_search *search;
    assert_int_equal(ls_search_create(LS_SEARCH_HALVING, 9, 2, 9, 3, &search), LS_OK);
    assert_int_equal(play(search, 0, 2, always_nan), 18);
    assert_int_equal(ls_search_best(search), -1);
    ls_search_destroy(search);
}

/* Table 1 of Li et al.: R = 81, eta = 3. */
static void hyperband_has_the_published_brackets(void **state)
{
    (void)state;
    ls_search *search;
    assert_int_equal(ls_search_create(LS_SEARCH_HYPERBAND, 0, 1, 81, 3, &search), LS_OK);
    static const int64_t first_trials[] = {81, 34, 15, 8, 5}, first_epochs[] = {1, 3, 9, 27, 81};
    ls_unit unit;
    for (int b = 0; b < 5; b++)
        for (int64_t i = 0; i < first_trials[b]; i++) {
            assert_true(ls_search_next(search, &unit));
            assert_int_equal(unit.epochs, first_epochs[b]);
        }
    assert_false(ls_search_next(search, &unit));
    assert_int_equal(ls_search_n_trials(search), 143);
    assert_int_equal(ls_search_n_units(search),
                     81 + 27 + 9 + 3 + 1 + 34 + 11 + 3 + 1 + 15 + 5 + 1 + 8 + 2 + 5);
    ls_search_destroy(search);
}

/* Sure to be among the best: it need not wait for the others. */
static void promotion_does_not_wait_for_the_last(void **state)
{
    (void)state;
    ls_search *search;
    ls_unit units[9], next;
    assert_int_equal(ls_search_create(LS_SEARCH_HALVING, 9, 1, 9, 3, &search), LS_OK);
    for (int i = 0; i < 9; i++) assert_true(ls_search_next(search, &units[i]));
    for (int i = 0; i < 6; i++) assert_int_equal(ls_search_finish(search, &units[i], i), LS_OK);
    assert_false(ls_search_next(search, &next)); /* three could still be better than all */
    assert_int_equal(ls_search_finish(search, &units[6], 6), LS_OK);
    assert_true(ls_search_next(search, &next));
    assert_int_equal(next.trial, 0);
    assert_int_equal(next.epochs, 3);
    assert_false(ls_search_next(search, &next));
    ls_search_destroy(search);
}

static void unusable_searches_are_refused(void **state)
{
    (void)state;
    ls_search *search;
    assert_int_equal(ls_search_create(LS_SEARCH_RANDOM, 0, 1, 1, 3, &search), LS_E_USAGE);
    assert_int_equal(ls_search_create(LS_SEARCH_RANDOM, 1, 0, 1, 3, &search), LS_E_USAGE);
    assert_int_equal(ls_search_create(LS_SEARCH_RANDOM, INT64_MAX, 1, 1, 3, &search), LS_E_USAGE);
    assert_int_equal(ls_search_create(LS_SEARCH_HALVING, 9, 1, 9, 1, &search), LS_E_USAGE);
    assert_int_equal(ls_search_create(LS_SEARCH_HYPERBAND, 0, 1, INT64_MAX, 3, &search), LS_E_USAGE);
    assert_int_equal(ls_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_search_does_each_training_once),
        cmocka_unit_test(halving_promotes_the_best),
        cmocka_unit_test(trials_without_a_value_do_not_climb),
        cmocka_unit_test(a_search_of_failures_ends),
        cmocka_unit_test(hyperband_has_the_published_brackets),
        cmocka_unit_test(promotion_does_not_wait_for_the_last),
        cmocka_unit_test(unusable_searches_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
