#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "progress.h"
#include "report.h"
#include "start.h"
#include "terminal.h"
#include "training.h"

static const char detail[] =
    "DATA is an HDF5 file with /train/X and /train/y, and /validation/X and "
    "/validation/y to measure the trials on, unless --validation-split takes rows of "
    "/train for that. A training counts by the model that it ends with: with "
    "--restore-best that of its best epoch."
    "\nSPACE is a JSON object of the settings to vary: {\"hidden\": [[2, 2], [16, "
    "16]], \"activation\": [\"tanh\", "
    "\"relu\"], \"learning_rate\": {\"min\": 1e-4, \"max\": 0.1, \"sampling\": "
    "\"log\"}, \"batch_size\": [8, 32]}. "
    "\"layers\" and \"units\", as {\"min\": 1, \"max\": 4}, stand for \"hidden\" "
    "where each layer has units of its own. "
    "What it does not vary, the options say."
    "\nThe ranks train a trial each and take the next one whenever they are free; "
    "the tables are the same on any "
    "number of ranks."
    "\nSIGUSR1, SIGTERM or Ctrl-C at any rank ends the search with exit code 75; "
    "the same command with --resume goes on.";

static const char *const search_words[] = {"grid", "random", "halving", "hyperband", NULL};

/* Not for a search: it has many models, and takes care of its trainings itself. */
static const char *const left_out[] = {"init",
                                       "times",
                                       "checkpoint-dir",
                                       "checkpoint-every",
                                       "resume",
                                       "reduction",
                                       "keep",
                                       "verify-every",
                                       "generate",
                                       "x",
                                       "y",
                                       "save-best",
                                       NULL};

enum { SHOWN_ROWS = 10, COLUMNS = 80, MAX_COLUMNS = 32 };

/* What the observer's functions need. */
typedef struct view {
    const cli_progress_options *progress;
    const ls_tune_options *options;
    int64_t n_trainings;
    int64_t tenths; /* of the work that a line has told */
    double shown;   /* seconds, of the bar */
} view;

static void print_notice(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "lockstep: %s\n", text);
}

static void print_begin(void *context, int64_t n_trials, int64_t n_trainings, int n_groups)
{
    view *v = context;
    if (v->progress->verbose == 0) return;
    fprintf(stderr, "search: %s, %lld trials, %lld trainings of at most %lld epochs, objective %s\n",
            search_words[v->options->search], (long long)n_trials, (long long)n_trainings,
            (long long)v->options->train.epochs, v->options->objective);
    fprintf(stderr, "ranks: in %d group%s, a training each\n", n_groups, n_groups == 1 ? "" : "s");
}

static void print_progress(void *context, const ls_tune_progress *p)
{
    view *v = context;
    char text[4 * COLUMNS], left[16] = "?";
    const bool ends = p->n_done == p->n_trials, bar = cli_progress_wants_bar(v->progress);
    const int64_t tenths = (int64_t)(10 * p->share);
    if (v->progress->verbose == 0) return;
    if (bar && !ends && p->seconds - v->shown < 0.1) return;
    if (!bar && !ends && v->progress->verbose == 1 && tenths == v->tenths) return;
    v->tenths = tenths;
    v->shown = p->seconds;
    const double seconds = ends ? p->seconds : p->seconds_left;
    if (isfinite(seconds)) cli_seconds_text(seconds, left);
    int length = snprintf(text, sizeof text, "%lld/%lld trials, %.0f %%, %s %s", (long long)p->n_done,
                          (long long)p->n_trials, 100 * p->share, left, ends ? "in all" : "left");
    if (p->best)
        length += snprintf(text + length, sizeof text - (size_t)length, ", best %.6g: %s", p->best->objective,
                           p->best->settings);
    if (bar)
        fprintf(stderr, "\r%.*s\033[K%s", cli_columns(stderr) - 1, text, ends ? "\n" : "");
    else
        fprintf(stderr, "%.*s\n", COLUMNS, text);
    fflush(stderr);
}

/* The value of a setting in "hidden=2,2 activation=tanh"; NULL after the last, otherwise *settings moves on.
 */
static char *next_setting(char **settings, char **name)
{
    char *setting = strsep(settings, " "), *value = setting ? strchr(setting, '=') : NULL;
    if (!value) return NULL;
    *value = 0;
    *name = setting;
    return value + 1;
}

/* Rows of a table; those of the settings are as wide as what they hold. */
typedef struct settings_table {
    int n_columns, widths[MAX_COLUMNS];
} settings_table;

static void measure_row(settings_table *table, const char *text)
{
    char *copy = strdup(text), *rest = copy, *name, *value;
    for (int i = 0; copy && i < MAX_COLUMNS && (value = next_setting(&rest, &name)); i++) {
        const int width = (int)(strlen(value) > strlen(name) ? strlen(value) : strlen(name));
        if (width > table->widths[i]) table->widths[i] = width;
        if (i == table->n_columns) table->n_columns++;
    }
    free(copy);
}

