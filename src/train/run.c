#include "train/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/place.h"
#include "data/dataset_digest.h"
#include "model/model_file.h"
#include "model/normalization.h"
#include "model/penalty.h"
#include "train/checkpoint.h"
#include "train/monitor.h"
#include "train/normalize.h"
#include "train/options.h"
#include "train/schedule.h"
#include "train/verify.h"

enum { PATH_SIZE = 4096 };

void ls_run_notice(const ls_run *r, const char *format, ...)
{
    if (ls_session_rank(r->session) != 0 || !r->observer || !r->observer->notice) return;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    r->observer->notice(r->observer->context, text);
}

static ls_status make_settings(ls_run *r, ls_dataset *dataset)
{
    char data[LS_DATASET_DIGEST_SIZE], validation[LS_DATASET_DIGEST_SIZE] = "none";
    LS_TRY(ls_dataset_digest(r->session, dataset, r->model->dtype, data));
    if (r->options->validation)
        LS_TRY(ls_dataset_digest(r->session, r->options->validation, r->model->dtype, validation));
    ls_status status =
        ls_record_settings(&r->order, r->model, r->options, data, validation, r->engine->kind, &r->settings);
    if (status == LS_OK) status = ls_record_add_optimizer(r->optimizer, r->settings);
    return ls_session_agree(r->session, status);
}

/* Whether a run of these settings can have come to this position: its counts are those of its steps. */
static bool is_possible(const ls_run *r)
{
    const ls_order *order = &r->order;
    bool possible = r->position.step < order->n_batches &&
                    r->optimizer->iterations == r->initial_iterations + ls_run_iterations(r) &&
                    r->position.metrics.n_samples == r->position.step * order->batch_size;
    const int64_t n_validation = r->options->validation ? ls_dataset_n_samples(r->options->validation) : 0;
    for (int64_t i = 0; i < r->history->n_epochs; i++)
        possible = possible && r->history->epochs[i].metrics.n_samples == order->n_samples &&
                   r->history->epochs[i].validation.n_samples == n_validation;
    const bool keeps_best = r->options->restore_best && r->position.monitor.stopping.found;
    possible = possible && keeps_best == (r->model->best_parameters != NULL);
    return possible;
}

/* Whether the optimizer of the model's file goes on. */
static void tell_start(const ls_run *r)
{
    const ls_training_config *start = r->options->start;
    const char *name = ls_optimizer_name(r->optimizer->optimizer.kind);
    if (!start || start->iterations == 0) return;
    if (r->initial_iterations > 0)
        ls_run_notice(r, "%s goes on with its state after %lld steps", name,
                      (long long)r->initial_iterations);
    else
        ls_run_notice(r, "%s starts with a fresh state: that of the model is of another optimizer or type",
                      name);
}

void ls_run_set_rate(ls_run *r)
{
    if (r->options->reduce_lr > 0)
        ls_optimizer_set_rate(r->optimizer,
                              ls_train_learning_rate(r->options) * r->position.monitor.reduction);
}

/* Brings weights, position and history back from the newest checkpoint, if there is one. */
static ls_status resume(ls_run *r)
{
    char *text, path[PATH_SIZE];
    LS_TRY(ls_checkpoint_read_newest(r->session, r->options->checkpoint_dir, r->model, r->optimizer,
                                     r->observer, &text, path, sizeof path));
    if (!text) {
        tell_start(r);
        ls_run_notice(r, "%s: no checkpoint yet, starting anew", r->options->checkpoint_dir);
        return LS_OK;
    }
    /* Other arithmetic gives other bits, which the user may accept. */
    json_t *settings = json_copy(r->settings);
    /* jansson 2.14 copies what it has memory for. */
    const bool copied = settings && json_object_size(settings) == json_object_size(r->settings);
    if (r->options->allow_other_cpu) json_object_del(settings, "arithmetic");
    ls_status status = copied ? ls_record_parse(path, text, settings, &r->position, r->history)
                              : ls_fail(LS_E_MEMORY, "settings of the run: no memory");
    json_decref(settings);
    ls_free(text);
    if (status == LS_OK && !is_possible(r))
        status = ls_fail(LS_E_INPUT, "%s: its record of the training is damaged", path);
    if (status == LS_OK && (r->position.epoch > r->options->epochs ||
                            (r->position.epoch == r->options->epochs && r->position.step > 0)))
        status = ls_fail(LS_E_USAGE, "%s: is already in epoch %lld, after the %lld epochs asked for", path,
                         (long long)r->position.epoch + 1, (long long)r->options->epochs);
    LS_TRY(ls_session_agree(r->session, status));
    ls_run_set_rate(r);
    r->saved_iterations = ls_run_iterations(r);
    LS_TRY(ls_checkpoint_prune(r->session, r->options->checkpoint_dir, r->options->checkpoint_keep,
                               r->saved_iterations));
    ls_run_notice(r, "resumed from %s, after epoch %lld, step %lld%s", path, (long long)r->position.epoch,
                  (long long)r->position.step, r->knows_normalization ? ", with its mean and variance" : "");
    return LS_OK;
}

static ls_status make_optimizer(ls_run *r)
{
    const ls_train_options *options = r->options;
    ls_optimizer optimizer = options->optimizer;
    int64_t n_steps;
    if (__builtin_mul_overflow(options->epochs, r->order.n_batches, &n_steps)) n_steps = INT64_MAX;
    optimizer.schedule = ls_schedule_resolve(&optimizer.schedule, n_steps);
    r->has_penalty = ls_penalty_exists(r->model);
    const ls_status status =
        ls_session_agree(r->session, ls_optimizer_create(r->model, &optimizer,
                                                         ls_train_learning_rate(options), &r->optimizer));
    if (status == LS_OK && options->start) ls_optimizer_continue(r->optimizer, options->start);
    if (status == LS_OK) r->initial_iterations = r->optimizer->iterations;
    return status;
}

