/* The update rules of Keras' optimizers, element by element. */
#ifndef LS_TRAIN_UPDATE_H
#define LS_TRAIN_UPDATE_H

#include "lockstep/types.h"

enum { LS_MAX_SLOTS = 3 };

/* What a rule works on. All arrays have n values of the rule's type and do not overlap. */
typedef struct ls_update {
    int64_t n;
    void *weights;
    const void *gradient;      /* the rule's gradient is scale times this: a mean from a sum */
    void *slots[LS_MAX_SLOTS]; /* what the optimizer keeps */
    double scale;
    double learning_rate; /* adam: with the corrections of the bias */
    double momentum;
    double rho;
    double gain_1; /* rmsprop: 1 - rho; adam: 1 - beta_1 */
    double gain_2; /* adam: 1 - beta_2 */
    double epsilon;
    double weight_decay;
} ls_update;

/* Adding 0 to a
 * gradient makes +0 of -0, for which of them a sum of nothing is depends on how many lanes were empty.
 * weight_decay comes before the rule of an optimizer. All are local and give the same bits on every
 * processor. */
#define LS_UPDATE_RULES(X)                                                                                   \
    X(momentum)                                                                                              \
    X(nesterov)                                                                                              \
    X(rmsprop)                                                                                               \
    X(rmsprop_momentum)                                                                                      \
    X(rmsprop_centered)                                                                                      \
    X(rmsprop_centered_momentum)                                                                             \
    X(adagrad)                                                                                               \
    X(adam)                                                                                                  \
    X(sgd)                                                                                                   \
    X(weight_decay)

#define LS_UPDATE_DECLARATION(rule)                                                                          \
    void ls_update_##rule##_float32(const ls_update *update);                                                \
    void ls_update_##rule##_float64(const ls_update *update);
LS_UPDATE_RULES(LS_UPDATE_DECLARATION)
#undef LS_UPDATE_DECLARATION

#endif
