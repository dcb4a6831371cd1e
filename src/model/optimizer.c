#include "model/optimizer.h"

#include <math.h>
#include <string.h>

#include "base/fail.h"

static const struct {
    const char *name, *class_name;
    double rate;
} kinds[] = {
#define LS_OPTIMIZER_ROW(name, text, class_name, rate) [name] = {text, class_name, rate},
    LS_OPTIMIZER_LIST(LS_OPTIMIZER_ROW)
#undef LS_OPTIMIZER_ROW
};

#define MEMBER(name) #name, offsetof(ls_optimizer, name)
const ls_optimizer_member ls_optimizer_members[] = {
    /*                                     sgd  rmsprop adagrad adam adamw */
    {MEMBER(momentum), {0, 0, NAN, NAN, NAN}, 0, 1},
    {MEMBER(rho), {NAN, 0.9, NAN, NAN, NAN}, 0, 1},
    {MEMBER(beta_1), {NAN, NAN, NAN, 0.9, 0.9}, 0, 1},
    {MEMBER(beta_2), {NAN, NAN, NAN, 0.999, 0.999}, 0, 1},
    {MEMBER(epsilon), {NAN, 1e-7, 1e-7, 1e-7, 1e-7}, 0, INFINITY},
    {MEMBER(initial_accumulator_value), {NAN, NAN, 0.1, NAN, NAN}, 0, INFINITY},
    {MEMBER(weight_decay), {0, 0, 0, 0, 0.004}, 0, INFINITY},
    {MEMBER(clipnorm), {0, 0, 0, 0, 0}, 0, INFINITY},
    {MEMBER(global_clipnorm), {0, 0, 0, 0, 0}, 0, INFINITY},
    {MEMBER(clipvalue), {0, 0, 0, 0, 0}, 0, INFINITY},
    {NULL},
};

const char *ls_optimizer_name(ls_optimizer_kind kind)
{
    return kinds[kind].name;
}

const char *ls_optimizer_class(ls_optimizer_kind kind)
{
    return kinds[kind].class_name;
}

double ls_optimizer_default_rate(ls_optimizer_kind kind)
{
    return kinds[kind].rate;
}

ls_status ls_optimizer_parse(const char *name, ls_optimizer_kind *kind)
{
    char known[128] = "";
    for (int i = 0; i < LS_N_OPTIMIZERS; i++) {
        *kind = (ls_optimizer_kind)i;
        if (strcmp(name, kinds[i].name) == 0) return LS_OK;
        ls_list_name(known, sizeof known, kinds[i].name);
    }
    return ls_fail(LS_E_USAGE, "optimizer '%s' is unknown: choose one of %s", name, known);
}

void ls_optimizer_defaults(ls_optimizer_kind kind, ls_optimizer *optimizer)
{
    *optimizer = (ls_optimizer){.kind = kind};
    for (const ls_optimizer_member *m = ls_optimizer_members; m->name; m++)
        if (!isnan(m->defaults[kind])) *ls_optimizer_number(optimizer, m) = m->defaults[kind];
}

bool ls_optimizer_uses(ls_optimizer_kind kind, const char *name)
{
    if (strcmp(name, "nesterov") == 0) return kind == LS_SGD;
    if (strcmp(name, "centered") == 0) return kind == LS_RMSPROP;
    for (const ls_optimizer_member *m = ls_optimizer_members; m->name; m++)
        if (strcmp(name, m->name) == 0) return !isnan(m->defaults[kind]);
    return false;
}

const char *ls_schedule_name(ls_schedule_kind kind)
{
    static const char *const names[] = {"constant", "step", "exponential", "cosine", "piecewise"};
    return names[kind];
}

bool ls_schedule_uses(ls_schedule_kind kind, const char *name)
{
    if (strcmp(name, "decay_steps") == 0)
        return kind != LS_SCHEDULE_CONSTANT && kind != LS_SCHEDULE_PIECEWISE;
    if (strcmp(name, "decay_rate") == 0) return kind == LS_SCHEDULE_STEP || kind == LS_SCHEDULE_EXPONENTIAL;
    if (strcmp(name, "alpha") == 0) return kind == LS_SCHEDULE_COSINE;
    if (strcmp(name, "boundaries") == 0 || strcmp(name, "factors") == 0) return kind == LS_SCHEDULE_PIECEWISE;
    return strcmp(name, "warmup_steps") == 0;
}

