#include <stdio.h>
#include <stdlib.h>

#include "commands.h"
#include "data_options.h"
#include "progress.h"
#include "start.h"

static const char detail[] =
    "The data are scikit-learn's make_classification, element by element: every option has the name, the "
    "default and "
    "the meaning of its parameter there. Lists are written 0.2,0.8.\n"
    "With --train-size the rows are divided like train_test_split(X, y, train_size=..., "
    "random_state=SPLIT_RANDOM_STATE) into /train and /test, otherwise all are in /train.\n"
    "With --rng philox the parameters mean the same, but the numbers are others: each sample depends on the "
    "seed and its own number only, so that all ranks make their share of any number of samples, and the file "
    "is the same for any number of ranks. /train then takes the first samples.";

static void print_result(const ls_generate_options *options, int64_t n_train, const char *output)
{
    printf("%s: /train %lld x %lld", output, (long long)n_train, (long long)options->data.n_features);
    if (n_train < options->data.n_samples)
        printf(", /test %lld x %lld", (long long)(options->data.n_samples - n_train),
               (long long)options->data.n_features);
    printf(", %s\n", ls_dtype_name(options->dtype));
}

static int run(int argc, char **argv)
{
    static const char *const dtypes[] = {"float32", "float64", NULL};
    static const char *const generators[] = {"mt19937", "philox", NULL};
    cli_data made;
    cli_data_defaults(&made);
    ls_generate_options *generate = &made.generate;
    ls_make_classification *data = &generate->data;
    int64_t split_random_state = 0;
    int dtype = LS_FLOAT64, rng = LS_RNG_MT19937;
    const char *output = NULL;
    cli_progress_options progress = {.verbose = 1};
    cli_operation making;
    bool split_random_state_given = false;
    const cli_option options[] = {
        {"output", 'o', CLI_TEXT, &output, "FILE", "HDF5 file to write (required)", .shown_default = ""},
        CLI_DATA_OPTIONS(&made),
        {"shuffle", 0, CLI_BOOL, &data->shuffle, "true|false", "shuffle the samples and the features"},
        {"split-random-state", 0, CLI_INT, &split_random_state, "SEED", "seed of the split (mt19937)",
         .maximum = UINT32_MAX, .given = &split_random_state_given},
        {"dtype", 0, CLI_CHOICE, &dtype, "float32|float64", "storage type of X", .choices = dtypes},
        {"rng", 0, CLI_CHOICE, &rng, "mt19937|philox",
         "random numbers: scikit-learn's own, or made by all ranks without a limit", .choices = generators},
        CLI_PROGRESS_OPTIONS(&progress, "lines"),
        {.kind = CLI_END}};
    const char *positionals[CLI_MAX_POSITIONALS];
    const int parsed = cli_parse(&cli_generate, options, argc, argv, positionals);
    if (parsed >= 0) return parsed;
    int refused = -1;
    if (!output) {
        refused = cli_usage_error(&cli_generate, "-o FILE is missing: say where to write the data");
    } else if (split_random_state_given && rng == LS_RNG_PHILOX) {
        refused = cli_usage_error(&cli_generate, "--split-random-state goes with --rng mt19937: with philox "
                                                 "/train takes the first samples, leave it out");
    } else {
        refused = cli_data_complete(&cli_generate, &made);
    }
    if (refused >= 0) {
        cli_data_free(&made);
        return refused;
    }
    generate->dtype = (ls_dtype)dtype;
    generate->rng = (ls_rng)rng;
    generate->split_random_state = (uint32_t)split_random_state;

    ls_session *session = NULL;
    ls_status status = cli_start(&cli_generate, options, positionals, &session);
    generate->progress = cli_progress_begin(&making, &progress, "generate");
    if (status == LS_OK) status = ls_generate(session, generate, output);
    if (status == LS_OK && ls_session_rank(session) == 0) {
        int64_t n_train = data->n_samples;
        if (made.given[CLI_TRAIN_SIZE]) {
            n_train = generate->train_size < 1 ? (int64_t)(generate->train_size * (double)n_train)
                                               : (int64_t)generate->train_size;
        }
        print_result(generate, n_train, output);
    }
    cli_data_free(&made);
    return cli_finish(session, status);
}

const cli_command cli_generate = {
    .name = "generate",
    .positionals = "-o FILE",
    .text = "make classification data as scikit-learn does, with a train/test split",
    .detail = detail,
    .run = run};
