#include "model/keras_config.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json_text.h"
#include "base/memory.h"
#include "model/keras_optimizer.h"
#include "model/optimizer.h"

#define CONFIG   "attribute model_config"
#define TRAINING "attribute training_config"

/* ---- reading ---- */

static bool is_null(const json_t *value)
{
    return !value || json_is_null(value);
}

/* For messages: the class name of an object, the text of a string, otherwise a word for it. */
static const char *describe(const json_t *value)
{
    const char *name = json_string_value(json_object_get(value, "class_name"));
    if (name) return name;
    if (json_is_string(value)) return json_string_value(value);
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_NULL:
        return "nothing";
    default:
        return "a number";
    }
}

static ls_status parse_json(const char *file, const char *place, const char *text, json_t **root)
{
    json_error_t error;
    *root = json_loads(text, 0, &error);
    if (!*root)
        return ls_fail(LS_E_INPUT, "%s: %s: not valid JSON at character %d: %s", file, place, error.position,
                       error.text);
    if (!json_is_object(*root)) {
        json_decref(*root);
        return ls_fail(LS_E_INPUT, "%s: %s: the JSON is not an object", file, place);
    }
    return LS_OK;
}

/* "tanh", or {"class_name": "function", "config": "tanh"}; NULL otherwise. */
static const char *function_name(const json_t *value)
{
    if (json_is_object(value)) {
        const char *class_name = json_string_value(json_object_get(value, "class_name"));
        if (!class_name || strcmp(class_name, "function") != 0) return NULL;
        return json_string_value(json_object_get(value, "config"));
    }
    return json_string_value(value);
}

static ls_status parse_activation(const char *file, const char *layer, const json_t *value,
                                  ls_activation *activation)
{
    if (is_null(value)) {
        *activation = LS_LINEAR;
        return LS_OK;
    }
    const char *name = function_name(value);
    if (name && ls_activation_parse(name, activation) == LS_OK) return LS_OK;
    char known[160] = "";
    for (int i = LS_LINEAR; i <= LS_SOFTMAX; i++) {
        const size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "",
                 ls_activation_name((ls_activation)i));
    }
    return ls_fail(LS_E_INPUT, "%s: layer %s: activation %s is not supported: these are: %s", file, layer,
                   name ? name : describe(value), known);
}

/* "float32", or {"class_name": "DTypePolicy", "config": {"name": "float32"}}. */
static ls_status parse_dtype(const char *file, const char *layer, const json_t *value, ls_dtype *dtype)
{
    *dtype = LS_FLOAT32; /* Keras' default */
    if (is_null(value)) return LS_OK;
    const json_t *name =
        json_is_object(value) ? json_object_get(json_object_get(value, "config"), "name") : value;
    for (int i = LS_FLOAT32; i <= LS_FLOAT64; i++) {
        *dtype = (ls_dtype)i;
        if (json_is_string(name) && strcmp(json_string_value(name), ls_dtype_name(*dtype)) == 0) return LS_OK;
    }
    return ls_fail(LS_E_INPUT,
                   "%s: layer %s: dtype %s is not supported: float32 and float64 are (give the layers "
                   "dtype=\"float32\" in Keras)",
                   file, layer, describe(name));
}

/* The number of features of [null, 9]; a shape that is absent leaves *n_features. */
static ls_status parse_shape(const char *file, const char *layer, const json_t *shape, int64_t *n_features)
{
    if (is_null(shape)) return LS_OK;
    const json_t *last = json_array_get(shape, 1);
    if (json_array_size(shape) != 2 || !json_is_integer(last) || json_integer_value(last) < 1 ||
        json_integer_value(last) > LS_LAYER_MAX_UNITS) {
        char *text = json_dumps(shape, JSON_ENCODE_ANY);
        const ls_status status =
            ls_fail(LS_E_INPUT, "%s: layer %s: input shape %.100s is not supported: [null, n_features] is",
                    file, layer, text ? text : "");
        free(text);
        return status;
    }
    *n_features = json_integer_value(last);
    return LS_OK;
}

