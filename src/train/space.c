#include "train/space.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "random/philox.h"

/* The values of one hyperparameter. */
typedef struct space_axis {
    int number;     /* line in the table, -1 if the space does not have it */
    json_t *values; /* a list, borrowed; or NULL for a range: */
    double min, max, step;
    bool is_log;
    int64_t n; /* different values; 0 for any number between min and max */
} space_axis;

struct ls_space {
    const char *file;
    json_t *root;
    json_t *fixed; /* lists that stand for single values; they own what their axes borrow */
    ls_trial base;
    int n_axes; /* in the order of the file; layers stands for itself and units */
    space_axis axes[LS_N_HYPERPARAMETERS];
    space_axis units;
};

static const space_axis *find_axis(const ls_space *space, int number)
{
    if (number == LS_HYPERPARAMETER_UNITS && space->units.number >= 0) return &space->units;
    for (int i = 0; i < space->n_axes; i++)
        if (space->axes[i].number == number) return &space->axes[i];
    return NULL;
}

static ls_status no_memory(void)
{
    return ls_fail(LS_E_MEMORY, "search space: no memory");
}

/* ---- reading the file ---- */

static ls_status read_number(const ls_hyperparameter *of, const json_t *range, const char *key,
                             double *number)
{
    ls_trial unused = {0};
    const json_t *value = json_object_get(range, key);
    LS_TRY(ls_hyperparameter_set(of, value, &unused));
    *number = json_number_value(value);
    return LS_OK;
}

static int64_t count_range(const space_axis *axis, ls_value_kind kind)
{
    if (axis->step == 0) return kind == LS_VALUE_INT ? (int64_t)(axis->max - axis->min) + 1 : 0;
    /* A little more than max, for steps like 0.1 are not what they seem. */
    const double most = axis->max * (1 + 1e-9);
    int64_t n = 0;
    if (!axis->is_log) return (int64_t)((axis->max - axis->min) / axis->step + 1e-9) + 1;
    for (double value = axis->min; value <= most; value *= axis->step) n++;
    return n;
}

static ls_status parse_range(const json_t *range, space_axis *axis)
{
    const ls_hyperparameter *of = &ls_hyperparameters[axis->number];
    const char *key, *sampling = "linear";
    json_t *value;
    json_object_foreach((json_t *)range, key, value)
    {
        if (!strcmp(key, "sampling")) {
            sampling = json_is_string(value) ? json_string_value(value) : "";
        } else if (!strcmp(key, "step")) {
            axis->step = json_is_number(value) ? json_number_value(value) : -1;
        } else if (strcmp(key, "min") != 0 && strcmp(key, "max") != 0) {
            return ls_fail(LS_E_INPUT, "%s: '%s' is unknown: a range has min, max, step, sampling", of->name,
                           key);
        }
    }
    if (of->kind != LS_VALUE_INT && of->kind != LS_VALUE_REAL)
        return ls_fail(LS_E_INPUT, "%s: has no ranges: give a list of values", of->name);
    if (!json_object_get(range, "min") || !json_object_get(range, "max"))
        return ls_fail(LS_E_INPUT, "%s: a range needs min and max", of->name);
    LS_TRY(read_number(of, range, "min", &axis->min));
    LS_TRY(read_number(of, range, "max", &axis->max));
    axis->is_log = !strcmp(sampling, "log");
    if (!axis->is_log && strcmp(sampling, "linear") != 0)
        return ls_fail(LS_E_INPUT, "%s: sampling must be linear or log", of->name);
    if (axis->min > axis->max)
        return ls_fail(LS_E_INPUT, "%s: min %g is above max %g", of->name, axis->min, axis->max);
    if (axis->is_log && axis->min <= 0)
        return ls_fail(LS_E_INPUT, "%s: sampling on a log scale needs a min above 0", of->name);
    const bool has_step = json_object_get(range, "step");
    if (has_step && (!(axis->step > (axis->is_log ? 1 : 0)) || !isfinite(axis->step)))
        return ls_fail(LS_E_INPUT, "%s: step must be a number above %d", of->name, axis->is_log);
    if (has_step && of->kind == LS_VALUE_INT && axis->step != floor(axis->step))
        return ls_fail(LS_E_INPUT, "%s: step must be a whole number", of->name);
    axis->n = count_range(axis, of->kind);
    return LS_OK;
}

static ls_status parse_values(ls_space *space, json_t *value, space_axis *axis)
{
    const ls_hyperparameter *of = &ls_hyperparameters[axis->number];
    ls_trial unused = {0};
    /* A list of units is one value. */
    if (json_is_array(value) && (of->kind != LS_VALUE_LIST || json_is_array(json_array_get(value, 0)))) {
        axis->values = value;
    } else {
        axis->values = json_pack("[O]", value);
        if (!axis->values || json_array_append_new(space->fixed, axis->values) != 0) return no_memory();
    }
    axis->n = (int64_t)json_array_size(axis->values);
    if (axis->n == 0) return ls_fail(LS_E_INPUT, "%s: the list of values is empty", of->name);
    for (size_t i = 0; i < (size_t)axis->n; i++)
        LS_TRY(ls_hyperparameter_set(of, json_array_get(axis->values, i), &unused));
    return LS_OK;
}

