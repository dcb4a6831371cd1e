#include "train/optimizer.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/functions.h"
#include "base/memory.h"
#include "model/model_file.h"
#include "model/penalty.h"
#include "train/schedule.h"
#include "unit.h"

enum { N_SAMPLES = 12, N_STEPS = 60 };

static const double RATE = 0.02;

/* Numbers in (-1, 1) that are the same on every machine. */
static double draw(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (double)(int32_t)(*seed >> 32) / 0x1p31;
}

static ls_model *make_model(ls_dtype dtype, double l1, double l2)
{
    const int64_t hidden[] = {7, 5};
    ls_model *model;
    assert_int_equal(ls_model_create(dtype, 3, hidden, 2, LS_TANH, &model), LS_OK);
    ls_model_init_glorot_uniform(model, 5);
    for (int64_t i = 0; i < model->n_layers; i++) {
        model->layers[i].l1 = l1;
        model->layers[i].l2 = l2;
    }
    return model;
}

static double get(const ls_model *model, int64_t i)
{
    return model->dtype == LS_FLOAT32 ? (double)((float *)model->parameters)[i]
                                      : ((double *)model->parameters)[i];
}

/* Keras' rules as they are written down, one number after the other, by the C library's functions. */
typedef struct oracle {
    double w[256], a[256], b[256], c[256];
} oracle;

static double cast(double value)
{
    return (double)(float)value;
}

static double oracle_rate(const ls_schedule *s, int64_t step)
{
    if (step < s->warmup_steps) return RATE * (double)step / (double)s->warmup_steps;
    const double passed = (double)(step - s->warmup_steps) / (double)s->decay_steps;
    switch (s->kind) {
    case LS_SCHEDULE_STEP:
        return RATE * pow(s->decay_rate, floor(passed));
    case LS_SCHEDULE_EXPONENTIAL:
        return RATE * pow(s->decay_rate, passed);
    case LS_SCHEDULE_COSINE:
        return RATE * ((1 - s->alpha) * 0.5 * (1 + cos(acos(-1) * fmin(passed, 1))) + s->alpha);
    case LS_SCHEDULE_PIECEWISE:
        for (int i = s->n_boundaries - 1; i >= 0; i--)
            if (step - s->warmup_steps > s->boundaries[i]) return RATE * s->factors[i];
        return RATE;
    default:
        return RATE;
    }
}

static void oracle_clip(const ls_model *model, const ls_optimizer *o, double *g)
{
    double all = 0;
    for (int64_t l = 0; l < model->n_layers; l++) {
        const ls_layer *layer = &model->layers[l];
        const int64_t ends[] = {layer->kernel_offset, layer->bias_offset, layer->bias_offset + layer->units};
        for (int part = 0; part < 2; part++) {
            double squares = 0;
            for (int64_t i = ends[part]; i < ends[part + 1]; i++) squares += g[i] * g[i];
            all += squares;
            for (int64_t i = ends[part]; o->clipnorm != 0 && i < ends[part + 1]; i++)
                g[i] *= o->clipnorm / fmax(sqrt(squares), o->clipnorm);
        }
    }
    for (int64_t i = 0; i < model->n_parameters; i++) {
        if (o->global_clipnorm != 0) g[i] *= fmin(1, o->global_clipnorm / sqrt(all));
        if (o->clipvalue != 0) g[i] = fmin(fmax(g[i], -o->clipvalue), o->clipvalue);
    }
}

