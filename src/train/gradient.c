#include "train/gradient.h"

#include <math.h>

#include "base/sums.h"
#include "base/wide.h"
#include "model/optimizer.h"

#define DECLARE(type, real)                                                                                  \
    void ls_gradient_mean_##type(real *gradient, const real *sum, int64_t n, double scale);                  \
    void ls_gradient_add_penalty_##type(real *gradient, const real *w, int64_t n, double l1, double l2);     \
    void ls_gradient_clip_##type(real *gradient, int64_t n, double most);                                    \
    void ls_gradient_scale_##type(real *gradient, int64_t n, double factor, double divisor);
DECLARE(float32, float)
DECLARE(float64, double)

#define REAL       float
#define PASS(name) ls_gradient_##name##_float32
#include "train/gradient_template.h"
#undef REAL
#undef PASS

#define REAL       double
#define PASS(name) ls_gradient_##name##_float64
#include "train/gradient_template.h"

/* The value number `offset` of an array of the model's type. */
static void *at(const ls_model *model, const void *values, int64_t offset)
{
    return (char *)values + (size_t)offset * ls_dtype_size(model->dtype);
}

static void scale(const ls_model *model, void *gradient, int64_t n, double factor, double divisor)
{
    if (model->dtype == LS_FLOAT32)
        ls_gradient_scale_float32(gradient, n, factor, divisor);
    else
        ls_gradient_scale_float64(gradient, n, factor, divisor);
}

static void add_penalties(const ls_model *model, void *gradient)
{
    for (int64_t i = 0; i < model->n_layers; i++) {
        const ls_layer *layer = &model->layers[i];
        const double l1 = ls_as_keras_casts(layer->l1), l2 = ls_as_keras_casts(layer->l2);
        const int64_t n = layer->n_inputs * layer->units;
        void *part = at(model, gradient, layer->kernel_offset);
        const void *kernel = at(model, model->parameters, layer->kernel_offset);
        if (l1 == 0 && l2 == 0) continue;
        if (model->dtype == LS_FLOAT32)
            ls_gradient_add_penalty_float32(part, kernel, n, l1, l2);
        else
            ls_gradient_add_penalty_float64(part, kernel, n, l1, l2);
    }
}

static void clip_norm(const ls_model *model, void *part, int64_t n, double most)
{
    const double norm = sqrt(ls_sum_squares(model->dtype, part, n));
    if (norm > most || isnan(norm)) scale(model, part, n, most, norm);
}

static void clip_global_norm(const ls_model *model, void *gradient, double most)
{
    double squares = 0;
    for (int64_t i = 0; i < model->n_layers; i++) {
        const ls_layer *layer = &model->layers[i];
        squares += ls_sum_squares(model->dtype, at(model, gradient, layer->kernel_offset),
                                  layer->n_inputs * layer->units);
        squares += ls_sum_squares(model->dtype, at(model, gradient, layer->bias_offset), layer->units);
    }
    const double norm = sqrt(squares);
    if (norm > most || isnan(norm)) scale(model, gradient, model->n_parameters, most * (1 / norm), 1);
}

static void clip_value(const ls_model *model, void *gradient, double most)
{
    if (model->dtype == LS_FLOAT32)
        ls_gradient_clip_float32(gradient, model->n_parameters, most);
    else
        ls_gradient_clip_float64(gradient, model->n_parameters, most);
}

void ls_gradient_prepare(const ls_model *model, const ls_optimizer *optimizer, const void *gradient_sum,
                         int64_t n_samples, void *gradient)
{
    const double factor = 1 / (double)n_samples;
    if (model->dtype == LS_FLOAT32)
        ls_gradient_mean_float32(gradient, gradient_sum, model->n_parameters, factor);
    else
        ls_gradient_mean_float64(gradient, gradient_sum, model->n_parameters, factor);
    add_penalties(model, gradient);
    if (optimizer->clipvalue != 0) clip_value(model, gradient, optimizer->clipvalue);
    if (optimizer->global_clipnorm != 0) clip_global_norm(model, gradient, optimizer->global_clipnorm);
    if (optimizer->clipnorm == 0) return;
    for (int64_t i = 0; i < model->n_layers; i++) {
        const ls_layer *layer = &model->layers[i];
        clip_norm(model, at(model, gradient, layer->kernel_offset), layer->n_inputs * layer->units,
                  optimizer->clipnorm);
        clip_norm(model, at(model, gradient, layer->bias_offset), layer->units, optimizer->clipnorm);
    }
}
