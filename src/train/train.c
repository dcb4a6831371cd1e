#include "lockstep/train.h"

#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/place.h"
#include "comm/tree.h"
#include "data/dataset_digest.h"
#include "engine/engine.h"
#include "engine/evaluate.h"
#include "lockstep/interrupt.h"
#include "model/model_file.h"
#include "model/normalization.h"
#include "model/penalty.h"
#include "train/batches.h"
#include "train/checkpoint.h"
#include "train/compare.h"
#include "train/history.h"
#include "train/mixing.h"
#include "train/monitor.h"
#include "train/normalize.h"
#include "train/optimizer.h"
#include "train/options.h"
#include "train/record.h"
#include "train/schedule.h"
#include "train/times.h"
#include "train/verify.h"

enum { PATH_SIZE = 4096 };

static const double PROGRESS_SECONDS = 0.1;
/* Between looks at the clock, about: a look takes a tenth of a small step. */
static const double CLOCK_SECONDS = 1e-3, POLL_SECONDS = 1e-4;
enum { MAX_CLOCK_STRIDE = 256 }; /* steps without a look, should they become slow all at once */

/* Everything that one run needs, so that it is freed in one place. */
typedef struct run {
    ls_session *session;
    ls_model *model;
    const ls_train_options *options;
    const ls_train_observer *observer;
    ls_history *history;
    int64_t n_shards;
    ls_order order;
    ls_engine *engine;
    ls_tree *tree;
    ls_dataset *inputs; /* the rows as the first layer takes them */
    ls_batches *batches;
    ls_optimizer_state *optimizer;
    bool has_penalty;
    int64_t initial_iterations; /* of the optimizer, before the run */
    ls_evaluation *validation;  /* or NULL */
    int lock;                   /* of the checkpoint directory, on rank 0 */
    json_t *settings;           /* what must not change when the run is resumed */
    ls_position position;
    bool asked_to_stop;        /* by the observer of rank 0 */
    bool drops;                /* outputs of layers are dropped */
    bool stop;                 /* a signal came, or that: the same on all ranks */
    bool checkpoint_due;       /* by the clock of rank 0: the same on all ranks */
    double checkpoint_seconds; /* when the last one was written */
    double clock;              /* at the last look, on rank 0 */
    int64_t clock_stride, steps_to_look;
    ls_times times;
    double begin;             /* of the whole run */
    int64_t first_iterations; /* steps that the run did not do itself */
    bool mixes;               /* the labels of this epoch's batches are counted */
    ls_mixing labels;
    ls_train_mixing mixing;
    int64_t saved_iterations; /* steps that the newest checkpoint has, -1 for none */
} run;

/* Once a step: looks at the clock when it may have moved noticeably. */
static void look_at_clock(run *r)
{
    if (--r->steps_to_look > 0) return;
    const double time = ls_now();
    const bool polls = r->observer && r->observer->poll;
    const double between = polls ? POLL_SECONDS : CLOCK_SECONDS;
    if (polls && r->observer->poll(r->observer->context)) r->asked_to_stop = true;
    /* Checkpoints that follow one another fast want every step. */
    const double every = r->options->checkpoint_every_seconds;
    const int64_t most = every > 0 && every < CLOCK_SECONDS * MAX_CLOCK_STRIDE ? 1 : MAX_CLOCK_STRIDE;
    if (time - r->clock < between && r->clock_stride < most) {
        r->clock_stride *= 2;
    } else if (time - r->clock > 2 * between && r->clock_stride > 1) {
        r->clock_stride /= 2;
    }
    r->clock = time;
    r->steps_to_look = r->clock_stride;
}

