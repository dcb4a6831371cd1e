#include "train/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/json_text.h"
#include "base/memory.h"
#include "model/normalization.h"
#include "model/optimizer.h"
#include "model/penalty.h"
#include "train/history.h"

enum { FORMAT = 2 };

/* [loss_sum, n_samples, tn, fp, fn, tp, n_correct, cross_entropy_sum, absolute_error_sum, squared_error_sum]
 */
static json_t *metrics_json(const ls_metrics *m)
{
    return json_pack("[f, I, I, I, I, I, I, f, f, f]", m->loss_sum, (json_int_t)m->n_samples,
                     (json_int_t)m->tn, (json_int_t)m->fp, (json_int_t)m->fn, (json_int_t)m->tp,
                     (json_int_t)m->n_correct, m->cross_entropy_sum, m->absolute_error_sum,
                     m->squared_error_sum);
}

static bool parse_metrics(json_t *json, ls_metrics *m)
{
    json_int_t counts[6];
    *m = (ls_metrics){0};
    if (json_unpack(json, "[F, I, I, I, I, I, I, F, F, F!]", &m->loss_sum, &counts[0], &counts[1], &counts[2],
                    &counts[3], &counts[4], &counts[5], &m->cross_entropy_sum, &m->absolute_error_sum,
                    &m->squared_error_sum) != 0)
        return false;
    m->n_samples = counts[0];
    m->tn = counts[1];
    m->fp = counts[2];
    m->fn = counts[3];
    m->tp = counts[4];
    m->n_correct = counts[5];
    for (int i = 0; i < 6; i++)
        if (counts[i] < 0) return false;
    /* Only two classes have a confusion matrix. */
    const __int128 n_counted = (__int128)m->tn + m->fp + m->fn + m->tp;
    /* Each label of a sample is counted. */
    return m->n_correct <= m->n_samples &&
           (n_counted == 0 || (m->n_samples > 0 && n_counted % m->n_samples == 0));
}

/* What the weights do not tell: activations, what is dropped, the loss. */
static bool add_network(const ls_model *model, json_t *settings)
{
    json_t *layers = json_array();
    for (int64_t i = 0; i < model->n_layers; i++) {
        const ls_layer *layer = &model->layers[i];
        if (json_array_append_new(layers, json_pack("[I, s, f]", (json_int_t)layer->units,
                                                    ls_activation_name(layer->activation), layer->dropout)) !=
            0) {
            json_decref(layers);
            return false;
        }
    }
    return json_object_set_new(settings, "layers", layers) == 0 &&
           json_object_set_new(settings, "loss", json_string(ls_loss_name(model->loss))) == 0 &&
           json_object_set_new(settings, "label_smoothing", json_real(model->label_smoothing)) == 0;
}

ls_status ls_record_settings(const ls_order *order, const ls_model *model, const ls_train_options *options,
                             const char *data, const char *validation, const ls_engine_kind *engine,
                             json_t **settings)
{
    char weights[17], arithmetic[64];
    snprintf(weights, sizeof weights, "%016llx", (unsigned long long)ls_model_weights_digest(model));
    engine->arithmetic(arithmetic, sizeof arithmetic);
    *settings =
        json_pack("{s:I, s:I, s:s, s:s, s:I, s:f, s:I, s:b, s:I, s:b, s:s, s:s, s:s, s:s}", "n_samples",
                  (json_int_t)order->n_samples, "n_features", (json_int_t)model->n_features, "training data",
                  data, "validation data", validation, "batch_size", (json_int_t)order->batch_size,
                  "learning_rate", ls_train_learning_rate(options), "seed", (json_int_t)options->seed,
                  "shuffle", (int)options->shuffle, "shards", (json_int_t)order->n_shards, "normalize",
                  (int)options->normalize, "initial weights", weights, "engine", engine->name, "reduction",
                  options->reduction == LS_REDUCTION_TREE ? "tree" : "mpi", "arithmetic", arithmetic);
    if (!*settings || !add_network(model, *settings))
        return ls_fail(LS_E_MEMORY, "settings of the run: no memory");
    return ls_monitor_add_settings(options, *settings);
}

/* The measures of all epochs, of the training or of the validation data, which there may be none of. NULL
 * without memory. */
