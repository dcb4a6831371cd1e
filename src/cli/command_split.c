#include <stdio.h>

#include "commands.h"
#include "files.h"
#include "progress.h"
#include "source.h"
#include "start.h"

static int run(int argc, char **argv)
{
    static const char *const dtypes[] = {"float32", "float64", NULL};
    const char *x = NULL, *y = NULL, *output = NULL;
    cli_progress_options progress = {.verbose = 1};
    cli_operation splitting;
    double train_size = 0.75;
    int64_t random_state = 0;
    int dtype = LS_FLOAT64;
    const cli_option options[] = {
        {"output", 'o', CLI_TEXT, &output, "FILE", "HDF5 file to write (required)", .shown_default = ""},
        CLI_SOURCE_OPTIONS(&x, &y),
        {"train-size", 0, CLI_DOUBLE, &train_size, "S",
         "rows of /train: a share below 1 or a number of rows"},
        {"random-state", 0, CLI_INT, &random_state, "SEED", "seed of the split", .maximum = UINT32_MAX},
        {"dtype", 0, CLI_CHOICE, &dtype, "float32|float64", "storage type of X", .choices = dtypes},
        CLI_PROGRESS_OPTIONS(&progress, "lines"),
        {.kind = CLI_END}};
    const char *positionals[CLI_MAX_POSITIONALS];
    const int parsed = cli_parse(&cli_split, options, argc, argv, positionals);
    if (parsed >= 0) return parsed;
    const cli_file files[] = {{"DATA", positionals[0]},
                              cli_file_of_array("--x", x),
                              cli_file_of_array("--y", y),
                              {"--output", output}};
    const int refused = cli_check_files(&cli_split, files, 4, 3);
    if (refused >= 0) return refused;
    if (!output) return cli_usage_error(&cli_split, "-o FILE is missing: say where to write the sets");
    if (!(train_size > 0))
        return cli_usage_error(&cli_split,
                               "--train-size: %g is neither a share between 0 and 1 nor a number of rows",
                               train_size);
    ls_session *session = NULL;
    ls_status status = cli_start(&cli_split, options, positionals, &session);
    if (status == LS_OK) {
        const ls_dataset_source source = {.file = positionals[0], .x = x, .y = y};
        status = ls_dataset_split(session, &source, train_size, (uint32_t)random_state, (ls_dtype)dtype,
                                  cli_progress_begin(&splitting, &progress, "split"), output);
    }
    if (status == LS_OK && ls_session_rank(session) == 0) printf("%s: /train and /test written\n", output);
    return cli_finish(session, status);
}

const cli_command cli_split = {
    .name = "split",
    .positionals = "DATA -o FILE",
    .n_positionals = 1,
    .text = "divide data of your own into /train and /test as train_test_split does",
    .detail = "DATA is an HDF5 file with /X and /y, or FILE:/GROUP with these in a group. Arrays of other "
              "names are given by --x and --y.",
    .run = run};