static ls_status parse_input_shapes(const char *file, const char *layer, const json_t *holder,
                                    int64_t *n_features)
{
    const char *const keys[] = {"build_input_shape", "input_shape", "batch_input_shape", "batch_shape"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        LS_TRY(parse_shape(file, layer, json_object_get(holder, keys[i]), n_features));
    return LS_OK;
}

/* Parts of a Dense layer that change what it computes or how it is trained, and that we do not have. */
static ls_status refuse_extras(const char *file, const char *name, const json_t *config)
{
    if (json_is_false(json_object_get(config, "use_bias")))
        return ls_fail(LS_E_INPUT, "%s: layer %s: use_bias is false: only layers with a bias are supported",
                       file, name);
    if (json_is_false(json_object_get(config, "trainable")))
        return ls_fail(
            LS_E_INPUT,
            "%s: layer %s: trainable is false: frozen layers are not supported: set layer.trainable = True "
            "and save again",
            file, name);
    const char *const extras[] = {"kernel_constraint",    "bias_constraint",     "bias_regularizer",
                                  "activity_regularizer", "quantization_config", "lora_rank"};
    for (size_t i = 0; i < sizeof extras / sizeof extras[0]; i++) {
        const json_t *value = json_object_get(config, extras[i]);
        if (!is_null(value))
            return ls_fail(LS_E_INPUT, "%s: layer %s: %s (%s) is not supported: save a model without it",
                           file, name, extras[i], describe(value));
    }
    return LS_OK;
}

/* Names are shown on terminals. */
static bool has_control(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f) return true;
    return false;
}

static ls_status parse_dense(const char *file, const json_t *config, ls_keras_model *keras)
{
    ls_layer_plan *plan = &keras->plan[keras->n_layers];
    const json_t *name = json_object_get(config, "name");
    char shown[80];
    if (is_null(name)) {
        snprintf(shown, sizeof shown, "%" PRId64, keras->n_layers + 1);
    } else {
        const char *text = json_string_value(name);
        if (!text || !*text || strchr(text, '/') || strcmp(text, ".") == 0 || has_control(text))
            return ls_fail(LS_E_INPUT,
                           "%s: " CONFIG
                           ": layer name \"%.100s\": give the layer a printable name without '/' in Keras",
                           file, describe(name));
        snprintf(shown, sizeof shown, "%s", text);
        const size_t size = strlen(text) + 1;
        char *copy;
        LS_TRY(ls_alloc(&copy, size, 1, "name of a layer"));
        memcpy(copy, text, size);
        plan->name = copy;
    }
    keras->n_layers++;

    const json_t *units = json_object_get(config, "units");
    if (!json_is_integer(units) || json_integer_value(units) < 1 ||
        json_integer_value(units) > LS_LAYER_MAX_UNITS)
        return ls_fail(LS_E_INPUT, "%s: layer %s: units is %s: an integer from 1 is needed", file, shown,
                       json_is_integer(units) ? "out of range" : describe(units));
    plan->units = json_integer_value(units);
    LS_TRY(parse_activation(file, shown, json_object_get(config, "activation"), &plan->activation));
    LS_TRY(refuse_extras(file, shown, config));
    const json_t *penalty = json_object_get(config, "kernel_regularizer");
    if (!is_null(penalty) && !ls_keras_penalty_parse(penalty, &plan->l1, &plan->l2))
        return ls_fail(LS_E_INPUT,
                       "%s: layer %s: kernel_regularizer (%s) is not supported: L1, L2 and L1L2 are", file,
                       shown, describe(penalty));

    ls_dtype dtype;
    LS_TRY(parse_dtype(file, shown, json_object_get(config, "dtype"), &dtype));
    if (keras->n_layers > 1 && dtype != keras->dtype)
        return ls_fail(LS_E_INPUT,
                       "%s: layer %s: dtype %s, but the layers before it are %s: all must be the same", file,
                       shown, ls_dtype_name(dtype), ls_dtype_name(keras->dtype));
    keras->dtype = dtype;
    return keras->n_layers == 1 ? parse_input_shapes(file, shown, config, &keras->n_features) : LS_OK;
}

/* Drops outputs of the layer before it. */
static ls_status parse_dropout(const char *file, const char *name, const json_t *config,
                               ls_keras_model *keras)
{
    const json_t *rate = json_object_get(config, "rate");
    const double value = json_number_value(rate);
    if (!json_is_number(rate) || !(value >= 0 && value < 1))
        return ls_fail(LS_E_INPUT, "%s: layer %s: rate is %g: a dropout rate is at least 0 and below 1", file,
                       name, value);
    if (keras->n_layers == 0)
        return ls_fail(LS_E_INPUT,
                       "%s: layer %s: Dropout of the inputs is not supported: it is after Dense layers", file,
                       name);
    ls_layer_plan *dropped = &keras->plan[keras->n_layers - 1];
    if (dropped->dropout > 0)
        return ls_fail(LS_E_INPUT, "%s: layer %s: a second Dropout after the same layer is not supported",
                       file, name);
    dropped->dropout = value;
    return LS_OK;
}

