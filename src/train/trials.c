#include "train/trials.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "base/json_text.h"
#include "base/memory.h"
#include "random/philox.h"

enum {
    MAX_DRAWS = 1000, /* of one trial, in search of a point that no other has */
    SEEDS = LS_TRIAL_DRAWS - 1
};

static const char *const search_names[] = {"grid", "random", "halving", "hyperband"};

/* ---- points ---- */

static ls_status hash_of(const json_t *values, uint64_t *hash)
{
    char *text;
    LS_TRY(ls_json_text(json_incref((json_t *)values), JSON_COMPACT, "trial", &text));
    *hash = XXH3_64bits(text, strlen(text));
    ls_free(text);
    return LS_OK;
}

/* A point that no trial before has, if one turns up. */
static ls_status draw(ls_trials *trials, int64_t trial, uint64_t *hashes)
{
    for (int64_t k = 0; k < MAX_DRAWS; k++) {
        json_t *values;
        bool is_new = true;
        LS_TRY(
            ls_space_draw(trials->space, trials->options->seed, (uint64_t)(trial * MAX_DRAWS + k), &values));
        const ls_status status = hash_of(values, &hashes[trial]);
        for (int64_t i = 0; i < trial && is_new; i++) is_new = hashes[i] != hashes[trial];
        if (status != LS_OK || is_new || k == MAX_DRAWS - 1) {
            trials->values[trial] = values;
            return status;
        }
        json_decref(values);
    }
    return LS_OK;
}

static ls_status make_points(ls_trials *trials, bool is_grid)
{
    uint64_t *hashes;
    LS_TRY(ls_alloc(&trials->values, (size_t)trials->n_trials, sizeof *trials->values, "trials"));
    LS_TRY(ls_alloc(&hashes, (size_t)trials->n_trials, sizeof *hashes, "trials"));
    ls_status status = LS_OK;
    for (int64_t i = 0; i < trials->n_trials && status == LS_OK; i++)
        status = is_grid ? ls_space_point(trials->space, i, &trials->values[i]) : draw(trials, i, hashes);
    ls_free(hashes);
    return status;
}

static ls_status create(const ls_tune_options *options, const char *text, ls_trials *trials)
{
    const ls_network *network = &options->network;
    ls_trial base = {.train = options->train,
                     .network = *network,
                     .initializer = options->initializer,
                     .l1 = options->l1,
                     .l2 = options->l2,
                     .seed = -1};
    ls_measures_of(network->loss, &trials->measures);
    LS_TRY(ls_measures_find(&trials->measures, options->objective, &trials->objective));
    if (network->n_hidden > LS_TRIAL_MAX_LAYERS)
        return ls_fail(LS_E_USAGE, "there are %lld hidden layers: a search takes at most %d",
                       (long long)network->n_hidden, LS_TRIAL_MAX_LAYERS);
    if (network->n_hidden > 0)
        memcpy(base.hidden, network->hidden, (size_t)network->n_hidden * sizeof *base.hidden);
    LS_TRY(ls_space_parse(options->space, text, &base, &trials->space));
    const bool halves = options->search == LS_SEARCH_HALVING || options->search == LS_SEARCH_HYPERBAND;
    if (halves && ls_space_varies(trials->space, "epochs"))
        return ls_fail(LS_E_INPUT, "%s: epochs: are what the search %s varies by itself: leave them out",
                       options->space, search_names[options->search]);
    /* Where there are no more points than trials wanted, each is tried once. */
    int64_t n_trials = options->trials, n_points = INT64_MAX;
    const ls_status counted = ls_space_count(trials->space, &n_points);
    if (options->search == LS_SEARCH_GRID) LS_TRY(counted);
    if (counted != LS_OK) n_points = INT64_MAX;
    if (options->search == LS_SEARCH_GRID || n_points < n_trials) n_trials = n_points;
    LS_TRY(ls_search_create(options->search, n_trials, options->executions, options->train.epochs,
                            options->factor, &trials->search));
    trials->n_trials = ls_search_n_trials(trials->search);
    LS_TRY(ls_alloc(&trials->outcomes, (size_t)(trials->n_trials * options->executions),
                    sizeof *trials->outcomes, "results of the trials"));
    return make_points(trials, n_points <= trials->n_trials && options->search != LS_SEARCH_HYPERBAND);
}

