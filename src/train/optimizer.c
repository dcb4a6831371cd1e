#include "train/optimizer.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/wide.h"
#include "model/optimizer.h"
#include "model/penalty.h"
#include "train/gradient.h"
#include "train/schedule.h"

/* A power below this is as good as 0, and is set to it before it gets slow. */
static const double NO_POWER = 0x1p-200;

/* The rules of both types, by ls_dtype. */
#define BOTH(rule)                                                                                           \
    {                                                                                                        \
        ls_update_##rule##_float32, ls_update_##rule##_float64                                               \
    }

static void choose_rule(ls_optimizer_state *state)
{
    typedef void (*rule)(const ls_update *update);
    static const rule sgd[2] = BOTH(sgd), momentum[2] = BOTH(momentum), nesterov[2] = BOTH(nesterov),
                      adagrad[2] = BOTH(adagrad), adam[2] = BOTH(adam),
                      rmsprop[2][2][2] = {{BOTH(rmsprop), BOTH(rmsprop_momentum)},
                                          {BOTH(rmsprop_centered), BOTH(rmsprop_centered_momentum)}};
    const ls_optimizer *optimizer = &state->optimizer;
    const rule *chosen = NULL;
    switch (optimizer->kind) {
    case LS_SGD:
        chosen = optimizer->momentum == 0 ? sgd : optimizer->nesterov ? nesterov : momentum;
        break;
    case LS_RMSPROP:
        chosen = rmsprop[optimizer->centered][optimizer->momentum != 0];
        break;
    case LS_ADAGRAD:
        chosen = adagrad;
        break;
    case LS_ADAM:
    case LS_ADAMW:
        chosen = adam;
        break;
    }
    state->rule = chosen[state->model->dtype];
}

/* So few values without a loop, whose ends cost more than the work where a model has 15 parameters. */
#define SUBTRACT(n)                                                                                          \
    for (int k = 0; k < (n); k++) w[i + k] -= factor * (sum[i + k] + 0)
#define SUBTRACT_ALL()                                                                                       \
    do {                                                                                                     \
        int64_t i = 0;                                                                                       \
        for (; i + 8 <= n; i += 8) SUBTRACT(8);                                                              \
        if (n & 4) {                                                                                         \
            SUBTRACT(4);                                                                                     \
            i += 4;                                                                                          \
        }                                                                                                    \
        if (n & 2) {                                                                                         \
            SUBTRACT(2);                                                                                     \
            i += 2;                                                                                          \
        }                                                                                                    \
        if (n & 1) SUBTRACT(1);                                                                              \
    } while (0)

/* Plain SGD. One factor for all: a division by a number of samples that is a power of two would give the same
 * bits, more slowly. */
LS_WIDE void ls_sgd_step(ls_optimizer_state *state, const void *gradient_sum, int64_t n_samples);
LS_WIDE void ls_sgd_step(ls_optimizer_state *state, const void *gradient_sum, int64_t n_samples)
{
    const int64_t n = state->model->n_parameters;
    state->iterations++;
    if (state->model->dtype == LS_FLOAT32) {
        float *restrict w = state->model->parameters;
        const float *restrict sum = gradient_sum, factor = (float)state->learning_rate / (float)n_samples;
        SUBTRACT_ALL();
    } else {
        double *restrict w = state->model->parameters;
        const double *restrict sum = gradient_sum, factor = state->learning_rate / (double)n_samples;
        SUBTRACT_ALL();
    }
}

static double next_power(double power, double beta)
{
    const double next = power * ls_as_keras_casts(beta);
    return next < NO_POWER ? 0 : next;
}

/* Keras' learning rate with the corrections of the bias, in the arithmetic of the model's type. */
static double correct_rate(ls_optimizer_state *state)
{
    state->beta_1_power = next_power(state->beta_1_power, state->optimizer.beta_1);
    state->beta_2_power = next_power(state->beta_2_power, state->optimizer.beta_2);
    if (state->model->dtype == LS_FLOAT64)
        return state->learning_rate * sqrt(1 - state->beta_2_power) / (1 - state->beta_1_power);
    return (float)state->learning_rate * sqrtf(1 - (float)state->beta_2_power) /
           (1 - (float)state->beta_1_power);
}