static void oracle_step(oracle *x, const ls_model *model, const ls_optimizer *o, const double *sum,
                        int64_t step)
{
    double g[256];
    for (int64_t i = 0; i < model->n_parameters; i++) g[i] = sum[i] / N_SAMPLES;
    for (int64_t l = 0; l < model->n_layers; l++)
        for (int64_t i = model->layers[l].kernel_offset; i < model->layers[l].bias_offset; i++)
            g[i] += cast(model->layers[l].l1) * ((x->w[i] > 0) - (x->w[i] < 0)) +
                    2 * cast(model->layers[l].l2) * x->w[i];
    oracle_clip(model, o, g);
    const double rate = oracle_rate(&o->schedule, step), t = (double)step + 1;
    for (int64_t i = 0; i < model->n_parameters; i++) {
        x->w[i] -= x->w[i] * cast(o->weight_decay) * rate;
        switch (o->kind) {
        case LS_SGD:
            x->a[i] = cast(o->momentum) * x->a[i] - rate * g[i];
            x->w[i] += o->nesterov ? cast(o->momentum) * x->a[i] - rate * g[i] : x->a[i];
            break;
        case LS_RMSPROP:
            x->a[i] = o->rho * x->a[i] + (1 - o->rho) * g[i] * g[i];
            x->b[i] = o->rho * x->b[i] + (1 - o->rho) * g[i];
            x->c[i] = o->momentum * x->c[i] +
                      rate * g[i] / sqrt(x->a[i] - o->centered * x->b[i] * x->b[i] + o->epsilon);
            x->w[i] -= x->c[i];
            break;
        case LS_ADAGRAD:
            if (step == 0) x->a[i] = cast(o->initial_accumulator_value);
            x->a[i] += g[i] * g[i];
            x->w[i] -= rate * g[i] / sqrt(x->a[i] + o->epsilon);
            break;
        case LS_ADAM:
        case LS_ADAMW:
            x->a[i] += (g[i] - x->a[i]) * (1 - o->beta_1);
            x->b[i] += (g[i] * g[i] - x->b[i]) * (1 - o->beta_2);
            x->w[i] -= rate * sqrt(1 - pow(cast(o->beta_2), t)) / (1 - pow(cast(o->beta_1), t)) * x->a[i] /
                       (sqrt(x->b[i]) + o->epsilon);
            break;
        }
    }
}

static void draw_sum(const ls_model *model, uint64_t *seed, double *sum, void *typed)
{
    for (int64_t i = 0; i < model->n_parameters; i++) {
        sum[i] = cast(3 * draw(seed));
        if (model->dtype == LS_FLOAT32)
            ((float *)typed)[i] = (float)sum[i];
        else
            ((double *)typed)[i] = sum[i];
    }
}

static void compare(ls_dtype dtype, const ls_optimizer *o, double l1, double l2)
{
    ls_model *model = make_model(dtype, l1, l2);
    ls_optimizer_state *state;
    oracle x = {{0}};
    double sum[256], typed[256];
    uint64_t seed = 1;
    assert_int_equal(ls_optimizer_check(o), LS_OK);
    assert_int_equal(ls_optimizer_create(model, o, RATE, &state), LS_OK);
    assert_true(model->n_parameters <= 256);
    for (int64_t i = 0; i < model->n_parameters; i++) x.w[i] = get(model, i);
    for (int64_t step = 0; step < N_STEPS; step++) {
        draw_sum(model, &seed, sum, typed);
        state->step(state, typed, N_SAMPLES);
        oracle_step(&x, model, o, sum, step);
    }
    assert_int_equal(state->iterations, N_STEPS);
    for (int64_t i = 0; i < model->n_parameters; i++) {
        const double error = fabs(get(model, i) - x.w[i]), bound = dtype == LS_FLOAT32 ? 2e-5 : 1e-13;
        if (!(error <= bound))
            fail_msg("%s, parameter %d: %.17g, not %.17g", ls_optimizer_name(o->kind), (int)i, get(model, i),
                     x.w[i]);
    }
    ls_optimizer_destroy(state);
    ls_model_free(model);
}

/* Optimizers with all that they can have. */
static int make_all(ls_optimizer all[16])
{
    int n = 0;
    for (int kind = LS_SGD; kind <= LS_ADAMW; kind++)
        ls_optimizer_defaults((ls_optimizer_kind)kind, &all[n++]);
    all[n++] = (ls_optimizer){.kind = LS_SGD, .momentum = 0.9};
    all[n++] = (ls_optimizer){.kind = LS_SGD, .momentum = 0.7, .nesterov = true, .clipnorm = 0.3};
    all[n++] = (ls_optimizer){.kind = LS_SGD, .clipvalue = 0.1};
    all[n++] = (ls_optimizer){.kind = LS_SGD, .weight_decay = 0.1, .global_clipnorm = 0.4};
    for (int i = 1; i < 4; i++)
        all[n++] = (ls_optimizer){
            .kind = LS_RMSPROP, .rho = 0.8, .epsilon = 1e-3, .momentum = i & 1 ? 0.6 : 0, .centered = i & 2};
    return n;
}

