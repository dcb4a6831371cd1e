#include "training.h"

#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "source.h"

/* Builds the model of the options, or loads that of --init. */
static ls_status make_model(ls_session *session, cli_training *wanted, ls_dataset *dataset, ls_model **model)
{
    if (!wanted->init)
        return cli_network_make(session, &wanted->network, (ls_dtype)wanted->dtype, (uint64_t)wanted->seed,
                                dataset, model);
    ls_status status = ls_model_load(session, wanted->init, model, &wanted->start);
    if (status == LS_OK) status = cli_network_apply(&wanted->network, wanted->init, *model);
    if (status == LS_OK && wanted->dtype_given && (ls_dtype)wanted->dtype != (*model)->dtype) {
        const int64_t iterations = wanted->start.iterations;
        ls_training_config_clear(&wanted->start); /* a state is of the model's type */
        wanted->start.iterations = iterations;
        status = ls_model_convert(*model, (ls_dtype)wanted->dtype);
    }
    wanted->train.start = &wanted->start;
    return ls_session_agree(session, status);
}

/* "1000steps", "1epochs" or "60s": exactly one of the three periods is set. */
static bool parse_period(const char *text, ls_train_options *train)
{
    char *unit;
    const double number = strtod(text, &unit);
    const bool whole = number >= 1 && number < 0x1p63 && number == (double)(int64_t)number;
    train->checkpoint_every_steps = train->checkpoint_every_epochs = 0;
    train->checkpoint_every_seconds = 0;
    if ((!strcmp(unit, "steps") || !strcmp(unit, "step")) && whole) {
        train->checkpoint_every_steps = (int64_t)number;
    } else if ((!strcmp(unit, "epochs") || !strcmp(unit, "epoch")) && whole) {
        train->checkpoint_every_epochs = (int64_t)number;
    } else if (!strcmp(unit, "s") && number > 0 && number <= 1e9) {
        train->checkpoint_every_seconds = number;
    } else {
        return false;
    }
    return true;
}

static bool is_in(const char *const *words, const char *word)
{
    for (; *words; words++)
        if (!strcmp(*words, word)) return true;
    return false;
}

