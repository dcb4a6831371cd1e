/* A model's Normalization layer: mean and variance of its inputs. */
#ifndef LS_MODEL_NORMALIZATION_H
#define LS_MODEL_NORMALIZATION_H

#include "comm/comm.h"
#include "data/dataset.h"
#include "lockstep/model.h"

/* Gives the model n_features means and variances, rounded to its dtype; both are copied. LS_E_INPUT, naming
 * place, if one is not finite in that dtype or a variance negative; LS_E_MEMORY. Local. */
ls_status ls_model_set_normalization(ls_model *model, const double *mean, const double *variance,
                                     const char *place);

/* Gives rank 0's, which it has, to the model of every rank. Collective. LS_E_MEMORY. */
ls_status ls_model_share_normalization(ls_session *session, ls_model *model);

/* A digest of the parameters and the normalization. Local. */
uint64_t ls_model_weights_digest(const ls_model *model);

/* A set with the rows of dataset as the model's first layer takes them: standardised if the model has a
 * normalization. dataset is borrowed, and the model's dtype the one to read in. LS_E_MEMORY. Local. The
 * caller closes *inputs. */
ls_status ls_model_open_inputs(const ls_model *model, ls_dataset *dataset, ls_dataset **inputs);

#endif
