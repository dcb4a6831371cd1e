#include <stdarg.h>
#include <stdlib.h>

#include "commands.h"
#include "report.h"
#include "source.h"
#include "start.h"
#include "training.h"

static const char detail[] = CLI_SOURCE_DETAIL
    "\nOf the options of train, those that decide nothing here are accepted and ignored, so that the "
    "same command line serves both. "
    "Nothing is written, and of the data only the header is read."
    "\nTimes are an estimate for this machine, from a second or two of the real arithmetic on "
    "synthetic rows; where a step takes long, from some of its rows and from a narrower network. The "
    "exchange between ranks is measured only if plan itself runs on ranks "
    "(mpirun -n 4 lockstep plan ...).";

enum { MAX_WARNINGS = 8, WARNING_SIZE = 384, SIZE_TEXT = 32 };

typedef struct warnings {
    int n;
    char texts[MAX_WARNINGS][WARNING_SIZE];
} warnings;

static void warn(warnings *all, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void warn(warnings *all, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(all->texts[all->n++], WARNING_SIZE, format, arguments);
    va_end(arguments);
}

/* "512 bytes", "28.4 kB", "1.36 GB" */
static const char *size_text(int64_t bytes, char text[SIZE_TEXT])
{
    static const char *const units[] = {"kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes / 1000;
    int unit = 0;
    for (; value >= 999.5; value /= 1000) unit++;
    if (bytes < 1000) {
        snprintf(text, SIZE_TEXT, "%lld bytes", (long long)bytes);
    } else {
        snprintf(text, SIZE_TEXT, "%.3g %s", value, units[unit]);
    }
    return text;
}

/* "1.23 s" up to two minutes, then "5.2 min", "3.4 h", "12 days" */
static const char *duration_text(double seconds, char text[16])
{
    if (seconds < 120) return cli_seconds_text(seconds, text);
    if (seconds < 7200) {
        snprintf(text, 16, "%.3g min", seconds / 60);
    } else if (seconds < 48 * 3600) {
        snprintf(text, 16, "%.3g h", seconds / 3600);
    } else {
        snprintf(text, 16, "%.4g days", seconds / 86400);
    }
    return text;
}

/* All ranks of a node, the first of which writes. */
static int64_t node_bytes(const ls_plan *plan)
{
    return ls_plan_rank_bytes(&plan->memory, true) +
           (plan->ranks_per_node - 1) * ls_plan_rank_bytes(&plan->memory, false);
}

static void find_warnings(const ls_plan *plan, warnings *all)
{
    char a[SIZE_TEXT], b[SIZE_TEXT], now[16], then[16];
    enum { FEW_ROWS = 8 };
    if (plan->batch_size > plan->n_samples)
        warn(all, "a batch of %lld is more than the %lld samples: an epoch is one step",
             (long long)plan->batch_size, (long long)plan->n_samples);
    if (plan->n_ranks > 1 && plan->min_batch_rows < FEW_ROWS)
        warn(all,
             "a batch of %lld leaves %lld row%s of a step to a rank: a larger batch would feed %d ranks "
             "better",
             (long long)plan->batch_size, (long long)plan->min_batch_rows,
             plan->min_batch_rows == 1 ? "" : "s", plan->n_ranks);
    if (plan->as_fast_ranks < plan->n_ranks)
        warn(all,
             "%d ranks share %lld shards unevenly, %lld to %lld each: %d ranks wait for no longer, and a "
             "power of two "
             "divides them evenly",
             plan->n_ranks, (long long)plan->n_shards, (long long)plan->min_rank_shards,
             (long long)plan->max_rank_shards, plan->as_fast_ranks);
    else if (plan->min_rank_shards < plan->max_rank_shards)
        warn(all,
             "%d ranks share %lld shards unevenly, %lld to %lld each: a power of two divides them evenly",
             plan->n_ranks, (long long)plan->n_shards, (long long)plan->min_rank_shards,
             (long long)plan->max_rank_shards);
    if (plan->better_ranks < plan->n_ranks)
        warn(all, "%d rank%s would be faster%s: about %s a step instead of %s", plan->better_ranks,
             plan->better_ranks == 1 ? "" : "s",
             plan->exchange_ranks ? "" : ", even with the fastest exchange there can be",
             cli_seconds_text(plan->better_seconds, then), cli_seconds_text(plan->step_seconds, now));
    if (node_bytes(plan) > plan->node_memory)
        warn(all, "%d ranks on a node like this need %s, but it has %s: spread them over more nodes",
             plan->ranks_per_node, size_text(node_bytes(plan), a), size_text(plan->node_memory, b));
    else if (node_bytes(plan) > plan->node_memory / 10 * 9)
        warn(all, "%d ranks on a node like this need %s of its %s: leave room for the system",
             plan->ranks_per_node, size_text(node_bytes(plan), a), size_text(plan->node_memory, b));
}

/* "20000", or "19998 to 20001" */
static void print_range(int64_t least, int64_t most)
{
    printf("%lld", (long long)least);
    if (most > least) printf(" to %lld", (long long)most);
}

static void print_line(const char *name, int64_t bytes)
{
    char text[SIZE_TEXT];
    printf("  %-18s %s\n", name, size_text(bytes, text));
}

static void print_times(const ls_model *model, const ls_plan *plan)
{
    char step[16], compute[16], exchange[16], all[16];
    const bool is_least = plan->n_ranks > 1 && !plan->exchange_ranks;
    const char *least = is_least ? "at least " : "";
    printf("estimate of time, for this machine, without reading, making and writing:\n");
    printf("  %-18s %s%s", "a step", least, cli_seconds_text(plan->step_seconds, step));
    if (plan->n_ranks > 1) printf(": %s computing", cli_seconds_text(plan->compute_seconds, compute));
    if (is_least) {
        printf("; adding the sums of the ranks is measured\n%-20s by mpirun -n R lockstep plan ...", "");
    } else if (plan->n_ranks > 1) {
        printf(", %s adding the sums", cli_seconds_text(plan->exchange_seconds, exchange));
        if (plan->exchange_ranks != plan->n_ranks) printf(" of %d ranks", plan->exchange_ranks);
    }
    const bool is_narrow = plan->tried_parameters < model->n_parameters;
    if (plan->tried_share < 1)
        printf("\n%-20s counted up from steps of %.2g %% of the rows", "", 100 * plan->tried_share);
    if (is_narrow)
        printf("\n%-20s counted up from a network of %.2g %% of the parameters", "",
               100 * (double)plan->tried_parameters / (double)model->n_parameters);
    printf("\n  %-18s %s%s\n", "the training", least,
           duration_text(plan->step_seconds * (double)plan->n_all_steps, all));
}

static void print_plan(const ls_dataset *dataset, const ls_model *model, const cli_training *training,
                       const ls_plan *plan)
{
    const ls_train_options *train = &training->train;
    char a[SIZE_TEXT], b[SIZE_TEXT];
    const ls_plan_memory *memory = &plan->memory;
    const bool writes = train->output || train->checkpoint_dir;
    printf("%s: %lld samples, %lld features\n", ls_dataset_x_name(dataset), (long long)plan->n_samples,
           (long long)model->n_features);
    cli_print_layers(stdout, model);
    printf("%-20s %d; at most %lld can take part\n", "ranks", plan->n_ranks, (long long)plan->max_ranks);
    printf("%-20s %lld of a batch, ", "shards", (long long)plan->n_shards);
    print_range(plan->min_rank_shards, plan->max_rank_shards);
    printf(" for a rank\n%-20s ", "rows of a rank");
    print_range(plan->min_rank_rows, plan->max_rank_rows);
    printf(", ");
    print_range(plan->min_batch_rows, plan->max_batch_rows);
    printf(" of a batch of %lld\n", (long long)plan->batch_size);
    if (training->batch_size_per_rank)
        printf("%-20s %lld for each rank, so the model depends on their number\n", "weak scaling",
               (long long)training->batch_size_per_rank);
    printf("%-20s %lld an epoch, %lld in all\n", "steps", (long long)plan->n_steps,
           (long long)plan->n_all_steps);
    if (plan->first_epoch_bytes == 0) {
        printf("%-20s nothing, the rows are made\n", "reading");
    } else {
        printf("%-20s %s in the first epoch, %s%s in each later one\n", "reading",
               size_text(plan->first_epoch_bytes, a), plan->epoch_bytes ? "about " : "",
               plan->epoch_bytes ? size_text(plan->epoch_bytes, b) : "nothing");
    }
    printf("%-20s %lld bytes", "model or checkpoint", (long long)plan->checkpoint_bytes);
    if (plan->last_checkpoint_bytes > plan->checkpoint_bytes)
        printf(", at most %lld after %lld epochs", (long long)plan->last_checkpoint_bytes,
               (long long)train->epochs);
    printf("\n%-20s %s", "memory of a rank", size_text(ls_plan_rank_bytes(memory, false), a));
    if (writes) printf(", of rank 0 %s", size_text(ls_plan_rank_bytes(memory, true), a));
    putchar('\n');
    print_line("program", memory->program);
    print_line("network", memory->network);
    print_line("sums", memory->exchange);
    print_line("rows", memory->rows);
    if (writes) print_line("writing (rank 0)", memory->writing);
    printf("%-20s %s for %d rank%s, of %s\n", "memory of a node", size_text(node_bytes(plan), a),
           plan->ranks_per_node, plan->ranks_per_node == 1 ? "" : "s", size_text(plan->node_memory, b));
    print_times(model, plan);
}

static json_t *plan_json(const ls_plan *plan, const warnings *all)
{
    const ls_plan_memory *memory = &plan->memory;
    json_t *texts = json_array();
    for (int i = 0; i < all->n; i++) json_array_append_new(texts, json_string(all->texts[i]));
    json_t *measured = plan->exchange_ranks ? json_integer(plan->exchange_ranks) : json_null();
    return json_pack(
        "{s:i, s:I, s:I, s:[I,I], s:[I,I], s:[I,I], s:I, s:I, s:I, s:I, s:I, s:I,"
        " s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:{s:i, s:I, s:I},"
        " s:{s:f, s:f, s:f, s:o, s:f, s:f, s:i, s:f, s:f, s:I}, s:o}",
        "ranks", plan->n_ranks, "max_ranks", (json_int_t)plan->max_ranks, "shards",
        (json_int_t)plan->n_shards, "rank_shards", (json_int_t)plan->min_rank_shards,
        (json_int_t)plan->max_rank_shards, "rank_rows", (json_int_t)plan->min_rank_rows,
        (json_int_t)plan->max_rank_rows, "rank_batch_rows", (json_int_t)plan->min_batch_rows,
        (json_int_t)plan->max_batch_rows, "steps_per_epoch", (json_int_t)plan->n_steps, "steps",
        (json_int_t)plan->n_all_steps, "first_epoch_bytes", (json_int_t)plan->first_epoch_bytes,
        "epoch_bytes", (json_int_t)plan->epoch_bytes, "checkpoint_bytes", (json_int_t)plan->checkpoint_bytes,
        "last_checkpoint_bytes", (json_int_t)plan->last_checkpoint_bytes, "rank_memory", "program",
        (json_int_t)memory->program, "network", (json_int_t)memory->network, "exchange",
        (json_int_t)memory->exchange, "rows", (json_int_t)memory->rows, "writing",
        (json_int_t)memory->writing, "rank", (json_int_t)ls_plan_rank_bytes(memory, false), "rank_0",
        (json_int_t)ls_plan_rank_bytes(memory, true), "node", "ranks", plan->ranks_per_node, "needed",
        (json_int_t)node_bytes(plan), "available", (json_int_t)plan->node_memory, "estimated_seconds",
        "computing", plan->compute_seconds, "computing_alone", plan->lone_seconds, "exchange",
        plan->exchange_seconds, "exchange_measured_on_ranks", measured, "step", plan->step_seconds,
        "training", plan->step_seconds * (double)plan->n_all_steps, "better_ranks", plan->better_ranks,
        "better_step", plan->better_seconds, "share_of_rows_tried", plan->tried_share, "parameters_tried",
        (json_int_t)plan->tried_parameters, "warnings", texts);
}

static ls_status print_json(const ls_plan *plan, const warnings *all)
{
    json_t *root = plan_json(plan, all);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (!text) return ls_fail(LS_E_MEMORY, "plan: no memory to write it as JSON");
    puts(text);
    free(text);
    return LS_OK;
}

static ls_status show(ls_dataset *dataset, const ls_model *model, const cli_training *training,
                      const ls_plan *plan, bool json)
{
    warnings all = {0};
    find_warnings(plan, &all);
    if (json) return print_json(plan, &all);
    print_plan(dataset, model, training, plan);
    for (int i = 0; i < all.n; i++) printf("warning: %s\n", all.texts[i]);
    return LS_OK;
}

static int run(int argc, char **argv)
{
    cli_training training;
    int64_t n_ranks = 0;
    bool json = false;
    const cli_option own[] = {{"ranks", 'n', CLI_INT, &n_ranks, "R", "ranks to plan for", .minimum = 1,
                               .maximum = INT32_MAX, .shown_default = "those that plan runs on"},
                              {"json", 0, CLI_FLAG, &json, "", "print the plan as JSON"},
                              {.kind = CLI_END}};
    const char *positionals[CLI_MAX_POSITIONALS];
    const int parsed = cli_training_parse(&cli_plan, own, NULL, argc, argv, &training, positionals);
    if (parsed >= 0) return parsed;

    ls_session *session = NULL;
    ls_dataset *dataset = NULL;
    ls_model *model = NULL;
    ls_plan plan;
    ls_status status = cli_start(&cli_plan, training.options, positionals, &session);
    if (status == LS_OK) status = cli_training_scale(session, &training, n_ranks);
    if (status == LS_OK) status = cli_training_open(session, &training, positionals[0], &dataset, &model);
    if (status == LS_OK)
        status = ls_plan_training(session, model, dataset, &training.train, (int)n_ranks, &plan);
    if (status == LS_OK) {
        if (ls_session_rank(session) == 0) status = show(dataset, model, &training, &plan, json);
        status = ls_session_agree(session, status);
    }
    ls_model_free(model);
    ls_dataset_close(dataset);
    cli_training_free(&training);
    return cli_finish(session, status);
}

const cli_command cli_plan = {.name = "plan",
                              .positionals = "DATA|--generate",
                              .n_positionals = 1,
                              .n_optional = 1,
                              .text = "tell what a training will take, before it is started",
                              .detail = detail,
                              .run = run};