static ls_status parse_axis(ls_space *space, const char *name, json_t *value, space_axis *axis)
{
    LS_TRY(ls_hyperparameter_find(name, &axis->number));
    return json_is_object(value) ? parse_range(value, axis) : parse_values(space, value, axis);
}

static ls_status parse(ls_space *space)
{
    const char *name;
    json_t *value;
    if (!json_is_object(space->root))
        return ls_fail(LS_E_INPUT, "must be a JSON object, like {\"learning_rate\": [0.01, 0.1]}");
    json_object_foreach(space->root, name, value)
    {
        const bool is_units = !strcmp(name, "units");
        LS_TRY(parse_axis(space, name, value, is_units ? &space->units : &space->axes[space->n_axes]));
        space->n_axes += !is_units;
    }
    const bool has_layers = find_axis(space, LS_HYPERPARAMETER_LAYERS),
               has_units = find_axis(space, LS_HYPERPARAMETER_UNITS);
    if (has_layers != has_units)
        return ls_fail(LS_E_INPUT, "%s needs %s: how many layers, and how many units each of them has",
                       has_layers ? "layers" : "units", has_layers ? "units" : "layers");
    if (has_layers && find_axis(space, LS_HYPERPARAMETER_HIDDEN))
        return ls_fail(LS_E_INPUT, "hidden and layers both say what the hidden layers are: leave one out");
    return LS_OK;
}

ls_status ls_space_parse(const char *file, const char *text, const ls_trial *base, ls_space **result)
{
    ls_space *space;
    json_error_t error;
    *result = NULL;
    LS_TRY(ls_alloc(&space, 1, sizeof *space, "search space"));
    space->file = file;
    space->base = *base;
    space->units.number = -1;
    space->fixed = json_array();
    space->root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    ls_status status = LS_OK;
    if (!space->fixed) {
        status = no_memory();
    } else if (!space->root) {
        status = ls_fail(LS_E_INPUT, "%s: line %d: not JSON: %s", file, error.line, error.text);
    } else {
        status = parse(space);
        if (status == LS_E_INPUT) {
            char message[LS_MESSAGE_SIZE];
            snprintf(message, sizeof message, "%s", ls_error_message());
            status = ls_fail(status, "%s: %s", file, message);
        }
    }
    if (status != LS_OK) {
        ls_space_destroy(space);
        return status;
    }
    *result = space;
    return LS_OK;
}

void ls_space_destroy(ls_space *space)
{
    if (!space) return;
    json_decref(space->root);
    json_decref(space->fixed);
    ls_free(space);
}

/* ---- what it has ---- */

int ls_space_n_names(const ls_space *space)
{
    return space->n_axes;
}

const char *ls_space_name(const ls_space *space, int i)
{
    const int number = space->axes[i].number;
    return ls_hyperparameters[number == LS_HYPERPARAMETER_LAYERS ? LS_HYPERPARAMETER_HIDDEN : number].name;
}

bool ls_space_varies(const ls_space *space, const char *name)
{
    for (int i = 0; i < space->n_axes; i++)
        if (!strcmp(ls_space_name(space, i), name)) return true;
    return false;
}

/* A number of a range as the user sees it: its digits do not tell which libm has made it. */
static json_t *number(const space_axis *axis, double value)
{
    char text[32];
    if (ls_hyperparameters[axis->number].kind == LS_VALUE_INT) return json_integer((json_int_t)value);
    snprintf(text, sizeof text, "%.6g", value);
    return json_real(strtod(text, NULL));
}

/* The new value number i of an axis. */
static json_t *value_of(const space_axis *axis, int64_t i)
{
    if (axis->values) return json_incref(json_array_get(axis->values, (size_t)i));
    if (axis->step == 0) return number(axis, axis->min + (double)i);
    if (!axis->is_log) return number(axis, axis->min + (double)i * axis->step);
    double value = axis->min;
    for (; i > 0; i--) value *= axis->step;
    return number(axis, value);
}

static int64_t layers_of(const space_axis *layers, int64_t i)
{
    json_t *value = value_of(layers, i);
    const int64_t n = (int64_t)json_number_value(value);
    json_decref(value);
    return n;
}

static int64_t product(int64_t a, int64_t b)
{
    int64_t c;
    return __builtin_mul_overflow(a, b, &c) ? INT64_MAX : c;
}