static void every_rule_is_that_of_the_book(void **unused)
{
    (void)unused;
    ls_optimizer all[16];
    const int n = make_all(all);
    const ls_schedule schedules[] = {{0},
                                     {.kind = LS_SCHEDULE_STEP, .decay_steps = 20, .decay_rate = 0.3},
                                     {.kind = LS_SCHEDULE_EXPONENTIAL, .decay_steps = 17, .decay_rate = 0.5},
                                     {.kind = LS_SCHEDULE_COSINE, .decay_steps = 40, .alpha = 0.2},
                                     {.warmup_steps = 25},
                                     {.kind = LS_SCHEDULE_COSINE, .decay_steps = 30, .warmup_steps = 9},
                                     {.kind = LS_SCHEDULE_PIECEWISE,
                                      .n_boundaries = 2,
                                      .boundaries = {6, 20},
                                      .factors = {3, 0.25},
                                      .warmup_steps = 4}};
    for (int i = 0; i < n; i++)
        for (size_t s = 0; s < sizeof schedules / sizeof schedules[0]; s++)
            for (int dtype = LS_FLOAT32; dtype <= LS_FLOAT64; dtype++) {
                all[i].schedule = schedules[s];
                compare((ls_dtype)dtype, &all[i], 0, 0);
                if (s == 0 && dtype == LS_FLOAT64) compare((ls_dtype)dtype, &all[i], 0.01, 0.1);
            }
}

/* Through a file, in the middle: the same bits as without the interruption. */
static void a_state_survives_a_file(void **unused)
{
    (void)unused;
    ls_optimizer all[16];
    const int n = make_all(all);
    const char *path = "optimizer.weights.h5";
    for (int i = 0; i < 2 * n; i++) {
        const ls_dtype dtype = i % 2 ? LS_FLOAT32 : LS_FLOAT64;
        ls_optimizer *o = &all[i / 2];
        if (i % 3 == 0)
            o->schedule = (ls_schedule){.kind = LS_SCHEDULE_COSINE, .decay_steps = 50, .warmup_steps = 4};
        ls_model *straight = make_model(dtype, 0.1, 0), *resumed;
        ls_optimizer_state *one, *two;
        ls_training_config config;
        double sum[256], typed[256];
        uint64_t seed = 2;
        assert_int_equal(ls_optimizer_create(straight, o, RATE, &one), LS_OK);
        for (int step = 0; step < 20; step++) {
            draw_sum(straight, &seed, sum, typed);
            one->step(one, typed, N_SAMPLES);
        }
        const ls_training_config saved = ls_optimizer_config(one);
        assert_int_equal(ls_model_file_write(straight, &saved, NULL, path), LS_OK);
        assert_int_equal(ls_model_file_read(path, &resumed, &config, NULL), LS_OK);
        assert_memory_equal(&config.optimizer, o, sizeof *o);
        assert_true(config.learning_rate == RATE && config.iterations == 20);
        assert_true(resumed->layers[1].l1 == 0.1 && resumed->layers[1].l2 == 0);
        assert_int_equal(ls_optimizer_create(resumed, o, RATE, &two), LS_OK);
        assert_true(ls_optimizer_continue(two, &config));
        ls_training_config_clear(&config);
        for (int step = 0; step < 20; step++) {
            draw_sum(straight, &seed, sum, typed);
            one->step(one, typed, N_SAMPLES);
            two->step(two, typed, N_SAMPLES);
        }
        assert_int_equal(one->iterations, two->iterations);
        assert_memory_equal(straight->parameters, resumed->parameters,
                            (size_t)straight->n_parameters * ls_dtype_size(dtype));
        if (one->n_slots > 0) assert_memory_equal(one->slots, two->slots, ls_optimizer_slots_size(one));
        ls_optimizer_destroy(one);
        ls_optimizer_destroy(two);
        ls_model_free(straight);
        ls_model_free(resumed);
    }
    remove(path);
    assert_int_equal(ls_alloc_live(), 0);
}

