#include "model/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "model/normalization.h"

enum { DEFAULT_NAME_SIZE = 32 };

/* The number of the name in a list; LS_E_USAGE names all of it. */
static ls_status find_name(const char *what, const char *name, const char *const *names, int n_names,
                           int *number)
{
    char known[256] = "";
    for (int i = 0; i < n_names; i++) {
        *number = i;
        if (strcmp(name, names[i]) == 0) return LS_OK;
        ls_list_name(known, sizeof known, names[i]);
    }
    return ls_fail(LS_E_USAGE, "%s '%s' is unknown: choose one of %s", what, name, known);
}

#define NAME_TEXT(name, text) [name] = text,
static const char *const activation_names[] = {LS_ACTIVATION_LIST(NAME_TEXT)};
static const char *const loss_names[] = {LS_LOSS_LIST(NAME_TEXT)};
static const char *const initializer_names[] = {LS_INITIALIZER_LIST(NAME_TEXT)};
#undef NAME_TEXT
#define N_NAMES(names) ((int)(sizeof(names) / sizeof(names)[0]))

const char *ls_activation_name(ls_activation activation)
{
    return activation_names[activation];
}

ls_status ls_activation_parse(const char *name, ls_activation *activation)
{
    int number;
    const ls_status status =
        find_name("activation", name, activation_names, N_NAMES(activation_names), &number);
    if (status == LS_OK) *activation = (ls_activation)number;
    return status;
}

const char *ls_loss_name(ls_loss loss)
{
    return loss_names[loss];
}

ls_status ls_loss_parse(const char *name, ls_loss *loss)
{
    int number;
    const ls_status status = find_name("loss", name, loss_names, N_NAMES(loss_names), &number);
    if (status == LS_OK) *loss = (ls_loss)number;
    return status;
}

ls_status ls_initializer_parse(const char *name, ls_initializer *initializer)
{
    int number;
    const ls_status status =
        find_name("initializer", name, initializer_names, N_NAMES(initializer_names), &number);
    if (status == LS_OK) *initializer = (ls_initializer)number;
    return status;
}

bool ls_loss_is_categorical(ls_loss loss)
{
    return loss == LS_SPARSE_CATEGORICAL_CROSSENTROPY || loss == LS_CATEGORICAL_CROSSENTROPY;
}

bool ls_loss_is_regression(ls_loss loss)
{
    return loss != LS_BINARY_CROSSENTROPY && !ls_loss_is_categorical(loss);
}

int64_t ls_model_n_outputs(const ls_model *model)
{
    return model->layers[model->n_layers - 1].units;
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
        layer->dropout = plan[i].dropout;
        if (layer->activation == LS_SOFTMAX && i < model->n_layers - 1)
            return ls_fail(LS_E_USAGE, "layer %" PRId64 " is softmax: only the output layer can be", i + 1);
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
    model->huber_delta = 1;
    const ls_status status = fill(model, plan);
    if (status == LS_OK)
        *result = model;
    else
        ls_model_free(model);
    return status;
}

ls_status ls_model_set_dropout(ls_model *model, double dropout)
{
    if (!(dropout >= 0 && dropout < 1))
        return ls_fail(LS_E_USAGE, "dropout is %g: it must be at least 0 and below 1", dropout);
    for (int64_t i = 0; i < model->n_layers - 1; i++) model->layers[i].dropout = dropout;
    return LS_OK;
}

ls_status ls_model_set_label_smoothing(ls_model *model, double label_smoothing)
{
    if (!(label_smoothing >= 0 && label_smoothing < 1))
        return ls_fail(LS_E_USAGE, "label_smoothing is %g: it must be at least 0 and below 1",
                       label_smoothing);
    if (label_smoothing > 0 && ls_loss_is_regression(model->loss))
        return ls_fail(LS_E_USAGE, "label_smoothing is for classes, not for %s", ls_loss_name(model->loss));
    model->label_smoothing = label_smoothing;
    return LS_OK;
}

