#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "comm/tree.h"
#include "engine/engine.h"
#include "engine/evaluate.h"
#include "lockstep/interrupt.h"
#include "lockstep/train.h"
#include "model/penalty.h"
#include "train/batches.h"
#include "train/compare.h"
#include "train/history.h"
#include "train/mixing.h"
#include "train/monitor.h"
#include "train/options.h"
#include "train/run.h"
#include "train/times.h"
#include "train/verify.h"

static const double PROGRESS_SECONDS = 0.1;
/* Between looks at the clock, about: a look takes a tenth of a small step. */
static const double CLOCK_SECONDS = 1e-3, POLL_SECONDS = 1e-4;
enum { MAX_CLOCK_STRIDE = 256 }; /* steps without a look, should they become slow all at once */

/* Once a step: looks at the clock when it may have moved noticeably. */
static void look_at_clock(ls_run *r)
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

/* The sums of this rank's shards, one message per subtree. If their rows cannot be read the messages are
 * zero. */
static ls_status compute(ls_run *r, int64_t epoch, int64_t k)
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
static void count_mixing(ls_run *r, const ls_metrics *batch)
{
    if (batch->n_samples == r->order.batch_size) ls_mixing_add(&r->labels, batch->tp + batch->fn);
    if (r->position.step < r->order.n_batches - 1) return;
    r->mixes = false;
    r->mixing.label_spread = ls_mixing_label_spread(&r->labels, &r->order, &r->position.metrics);
}

/* One step: local sums, one reduction, the same update on every rank. */
static ls_status step(ls_run *r)
{
    const ls_train_options *options = r->options;
    const ls_message_layout *layout = &r->engine->layout;
    const bool verify = options->verify_every && ls_run_iterations(r) % options->verify_every == 0;
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
        LS_TRY(
            ls_verify_compare(r->session, r->model, r->optimizer, ints + LS_STEP_INTS, ls_run_iterations(r)));
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
    ls_place_step(ls_run_iterations(r));
    ls_times_step_ends(&r->times);
    return LS_OK;
}

static void show(const ls_run *r, double seconds, const ls_metrics *validation)
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
static ls_status end_epoch(ls_run *r, bool whole, double seconds, const ls_metrics *validation)
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
static ls_status keep_best(ls_run *r)
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
static ls_status decide(ls_run *r)
{
    const ls_epoch_record *record = &r->history->epochs[r->history->n_epochs - 1];
    const ls_train_options *options = r->options;
    ls_monitor *monitor = &r->position.monitor;
    const ls_decision decision = ls_monitor_epoch(monitor, options, r->model->dtype, record->epoch,
                                                  &record->metrics, &record->validation);
    if (decision.keep) LS_TRY(keep_best(r));
    if (decision.save) LS_TRY(ls_run_write_model(r, options->save_best));
    if (decision.reduced) {
        ls_run_set_rate(r);
        ls_run_notice(r, "epoch %lld: %s is on a plateau, learning_rate becomes %g",
                      (long long)record->epoch + 1, options->monitor, r->optimizer->learning_rate);
    }
    if (decision.stopped)
        ls_run_notice(r, "epoch %lld: early stopping, %s was best in epoch %lld",
                      (long long)record->epoch + 1, options->monitor, (long long)monitor->stopping.epoch + 1);
    return LS_OK;
}

/* At the end of the training. */
static void restore_best(ls_run *r)
{
    ls_model *model = r->model;
    r->history->model_epoch = r->history->n_epochs - 1;
    if (!model->best_parameters) return;
    r->history->model_epoch = r->position.monitor.stopping.epoch;
    ls_run_notice(r, "restoring the weights of epoch %lld, the best one",
                  (long long)r->position.monitor.stopping.epoch + 1);
    memcpy(model->parameters, model->best_parameters,
           (size_t)model->n_parameters * ls_dtype_size(model->dtype));
    ls_free(model->best_parameters);
    model->best_parameters = NULL;
}

/* Whether all epochs are done, or no more of them are of use. */
static bool is_done(const ls_run *r)
{
    return r->position.monitor.stopped || r->position.epoch >= r->options->epochs;
}

