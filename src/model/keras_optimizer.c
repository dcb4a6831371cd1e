#include "model/keras_optimizer.h"

#include <math.h>
#include <string.h>

#include "model/keras_json.h"
#include "model/optimizer.h"

static const char *class_of(const json_t *description)
{
    const char *name = json_string_value(json_object_get(description, "class_name"));
    if (name && strncmp(name, "Custom>", 7) == 0) name += 7; /* of early Keras 3 and late Keras 2 */
    return name ? name : "";
}

/* The member of that name; other if it is absent or null. */
static double number_of(const json_t *config, const char *name, bool exact, double other)
{
    const json_t *value = json_object_get(config, name);
    if (ls_keras_is_null(value)) return other;
    if (!json_is_number(value)) return NAN;
    return exact ? json_number_value(value) : ls_keras_undo_float32(json_number_value(value));
}

static int64_t steps_of(const json_t *config, const char *name)
{
    const double steps = number_of(config, name, true, 0);
    return steps >= 0 && steps < 0x1p53 ? (int64_t)steps : -1;
}

/* Keras has the rates themselves; the first is what the factors multiply. */
static double parse_boundaries(const json_t *config, bool exact, ls_schedule *schedule)
{
    const json_t *boundaries = json_object_get(config, "boundaries"),
                 *values = json_object_get(config, "values");
    const size_t n = json_array_size(boundaries);
    if (n < 1 || n > LS_MAX_BOUNDARIES || json_array_size(values) != n + 1) return 0;
    double rates[LS_MAX_BOUNDARIES + 1];
    for (size_t i = 0; i <= n; i++) {
        const double value = json_number_value(json_array_get(values, i));
        rates[i] = exact ? value : ls_keras_undo_float32(value);
    }
    schedule->kind = LS_SCHEDULE_PIECEWISE;
    schedule->n_boundaries = (int)n;
    for (size_t i = 0; i < n; i++) {
        const double boundary = json_number_value(json_array_get(boundaries, i));
        schedule->boundaries[i] = boundary >= 0 && boundary < 0x1p53 ? (int64_t)boundary : -1;
        schedule->factors[i] = rates[i + 1] / rates[0];
    }
    return rates[0];
}

/* Returns the rate that the schedule begins with, 0 for one that we do not have. */
static double parse_schedule(const json_t *description, bool exact, ls_schedule *schedule)
{
    const char *class_name = class_of(description);
    const json_t *config = json_object_get(description, "config");
    const double initial = number_of(config, "initial_learning_rate", exact, 0);
    if (strcmp(class_name, "PiecewiseConstantDecay") == 0) return parse_boundaries(config, exact, schedule);
    schedule->decay_steps = steps_of(config, "decay_steps");
    if (schedule->decay_steps <= 0) return 0;
    if (strcmp(class_name, "ExponentialDecay") == 0) {
        schedule->kind =
            json_is_true(json_object_get(config, "staircase")) ? LS_SCHEDULE_STEP : LS_SCHEDULE_EXPONENTIAL;
        schedule->decay_rate = number_of(config, "decay_rate", exact, 0);
        return initial;
    }
    if (strcmp(class_name, "CosineDecay") != 0) return 0;
    schedule->kind = LS_SCHEDULE_COSINE;
    schedule->alpha = number_of(config, "alpha", exact, 0);
    if (ls_keras_is_null(json_object_get(config, "warmup_target"))) return initial;
    schedule->warmup_steps = steps_of(config, "warmup_steps");
    return initial == 0 ? number_of(config, "warmup_target", exact, 0) : 0;
}

static bool find_kind(const char *class_name, ls_optimizer_kind *kind)
{
    for (int i = 0; i < LS_N_OPTIMIZERS; i++) {
        *kind = (ls_optimizer_kind)i;
        if (strcmp(class_name, ls_optimizer_class(*kind)) == 0) return true;
    }
    return false;
}

/* Members that change what an optimizer does, and that we do not have. */
static bool has_extras(const json_t *config)
{
    return json_is_true(json_object_get(config, "amsgrad")) ||
           json_is_true(json_object_get(config, "use_ema")) ||
           !ls_keras_is_null(json_object_get(config, "gradient_accumulation_steps"));
}

void ls_keras_optimizer_parse(const json_t *description, bool exact, ls_training_config *config)
{
    const json_t *found = json_object_get(description, "config");
    ls_optimizer *optimizer = &config->optimizer;
    ls_optimizer_kind kind;
    if (!find_kind(class_of(description), &kind) || has_extras(found)) return;
    ls_optimizer_defaults(kind, optimizer);
    for (const ls_optimizer_member *m = ls_optimizer_members; m->name; m++)
        if (ls_optimizer_uses(kind, m->name))
            *ls_optimizer_number(optimizer, m) =
                number_of(found, m->name, exact, ls_optimizer_value(optimizer, m));
    optimizer->nesterov = json_is_true(json_object_get(found, "nesterov")) && optimizer->momentum != 0;
    optimizer->centered = json_is_true(json_object_get(found, "centered"));
    const json_t *rate = json_object_get(found, "learning_rate");
    if (!rate) rate = json_object_get(found, "lr"); /* early Keras 2 */
    if (json_is_object(rate)) {
        config->learning_rate = parse_schedule(rate, exact, &optimizer->schedule);
    } else {
        const double value = json_number_value(rate);
        config->learning_rate = exact ? value : ls_keras_undo_float32(value);
    }
    if (!(config->learning_rate > 0) || ls_optimizer_check(optimizer) != LS_OK) {
        config->learning_rate = 0;
        *optimizer = (ls_optimizer){0};
    }
}