/* A list of n numbers, which Keras may have wrapped in another one. */
static ls_status parse_numbers(const char *file, const char *layer, const char *key, const json_t *value,
                               int64_t n, double **numbers)
{
    while (json_array_size(value) == 1 && json_is_array(json_array_get(value, 0)))
        value = json_array_get(value, 0);
    /* Checked first: a few characters can claim billions of features. */
    bool fits = json_array_size(value) == (size_t)n;
    if (fits) LS_TRY(ls_alloc(numbers, (size_t)n, sizeof **numbers, "mean and variance"));
    for (int64_t i = 0; i < n && fits; i++) {
        const json_t *number = json_array_get(value, (size_t)i);
        fits = json_is_number(number);
        (*numbers)[i] = json_number_value(number);
    }
    if (fits) return LS_OK;
    return ls_fail(LS_E_INPUT, "%s: layer %s: %s is not a list of %" PRId64 " numbers, one for each feature",
                   file, layer, key, n);
}

/* Standardisation of each feature by itself. */
static ls_status parse_normalization(const char *file, const json_t *config, const json_t *build,
                                     ls_keras_model *keras)
{
    const char *name = json_string_value(json_object_get(config, "name"));
    const json_t *axis = json_object_get(config, "axis");
    if (!name || has_control(name)) name = "normalization";
    if (keras->normalizes || keras->n_layers > 0)
        return ls_fail(LS_E_INPUT, "%s: layer %s: one Normalization layer is supported, as the first layer",
                       file, name);
    if (json_array_size(axis) == 1) axis = json_array_get(axis, 0);
    if (axis && !(json_is_integer(axis) && (json_integer_value(axis) == -1 || json_integer_value(axis) == 1)))
        return ls_fail(LS_E_INPUT, "%s: layer %s: its axis must be -1, each feature by itself", file, name);
    if (json_is_true(json_object_get(config, "invert")))
        return ls_fail(LS_E_INPUT, "%s: layer %s: invert is true: not supported", file, name);
    keras->normalizes = true;
    LS_TRY(parse_input_shapes(file, name, config, &keras->n_features));
    LS_TRY(parse_input_shapes(file, name, build, &keras->n_features));
    const json_t *mean = json_object_get(config, "mean"), *variance = json_object_get(config, "variance");
    if (is_null(mean) && is_null(variance)) return LS_OK;
    if (keras->n_features == 0)
        return ls_fail(LS_E_INPUT, "%s: layer %s: the model has no input shape", file, name);
    LS_TRY(parse_numbers(file, name, "mean", mean, keras->n_features, &keras->mean));
    return parse_numbers(file, name, "variance", variance, keras->n_features, &keras->variance);
}