static void only_the_same_optimizer_goes_on(void **unused)
{
    (void)unused;
    ls_model *model = make_model(LS_FLOAT64, 0, 0);
    double slots[2 * 256] = {0};
    const struct {
        ls_optimizer then, now;
        bool goes_on;
    } cases[] = {
        {{.kind = LS_ADAM}, {.kind = LS_ADAMW}, true},
        {{.kind = LS_SGD}, {.kind = LS_SGD, .clipnorm = 1}, true},
        {{.kind = LS_SGD, .momentum = 0.5}, {.kind = LS_SGD, .momentum = 0.9, .nesterov = true}, true},
        {{.kind = LS_SGD}, {.kind = LS_SGD, .momentum = 0.9}, false},
        {{.kind = LS_ADAM}, {.kind = LS_RMSPROP, .momentum = 0.9}, false},
        {{.kind = LS_RMSPROP, .centered = true}, {.kind = LS_RMSPROP, .momentum = 0.9}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ls_optimizer_state *state;
        const ls_training_config config = {
            .learning_rate = 1, .iterations = 9, .optimizer = cases[i].then, .slots = slots};
        const ls_training_config without = {.learning_rate = 1, .iterations = 9, .optimizer = cases[i].then};
        assert_int_equal(ls_optimizer_create(model, &cases[i].now, RATE, &state), LS_OK);
        assert_int_equal(ls_optimizer_continue(state, &without), cases[i].goes_on && state->n_slots == 0);
        assert_int_equal(ls_optimizer_continue(state, &config), cases[i].goes_on);
        assert_int_equal(state->iterations, cases[i].goes_on ? 9 : 0);
        ls_optimizer_destroy(state);
    }
    ls_model_free(model);
}

static void what_an_optimizer_does_not_have_is_refused(void **unused)
{
    (void)unused;
    const struct {
        ls_optimizer optimizer;
        const char *message;
    } cases[] = {
        {{.kind = LS_SGD, .momentum = 1}, "momentum is 1"},
        {{.kind = LS_SGD, .nesterov = true}, "nesterov needs momentum"},
        {{.kind = LS_SGD, .rho = 0.9}, "sgd has no rho"},
        {{.kind = LS_ADAM, .momentum = 0.9}, "adam has no momentum"},
        {{.kind = LS_ADAM, .centered = true}, "adam has no centered"},
        {{.kind = LS_ADAM, .beta_1 = NAN}, "beta_1 is nan"},
        {{.kind = LS_ADAM, .beta_2 = -0.1}, "beta_2 is -0.1"},
        {{.kind = LS_SGD, .clipnorm = 1, .clipvalue = 1}, "only one of"},
        {{.kind = LS_SGD, .clipnorm = -1}, "clipnorm is -1"},
        {{.kind = LS_SGD, .weight_decay = INFINITY}, "weight_decay is inf"},
        {{.schedule = {.kind = LS_SCHEDULE_STEP, .decay_rate = 0.5}}, "needs decay_steps"},
        {{.schedule = {.kind = LS_SCHEDULE_EXPONENTIAL, .decay_rate = 1.5}}, "decay_rate is 1.5"},
        {{.schedule = {.kind = LS_SCHEDULE_COSINE, .alpha = 2}}, "alpha is 2"},
        {{.schedule = {.alpha = 0.5}}, "schedule constant has no alpha"},
        {{.schedule = {.warmup_steps = -1}}, "must not be negative"},
        {{.schedule = {.kind = LS_SCHEDULE_PIECEWISE}}, "needs 1 to 16 boundaries"},
        {{.schedule = {.n_boundaries = 1, .boundaries = {1}}}, "schedule constant has no boundaries"},
        {{.schedule = {.kind = LS_SCHEDULE_PIECEWISE, .n_boundaries = 2, .boundaries = {3, 3}}},
         "boundary 3"},
        {{.schedule = {.kind = LS_SCHEDULE_PIECEWISE, .n_boundaries = 1, .factors = {NAN}}}, "factor nan"},
        {{.schedule = {.kind = LS_SCHEDULE_PIECEWISE, .n_boundaries = 1, .decay_steps = 5}},
         "no decay_steps"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(ls_optimizer_check(&cases[i].optimizer), LS_E_USAGE);
        if (!strstr(ls_error_message(), cases[i].message))
            fail_msg("%s: not %s", ls_error_message(), cases[i].message);
    }
}

static void functions_are_exact_to_a_few_units(void **unused)
{
    (void)unused;
    for (int i = -7000; i <= 7000; i++) {
        const double x = i / 10.3, e = exp(x);
        assert_true(fabs(ls_exp(x) - e) <= 4 * DBL_EPSILON * e);
    }
    for (int i = 1; i <= 4000; i++)
        for (int scale = -300; scale <= 300; scale += 100) {
            const double x = ldexp(i / 777.0, scale), l = log(x);
            assert_true(fabs(ls_log(x) - l) <= 4 * DBL_EPSILON * fmax(fabs(l), DBL_MIN));
        }
    for (int i = 0; i <= 1000; i++) {
        const double x = i / 1000.0;
        assert_true(fabs(ls_cos_pi(x) - (double)cosl(acosl(-1) * (long double)x)) <= 4 * DBL_EPSILON);
    }
    assert_true(ls_cos_pi(0) == 1 && ls_cos_pi(0.5) == 0 && ls_cos_pi(1) == -1 && ls_exp(0) == 1 &&
                ls_log(1) == 0);
}

static void an_open_schedule_ends_with_the_training(void **unused)
{
    (void)unused;
    const ls_schedule open = {.kind = LS_SCHEDULE_COSINE, .warmup_steps = 10}, none = {0};
    assert_int_equal(ls_schedule_resolve(&open, 110).decay_steps, 100);
    assert_int_equal(ls_schedule_resolve(&open, 5).decay_steps, 1);
    assert_int_equal(ls_schedule_resolve(&none, 110).decay_steps, 0);
    const ls_schedule piecewise = {.kind = LS_SCHEDULE_PIECEWISE};
    assert_int_equal(ls_schedule_resolve(&piecewise, 110).decay_steps, 0);
}

/* Powers of beta are set to 0 before they become slow denormals; far in a training, nothing has to be counted
 * up. */
static void long_trainings_go_on(void **unused)
{
    (void)unused;
    ls_model *model = make_model(LS_FLOAT32, 0, 0);
    ls_optimizer_state *state;
    ls_optimizer adam;
    float slots[2 * 256] = {0}, gradient[256] = {0};
    ls_optimizer_defaults(LS_ADAM, &adam);
    assert_int_equal(ls_optimizer_create(model, &adam, RATE, &state), LS_OK);
    ls_optimizer_restore(state, (int64_t)1 << 60, slots);
    assert_true(state->beta_1_power == 0 && state->beta_2_power == 0);
    state->step(state, gradient, 1);
    for (int64_t i = 0; i < model->n_parameters; i++) assert_true(isfinite(get(model, i)));
    ls_optimizer_destroy(state);
    ls_model_free(model);
}

static void penalties_are_sums_over_kernels(void **unused)
{
    (void)unused;
    ls_model *model = make_model(LS_FLOAT64, 0.5, 0.25);
    double expected = 0;
    for (int64_t l = 0; l < model->n_layers; l++)
        for (int64_t i = model->layers[l].kernel_offset; i < model->layers[l].bias_offset; i++)
            expected += 0.5 * fabs(get(model, i)) + 0.25 * get(model, i) * get(model, i);
    assert_true(fabs(ls_penalty_value(model) - expected) < 1e-14);
    assert_true(ls_penalty_exists(model));
    ls_model_free(model);
    model = make_model(LS_FLOAT32, 0, 0);
    assert_true(ls_penalty_value(model) == 0 && !ls_penalty_exists(model));
    ls_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rule_is_that_of_the_book),
        cmocka_unit_test(a_state_survives_a_file),
        cmocka_unit_test(only_the_same_optimizer_goes_on),
        cmocka_unit_test(what_an_optimizer_does_not_have_is_refused),
        cmocka_unit_test(functions_are_exact_to_a_few_units),
        cmocka_unit_test(an_open_schedule_ends_with_the_training),
        cmocka_unit_test(long_trainings_go_on),
        cmocka_unit_test(penalties_are_sums_over_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