/* The table: the one list of what a training takes. */
static void list_options(cli_training *t, const cli_option *more, const char *const *without)
{
    static const char *const dtypes[] = {"float32", "float64", NULL};
    static const char *const shuffles[] = {"none", "epoch", NULL};
    static const char *const engines[] = {"auto", "simd", "blas", "reference", NULL};
    static const char *const reductions[] = {"tree", "mpi", NULL};
    const cli_option options[] = {
        {"output", 'o', CLI_TEXT, &t->train.output, "FILE", "model file to write, in Keras' HDF5 format"},
        {"epochs", 0, CLI_INT, &t->train.epochs, "N", "passes over the training data", .minimum = 1,
         .maximum = INT64_MAX},
        {"batch-size", 0, CLI_INT, &t->train.batch_size, "B", "samples of a step, over all ranks",
         .minimum = 1, .maximum = INT64_MAX, .given = &t->batch_size_given},
        {"batch-size-per-rank", 0, CLI_INT, &t->batch_size_per_rank, "N",
         "instead: so many times the number of ranks, for weak scaling; then the model depends on that "
         "number",
         .minimum = 1, .maximum = INT64_MAX, .shown_default = ""},
        {"seed", 0, CLI_INT, &t->seed, "SEED", "seed of the initial weights and of the order of the rows",
         .maximum = INT64_MAX},
        {"shuffle", 0, CLI_CHOICE, &t->shuffle, "epoch|none",
         "new order of the rows every epoch, or the file's order", .choices = shuffles},
        {"init", 0, CLI_TEXT, &t->init, "MODEL", "start from this model file, ours or Keras'"},
        {"dtype", 0, CLI_CHOICE, &t->dtype, "float32|float64",
         "type of parameters and arithmetic, Keras' floatx", .shown_default = "float32, or that of --init",
         .choices = dtypes, .given = &t->dtype_given},
        {"validation", 0, CLI_TEXT, &t->validation_set, "SET",
         "set of DATA to measure the model on after every epoch, as test; none for none",
         .shown_default = "validation, if DATA has it"},
        {"validation-split", 0, CLI_DOUBLE, &t->validation_split, "F",
         "measure it on this share of the training set instead, its last rows, which are not trained on",
         .shown_default = "", .given = &t->validation_split_given},
        {"early-stopping", 0, CLI_INT, &t->train.early_stopping, "PATIENCE",
         "stop after so many epochs in which --monitor has not improved", .maximum = INT64_MAX,
         .shown_default = "never"},
        {"restore-best", 0, CLI_FLAG, &t->train.restore_best, "",
         "end with the weights of the epoch in which --monitor was best"},
        {"reduce-lr", 0, CLI_DOUBLE, &t->train.reduce_lr, "FACTOR",
         "multiply the learning rate by it after --reduce-lr-patience epochs in which --monitor has not "
         "improved",
         .shown_default = "never"},
        {"reduce-lr-patience", 0, CLI_INT, &t->train.reduce_lr_patience, "N", "epochs for --reduce-lr",
         .maximum = INT64_MAX},
        {"cooldown", 0, CLI_INT, &t->train.cooldown, "N", "epochs after --reduce-lr that do not count",
         .maximum = INT64_MAX},
        {"min-lr", 0, CLI_DOUBLE, &t->train.min_lr, "R", "learning rate at which --reduce-lr stops"},
        {"save-best", 0, CLI_TEXT, &t->train.save_best, "FILE",
         "model file to write whenever --monitor is the best so far"},
        {"monitor", 0, CLI_TEXT, &t->train.monitor, "NAME",
         "measure of an epoch that decides: loss, binary_accuracy, ... of the history, val_ for validation"},
        {"min-delta", 0, CLI_DOUBLE, &t->train.min_delta, "D", "least change that is an improvement",
         .shown_default = "0, for --reduce-lr 1e-4"},
        {"normalize", 0, CLI_FLAG, &t->train.normalize, "",
         "begin the model with a Normalization layer: each feature less its mean over the training data, "
         "over "
         "its standard deviation"},
        {"history", 0, CLI_TEXT, &t->history_path, "FILE",
         "write the measures of each epoch as CSV, like CSVLogger"},
        {"times", 0, CLI_TEXT, &t->times_path, "FILE",
         "write as JSON where the time went: least, mean and most of the ranks"},
        {"shards", 0, CLI_INT, &t->train.n_shards, "S", "parts of a batch, a power of two", .minimum = 1,
         .maximum = INT64_MAX, .shown_default = "from the batch size"},
        {"checkpoint-dir", 0, CLI_TEXT, &t->train.checkpoint_dir, "DIR",
         "write checkpoints into this directory"},
        {"checkpoint-every", 0, CLI_TEXT, &t->checkpoint_every, "N steps|epochs|s",
         "how often, as 1000steps, 1epochs or 60s; another one at the end"},
        {"keep", 0, CLI_INT, &t->train.checkpoint_keep, "K", "newest checkpoints that stay", .minimum = 1,
         .maximum = INT64_MAX},
        {"resume", 0, CLI_FLAG, &t->train.resume, "",
         "go on from the newest complete checkpoint of --checkpoint-dir, or start anew if there is none"},
        {"allow-other-cpu", 0, CLI_FLAG, &t->train.allow_other_cpu, "",
         "resume, or mix ranks, although their processors compute in other last bits"},
        {"verify-every", 0, CLI_INT, &t->train.verify_every, "K",
         "compare the weights of all ranks every K steps; 0 for never", .minimum = 0, .maximum = INT64_MAX},
        {"stall-timeout", 0, CLI_DOUBLE, &t->stall_timeout, "SECONDS",
         "end the job and say who is stuck when nothing moves for so long; 0 for never"},
        {"engine", 0, CLI_CHOICE, &t->engine, "auto|simd|blas|reference",
         "what computes; auto is simd, whose bits are the same on every processor", .choices = engines},
        {"reduction", 0, CLI_CHOICE, &t->reduction, "tree|mpi",
         "how sums cross ranks: the fixed tree, or MPI_Allreduce, whose bits depend on the number of ranks",
         .choices = reductions},
        CLI_PROGRESS_OPTIONS(&t->progress, "one line per epoch"),
        {"memory", 0, CLI_BYTES, &t->train.memory, "BYTES",
         "of each rank for rows, as 64k, 256M, 2G: those that fit are kept, others are read again in every "
         "epoch",
         .shown_default = "256M"},
        CLI_SOURCE_OPTIONS(&t->x, &t->y),
        {"generate", 0, CLI_FLAG, &t->is_generated, "",
         "instead of DATA: make the rows whenever they are needed, as 'lockstep generate --rng philox' with "
         "the options below writes them"},
        CLI_DATA_OPTIONS(&t->made),
        {"data-shuffle", 0, CLI_BOOL, &t->made.generate.data.shuffle, "true|false",
         "shuffle the samples and the features, generate's --shuffle",
         .given = &t->made.given[CLI_DATA_SHUFFLE]}};
    enum { N = sizeof options / sizeof options[0] };
    int n = 0;
    bool ends = false;
    for (; more && more->kind != CLI_END && n < CLI_TRAINING_OPTIONS - N - 1; more++) t->options[n++] = *more;
    for (int i = 0; i < N && !ends; i++) {
        const bool is_left_out = without && is_in(without, options[i].name);
        /* The options of data to be made follow that which asks for them. */
        ends = is_left_out && options[i].value == &t->is_generated;
        if (!is_left_out) t->options[n++] = options[i];
    }
    const int n_network = cli_network_list(&t->network, t->options + n);
    for (int i = n, end = n + n_network; i < end; i++)
        if (!without || !is_in(without, t->options[i].name)) t->options[n++] = t->options[i];
    t->optimizer_rows = t->options + n;
    n += cli_optimizer_list(&t->optimizer, &t->train.learning_rate, &t->train.learning_rate_base_batch,
                            t->options + n);
    t->options[n] = (cli_option){.kind = CLI_END};
}

