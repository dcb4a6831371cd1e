#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "progress.h"
#include "source.h"
#include "start.h"

static const char detail[] =
    CLI_SOURCE_DETAIL "\nThe model is the same on any number of ranks: a batch is cut into --shards parts, "
                      "the ranks share the parts, and "
                      "the parts' sums are added in one fixed order. At most --shards ranks can take part."
                      "\nSIGUSR1, SIGTERM or Ctrl-C at any rank makes all ranks write a checkpoint of the "
                      "same step and leave with exit "
                      "code 75; the same command with --resume goes on.";

/* What the user said about the model, to build one or to check the one of --init against. */
typedef struct wanted_model {
    cli_ints hidden;
    const char *activation;
    bool activation_given;
    int dtype;
    bool dtype_given;
    const char *init;
    int64_t seed;
} wanted_model;

/* With --init the layers come from the file; what the options say of them must be true of it. */
static ls_status check_init(const wanted_model *wanted, ls_activation activation, const ls_model *model)
{
    char layers[256] = "";
    size_t used = 0;
    bool same = !wanted->hidden.given || wanted->hidden.n == model->n_layers - 1;
    for (int64_t i = 0; i < model->n_layers - 1; i++) {
        const ls_layer *layer = &model->layers[i];
        if (wanted->hidden.given && i < wanted->hidden.n && wanted->hidden.values[i] != layer->units)
            same = false;
        if (wanted->activation_given && activation != layer->activation) same = false;
        if (used < sizeof layers)
            used += (size_t)snprintf(layers + used, sizeof layers - used, " %lld %s", (long long)layer->units,
                                     ls_activation_name(layer->activation));
    }
    if (same) return LS_OK;
    return ls_fail(LS_E_USAGE,
                   "%s: its hidden layers are%s: leave --hidden and --activation out, or say the same",
                   wanted->init, layers[0] ? layers : " none");
}

