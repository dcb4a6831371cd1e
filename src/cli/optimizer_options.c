#include "optimizer_options.h"

#include <math.h>
#include <string.h>

/* Rows of the table that are looked at by themselves. */
enum { KIND, RATE, BASE_BATCH, SCHEDULE, BOUNDARIES = 7, FACTORS, L1 = CLI_N_OPTIMIZER_OPTIONS - 2, L2 };

/* Whether the row is a member of the optimizer or its schedule. */
static bool is_member(int row)
{
    return row > BASE_BATCH && row != SCHEDULE && row < L1;
}

int cli_optimizer_list(cli_optimizer *o, double *rate, int64_t *base_batch, cli_option *rows)
{
    static const char *const kinds[] = {"sgd", "rmsprop", "adagrad", "adam", "adamw", NULL};
    static const char *const schedules[] = {"constant", "step", "exponential", "cosine", "piecewise", NULL};
    ls_optimizer *w = &o->wanted;
    const cli_option options[CLI_N_OPTIMIZER_OPTIONS] = {
        {"optimizer", 0, CLI_CHOICE, &o->kind, "NAME", "sgd, rmsprop, adagrad, adam or adamw, as in Keras",
         .choices = kinds},
        {"learning-rate", 0, CLI_DOUBLE, rate, "R", "of the optimizer",
         .shown_default = "Keras': sgd 0.01, others 0.001"},
        {"learning-rate-base-batch", 0, CLI_INT, base_batch, "B",
         "the learning rate is that of batches of B samples: take it times batch-size / B", .minimum = 1,
         .maximum = INT64_MAX, .shown_default = "take it as it is"},
        {"schedule", 0, CLI_CHOICE, &o->schedule, "NAME",
         "of the learning rate by steps: constant, step, exponential, cosine or piecewise",
         .choices = schedules},
        {"decay-steps", 0, CLI_INT, &w->schedule.decay_steps, "N",
         "step, exponential: --decay-rate is multiplied in so many steps (step: at once); cosine: down to "
         "the "
         "end in so many",
         .minimum = 1, .maximum = INT64_MAX, .shown_default = "all steps of the training"},
        {"decay-rate", 0, CLI_DOUBLE, &w->schedule.decay_rate, "R", "of step and exponential",
         .shown_default = "0.1"},
        {"alpha", 0, CLI_DOUBLE, &w->schedule.alpha, "R", "cosine: share of the learning rate at the end"},
        {"boundaries", 0, CLI_INTS, &o->boundaries, "N,...",
         "piecewise: after so many steps each of --factors counts"},
        {"factors", 0, CLI_DOUBLES, &o->factors, "R,...",
         "piecewise: the learning rate is times this after each of --boundaries"},
        {"warmup-steps", 0, CLI_INT, &w->schedule.warmup_steps, "N",
         "rise from 0 to the learning rate in so many steps first", .minimum = 0, .maximum = INT64_MAX},
        {"momentum", 0, CLI_DOUBLE, &w->momentum, "R", "of sgd and rmsprop"},
        {"nesterov", 0, CLI_FLAG, &w->nesterov, "", "sgd: Nesterov's momentum"},
        {"rho", 0, CLI_DOUBLE, &w->rho, "R", "rmsprop: how much of the mean square stays in a step",
         .shown_default = "0.9"},
        {"centered", 0, CLI_FLAG, &w->centered, "", "rmsprop: divide by the variance of the gradients"},
        {"beta-1", 0, CLI_DOUBLE, &w->beta_1, "R", "adam, adamw: how much of the mean gradient stays",
         .shown_default = "0.9"},
        {"beta-2", 0, CLI_DOUBLE, &w->beta_2, "R", "adam, adamw: how much of the mean square stays",
         .shown_default = "0.999"},
        {"epsilon", 0, CLI_DOUBLE, &w->epsilon, "R", "all but sgd: added to the divisor",
         .shown_default = "1e-07"},
        {"weight-decay", 0, CLI_DOUBLE, &w->weight_decay, "R",
         "this times the learning rate of each weight goes in a step",
         .shown_default = "adamw 0.004, others 0"},
        {"clipnorm", 0, CLI_DOUBLE, &w->clipnorm, "R", "longest gradient of each kernel and bias",
         .shown_default = "none"},
        {"global-clipnorm", 0, CLI_DOUBLE, &w->global_clipnorm, "R", "longest gradient of all together",
         .shown_default = "none"},
        {"clipvalue", 0, CLI_DOUBLE, &w->clipvalue, "R", "largest element of a gradient",
         .shown_default = "none"},
        {"l1", 0, CLI_DOUBLE, &o->l1, "R", "penalty of the kernels: the loss has R sum|w| more",
         .shown_default = "0, or that of --init"},
        {"l2", 0, CLI_DOUBLE, &o->l2, "R", "penalty of the kernels: the loss has R sum(w^2) more",
         .shown_default = "0, or that of --init"},
    };
    memcpy(rows, options, sizeof options);
    for (int i = 0; i < CLI_N_OPTIMIZER_OPTIONS; i++) rows[i].given = &o->given[i];
    return CLI_N_OPTIMIZER_OPTIONS;
}