static bool has_schedule(const ls_optimizer *optimizer)
{
    return optimizer->schedule.kind != LS_SCHEDULE_CONSTANT || optimizer->schedule.warmup_steps > 0;
}

static void general_step(ls_optimizer_state *state, const void *gradient_sum, int64_t n_samples)
{
    const ls_optimizer *optimizer = &state->optimizer;
    ls_update update = state->update;
    if (has_schedule(optimizer))
        state->learning_rate = ls_schedule_rate(&optimizer->schedule, state->base_rate, state->iterations);
    update.learning_rate = state->learning_rate;
    if (state->gradient) {
        ls_gradient_prepare(state->model, optimizer, gradient_sum, n_samples, state->gradient);
        update.gradient = state->gradient;
        update.scale = 1;
    } else {
        update.gradient = gradient_sum;
        update.scale = 1 / (double)n_samples;
    }
    if (update.weight_decay != 0)
        (state->model->dtype == LS_FLOAT32 ? ls_update_weight_decay_float32
                                           : ls_update_weight_decay_float64)(&update);
    if (optimizer->kind == LS_ADAM || optimizer->kind == LS_ADAMW) update.learning_rate = correct_rate(state);
    state->rule(&update);
    state->iterations++;
}

static bool needs_gradient(const ls_model *model, const ls_optimizer *optimizer)
{
    return ls_penalty_exists(model) || optimizer->clipnorm != 0 || optimizer->global_clipnorm != 0 ||
           optimizer->clipvalue != 0;
}

/* Plain SGD at a constant rate is the fast path of small networks. */
static bool is_plain(const ls_model *model, const ls_optimizer *optimizer)
{
    return optimizer->kind == LS_SGD && optimizer->momentum == 0 && optimizer->weight_decay == 0 &&
           !has_schedule(optimizer) && !needs_gradient(model, optimizer);
}

size_t ls_optimizer_slots_size(const ls_optimizer_state *state)
{
    return (size_t)state->n_slots * (size_t)state->model->n_parameters * ls_dtype_size(state->model->dtype);
}

int64_t ls_optimizer_bytes(const ls_model *model, const ls_optimizer *optimizer)
{
    return (ls_optimizer_n_slots(optimizer) + needs_gradient(model, optimizer)) * model->n_parameters *
           (int64_t)ls_dtype_size(model->dtype);
}

static void fill_slots(ls_optimizer_state *state)
{
    const int64_t n = state->n_slots * state->model->n_parameters;
    const double value = ls_as_keras_casts(state->optimizer.initial_accumulator_value);
    if (value == 0) return; /* as it was allocated */
    for (int64_t i = 0; i < n; i++) {
        if (state->model->dtype == LS_FLOAT32)
            ((float *)state->slots)[i] = (float)value;
        else
            ((double *)state->slots)[i] = value;
    }
}

static ls_status allocate(ls_optimizer_state *state)
{
    const size_t n = (size_t)state->model->n_parameters, size = ls_dtype_size(state->model->dtype);
    if (state->n_slots > 0)
        LS_TRY(ls_alloc(&state->slots, (size_t)state->n_slots * n, size, "state of the optimizer"));
    if (needs_gradient(state->model, &state->optimizer))
        LS_TRY(ls_alloc(&state->gradient, n, size, "mean gradient"));
    for (int i = 0; i < state->n_slots; i++)
        state->update.slots[i] = (char *)state->slots + (size_t)i * n * size;
    fill_slots(state);
    return LS_OK;
}