static void notice(const run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void notice(const run *r, const char *format, ...)
{
    if (ls_session_rank(r->session) != 0 || !r->observer || !r->observer->notice) return;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    r->observer->notice(r->observer->context, text);
}

/* Steps since the start of the training. */
static int64_t iterations(const run *r)
{
    return r->position.epoch * r->order.n_batches + r->position.step;
}

static ls_status make_settings(run *r, ls_dataset *dataset)
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
static bool is_possible(const run *r)
{
    const ls_order *order = &r->order;
    bool possible = r->position.step < order->n_batches &&
                    r->optimizer->iterations == r->initial_iterations + iterations(r) &&
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
static void tell_start(const run *r)
{
    const ls_training_config *start = r->options->start;
    const char *name = ls_optimizer_name(r->optimizer->optimizer.kind);
    if (!start || start->iterations == 0) return;
    if (r->initial_iterations > 0)
        notice(r, "%s goes on with its state after %lld steps", name, (long long)r->initial_iterations);
    else
        notice(r, "%s starts with a fresh state: that of the model is of another optimizer or type", name);
}

/* Lets the optimizer know how far the learning rate has been reduced. */
static void set_rate(run *r)
{
    if (r->options->reduce_lr > 0)
        ls_optimizer_set_rate(r->optimizer,
                              ls_train_learning_rate(r->options) * r->position.monitor.reduction);
}

/* Brings weights, position and history back from the newest checkpoint, if there is one. */
static ls_status resume(run *r)
{
    char *text, path[PATH_SIZE];
    LS_TRY(ls_checkpoint_read_newest(r->session, r->options->checkpoint_dir, r->model, r->optimizer,
                                     r->observer, &text, path, sizeof path));
    if (!text) {
        tell_start(r);
        notice(r, "%s: no checkpoint yet, starting anew", r->options->checkpoint_dir);
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
    set_rate(r);
    r->saved_iterations = iterations(r);
    LS_TRY(ls_checkpoint_prune(r->session, r->options->checkpoint_dir, r->options->checkpoint_keep,
                               r->saved_iterations));
    notice(r, "resumed from %s, after epoch %lld, step %lld", path, (long long)r->position.epoch,
           (long long)r->position.step);
    return LS_OK;
}

static ls_status make_optimizer(run *r)
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

static ls_status prepare(run *r, ls_dataset *dataset)
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
    if (options->normalize) LS_TRY(ls_normalize(r->session, r->model, dataset));
    LS_TRY(ls_session_agree(r->session, ls_model_open_inputs(r->model, dataset, &r->inputs)));
    const ls_status read =
        ls_batches_create(&r->order, r->inputs, r->engine, r->tree, options->memory, &r->batches);
    r->times.io += ls_now() - begin;
    LS_TRY(ls_session_agree(r->session, read));
    LS_TRY(make_optimizer(r));
    if (options->validation)
        LS_TRY(ls_evaluation_create(r->session, r->model, options->validation, NULL, &r->validation));
    LS_TRY(make_settings(r, dataset));
    if (options->resume) return resume(r);
    tell_start(r);
    return LS_OK;
}

static ls_status format_record(const run *r, char **text)
{
    *text = NULL;
    ls_status status = LS_OK;
    if (ls_session_rank(r->session) == 0)
        status = ls_record_format(r->settings, &r->position, r->history, text);
    return ls_session_agree(r->session, status);
}

/* A run that compares weights writes none that it has not compared: its files can be trusted afterwards. */
static ls_status verify_before_writing(const run *r)
{
    return r->options->verify_every ? ls_verify_now(r->session, r->model, r->optimizer, iterations(r))
                                    : LS_OK;
}

static ls_status write_checkpoint(run *r)
{
    char *text;
    const double begin = ls_now();
    const ls_training_config config = ls_optimizer_config(r->optimizer);
    LS_TRY(verify_before_writing(r));
    LS_TRY(format_record(r, &text));
    const ls_status status =
        ls_checkpoint_write(r->session, r->options->checkpoint_dir, r->options->checkpoint_keep, r->model,
                            &config, iterations(r), text);
    ls_free(text);
    r->checkpoint_seconds = ls_now();
    r->times.io += r->checkpoint_seconds - begin;
    if (status == LS_OK) r->saved_iterations = iterations(r);
    return status;
}

/* A model file with all that a checkpoint has. */
static ls_status write_model(run *r, const char *path)
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

/* The sums of this rank's shards, one message per subtree. If their rows cannot be read the messages are
 * zero. */
static ls_status compute(run *r, int64_t epoch, int64_t k)
{
    const ls_status status = ls_batches_enter(r->batches, epoch, k);
    if (status != LS_OK) {
        for (int i = 0; i < ls_tree_n_subtrees(r->tree); i++)
            memset(ls_tree_message(r->tree, i), 0, r->engine->layout.size);
        return status;
    }
    if (r->drops)
        r->engine->first_sample =
            epoch * r->order.n_samples + k * r->order.batch_size +
            ls_split(ls_order_batch_rows(&r->order, k), r->n_shards, ls_tree_subtree(r->tree, 0).first);
    for (int i = 0; i < ls_tree_n_subtrees(r->tree); i++) {
        const int64_t *shard_rows;
        const void *packed = ls_batches_packed(r->batches, i, &shard_rows);
        r->engine->kind->gradient(r->engine, packed, shard_rows, ls_tree_subtree(r->tree, i).count,
                                  ls_tree_message(r->tree, i));
    }
    return LS_OK;
}

/* In the first epoch of the run, if all of it is there. */
static void count_mixing(run *r, const ls_metrics *batch)
{
    if (batch->n_samples == r->order.batch_size) ls_mixing_add(&r->labels, batch->tp + batch->fn);
    if (r->position.step < r->order.n_batches - 1) return;
    r->mixes = false;
    r->mixing.label_spread = ls_mixing_label_spread(&r->labels, &r->order, &r->position.metrics);
}

/* One step: local sums, one reduction, the same update on every rank. */
static ls_status step(run *r)
{
    const ls_train_options *options = r->options;
    const ls_message_layout *layout = &r->engine->layout;
    const bool verify = options->verify_every && iterations(r) % options->verify_every == 0;
    ls_times_step_begins(&r->times);
    const ls_status computed = compute(r, r->position.epoch, r->position.step);
    /* What the rank itself has to say goes into its first message. Every rank has one: there are no more than
     * shards. */
    int64_t *own = ls_message_ints(layout, ls_tree_message(r->tree, 0));
    if (ls_session_rank(r->session) == 0) look_at_clock(r);
    own[LS_STEP_SIGNALS] = ls_interrupt_pending() != 0 || r->asked_to_stop;
    if (options->checkpoint_every_seconds > 0 && ls_session_rank(r->session) == 0)
        own[LS_STEP_CHECKPOINT] = r->clock - r->checkpoint_seconds >= options->checkpoint_every_seconds;
    if (verify) ls_verify_digest(r->model, r->optimizer, own + LS_STEP_INTS);

    void *sum;
    ls_times_computed(&r->times);
    LS_TRY(ls_tree_reduce(r->tree, &sum));
    ls_times_reduced(&r->times);
    const int64_t *ints = ls_message_ints(layout, sum);
    ls_metrics batch = ls_step_metrics(r->engine, layout, sum);
    /* A rank that could not read its rows has added nothing, so that samples are missing: everybody sees it.
     */
    if (batch.n_samples != ls_order_batch_rows(&r->order, r->position.step)) {
        LS_TRY(ls_session_agree(r->session, computed));
        return ls_fail(LS_E_INTERNAL, "step %lld of epoch %lld has counted %lld samples",
                       (long long)r->position.step + 1, (long long)r->position.epoch + 1,
                       (long long)batch.n_samples);
    }
    if (verify)
        LS_TRY(ls_verify_compare(r->session, r->model, r->optimizer, ints + LS_STEP_INTS, iterations(r)));
    if (r->has_penalty) batch.loss_sum += ls_penalty_value(r->model) * (double)batch.n_samples;
    /* The sum is the same everywhere, so all ranks stop here together. */
    if (!isfinite(batch.loss_sum))
        return ls_fail(
            LS_E_DIVERGED,
            "the loss of step %lld in epoch %lld is not finite: use a smaller learning_rate (it is %g)",
            (long long)r->position.step + 1, (long long)r->position.epoch + 1, r->optimizer->learning_rate);
    ls_metrics_add(&r->position.metrics, &batch);
    if (r->mixes) count_mixing(r, &batch);
    r->optimizer->step(r->optimizer, sum, batch.n_samples);
    r->stop = ints[LS_STEP_SIGNALS] != 0;
    r->checkpoint_due = ints[LS_STEP_CHECKPOINT] != 0;
    r->position.step++;
    ls_place_step(iterations(r));
    ls_times_step_ends(&r->times);
    return LS_OK;
}

static void show(const run *r, double seconds, const ls_metrics *validation)
{
    const ls_train_progress progress = {.epoch = r->position.epoch,
                                        .n_epochs = r->options->epochs,
                                        .step = r->position.step,
                                        .n_steps = r->order.n_batches,
                                        .seconds = seconds,
                                        .loss = r->model->loss,
                                        .metrics = r->position.metrics,
                                        .validation = *validation};
    r->observer->progress(r->observer->context, &progress);
}

/* Ends an epoch whose steps took so long, as far as this run did them. */
static ls_status end_epoch(run *r, bool whole, double seconds, const ls_metrics *validation)
{
    r->times.all += seconds;
    const ls_epoch_record record = {
        .epoch = r->position.epoch,
        .metrics = r->position.metrics,
        .validation = *validation,
        .learning_rate = r->options->reduce_lr > 0 ? r->optimizer->learning_rate : 0,
        .seconds = whole ? seconds : NAN,
        .samples_per_second = whole ? (double)r->position.metrics.n_samples / seconds : NAN};
    LS_TRY(ls_history_append(r->session, r->history, &record));
    r->position = (ls_position){.epoch = record.epoch + 1, .monitor = r->position.monitor};
    return LS_OK;
}

/* Puts the present weights aside as the best ones so far. */
static ls_status keep_best(run *r)
{
    ls_model *model = r->model;
    const size_t size = (size_t)model->n_parameters * ls_dtype_size(model->dtype);
    if (!model->best_parameters)
        LS_TRY(ls_session_agree(r->session,
                                ls_alloc(&model->best_parameters, 1, size, "weights of the best epoch")));
    memcpy(model->best_parameters, model->parameters, size);
    return LS_OK;
}

/* What follows from the measures of the epoch that has just ended, and is the newest of the history. */
static ls_status decide(run *r)
{
    const ls_epoch_record *record = &r->history->epochs[r->history->n_epochs - 1];
    const ls_train_options *options = r->options;
    ls_monitor *monitor = &r->position.monitor;
    const ls_decision decision = ls_monitor_epoch(monitor, options, r->model->dtype, record->epoch,
                                                  &record->metrics, &record->validation);
    if (decision.keep) LS_TRY(keep_best(r));
    if (decision.save) LS_TRY(write_model(r, options->save_best));
    if (decision.reduced) {
        set_rate(r);
        notice(r, "epoch %lld: %s is on a plateau, learning_rate becomes %g", (long long)record->epoch + 1,
               options->monitor, r->optimizer->learning_rate);
    }
    if (decision.stopped)
        notice(r, "epoch %lld: early stopping, %s was best in epoch %lld", (long long)record->epoch + 1,
               options->monitor, (long long)monitor->stopping.epoch + 1);
    return LS_OK;
}

/* At the end of the training. */
static void restore_best(run *r)
{
    ls_model *model = r->model;
    r->history->model_epoch = r->history->n_epochs - 1;
    if (!model->best_parameters) return;
    r->history->model_epoch = r->position.monitor.stopping.epoch;
    notice(r, "restoring the weights of epoch %lld, the best one",
           (long long)r->position.monitor.stopping.epoch + 1);
    memcpy(model->parameters, model->best_parameters,
           (size_t)model->n_parameters * ls_dtype_size(model->dtype));
    ls_free(model->best_parameters);
    model->best_parameters = NULL;
}

/* Whether all epochs are done, or no more of them are of use. */
static bool is_done(const run *r)
{
    return r->position.monitor.stopped || r->position.epoch >= r->options->epochs;
}

static ls_status stop_for_signal(run *r)
{
    if (!r->options->checkpoint_dir)
        return ls_fail(LS_E_INTERRUPTED,
                       "stopped by a signal in epoch %lld after step %lld; without --checkpoint-dir its "
                       "work is lost",
                       (long long)r->position.epoch + 1, (long long)r->position.step);
    if (r->saved_iterations != iterations(r)) LS_TRY(write_checkpoint(r));
    return ls_fail(LS_E_INTERRUPTED,
                   "stopped by a signal in epoch %lld after step %lld; its checkpoint is in %s: start again "
                   "with --resume",
                   (long long)r->position.epoch + 1, (long long)r->position.step, r->options->checkpoint_dir);
}

/* After a step: is a checkpoint due, by steps, by epochs, by the clock? */
static bool is_checkpoint_due(const run *r)
{
    const ls_train_options *options = r->options;
    if (!options->checkpoint_dir) return false;
    if (r->checkpoint_due) return true;
    if (options->checkpoint_every_steps && iterations(r) % options->checkpoint_every_steps == 0) return true;
    return options->checkpoint_every_epochs && r->position.step == 0 &&
           r->position.epoch % options->checkpoint_every_epochs == 0;
}

static ls_status validate(run *r, ls_metrics *metrics)
{
    LS_TRY(ls_evaluation_run(r->validation, metrics));
    if (isfinite(metrics->loss_sum)) return LS_OK;
    return ls_fail(LS_E_DIVERGED,
                   "the loss of the validation data after epoch %lld is not finite: use a smaller "
                   "learning_rate (it is %g), or look for outliers in %s",
                   (long long)r->position.epoch + 1, r->optimizer->learning_rate,
                   ls_dataset_x_name(r->options->validation));
}

static ls_status train_epoch(run *r)
{
    const bool watched = ls_session_rank(r->session) == 0 && r->observer && r->observer->progress;
    const bool whole = r->position.step == 0;
    const int64_t epoch = r->position.epoch;
    const double begin = ls_now();
    double shown = begin;
    while (r->position.epoch == epoch) {
        LS_TRY(step(r));
        const bool last = r->position.step == r->order.n_batches;
        ls_metrics validation = {0};
        if (last) {
            r->clock = ls_now();
            if (r->validation) LS_TRY(validate(r, &validation));
        }
        if (watched && (last || r->clock - shown >= PROGRESS_SECONDS)) {
            show(r, r->clock - begin, &validation);
            shown = r->clock;
        }
        if (last) LS_TRY(end_epoch(r, whole, r->clock - begin, &validation));
        if (last) LS_TRY(decide(r));
        if (is_checkpoint_due(r)) LS_TRY(write_checkpoint(r));
        if (r->stop && !is_done(r)) return stop_for_signal(r);
    }
    return LS_OK;
}

/* How well the rows are mixed, as far as the order tells. */
static ls_status look_at_order(run *r)
{
    ls_status status = LS_OK;
    r->mixing = (ls_train_mixing){NAN, NAN};
    r->mixes = r->position.step == 0;
    if (ls_session_rank(r->session) == 0)
        status = ls_mixing_neighbours(&r->order, r->position.epoch, &r->mixing.neighbours);
    return ls_session_agree(r->session, status);
}

static void tell_setup(const run *r)
{
    if (ls_session_rank(r->session) != 0 || !r->observer || !r->observer->begin) return;
    const ls_train_setup setup = {.n_samples = r->order.n_samples,
                                  .n_steps = r->order.n_batches,
                                  .n_shards = r->n_shards,
                                  .engine = r->engine->kind->name,
                                  .learning_rate = ls_train_learning_rate(r->options),
                                  .optimizer = &r->optimizer->optimizer};
    r->observer->begin(r->observer->context, &setup);
}

static ls_status tell_times(run *r)
{
    ls_train_times times;
    LS_TRY(ls_times_gather(r->session, &r->times, &times));
    times.n_shards = r->n_shards;
    times.message_bytes = r->engine->layout.size;
    times.n_steps = iterations(r) - r->first_iterations;
    times.seconds = ls_now() - r->begin;
    if (ls_session_rank(r->session) == 0 && r->observer && r->observer->end)
        r->observer->end(r->observer->context, &times, &r->mixing);
    return LS_OK;
}

static ls_status train(run *r, ls_dataset *dataset)
{
    LS_TRY(prepare(r, dataset));
    LS_TRY(look_at_order(r));
    r->first_iterations = iterations(r);
    tell_setup(r);
    ls_times_begin(&r->times);
    while (!is_done(r)) LS_TRY(train_epoch(r));
    if (r->options->checkpoint_dir && r->saved_iterations != iterations(r)) LS_TRY(write_checkpoint(r));
    restore_best(r);
    if (r->options->output) LS_TRY(write_model(r, r->options->output));
    return tell_times(r);
}

ls_status ls_train(ls_session *session, ls_model *model, ls_dataset *dataset, const ls_train_options *options,
                   const ls_train_observer *observer, ls_history *history)
{
    run r = {.session = session,
             .model = model,
             .options = options,
             .observer = observer,
             .history = history,
             .lock = -1,
             .begin = ls_now(),
             .n_shards = ls_train_shards(options)};
    ls_history_clear(history);
    history->loss = model->loss;
    LS_TRY(ls_train_compare(session, model, options, ls_engine_choose(options->engine, model), observer));
    LS_TRY(ls_train_check_options(model, dataset, options, ls_session_size(session)));
    const ls_status status = train(&r, dataset);
    ls_free(model->best_parameters);
    model->best_parameters = NULL;
    ls_checkpoint_release(r.lock);
    json_decref(r.settings);
    ls_optimizer_destroy(r.optimizer);
    ls_evaluation_destroy(r.validation);
    ls_batches_destroy(r.batches);
    ls_dataset_close(r.inputs);
    ls_tree_destroy(r.tree);
    ls_engine_destroy(r.engine);
    return status;
}