/* Refuses the option if the word of its user has no member of its name. */
static int check_use(const cli_command *command, const cli_optimizer *o, const cli_option *row,
                     const ls_optimizer *optimizer)
{
    char member[64];
    snprintf(member, sizeof member, "%s", row->name);
    for (char *c = member; *c; c++)
        if (*c == '-') *c = '_';
    const ls_schedule_kind schedule = optimizer->schedule.kind;
    const bool of_schedule = ls_schedule_uses(LS_SCHEDULE_STEP, member) ||
                             ls_schedule_uses(LS_SCHEDULE_COSINE, member) ||
                             ls_schedule_uses(LS_SCHEDULE_PIECEWISE, member);
    if (of_schedule && !ls_schedule_uses(schedule, member))
        return cli_usage_error(command, "--%s: the schedule is %s%s, which has none", row->name,
                               ls_schedule_name(schedule), o->given[SCHEDULE] ? "" : " by default");
    if (!of_schedule && !ls_optimizer_uses(optimizer->kind, member))
        return cli_usage_error(command, "--%s: the optimizer is %s%s, which has none", row->name,
                               ls_optimizer_name(optimizer->kind), o->given[KIND] ? "" : " by default");
    return -1;
}

/* Copies the value of a row that points into o->wanted to the same place of optimizer. */
static void copy_member(const cli_optimizer *o, const cli_option *row, ls_optimizer *optimizer)
{
    const size_t size = row->kind == CLI_FLAG  ? sizeof(bool)
                        : row->kind == CLI_INT ? sizeof(int64_t)
                                               : sizeof(double);
    memcpy((char *)optimizer + ((const char *)row->value - (const char *)&o->wanted), row->value, size);
}

static int copy_boundaries(const cli_command *command, const cli_optimizer *o, ls_schedule *schedule)
{
    const int64_t n = o->boundaries.n;
    if (n != o->factors.n || n > LS_MAX_BOUNDARIES)
        return cli_usage_error(
            command,
            "--boundaries has %lld numbers, --factors %lld: give one factor for each of at "
            "most %d boundaries",
            (long long)n, (long long)o->factors.n, LS_MAX_BOUNDARIES);
    schedule->n_boundaries = (int)n;
    for (int64_t i = 0; i < n; i++) {
        schedule->boundaries[i] = o->boundaries.values[i];
        schedule->factors[i] = o->factors.values[i];
    }
    return -1;
}

