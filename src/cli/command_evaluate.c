#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "progress.h"
#include "report.h"
#include "source.h"
#include "start.h"

static void print_json(const cli_sets *sets, const ls_model *model, const ls_scores *scores)
{
    json_t *root = json_object();
    for (int i = 0; i < sets->n; i++)
        json_object_set_new(root, sets->names[i], cli_scores_json(model, &scores[i]));
    char *text = json_dumps(root, JSON_INDENT(2));
    puts(text);
    free(text);
    json_decref(root);
}

static ls_status measure(ls_session *session, const ls_model *model, const cli_sets *sets, int i,
                         bool roc_auc, const cli_progress_options *progress, ls_scores *scores)
{
    char title[40];
    cli_operation operation;
    snprintf(title, sizeof title, "evaluate %s", sets->names[i]);
    return ls_evaluate_scores(session, model, sets->sets[i], roc_auc,
                              cli_progress_begin(&operation, progress, title), scores);
}

static int run(int argc, char **argv)
{
    const char *x = NULL, *y = NULL;
    bool json = false, roc_auc = false;
    cli_progress_options progress = {.verbose = 1};
    const cli_option options[] = {
        {"json", 0, CLI_FLAG, &json, "", "print the measures as JSON"},
        {"roc-auc", 0, CLI_FLAG, &roc_auc, "",
         "also the area under the ROC curve, of each label, exact: sorts all predictions"},
        CLI_SOURCE_OPTIONS(&x, &y),
        CLI_PROGRESS_OPTIONS(&progress, "lines"),
        {.kind = CLI_END}};
    const char *positionals[CLI_MAX_POSITIONALS];
    const int parsed = cli_parse(&cli_evaluate, options, argc, argv, positionals);
    if (parsed >= 0) return parsed;

    ls_session *session = NULL;
    ls_model *model = NULL;
    cli_sets sets = {0};
    ls_scores scores[CLI_MAX_SETS] = {0};
    ls_status status = cli_start(&cli_evaluate, options, positionals, &session);
    if (status == LS_OK) status = ls_model_load(session, positionals[0], &model, NULL);
    if (status == LS_OK) status = cli_sets_open(session, positionals[1], x, y, false, &sets);
    for (int i = 0; status == LS_OK && i < sets.n; i++)
        status = measure(session, model, &sets, i, roc_auc, &progress, &scores[i]);
    if (status == LS_OK && ls_session_rank(session) == 0) {
        if (json) {
            print_json(&sets, model, scores);
        } else {
            for (int i = 0; i < sets.n; i++) {
                if (i > 0) putchar('\n');
                cli_print_scores(sets.names[i], model, &scores[i]);
            }
        }
    }
    for (int i = 0; i < CLI_MAX_SETS; i++) ls_scores_clear(&scores[i]);
    cli_sets_close(&sets);
    ls_model_free(model);
    return cli_finish(session, status);
}

const cli_command cli_evaluate = {
    .name = "evaluate",
    .positionals = "MODEL DATA",
    .n_positionals = 2,
    .text = "measure a model on the training and test data",
    .detail = CLI_SOURCE_DETAIL
    "\nA sample counts as class 1 if its probability is above 0.5, as in Keras' metrics.",
    .run = run};
