#include "train/trial_tables.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_text.h"
#include "base/memory.h"
#include "base/output_file.h"

enum { PATH_SIZE = 4096 };

static ls_status put(const ls_trials *trials, const char *name, const char *text)
{
    char path[PATH_SIZE];
    if (snprintf(path, sizeof path, "%s/%s", trials->options->directory, name) >= PATH_SIZE)
        return ls_fail(LS_E_USAGE, "%.100s...: the name of the directory is too long",
                       trials->options->directory);
    return ls_output_file_put(path, text, strlen(text));
}

/* Epochs that the executions have done, the most of them. */
static int64_t epochs_of(const ls_trials *trials, int64_t trial)
{
    int64_t epochs = 0;
    for (int64_t i = 0; i < trials->options->executions; i++) {
        const ls_outcome *outcome = &trials->outcomes[trial * trials->options->executions + i];
        if (outcome->epochs > epochs) epochs = outcome->epochs;
    }
    return epochs;
}

/* A number as CSV and Python read it; nothing where there is none. */
static void print_number(FILE *out, double value)
{
    if (isfinite(value))
        fprintf(out, ",%.17g", value);
    else
        fputc(',', out);
}

static ls_status print_row(FILE *out, const ls_trials *trials, int64_t place, int64_t trial)
{
    fprintf(out, "%lld,%lld", (long long)place, (long long)trial);
    for (int i = 0; i < ls_space_n_names(trials->space); i++) {
        char *text;
        LS_TRY(ls_trials_value_text(json_object_get(trials->values[trial], ls_space_name(trials->space, i)),
                                    &text));
        fprintf(out, strchr(text, ',') ? ",\"%s\"" : ",%s", text);
        ls_free(text);
    }
    fprintf(out, ",%s,%lld", ls_trials_status(trials, trial), (long long)epochs_of(trials, trial));
    for (int i = 0; i < trials->measures.n; i++) print_number(out, ls_trials_mean(trials, trial, i));
    fputc('\n', out);
    return LS_OK;
}

/* The trials in the order of their places or of their numbers; places[i] is that of trial i, from 1. */
static ls_status write_csv(const ls_trials *trials, const char *name, const int64_t *order,
                           const int64_t *places)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return ls_fail(LS_E_MEMORY, "%s: no memory", name);
    ls_status status = LS_OK;
    fprintf(out, "rank,trial");
    for (int i = 0; i < ls_space_n_names(trials->space); i++)
        fprintf(out, ",%s", ls_space_name(trials->space, i));
    fprintf(out, ",status,epochs");
    for (int i = 0; i < trials->measures.n; i++) fprintf(out, ",%s", trials->measures.names[i]);
    fputc('\n', out);
    for (int64_t i = 0; i < trials->n_trials && status == LS_OK; i++) {
        const int64_t trial = order ? order[i] : i;
        status = print_row(out, trials, places[trial], trial);
    }
    if (fclose(out) != 0 && status == LS_OK) status = ls_fail(LS_E_MEMORY, "%s: no memory", name);
    if (status == LS_OK) status = put(trials, name, text);
    free(text);
    return status;
}

static json_t *execution_json(const ls_trials *trials, const ls_trial *settings, const ls_outcome *outcome,
                              int64_t trial, int64_t i)
{
    json_t *measures = json_object();
    for (int k = 0; k < trials->measures.n; k++)
        json_object_set_new(measures, trials->measures.names[k],
                            isfinite(outcome->measures[k]) ? json_real(outcome->measures[k]) : json_null());
    return json_pack("{s:I, s:s, s:I, s:s, s:o}", "seed",
                     (json_int_t)ls_trials_seed(trials, settings, trial, i), "status",
                     outcome->unit.epochs == 0          ? "waiting"
                     : outcome->status == LS_OK         ? "finished"
                     : outcome->status == LS_E_DIVERGED ? "diverged"
                                                        : "failed",
                     "epochs", (json_int_t)outcome->epochs, "message", outcome->text, "measures", measures);
}

static json_t *trial_json(const ls_trials *trials, int64_t trial, int64_t place)
{
    ls_trial settings;
    json_t *executions = json_array();
    const double objective = ls_trials_mean(trials, trial, trials->objective);
    if (ls_trials_settings(trials, trial, &settings) != LS_OK) return NULL;
    for (int64_t i = 0; i < trials->options->executions; i++)
        json_array_append_new(
            executions, execution_json(trials, &settings,
                                       &trials->outcomes[trial * trials->options->executions + i], trial, i));
    return json_pack("{s:I, s:I, s:O, s:s, s:o, s:o}", "trial", (json_int_t)trial, "rank", (json_int_t)place,
                     "settings", trials->values[trial], "status", ls_trials_status(trials, trial),
                     "objective", isfinite(objective) ? json_real(objective) : json_null(), "executions",
                     executions);
}

/* The trial that is trained anew, and the seed of that; null without one. */
static json_t *best_json(const ls_trials *trials)
{
    ls_trial settings;
    const int64_t best = ls_search_best(trials->search);
    if (best < 0) return json_null();
    if (ls_trials_settings(trials, best, &settings) != LS_OK) return NULL;
    return json_pack("{s:I, s:I}", "trial", (json_int_t)best, "seed",
                     (json_int_t)ls_trials_seed(trials, &settings, best, ls_trials_anew(trials, &settings)));
}

static ls_status write_json(const ls_trials *trials, const int64_t *places)
{
    char *text;
    json_t *rows = json_array();
    for (int64_t i = 0; i < trials->n_trials; i++)
        json_array_append_new(rows, trial_json(trials, i, places[i]));
    if (json_array_size(rows) != (size_t)trials->n_trials) {
        json_decref(rows);
        return ls_fail(LS_E_MEMORY, "results.json: no memory");
    }
    LS_TRY(ls_json_text(json_pack("{s:s, s:s, s:o, s:o}", "objective",
                                  trials->measures.names[trials->objective], "direction",
                                  ls_measures_is_cost(&trials->measures, trials->objective) ? "min" : "max",
                                  "best", best_json(trials), "trials", rows),
                        JSON_INDENT(1) | JSON_REAL_PRECISION(17), "results.json", &text));
    const ls_status status = put(trials, "results.json", text);
    ls_free(text);
    return status;
}

ls_status ls_trial_tables_write(const ls_trials *trials)
{
    int64_t *order = NULL, *places = NULL;
    ls_status status = ls_alloc(&order, (size_t)trials->n_trials, sizeof *order, "tables of the search");
    if (status == LS_OK)
        status = ls_alloc(&places, (size_t)trials->n_trials, sizeof *places, "tables of the search");
    if (status == LS_OK) {
        ls_search_rank(trials->search, order);
        for (int64_t i = 0; i < trials->n_trials; i++) places[order[i]] = i + 1;
        status = write_csv(trials, "trials.csv", NULL, places);
    }
    if (status == LS_OK) status = write_csv(trials, "results.csv", order, places);
    if (status == LS_OK) status = write_json(trials, places);
    ls_free(order);
    ls_free(places);
    return status;
}