/* Returns -1, or the exit code after an error that has been printed. */
static int check_validation(const cli_command *command, const cli_training *t)
{
    if (!t->validation_split_given) return -1;
    if (t->validation_set)
        return cli_usage_error(command, "--validation and --validation-split: give one of them");
    if (t->validation_split > 0 && t->validation_split < 1) return -1;
    return cli_usage_error(command, "--validation-split: %g is not between 0 and 1", t->validation_split);
}

/* Rows from a file or made, and the options of either. Returns -1, or the exit code after an error that has
 * been printed. */
static int check_source(const cli_command *command, cli_training *t, const char *file)
{
    const char *given = cli_data_given(&t->made, t->options);
    if (!t->is_generated && given)
        return cli_usage_error(command, "--%s describes data to be made: it goes with --generate", given);
    if (!t->is_generated && !file)
        return cli_usage_error(command,
                               "DATA is missing: name an HDF5 file, or make the data with --generate");
    if (!t->is_generated) return -1;
    if (t->validation_set)
        return cli_usage_error(command, "--validation names a set of a file: with --generate use "
                                        "--validation-split");
    if (file) return cli_usage_error(command, "'%s' and --generate: take the rows from one of them", file);
    if (t->x || t->y)
        return cli_usage_error(command, "--%s names an array of a file: it does not go with --generate",
                               t->x ? "x" : "y");
    return cli_data_complete(command, &t->made);
}

/* The model of --init may be replaced by what becomes of it, but by nothing else. */
static int check_files(const cli_command *command, const cli_training *t, const char *data)
{
    const cli_file files[] = {{"DATA", data},
                              cli_file_of_array("--x", t->x),
                              cli_file_of_array("--y", t->y),
                              {"--init", t->init},
                              {"--history", t->history_path},
                              {"--times", t->times_path},
                              {"--save-best", t->train.save_best},
                              {"--output", t->train.output}};
    enum { N = sizeof files / sizeof files[0], N_INPUTS = 4 };
    const cli_file written[] = {files[0], files[1], files[2], files[4], files[5], files[6], files[7]};
    const int refused = cli_check_files(command, files, N - 1, N_INPUTS);
    return refused >= 0 ? refused : cli_check_files(command, written, N - 1, N_INPUTS - 1);
}

int cli_training_parse(const cli_command *command, const cli_option *more, const char *const *without,
                       int argc, char **argv, cli_training *t, const char *positionals[CLI_MAX_POSITIONALS])
{
    enum { NONE, EPOCH };
    *t = (cli_training){.shuffle = EPOCH,
                        .engine = LS_ENGINE_AUTO,
                        .reduction = LS_REDUCTION_TREE,
                        .checkpoint_every = "1epochs",
                        .progress = {.verbose = 1}};
    ls_train_defaults(&t->train);
    cli_data_defaults(&t->made);
    cli_network_defaults(&t->network);
    list_options(t, more, without);
    const int parsed = cli_parse(command, t->options, argc, argv, positionals);
    if (parsed >= 0) return parsed;
    int refused = -1;
    if (!parse_period(t->checkpoint_every, &t->train)) {
        refused = cli_usage_error(command,
                                  "--checkpoint-every: '%s' is not a period like 1000steps, 1epochs or 60s",
                                  t->checkpoint_every);
    } else if (t->batch_size_given && t->batch_size_per_rank) {
        refused = cli_usage_error(command, "--batch-size and --batch-size-per-rank: give one of them");
    } else if (t->train.resume && !t->train.checkpoint_dir) {
        refused = cli_usage_error(command, "--resume needs --checkpoint-dir, the directory to resume from");
    }
    if (refused < 0) refused = check_validation(command, t);
    if (refused < 0) refused = check_source(command, t, positionals[0]);
    if (refused < 0)
        refused = cli_optimizer_complete(command, &t->optimizer, t->optimizer_rows, &t->train.optimizer);
    if (refused < 0) refused = check_files(command, t, positionals[0]);
    if (refused >= 0) cli_training_free(t);
    t->train.engine = (ls_engine_choice)t->engine;
    t->train.reduction = (ls_reduction)t->reduction;
    t->train.shuffle = t->shuffle == EPOCH;
    t->train.seed = (uint64_t)t->seed;
    return refused;
}