static ls_status parse_layer(const char *file, const json_t *layer, bool first, ls_keras_model *keras)
{
    const char *class_name = json_string_value(json_object_get(layer, "class_name"));
    const json_t *config = json_object_get(layer, "config");
    const char *registered = json_string_value(json_object_get(layer, "registered_name"));
    if (!class_name || !json_is_object(config))
        return ls_fail(LS_E_INPUT, "%s: " CONFIG ": a layer without class_name or config", file);
    const char *name = json_string_value(json_object_get(config, "name"));
    if (!name) name = "without a name";
    if (registered && strncmp(registered, "Custom>", 7) == 0) class_name = registered;
    if (strcmp(class_name, "InputLayer") == 0 && first)
        return parse_input_shapes(file, name, config, &keras->n_features);
    if (strcmp(class_name, "Normalization") == 0)
        return parse_normalization(file, config, json_object_get(layer, "build_config"), keras);
    if (strcmp(class_name, "Dropout") == 0) return parse_dropout(file, name, config, keras);
    if (strcmp(class_name, "Dense") != 0)
        return ls_fail(LS_E_INPUT,
                       "%s: layer %s has the class %s: only Normalization, Dense and Dropout layers%s are "
                       "supported",
                       file, name, class_name,
                       strcmp(class_name, "Activation") == 0 ? " (with activation=... inside)" : "");
    LS_TRY(parse_dense(file, config, keras));
    /* Keras 3 also notes the shape that the layer was built for. */
    if (keras->n_layers == 1)
        LS_TRY(parse_input_shapes(file, name, json_object_get(layer, "build_config"), &keras->n_features));
    return LS_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Groups of the file are named after the layers. Layers without a name get their default one, which differs
 * from names given to others only by luck: all or none must have one. */
static ls_status check_names(const char *file, const ls_keras_model *keras)
{
    int64_t n = 0;
    const char **names;
    LS_TRY(ls_alloc(&names, (size_t)keras->n_layers, sizeof *names, "names of the layers"));
    for (int64_t i = 0; i < keras->n_layers; i++) {
        if (keras->plan[i].name) names[n++] = keras->plan[i].name;
    }
    ls_status status = LS_OK;
    if (n != 0 && n != keras->n_layers)
        status = ls_fail(LS_E_INPUT, "%s: " CONFIG ": some layers have names, some not", file);
    qsort(names, (size_t)n, sizeof *names, compare_names);
    for (int64_t i = 1; i < n && status == LS_OK; i++) {
        if (strcmp(names[i - 1], names[i]) == 0)
            status = ls_fail(LS_E_INPUT, "%s: " CONFIG ": two layers are named \"%.100s\"", file, names[i]);
    }
    ls_free(names);
    return status;
}

static ls_status parse_sequential(const char *file, const json_t *root, ls_keras_model *keras)
{
    const char *class_name = json_string_value(json_object_get(root, "class_name"));
    if (!class_name || strcmp(class_name, "Sequential") != 0)
        return ls_fail(
            LS_E_INPUT,
            "%s: the model is a %s: only Sequential is supported (for a plain chain of layers save "
            "keras.Sequential(model.layers))",
            file, class_name ? class_name : describe(root));
    const json_t *config = json_object_get(root, "config");
    const json_t *layers =
        json_is_array(config) ? config : json_object_get(config, "layers"); /* early Keras 2 */
    const size_t n = json_array_size(layers);
    if (n == 0) return ls_fail(LS_E_INPUT, "%s: " CONFIG ": the model has no layers", file);
    LS_TRY(ls_alloc(&keras->plan, n, sizeof *keras->plan, "plan of the layers"));
    LS_TRY(parse_input_shapes(file, "sequence", config, &keras->n_features));
    for (size_t i = 0; i < n; i++) LS_TRY(parse_layer(file, json_array_get(layers, i), i == 0, keras));
    if (keras->n_layers == 0)
        return ls_fail(LS_E_INPUT, "%s: " CONFIG ": the model has no Dense layer", file);

    const ls_layer_plan *output = &keras->plan[keras->n_layers - 1];
    if (output->dropout > 0)
        return ls_fail(LS_E_INPUT, "%s: " CONFIG ": Dropout after the output layer is not supported", file);
    for (int64_t i = 0; i < keras->n_layers - 1; i++)
        if (keras->plan[i].activation == LS_SOFTMAX)
            return ls_fail(LS_E_INPUT, "%s: Dense layer %" PRId64 " is softmax: only the output layer can be",
                           file, i + 1);
    return check_names(file, keras);
}

ls_status ls_keras_model_parse(const char *file, const char *text, ls_keras_model **result)
{
    *result = NULL;
    json_t *root;
    LS_TRY(parse_json(file, CONFIG, text, &root));
    ls_keras_model *keras;
    ls_status status = ls_alloc(&keras, 1, sizeof *keras, "configuration of the model");
    if (status == LS_OK) status = parse_sequential(file, root, keras);
    json_decref(root);
    if (status == LS_OK)
        *result = keras;
    else
        ls_keras_model_free(keras);
    return status;
}

void ls_keras_model_free(ls_keras_model *keras)
{
    if (!keras) return;
    for (int64_t i = 0; i < keras->n_layers; i++) ls_free((void *)keras->plan[i].name);
    ls_free(keras->plan);
    ls_free(keras->mean);
    ls_free(keras->variance);
    ls_free(keras);
}

/* The loss as a name or an object, or the one of a list or of a dictionary by output name. */
static const json_t *single_loss(json_t *loss)
{
    if (json_array_size(loss) == 1) return json_array_get(loss, 0);
    if (json_object_size(loss) == 1 && !json_object_get(loss, "class_name"))
        return json_object_iter_value(json_object_iter(loss));
    return loss;
}

/* Class name of a loss in Keras, by which its objects go. */
static const char *const loss_classes[] = {
    [LS_BINARY_CROSSENTROPY] = "BinaryCrossentropy",
    [LS_SPARSE_CATEGORICAL_CROSSENTROPY] = "SparseCategoricalCrossentropy",
    [LS_CATEGORICAL_CROSSENTROPY] = "CategoricalCrossentropy",
    [LS_MEAN_SQUARED_ERROR] = "MeanSquaredError",
    [LS_MEAN_ABSOLUTE_ERROR] = "MeanAbsoluteError",
    [LS_HUBER] = "Huber",
};

static ls_status find_loss(const char *file, const char *name, ls_loss *loss)
{
    static const char *const short_names[][2] = {{"mse", "mean_squared_error"},
                                                 {"mae", "mean_absolute_error"}};
    for (size_t i = 0; i < sizeof short_names / sizeof short_names[0]; i++)
        if (strcasecmp(name, short_names[i][0]) == 0) name = short_names[i][1];
    for (int i = LS_BINARY_CROSSENTROPY; i <= LS_HUBER; i++) {
        *loss = (ls_loss)i;
        if (strcmp(name, loss_classes[i]) == 0 || strcmp(name, ls_loss_name(*loss)) == 0) return LS_OK;
    }
    char known[200] = "";
    for (int i = LS_BINARY_CROSSENTROPY; i <= LS_HUBER; i++) {
        const size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? ", " : "", ls_loss_name((ls_loss)i));
    }
    return ls_fail(LS_E_INPUT, "%s: " TRAINING ": loss %s is not supported: these are: %s", file, name,
                   known);
}

