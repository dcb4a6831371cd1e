#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "train/space.h"
#include "unit.h"

static ls_trial base;

static int setup(void **state)
{
    (void)state;
    ls_train_defaults(&base.train);
    base.network.activation = LS_RELU;
    base.seed = -1;
    return 0;
}

static ls_space *parse(const char *text)
{
    ls_space *space;
    const ls_status status = ls_space_parse("space.json", text, &base, &space);
    if (status != LS_OK) fail_msg("%s: %s", text, ls_error_message());
    return space;
}

static void refuses(const char *text, const char *part)
{
    ls_space *space;
    assert_int_equal(ls_space_parse("space.json", text, &base, &space), LS_E_INPUT);
    assert_null(space);
    if (!strstr(ls_error_message(), part) || strncmp(ls_error_message(), "space.json: ", 12) != 0)
        fail_msg("%s: '%s' without '%s'", text, ls_error_message(), part);
}

static void wrong_spaces_are_named(void **state)
{
    (void)state;
    refuses("{", "line 1: not JSON");
    refuses("[1]", "must be a JSON object");
    refuses("{\"batch_size\": 8, \"batch_size\": 9}", "duplicate");
    refuses("{\"batchsize\": 8}", "'batchsize' is no hyperparameter: it can be one of layers, units");
    refuses("{\"batch_size\": []}", "batch_size: the list of values is empty");
    refuses("{\"batch_size\": [8, 0]}", "batch_size: 0 is not within");
    refuses("{\"batch_size\": 8.5}", "batch_size: must be a whole number");
    refuses("{\"batch_size\": \"8\"}", "batch_size: must be a whole number");
    refuses("{\"learning_rate\": 0}", "learning_rate: 0 is not within");
    refuses("{\"learning_rate\": {\"min\": 1}}", "a range needs min and max");
    refuses("{\"learning_rate\": {\"min\": 2, \"max\": 1}}", "min 2 is above max 1");
    refuses("{\"learning_rate\": {\"min\": 1, \"max\": 2, \"sampling\": \"exp\"}}",
            "sampling must be linear or log");
    refuses("{\"learning_rate\": {\"min\": 1, \"max\": 2, \"most\": 3}}", "'most' is unknown");
    refuses("{\"learning_rate\": {\"min\": 1, \"max\": 2, \"step\": 0}}", "step must be a number above 0");
    refuses("{\"learning_rate\": {\"min\": 1, \"max\": 2, \"sampling\": \"log\", \"step\": 1}}",
            "step must be a number above 1");
    refuses("{\"seed\": {\"min\": 0, \"max\": 2, \"sampling\": \"log\"}}", "needs a min above 0");
    refuses("{\"activation\": \"tan\"}", "activation 'tan' is unknown");
    refuses("{\"activation\": {\"min\": 1, \"max\": 2}}", "activation: has no ranges");
    refuses("{\"hidden\": 4}", "hidden: must be lists");
    refuses("{\"hidden\": [[4, 0]]}", "hidden: 0 is not within");
    refuses("{\"layers\": 2}", "layers needs units");
    refuses("{\"units\": 2}", "units needs layers");
    refuses("{\"layers\": 2, \"units\": 2, \"hidden\": [[2]]}", "leave one out");
    refuses("{\"layers\": 65, \"units\": 2}", "layers: 65 is not within 0 .. 64");
    assert_int_equal(ls_alloc_live(), 0);
}

static int64_t count(const char *text)
{
    int64_t n;
    ls_space *space = parse(text);
    assert_int_equal(ls_space_count(space, &n), LS_OK);
    ls_space_destroy(space);
    return n;
}

static void points_are_counted(void **state)
{
    (void)state;
    assert_int_equal(count("{}"), 1);
    assert_int_equal(count("{\"hidden\": []}"), 1);
    assert_int_equal(count("{\"hidden\": [2, 2]}"), 1);
    assert_int_equal(count("{\"hidden\": [[], [2], [2, 2]]}"), 3);
    assert_int_equal(count("{\"batch_size\": {\"min\": 2, \"max\": 16}}"), 15);
    assert_int_equal(count("{\"batch_size\": {\"min\": 2, \"max\": 17, \"step\": 2}}"), 8);
    assert_int_equal(count("{\"learning_rate\": {\"min\": 0.1, \"max\": 0.3, \"step\": 0.1}}"), 3);
    assert_int_equal(
        count("{\"learning_rate\": {\"min\": 1e-4, \"max\": 0.1, \"sampling\": \"log\", \"step\": 10}}"), 4);
    /* 1 + 3 + 9 networks */
    assert_int_equal(
        count("{\"layers\": [0, 1, 2], \"units\": [2, 4, 8], \"activation\": [\"tanh\", \"relu\"]}"), 26);
    assert_true(count("{\"layers\": 64, \"units\": {\"min\": 1, \"max\": 1000}}") == INT64_MAX);
    int64_t n;
    ls_space *space = parse("{\"learning_rate\": {\"min\": 1, \"max\": 2}}");
    assert_int_equal(ls_space_count(space, &n), LS_E_INPUT);
    assert_non_null(strstr(ls_error_message(), "learning_rate: takes any number from 1 to 2"));
    ls_space_destroy(space);
}

