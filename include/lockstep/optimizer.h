/* What turns gradients into steps: Keras' optimizers and schedules of the learning rate. All functions are
 * local. */
#ifndef LOCKSTEP_OPTIMIZER_H
#define LOCKSTEP_OPTIMIZER_H

#include <stdbool.h>

#include "lockstep/error.h"
#include "lockstep/types.h"

/* name in options and files, Keras' class, Keras' default learning rate */
#define LS_OPTIMIZER_LIST(X)                                                                                 \
    X(LS_SGD, "sgd", "SGD", 0.01)                                                                            \
    X(LS_RMSPROP, "rmsprop", "RMSprop", 0.001)                                                               \
    X(LS_ADAGRAD, "adagrad", "Adagrad", 0.001)                                                               \
    X(LS_ADAM, "adam", "Adam", 0.001)                                                                        \
    X(LS_ADAMW, "adamw", "AdamW", 0.001)

typedef enum ls_optimizer_kind {
#define LS_OPTIMIZER_ENUM(name, text, class_name, rate) name,
    LS_OPTIMIZER_LIST(LS_OPTIMIZER_ENUM)
#undef LS_OPTIMIZER_ENUM
} ls_optimizer_kind;

typedef enum ls_schedule_kind {
    LS_SCHEDULE_CONSTANT,
    LS_SCHEDULE_STEP,        /* Keras' ExponentialDecay(staircase=True) */
    LS_SCHEDULE_EXPONENTIAL, /* Keras' ExponentialDecay */
    LS_SCHEDULE_COSINE,      /* Keras' CosineDecay */
    LS_SCHEDULE_PIECEWISE    /* Keras' PiecewiseConstantDecay */
} ls_schedule_kind;

enum { LS_MAX_BOUNDARIES = 16 };

/* The learning rate of a step, as a function of the steps done before it. */
typedef struct ls_schedule {
    ls_schedule_kind kind;
    int64_t decay_steps;  /* step, exponential: the rate is multiplied by decay_rate in so many steps (step:
                             all  at once after them); cosine: steps down to the end. 0 takes all of the
                             training  after the warm-up, which step cannot. */
    double decay_rate;    /* step, exponential */
    double alpha;         /* cosine: the share of the rate that is left at the end, 0 .. 1 */
    int64_t warmup_steps; /* before all that: from 0 in equal steps up to the rate */
    int n_boundaries;     /* piecewise: */
    int64_t boundaries[LS_MAX_BOUNDARIES]; /* where more than so many steps are done (rising), */
    double factors[LS_MAX_BOUNDARIES];     /* the rate is times this */
} ls_schedule;

/* An optimizer as Keras' get_config describes it, without the learning rate. What its kind does not use is 0,
 * and 0 switches off weight_decay and clipping. All zero is plain SGD. */
typedef struct ls_optimizer {
    ls_optimizer_kind kind;
    double momentum; /* sgd, rmsprop */
    bool nesterov;   /* sgd */
    double rho;      /* rmsprop */
    bool centered;   /* rmsprop */
    double beta_1;   /* adam, adamw */
    double beta_2;
    double epsilon;                   /* all but sgd */
    double initial_accumulator_value; /* adagrad */
    double weight_decay;              /* this times the learning rate of each weight goes in a step */
    double clipnorm;                  /* longest gradient of a kernel or bias, */
    double global_clipnorm;           /* of all of them together, */
    double clipvalue;                 /* largest element of a gradient: one of the three at most */
    ls_schedule schedule;
} ls_optimizer;

/* "sgd" and so on. */
const char *ls_optimizer_name(ls_optimizer_kind kind);

/* The optimizer of that name; LS_E_USAGE names the ones there are. */
ls_status ls_optimizer_parse(const char *name, ls_optimizer_kind *kind);

/* Keras' defaults of an optimizer, at a constant learning rate. */
void ls_optimizer_defaults(ls_optimizer_kind kind, ls_optimizer *optimizer);

/* Keras' default learning rate. */
double ls_optimizer_default_rate(ls_optimizer_kind kind);

/* Whether an optimizer of that kind has the member of that name ("beta_1"), or a schedule of that kind. */
bool ls_optimizer_uses(ls_optimizer_kind kind, const char *name);
bool ls_schedule_uses(ls_schedule_kind kind, const char *name);

/* "constant" and so on. */
const char *ls_schedule_name(ls_schedule_kind kind);

/* LS_E_USAGE, naming the member, unless all of them can be used. */
ls_status ls_optimizer_check(const ls_optimizer *optimizer);

/* Numbers that it keeps for each parameter: 0 (sgd without momentum) .. 3. */
int ls_optimizer_n_slots(const ls_optimizer *optimizer);

#endif
