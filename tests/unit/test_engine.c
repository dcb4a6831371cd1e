#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/engine.h"
#include "unit.h"

enum { ROWS = 24, SHARDS = 8 };

typedef struct network {
    int64_t n_features, hidden[4], n_hidden;
    ls_activation activation;
    ls_loss loss;
    int64_t n_outputs;
    ls_activation output_activation;
    double label_smoothing, dropout;
    bool columns, weighted; /* classes in columns; samples with weights */
} network;

static const network networks[] = {
    {3, {0}, 0, LS_TANH},
    {2, {2, 2}, 2, LS_TANH},
    {5, {7, 3, 4}, 3, LS_SIGMOID},
    {4, {6, 5}, 2, LS_RELU},
    {1, {1}, 1, LS_LINEAR},
    {2, {8, 8, 4, 2}, 4, LS_TANH},
    /* Wider than a vector, not a multiple of it, narrow layers before, between and after. */
    {3, {19, 2, 40, 33}, 4, LS_TANH},
    {2, {4, 16, 3}, 3, LS_SIGMOID},
    {7, {16}, 1, LS_RELU},
    /* Other activations, losses and targets. */
    {3, {5, 4}, 2, LS_ELU, .label_smoothing = 0.2, .weighted = true},
    {3, {4, 3}, 2, LS_SELU, LS_SPARSE_CATEGORICAL_CROSSENTROPY, 3},
    {4, {6}, 1, LS_GELU, LS_CATEGORICAL_CROSSENTROPY, 4, .columns = true, .weighted = true},
    {2, {18, 20}, 2, LS_GELU, LS_SPARSE_CATEGORICAL_CROSSENTROPY, 17, .label_smoothing = 0.1},
    {5, {3, 4}, 2, LS_SOFTPLUS, LS_MEAN_SQUARED_ERROR, 2, LS_LINEAR, .weighted = true},
    {2, {5}, 1, LS_LEAKY_RELU, LS_MEAN_ABSOLUTE_ERROR, 1, LS_TANH},
    {3, {6, 6}, 2, LS_TANH, LS_HUBER, 3, LS_GELU, .dropout = 0.25},
    {4, {7, 17}, 2, LS_SIGMOID, LS_SPARSE_CATEGORICAL_CROSSENTROPY, 2, .dropout = 0.5, .weighted = true},
    {4, {9}, 1, LS_TANH, .dropout = 0.125},
    /* Several labels. */
    {4,
     {6, 5},
     2,
     LS_TANH,
     LS_BINARY_CROSSENTROPY,
     3,
     .label_smoothing = 0.1,
     .columns = true,
     .weighted = true},
    {3, {18}, 1, LS_RELU, LS_BINARY_CROSSENTROPY, 17, .columns = true},
};
enum { N_NETWORKS = sizeof networks / sizeof networks[0], MAX_OUTPUTS = 17, MAX_Y = MAX_OUTPUTS + 1 };

static const ls_engine_kind *const kinds[] = {&ls_engine_reference, &ls_engine_simd, &ls_engine_blas};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static ls_targets targets_of(const network *n)
{
    const bool numbers = ls_loss_is_regression(n->loss) || n->columns;
    return (ls_targets){.n_columns = numbers ? n->n_outputs : 1, .weighted = n->weighted};
}

static int64_t y_values(const network *n)
{
    const ls_targets targets = targets_of(n);
    return ls_targets_row_values(&targets);
}

static ls_engine *make_engine(const ls_engine_kind *kind, const network *n, const ls_model *model,
                              int64_t n_shards)
{
    ls_engine *engine;
    const ls_engine_plan plan = {
        .targets = targets_of(n), .batch_size = ROWS, .n_shards = n_shards, .seed = 7};
    assert_int_equal(ls_engine_create(kind, model, &plan, &engine), LS_OK);
    return engine;
}

