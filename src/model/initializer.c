#include <math.h>

#include "base/values.h"
#include "lockstep/model.h"
#include "random/philox.h"

/* Uniform numbers in [0, 1) for one parameter, one after the other. */
typedef struct draws {
    uint64_t seed, parameter;
    uint32_t instance, words[4];
    int used; /* of the words */
} draws;

static double draw(draws *d)
{
    if (d->used == 4) {
        ls_philox(d->seed, LS_STREAM_WEIGHTS, d->instance++, d->parameter, d->words);
        d->used = 0;
    }
    const double uniform = ls_uniform53(d->words[d->used], d->words[d->used + 1]);
    d->used += 2;
    return uniform;
}

/* True with probability exp(-x), 0 <= x <= 1: a falling run of uniform numbers below x ends after an odd
 * number of draws (von Neumann 1951). No logarithm: those of C libraries differ in the last bits. */
static bool happens_exp_minus(draws *d, double x)
{
    bool odd = true;
    for (double least = x;; odd = !odd) {
        const double next = draw(d);
        if (next >= least) return odd;
        least = next;
    }
}

/* A standard normal number within two standard deviations: a uniform one is taken with probability exp(-x^2 /
 * 2). */
static double draw_truncated_normal(draws *d)
{
    for (;;) {
        const double x = 4 * draw(d) - 2, quarter = x * x / 4;
        if (happens_exp_minus(d, quarter) && happens_exp_minus(d, quarter)) return x;
    }
}

/* The kernel's variance. */
static double variance(ls_initializer initializer, const ls_layer *layer)
{
    const double n_inputs = (double)layer->n_inputs;
    switch (initializer) {
    case LS_HE_UNIFORM:
    case LS_HE_NORMAL:
        return 2 / n_inputs;
    case LS_LECUN_UNIFORM:
    case LS_LECUN_NORMAL:
        return 1 / n_inputs;
    case LS_GLOROT_UNIFORM:
    case LS_GLOROT_NORMAL:
        break;
    }
    return 2 / (n_inputs + (double)layer->units);
}

static bool is_normal(ls_initializer initializer)
{
    return initializer == LS_GLOROT_NORMAL || initializer == LS_HE_NORMAL || initializer == LS_LECUN_NORMAL;
}

void ls_model_init(ls_model *model, ls_initializer initializer, uint64_t seed)
{
    /* Standard deviation of a normal number that is truncated at 2. */
    static const double truncated_deviation = .87962566103423978;
    for (int64_t l = 0; l < model->n_layers; l++) {
        const ls_layer *layer = &model->layers[l];
        const double deviation = sqrt(variance(initializer, layer)) / truncated_deviation,
                     limit = sqrt(3 * variance(initializer, layer));
        for (int64_t i = 0; i < layer->n_inputs * layer->units; i++) {
            draws d = {.seed = seed, .parameter = (uint64_t)(layer->kernel_offset + i), .used = 4};
            ls_value_put(model->dtype, model->parameters, layer->kernel_offset + i,
                         is_normal(initializer) ? deviation * draw_truncated_normal(&d)
                                                : limit * (2 * draw(&d) - 1));
        }
        for (int64_t j = 0; j < layer->units; j++)
            ls_value_put(model->dtype, model->parameters, layer->bias_offset + j, 0);
    }
}

void ls_model_init_glorot_uniform(ls_model *model, uint64_t seed)
{
    ls_model_init(model, LS_GLOROT_UNIFORM, seed);
}
