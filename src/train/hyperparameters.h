/* What a search can vary: hyperparameters by name, each of them settings of a training. All functions are
 * local. */
#ifndef LS_TRAIN_HYPERPARAMETERS_H
#define LS_TRAIN_HYPERPARAMETERS_H

#include <jansson.h>

#include "lockstep/train.h"

enum { LS_TRIAL_MAX_LAYERS = 64 };

/* The settings of one training. A hyperparameter is a field of it. */
typedef struct ls_trial {
    ls_train_options train;
    ls_network network;                  /* without hidden, for which stands: */
    int64_t hidden[LS_TRIAL_MAX_LAYERS]; /* network.n_hidden units */
    ls_initializer initializer;
    double l1, l2; /* of all kernels */
    int64_t seed;  /* -1 where the search gives one */
} ls_trial;

typedef enum ls_value_kind {
    LS_VALUE_INT,  /* int64_t */
    LS_VALUE_REAL, /* double */
    LS_VALUE_WORD, /* what parse makes of it */
    LS_VALUE_LIST  /* of units: n_hidden and hidden */
} ls_value_kind;

typedef struct ls_hyperparameter {
    const char *name;
    ls_value_kind kind;
    size_t field;            /* offset in ls_trial */
    double minimum, maximum; /* of numbers, also of the items of a list */
    ls_status (*parse)(const char *word, ls_trial *trial);
} ls_hyperparameter;

/* Everything that can be varied, line by line. Those that say what the hidden layers are come first. */
enum {
    LS_HYPERPARAMETER_LAYERS,
    LS_HYPERPARAMETER_UNITS,
    LS_HYPERPARAMETER_HIDDEN,
    LS_N_HYPERPARAMETERS = 21
};
extern const ls_hyperparameter ls_hyperparameters[];

/* The line of that name. LS_E_INPUT names all that there are. */
ls_status ls_hyperparameter_find(const char *name, int *number);

/* Checks a value and gives it to the trial. LS_E_INPUT names the hyperparameter and what it takes. */
ls_status ls_hyperparameter_set(const ls_hyperparameter *of, const json_t *value, ls_trial *trial);

/* Whether it means anything to the trial: not if it belongs to optimizers, but not to the trial's. */
bool ls_hyperparameter_applies(const ls_hyperparameter *of, const ls_trial *trial);

#endif