ls_status ls_optimizer_create(ls_model *model, const ls_optimizer *optimizer, double learning_rate,
                              ls_optimizer_state **result)
{
    *result = NULL;
    ls_optimizer_state *state;
    LS_TRY(ls_alloc(&state, 1, sizeof *state, "optimizer"));
    *state = (ls_optimizer_state){.step = is_plain(model, optimizer) ? ls_sgd_step : general_step,
                                  .model = model,
                                  .learning_rate = learning_rate,
                                  .base_rate = learning_rate,
                                  .optimizer = *optimizer,
                                  .n_slots = ls_optimizer_n_slots(optimizer),
                                  .beta_1_power = 1,
                                  .beta_2_power = 1};
    const bool adam = optimizer->kind == LS_ADAM || optimizer->kind == LS_ADAMW;
    /* Keras casts the momentum of SGD, not that of RMSprop. */
    state->update = (ls_update){.n = model->n_parameters,
                                .weights = model->parameters,
                                .momentum = optimizer->kind == LS_SGD ? ls_as_keras_casts(optimizer->momentum)
                                                                      : optimizer->momentum,
                                .rho = optimizer->rho,
                                .gain_1 = 1 - (adam ? optimizer->beta_1 : optimizer->rho),
                                .gain_2 = 1 - optimizer->beta_2,
                                .epsilon = optimizer->epsilon,
                                .weight_decay = ls_as_keras_casts(optimizer->weight_decay)};
    choose_rule(state);
    const ls_status status = allocate(state);
    if (status == LS_OK)
        *result = state;
    else
        ls_optimizer_destroy(state);
    return status;
}

void ls_optimizer_destroy(ls_optimizer_state *state)
{
    if (!state) return;
    ls_free(state->slots);
    ls_free(state->gradient);
    ls_free(state);
}

void ls_optimizer_restore(ls_optimizer_state *state, int64_t iterations, const void *slots)
{
    state->iterations = iterations;
    if (state->n_slots > 0 && slots != state->slots)
        memcpy(state->slots, slots, ls_optimizer_slots_size(state));
    /* In the order of the steps, for the same bits. */
    state->beta_1_power = state->beta_2_power = 1;
    for (int64_t i = 0; i < iterations && (state->beta_1_power != 0 || state->beta_2_power != 0); i++) {
        state->beta_1_power = next_power(state->beta_1_power, state->optimizer.beta_1);
        state->beta_2_power = next_power(state->beta_2_power, state->optimizer.beta_2);
    }
}

bool ls_optimizer_continue(ls_optimizer_state *state, const ls_training_config *config)
{
    const ls_optimizer *now = &state->optimizer, *then = &config->optimizer;
    const bool adam =
        (now->kind == LS_ADAM || now->kind == LS_ADAMW) && (then->kind == LS_ADAM || then->kind == LS_ADAMW);
    if (config->learning_rate == 0 || (now->kind != then->kind && !adam) ||
        (now->momentum != 0) != (then->momentum != 0) || now->centered != then->centered ||
        (state->n_slots > 0 && !config->slots))
        return false;
    ls_optimizer_restore(state, config->iterations, config->slots);
    return true;
}

ls_training_config ls_optimizer_config(const ls_optimizer_state *state)
{
    ls_training_config config = {.learning_rate = state->learning_rate,
                                 .iterations = state->iterations,
                                 .optimizer = state->optimizer,
                                 .slots = state->slots};
    const ls_schedule *schedule = &state->optimizer.schedule;
    if (!has_schedule(&state->optimizer)) return config;
    if (schedule->warmup_steps == 0 || schedule->kind == LS_SCHEDULE_COSINE) {
        config.learning_rate = state->base_rate;
    } else { /* Keras has no such thing */
        config.learning_rate = ls_schedule_rate(schedule, state->base_rate, state->iterations);
        config.optimizer.schedule = (ls_schedule){0};
    }
    return config;
}

void ls_optimizer_set_rate(ls_optimizer_state *state, double learning_rate)
{
    state->learning_rate = learning_rate;
}
