/* Keras' descriptions of an optimizer, a schedule and a kernel's penalty, as JSON. Local. */
#ifndef LS_MODEL_KERAS_OPTIMIZER_H
#define LS_MODEL_KERAS_OPTIMIZER_H

#include <jansson.h>
#include <stdbool.h>

#include "lockstep/model.h"

/* Reads training_config's optimizer_config into learning_rate and optimizer, which become 0 for an optimizer
 * or schedule that we do not have. exact: see ls_keras_training_parse. */
void ls_keras_optimizer_parse(const json_t *description, bool exact, ls_training_config *config);

/* What Keras needs to make it; a new reference, NULL without memory. */
json_t *ls_keras_optimizer_format(const ls_training_config *config);

/* Reads a kernel_regularizer; false if it is none that we have. */
bool ls_keras_penalty_parse(const json_t *description, double *l1, double *l2);

/* The other way; l1 or l2 is not 0. A new reference, NULL without memory. */
json_t *ls_keras_penalty_format(double l1, double l2);

#endif