static ls_status parse_loss(const char *file, const json_t *loss, ls_keras_loss *parsed)
{
    *parsed = (ls_keras_loss){.huber_delta = 1};
    if (is_null(loss)) return LS_OK;
    const char *name = function_name(loss);
    LS_TRY(find_loss(file, name ? name : describe(loss), &parsed->loss));
    parsed->known = true;
    const json_t *config = json_object_get(loss, "config");
    if (json_is_true(json_object_get(config, "from_logits")))
        return ls_fail(LS_E_INPUT,
                       "%s: " TRAINING
                       ": loss with from_logits true is not supported: give the output layer its "
                       "activation and compile with from_logits=False",
                       file);
    const json_t *smoothing = json_object_get(config, "label_smoothing"),
                 *delta = json_object_get(config, "delta");
    if (json_is_number(smoothing)) parsed->label_smoothing = json_number_value(smoothing);
    if (json_is_number(delta)) parsed->huber_delta = json_number_value(delta);
    if (!(parsed->label_smoothing >= 0 && parsed->label_smoothing < 1) || !(parsed->huber_delta > 0))
        return ls_fail(LS_E_INPUT,
                       "%s: " TRAINING ": label_smoothing %g and delta %g of the loss are not supported",
                       file, parsed->label_smoothing, parsed->huber_delta);
    const char *reduction = json_string_value(json_object_get(config, "reduction"));
    const char *const means[] = {"auto", "sum_over_batch_size", "mean", "mean_with_sample_weight"};
    for (size_t i = 0; reduction && i < sizeof means / sizeof means[0]; i++) {
        if (strcmp(reduction, means[i]) == 0) return LS_OK;
    }
    if (reduction)
        return ls_fail(LS_E_INPUT, "%s: " TRAINING ": reduction %s of the loss is not supported: the mean is",
                       file, reduction);
    return LS_OK;
}

ls_status ls_keras_apply_loss(const char *file, const ls_keras_loss *loss, ls_model *model)
{
    const ls_layer *output = &model->layers[model->n_layers - 1];
    model->loss = loss->loss;
    model->label_smoothing = loss->label_smoothing;
    model->huber_delta = loss->huber_delta;
    if (!loss->known) {
        model->loss = output->activation == LS_SIGMOID   ? LS_BINARY_CROSSENTROPY
                      : output->activation == LS_SOFTMAX ? LS_SPARSE_CATEGORICAL_CROSSENTROPY
                                                         : LS_MEAN_SQUARED_ERROR;
    }
    if (ls_model_check_output(model) == LS_OK) return LS_OK;
    char reason[256];
    snprintf(reason, sizeof reason, "%s", ls_error_message());
    return ls_fail(LS_E_INPUT, "%s: %s", file, reason);
}

