#include <stdio.h>

#include "commands.h"
#include "files.h"
#include "progress.h"
#include "source.h"
#include "start.h"

static int run(int argc, char **argv)
{
    const char *x = NULL, *output = NULL;
    cli_progress_options progress = {.verbose = 1};
    cli_operation predicting;
    const cli_option options[] = {
        {"output", 'o', CLI_TEXT, &output, "FILE", "HDF5 file to write (required)", .shown_default = ""},
        {"x", 0, CLI_TEXT, &x, "[FILE:]/PATH",
         "array of the features, instead of X of the sets; a table's field is /PATH:FIELD"},
        CLI_PROGRESS_OPTIONS(&progress, "lines"),
        {.kind = CLI_END}};
    const char *positionals[CLI_MAX_POSITIONALS];
    const int parsed = cli_parse(&cli_predict, options, argc, argv, positionals);
    if (parsed >= 0) return parsed;
    const cli_file files[] = {{"MODEL", positionals[0]},
                              {"DATA", positionals[1]},
                              cli_file_of_array("--x", x),
                              {"--output", output}};
    const int refused = cli_check_files(&cli_predict, files, 4, 3);
    if (refused >= 0) return refused;
    if (!output)
        return cli_usage_error(&cli_predict, "-o FILE is missing: say where to write the predictions");

    ls_session *session = NULL;
    ls_model *model = NULL;
    cli_sets sets = {0};
    ls_status status = cli_start(&cli_predict, options, positionals, &session);
    if (status == LS_OK) status = ls_model_load(session, positionals[0], &model, NULL);
    if (status == LS_OK) status = cli_sets_open(session, positionals[1], x, NULL, true, &sets);
    if (status == LS_OK)
        status = ls_predict(session, model, sets.sets, sets.names, sets.n,
                            cli_progress_begin(&predicting, &progress, "predict"), output);
    if (status == LS_OK && ls_session_rank(session) == 0)
        for (int i = 0; i < sets.n; i++)
            printf("%s: /%s/y_pred and /%s/class, %lld rows\n", output, sets.names[i], sets.names[i],
                   (long long)ls_dataset_n_samples(sets.sets[i]));
    cli_sets_close(&sets);
    ls_model_free(model);
    return cli_finish(session, status);
}

const cli_command cli_predict = {
    .name = "predict",
    .positionals = "MODEL DATA -o FILE",
    .n_positionals = 2,
    .text = "write the probabilities and classes of the rows of a file",
    .detail =
        "For each set of DATA (train, test; data with --x) FILE gets y_pred, the probabilities of class 1 "
        "as a (M, 1) array like Keras' model.predict, and class, 1 where they are 0.5 or more.",
    .run = run};