static void print_row(const settings_table *table, const char *head, const char *text, bool names)
{
    char line[1024], *copy = strdup(text), *rest = copy, *name, *value;
    size_t length = (size_t)snprintf(line, sizeof line, "%s", head);
    for (int i = 0; copy && i < table->n_columns && (value = next_setting(&rest, &name)); i++)
        if (length < sizeof line)
            length += (size_t)snprintf(line + length, sizeof line - length, "  %-*s", table->widths[i],
                                       names ? name : value);
    free(copy);
    length = strlen(line);
    while (length > 0 && line[length - 1] == ' ') length--;
    printf("%.*s%s\n", length > COLUMNS ? COLUMNS - 3 : (int)length, line, length > COLUMNS ? "..." : "");
}

static void print_results(const ls_tune_result *result, const ls_tune_options *options)
{
    settings_table table = {0};
    char head[64];
    const int width = strlen(options->objective) > 8 ? (int)strlen(options->objective) : 8;
    const int64_t n = result->n_rows < SHOWN_ROWS ? result->n_rows : SHOWN_ROWS;
    for (int64_t i = 0; i < n; i++) measure_row(&table, result->rows[i].settings);
    snprintf(head, sizeof head, "trial  epochs  %*.32s", width, options->objective);
    print_row(&table, head, result->rows[0].settings, true);
    for (int64_t i = 0; i < n; i++) {
        const ls_tune_row *row = &result->rows[i];
        char value[32];
        snprintf(value, sizeof value, fabs(row->objective) < 1e5 ? "%.6f" : "%.3g", row->objective);
        snprintf(head, sizeof head, "%5lld  %6lld  %*s", (long long)row->trial, (long long)row->epochs, width,
                 isfinite(row->objective) ? value : row->status);
        print_row(&table, head, row->settings, false);
    }
    if (result->n_rows > n)
        printf("%lld more in %s/results.csv\n", (long long)(result->n_rows - n), options->directory);
}

/* Opens the sets: trials are measured on validation data, or else on /test; test is NULL unless it is there
 * to judge the best. */
static ls_status open_sets(ls_session *session, cli_training *training, const char *file, ls_dataset **train,
                           ls_dataset **test)
{
    const char *set = training->validation_set;
    const ls_dataset_source source = {.file = file, .set = "test"};
    bool exists;
    ls_status status = cli_training_open_data(session, training, file, train);
    if (status == LS_OK) status = ls_dataset_exists(session, &source, &exists);
    if (status != LS_OK) return status;
    if (training->validation) {
        if (!exists || (set && !strcmp(set, source.set))) return LS_OK;
        return ls_dataset_open(session, &source, test);
    }
    if (set || !exists)
        return ls_fail(LS_E_INPUT,
                       "%s: there is no set to measure the trials on, neither validation nor test: set rows "
                       "of /train aside by --validation-split",
                       file);
    if (ls_session_rank(session) == 0)
        fprintf(stderr,
                "lockstep: %s has no /validation: trials are measured on /test, which then is no "
                "judge of the best\n",
                file);
    return ls_dataset_open(session, &source, &training->validation);
}

/* The best model once more on each set. Class weights are of the training alone. */
static ls_status measure(ls_session *session, const ls_tune_result *result, ls_dataset *const sets[3])
{
    static const char *const titles[3] = {"training", "validation", "test"};
    const char *names[LS_MAX_MEASURES];
    const int n = ls_metrics_names(result->best->loss, names);
    ls_status status = ls_dataset_set_class_weights(sets[0], NULL, 0);
    if (status != LS_OK) return status;
    for (int i = 0; i < 3; i++) {
        ls_metrics metrics;
        if (!sets[i]) continue;
        status = ls_evaluate(session, result->best, sets[i], NULL, &metrics);
        if (status != LS_OK) return status;
        if (ls_session_rank(session) != 0) continue;
        if (i == 0) printf("best, anew");
        for (int k = 0; i == 0 && k < n; k++) printf("  %11s", names[k]);
        printf("%s%-10s", i == 0 ? "\n" : "", titles[i]);
        for (int k = 0; k < n; k++) {
            const int width = strlen(names[k]) > 11 ? (int)strlen(names[k]) : 11;
            printf("  %*.6f", width, ls_metrics_value(&metrics, names[k]));
        }
        putchar('\n');
    }
    return LS_OK;
}

static int check(const ls_tune_options *options, bool trials_given)
{
    if (!options->space)
        return cli_usage_error(&cli_tune, "--space is missing: the file of settings to vary");
    if (!options->directory)
        return cli_usage_error(&cli_tune, "--dir is missing: the directory for the results");
    if (trials_given && (options->search == LS_SEARCH_GRID || options->search == LS_SEARCH_HYPERBAND))
        return cli_usage_error(
            &cli_tune, "--trials: a %s search has as many as %s give", search_words[options->search],
            options->search == LS_SEARCH_GRID ? "the points of its space" : "--epochs and --factor");
    return -1;
}