ls_status cli_training_scale(ls_session *session, cli_training *training, int64_t n_ranks)
{
    const int64_t per_rank = training->batch_size_per_rank;
    ls_train_options *train = &training->train;
    if (per_rank == 0) return LS_OK;
    if (n_ranks == 0) n_ranks = ls_session_size(session);
    if (__builtin_mul_overflow(per_rank, n_ranks, &train->batch_size))
        return ls_session_agree(
            session, ls_fail(LS_E_USAGE, "--batch-size-per-rank: %lld for each of %lld ranks is 2^63 or more",
                             (long long)per_rank, (long long)n_ranks));
    if (train->n_shards > 0) return LS_OK;
    train->n_shards = ls_train_default_shards(train->batch_size);
    while (train->n_shards < n_ranks) train->n_shards *= 2;
    return LS_OK;
}

/* Keras' split: int(n * (1 - F)) rows are trained on, those after them are kept for validation. */
static ls_status split(cli_training *training, ls_dataset **dataset)
{
    ls_dataset *whole = training->whole = *dataset;
    *dataset = NULL;
    const int64_t n = ls_dataset_n_samples(whole),
                  n_train = (int64_t)((double)n * (1 - training->validation_split));
    if (n_train == 0 || n_train == n)
        return ls_fail(LS_E_USAGE, "%s: --validation-split %g of %lld rows leaves none to %s",
                       ls_dataset_x_name(whole), training->validation_split, (long long)n,
                       n_train ? "validate on" : "train on");
    const ls_status status = ls_dataset_open_part(whole, 0, n_train, dataset);
    return status == LS_OK ? ls_dataset_open_part(whole, n_train, n - n_train, &training->validation)
                           : status;
}

/* Opens what the model is to be measured on after every epoch. */
static ls_status open_validation(ls_session *session, cli_training *training, const char *data,
                                 ls_dataset **dataset)
{
    const char *set = training->validation_set;
    ls_status status = LS_OK;
    bool exists = set && strcmp(set, "none") != 0;
    if (training->validation_split_given) {
        status = ls_session_agree(session, split(training, dataset));
    } else if (!training->is_generated) {
        const ls_dataset_source source = {.file = data, .set = set ? set : "validation"};
        /* Arrays that the user names belong to no set. */
        if (!set && !training->x && !training->y) status = ls_dataset_exists(session, &source, &exists);
        if (status == LS_OK && exists) status = ls_dataset_open(session, &source, &training->validation);
    }
    training->train.validation = training->validation;
    return status;
}

ls_status cli_training_open_data(ls_session *session, cli_training *training, const char *data,
                                 ls_dataset **dataset)
{
    const char *x = training->x, *y = training->y;
    const ls_dataset_source source = {.file = data,
                                      .set = x ? NULL : "train",
                                      .x = x,
                                      .y = y,
                                      .sample_weight = training->network.sample_weight,
                                      .with_weights = true};
    ls_status status = training->is_generated
                           ? ls_dataset_open_generated(session, &training->made.generate, dataset)
                           : ls_dataset_open(session, &source, dataset);
    return status == LS_OK ? open_validation(session, training, data, dataset) : status;
}

ls_status cli_training_open(ls_session *session, cli_training *training, const char *data,
                            ls_dataset **dataset, ls_model **model)
{
    ls_status status = cli_training_open_data(session, training, data, dataset);
    if (status == LS_OK) status = make_model(session, training, *dataset, model);
    if (status == LS_OK) cli_optimizer_set_penalties(&training->optimizer, *model);
    if (status == LS_OK)
        status = ls_session_agree(session, cli_network_weigh(&training->network, (*model)->loss,
                                                             ls_model_n_outputs(*model), *dataset));
    return status;
}

void cli_training_free(cli_training *training)
{
    ls_dataset_close(training->validation);
    ls_dataset_close(training->whole);
    cli_network_free(&training->network);
    cli_optimizer_free(&training->optimizer);
    ls_training_config_clear(&training->start);
    cli_data_free(&training->made);
}
