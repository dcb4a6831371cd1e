#include "lockstep/tune.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fault_system.h"
#include "base/memory.h"
#include "comm/mail.h"
#include "data/dataset.h"
#include "data/dataset_digest.h"
#include "engine/engine.h"
#include "model/whole_file.h"
#include "train/checkpoint.h"
#include "train/handout.h"
#include "train/journal.h"
#include "train/monitor.h"
#include "train/options.h"
#include "train/record.h"
#include "train/trial_tables.h"

void ls_tune_defaults(ls_tune_options *options)
{
    *options = (ls_tune_options){.search = LS_SEARCH_RANDOM,
                                 .trials = 20,
                                 .executions = 1,
                                 .objective = "val_loss",
                                 .factor = 3,
                                 .network = {.dtype = LS_FLOAT32, .activation = LS_TANH}};
    ls_train_defaults(&options->train);
}

static void notice(const ls_handout *t, const char *text)
{
    if (t->session->rank == 0 && t->observer && t->observer->notice)
        t->observer->notice(t->observer->context, text);
}

/* ---- beginning ---- */

static ls_status check_options(const ls_tune_options *options)
{
    if (options->ranks_per_trial < 0)
        return ls_fail(LS_E_USAGE, "ranks_per_trial is %lld: it must not be negative",
                       (long long)options->ranks_per_trial);
    if (options->train.epochs < 1)
        return ls_fail(LS_E_USAGE, "epochs is %lld: it must be at least 1", (long long)options->train.epochs);
    return LS_OK;
}

/* The space as rank 0 reads it, on all ranks. */
static ls_status read_space(ls_handout *t, char **text)
{
    void *bytes = NULL;
    size_t size = 0;
    uint64_t length;
    *text = NULL;
    ls_status status = t->session->rank == 0 ? ls_whole_file_read(t->options->space, &bytes, &size) : LS_OK;
    length = size;
    status = ls_session_agree(t->session, status);
    if (status == LS_OK) status = ls_broadcast(t->session, &length, sizeof length);
    if (status == LS_OK)
        status = ls_session_agree(t->session, ls_alloc(text, (size_t)length + 1, 1, "search space"));
    if (status == LS_OK && bytes) memcpy(*text, bytes, (size_t)length);
    ls_free(bytes);
    return status == LS_OK ? ls_broadcast(t->session, *text, (size_t)length) : status;
}

/* Ranks that can share the smallest batch of all trials. */
static ls_status most_ranks_of_trial(const ls_trials *trials, int64_t *most)
{
    *most = INT64_MAX;
    for (int64_t i = 0; i < trials->n_trials; i++) {
        ls_trial settings;
        LS_TRY(ls_trials_settings(trials, i, &settings));
        const int64_t shards = ls_train_shards(&settings.train);
        if (shards < *most) *most = shards;
    }
    return LS_OK;
}

/* One rank a training, more where there are more ranks than trainings. */
static ls_status choose_groups(ls_handout *t)
{
    const int64_t size = t->session->size, n_trainings = t->trials.n_trials * t->options->executions;
    int64_t most, wanted = t->options->ranks_per_trial;
    LS_TRY(most_ranks_of_trial(&t->trials, &most));
    if (wanted == 0) wanted = size / n_trainings > most ? most : size / n_trainings;
    if (wanted > size) wanted = size;
    t->n_groups = (int)(wanted > 1 ? size / wanted : size);
    return LS_OK;
}

static ls_status record_settings(const ls_handout *t, ls_model *model, const ls_train_options *train,
                                 const char *const data[2], json_t **settings)
{
    ls_order order;
    ls_optimizer_state *state = NULL;
    ls_order_init(&order, ls_dataset_n_samples(t->worker.train), model->n_features, train->batch_size,
                  ls_train_shards(train), train->shuffle, train->seed);
    LS_TRY(ls_record_settings(&order, model, train, data[0], data[1], ls_engine_choose(train->engine, model),
                              settings));
    ls_status status = ls_optimizer_create(model, &train->optimizer, ls_train_learning_rate(train), &state);
    if (status == LS_OK) status = ls_record_add_optimizer(state, *settings);
    ls_optimizer_destroy(state);
    LS_TRY(status);
    json_t *more = ls_trials_settings_json(&t->trials);
    if (!more || json_object_update(*settings, more) != 0)
        status = ls_fail(LS_E_MEMORY, "settings of the search: no memory");
    json_decref(more);
    if (train->allow_other_cpu) json_object_del(*settings, "arithmetic");
    return status;
}

/* The settings of the search: those of a training of what the space does not vary, with its model. */
static ls_status make_settings(ls_handout *t, ls_model *base, json_t **settings)
{
    char digests[2][LS_DATASET_DIGEST_SIZE];
    const char *const data[2] = {digests[0], digests[1]};
    ls_dataset *const sets[2] = {t->worker.train, t->worker.validation};
    ls_train_options train = t->options->train;
    train.seed = t->options->seed;
    for (int i = 0; i < 2; i++) LS_TRY(ls_dataset_digest(t->session, sets[i], base->dtype, digests[i]));
    return ls_session_agree(t->session, record_settings(t, base, &train, data, settings));
}