double ls_keras_undo_float32(double value)
{
    const float narrow = (float)value;
    if (!isfinite(value) || (double)narrow != value) return value;
    for (int digits = 1; digits < 9; digits++) {
        char text[32];
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtof(text, NULL) == narrow) return strtod(text, NULL);
    }
    return value;
}

ls_status ls_keras_training_parse(const char *file, const char *text, bool exact, ls_keras_loss *loss,
                                  ls_training_config *config)
{
    *config = (ls_training_config){0};
    json_t *root;
    LS_TRY(parse_json(file, TRAINING, text, &root));
    ls_status status = parse_loss(file, single_loss(json_object_get(root, "loss")), loss);
    if (status == LS_OK && !is_null(json_object_get(root, "loss_weights")))
        status = ls_fail(LS_E_INPUT, "%s: " TRAINING ": loss_weights are not supported: compile without them",
                         file);
    if (status == LS_OK) ls_keras_optimizer_parse(json_object_get(root, "optimizer_config"), exact, config);
    json_decref(root);
    return status;
}

/* ---- writing ---- */

static json_t *dense_json(const ls_layer *layer, const char *dtype)
{
    json_t *json = json_pack(
        "{s:s, s:{s:s, s:b, s:s, s:I, s:s, s:b, s:{s:s, s:{s:n}}, s:{s:s, s:{}}}}", "class_name", "Dense",
        "config", "name", layer->name, "trainable", 1, "dtype", dtype, "units", (json_int_t)layer->units,
        "activation", ls_activation_name(layer->activation), "use_bias", 1, "kernel_initializer",
        "class_name", "GlorotUniform", "config", "seed", "bias_initializer", "class_name", "Zeros", "config");
    if ((layer->l1 != 0 || layer->l2 != 0) &&
        json_object_set_new(json_object_get(json, "config"), "kernel_regularizer",
                            ls_keras_penalty_format(layer->l1, layer->l2)) != 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

void ls_keras_name_dropout(const ls_model *model, int64_t number, char *name, size_t size)
{
    for (int64_t suffix = 0, free_ones = 0;; suffix++) {
        bool is_free = true;
        snprintf(name, size, suffix > 0 ? "dropout_%" PRId64 : "dropout", suffix);
        for (int64_t i = 0; i < model->n_layers; i++)
            is_free = is_free && strcmp(model->layers[i].name, name) != 0;
        if (is_free && free_ones++ == number) return;
    }
}

static json_t *dropout_json(const ls_model *model, int64_t layer, int64_t number, const char *dtype)
{
    char name[LS_KERAS_NAME_SIZE];
    ls_keras_name_dropout(model, number, name, sizeof name);
    return json_pack("{s:s, s:{s:s, s:b, s:s, s:f}}", "class_name", "Dropout", "config", "name", name,
                     "trainable", 1, "dtype", dtype, "rate", model->layers[layer].dropout);
}

/* Keras 2 needs a name of the input layer that no other layer has, groups of the file are named by layers. */
static void name_layer(const ls_model *model, const char *wanted, char name[LS_KERAS_NAME_SIZE])
{
    snprintf(name, LS_KERAS_NAME_SIZE, "%s", wanted);
    for (int64_t number = 1, i = 0; i < model->n_layers; i++) {
        if (strcmp(model->layers[i].name, name) == 0) {
            snprintf(name, LS_KERAS_NAME_SIZE, "%s_%" PRId64, wanted, number++);
            i = -1;
        }
    }
}

void ls_keras_name_normalization(const ls_model *model, char name[LS_KERAS_NAME_SIZE])
{
    name_layer(model, "normalization", name);
}

static json_t *normalization_json(const ls_model *model)
{
    char name[LS_KERAS_NAME_SIZE];
    ls_keras_name_normalization(model, name);
    return json_pack("{s:s, s:{s:s, s:b, s:s, s:[i]}}", "class_name", "Normalization", "config", "name", name,
                     "trainable", 1, "dtype", ls_dtype_name(model->dtype), "axis", -1);
}

ls_status ls_keras_model_format(const ls_model *model, char **text)
{
    const char *dtype = ls_dtype_name(model->dtype);
    char input_name[LS_KERAS_NAME_SIZE];
    name_layer(model, "input_layer", input_name);
    json_t *layers = json_array();
    bool complete =
        json_array_append_new(layers, json_pack("{s:s, s:{s:[n, I], s:s, s:s}}", "class_name", "InputLayer",
                                                "config", "batch_input_shape", (json_int_t)model->n_features,
                                                "dtype", dtype, "name", input_name)) == 0;
    if (model->mean) complete = json_array_append_new(layers, normalization_json(model)) == 0 && complete;
    for (int64_t i = 0, n_dropouts = 0; i < model->n_layers; i++) {
        complete = json_array_append_new(layers, dense_json(&model->layers[i], dtype)) == 0 && complete;
        if (model->layers[i].dropout > 0)
            complete =
                json_array_append_new(layers, dropout_json(model, i, n_dropouts++, dtype)) == 0 && complete;
    }
    if (!complete) {
        json_decref(layers);
        layers = NULL;
    }
    json_t *root = json_pack("{s:s, s:{s:s, s:o}}", "class_name", "Sequential", "config", "name",
                             "sequential", "layers", layers);
    return ls_json_text(root, JSON_REAL_PRECISION(17), "model_config", text);
}

/* How many digits bring the same number back: 0.1 rather than 0.10000000000000001. */
static int digits_needed(double value)
{
    int digits = 1;
    for (; digits < 17; digits++) {
        char number[40];
        snprintf(number, sizeof number, "%.*g", digits, value);
        if (strtod(number, NULL) == value) break;
    }
    return digits;
}

/* A name where Keras' default settings are meant. */
static json_t *loss_json(const ls_model *model)
{
    const char *class = loss_classes[model->loss];
    if (model->label_smoothing > 0)
        return json_pack("{s:s, s:{s:f}}", "class_name", class, "config", "label_smoothing",
                         model->label_smoothing);
    if (model->loss == LS_HUBER && model->huber_delta != 1)
        return json_pack("{s:s, s:{s:f}}", "class_name", class, "config", "delta", model->huber_delta);
    return json_string(ls_loss_name(model->loss));
}

/* The measures that Keras shows beside the loss; the notebook's all at Keras' threshold 0.5. */
static json_t *metrics_json(const ls_model *model)
{
    if (model->loss == LS_BINARY_CROSSENTROPY)
        return json_pack("[{s:s, s:{s:s, s:f}}, {s:s, s:{s:s}}, {s:s, s:{s:s}}]", "class_name",
                         "BinaryAccuracy", "config", "name", "binary_accuracy", "threshold", 0.5,
                         "class_name", "Precision", "config", "name", "precision", "class_name", "Recall",
                         "config", "name", "recall");
    if (ls_loss_is_categorical(model->loss)) return json_pack("[s]", "accuracy");
    return json_pack("[{s:s, s:{s:s}}, {s:s, s:{s:s}}]", "class_name", "MeanAbsoluteError", "config", "name",
                     "mean_absolute_error", "class_name", "MeanSquaredError", "config", "name",
                     "mean_squared_error");
}

/* Digits that bring back all numbers of the loss and the optimizer. */
static int digits_of(const ls_model *model, const ls_training_config *config)
{
    const ls_schedule *schedule = &config->optimizer.schedule;
    int digits = digits_needed(config->learning_rate);
    const double others[] = {schedule->decay_rate, schedule->alpha, model->label_smoothing,
                             model->huber_delta};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (digits_needed(others[i]) > digits) digits = digits_needed(others[i]);
    for (int i = 0; i < schedule->n_boundaries; i++) {
        const int needed = digits_needed(config->learning_rate * schedule->factors[i]);
        if (needed > digits) digits = needed;
    }
    for (const ls_optimizer_member *m = ls_optimizer_members; m->name; m++) {
        const int needed = digits_needed(ls_optimizer_value(&config->optimizer, m));
        if (needed > digits) digits = needed;
    }
    return digits;
}

ls_status ls_keras_training_format(const ls_model *model, const ls_training_config *config, char **text)
{
    const double learning_rate = config->learning_rate;
    if (!isfinite(learning_rate)) {
        *text = NULL;
        return ls_fail(LS_E_USAGE, "learning rate %g cannot be written: give a finite number", learning_rate);
    }
    json_t *root =
        json_pack("{s:o, s:o, s:n, s:n, s:o}", "loss", loss_json(model), "metrics", metrics_json(model),
                  "weighted_metrics", "loss_weights", "optimizer_config", ls_keras_optimizer_format(config));
    return ls_json_text(root, JSON_REAL_PRECISION(digits_of(model, config)), "training_config", text);
}