/* The gradient of rows as they follow one another, the first of which has the number first_sample. */
static void gradient(ls_engine *engine, const void *x, const void *y, int64_t first_sample,
                     const int64_t *shard_rows, int64_t n_shards, void *message)
{
    ls_rows rows[ROWS];
    const size_t value = ls_dtype_size(engine->model->dtype);
    for (int64_t s = 0, row = 0; s < n_shards; row += shard_rows[s++])
        rows[s] =
            (ls_rows){(const char *)x + (size_t)(row * engine->model->n_features) * value,
                      (const char *)y + (size_t)(row * ls_targets_row_values(&engine->targets)) * value};
    void *packed;
    const size_t size = engine->kind->packed_size(engine, shard_rows, n_shards);
    assert_int_equal(ls_alloc(&packed, size, 1, "packed rows"), LS_OK);
    memset(packed, 0xff, size);
    engine->kind->pack(engine, rows, shard_rows, n_shards, packed);
    engine->first_sample = first_sample;
    engine->kind->gradient(engine, packed, shard_rows, n_shards, message);
    ls_free(packed);
}

static ls_model *make_model(const network *n, ls_dtype dtype, uint64_t seed)
{
    ls_model *model;
    const ls_network wanted = {.dtype = dtype,
                               .n_features = n->n_features,
                               .hidden = n->hidden,
                               .n_hidden = n->n_hidden,
                               .activation = n->activation,
                               .dropout = n->dropout,
                               .loss = n->loss,
                               .n_outputs = n->n_outputs,
                               .output_activation = n->output_activation,
                               .label_smoothing = n->label_smoothing,
                               .huber_delta = 0.3};
    assert_int_equal(ls_model_create_network(&wanted, &model), LS_OK);
    ls_model_init_glorot_uniform(model, seed);
    /* Biases away from zero, so that a wrong bias gradient shows everywhere. */
    for (int64_t i = 0; i < model->n_parameters; i++) {
        if (dtype == LS_FLOAT64) ((double *)model->parameters)[i] += 0.01 * (double)(i % 7);
        if (dtype == LS_FLOAT32) ((float *)model->parameters)[i] += 0.01f * (float)(i % 7);
    }
    return model;
}

static void make_rows(const network *n, double *x, double *y)
{
    const ls_targets targets = targets_of(n);
    for (int64_t i = 0; i < ROWS * n->n_features; i++) x[i] = sin(1.7 * (double)i + 0.3);
    for (int64_t i = 0; i < ROWS; i++, y += ls_targets_row_values(&targets)) {
        for (int64_t k = 0; k < targets.n_columns; k++) {
            y[k] = n->columns                          ? (double)((i * 5 + k) % n->n_outputs == 0)
                   : ls_loss_is_regression(n->loss)    ? cos(2.3 * (double)(i + 3 * k))
                   : n->loss == LS_BINARY_CROSSENTROPY ? (double)((i * 5 % 7) < 3)
                                                       : (double)(i * 5 % 7 % n->n_outputs);
        }
        if (targets.weighted) y[targets.n_columns] = (double)(i % 4) / 2; /* 0, too */
    }
}

static double step_loss(ls_engine *engine, const double *x, const double *y, double *message)
{
    const int64_t rows = ROWS;
    gradient(engine, x, y, 1000, &rows, 1, message);
    return ls_message_doubles(&engine->layout, message)[LS_STEP_LOSS];
}

/* The derivative by each parameter against the central difference (f(w+h) - f(w-h)) / 2h: with h = 1e-5 both
 * the rounding (eps f / h) and the truncation (h^2 f''') stay below 1e-9 of the gradient's scale. */
static void gradients_equal_finite_differences(void **state)
{
    (void)state;
    double *first = NULL; /* gradient of the reference */
    for (int n = 0; n < N_NETWORKS * N_KINDS; n++) {
        const network *which = &networks[n / N_KINDS];
        ls_model *model = make_model(which, LS_FLOAT64, 11);
        ls_engine *engine = make_engine(kinds[n % N_KINDS], which, model, 1);
        double x[ROWS * 8], y[ROWS * MAX_Y], *w = model->parameters;
        ls_metrics metrics = {0};
        make_rows(which, x, y);
        double *message = calloc(1, engine->layout.size), *other = calloc(1, engine->layout.size);
        const double loss = step_loss(engine, x, y, message);
        engine->kind->measure(engine, x, y, ROWS, &metrics, NULL);
        assert_true(metrics.n_samples == ROWS &&
                    (which->dropout > 0) == (fabs(loss - metrics.loss_sum) > 1e-11));
        /* Differences for the reference; the other engines have its gradient. */
        for (int64_t i = 0; n % N_KINDS > 0 && i < model->n_parameters; i++)
            if (!(fabs(message[i] - first[i]) < 1e-11))
                fail_msg("network %d, %s, parameter %lld: %.17g, not %.17g", n / N_KINDS, engine->kind->name,
                         (long long)i, message[i], first[i]);
        for (int64_t i = 0; n % N_KINDS == 0 && i < model->n_parameters; i++) {
            const double h = 1e-5, at = w[i];
            w[i] = at + h;
            const double above = step_loss(engine, x, y, other);
            w[i] = at - h;
            const double below = step_loss(engine, x, y, other);
            w[i] = at;
            if (!(fabs((above - below) / (2 * h) - message[i]) < 2e-7))
                fail_msg("network %d, %s, parameter %lld: %.9g, not %.9g", n / N_KINDS, engine->kind->name,
                         (long long)i, message[i], (above - below) / (2 * h));
        }
        if (n % N_KINDS == 0) {
            free(first);
            first = message;
        } else {
            free(message);
        }
        free(other);
        ls_engine_destroy(engine);
        ls_model_free(model);
    }
    free(first);
}

