#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "progress.h"
#include "report.h"
#include "source.h"
#include "start.h"
#include "terminal.h"
#include "training.h"

static const char detail[] =
    CLI_SOURCE_DETAIL "\nThe model is the same on any number of ranks: a batch is cut into --shards parts, "
                      "the ranks share the parts, and "
                      "the parts' sums are added in one fixed order. At most --shards ranks can take part."
                      "\nSIGUSR1, SIGTERM or Ctrl-C at any rank makes all ranks write a checkpoint of the "
                      "same step and leave with exit "
                      "code 75; the same command with --resume goes on.";

static void print_notice(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "lockstep: %s\n", text);
}

/* Labels that spread so many times more over batches than by chance are no accident. */
#define SORTED_SPREAD 2.0

/* The data that the finished model is measured on. */
enum { TRAINING, VALIDATION };

/* What the observer's functions need. */
typedef struct view {
    const cli_progress_options *progress;
    const ls_session *session;
    const ls_model *model;
    const ls_dataset *dataset;
    const ls_train_options *train;
    int64_t batch_size_per_rank; /* or 0 */
    bool splits;                 /* the validation data off the training data */
    ls_train_times times;        /* filled at the end, on rank 0 */
} view;

static void print_setup(void *context, const ls_train_setup *setup)
{
    const view *v = context;
    if (v->progress->verbose == 0) return;
    fprintf(stderr, "%s: %lld samples, %lld features\n", ls_dataset_x_name(v->dataset),
            (long long)setup->n_samples, (long long)v->model->n_features);
    if (v->train->validation)
        fprintf(stderr, "validation: %s%s, %lld samples\n", v->splits ? "the last rows of " : "",
                ls_dataset_x_name(v->train->validation),
                (long long)ls_dataset_n_samples(v->train->validation));
    cli_print_layers(stderr, v->model);
    const int64_t base_batch = v->train->learning_rate_base_batch;
    fprintf(stderr, "training: %lld epochs of %lld steps, batch_size %lld in all, learning_rate %g\n",
            (long long)v->train->epochs, (long long)setup->n_steps, (long long)v->train->batch_size,
            setup->learning_rate);
    if (v->batch_size_per_rank)
        fprintf(stderr,
                "weak scaling: %lld samples of a batch for each rank, so the model depends on their number\n",
                (long long)v->batch_size_per_rank);
    if (base_batch > 0)
        fprintf(stderr, "learning_rate: %g of batches of %lld, times %lld / %lld\n",
                setup->learning_rate * (double)base_batch / (double)v->train->batch_size,
                (long long)base_batch, (long long)v->train->batch_size, (long long)base_batch);
    fprintf(stderr, "loss: %s", ls_loss_name(v->model->loss));
    if (ls_loss_is_categorical(v->model->loss))
        fprintf(stderr, ", %lld classes", (long long)ls_model_n_outputs(v->model));
    if (v->model->loss == LS_BINARY_CROSSENTROPY && ls_model_n_outputs(v->model) > 1)
        fprintf(stderr, ", %lld labels", (long long)ls_model_n_outputs(v->model));
    if (v->model->label_smoothing > 0) fprintf(stderr, ", labels smoothed by %g", v->model->label_smoothing);
    fprintf(stderr, "%s\n", ls_dataset_has_weights(v->dataset) ? ", samples weighted" : "");
    cli_print_optimizer(stderr, setup->optimizer, v->model);
    fprintf(stderr, "ranks: %d, shards: %lld, engine: %s\n", ls_session_size(v->session),
            (long long)setup->n_shards, setup->engine);
}

static void print_progress(void *context, const ls_train_progress *progress)
{
    cli_progress_epoch(((const view *)context)->progress, progress);
}

static void print_mixing(const ls_train_mixing *mixing, bool shuffle)
{
    if (isnan(mixing->neighbours) || isnan(mixing->label_spread)) return;
    fprintf(stderr, "order: neighbours correlate by %.3f, labels of batches spread %.2f times as by chance\n",
            mixing->neighbours, mixing->label_spread);
    if (!shuffle && mixing->label_spread > SORTED_SPREAD)
        fprintf(stderr, "the data seem sorted by label: --shuffle epoch would mix them\n");
}

static void take_end(void *context, const ls_train_times *times, const ls_train_mixing *mixing)
{
    view *v = context;
    const int n_ranks = times->n_ranks;
    char compute[16], communication[16], waiting[16], io[16];
    v->times = *times;
    if (v->progress->verbose == 0) return;
    fprintf(stderr, "time: %s compute, %s communication, %s waiting, %s reading and writing%s\n",
            cli_seconds_text(times->compute.mean, compute),
            cli_seconds_text(times->communication.mean, communication),
            cli_seconds_text(times->waiting.mean, waiting), cli_seconds_text(times->io.mean, io),
            n_ranks > 1 ? " (means of the ranks)" : "");
    if (times->better_ranks < n_ranks)
        fprintf(stderr, "%d rank%s would be faster for these steps: about %s instead of %s\n",
                times->better_ranks, times->better_ranks == 1 ? "" : "s",
                cli_seconds_text(times->better_seconds, compute),
                cli_seconds_text(times->compute.mean + times->communication.mean + times->waiting.mean, io));
    print_mixing(mixing, v->train->shuffle);
}