static int run(int argc, char **argv)
{
    cli_training training;
    ls_tune_options options;
    int search = LS_SEARCH_RANDOM;
    bool trials_given = false;
    const char *positionals[CLI_MAX_POSITIONALS];
    ls_tune_defaults(&options);
    ls_interrupt_catch();
    const cli_option more[] = {
        {"space", 0, CLI_TEXT, &options.space, "SPACE", "JSON file of the settings to vary, see below"},
        {"dir", 0, CLI_TEXT, &options.directory, "DIR",
         "directory for best.h5 (unless --output names it), the tables results.csv, trials.csv and "
         "results.json, and the journal that --resume "
         "goes on from"},
        {"resume", 0, CLI_FLAG, &options.resume, "",
         "go on with the search whose journal is in --dir, or start anew if there is none"},
        {"search", 0, CLI_CHOICE, &search, "grid|random|halving|hyperband",
         "all points of the space; points drawn at random; these with few epochs, of which the best get "
         "more; several "
         "such searches",
         .choices = search_words},
        {"trials", 0, CLI_INT, &options.trials, "N", "points to draw", .minimum = 1, .maximum = 100000,
         .given = &trials_given},
        {"executions-per-trial", 0, CLI_INT, &options.executions, "N",
         "trainings of each trial, from different seeds; their mean counts", .minimum = 1, .maximum = 100000},
        {"objective", 0, CLI_TEXT, &options.objective, "MEASURE",
         "what is best: least val_loss or loss, most val_accuracy, or another measure of the history"},
        {"factor", 0, CLI_INT, &options.factor, "N",
         "of halving and hyperband: one trial in N goes on, with N times the epochs", .minimum = 2,
         .maximum = 1000},
        {"save-models", 0, CLI_FLAG, &options.save_models, "",
         "also write the model of each training, DIR/models/trial-TRIAL-EXECUTION.h5"},
        {"ranks-per-trial", 0, CLI_INT, &options.ranks_per_trial, "N", "ranks that share a training",
         .minimum = 1, .maximum = INT32_MAX,
         .shown_default = "1, or more where there are more ranks than trainings"},
        {.kind = CLI_END}};
    const int parsed = cli_training_parse(&cli_tune, more, left_out, argc, argv, &training, positionals);
    if (parsed >= 0) return parsed;
    options.search = (ls_search_kind)search;
    options.train = training.train;
    options.seed = (uint64_t)training.seed;
    options.l1 = training.optimizer.l1;
    options.l2 = training.optimizer.l2;
    const int refused = check(&options, trials_given);
    if (refused >= 0) {
        cli_training_free(&training);
        return refused;
    }

    char best[4096];
    snprintf(best, sizeof best, "%s/best.h5", options.directory);
    if (!options.train.output) options.train.output = best;

    ls_session *session = NULL;
    ls_dataset *train = NULL, *test = NULL;
    ls_tune_result result = {0};
    view shown = {.progress = &training.progress, .options = &options};
    const ls_tune_observer observer = {
        .context = &shown, .begin = print_begin, .progress = print_progress, .notice = print_notice};
    ls_status status = cli_start(&cli_tune, training.options, positionals, &session);
    if (status == LS_OK) status = ls_session_watch(session, training.stall_timeout);
    if (status == LS_OK && training.history_path)
        status = ls_session_check_output(session, training.history_path);
    if (status == LS_OK) status = open_sets(session, &training, positionals[0], &train, &test);
    if (status == LS_OK)
        status = cli_network_describe(session, &training.network, (ls_dtype)training.dtype, train,
                                      &options.network, &options.initializer);
    if (status == LS_OK)
        status = ls_session_agree(session, cli_network_weigh(&training.network, options.network.loss,
                                                             options.network.n_outputs, train));
    if (status == LS_OK) status = ls_tune(session, train, training.validation, &options, &observer, &result);
    cli_progress_break();
    if (session && ls_session_rank(session) == 0 && result.n_rows > 0) print_results(&result, &options);
    if (status == LS_OK)
        status = measure(session, &result, (ls_dataset *[]){train, training.validation, test});
    if (status == LS_OK && training.history_path)
        status = ls_history_write_csv(session, &result.history, training.history_path);
    if (status == LS_OK && ls_session_rank(session) == 0)
        printf("model written to %s\n", options.train.output);
    ls_tune_result_clear(&result);
    ls_dataset_close(train);
    ls_dataset_close(test);
    cli_training_free(&training);
    return cli_finish(session, status);
}

const cli_command cli_tune = {.name = "tune",
                              .positionals = "DATA",
                              .n_positionals = 1,
                              .text = "search for the settings that train the best network",
                              .detail = detail,
                              .run = run};
