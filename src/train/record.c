#include "train/record.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/json_text.h"
#include "base/memory.h"
#include "model/optimizer.h"
#include "model/penalty.h"
#include "train/history.h"

enum { FORMAT = 1 };

/* [loss_sum, n_samples, tn, fp, fn, tp] */
static json_t *metrics_json(const ls_metrics *m)
{
    return json_pack("[f, I, I, I, I, I]", m->loss_sum, (json_int_t)m->n_samples, (json_int_t)m->tn,
                     (json_int_t)m->fp, (json_int_t)m->fn, (json_int_t)m->tp);
}

static bool parse_metrics(json_t *json, ls_metrics *m)
{
    double loss_sum;
    json_int_t counts[5];
    if (json_unpack(json, "[f, I, I, I, I, I!]", &loss_sum, &counts[0], &counts[1], &counts[2], &counts[3],
                    &counts[4]) != 0)
        return false;
    *m = (ls_metrics){counts[0], loss_sum, counts[1], counts[2], counts[3], counts[4]};
    return m->n_samples >= 0 && m->tn >= 0 && m->fp >= 0 && m->fn >= 0 && m->tp >= 0 &&
           (__int128)m->tn + m->fp + m->fn + m->tp == m->n_samples;
}

ls_status ls_record_settings(const ls_order *order, const ls_model *model, const ls_train_options *options,
                             const char *data, const ls_engine_kind *engine, json_t **settings)
{
    char weights[17], arithmetic[64];
    snprintf(weights, sizeof weights, "%016llx",
             (unsigned long long)XXH3_64bits(model->parameters,
                                             (size_t)model->n_parameters * ls_dtype_size(model->dtype)));
    engine->arithmetic(arithmetic, sizeof arithmetic);
    *settings = json_pack("{s:I, s:I, s:s, s:I, s:f, s:I, s:b, s:I, s:s, s:s, s:s, s:s}", "n_samples",
                          (json_int_t)order->n_samples, "n_features", (json_int_t)model->n_features,
                          "training data", data, "batch_size", (json_int_t)order->batch_size, "learning_rate",
                          ls_train_learning_rate(options), "seed", (json_int_t)options->seed, "shuffle",
                          (int)options->shuffle, "shards", (json_int_t)order->n_shards, "initial weights",
                          weights, "engine", engine->name, "reduction",
                          options->reduction == LS_REDUCTION_TREE ? "tree" : "mpi", "arithmetic", arithmetic);
    return *settings ? LS_OK : ls_fail(LS_E_MEMORY, "settings of the run: no memory");
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
            add(settings, "l1 and l2 of the layers", penalties_json(state->model)) &&
            add(settings, "initial iterations", json_integer(state->iterations)) &&
            add(settings, "initial optimizer state", json_string(slots));
    return added ? LS_OK : ls_fail(LS_E_MEMORY, "settings of the run: no memory");
}

ls_status ls_record_format(json_t *settings, const ls_position *position, const ls_history *history,
                           char **text)
{
    *text = NULL;
    json_t *epochs = json_array();
    for (int64_t i = 0; i < history->n_epochs; i++)
        if (json_array_append_new(epochs, metrics_json(&history->epochs[i].metrics)) != 0) {
            json_decref(epochs);
            return ls_fail(LS_E_MEMORY, "record of the training: no memory");
        }
    json_t *root = json_pack("{s:i, s:O, s:I, s:I, s:o, s:o}", "format", FORMAT, "settings", settings,
                             "epoch", (json_int_t)position->epoch, "step", (json_int_t)position->step,
                             "metrics", metrics_json(&position->metrics), "history", epochs);
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
        char *a = then ? json_dumps(then, JSON_ENCODE_ANY) : NULL, *b = json_dumps(value, JSON_ENCODE_ANY);
        const ls_status status = ls_fail(LS_E_USAGE, "%s: %s was %s when the run began and is %s now: %s",
                                         file, key, a ? a : "not known", b ? b : "unknown", advice(key));
        free(a);
        free(b);
        return status;
    }
    return LS_OK;
}

static ls_status parse_history(json_t *epochs, ls_history *history)
{
    const size_t n = json_array_size(epochs);
    LS_TRY(ls_alloc(&history->epochs, (size_t)ls_history_capacity((int64_t)n), sizeof *history->epochs,
                    "training history"));
    for (size_t i = 0; i < n; i++) {
        ls_epoch_record *record = &history->epochs[i];
        *record = (ls_epoch_record){.epoch = (int64_t)i, .seconds = NAN, .samples_per_second = NAN};
        if (!parse_metrics(json_array_get(epochs, i), &record->metrics)) return LS_E_INPUT;
        history->n_epochs++;
    }
    return LS_OK;
}

ls_status ls_record_parse(const char *file, const char *text, json_t *settings, ls_position *position,
                          ls_history *history)
{
    json_error_t error;
    json_t *root = json_loads(text, 0, &error), *stored, *metrics, *epochs;
    json_int_t format = 0, epoch = -1, step = -1;
    ls_status status = LS_E_INPUT;
    if (root &&
        json_unpack(root, "{s:I, s:o, s:I, s:I, s:o, s:o}", "format", &format, "settings", &stored, "epoch",
                    &epoch, "step", &step, "metrics", &metrics, "history", &epochs) == 0 &&
        format == FORMAT && json_is_object(stored) && json_is_array(epochs) && epoch >= 0 && step >= 0 &&
        parse_metrics(metrics, &position->metrics) && (json_int_t)json_array_size(epochs) == epoch) {
        position->epoch = epoch;
        position->step = step;
        status = ls_record_compare(file, stored, settings);
        if (status == LS_OK) {
            status = parse_history(epochs, history);
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
