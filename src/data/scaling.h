/* Standardised rows: each feature less its mean, over its standard deviation, as Keras' Normalization layer
 * computes it. */
#ifndef LS_DATA_SCALING_H
#define LS_DATA_SCALING_H

#include "base/fail.h"
#include "lockstep/types.h"

typedef struct ls_scaling ls_scaling;

/* Prepares x' = (x - mean) / max(sqrt(variance), 1e-7), computed in dtype; a feature that is always the same
 * becomes 0. mean and variance hold n_features numbers of dtype and are copied. LS_E_MEMORY. Local. The
 * caller frees *scaling with ls_free. */
ls_status ls_scaling_create(ls_dtype dtype, int64_t n_features, const double *mean, const double *variance,
                            ls_scaling **scaling);

/* Standardises n_rows rows of the scaling's dtype in place. Local. */
void ls_scaling_apply(const ls_scaling *scaling, int64_t n_rows, void *x);

#endif
