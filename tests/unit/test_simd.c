/* The vector kernels: how accurate their functions are, and that all instruction sets give the same bits. The
 * oracle is the C library's long double, whose own error is 2^-11 of a float64's. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/engine.h"
#include "engine/simd/kernel.h"
#include "unit.h"

enum { BLOCK = 1024 };

typedef struct function {
    const char *name;
    size_t offset; /* in the kernel */
    long double (*oracle)(long double);
    double bounds[2]; /* greatest error in ulp, by dtype */
    double first, last;
} function;

static long double exp_minus(long double x)
{
    return expl(-fabsl(x));
}

static long double sigmoid(long double x)
{
    return 1 / (1 + expl(-x));
}

static long double gelu(long double x)
{
    return x * erfcl(-x * 0.70710678118654752440084436210485L) / 2;
}

static long double softplus(long double x)
{
    return (x > 0 ? x : 0) + log1pl(expl(-fabsl(x)));
}

static long double elu(long double x)
{
    return x > 0 ? x : expm1l(x);
}

#define AT(member) offsetof(ls_simd_kernel, member)
static const function functions[] = {
    {"tanh", AT(tanh), tanhl, {3, 3}, -INFINITY, INFINITY},
    {"exp_minus", AT(exp_minus), exp_minus, {2, 2}, -INFINITY, INFINITY},
    {"sigmoid", AT(sigmoid), sigmoid, {3, 3}, -INFINITY, INFINITY},
    {"log1p", AT(log1p), log1pl, {2, 2}, 0, INFINITY},
    {"gelu", AT(gelu), gelu, {8, 16}, -INFINITY, INFINITY},
    {"softplus", AT(softplus), softplus, {3, 3}, -INFINITY, INFINITY},
    {"elu", AT(elu), elu, {3, 3}, -INFINITY, INFINITY},
};

static void call(const ls_simd_kernel *kernel, const function *f, const void *x, void *y)
{
    void (*apply)(const void *, int64_t, void *);
    memcpy(&apply, (const char *)kernel + f->offset, sizeof apply);
    apply(x, BLOCK, y);
}

/* Error in units of the last place of a float32 or float64 at the true value. Below the smallest normal
 * number, which the functions round to zero, in units of that number's last place. */
static double ulps(ls_dtype dtype, double value, long double truth)
{
    const int digits = dtype == LS_FLOAT32 ? 24 : 53, least = dtype == LS_FLOAT32 ? -125 : -1021;
    int exponent = least;
    if (truth != 0) frexpl(truth, &exponent);
    if (exponent < least) {
        if (value == 0) return 0;
        exponent = least;
    }
    return (double)(fabsl((long double)value - truth) / ldexpl(1, exponent - digits));
}

/* Every 2^stride-th bit pattern, and with them all exponents and both signs. */
static void check_float32(const ls_simd_kernel *kernel, const function *f)
{
    float x[BLOCK], y[BLOCK];
    double worst = 0, worst_at = 0;
    const uint64_t step = 1021; /* a prime: all kinds of fractions */
    for (uint64_t bits = 0; bits < UINT64_C(1) << 32;) {
        for (int i = 0; i < BLOCK; i++, bits += step) {
            const uint32_t pattern = (uint32_t)bits;
            memcpy(&x[i], &pattern, sizeof x[i]);
            if (!(x[i] >= f->first && x[i] <= f->last) || isinf(x[i])) x[i] = 1;
        }
        call(kernel, f, x, y);
        for (int i = 0; i < BLOCK; i++) {
            const double error = ulps(LS_FLOAT32, y[i], f->oracle(x[i]));
            if (!(error <= worst)) {
                worst = error;
                worst_at = x[i];
            }
        }
    }
    print_message("%s float32 (%s): at most %.2f ulp, at %.9g\n", f->name, kernel->name, worst, worst_at);
    assert_true(worst <= f->bounds[LS_FLOAT32]);
}

static void check_float64(const ls_simd_kernel *kernel, const function *f)
{
    double x[BLOCK], y[BLOCK], worst = 0, worst_at = 0;
    uint64_t bits = 0;
    for (int block = 0; block < 1000; block++) {
        for (int i = 0; i < BLOCK; i++) {
            /* Half over all bit patterns, half where the functions are not constant. */
            bits = bits * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            memcpy(&x[i], &bits, sizeof x[i]);
            if (i % 2) x[i] = ldexp((double)(int64_t)bits, -63 + (int)(bits >> 8) % 11);
            if (f->first == 0) x[i] = fabs(x[i]);
            if (!isfinite(x[i])) x[i] = 1;
        }
        call(kernel, f, x, y);
        for (int i = 0; i < BLOCK; i++) {
            const double error = ulps(LS_FLOAT64, y[i], f->oracle(x[i]));
            if (!(error <= worst)) {
                worst = error;
                worst_at = x[i];
            }
        }
    }
    print_message("%s float64 (%s): at most %.2f ulp, at %.17g\n", f->name, kernel->name, worst, worst_at);
    assert_true(worst <= f->bounds[LS_FLOAT64]);
}