static void the_grid_has_every_point_once(void **state)
{
    (void)state;
    ls_space *space = parse(
        "{\"activation\": [\"tanh\", \"relu\"], \"layers\": {\"min\": 0, \"max\": 2}, \"units\": [2, 5], "
        "\"learning_rate\": [0.5, 0.25]}");
    enum { N = 2 * (1 + 2 + 4) * 2 };
    int64_t n;
    char *texts[N];
    assert_int_equal(ls_space_count(space, &n), LS_OK);
    assert_int_equal(n, N);
    for (int64_t i = 0; i < N; i++) {
        json_t *values;
        assert_int_equal(ls_space_point(space, i, &values), LS_OK);
        texts[i] = json_dumps(values, JSON_COMPACT);
        for (int64_t k = 0; k < i; k++) assert_string_not_equal(texts[i], texts[k]);
        json_decref(values);
    }
    assert_string_equal(texts[0], "{\"activation\":\"tanh\",\"hidden\":[],\"learning_rate\":0.5}");
    assert_string_equal(texts[1], "{\"activation\":\"tanh\",\"hidden\":[],\"learning_rate\":0.25}");
    assert_string_equal(texts[8], "{\"activation\":\"tanh\",\"hidden\":[2,5],\"learning_rate\":0.5}");
    assert_string_equal(texts[N - 1], "{\"activation\":\"relu\",\"hidden\":[5,5],\"learning_rate\":0.25}");
    for (int64_t i = 0; i < N; i++) free(texts[i]);
    ls_space_destroy(space);
}

static void values_become_settings(void **state)
{
    (void)state;
    ls_space *space =
        parse("{\"hidden\": [7, 3], \"batch_size\": 1e3, \"learning_rate\": 1, \"epochs\": 9, \"seed\": 4}");
    json_t *values;
    ls_trial trial;
    assert_int_equal(ls_space_point(space, 0, &values), LS_OK);
    assert_int_equal(ls_space_settings(space, values, &trial), LS_OK);
    assert_int_equal(trial.network.n_hidden, 2);
    assert_int_equal(trial.hidden[0], 7);
    assert_int_equal(trial.hidden[1], 3);
    assert_int_equal(trial.train.batch_size, 1000);
    assert_true(trial.train.learning_rate == 1);
    assert_int_equal(trial.train.epochs, 9);
    assert_int_equal(trial.seed, 4);
    assert_int_equal(trial.network.activation, LS_RELU); /* not varied */
    assert_true(ls_space_varies(space, "seed") && !ls_space_varies(space, "activation"));
    json_decref(values);
    ls_space_destroy(space);
}

/* What a seed means must not change from version to version. */
static void draws_are_these(void **state)
{
    (void)state;
    ls_space *space =
        parse("{\"layers\": {\"min\": 1, \"max\": 4}, \"units\": {\"min\": 2, \"max\": 16}, \"activation\": "
              "[\"tanh\", "
              "\"relu\"], \"learning_rate\": {\"min\": 1e-4, \"max\": 0.1, \"sampling\": \"log\"}}");
    static const char *const expected[] = {
        "{\"hidden\":[16,10,11,9],\"activation\":\"tanh\",\"learning_rate\":0.00305418}",
        "{\"hidden\":[7,16,6,7],\"activation\":\"relu\",\"learning_rate\":0.0386159}",
        "{\"hidden\":[16,10,14],\"activation\":\"relu\",\"learning_rate\":0.0323521}"};
    for (uint64_t i = 0; i < 3; i++) {
        json_t *values;
        assert_int_equal(ls_space_draw(space, 7, i, &values), LS_OK);
        char *text = json_dumps(values, JSON_COMPACT | JSON_REAL_PRECISION(6));
        assert_string_equal(text, expected[i]);
        free(text);
        json_decref(values);
    }
    ls_space_destroy(space);
}

static void draws_fill_their_ranges_evenly(void **state)
{
    (void)state;
    enum { N = 20000 };
    ls_space *space = parse(
        "{\"learning_rate\": {\"min\": 1e-3, \"max\": 10, \"sampling\": \"log\"}, \"batch_size\": {\"min\": "
        "1, "
        "\"max\": 8, \"sampling\": \"log\"}, \"epochs\": {\"min\": 10, \"max\": 13}, \"seed\": [1, 2, 3]}");
    int decades[4] = {0}, batches[9] = {0}, epochs[4] = {0}, seeds[4] = {0};
    for (uint64_t i = 0; i < N; i++) {
        json_t *values;
        ls_trial trial;
        assert_int_equal(ls_space_draw(space, 1, i, &values), LS_OK);
        assert_int_equal(ls_space_settings(space, values, &trial), LS_OK);
        json_decref(values);
        const int decade = (int)floor(log10(trial.train.learning_rate)) + 3;
        assert_in_range(decade, 0, 3);
        decades[decade]++;
        assert_in_range(trial.train.batch_size, 1, 8);
        batches[trial.train.batch_size]++;
        assert_in_range(trial.train.epochs, 10, 13);
        epochs[trial.train.epochs - 10]++;
        seeds[trial.seed]++;
    }
    /* Within 6 standard deviations. */
    for (int i = 0; i < 4; i++) assert_in_range(decades[i], N / 4 - 370, N / 4 + 370);
    for (int i = 0; i < 4; i++) assert_in_range(epochs[i], N / 4 - 370, N / 4 + 370);
    for (int i = 1; i < 4; i++) assert_in_range(seeds[i], N / 3 - 400, N / 3 + 400);
    /* Each whole number has the room up to the next: 1 has a third of 1 .. 9 on a log scale (log 2 / log 9).
     */
    for (int i = 1; i <= 8; i++) {
        const double share = log((i + 1.0) / i) / log(9.0);
        assert_in_range(batches[i], (int)(N * share) - 420, (int)(N * share) + 420);
    }
    ls_space_destroy(space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wrong_spaces_are_named),
        cmocka_unit_test(points_are_counted),
        cmocka_unit_test(the_grid_has_every_point_once),
        cmocka_unit_test(values_become_settings),
        cmocka_unit_test(draws_are_these),
        cmocka_unit_test(draws_fill_their_ranges_evenly),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