static ls_status stop_for_signal(ls_run *r)
{
    if (!r->options->checkpoint_dir)
        return ls_fail(LS_E_INTERRUPTED,
                       "stopped by a signal in epoch %lld after step %lld; without --checkpoint-dir its "
                       "work is lost",
                       (long long)r->position.epoch + 1, (long long)r->position.step);
    if (r->saved_iterations != ls_run_iterations(r)) LS_TRY(ls_run_write_checkpoint(r));
    return ls_fail(LS_E_INTERRUPTED,
                   "stopped by a signal in epoch %lld after step %lld; its checkpoint is in %s: start again "
                   "with --resume",
                   (long long)r->position.epoch + 1, (long long)r->position.step, r->options->checkpoint_dir);
}

/* After a step: is a checkpoint due, by steps, by epochs, by the clock? */
static bool is_checkpoint_due(const ls_run *r)
{
    const ls_train_options *options = r->options;
    if (!options->checkpoint_dir) return false;
    if (r->checkpoint_due) return true;
    if (options->checkpoint_every_steps && ls_run_iterations(r) % options->checkpoint_every_steps == 0)
        return true;
    return options->checkpoint_every_epochs && r->position.step == 0 &&
           r->position.epoch % options->checkpoint_every_epochs == 0;
}

static ls_status validate(ls_run *r, ls_metrics *metrics)
{
    LS_TRY(ls_evaluation_run(r->validation, metrics));
    if (isfinite(metrics->loss_sum)) return LS_OK;
    return ls_fail(LS_E_DIVERGED,
                   "the loss of the validation data after epoch %lld is not finite: use a smaller "
                   "learning_rate (it is %g), or look for outliers in %s",
                   (long long)r->position.epoch + 1, r->optimizer->learning_rate,
                   ls_dataset_x_name(r->options->validation));
}

static ls_status train_epoch(ls_run *r)
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
        if (is_checkpoint_due(r)) LS_TRY(ls_run_write_checkpoint(r));
        if (r->stop && !is_done(r)) return stop_for_signal(r);
    }
    return LS_OK;
}

/* How well the rows are mixed, as far as the order tells. */
static ls_status look_at_order(ls_run *r)
{
    ls_status status = LS_OK;
    r->mixing = (ls_train_mixing){NAN, NAN};
    r->mixes = r->position.step == 0;
    if (ls_session_rank(r->session) == 0)
        status = ls_mixing_neighbours(&r->order, r->position.epoch, &r->mixing.neighbours);
    return ls_session_agree(r->session, status);
}

static void tell_setup(const ls_run *r)
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

static ls_status tell_times(ls_run *r)
{
    ls_train_times times;
    LS_TRY(ls_times_gather(r->session, &r->times, &times));
    times.n_shards = r->n_shards;
    times.message_bytes = r->engine->layout.size;
    times.n_steps = ls_run_iterations(r) - r->first_iterations;
    times.seconds = ls_now() - r->begin;
    if (ls_session_rank(r->session) == 0 && r->observer && r->observer->end)
        r->observer->end(r->observer->context, &times, &r->mixing);
    return LS_OK;
}

static ls_status train(ls_run *r, ls_dataset *dataset)
{
    LS_TRY(ls_run_prepare(r, dataset));
    LS_TRY(look_at_order(r));
    r->first_iterations = ls_run_iterations(r);
    tell_setup(r);
    ls_times_begin(&r->times);
    while (!is_done(r)) LS_TRY(train_epoch(r));
    if (r->options->checkpoint_dir && r->saved_iterations != ls_run_iterations(r))
        LS_TRY(ls_run_write_checkpoint(r));
    restore_best(r);
    if (r->options->output) LS_TRY(ls_run_write_model(r, r->options->output));
    return tell_times(r);
}

ls_status ls_train(ls_session *session, ls_model *model, ls_dataset *dataset, const ls_train_options *options,
                   const ls_train_observer *observer, ls_history *history)
{
    ls_run r = {.session = session,
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
    ls_run_free(&r);
    return status;
}
