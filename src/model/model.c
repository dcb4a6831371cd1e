#include "model/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"

enum { DEFAULT_NAME_SIZE = 32 };

static const char *const activation_names[] = {
#define LS_ACTIVATION_TEXT(name, text) [name] = text,
    LS_ACTIVATION_LIST(LS_ACTIVATION_TEXT)
#undef LS_ACTIVATION_TEXT
};
enum { N_ACTIVATIONS = sizeof activation_names / sizeof activation_names[0] };

const char *ls_activation_name(ls_activation activation)
{
    return activation_names[activation];
}

ls_status ls_activation_parse(const char *name, ls_activation *activation)
{
    for (int i = 0; i < N_ACTIVATIONS; i++) {
        if (strcmp(name, activation_names[i]) == 0) {
            *activation = (ls_activation)i;
            return LS_OK;
        }
    }
    char known[128] = "";
    for (int i = 0; i < N_ACTIVATIONS; i++) {
        const size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", activation_names[i]);
    }
    return ls_fail(LS_E_USAGE, "activation '%s' is unknown: choose one of %s", name, known);
}

/* Keras numbers the layers of a class: dense, dense_1, dense_2. */
static ls_status name_layer(ls_layer *layer, int64_t number, const char *name)
{
    char generated[DEFAULT_NAME_SIZE] = "dense";
    if (!name) {
        if (number > 0) snprintf(generated, sizeof generated, "dense_%" PRId64, number);
        name = generated;
    }
    const size_t size = strlen(name) + 1;
    LS_TRY(ls_alloc(&layer->name, size, 1, "name of a layer"));
    memcpy(layer->name, name, size);
    return LS_OK;
}

static ls_status fill(ls_model *model, const ls_layer_plan *plan)
{
    LS_TRY(ls_alloc(&model->layers, (size_t)model->n_layers, sizeof *model->layers, "layers of the model"));
    int64_t n_inputs = model->n_features, offset = 0;
    for (int64_t i = 0; i < model->n_layers; i++) {
        ls_layer *layer = &model->layers[i];
        const int64_t units = plan[i].units;
        int64_t kernel;
        if (units < 1 || units > LS_LAYER_MAX_UNITS)
            return ls_fail(LS_E_USAGE, "layer %" PRId64 " has %" PRId64 " units: give 1 .. %" PRId64, i + 1,
                           units, LS_LAYER_MAX_UNITS);
        layer->n_inputs = n_inputs;
        layer->units = units;
        layer->activation = plan[i].activation;
        layer->l1 = plan[i].l1;
        layer->l2 = plan[i].l2;
        layer->kernel_offset = offset;
        if (__builtin_mul_overflow(n_inputs, units, &kernel) ||
            __builtin_add_overflow(offset, kernel, &layer->bias_offset) ||
            __builtin_add_overflow(layer->bias_offset, units, &offset))
            return ls_fail(
                LS_E_USAGE,
                "the model is too large: the parameters up to layer %" PRId64 " exceed 64-bit counts", i + 1);
        LS_TRY(name_layer(layer, i, plan[i].name));
        n_inputs = units;
    }
    model->n_parameters = offset;
    return ls_alloc(&model->parameters, (size_t)offset, ls_dtype_size(model->dtype),
                    "parameters of the model");
}

ls_status ls_model_create_layers(ls_dtype dtype, int64_t n_features, const ls_layer_plan *plan,
                                 int64_t n_layers, ls_model **result)
{
    *result = NULL;
    if (n_features < 1 || n_features > LS_LAYER_MAX_UNITS)
        return ls_fail(LS_E_USAGE, "the model has %" PRId64 " input features: give 1 .. %" PRId64, n_features,
                       LS_LAYER_MAX_UNITS);
    if (n_layers < 1) return ls_fail(LS_E_USAGE, "the model has no layers: give at least the output layer");
    ls_model *model;
    LS_TRY(ls_alloc(&model, 1, sizeof *model, "model"));
    model->dtype = dtype;
    model->n_features = n_features;
    model->n_layers = n_layers;
    const ls_status status = fill(model, plan);
    if (status == LS_OK)
        *result = model;
    else
        ls_model_free(model);
    return status;
}

ls_status ls_model_create(ls_dtype dtype, int64_t n_features, const int64_t *hidden, int64_t n_hidden,
                          ls_activation activation, ls_model **model)
{
    *model = NULL;
    if (n_hidden < 0 || n_hidden == INT64_MAX)
        return ls_fail(LS_E_USAGE, "the model has %" PRId64 " hidden layers: give 0 or more", n_hidden);
    ls_layer_plan *plan;
    LS_TRY(ls_alloc(&plan, (size_t)n_hidden + 1, sizeof *plan, "plan of the layers"));
    for (int64_t i = 0; i < n_hidden; i++)
        plan[i] = (ls_layer_plan){.units = hidden[i], .activation = activation};
    plan[n_hidden] = (ls_layer_plan){.units = 1, .activation = LS_SIGMOID};
    const ls_status status = ls_model_create_layers(dtype, n_features, plan, n_hidden + 1, model);
    ls_free(plan);
    return status;
}

void ls_training_config_clear(ls_training_config *config)
{
    ls_free(config->slots);
    *config = (ls_training_config){0};
}

void ls_model_free(ls_model *model)
{
    if (!model) return;
    if (model->layers) {
        for (int64_t i = 0; i < model->n_layers; i++) ls_free(model->layers[i].name);
    }
    ls_free(model->layers);
    ls_free(model->parameters);
    ls_free(model);
}

void ls_model_describe_parameter(const ls_model *model, int64_t index, char *text, size_t size)
{
    const ls_layer *layer = &model->layers[0];
    while (index >= layer->bias_offset + layer->units) layer++;
    if (index >= layer->bias_offset) {
        snprintf(text, size, "%s: bias[%" PRId64 "]", layer->name, index - layer->bias_offset);
        return;
    }
    const int64_t place = index - layer->kernel_offset;
    snprintf(text, size, "%s: kernel[%" PRId64 "][%" PRId64 "]", layer->name, place / layer->units,
             place % layer->units);
}

static ls_status narrow(const ls_model *model, const double *from, float *to)
{
    for (int64_t i = 0; i < model->n_parameters; i++) {
        to[i] = (float)from[i];
        if (isinf(to[i]) && !isinf(from[i])) {
            char place[256];
            ls_model_describe_parameter(model, i, place, sizeof place);
            return ls_fail(LS_E_INPUT, "%s: %g does not fit float32: use float64", place, from[i]);
        }
    }
    return LS_OK;
}

ls_status ls_model_convert(ls_model *model, ls_dtype dtype)
{
    if (model->dtype == dtype) return LS_OK;
    void *converted;
    LS_TRY(ls_alloc(&converted, (size_t)model->n_parameters, ls_dtype_size(dtype), "converted parameters"));
    if (dtype == LS_FLOAT32) {
        const ls_status status = narrow(model, model->parameters, converted);
        if (status != LS_OK) {
            ls_free(converted);
            return status;
        }
    } else {
        const float *from = model->parameters;
        double *to = converted;
        for (int64_t i = 0; i < model->n_parameters; i++) to[i] = from[i];
    }
    ls_free(model->parameters);
    model->parameters = converted;
    model->dtype = dtype;
    return LS_OK;
}
