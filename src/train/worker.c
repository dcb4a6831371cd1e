#include "train/worker.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "comm/comm.h"
#include "train/monitor.h"

enum { PATH_SIZE = 4096 };

/* Parameters times samples that take about a second: less is trained anew on a higher rung, to the same bits,
 * sooner than it is written and read. */
static const double WORTH_KEEPING = 1e9;

ls_status ls_worker_model(const ls_trial *settings, int64_t n_features, uint64_t seed, ls_model **model)
{
    ls_network network = settings->network;
    network.n_features = n_features;
    network.hidden = settings->hidden;
    LS_TRY(ls_model_create_network(&network, model));
    ls_model_init(*model, settings->initializer, seed);
    for (int64_t i = 0; i < (*model)->n_layers; i++) {
        (*model)->layers[i].l1 = settings->l1;
        (*model)->layers[i].l2 = settings->l2;
    }
    return LS_OK;
}

/* Files of an execution: what a higher rung goes on from, and its model. */
typedef struct worker_paths {
    char checkpoints[PATH_SIZE], model[PATH_SIZE];
} worker_paths;

static ls_status name_paths(const ls_trials *trials, int64_t trial, int64_t execution, worker_paths *paths)
{
    const char *directory = trials->options->directory;
    snprintf(paths->checkpoints, PATH_SIZE, "%s/trial-%06lld-%lld", directory, (long long)trial,
             (long long)execution);
    if (snprintf(paths->model, PATH_SIZE, "%s/models/trial-%06lld-%lld.h5", directory, (long long)trial,
                 (long long)execution) < PATH_SIZE)
        return LS_OK;
    return ls_fail(LS_E_USAGE, "%.100s...: the name of the directory is too long", directory);
}

static bool is_halved(const ls_trials *trials)
{
    return trials->options->search == LS_SEARCH_HALVING || trials->options->search == LS_SEARCH_HYPERBAND;
}

/* The settings of a unit's training, without what reaches beyond it. */
static ls_status prepare(const ls_worker *worker, const ls_unit *unit, worker_paths *paths,
                         ls_trial *settings, ls_model **model)
{
    const ls_trials *trials = worker->trials;
    ls_train_options *train = &settings->train;
    LS_TRY(ls_trials_settings(trials, unit->trial, settings));
    LS_TRY(name_paths(trials, unit->trial, unit->execution, paths));
    train->seed = ls_trials_seed(trials, settings, unit->trial, unit->execution);
    train->checkpoint_dir = NULL;
    train->output = trials->options->save_models ? paths->model : NULL;
    train->checkpoint_every_steps = train->checkpoint_every_epochs = 0;
    train->checkpoint_every_seconds = 0;
    train->checkpoint_keep = 1;
    train->resume = false;
    if (ls_monitor_exists(train)) train->validation = worker->validation;
    LS_TRY(ls_worker_model(settings, ls_dataset_n_features(worker->train), train->seed, model));
    if (!is_halved(trials)) return LS_OK;
    const double samples = (double)ls_dataset_n_samples(worker->train) * (double)unit->epochs;
    train->epochs = unit->epochs;
    if (samples * (double)(*model)->n_parameters < WORTH_KEEPING) return LS_OK;
    train->checkpoint_dir = paths->checkpoints;
    train->resume = true;
    return LS_OK;
}

/* A training counts by the model that it ends with. */
static ls_status measure(const ls_worker *worker, const ls_model *model, const ls_history *history,
                         ls_outcome *outcome)
{
    const ls_epoch_record *record = &history->epochs[history->model_epoch];
    ls_metrics validation = record->validation;
    if (validation.n_samples == 0)
        LS_TRY(ls_evaluate(worker->group, model, worker->validation, NULL, &validation));
    outcome->epochs = history->n_epochs;
    ls_measures_take(&worker->trials->measures, &record->metrics, &validation, outcome->measures);
    return LS_OK;
}

static ls_status train(const ls_worker *worker, const ls_unit *unit, ls_outcome *outcome)
{
    ls_trial settings;
    ls_model *model = NULL;
    ls_history history = {0};
    worker_paths paths;
    ls_status status = ls_session_agree(worker->group, prepare(worker, unit, &paths, &settings, &model));
    if (status == LS_OK)
        status = ls_train(worker->group, model, worker->train, &settings.train, &worker->observer, &history);
    if (status == LS_OK) status = measure(worker, model, &history, outcome);
    ls_history_clear(&history);
    ls_model_free(model);
    return status;
}

void ls_worker_train(const ls_worker *worker, const ls_unit *unit, ls_outcome *outcome)
{
    const double begin = ls_now();
    *outcome = (ls_outcome){.unit = *unit};
    for (int i = 0; i < LS_MEASURES; i++) outcome->measures[i] = NAN;
    outcome->status = train(worker, unit, outcome);
    if (outcome->status != LS_OK) snprintf(outcome->text, sizeof outcome->text, "%s", ls_error_message());
    outcome->seconds = ls_now() - begin;
}

ls_status ls_worker_train_best(const ls_worker *worker, int64_t trial, int64_t epochs, ls_history *history,
                               ls_model **model)
{
    ls_trial settings;
    ls_unit unit = {.trial = trial, .epochs = epochs};
    worker_paths paths;
    ls_status status = ls_trials_settings(worker->trials, trial, &settings);
    if (status == LS_OK) {
        unit.execution = ls_trials_anew(worker->trials, &settings);
        status = prepare(worker, &unit, &paths, &settings, model);
    }
    LS_TRY(ls_session_agree(worker->group, status));
    settings.train.checkpoint_dir = NULL;
    settings.train.resume = false;
    settings.train.validation = worker->validation;
    settings.train.output = worker->trials->options->train.output;
    return ls_train(worker->group, *model, worker->train, &settings.train, &worker->observer, history);
}

void ls_worker_forget(const ls_trials *trials, int64_t trial)
{
    worker_paths paths;
    if (!is_halved(trials)) return;
    for (int64_t i = 0; i < trials->options->executions; i++) {
        if (name_paths(trials, trial, i, &paths) != LS_OK) return;
        DIR *directory = opendir(paths.checkpoints);
        if (!directory) continue;
        for (const struct dirent *entry; (entry = readdir(directory));)
            if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                unlinkat(dirfd(directory), entry->d_name, 0);
        closedir(directory);
        rmdir(paths.checkpoints);
    }
}