ls_status ls_trials_create(const ls_tune_options *options, const char *text, ls_trials *trials)
{
    *trials = (ls_trials){.options = options};
    LS_TRY(create(options, text, trials));
    /* What cannot be is found out now and not after hours. */
    for (int64_t i = 0; i < trials->n_trials; i++) {
        ls_trial settings;
        LS_TRY(ls_trials_settings(trials, i, &settings));
    }
    return LS_OK;
}

void ls_trials_clear(ls_trials *trials)
{
    for (int64_t i = 0; trials->values && i < trials->n_trials; i++) json_decref(trials->values[i]);
    ls_free(trials->values);
    ls_free(trials->outcomes);
    ls_search_destroy(trials->search);
    ls_space_destroy(trials->space);
    *trials = (ls_trials){0};
}

ls_status ls_trials_settings(const ls_trials *trials, int64_t trial, ls_trial *settings)
{
    return ls_space_settings(trials->space, trials->values[trial], settings);
}

uint64_t ls_trials_seed(const ls_trials *trials, const ls_trial *settings, int64_t trial, int64_t i)
{
    uint32_t words[4];
    const bool is_given = settings->seed >= 0;
    if (is_given && i == 0) return (uint64_t)settings->seed;
    ls_philox(is_given ? (uint64_t)settings->seed : trials->options->seed, LS_STREAM_TRIALS,
              (uint32_t)(SEEDS + LS_TRIAL_DRAWS * i), is_given ? 0 : (uint64_t)trial, words);
    return ((uint64_t)words[0] << 32 | words[1]) >> 1;
}

int64_t ls_trials_anew(const ls_trials *trials, const ls_trial *settings)
{
    return settings->seed >= 0 ? 0 : trials->options->executions;
}

/* ---- results ---- */

ls_status ls_trials_finish(ls_trials *trials, const ls_outcome *outcome)
{
    double value = outcome->status == LS_OK ? outcome->measures[trials->objective] : NAN;
    if (!isfinite(value)) value = NAN;
    LS_TRY(ls_search_finish(trials->search, &outcome->unit,
                            ls_measures_is_cost(&trials->measures, trials->objective) ? value : -value));
    trials->outcomes[outcome->unit.trial * trials->options->executions + outcome->unit.execution] = *outcome;
    return LS_OK;
}

static const ls_outcome *outcomes_of(const ls_trials *trials, int64_t trial)
{
    return &trials->outcomes[trial * trials->options->executions];
}

double ls_trials_mean(const ls_trials *trials, int64_t trial, int measure)
{
    double sum = 0;
    const ls_outcome *outcomes = outcomes_of(trials, trial);
    for (int64_t i = 0; i < trials->options->executions; i++)
        sum +=
            outcomes[i].unit.epochs > 0 && outcomes[i].status == LS_OK ? outcomes[i].measures[measure] : NAN;
    return sum / (double)trials->options->executions;
}

const char *ls_trials_status(const ls_trials *trials, int64_t trial)
{
    const ls_outcome *outcomes = outcomes_of(trials, trial);
    for (int64_t i = 0; i < trials->options->executions; i++) {
        if (outcomes[i].unit.epochs == 0 || outcomes[i].status == LS_OK) continue;
        return outcomes[i].status == LS_E_DIVERGED ? "diverged" : "failed";
    }
    if (!ls_search_is_done(trials->search, trial)) return "waiting";
    return ls_search_is_top(trials->search, trial) ? "finished" : "stopped";
}