static void float32_agrees_with_float64(void **state)
{
    (void)state;
    for (int n = 0; n < N_NETWORKS * N_KINDS; n++) {
        const network *which = &networks[n / N_KINDS];
        ls_model *wide = make_model(which, LS_FLOAT32, 5), *narrow = make_model(which, LS_FLOAT32, 5);
        assert_int_equal(ls_model_convert(wide, LS_FLOAT64), LS_OK);
        ls_engine *a = make_engine(kinds[0], which, wide, 1),
                  *b = make_engine(kinds[n % N_KINDS], which, narrow, 1);
        double x[ROWS * 8], y[ROWS * MAX_Y], outputs[ROWS * MAX_OUTPUTS];
        float xf[ROWS * 8], yf[ROWS * MAX_Y], narrow_outputs[ROWS * MAX_OUTPUTS];
        const int64_t rows = ROWS;
        make_rows(which, x, y);
        for (int64_t i = 0; i < ROWS * wide->n_features; i++) x[i] = xf[i] = (float)x[i];
        for (int64_t i = 0; i < ROWS * y_values(which); i++) y[i] = yf[i] = (float)y[i];
        double *m = calloc(1, a->layout.size);
        float *f = calloc(1, b->layout.size);
        gradient(a, x, y, 50, &rows, 1, m);
        gradient(b, xf, yf, 50, &rows, 1, f);
        for (int64_t i = 0; i < wide->n_parameters; i++) assert_true(fabs(m[i] - (double)f[i]) < 2e-5);
        assert_memory_equal(ls_message_ints(&a->layout, m), ls_message_ints(&b->layout, f),
                            LS_STEP_INTS * sizeof(int64_t));
        const double *sums = ls_message_doubles(&a->layout, m),
                     *narrow_sums = ls_message_doubles(&b->layout, f);
        for (int64_t i = 0; i < a->layout.n_doubles; i++) assert_true(fabs(sums[i] - narrow_sums[i]) < 1e-4);
        ls_metrics metrics = {0}, narrow_metrics = {0};
        a->kind->measure(a, x, y, ROWS, &metrics, outputs);
        b->kind->measure(b, xf, yf, ROWS, &narrow_metrics, narrow_outputs);
        assert_true(metrics.tp == narrow_metrics.tp && metrics.n_correct == narrow_metrics.n_correct);
        assert_true(fabs(metrics.absolute_error_sum - narrow_metrics.absolute_error_sum) < 1e-4);
        for (int64_t i = 0; i < ROWS * ls_model_n_outputs(wide); i++)
            assert_true(fabs(outputs[i] - (double)narrow_outputs[i]) < 1e-5);
        /* Without targets, the same outputs. */
        memset(narrow_outputs, 0xff, sizeof narrow_outputs);
        b->kind->measure(b, xf, NULL, ROWS, NULL, narrow_outputs);
        for (int64_t i = 0; i < ROWS * ls_model_n_outputs(wide); i++)
            assert_true(fabs(outputs[i] - (double)narrow_outputs[i]) < 1e-5);
        free(m);
        free(f);
        ls_engine_destroy(a);
        ls_engine_destroy(b);
        ls_model_free(wide);
        ls_model_free(narrow);
    }
}

/* The sums of all shards in one call are those of calls for parts of them, added along the tree, whatever the
 * parts; empty shards add nothing. */
