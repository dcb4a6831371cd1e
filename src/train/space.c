#include "train/space.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "random/philox.h"

typedef enum value_kind {
    INT,  /* int64_t */
    REAL, /* double */
    WORD, /* what parse makes of it */
    LIST  /* of units: n_hidden and hidden */
} value_kind;

typedef struct hyperparameter {
    const char *name;
    value_kind kind;
    size_t field;            /* offset in ls_trial */
    double minimum, maximum; /* INT, REAL; of the items of a LIST */
    ls_status (*parse)(const char *word, ls_trial *trial);
} hyperparameter;

static ls_status parse_activation(const char *word, ls_trial *trial)
{
    return ls_activation_parse(word, &trial->network.activation);
}

static ls_status parse_initializer(const char *word, ls_trial *trial)
{
    return ls_initializer_parse(word, &trial->initializer);
}

/* Keras' defaults of that one, but the schedule and the clipping that the user has chosen. */
static ls_status parse_optimizer(const char *word, ls_trial *trial)
{
    const ls_optimizer chosen = trial->train.optimizer;
    ls_optimizer_kind kind;
    LS_TRY(ls_optimizer_parse(word, &kind));
    if (kind == chosen.kind) return LS_OK;
    ls_optimizer *optimizer = &trial->train.optimizer;
    ls_optimizer_defaults(kind, optimizer);
    optimizer->schedule = chosen.schedule;
    optimizer->clipnorm = chosen.clipnorm;
    optimizer->global_clipnorm = chosen.global_clipnorm;
    optimizer->clipvalue = chosen.clipvalue;
    return LS_OK;
}

#define FIELD(name) offsetof(ls_trial, name)
#define MOST        0x1p53 /* whole numbers up to there are exact in JSON's numbers */

/* Everything that can be varied. New lines go to the end: the number of a line is part of what a seed means.
 */
static const hyperparameter table[] = {
    {"layers", INT, FIELD(network.n_hidden), 0, LS_TRIAL_MAX_LAYERS, NULL},
    {"units", INT, FIELD(hidden), 1, INT32_MAX, NULL},
    {"hidden", LIST, 0, 1, INT32_MAX, NULL},
    {"activation", WORD, 0, 0, 0, parse_activation},
    {"learning_rate", REAL, FIELD(train.learning_rate), DBL_MIN, DBL_MAX, NULL},
    {"batch_size", INT, FIELD(train.batch_size), 1, MOST, NULL},
    {"epochs", INT, FIELD(train.epochs), 1, MOST, NULL},
    {"seed", INT, FIELD(seed), 0, MOST, NULL},
    {"optimizer", WORD, 0, 0, 0, parse_optimizer}, /* before what belongs to it */
    {"momentum", REAL, FIELD(train.optimizer.momentum), 0, 1, NULL},
    {"rho", REAL, FIELD(train.optimizer.rho), 0, 1, NULL},
    {"beta_1", REAL, FIELD(train.optimizer.beta_1), 0, 1, NULL},
    {"beta_2", REAL, FIELD(train.optimizer.beta_2), 0, 1, NULL},
    {"epsilon", REAL, FIELD(train.optimizer.epsilon), 0, DBL_MAX, NULL},
    {"weight_decay", REAL, FIELD(train.optimizer.weight_decay), 0, DBL_MAX, NULL},
    {"clipnorm", REAL, FIELD(train.optimizer.clipnorm), 0, DBL_MAX, NULL},
    {"l1", REAL, FIELD(l1), 0, DBL_MAX, NULL},
    {"l2", REAL, FIELD(l2), 0, DBL_MAX, NULL},
    {"dropout", REAL, FIELD(network.dropout), 0, 1, NULL},
    {"label_smoothing", REAL, FIELD(network.label_smoothing), 0, 1, NULL},
    {"initializer", WORD, 0, 0, 0, parse_initializer},
};
enum { LAYERS, UNITS, HIDDEN, N_HYPERPARAMETERS = sizeof table / sizeof table[0] };

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
    space_axis axes[N_HYPERPARAMETERS];
    space_axis units;
};

static const space_axis *find_axis(const ls_space *space, int number)
{
    if (number == UNITS && space->units.number >= 0) return &space->units;
    for (int i = 0; i < space->n_axes; i++)
        if (space->axes[i].number == number) return &space->axes[i];
    return NULL;
}

static ls_status no_memory(void)
{
    return ls_fail(LS_E_MEMORY, "search space: no memory");
}

/* ---- one value ---- */

static ls_status set_number(const hyperparameter *of, const json_t *value, void *field)
{
    const double number = json_number_value(value);
    if (!json_is_number(value) || (of->kind == INT && number != floor(number)))
        return ls_fail(LS_E_INPUT, "%s: must be a %snumber", of->name, of->kind == REAL ? "" : "whole ");
    if (!(number >= of->minimum && number <= of->maximum))
        return ls_fail(LS_E_INPUT, "%s: %g is not within %g .. %g", of->name, number, of->minimum,
                       of->maximum);
    if (of->kind == REAL) {
        *(double *)field = number;
    } else {
        *(int64_t *)field = (int64_t)number;
    }
    return LS_OK;
}

static ls_status set_list(const hyperparameter *of, const json_t *value, ls_trial *trial)
{
    const hyperparameter item = {of->name, INT, 0, of->minimum, of->maximum, NULL};
    const size_t n = json_array_size(value);
    if (!json_is_array(value) || n > LS_TRIAL_MAX_LAYERS)
        return ls_fail(LS_E_INPUT, "%s: must be lists of at most %d numbers of units, like [[2, 2], [16]]",
                       of->name, LS_TRIAL_MAX_LAYERS);
    trial->network.n_hidden = (int64_t)n;
    for (size_t i = 0; i < n; i++) LS_TRY(set_number(&item, json_array_get(value, i), &trial->hidden[i]));
    return LS_OK;
}