int cli_optimizer_complete(const cli_command *command, const cli_optimizer *o, const cli_option *rows,
                           ls_optimizer *optimizer)
{
    ls_optimizer_defaults((ls_optimizer_kind)o->kind, optimizer);
    optimizer->schedule.kind = (ls_schedule_kind)o->schedule;
    if (ls_schedule_uses(optimizer->schedule.kind, "decay_rate")) optimizer->schedule.decay_rate = 0.1;
    for (int i = 0; i < CLI_N_OPTIMIZER_OPTIONS; i++) {
        if (!o->given[i] || !is_member(i)) continue;
        const int refused = check_use(command, o, &rows[i], optimizer);
        if (refused >= 0) return refused;
        if (i != BOUNDARIES && i != FACTORS) copy_member(o, &rows[i], optimizer);
    }
    const int refused = copy_boundaries(command, o, &optimizer->schedule);
    if (refused >= 0) return refused;
    const double rate = *(const double *)rows[RATE].value;
    if (o->given[RATE] && !(rate > 0 && rate < INFINITY))
        return cli_usage_error(command, "--learning-rate: %g is not a positive number", rate);
    if (ls_optimizer_check(optimizer) != LS_OK) return cli_usage_error(command, "%s", ls_error_message());
    if (!(o->l1 >= 0 && o->l2 >= 0 && o->l1 < 1e300 && o->l2 < 1e300))
        return cli_usage_error(command, "--l1 and --l2 are %g and %g: they must be numbers from 0 on", o->l1,
                               o->l2);
    return -1;
}

void cli_optimizer_free(cli_optimizer *o)
{
    cli_ints_free(&o->boundaries);
    cli_doubles_free(&o->factors);
}

void cli_optimizer_set_penalties(const cli_optimizer *o, ls_model *model)
{
    for (int64_t i = 0; i < model->n_layers; i++) {
        if (o->given[L1]) model->layers[i].l1 = o->l1;
        if (o->given[L2]) model->layers[i].l2 = o->l2;
    }
}

/* ", clipnorm 1" where it is not 0. */
static void print_number(FILE *stream, const char *name, double value)
{
    if (value != 0) fprintf(stream, ", %s %g", name, value);
}

static void print_penalties(FILE *stream, const ls_model *model)
{
    const ls_layer *first = &model->layers[0];
    bool any = false, same = true;
    for (int64_t i = 0; i < model->n_layers; i++) {
        const ls_layer *layer = &model->layers[i];
        any = any || layer->l1 != 0 || layer->l2 != 0;
        same = same && layer->l1 == first->l1 && layer->l2 == first->l2;
    }
    if (any && same)
        fprintf(stream, "penalties of the kernels: l1 %g, l2 %g\n", first->l1, first->l2);
    else if (any)
        fprintf(stream, "penalties of the kernels: as the model's file says\n");
}

void cli_print_optimizer(FILE *stream, const ls_optimizer *o, const ls_model *model)
{
    const ls_schedule *schedule = &o->schedule;
    fprintf(stream, "optimizer: %s", ls_optimizer_name(o->kind));
    print_number(stream, "momentum", o->momentum);
    if (o->nesterov) fprintf(stream, " (Nesterov)");
    print_number(stream, "rho", o->rho);
    if (o->centered) fprintf(stream, ", centered");
    print_number(stream, "beta_1", o->beta_1);
    print_number(stream, "beta_2", o->beta_2);
    print_number(stream, "weight_decay", o->weight_decay);
    print_number(stream, "clipnorm", o->clipnorm);
    print_number(stream, "global_clipnorm", o->global_clipnorm);
    print_number(stream, "clipvalue", o->clipvalue);
    fputc('\n', stream);
    print_penalties(stream, model);
    if (schedule->kind == LS_SCHEDULE_CONSTANT && schedule->warmup_steps == 0) return;
    fprintf(stream, "schedule: %s", ls_schedule_name(schedule->kind));
    if (schedule->kind == LS_SCHEDULE_COSINE)
        fprintf(stream, ", in %lld steps to %g of the learning rate", (long long)schedule->decay_steps,
                schedule->alpha);
    for (int i = 0; i < schedule->n_boundaries; i++)
        fprintf(stream, ", times %g after %lld steps", schedule->factors[i],
                (long long)schedule->boundaries[i]);
    if (ls_schedule_uses(schedule->kind, "decay_rate"))
        fprintf(stream, ", times %g every %lld steps", schedule->decay_rate,
                (long long)schedule->decay_steps);
    if (schedule->warmup_steps > 0)
        fprintf(stream, ", after a warm-up of %lld", (long long)schedule->warmup_steps);
    fputc('\n', stream);
}