static void functions_are_accurate_over_the_whole_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        check_float32(ls_simd_kernel_named(LS_FLOAT32, NULL), &functions[i]);
        check_float64(ls_simd_kernel_named(LS_FLOAT64, NULL), &functions[i]);
    }
}

static void special_values_are_kept(void **state)
{
    (void)state;
    const ls_simd_kernel *kernel = ls_simd_kernel_named(LS_FLOAT64, NULL);
    for (size_t f = 0; f < sizeof functions / sizeof functions[0]; f++) {
        double x[BLOCK] = {NAN, INFINITY, -INFINITY, -0.0, 0.0}, y[BLOCK];
        call(kernel, &functions[f], x, y);
        assert_true(isnan(y[0]));
        if (functions[f].first == 0) continue; /* log1p is only called for finite numbers */
        assert_true(y[1] == (double)functions[f].oracle(INFINITY));
        if (functions[f].oracle != gelu) assert_true(y[2] == (double)functions[f].oracle(-INFINITY));
        assert_true(ulps(LS_FLOAT64, y[3], functions[f].oracle(0)) < 2 && y[4] == y[3]);
        if (functions[f].oracle == tanhl) assert_true(signbit(y[3]) && !signbit(y[4]));
    }
}

/* ---- all instruction sets ---- */

enum { ROWS = 333, MAX_FEATURES = 8, MAX_LAYERS = 5 };

static uint64_t random_state = 1;

static int64_t draw(int64_t n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (int64_t)((random_state >> 33) % (uint64_t)n);
}

enum { MAX_OUTPUTS = 5, MAX_Y = MAX_OUTPUTS + 1 };

typedef struct results {
    char *message;
    ls_metrics metrics;
    char outputs[ROWS * MAX_OUTPUTS * sizeof(double)];
} results;

static void compute(const ls_engine_kind *kind, const ls_model *model, ls_targets targets, int64_t n_shards,
                    const void *x, const void *y, const int64_t *shard_rows, results *r)
{
    ls_engine *engine;
    void *packed;
    ls_rows rows[ROWS];
    const size_t value = ls_dtype_size(model->dtype);
    for (int64_t s = 0, row = 0; s < n_shards; row += shard_rows[s++])
        rows[s] = (ls_rows){(const char *)x + (size_t)(row * model->n_features) * value,
                            (const char *)y + (size_t)(row * ls_targets_row_values(&targets)) * value};
    const ls_engine_plan plan = {.targets = targets, .batch_size = ROWS, .n_shards = n_shards, .seed = 3};
    assert_int_equal(ls_engine_create(kind, model, &plan, &engine), LS_OK);
    assert_int_equal(ls_alloc(&packed, engine->kind->packed_size(engine, shard_rows, n_shards), 1, "packed"),
                     LS_OK);
    kind->pack(engine, rows, shard_rows, n_shards, packed);
    memset(r, 0, sizeof *r);
    r->message = calloc(1, engine->layout.size);
    kind->gradient(engine, packed, shard_rows, n_shards, r->message);
    kind->measure(engine, x, y, ROWS, &r->metrics, r->outputs);
    ls_free(packed);
    ls_engine_destroy(engine);
}

static double value_at(ls_dtype dtype, const void *values, int64_t i)
{
    return dtype == LS_FLOAT32 ? (double)((const float *)values)[i] : ((const double *)values)[i];
}

/* Random networks: every instruction set that this processor has gives the bits of the portable one, and
 * those of the reference engine within rounding. */
