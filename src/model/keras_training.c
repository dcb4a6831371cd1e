#include "model/keras_training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json_text.h"
#include "model/keras_json.h"
#include "model/keras_optimizer.h"
#include "model/optimizer.h"

#define TRAINING "attribute training_config"

/* ---- reading ---- */

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
    for (int i = LS_BINARY_CROSSENTROPY; i <= LS_HUBER; i++)
        ls_list_name(known, sizeof known, ls_loss_name((ls_loss)i));
    return ls_fail(LS_E_INPUT, "%s: " TRAINING ": loss %s is not supported: these are: %s", file, name,
                   known);
}

static ls_status parse_loss(const char *file, const json_t *loss, ls_keras_loss *parsed)
{
    *parsed = (ls_keras_loss){.huber_delta = 1};
    if (ls_keras_is_null(loss)) return LS_OK;
    const char *name = ls_keras_function_name(loss);
    LS_TRY(find_loss(file, name ? name : ls_keras_describe(loss), &parsed->loss));
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

ls_status ls_keras_training_parse(const char *file, const char *text, bool exact, ls_keras_loss *loss,
                                  ls_training_config *config)
{
    *config = (ls_training_config){0};
    json_t *root;
    LS_TRY(ls_keras_json_parse(file, TRAINING, text, &root));
    ls_status status = parse_loss(file, single_loss(json_object_get(root, "loss")), loss);
    if (status == LS_OK && !ls_keras_is_null(json_object_get(root, "loss_weights")))
        status = ls_fail(LS_E_INPUT, "%s: " TRAINING ": loss_weights are not supported: compile without them",
                         file);
    if (status == LS_OK) ls_keras_optimizer_parse(json_object_get(root, "optimizer_config"), exact, config);
    json_decref(root);
    return status;
}

/* ---- writing ---- */

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