/* A resumed run knows mean and variance; that the data are the same is seen from their digest. */
static ls_status normalize(ls_run *r, ls_dataset *dataset)
{
    if (r->options->resume)
        LS_TRY(ls_checkpoint_adopt_normalization(r->session, r->options->checkpoint_dir, r->model,
                                                 &r->knows_normalization));
    return r->knows_normalization ? LS_OK : ls_normalize(r->session, r->model, dataset);
}

ls_status ls_run_prepare(ls_run *r, ls_dataset *dataset)
{
    const ls_train_options *options = r->options;
    r->checkpoint_seconds = ls_now();
    r->clock_stride = 1;
    r->saved_iterations = -1;
    ls_monitor_init(&r->position.monitor);
    ls_order_init(&r->order, ls_dataset_n_samples(dataset), r->model->n_features, options->batch_size,
                  r->n_shards, options->shuffle, options->seed);
    if (options->output) LS_TRY(ls_session_check_output(r->session, options->output));
    if (options->save_best) LS_TRY(ls_session_check_output(r->session, options->save_best));
    if (options->checkpoint_dir)
        LS_TRY(ls_checkpoint_prepare(r->session, options->checkpoint_dir, !options->resume, &r->lock));
    const ls_engine_plan plan = {.targets = ls_dataset_targets(dataset),
                                 .batch_size = options->batch_size,
                                 .n_shards = r->n_shards,
                                 .n_extra = options->verify_every ? LS_VERIFY_INTS : 0,
                                 .seed = options->seed};
    const ls_status created =
        ls_engine_create(ls_engine_choose(options->engine, r->model), r->model, &plan, &r->engine);
    LS_TRY(ls_session_agree(r->session, created));
    for (int64_t i = 0; i < r->model->n_layers; i++) r->drops = r->drops || r->model->layers[i].dropout > 0;
    LS_TRY(ls_tree_create(r->session, &r->engine->layout, r->n_shards, options->reduction == LS_REDUCTION_MPI,
                          &r->tree));
    ls_place_at(LS_AT_READ, -1);
    const double begin = ls_now();
    if (options->normalize) LS_TRY(normalize(r, dataset));
    LS_TRY(ls_session_agree(r->session, ls_model_open_inputs(r->model, dataset, &r->inputs)));
    const int64_t before = ls_alloc_live_bytes();
    const ls_status read =
        ls_batches_create(&r->order, r->inputs, r->engine, r->tree, options->memory, &r->batches);
    const int64_t rows_bytes = ls_alloc_live_bytes() - before;
    r->times.io += ls_now() - begin;
    LS_TRY(ls_session_agree(r->session, read));
    LS_TRY(make_optimizer(r));
    /* What the rows to train on have left. */
    const int64_t left = options->memory - rows_bytes;
    if (options->validation)
        LS_TRY(ls_evaluation_create(r->session, r->model, options->validation, left, NULL, &r->validation));
    LS_TRY(make_settings(r, dataset));
    if (options->resume) return resume(r);
    tell_start(r);
    return LS_OK;
}

static ls_status format_record(const ls_run *r, char **text)
{
    *text = NULL;
    ls_status status = LS_OK;
    if (ls_session_rank(r->session) == 0)
        status = ls_record_format(r->settings, &r->position, r->history, text);
    return ls_session_agree(r->session, status);
}

/* A run that compares weights writes none that it has not compared: its files can be trusted afterwards. */
static ls_status verify_before_writing(const ls_run *r)
{
    return r->options->verify_every ? ls_verify_now(r->session, r->model, r->optimizer, ls_run_iterations(r))
                                    : LS_OK;
}

ls_status ls_run_write_checkpoint(ls_run *r)
{
    char *text;
    const double begin = ls_now();
    const ls_training_config config = ls_optimizer_config(r->optimizer);
    LS_TRY(verify_before_writing(r));
    LS_TRY(format_record(r, &text));
    const ls_status status =
        ls_checkpoint_write(r->session, r->options->checkpoint_dir, r->options->checkpoint_keep, r->model,
                            &config, ls_run_iterations(r), text);
    ls_free(text);
    r->checkpoint_seconds = ls_now();
    r->times.io += r->checkpoint_seconds - begin;
    if (status == LS_OK) r->saved_iterations = ls_run_iterations(r);
    return status;
}

ls_status ls_run_write_model(ls_run *r, const char *path)
{
    char *text;
    const double begin = ls_now();
    const ls_training_config config = ls_optimizer_config(r->optimizer);
    LS_TRY(verify_before_writing(r));
    LS_TRY(format_record(r, &text));
    ls_place_at(LS_AT_WRITE, -1);
    const ls_status status =
        ls_session_rank(r->session) == 0 ? ls_model_file_write(r->model, &config, text, path) : LS_OK;
    ls_free(text);
    r->times.io += ls_now() - begin;
    return ls_session_agree(r->session, status);
}

void ls_run_free(ls_run *r)
{
    ls_free(r->model->best_parameters);
    r->model->best_parameters = NULL;
    ls_checkpoint_release(r->lock);
    json_decref(r->settings);
    ls_optimizer_destroy(r->optimizer);
    ls_evaluation_destroy(r->validation);
    ls_batches_destroy(r->batches);
    ls_dataset_close(r->inputs);
    ls_tree_destroy(r->tree);
    ls_engine_destroy(r->engine);
}