ls_status ls_model_check_output(const ls_model *model)
{
    const ls_layer *output = &model->layers[model->n_layers - 1];
    const char *activation = ls_activation_name(output->activation), *loss = ls_loss_name(model->loss);
    if (model->loss == LS_BINARY_CROSSENTROPY && output->activation != LS_SIGMOID)
        return ls_fail(LS_E_USAGE,
                       "the output layer has %" PRId64
                       " %s unit%s: %s takes sigmoid units, one for each label, %s softmax units",
                       output->units, activation, output->units == 1 ? "" : "s", loss,
                       ls_loss_name(LS_SPARSE_CATEGORICAL_CROSSENTROPY));
    if (ls_loss_is_categorical(model->loss) && (output->units < 2 || output->activation != LS_SOFTMAX))
        return ls_fail(LS_E_USAGE,
                       "the output layer has %" PRId64 " %s unit%s: %s takes at least 2 softmax units",
                       output->units, activation, output->units == 1 ? "" : "s", loss);
    if (ls_loss_is_regression(model->loss) && output->activation == LS_SOFTMAX)
        return ls_fail(LS_E_USAGE,
                       "the output layer is softmax: %s takes linear units or those of another activation",
                       loss);
    return LS_OK;
}

ls_status ls_model_create_network(const ls_network *network, ls_model **model)
{
    *model = NULL;
    const int64_t n_hidden = network->n_hidden, n_outputs = network->n_outputs ? network->n_outputs : 1;
    if (n_hidden < 0 || n_hidden == INT64_MAX)
        return ls_fail(LS_E_USAGE, "the model has %" PRId64 " hidden layers: give 0 or more", n_hidden);
    if (!(network->huber_delta >= 0 && isfinite(network->huber_delta)))
        return ls_fail(LS_E_USAGE, "huber_delta is %g: it must be a positive number", network->huber_delta);
    ls_layer_plan *plan;
    LS_TRY(ls_alloc(&plan, (size_t)n_hidden + 1, sizeof *plan, "plan of the layers"));
    for (int64_t i = 0; i < n_hidden; i++)
        plan[i] = (ls_layer_plan){.units = network->hidden[i], .activation = network->activation};
    plan[n_hidden] =
        (ls_layer_plan){.units = n_outputs,
                        .activation = network->loss == LS_BINARY_CROSSENTROPY ? LS_SIGMOID
                                      : ls_loss_is_categorical(network->loss) ? LS_SOFTMAX
                                                                              : network->output_activation};
    ls_status status = ls_model_create_layers(network->dtype, network->n_features, plan, n_hidden + 1, model);
    ls_free(plan);
    LS_TRY(status);
    (*model)->loss = network->loss;
    if (network->huber_delta > 0) (*model)->huber_delta = network->huber_delta;
    status = ls_model_check_output(*model);
    if (status == LS_OK) status = ls_model_set_dropout(*model, network->dropout);
    if (status == LS_OK) status = ls_model_set_label_smoothing(*model, network->label_smoothing);
    if (status != LS_OK) {
        ls_model_free(*model);
        *model = NULL;
    }
    return status;
}

ls_status ls_model_create(ls_dtype dtype, int64_t n_features, const int64_t *hidden, int64_t n_hidden,
                          ls_activation activation, ls_model **model)
{
    const ls_network network = {.dtype = dtype,
                                .n_features = n_features,
                                .hidden = hidden,
                                .n_hidden = n_hidden,
                                .activation = activation};
    return ls_model_create_network(&network, model);
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
    ls_free(model->best_parameters);
    ls_free(model->mean); /* variance lies behind it */
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
    const ls_dtype before = model->dtype;
    model->dtype = dtype;
    if (model->mean) {
        const ls_status status =
            ls_model_set_normalization(model, model->mean, model->variance, "normalization");
        if (status != LS_OK) {
            model->dtype = before;
            ls_free(converted);
            return status;
        }
    }
    ls_free(model->parameters);
    ls_free(model->best_parameters);
    model->best_parameters = NULL;
    model->parameters = converted;
    return LS_OK;
}