/* Different values of axis i; of layers: with all the units that they can have. */
static int64_t count_axis(const ls_space *space, const space_axis *axis)
{
    int64_t n = 0;
    if (axis->number != LS_HYPERPARAMETER_LAYERS) return axis->n;
    for (int64_t i = 0; i < axis->n; i++) {
        int64_t of_units = 1;
        for (int64_t k = layers_of(axis, i); k > 0; k--) of_units = product(of_units, space->units.n);
        if (__builtin_add_overflow(n, of_units, &n)) return INT64_MAX;
    }
    return n;
}

ls_status ls_space_count(const ls_space *space, int64_t *n)
{
    *n = 1;
    for (int i = 0; i < space->n_axes; i++) {
        const space_axis *axis = &space->axes[i];
        if (axis->n == 0)
            return ls_fail(
                LS_E_INPUT,
                "%s: %s: takes any number from %g to %g, which no grid has: give a step, or a list "
                "of values",
                space->file, ls_hyperparameters[axis->number].name, axis->min, axis->max);
        *n = product(*n, count_axis(space, axis));
    }
    return LS_OK;
}

/* The units of all layers as value number i of them. */
static json_t *units_at(const ls_space *space, const space_axis *layers, int64_t i)
{
    int64_t which = 0, n_layers = 0;
    for (;; which++) {
        int64_t n = 1;
        n_layers = layers_of(layers, which);
        for (int64_t k = 0; k < n_layers; k++) n = product(n, space->units.n);
        if (i < n) break;
        i -= n;
    }
    json_t *list = json_array();
    for (int64_t k = 0; k < n_layers; k++) {
        json_array_insert_new(list, 0, value_of(&space->units, i % space->units.n));
        i /= space->units.n;
    }
    return list;
}

static ls_status complete(const ls_space *space, json_t *values, json_t **result)
{
    *result = NULL;
    if (json_object_size(values) == (size_t)space->n_axes) {
        *result = values;
        return LS_OK;
    }
    json_decref(values);
    return no_memory();
}

ls_status ls_space_point(const ls_space *space, int64_t i, json_t **result)
{
    int64_t places[LS_N_HYPERPARAMETERS];
    for (int a = space->n_axes - 1; a >= 0; a--) {
        const int64_t n = count_axis(space, &space->axes[a]);
        places[a] = i % n;
        i /= n;
    }
    json_t *values = json_object();
    for (int a = 0; a < space->n_axes; a++) {
        const space_axis *axis = &space->axes[a];
        json_t *value = axis->number == LS_HYPERPARAMETER_LAYERS ? units_at(space, axis, places[a])
                                                                 : value_of(axis, places[a]);
        json_object_set_new(values, ls_space_name(space, a), value);
    }
    return complete(space, values, result);
}

/* ---- drawing ---- */

/* Which of the draws of a trial: a line of the table, and for units the layer. */
static double uniform(uint64_t seed, uint64_t index, const space_axis *axis, int64_t layer)
{
    uint32_t words[4];
    ls_philox(seed, LS_STREAM_TRIALS, (uint32_t)(axis->number + LS_TRIAL_DRAWS * layer), index, words);
    return ls_uniform53(words[0], words[1]);
}

static json_t *draw(uint64_t seed, uint64_t index, const space_axis *axis, int64_t layer)
{
    const double u = uniform(seed, index, axis, layer);
    const bool is_int = ls_hyperparameters[axis->number].kind == LS_VALUE_INT;
    if (axis->n > 0 && !(axis->is_log && axis->step == 0))
        return value_of(axis, (int64_t)(u * (double)axis->n));
    if (!axis->is_log) return number(axis, axis->min + u * (axis->max - axis->min));
    /* Of whole numbers each has the room up to the next one. */
    double value = axis->min * exp(u * log((axis->max + is_int) / axis->min));
    if (is_int) value = floor(value);
    return number(axis, value < axis->max ? value : axis->max);
}

ls_status ls_space_draw(const ls_space *space, uint64_t seed, uint64_t index, json_t **result)
{
    json_t *values = json_object();
    for (int a = 0; a < space->n_axes; a++) {
        const space_axis *axis = &space->axes[a];
        json_t *value = draw(seed, index, axis, 0);
        if (axis->number == LS_HYPERPARAMETER_LAYERS) {
            const int64_t n_layers = (int64_t)json_number_value(value);
            json_decref(value);
            value = json_array();
            for (int64_t k = 0; k < n_layers; k++)
                json_array_append_new(value, draw(seed, index, &space->units, k));
        }
        json_object_set_new(values, ls_space_name(space, a), value);
    }
    return complete(space, values, result);
}

ls_status ls_space_settings(const ls_space *space, const json_t *values, ls_trial *trial)
{
    *trial = space->base;
    for (int i = 0; i < LS_N_HYPERPARAMETERS; i++) {
        const json_t *value = json_object_get(values, ls_hyperparameters[i].name);
        if (value && ls_hyperparameter_applies(&ls_hyperparameters[i], trial))
            LS_TRY(ls_hyperparameter_set(&ls_hyperparameters[i], value, trial));
    }
    return LS_OK;
}