static ls_status set(const hyperparameter *of, const json_t *value, ls_trial *trial)
{
    switch (of->kind) {
    case LIST:
        return set_list(of, value, trial);
    case WORD:
        if (!json_is_string(value)) return ls_fail(LS_E_INPUT, "%s: must be a word", of->name);
        return of->parse(json_string_value(value), trial) == LS_OK
                   ? LS_OK
                   : ls_fail(LS_E_INPUT, "%s", ls_error_message());
    case INT:
    case REAL:
        break;
    }
    return set_number(of, value, (char *)trial + of->field);
}

/* ---- reading the file ---- */

static ls_status read_number(const hyperparameter *of, const json_t *range, const char *key, double *number)
{
    ls_trial unused = {0};
    const json_t *value = json_object_get(range, key);
    LS_TRY(set(of, value, &unused));
    *number = json_number_value(value);
    return LS_OK;
}

static int64_t count_range(const space_axis *axis, value_kind kind)
{
    if (axis->step == 0) return kind == INT ? (int64_t)(axis->max - axis->min) + 1 : 0;
    /* A little more than max, for steps like 0.1 are not what they seem. */
    const double most = axis->max * (1 + 1e-9);
    int64_t n = 0;
    if (!axis->is_log) return (int64_t)((axis->max - axis->min) / axis->step + 1e-9) + 1;
    for (double value = axis->min; value <= most; value *= axis->step) n++;
    return n;
}

static ls_status parse_range(const json_t *range, space_axis *axis)
{
    const hyperparameter *of = &table[axis->number];
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
    if (of->kind != INT && of->kind != REAL)
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
    if (has_step && of->kind == INT && axis->step != floor(axis->step))
        return ls_fail(LS_E_INPUT, "%s: step must be a whole number", of->name);
    axis->n = count_range(axis, of->kind);
    return LS_OK;
}

static ls_status parse_values(ls_space *space, json_t *value, space_axis *axis)
{
    const hyperparameter *of = &table[axis->number];
    ls_trial unused = {0};
    /* A list of units is one value. */
    if (json_is_array(value) && (of->kind != LIST || json_is_array(json_array_get(value, 0)))) {
        axis->values = value;
    } else {
        axis->values = json_pack("[O]", value);
        if (!axis->values || json_array_append_new(space->fixed, axis->values) != 0) return no_memory();
    }
    axis->n = (int64_t)json_array_size(axis->values);
    if (axis->n == 0) return ls_fail(LS_E_INPUT, "%s: the list of values is empty", of->name);
    for (size_t i = 0; i < (size_t)axis->n; i++) LS_TRY(set(of, json_array_get(axis->values, i), &unused));
    return LS_OK;
}

static ls_status parse_axis(ls_space *space, const char *name, json_t *value, space_axis *axis)
{
    char known[512] = "";
    axis->number = -1;
    for (int i = 0; i < N_HYPERPARAMETERS; i++) {
        const size_t used = strlen(known);
        if (!strcmp(name, table[i].name)) axis->number = i;
        snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "", table[i].name);
    }
    if (axis->number < 0)
        return ls_fail(LS_E_INPUT, "'%.100s' is no hyperparameter: it can be one of %s", name, known);
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
        const bool is_units = !strcmp(name, table[UNITS].name);
        LS_TRY(parse_axis(space, name, value, is_units ? &space->units : &space->axes[space->n_axes]));
        space->n_axes += !is_units;
    }
    const bool has_layers = find_axis(space, LAYERS), has_units = find_axis(space, UNITS);
    if (has_layers != has_units)
        return ls_fail(LS_E_INPUT, "%s needs %s: how many layers, and how many units each of them has",
                       table[has_layers ? LAYERS : UNITS].name, table[has_layers ? UNITS : LAYERS].name);
    if (has_layers && find_axis(space, HIDDEN))
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
    return table[number == LAYERS ? HIDDEN : number].name;
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
    if (table[axis->number].kind == INT) return json_integer((json_int_t)value);
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
    if (axis->number != LAYERS) return axis->n;
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
                space->file, table[axis->number].name, axis->min, axis->max);
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
    int64_t places[N_HYPERPARAMETERS];
    for (int a = space->n_axes - 1; a >= 0; a--) {
        const int64_t n = count_axis(space, &space->axes[a]);
        places[a] = i % n;
        i /= n;
    }
    json_t *values = json_object();
    for (int a = 0; a < space->n_axes; a++) {
        const space_axis *axis = &space->axes[a];
        json_t *value = axis->number == LAYERS ? units_at(space, axis, places[a]) : value_of(axis, places[a]);
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
    const bool is_int = table[axis->number].kind == INT;
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
        if (axis->number == LAYERS) {
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

/* What another optimizer of the space has and this one has not is left alone. */
static bool is_used(const hyperparameter *of, const ls_trial *trial)
{
    const size_t begin = FIELD(train.optimizer), end = begin + sizeof trial->train.optimizer;
    return of->kind != REAL || of->field < begin || of->field >= end ||
           ls_optimizer_uses(trial->train.optimizer.kind, of->name);
}

ls_status ls_space_settings(const ls_space *space, const json_t *values, ls_trial *trial)
{
    *trial = space->base;
    for (int i = 0; i < N_HYPERPARAMETERS; i++) {
        const json_t *value = json_object_get(values, table[i].name);
        if (value && is_used(&table[i], trial)) LS_TRY(set(&table[i], value, trial));
    }
    return LS_OK;
}