static ls_status check_members(const ls_optimizer *optimizer)
{
    const char *name = ls_optimizer_name(optimizer->kind);
    for (const ls_optimizer_member *m = ls_optimizer_members; m->name; m++) {
        const double value = ls_optimizer_value(optimizer, m);
        if (isnan(m->defaults[optimizer->kind])) {
            if (value != 0) return ls_fail(LS_E_USAGE, "optimizer %s has no %s", name, m->name);
        } else if (!(value >= m->least && value < m->below &&
                     (isinf(m->below) || ls_as_keras_casts(value) < 1))) {
            return ls_fail(LS_E_USAGE, "%s is %g: %s needs a number from %g on%s", m->name, value, name,
                           m->least, isinf(m->below) ? "" : " below 1");
        }
    }
    if (optimizer->nesterov && !ls_optimizer_uses(optimizer->kind, "nesterov"))
        return ls_fail(LS_E_USAGE, "optimizer %s has no nesterov", name);
    if (optimizer->centered && !ls_optimizer_uses(optimizer->kind, "centered"))
        return ls_fail(LS_E_USAGE, "optimizer %s has no centered", name);
    if (optimizer->nesterov && optimizer->momentum == 0)
        return ls_fail(LS_E_USAGE, "nesterov needs momentum: give it, for example 0.9");
    return LS_OK;
}

static ls_status check_boundaries(const ls_schedule *schedule)
{
    const int n = schedule->n_boundaries;
    if (schedule->kind == LS_SCHEDULE_PIECEWISE && !(n > 0 && n <= LS_MAX_BOUNDARIES))
        return ls_fail(LS_E_USAGE, "schedule piecewise needs 1 to %d boundaries, and a factor for each",
                       LS_MAX_BOUNDARIES);
    for (int i = 0; i < n; i++) {
        if (schedule->boundaries[i] < 0 || (i > 0 && schedule->boundaries[i] <= schedule->boundaries[i - 1]))
            return ls_fail(LS_E_USAGE, "boundary %lld: boundaries are numbers of steps that rise",
                           (long long)schedule->boundaries[i]);
        if (!(schedule->factors[i] >= 0 && isfinite(schedule->factors[i])))
            return ls_fail(LS_E_USAGE, "factor %g: factors are numbers from 0 on", schedule->factors[i]);
    }
    return LS_OK;
}

static ls_status check_schedule(const ls_schedule *schedule)
{
    const char *name = ls_schedule_name(schedule->kind);
    if (schedule->decay_steps < 0 || schedule->warmup_steps < 0)
        return ls_fail(LS_E_USAGE,
                       "decay_steps and warmup_steps are %lld and %lld: they must not be negative",
                       (long long)schedule->decay_steps, (long long)schedule->warmup_steps);
    const struct {
        const char *name;
        bool set;
    } members[] = {{"decay_steps", schedule->decay_steps != 0},
                   {"decay_rate", schedule->decay_rate != 0},
                   {"alpha", schedule->alpha != 0},
                   {"boundaries", schedule->n_boundaries != 0}};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (members[i].set && !ls_schedule_uses(schedule->kind, members[i].name))
            return ls_fail(LS_E_USAGE, "schedule %s has no %s", name, members[i].name);
    if (ls_schedule_uses(schedule->kind, "decay_rate") &&
        !(schedule->decay_rate > 0 && schedule->decay_rate <= 1))
        return ls_fail(LS_E_USAGE, "decay_rate is %g: schedule %s needs a number above 0 up to 1",
                       schedule->decay_rate, name);
    if (!(schedule->alpha >= 0 && schedule->alpha <= 1))
        return ls_fail(LS_E_USAGE, "alpha is %g: it must be a number from 0 to 1", schedule->alpha);
    if (schedule->kind == LS_SCHEDULE_STEP && schedule->decay_steps == 0)
        return ls_fail(LS_E_USAGE, "schedule step needs decay_steps, after which the rate is multiplied");
    return check_boundaries(schedule);
}

ls_status ls_optimizer_check(const ls_optimizer *optimizer)
{
    LS_TRY(check_members(optimizer));
    if ((optimizer->clipnorm != 0) + (optimizer->global_clipnorm != 0) + (optimizer->clipvalue != 0) > 1)
        return ls_fail(LS_E_USAGE, "give only one of clipnorm, global_clipnorm and clipvalue");
    return check_schedule(&optimizer->schedule);
}

int ls_optimizer_n_slots(const ls_optimizer *optimizer)
{
    switch (optimizer->kind) {
    case LS_SGD:
        return optimizer->momentum != 0;
    case LS_RMSPROP:
        return 1 + (optimizer->momentum != 0) + optimizer->centered;
    case LS_ADAGRAD:
        return 1;
    case LS_ADAM:
    case LS_ADAMW:
        return 2;
    }
    return 0;
}
