/* Keras' Normalization.adapt over all ranks. */
#ifndef LS_TRAIN_NORMALIZE_H
#define LS_TRAIN_NORMALIZE_H

#include "lockstep/dataset.h"
#include "lockstep/model.h"

/* Gives model the mean and the variance (over n, not n - 1) of each feature of dataset. Every row is read
 * once, by one rank; the bits are the same for any number of ranks. Collective; arguments must agree.
 * LS_E_INPUT if the data are unusable or too large for the model's dtype, LS_E_MEMORY. */
ls_status ls_normalize(ls_session *session, ls_model *model, ls_dataset *dataset);

#endif
