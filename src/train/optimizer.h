/* The update of the parameters from a reduced gradient. */
#ifndef LS_TRAIN_OPTIMIZER_H
#define LS_TRAIN_OPTIMIZER_H

#include "lockstep/model.h"

/* Keras' plain SGD: w -= (learning_rate / n_samples) * gradient_sum, all in the model's dtype. gradient_sum
 * holds n_parameters values. Local; the same bits on every rank for the same arguments. */
void ls_sgd_step(ls_model *model, const void *gradient_sum, int64_t n_samples, double learning_rate);

#endif
