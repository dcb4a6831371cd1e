/* The members of an optimizer as a table, for whoever reads, writes or compares them all; the public half is
 * lockstep/optimizer.h. */
#ifndef LS_MODEL_OPTIMIZER_H
#define LS_MODEL_OPTIMIZER_H

#include "lockstep/optimizer.h"

enum { LS_N_OPTIMIZERS = LS_ADAMW + 1 };

/* A number of ls_optimizer. */
typedef struct ls_optimizer_member {
    const char *name; /* Keras' */
    size_t offset;
    double defaults[LS_N_OPTIMIZERS]; /* Keras', NAN where an optimizer has none */
    double least, below;              /* usable are least <= value < below; 0 may mean none */
} ls_optimizer_member;

/* Ended by a name of NULL. */
extern const ls_optimizer_member ls_optimizer_members[];

static inline double *ls_optimizer_number(ls_optimizer *optimizer, const ls_optimizer_member *member)
{
    return (double *)((char *)optimizer + member->offset);
}

static inline double ls_optimizer_value(const ls_optimizer *optimizer, const ls_optimizer_member *member)
{
    return *(const double *)((const char *)optimizer + member->offset);
}

/* Keras' class name of a kind: "RMSprop". Local. */
const char *ls_optimizer_class(ls_optimizer_kind kind);

/* Keras with TensorFlow rounds some numbers to float32 on their way into float64 arithmetic too: SGD's
 * momentum, powers of beta_1 and beta_2, weight_decay, initial_accumulator_value, penalties. So do we, to
 * make the same steps. Local. */
static inline double ls_as_keras_casts(double value)
{
    return (double)(float)value;
}

#endif