static ls_status take_line(void *context, const json_t *line)
{
    ls_outcome outcome;
    LS_TRY(ls_trials_read_line(context, line, &outcome));
    return ls_trials_finish(context, &outcome);
}

/* On rank 0. */
static ls_status open_journal(ls_handout *t, json_t *settings)
{
    const size_t size = (size_t)t->session->size;
    LS_TRY(ls_alloc(&t->idle, size, sizeof *t->idle, "search"));
    LS_TRY(ls_alloc(&t->is_busy, size, sizeof *t->is_busy, "search"));
    LS_TRY(ls_alloc(&t->is_forgotten, (size_t)t->trials.n_trials, sizeof *t->is_forgotten, "search"));
    LS_TRY(ls_journal_open(t->options->directory, t->options->resume, settings, take_line, &t->trials,
                           &t->journal));
    ls_handout_tidy(t);
    if (t->options->resume) {
        char text[128];
        int64_t n = 0;
        for (int64_t i = 0; i < t->trials.n_trials * t->options->executions; i++)
            n += t->trials.outcomes[i].unit.epochs > 0;
        snprintf(text, sizeof text,
                 n ? "resumed: %lld trainings have been done before" : "no journal yet, starting anew",
                 (long long)n);
        notice(t, text);
    }
    t->begin = ls_now();
    t->share_at_begin = ls_search_share(t->trials.search);
    if (t->observer && t->observer->begin)
        t->observer->begin(t->observer->context, t->trials.n_trials, ls_search_n_units(t->trials.search),
                           t->n_groups);
    return LS_OK;
}

/* The directory of the models, on rank 0. */
static ls_status make_directory(const ls_handout *t)
{
    char path[4096];
    if (!t->options->save_models || t->session->rank != 0) return LS_OK;
    snprintf(path, sizeof path, "%s/models", t->options->directory);
    if (mkdir(path, 0777) == 0 || errno == EEXIST) return LS_OK;
    return ls_fail(LS_E_OUTPUT, "%s: cannot make the directory: %s", path, strerror(errno));
}

/* The rows are read once, as far as half of the memory holds them; the other half is the trainings'. */
static ls_status hold_data(ls_handout *t, const ls_model *base)
{
    const int64_t memory = t->options->train.memory / 2;
    ls_dataset *const sets[2] = {t->worker.train, t->worker.validation};
    ls_status status = LS_OK;
    ls_place_at(LS_AT_READ, -1);
    for (int i = 0; i < 2 && status == LS_OK; i++) {
        status = ls_engine_check_features(base, sets[i]);
        if (status == LS_OK) status = ls_dataset_hold(sets[i], base->dtype, memory);
    }
    return ls_session_agree(t->session, status);
}

/* A model of what the space does not vary stands for all in what they have in common. */
static ls_status make_base(const ls_handout *t, ls_model **base)
{
    ls_trial trial;
    LS_TRY(ls_space_settings(t->trials.space, NULL, &trial));
    return ls_worker_model(&trial, ls_dataset_n_features(t->worker.train), t->options->seed, base);
}

/* What no training could do is told before the first one. */
static ls_status check_monitor(const ls_handout *t, const ls_model *base)
{
    ls_train_options train = t->options->train;
    train.validation = t->worker.validation;
    return ls_monitor_check(&train, base->loss);
}

static ls_status prepare(ls_handout *t)
{
    char *text;
    json_t *settings = NULL;
    ls_model *base = NULL;
    LS_TRY(check_options(t->options));
    ls_status status = read_space(t, &text);
    if (status == LS_OK)
        status = ls_session_agree(t->session, ls_trials_create(t->options, text, &t->trials));
    ls_free(text);
    if (status == LS_OK) status = choose_groups(t);
    LS_TRY(status);
    LS_TRY(ls_checkpoint_prepare(t->session, t->options->directory, false, &t->lock));
    if (t->options->train.output) LS_TRY(ls_session_check_output(t->session, t->options->train.output));
    LS_TRY(ls_session_agree(t->session, make_directory(t)));
    status = ls_session_agree(t->session, make_base(t, &base));
    if (status == LS_OK) status = check_monitor(t, base);
    if (status == LS_OK) status = hold_data(t, base);
    if (status == LS_OK) status = make_settings(t, base, &settings);
    ls_model_free(base);
    if (status == LS_OK)
        status = ls_session_agree(t->session, t->session->rank == 0 ? open_journal(t, settings) : LS_OK);
    json_decref(settings);
    LS_TRY(status);
    return ls_group_open(t->session, t->n_groups, &t->worker.group);
}

/* ---- ending ---- */

/* What rank 0 has come to, on all ranks. */
static ls_status share_end(ls_handout *t)
{
    ls_status status = t->status;
    LS_TRY(ls_mail_meet(t->session));
    if (t->session->rank == 0) {
        if (status == LS_E_INTERRUPTED) {
            ls_fail(
                status,
                "stopped by a signal after %lld of %lld trials; the journal in %s has them: start again with "
                "--resume",
                (long long)t->n_done, (long long)t->trials.n_trials, t->options->directory);
        } else if (status != LS_OK) {
            ls_fail(status, "%s", t->text);
        }
        const ls_status closed = ls_journal_close(t->journal);
        t->journal = NULL;
        if (status == LS_OK) status = closed;
        if (status == LS_OK) status = ls_trial_tables_write(&t->trials);
    }
    return ls_session_agree(t->session, status);
}