static json_t *boundaries_config(const ls_schedule *schedule, double rate)
{
    json_t *boundaries = json_array(), *values = json_array();
    bool complete = json_array_append_new(values, json_real(rate)) == 0;
    for (int i = 0; i < schedule->n_boundaries; i++)
        complete = complete &&
                   json_array_append_new(boundaries, json_integer(schedule->boundaries[i])) == 0 &&
                   json_array_append_new(values, json_real(rate * schedule->factors[i])) == 0;
    json_t *config = json_pack("{s:o, s:o}", "boundaries", boundaries, "values", values);
    if (complete) return config;
    json_decref(config);
    return NULL;
}

static json_t *format_schedule(const ls_schedule *schedule, double rate)
{
    json_t *config;
    const bool cosine = schedule->kind == LS_SCHEDULE_COSINE, warms = schedule->warmup_steps > 0;
    const char *class_name = "ExponentialDecay";
    if (schedule->kind == LS_SCHEDULE_PIECEWISE) {
        config = boundaries_config(schedule, rate);
        class_name = "PiecewiseConstantDecay";
    } else if (cosine) {
        class_name = "CosineDecay";
        config = json_pack("{s:f, s:I, s:f, s:o, s:I}", "initial_learning_rate", warms ? 0.0 : rate,
                           "decay_steps", (json_int_t)schedule->decay_steps, "alpha", schedule->alpha,
                           "warmup_target", warms ? json_real(rate) : json_null(), "warmup_steps",
                           (json_int_t)schedule->warmup_steps);
    } else {
        config = json_pack("{s:f, s:I, s:f, s:b}", "initial_learning_rate", rate, "decay_steps",
                           (json_int_t)schedule->decay_steps, "decay_rate", schedule->decay_rate, "staircase",
                           schedule->kind == LS_SCHEDULE_STEP);
    }
    return json_pack("{s:s, s:s, s:o, s:n}", "module", "keras.optimizers.schedules", "class_name", class_name,
                     "config", config, "registered_name");
}

static bool set(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0;
}

/* Numbers that Keras takes as None where they are switched off. */
static bool is_optional(const ls_optimizer_member *member)
{
    return strstr(member->name, "clip") || strcmp(member->name, "weight_decay") == 0;
}

json_t *ls_keras_optimizer_format(const ls_training_config *config)
{
    const ls_optimizer *optimizer = &config->optimizer;
    const char *class_name = ls_optimizer_class(optimizer->kind);
    const bool constant = optimizer->schedule.kind == LS_SCHEDULE_CONSTANT;
    json_t *members = json_pack("{s:s, s:o}", "name", class_name, "learning_rate",
                                constant ? json_real(config->learning_rate)
                                         : format_schedule(&optimizer->schedule, config->learning_rate));
    bool complete = members != NULL;
    for (const ls_optimizer_member *m = ls_optimizer_members; m->name; m++) {
        const double value = ls_optimizer_value(optimizer, m);
        const bool wanted = ls_optimizer_uses(optimizer->kind, m->name) && (value != 0 || !is_optional(m));
        if (wanted) complete = complete && set(members, m->name, json_real(value));
    }
    if (ls_optimizer_uses(optimizer->kind, "nesterov"))
        complete = complete && set(members, "nesterov", json_boolean(optimizer->nesterov));
    if (ls_optimizer_uses(optimizer->kind, "centered"))
        complete = complete && set(members, "centered", json_boolean(optimizer->centered));
    if (ls_optimizer_uses(optimizer->kind, "beta_1"))
        complete = complete && set(members, "amsgrad", json_false());
    if (!complete) {
        json_decref(members);
        return NULL;
    }
    return json_pack("{s:s, s:o}", "class_name", class_name, "config", members);
}

bool ls_keras_penalty_parse(const json_t *description, double *l1, double *l2)
{
    const char *class_name = class_of(description);
    const json_t *config = json_object_get(description, "config");
    if (strcmp(class_name, "L1") != 0 && strcmp(class_name, "L2") != 0 && strcmp(class_name, "L1L2") != 0)
        return false;
    /* Keras' defaults. */
    *l1 = number_of(config, "l1", false, strcmp(class_name, "L1") == 0 ? 0.01 : 0);
    *l2 = number_of(config, "l2", false, strcmp(class_name, "L2") == 0 ? 0.01 : 0);
    return *l1 >= 0 && *l2 >= 0 && isfinite(*l1) && isfinite(*l2);
}

json_t *ls_keras_penalty_format(double l1, double l2)
{
    if (l2 == 0) return json_pack("{s:s, s:{s:f}}", "class_name", "L1", "config", "l1", l1);
    if (l1 == 0) return json_pack("{s:s, s:{s:f}}", "class_name", "L2", "config", "l2", l2);
    return json_pack("{s:s, s:{s:f, s:f}}", "class_name", "L1L2", "config", "l1", l1, "l2", l2);
}
