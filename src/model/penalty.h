/* Penalties for large weights: Keras' kernel_regularizer. Local. */
#ifndef LS_MODEL_PENALTY_H
#define LS_MODEL_PENALTY_H

#include <stdbool.h>

#include "lockstep/model.h"

/* Whether a layer has one. */
bool ls_penalty_exists(const ls_model *model);

/* What they add to the loss: over the layers l1 sum|w| + l2 sum(w^2) of the kernel, in one fixed order. */
double ls_penalty_value(const ls_model *model);

#endif