static json_t *history_json(const ls_history *history, bool validation)
{
    json_t *epochs = json_array();
    bool complete = epochs;
    for (int64_t i = 0; i < history->n_epochs && complete; i++) {
        const ls_epoch_record *record = &history->epochs[i];
        const ls_metrics *metrics = validation ? &record->validation : &record->metrics;
        if (!validation || metrics->n_samples > 0)
            complete = json_array_append_new(epochs, metrics_json(metrics)) == 0;
    }
    if (complete) return epochs;
    json_decref(epochs);
    return NULL;
}

/* Those of all epochs, [] if the rate never changes. */
static json_t *learning_rates_json(const ls_history *history)
{
    json_t *rates = json_array();
    bool complete = rates;
    const int64_t n = history->n_epochs > 0 && history->epochs[0].learning_rate > 0 ? history->n_epochs : 0;
    for (int64_t i = 0; i < n && complete; i++)
        complete = json_array_append_new(rates, json_real(history->epochs[i].learning_rate)) == 0;
    if (complete) return rates;
    json_decref(rates);
    return NULL;
}

/* False without memory. */
static bool add(json_t *settings, const char *name, json_t *value)
{
    return value && json_object_set_new(settings, name, value) == 0;
}

static json_t *penalties_json(const ls_model *model)
{
    json_t *list = json_array();
    for (int64_t i = 0; list && ls_penalty_exists(model) && i < model->n_layers; i++) {
        json_t *layer = json_pack("[f, f]", model->layers[i].l1, model->layers[i].l2);
        if (!layer || json_array_append_new(list, layer) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* As text: settings are compared value by value. */
static json_t *boundaries_json(const ls_schedule *schedule)
{
    char text[64 * LS_MAX_BOUNDARIES] = "";
    size_t used = 0;
    for (int i = 0; i < schedule->n_boundaries; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%.17g after %lld", i ? ", " : "",
                                 schedule->factors[i], (long long)schedule->boundaries[i]);
    return json_string(text);
}

ls_status ls_record_add_optimizer(const ls_optimizer_state *state, json_t *settings)
{
    const ls_optimizer *optimizer = &state->optimizer;
    const ls_schedule *schedule = &optimizer->schedule;
    char slots[17];
    snprintf(slots, sizeof slots, "%016llx",
             (unsigned long long)XXH3_64bits(state->slots, ls_optimizer_slots_size(state)));
    bool added = add(settings, "optimizer", json_string(ls_optimizer_name(optimizer->kind)));
    for (const ls_optimizer_member *m = ls_optimizer_members; m->name; m++)
        if (ls_optimizer_uses(optimizer->kind, m->name))
            added = added && add(settings, m->name, json_real(ls_optimizer_value(optimizer, m)));
    added = added && add(settings, "nesterov", json_boolean(optimizer->nesterov)) &&
            add(settings, "centered", json_boolean(optimizer->centered)) &&
            add(settings, "schedule", json_string(ls_schedule_name(schedule->kind))) &&
            add(settings, "decay_steps", json_integer(schedule->decay_steps)) &&
            add(settings, "decay_rate", json_real(schedule->decay_rate)) &&
            add(settings, "alpha", json_real(schedule->alpha)) &&
            add(settings, "warmup_steps", json_integer(schedule->warmup_steps)) &&
            (schedule->n_boundaries == 0 || add(settings, "factors", boundaries_json(schedule))) &&
            add(settings, "l1 and l2 of the layers", penalties_json(state->model)) &&
            add(settings, "initial iterations", json_integer(state->iterations)) &&
            add(settings, "initial optimizer state", json_string(slots));
    return added ? LS_OK : ls_fail(LS_E_MEMORY, "settings of the run: no memory");
}

ls_status ls_record_format(json_t *settings, const ls_position *position, const ls_history *history,
                           char **text)
{
    *text = NULL;
    json_t *root =
        json_pack("{s:i, s:O, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "format", FORMAT, "settings", settings,
                  "epoch", (json_int_t)position->epoch, "step", (json_int_t)position->step, "metrics",
                  metrics_json(&position->metrics), "history", history_json(history, false), "validation",
                  history_json(history, true), "learning_rates", learning_rates_json(history), "monitor",
                  ls_monitor_json(&position->monitor));
    return ls_json_text(root, JSON_COMPACT | JSON_SORT_KEYS, "record of the training", text);
}

static const char *advice(const char *key)
{
    if (!strcmp(key, "arithmetic"))
        return "resume on a processor of the same kind, or allow by --allow-other-cpu that the last bits of "
               "the "
               "model become others";
    /* They may follow from the number of ranks, which the user did not mean to count. */
    if (!strcmp(key, "batch_size") || !strcmp(key, "shards"))
        return "resume with --batch-size and --shards as they were, on any number of ranks, or start anew in "
               "another checkpoint directory";
    return "resume with the same, or start anew in another checkpoint directory";
}

ls_status ls_record_compare(const char *file, json_t *stored, json_t *now)
{
    const char *key;
    json_t *value;
    json_object_foreach(now, key, value)
    {
        json_t *then = json_object_get(stored, key);
        if (then && json_equal(then, value)) continue;
        char *a = then ? json_dumps(then, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : NULL,
             *b = json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
        const ls_status status = ls_fail(LS_E_USAGE, "%s: %s was %s when the run began and is %s now: %s",
                                         file, key, a ? a : "not known", b ? b : "unknown", advice(key));
        free(a);
        free(b);
        return status;
    }
    return LS_OK;
}

/* What a record holds of the epochs: arrays of as many as the first, or empty ones. */
typedef struct epochs {
    json_t *training, *validation, *learning_rates;
} epochs;

static bool fits(json_t *array, json_int_t n)
{
    return json_is_array(array) && (json_array_size(array) == 0 || (json_int_t)json_array_size(array) == n);
}

static bool parse_learning_rate(json_t *json, double *rate)
{
    *rate = json_number_value(json);
    return json_is_real(json) && *rate >= 0;
}

static ls_status parse_history(const epochs *all, ls_history *history)
{
    const size_t n = json_array_size(all->training);
    LS_TRY(ls_alloc(&history->epochs, (size_t)ls_history_capacity((int64_t)n), sizeof *history->epochs,
                    "training history"));
    for (size_t i = 0; i < n; i++) {
        ls_epoch_record *record = &history->epochs[i];
        *record = (ls_epoch_record){.epoch = (int64_t)i, .seconds = NAN, .samples_per_second = NAN};
        if (!parse_metrics(json_array_get(all->training, i), &record->metrics)) return LS_E_INPUT;
        if (json_array_size(all->validation) > 0 &&
            !parse_metrics(json_array_get(all->validation, i), &record->validation))
            return LS_E_INPUT;
        if (json_array_size(all->learning_rates) > 0 &&
            !parse_learning_rate(json_array_get(all->learning_rates, i), &record->learning_rate))
            return LS_E_INPUT;
        history->n_epochs++;
    }
    return LS_OK;
}

ls_status ls_record_parse(const char *file, const char *text, json_t *settings, ls_position *position,
                          ls_history *history)
{
    json_error_t error;
    json_t *root = json_loads(text, 0, &error), *stored, *metrics, *monitor;
    epochs all = {0};
    json_int_t format = 0, epoch = -1, step = -1;
    ls_status status = LS_E_INPUT;
    if (root &&
        json_unpack(root, "{s:I, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "format", &format, "settings",
                    &stored, "epoch", &epoch, "step", &step, "metrics", &metrics, "history", &all.training,
                    "validation", &all.validation, "learning_rates", &all.learning_rates, "monitor",
                    &monitor) == 0 &&
        format == FORMAT && json_is_object(stored) && epoch >= 0 && step >= 0 &&
        parse_metrics(metrics, &position->metrics) && (json_int_t)json_array_size(all.training) == epoch &&
        fits(all.training, epoch) && fits(all.validation, epoch) && fits(all.learning_rates, epoch) &&
        ls_monitor_parse(monitor, epoch, &position->monitor)) {
        position->epoch = epoch;
        position->step = step;
        status = ls_record_compare(file, stored, settings);
        if (status == LS_OK) {
            status = parse_history(&all, history);
            if (status == LS_E_INPUT)
                status = ls_fail(LS_E_INPUT, "%s: its record of the training is damaged", file);
        }
    } else {
        status = ls_fail(LS_E_INPUT,
                         "%s: its record of the training cannot be understood: it was written by another "
                         "version, or is no checkpoint",
                         file);
    }
    json_decref(root);
    return status;
}
