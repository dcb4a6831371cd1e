#include "train/hyperparameters.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/fail.h"

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
const ls_hyperparameter ls_hyperparameters[] = {
    {"layers", LS_VALUE_INT, FIELD(network.n_hidden), 0, LS_TRIAL_MAX_LAYERS, NULL},
    {"units", LS_VALUE_INT, FIELD(hidden), 1, INT32_MAX, NULL},
    {"hidden", LS_VALUE_LIST, 0, 1, INT32_MAX, NULL},
    {"activation", LS_VALUE_WORD, 0, 0, 0, parse_activation},
    {"learning_rate", LS_VALUE_REAL, FIELD(train.learning_rate), DBL_MIN, DBL_MAX, NULL},
    {"batch_size", LS_VALUE_INT, FIELD(train.batch_size), 1, MOST, NULL},
    {"epochs", LS_VALUE_INT, FIELD(train.epochs), 1, MOST, NULL},
    {"seed", LS_VALUE_INT, FIELD(seed), 0, MOST, NULL},
    {"optimizer", LS_VALUE_WORD, 0, 0, 0, parse_optimizer}, /* before what belongs to it */
    {"momentum", LS_VALUE_REAL, FIELD(train.optimizer.momentum), 0, 1, NULL},
    {"rho", LS_VALUE_REAL, FIELD(train.optimizer.rho), 0, 1, NULL},
    {"beta_1", LS_VALUE_REAL, FIELD(train.optimizer.beta_1), 0, 1, NULL},
    {"beta_2", LS_VALUE_REAL, FIELD(train.optimizer.beta_2), 0, 1, NULL},
    {"epsilon", LS_VALUE_REAL, FIELD(train.optimizer.epsilon), 0, DBL_MAX, NULL},
    {"weight_decay", LS_VALUE_REAL, FIELD(train.optimizer.weight_decay), 0, DBL_MAX, NULL},
    {"clipnorm", LS_VALUE_REAL, FIELD(train.optimizer.clipnorm), 0, DBL_MAX, NULL},
    {"l1", LS_VALUE_REAL, FIELD(l1), 0, DBL_MAX, NULL},
    {"l2", LS_VALUE_REAL, FIELD(l2), 0, DBL_MAX, NULL},
    {"dropout", LS_VALUE_REAL, FIELD(network.dropout), 0, 1, NULL},
    {"label_smoothing", LS_VALUE_REAL, FIELD(network.label_smoothing), 0, 1, NULL},
    {"initializer", LS_VALUE_WORD, 0, 0, 0, parse_initializer},
};
_Static_assert(sizeof ls_hyperparameters / sizeof ls_hyperparameters[0] == LS_N_HYPERPARAMETERS,
               "LS_N_HYPERPARAMETERS in hyperparameters.h is the number of lines here");

ls_status ls_hyperparameter_find(const char *name, int *number)
{
    char known[512] = "";
    for (int i = 0; i < LS_N_HYPERPARAMETERS; i++) {
        *number = i;
        if (strcmp(name, ls_hyperparameters[i].name) == 0) return LS_OK;
        ls_list_name(known, sizeof known, ls_hyperparameters[i].name);
    }
    return ls_fail(LS_E_INPUT, "'%.100s' is no hyperparameter: it can be one of %s", name, known);
}

static ls_status set_number(const ls_hyperparameter *of, const json_t *value, void *field)
{
    const double number = json_number_value(value);
    if (!json_is_number(value) || (of->kind == LS_VALUE_INT && number != floor(number)))
        return ls_fail(LS_E_INPUT, "%s: must be a %snumber", of->name,
                       of->kind == LS_VALUE_REAL ? "" : "whole ");
    if (!(number >= of->minimum && number <= of->maximum))
        return ls_fail(LS_E_INPUT, "%s: %g is not within %g .. %g", of->name, number, of->minimum,
                       of->maximum);
    if (of->kind == LS_VALUE_REAL) {
        *(double *)field = number;
    } else {
        *(int64_t *)field = (int64_t)number;
    }
    return LS_OK;
}

static ls_status set_list(const ls_hyperparameter *of, const json_t *value, ls_trial *trial)
{
    const ls_hyperparameter item = {of->name, LS_VALUE_INT, 0, of->minimum, of->maximum, NULL};
    const size_t n = json_array_size(value);
    if (!json_is_array(value) || n > LS_TRIAL_MAX_LAYERS)
        return ls_fail(LS_E_INPUT, "%s: must be lists of at most %d numbers of units, like [[2, 2], [16]]",
                       of->name, LS_TRIAL_MAX_LAYERS);
    trial->network.n_hidden = (int64_t)n;
    for (size_t i = 0; i < n; i++) LS_TRY(set_number(&item, json_array_get(value, i), &trial->hidden[i]));
    return LS_OK;
}

ls_status ls_hyperparameter_set(const ls_hyperparameter *of, const json_t *value, ls_trial *trial)
{
    switch (of->kind) {
    case LS_VALUE_LIST:
        return set_list(of, value, trial);
    case LS_VALUE_WORD:
        if (!json_is_string(value)) return ls_fail(LS_E_INPUT, "%s: must be a word", of->name);
        return of->parse(json_string_value(value), trial) == LS_OK
                   ? LS_OK
                   : ls_fail(LS_E_INPUT, "%s", ls_error_message());
    case LS_VALUE_INT:
    case LS_VALUE_REAL:
        break;
    }
    return set_number(of, value, (char *)trial + of->field);
}

bool ls_hyperparameter_applies(const ls_hyperparameter *of, const ls_trial *trial)
{
    const size_t begin = FIELD(train.optimizer), end = begin + sizeof trial->train.optimizer;
    return of->kind != LS_VALUE_REAL || of->field < begin || of->field >= end ||
           ls_optimizer_uses(trial->train.optimizer.kind, of->name);
}