static ls_status fill_result(ls_handout *t, ls_tune_result *result)
{
    const int64_t n = t->trials.n_trials;
    int64_t *order;
    LS_TRY(ls_alloc(&order, (size_t)n, sizeof *order, "results of the search"));
    ls_status status = ls_alloc(&result->rows, (size_t)n, sizeof *result->rows, "results of the search");
    ls_search_rank(t->trials.search, order);
    for (int64_t i = 0; i < n && status == LS_OK; i++) {
        status = ls_handout_row(&t->trials, order[i], &result->rows[i]);
        result->n_rows += status == LS_OK;
    }
    ls_free(order);
    return status;
}

/* Wide networks are worth all ranks, those that train in a moment only the first group. */
static ls_status train_best(ls_handout *t, ls_tune_result *result)
{
    enum { WORTH = 1 << 20 }; /* multiplications of a step for each rank */
    ls_trial settings;
    int64_t best = ls_search_best(t->trials.search), n_groups = t->n_groups, epochs;
    LS_TRY(ls_mail_broadcast(t->session, &best, sizeof best));
    if (best < 0)
        return ls_fail(LS_E_DIVERGED, "none of the %lld trials has a result: the tables in %s tell why",
                       (long long)t->trials.n_trials, t->options->directory);
    epochs = ls_search_epochs(t->trials.search, best);
    LS_TRY(ls_mail_broadcast(t->session, &epochs, sizeof epochs));
    LS_TRY(ls_trials_settings(&t->trials, best, &settings));
    const int64_t n_features = ls_dataset_n_features(t->worker.train), size = t->session->size;
    ls_model *model = NULL;
    ls_status status = ls_session_agree(t->session, ls_worker_model(&settings, n_features, 0, &model));
    if (status != LS_OK) {
        ls_model_free(model);
        return status;
    }
    const int64_t shards = ls_train_shards(&settings.train);
    int64_t ranks = model->n_parameters * settings.train.batch_size / WORTH;
    if (ranks > shards) ranks = shards;
    if (ranks > size) ranks = size;
    if (ranks > size / n_groups) n_groups = size / ranks;
    ls_model_free(model);
    ls_session *group = NULL;
    LS_TRY(ls_group_open(t->session, (int)n_groups, &group));
    ls_worker worker = t->worker;
    worker.group = group;
    worker.observer = (ls_train_observer){0};
    if (group->first_rank == 0)
        status = ls_worker_train_best(&worker, best, epochs, &result->history, &result->best);
    else
        status = ls_worker_model(&settings, n_features, 0, &result->best);
    ls_group_close(group);
    LS_TRY(ls_mail_meet(t->session));
    if (status == LS_E_INTERRUPTED)
        ls_fail(status,
                "stopped by a signal after the search, while the best trial was trained anew: start again "
                "with --resume");
    if (status == LS_E_DIVERGED)
        ls_fail(status,
                "the best trial, %lld, diverged when it was trained anew from another seed; the tables in %s "
                "have what it was before: search among lower learning rates",
                (long long)best, t->options->directory);
    LS_TRY(ls_session_agree(t->session, status));
    return ls_broadcast(t->session, result->best->parameters,
                        (size_t)result->best->n_parameters * ls_dtype_size(result->best->dtype));
}

static ls_status run(ls_handout *t, ls_tune_result *result)
{
    LS_TRY(prepare(t));
    LS_TRY(ls_handout_work(t));
    LS_TRY(share_end(t));
    LS_TRY(ls_session_agree(t->session, t->session->rank == 0 ? fill_result(t, result) : LS_OK));
    return train_best(t, result);
}

ls_status ls_tune(ls_session *session, ls_dataset *train, ls_dataset *validation,
                  const ls_tune_options *options, const ls_tune_observer *observer, ls_tune_result *result)
{
    ls_handout t = {.session = session, .options = options, .observer = observer, .lock = -1};
    *result = (ls_tune_result){0};
    t.worker = (ls_worker){.trials = &t.trials,
                           .train = train,
                           .validation = validation,
                           .observer = {.context = &t, .poll = ls_handout_poll}};
    const ls_status status = run(&t, result);
    ls_journal_close(t.journal);
    ls_checkpoint_release(t.lock);
    ls_group_close(t.worker.group);
    ls_free(t.idle);
    ls_free(t.is_busy);
    ls_free(t.is_forgotten);
    ls_trials_clear(&t.trials);
    return status;
}

void ls_tune_result_clear(ls_tune_result *result)
{
    for (int64_t i = 0; i < result->n_rows; i++) ls_free((char *)result->rows[i].settings);
    ls_free(result->rows);
    ls_history_clear(&result->history);
    ls_model_free(result->best);
    *result = (ls_tune_result){0};
}