/* Builds the model of the options, or loads that of --init. */
static ls_status make_model(ls_session *session, const wanted_model *wanted, int64_t n_features,
                            ls_model **model)
{
    ls_activation activation;
    ls_status status = ls_activation_parse(wanted->activation, &activation);
    if (status != LS_OK) return status;
    if (!wanted->init) {
        status = ls_model_create((ls_dtype)wanted->dtype, n_features, wanted->hidden.values, wanted->hidden.n,
                                 activation, model);
        if (status == LS_OK) ls_model_init_glorot_uniform(*model, (uint64_t)wanted->seed);
        return ls_session_agree(session, status);
    }
    status = ls_model_load(session, wanted->init, model, NULL);
    if (status == LS_OK) status = check_init(wanted, activation, *model);
    if (status == LS_OK && wanted->dtype_given) status = ls_model_convert(*model, (ls_dtype)wanted->dtype);
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

static void print_notice(void *context, const char *text)
{
    (void)context;
    cli_progress_break();
    fprintf(stderr, "lockstep: %s\n", text);
}

/* What the observer's functions need. */
typedef struct view {
    const cli_progress_options *progress;
    const ls_session *session;
    const ls_model *model;
    const ls_dataset *dataset;
    const ls_train_options *train;
} view;

static void print_setup(void *context, const ls_train_setup *setup)
{
    const view *v = context;
    if (v->progress->verbose == 0) return;
    fprintf(stderr, "%s: %lld samples, %lld features\n", ls_dataset_x_name(v->dataset),
            (long long)setup->n_samples, (long long)v->model->n_features);
    fprintf(stderr, "model: %lld", (long long)v->model->n_features);
    for (int64_t i = 0; i < v->model->n_layers; i++)
        fprintf(stderr, " - %lld %s", (long long)v->model->layers[i].units,
                ls_activation_name(v->model->layers[i].activation));
    fprintf(stderr, "; %lld parameters, %s\n", (long long)v->model->n_parameters,
            ls_dtype_name(v->model->dtype));
    fprintf(stderr, "training: %lld epochs of %lld steps, batch_size %lld in all, learning_rate %g\n",
            (long long)v->train->epochs, (long long)setup->n_steps, (long long)v->train->batch_size,
            v->train->learning_rate);
    fprintf(stderr, "ranks: %d, shards: %lld, engine: %s\n", ls_session_size(v->session),
            (long long)setup->n_shards, setup->engine);
}

static void print_progress(void *context, const ls_train_progress *progress)
{
    cli_progress_epoch(((const view *)context)->progress, progress);
}

/* "1.23 s", "45 ms", "6 us" */
static const char *seconds_text(double seconds, char text[16])
{
    if (seconds >= 0.9995) {
        snprintf(text, 16, "%.2f s", seconds);
    } else if (seconds >= 0.9995e-3) {
        snprintf(text, 16, "%.0f ms", 1e3 * seconds);
    } else {
        snprintf(text, 16, "%.0f us", 1e6 * seconds);
    }
    return text;
}

static void print_times(void *context, const ls_train_times *times)
{
    const view *v = context;
    const int n_ranks = ls_session_size(v->session);
    char compute[16], communication[16], waiting[16], io[16];
    if (v->progress->verbose == 0) return;
    fprintf(stderr, "time: %s compute, %s communication, %s waiting, %s reading and writing%s\n",
            seconds_text(times->compute, compute), seconds_text(times->communication, communication),
            seconds_text(times->waiting, waiting), seconds_text(times->io, io),
            n_ranks > 1 ? " (means of the ranks)" : "");
    if (times->better_ranks < n_ranks)
        fprintf(stderr, "%d rank%s would be faster for these steps: about %s instead of %s\n",
                times->better_ranks, times->better_ranks == 1 ? "" : "s",
                seconds_text(times->better_seconds, compute),
                seconds_text(times->compute + times->communication + times->waiting, io));
}

/* Both kinds of loss: Keras' fit shows the mean over an epoch while the weights changed, evaluate that of one
 * model. */
static void print_results(const ls_history *history, const ls_metrics *finished, const char *output)
{
    const ls_metrics *rows[] = {&history->epochs[history->n_epochs - 1].metrics, finished};
    static const char *const remarks[] = {"as Keras' fit", "as evaluate"};
    printf("training data              loss  accuracy  precision    recall\n");
    for (int i = 0; i < 2; i++) {
        char name[48] = "finished model";
        if (i == 0) snprintf(name, sizeof name, "epoch %lld, running mean", (long long)history->n_epochs);
        printf("%-21s  %8.6f  %8.6f   %8.6f  %8.6f  %s\n", name, ls_metrics_loss(rows[i]),
               ls_metrics_binary_accuracy(rows[i]), ls_metrics_precision(rows[i]), ls_metrics_recall(rows[i]),
               remarks[i]);
    }
    if (output) printf("model written to %s\n", output);
}

static int run(int argc, char **argv)
{
    static const char *const dtypes[] = {"float32", "float64", NULL};
    static const char *const shuffles[] = {"none", "epoch", NULL};
    static const char *const engines[] = {"auto", "simd", "blas", "reference", NULL};
    static const char *const reductions[] = {"tree", "mpi", NULL};
    ls_train_options train;
    ls_train_defaults(&train);
    wanted_model wanted = {.activation = "tanh"};
    int shuffle = 1;
    cli_progress_options progress = {.verbose = 1};
    double stall_timeout = 0;
    int engine = LS_ENGINE_AUTO, reduction = LS_REDUCTION_TREE;
    const char *x = NULL, *y = NULL, *history_path = NULL, *checkpoint_every = "1epochs";
    const cli_option options[] = {
        {"output", 'o', CLI_TEXT, &train.output, "FILE", "model file to write, in Keras' HDF5 format"},
        {"hidden", 0, CLI_INTS, &wanted.hidden, "U,U,...", "units of the hidden layers; \"\" for none",
         .shown_default = "none, logistic regression"},
        {"activation", 0, CLI_TEXT, &wanted.activation, "NAME",
         "of the hidden layers: tanh, relu, sigmoid or linear", .given = &wanted.activation_given},
        {"epochs", 0, CLI_INT, &train.epochs, "N", "passes over the training data", .minimum = 1,
         .maximum = INT64_MAX},
        {"batch-size", 0, CLI_INT, &train.batch_size, "B", "samples of a step, over all ranks", .minimum = 1,
         .maximum = INT64_MAX},
        {"learning-rate", 0, CLI_DOUBLE, &train.learning_rate, "R", "of plain SGD"},
        {"seed", 0, CLI_INT, &wanted.seed, "SEED", "seed of the initial weights and of the order of the rows",
         .maximum = INT64_MAX},
        {"shuffle", 0, CLI_CHOICE, &shuffle, "epoch|none",
         "new order of the rows every epoch, or the file's order", .choices = shuffles},
        {"init", 0, CLI_TEXT, &wanted.init, "MODEL", "start from this model file, ours or Keras'"},
        {"dtype", 0, CLI_CHOICE, &wanted.dtype, "float32|float64",
         "type of parameters and arithmetic, Keras' floatx", .shown_default = "float32, or that of --init",
         .choices = dtypes, .given = &wanted.dtype_given},
        {"history", 0, CLI_TEXT, &history_path, "FILE",
         "write the measures of each epoch as CSV, like CSVLogger"},
        {"shards", 0, CLI_INT, &train.n_shards, "S", "parts of a batch, a power of two", .minimum = 1,
         .maximum = INT64_MAX, .shown_default = "from the batch size"},
        {"checkpoint-dir", 0, CLI_TEXT, &train.checkpoint_dir, "DIR",
         "write checkpoints into this directory"},
        {"checkpoint-every", 0, CLI_TEXT, &checkpoint_every, "N steps|epochs|s",
         "how often, as 1000steps, 1epochs or 60s; another one at the end"},
        {"keep", 0, CLI_INT, &train.checkpoint_keep, "K", "newest checkpoints that stay", .minimum = 1,
         .maximum = INT64_MAX},
        {"resume", 0, CLI_FLAG, &train.resume, "",
         "go on from the newest complete checkpoint of --checkpoint-dir, or start anew if there is none"},
        {"allow-other-cpu", 0, CLI_FLAG, &train.allow_other_cpu, "",
         "resume, or mix ranks, although their processors compute in other last bits"},
        {"verify-every", 0, CLI_INT, &train.verify_every, "K",
         "compare the weights of all ranks every K steps; 0 for never", .minimum = 0, .maximum = INT64_MAX},
        {"stall-timeout", 0, CLI_DOUBLE, &stall_timeout, "SECONDS",
         "end the job and say who is stuck when nothing moves for so long; 0 for never"},
        {"engine", 0, CLI_CHOICE, &engine, "auto|simd|blas|reference",
         "what computes; auto is simd, whose bits are the same on every processor", .choices = engines},
        {"reduction", 0, CLI_CHOICE, &reduction, "tree|mpi",
         "how sums cross ranks: the fixed tree, or MPI_Allreduce, whose bits depend on the number of ranks",
         .choices = reductions},
        CLI_PROGRESS_OPTIONS(&progress, "one line per epoch"),
        CLI_SOURCE_OPTIONS(&x, &y),
        {.kind = CLI_END}};
    const char *positionals[CLI_MAX_POSITIONALS];
    ls_interrupt_catch();
    const int parsed = cli_parse(&cli_train, options, argc, argv, positionals);
    if (parsed >= 0) return parsed;
    int refused = 0;
    if (!parse_period(checkpoint_every, &train)) {
        refused = cli_usage_error(&cli_train,
                                  "--checkpoint-every: '%s' is not a period like 1000steps, 1epochs or 60s",
                                  checkpoint_every);
    } else if (train.resume && !train.checkpoint_dir) {
        refused =
            cli_usage_error(&cli_train, "--resume needs --checkpoint-dir, the directory to resume from");
    }
    if (refused) {
        cli_ints_free(&wanted.hidden);
        return refused;
    }
    train.engine = (ls_engine_choice)engine;
    train.reduction = (ls_reduction)reduction;
    train.shuffle = shuffle == 1;
    train.seed = (uint64_t)wanted.seed;

    ls_session *session = NULL;
    ls_dataset *dataset = NULL;
    ls_model *model = NULL;
    ls_history history = {0};
    ls_metrics finished;
    cli_operation measuring;
    ls_status status = cli_start(&cli_train, options, positionals, &session);
    if (status == LS_OK) status = ls_session_watch(session, stall_timeout);
    if (status == LS_OK && history_path) status = ls_session_check_output(session, history_path);
    if (status == LS_OK) {
        const ls_dataset_source source = {.file = positionals[0], .set = x ? NULL : "train", .x = x, .y = y};
        status = ls_dataset_open(session, &source, &dataset);
    }
    if (status == LS_OK) status = make_model(session, &wanted, ls_dataset_n_features(dataset), &model);
    if (status == LS_OK) {
        view shown = {&progress, session, model, dataset, &train};
        const ls_train_observer observer = {.context = &shown,
                                            .begin = print_setup,
                                            .progress = print_progress,
                                            .notice = print_notice,
                                            .end = print_times};
        status = ls_train(session, model, dataset, &train, &observer, &history);
    }
    if (status == LS_OK && history_path) status = ls_history_write_csv(session, &history, history_path);
    if (status == LS_OK)
        status = ls_evaluate(session, model, dataset, cli_progress_begin(&measuring, &progress, "evaluate"),
                             &finished);
    if (status == LS_OK && ls_session_rank(session) == 0) print_results(&history, &finished, train.output);
    ls_history_clear(&history);
    ls_model_free(model);
    ls_dataset_close(dataset);
    cli_ints_free(&wanted.hidden);
    return cli_finish(session, status);
}

const cli_command cli_train = {.name = "train",
                               .positionals = "DATA",
                               .n_positionals = 1,
                               .text = "train a network on the rows of /train",
                               .detail = detail,
                               .run = run};