static void check_tree(const ls_engine_kind *kind, const network *n, ls_dtype dtype,
                       const int64_t *shard_rows)
{
    ls_model *model = make_model(n, dtype, 3);
    ls_engine *engine = make_engine(kind, n, model, SHARDS);
    double x[ROWS * 8], y[ROWS * MAX_Y];
    float xf[ROWS * 8], yf[ROWS * MAX_Y];
    make_rows(n, x, y);
    for (int64_t i = 0; i < ROWS * model->n_features; i++) xf[i] = (float)x[i];
    for (int64_t i = 0; i < ROWS * y_values(n); i++) yf[i] = (float)y[i];
    const void *x_rows = dtype == LS_FLOAT32 ? (void *)xf : x, *y_rows = dtype == LS_FLOAT32 ? (void *)yf : y;
    const size_t size = engine->layout.size, value = ls_dtype_size(dtype);
    char *parts = calloc(SHARDS, size), *all = calloc(1, size);
    /* gradient writes, it does not add */
    memset(all, 0xff, (size_t)model->n_parameters * value);
    memset(all + engine->layout.doubles_at, 0xff, size - engine->layout.doubles_at);
    gradient(engine, x_rows, y_rows, 0, shard_rows, SHARDS, all);
    assert_int_equal(ls_message_ints(&engine->layout, all)[LS_STEP_SAMPLES], ROWS);
    for (int part = 1; part < SHARDS; part *= 2) {
        int64_t row = 0;
        for (int s = 0; s < SHARDS; s += part) {
            gradient(engine, (const char *)x_rows + (size_t)(row * model->n_features) * value,
                     (const char *)y_rows + (size_t)(row * y_values(n)) * value, row, shard_rows + s, part,
                     parts + (size_t)s * size);
            for (int i = 0; i < part; i++) row += shard_rows[s + i];
        }
        assert_int_equal(row, ROWS);
        for (int distance = part; distance < SHARDS; distance *= 2)
            for (int s = 0; s < SHARDS; s += 2 * distance)
                ls_message_add(&engine->layout, parts + (size_t)s * size,
                               parts + (size_t)(s + distance) * size);
        assert_memory_equal(all, parts, size);
    }
    free(parts);
    free(all);
    ls_engine_destroy(engine);
    ls_model_free(model);
}

static void shards_are_added_along_the_tree(void **state)
{
    (void)state;
    static const int64_t shard_rows[3][SHARDS] = {
        {3, 3, 3, 3, 3, 3, 3, 3}, {0, 1, 0, 5, 7, 0, 11, 0}, {0, 0, 0, 0, 0, 0, 0, 24}};
    for (int n = 0; n < N_NETWORKS; n++)
        for (int kind = 0; kind < N_KINDS; kind++)
            for (int uneven = 0; uneven < 3; uneven++)
                for (int dtype = 0; dtype < 2; dtype++)
                    check_tree(kinds[kind], &networks[n], (ls_dtype)dtype, shard_rows[uneven]);
}

static void check_huge_logits(const ls_engine_kind *kind)
{
    const network logistic = {1, {0}, 0, LS_TANH};
    ls_model *model = make_model(&logistic, LS_FLOAT32, 1);
    ls_engine *engine = make_engine(kind, &logistic, model, 1);
    ((float *)model->parameters)[0] = 1;
    ((float *)model->parameters)[1] = 0;
    const float x[4] = {1e4f, -1e4f, 1e4f, -1e4f}, y[4] = {1, 0, 0, 1};
    float p[4];
    ls_metrics metrics = {0};
    engine->kind->measure(engine, x, y, 4, &metrics, p);
    assert_true(metrics.loss_sum == 2e4);
    assert_int_equal(metrics.tp, 1);
    assert_int_equal(metrics.tn, 1);
    assert_int_equal(metrics.fp, 1);
    assert_int_equal(metrics.fn, 1);
    assert_true(p[0] == 1 && p[1] == 0);
    ls_engine_destroy(engine);
    ls_model_free(model);
}

static void huge_logits_stay_finite(void **state)
{
    (void)state;
    for (int kind = 0; kind < N_KINDS; kind++) check_huge_logits(kinds[kind]);
}

static void nothing_is_left_allocated(void **state)
{
    (void)state;
    assert_int_equal(ls_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_equal_finite_differences), cmocka_unit_test(float32_agrees_with_float64),
        cmocka_unit_test(shards_are_added_along_the_tree),    cmocka_unit_test(huge_logits_stay_finite),
        cmocka_unit_test(nothing_is_left_allocated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