static void instruction_sets_agree_to_the_bit(void **state)
{
    (void)state;
    static const char *const sets[] = {"portable", "avx2", "avx512"};
    int n_compared[3] = {0};
    for (int round = 0; round < 60; round++) {
        const ls_dtype dtype = round % 2 ? LS_FLOAT64 : LS_FLOAT32;
        int64_t hidden[MAX_LAYERS], shard_rows[64] = {0};
        const int64_t n_features = 1 + draw(MAX_FEATURES), n_hidden = draw(MAX_LAYERS),
                      n_shards = 1 << draw(7);
        for (int64_t i = 0; i < n_hidden; i++) hidden[i] = 1 + draw(i % 2 ? 40 : 7);
        for (int64_t i = 0; i < n_shards; i++) shard_rows[i] = ROWS / n_shards + (i < ROWS % n_shards);
        ls_model *model;
        /* Half of them plain, with the activations of products. */
        const bool plain = round % 4 < 2;
        const ls_network network = {
            .dtype = dtype,
            .n_features = n_features,
            .hidden = hidden,
            .n_hidden = n_hidden,
            .activation = (ls_activation)draw(plain ? 4 : LS_SOFTMAX),
            .dropout = plain || draw(2) ? 0 : 0.25,
            .loss = plain ? LS_BINARY_CROSSENTROPY : (ls_loss)draw(LS_HUBER + 1),
        };
        ls_network whole = network;
        if (!plain) whole.n_outputs = 2 + draw(MAX_OUTPUTS - 1);
        if (!plain && network.loss == LS_BINARY_CROSSENTROPY && draw(2)) whole.n_outputs = 1;
        if (!ls_loss_is_regression(network.loss) && !plain) whole.label_smoothing = 0.1 * (double)draw(3);
        assert_int_equal(ls_model_create_network(&whole, &model), LS_OK);
        const bool columns = !plain && network.loss != LS_SPARSE_CATEGORICAL_CROSSENTROPY;
        const ls_targets targets = {.n_columns = columns ? whole.n_outputs : 1,
                                    .weighted = !plain && draw(2)};
        const int64_t n_y = ls_targets_row_values(&targets);
        ls_model_init_glorot_uniform(model, (uint64_t)round);
        void *x, *y;
        assert_int_equal(ls_alloc(&x, (size_t)(ROWS * n_features), 8, "x"), LS_OK);
        assert_int_equal(ls_alloc(&y, ROWS * MAX_Y, 8, "y"), LS_OK);
        for (int64_t i = 0; i < ROWS * n_features; i++) {
            const double value = (double)(draw(2001) - 1000) / 300;
            if (dtype == LS_FLOAT32) ((float *)x)[i] = (float)value;
            if (dtype == LS_FLOAT64) ((double *)x)[i] = value;
        }
        for (int64_t i = 0; i < ROWS * n_y; i++) {
            if (dtype == LS_FLOAT32) ((float *)y)[i] = (float)draw(2);
            if (dtype == LS_FLOAT64) ((double *)y)[i] = (double)draw(2);
        }
        results expected, first = {0}, r;
        ls_message_layout layout;
        ls_step_layout(model, &targets, model->n_parameters, 0, &layout);
        compute(&ls_engine_reference, model, targets, n_shards, x, y, shard_rows, &expected);
        for (int set = 0; set < 3; set++) {
            if (!ls_simd_kernel_named(dtype, sets[set])) continue;
            setenv("LOCKSTEP_SIMD", sets[set], 1);
            compute(&ls_engine_simd, model, targets, n_shards, x, y, shard_rows, &r);
            n_compared[set]++;
            if (set == 0) {
                first = r;
                continue;
            }
            assert_memory_equal(first.message, r.message, layout.size);
            assert_memory_equal(first.outputs, r.outputs, sizeof r.outputs);
            assert_memory_equal(&first.metrics, &r.metrics, sizeof r.metrics);
            free(r.message);
        }
        unsetenv("LOCKSTEP_SIMD");
        const double bound = dtype == LS_FLOAT32 ? 2e-5 : 1e-13;
        for (int64_t i = 0; i < model->n_parameters; i++)
            assert_true(fabs(value_at(dtype, first.message, i) - value_at(dtype, expected.message, i)) <
                        bound * ROWS);
        for (int64_t i = 0; i < ROWS * ls_model_n_outputs(model); i++)
            assert_true(fabs(value_at(dtype, first.outputs, i) - value_at(dtype, expected.outputs, i)) <
                        bound);
        assert_true(fabs(first.metrics.loss_sum - expected.metrics.loss_sum) < bound * ROWS);
        assert_true(first.metrics.n_samples == ROWS);
        assert_true(first.metrics.tn + first.metrics.fp + first.metrics.fn + first.metrics.tp ==
                    (network.loss == LS_BINARY_CROSSENTROPY ? ROWS * targets.n_columns : 0));
        free(first.message);
        free(expected.message);
        ls_free(x);
        ls_free(y);
        ls_model_free(model);
    }
    print_message("compared: portable %d, avx2 %d, avx512 %d\n", n_compared[0], n_compared[1], n_compared[2]);
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) assert_int_equal(n_compared[1], n_compared[0]);
#endif
}

static void an_unknown_set_is_refused(void **state)
{
    (void)state;
    ls_model *model;
    ls_engine *engine;
    assert_int_equal(ls_model_create(LS_FLOAT32, 2, NULL, 0, LS_TANH, &model), LS_OK);
    setenv("LOCKSTEP_SIMD", "mmx", 1);
    const ls_engine_plan plan = {.batch_size = 8, .n_shards = 8};
    assert_int_equal(ls_engine_create(&ls_engine_simd, model, &plan, &engine), LS_E_USAGE);
    assert_non_null(strstr(ls_error_message(), "mmx"));
    unsetenv("LOCKSTEP_SIMD");
    ls_model_free(model);
    assert_int_equal(ls_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_accurate_over_the_whole_range),
        cmocka_unit_test(special_values_are_kept),
        cmocka_unit_test(instruction_sets_agree_to_the_bit),
        cmocka_unit_test(an_unknown_set_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
