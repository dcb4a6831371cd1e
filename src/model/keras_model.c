#include "model/keras_model.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "base/memory.h"
#include "model/keras_json.h"
#include "model/keras_optimizer.h"

#define CONFIG "attribute model_config"

/* ---- reading ---- */

static ls_status parse_activation(const char *file, const char *layer, const json_t *value,
                                  ls_activation *activation)
{
    if (ls_keras_is_null(value)) {
        *activation = LS_LINEAR;
        return LS_OK;
    }
    const char *name = ls_keras_function_name(value);
    if (name && ls_activation_parse(name, activation) == LS_OK) return LS_OK;
    char known[160] = "";
    for (int i = LS_LINEAR; i <= LS_SOFTMAX; i++)
        ls_list_name(known, sizeof known, ls_activation_name((ls_activation)i));
    return ls_fail(LS_E_INPUT, "%s: layer %s: activation %s is not supported: these are: %s", file, layer,
                   name ? name : ls_keras_describe(value), known);
}

/* "float32", or {"class_name": "DTypePolicy", "config": {"name": "float32"}}. */
static ls_status parse_dtype(const char *file, const char *layer, const json_t *value, ls_dtype *dtype)
{
    *dtype = LS_FLOAT32; /* Keras' default */
    if (ls_keras_is_null(value)) return LS_OK;
    const json_t *name =
        json_is_object(value) ? json_object_get(json_object_get(value, "config"), "name") : value;
    for (int i = LS_FLOAT32; i <= LS_FLOAT64; i++) {
        *dtype = (ls_dtype)i;
        if (json_is_string(name) && strcmp(json_string_value(name), ls_dtype_name(*dtype)) == 0) return LS_OK;
    }
    return ls_fail(LS_E_INPUT,
                   "%s: layer %s: dtype %s is not supported: float32 and float64 are (give the layers "
                   "dtype=\"float32\" in Keras)",
                   file, layer, ls_keras_describe(name));
}

/* The number of features of [null, 9]; a shape that is absent leaves *n_features. */
static ls_status parse_shape(const char *file, const char *layer, const json_t *shape, int64_t *n_features)
{
    if (ls_keras_is_null(shape)) return LS_OK;
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
        if (!ls_keras_is_null(value))
            return ls_fail(LS_E_INPUT, "%s: layer %s: %s (%s) is not supported: save a model without it",
                           file, name, extras[i], ls_keras_describe(value));
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
    if (ls_keras_is_null(name)) {
        snprintf(shown, sizeof shown, "%" PRId64, keras->n_layers + 1);
    } else {
        const char *text = json_string_value(name);
        if (!text || !*text || strchr(text, '/') || strcmp(text, ".") == 0 || has_control(text))
            return ls_fail(LS_E_INPUT,
                           "%s: " CONFIG
                           ": layer name \"%.100s\": give the layer a printable name without '/' in Keras",
                           file, ls_keras_describe(name));
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
                       json_is_integer(units) ? "out of range" : ls_keras_describe(units));
    plan->units = json_integer_value(units);
    LS_TRY(parse_activation(file, shown, json_object_get(config, "activation"), &plan->activation));
    LS_TRY(refuse_extras(file, shown, config));
    const json_t *penalty = json_object_get(config, "kernel_regularizer");
    if (!ls_keras_is_null(penalty) && !ls_keras_penalty_parse(penalty, &plan->l1, &plan->l2))
        return ls_fail(LS_E_INPUT,
                       "%s: layer %s: kernel_regularizer (%s) is not supported: L1, L2 and L1L2 are", file,
                       shown, ls_keras_describe(penalty));

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
    if (ls_keras_is_null(mean) && ls_keras_is_null(variance)) return LS_OK;
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
            file, class_name ? class_name : ls_keras_describe(root));
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
    LS_TRY(ls_keras_json_parse(file, CONFIG, text, &root));
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