static void print_row(const char *name, ls_loss loss, const ls_metrics *metrics, const char *remark)
{
    cli_measure list[CLI_MAX_MEASURES];
    const int n = cli_list_measures(loss, list);
    printf("%-21s", name);
    for (int i = 0; i < n; i++) printf("  %*.6f", i > 0 ? 9 : 8, ls_metrics_value(metrics, list[i].name));
    printf("  %s\n", remark);
}

/* Both kinds of loss: Keras' fit shows the mean over an epoch while the weights changed, evaluate that of one
 * model. */
static void print_results(const ls_history *history, ls_loss loss, const ls_metrics *finished,
                          const char *output)
{
    char name[48];
    cli_measure list[CLI_MAX_MEASURES];
    const int n = cli_list_measures(loss, list);
    snprintf(name, sizeof name, "epoch %lld, running mean", (long long)history->n_epochs);
    printf("%-21s", "training data");
    for (int i = 0; i < n; i++) printf("  %*s", i > 0 ? 9 : 8, list[i].title);
    putchar('\n');
    print_row(name, loss, &history->epochs[history->n_epochs - 1].metrics, "as Keras' fit");
    print_row("finished model", loss, &finished[TRAINING], "as evaluate");
    if (finished[VALIDATION].n_samples > 0) {
        printf("validation data\n");
        print_row("finished model", loss, &finished[VALIDATION], "as evaluate");
    }
    if (output) printf("model written to %s\n", output);
}

/* Measures the finished model. Class weights are of the training alone. */
static ls_status measure(ls_session *session, const ls_model *model, ls_dataset *dataset,
                         const cli_training *training, ls_metrics *finished)
{
    ls_dataset *const sets[] = {dataset, training->validation};
    static const char *const titles[] = {"evaluate", "validate"};
    ls_status status = ls_dataset_set_class_weights(dataset, NULL, 0);
    for (int i = TRAINING; i <= VALIDATION && status == LS_OK; i++) {
        cli_operation operation;
        finished[i] = (ls_metrics){0};
        if (sets[i])
            status =
                ls_evaluate(session, model, sets[i],
                            cli_progress_begin(&operation, &training->progress, titles[i]), &finished[i]);
    }
    return status;
}

static int run(int argc, char **argv)
{
    cli_training training;
    const char *positionals[CLI_MAX_POSITIONALS];
    ls_interrupt_catch();
    const int parsed = cli_training_parse(&cli_train, NULL, NULL, argc, argv, &training, positionals);
    if (parsed >= 0) return parsed;
    const ls_train_options *train = &training.train;

    ls_session *session = NULL;
    ls_dataset *dataset = NULL;
    ls_model *model = NULL;
    ls_history history = {0};
    ls_metrics finished[2];
    ls_status status = cli_start(&cli_train, training.options, positionals, &session);
    if (status == LS_OK) status = ls_session_watch(session, training.stall_timeout);
    if (status == LS_OK) status = cli_training_scale(session, &training, 0);
    if (status == LS_OK && training.history_path)
        status = ls_session_check_output(session, training.history_path);
    if (status == LS_OK && training.times_path)
        status = ls_session_check_output(session, training.times_path);
    if (status == LS_OK) status = cli_training_open(session, &training, positionals[0], &dataset, &model);
    view shown = {.progress = &training.progress,
                  .session = session,
                  .model = model,
                  .dataset = dataset,
                  .train = train,
                  .batch_size_per_rank = training.batch_size_per_rank,
                  .splits = training.validation_split_given};
    if (status == LS_OK) {
        const ls_train_observer observer = {.context = &shown,
                                            .begin = print_setup,
                                            .progress = print_progress,
                                            .notice = print_notice,
                                            .end = take_end};
        status = ls_train(session, model, dataset, train, &observer, &history);
    }
    if (status == LS_OK && training.history_path)
        status = ls_history_write_csv(session, &history, training.history_path);
    if (status == LS_OK && training.times_path)
        status = ls_train_times_write_json(session, &shown.times, training.times_path);
    if (status == LS_OK) status = measure(session, model, dataset, &training, finished);
    if (status == LS_OK && ls_session_rank(session) == 0)
        print_results(&history, model->loss, finished, train->output);
    ls_history_clear(&history);
    ls_model_free(model);
    ls_dataset_close(dataset);
    cli_training_free(&training);
    return cli_finish(session, status);
}

const cli_command cli_train = {.name = "train",
                               .positionals = "DATA|--generate",
                               .n_positionals = 1,
                               .n_optional = 1,
                               .text = "train a network on the rows of /train",
                               .detail = detail,
                               .run = run};
