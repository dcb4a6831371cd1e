/* What happens to a gradient between the reduction and the optimizer. */
#ifndef LS_TRAIN_GRADIENT_H
#define LS_TRAIN_GRADIENT_H

#include "lockstep/model.h"

/* Writes to gradient (n_parameters values) the mean of the sum over n_samples, with that of the penalties,
 * clipped as the optimizer says: each kernel and bias by its norm, all by their common norm, or each element.
 * Norms are added in one fixed order. Local; the same bits on every rank and processor. */
void ls_gradient_prepare(const ls_model *model, const ls_optimizer *optimizer, const void *gradient_sum,
                         int64_t n_samples, void *gradient);

#endif