json_t *ls_trials_settings_json(const ls_trials *trials)
{
    const ls_tune_options *o = trials->options;
    char digest[2 * sizeof(uint64_t) + 1];
    uint64_t hash = 0;
    for (int64_t i = 0; i < trials->n_trials; i++) {
        uint64_t values;
        if (hash_of(trials->values[i], &values) != LS_OK) return NULL;
        hash = XXH3_64bits_withSeed(&values, sizeof values, hash);
    }
    snprintf(digest, sizeof digest, "%016llx", (unsigned long long)hash);
    return json_pack("{s:s, s:I, s:I, s:s, s:I, s:I, s:s}", "search", search_names[o->search], "trials",
                     (json_int_t)trials->n_trials, "executions", (json_int_t)o->executions, "objective",
                     trials->measures.names[trials->objective], "factor", (json_int_t)o->factor, "epochs",
                     (json_int_t)o->train.epochs, "digest of the space's points", digest);
}

json_t *ls_trials_line(const ls_trials *trials, const ls_outcome *outcome)
{
    json_t *measures = json_object();
    for (int i = 0; i < trials->measures.n; i++) {
        const double value = outcome->measures[i];
        json_object_set_new(measures, trials->measures.names[i],
                            isfinite(value) ? json_real(value) : json_null());
    }
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:i, s:f, s:s, s:o}", "trial",
                     (json_int_t)outcome->unit.trial, "execution", (json_int_t)outcome->unit.execution,
                     "rung", (json_int_t)outcome->unit.rung, "epochs", (json_int_t)outcome->unit.epochs,
                     "epochs_done", (json_int_t)outcome->epochs, "status", (int)outcome->status, "seconds",
                     outcome->seconds, "message", outcome->text, "measures", measures);
}

ls_status ls_trials_read_line(const ls_trials *trials, const json_t *line, ls_outcome *outcome)
{
    json_int_t trial, execution, rung, epochs, done;
    int status;
    const char *text;
    json_t *measures;
    *outcome = (ls_outcome){0};
    if (json_unpack((json_t *)line, "{s:I, s:I, s:I, s:I, s:I, s:i, s:F, s:s, s:o}", "trial", &trial,
                    "execution", &execution, "rung", &rung, "epochs", &epochs, "epochs_done", &done, "status",
                    &status, "seconds", &outcome->seconds, "message", &text, "measures", &measures) != 0)
        return ls_fail(LS_E_INPUT, "not the result of a training");
    outcome->unit = (ls_unit){trial, execution, rung, epochs};
    outcome->epochs = done;
    outcome->status = (ls_status)status;
    snprintf(outcome->text, sizeof outcome->text, "%s", text);
    for (int i = 0; i < trials->measures.n; i++) {
        const json_t *value = json_object_get(measures, trials->measures.names[i]);
        outcome->measures[i] = json_is_real(value) ? json_real_value(value) : NAN;
    }
    return LS_OK;
}

/* ---- words ---- */

ls_status ls_trials_value_text(const json_t *value, char **text)
{
    LS_TRY(ls_json_text(json_incref((json_t *)value),
                        JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15), "setting of a trial",
                        text));
    /* "[16,8]" and "\"tanh\"" without what is around them. */
    char *to = *text;
    for (const char *from = *text; *from; from++)
        if (!strchr("[]\"", *from)) *to++ = *from;
    *to = 0;
    return LS_OK;
}

ls_status ls_trials_describe(const ls_trials *trials, int64_t trial, char **text)
{
    enum { SIZE = 1024 };
    const char *name;
    json_t *value;
    size_t used = 0;
    LS_TRY(ls_alloc(text, SIZE, 1, "settings of a trial"));
    json_object_foreach(trials->values[trial], name, value)
    {
        char *shown;
        const ls_status status = ls_trials_value_text(value, &shown);
        if (status != LS_OK) {
            ls_free(*text);
            *text = NULL;
            return status;
        }
        if (used < SIZE)
            used += (size_t)snprintf(*text + used, SIZE - used, "%s%s=%s", used ? " " : "", name,
                                     shown[0] ? shown : "none");
        ls_free(shown);
    }
    return LS_OK;
}
