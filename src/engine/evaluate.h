/* Measuring a model again and again on the same rows, as after each epoch of a training; once is
 * lockstep/evaluate.h. */
#ifndef LS_ENGINE_EVALUATE_H
#define LS_ENGINE_EVALUATE_H

#include "lockstep/evaluate.h"

typedef struct ls_evaluation ls_evaluation;

/* How many leaves of a tree the rows of a set are cut into to add something up over all of them: a function
 * of n_samples alone. Local. */
int64_t ls_evaluation_leaves(int64_t n_samples);

/* Prepares measuring model on all rows of dataset; both and progress (or NULL) are borrowed until
 * ls_evaluation_destroy. This rank's rows are kept, once read, if they fit into `memory` bytes, or a few MB.
 * Collective; model must agree. LS_E_INPUT if n_features differ or there are no
 * labels, LS_E_MEMORY. The caller destroys *evaluation. */
ls_status ls_evaluation_create(ls_session *session, const ls_model *model, ls_dataset *dataset,
                               int64_t memory, const ls_progress *progress, ls_evaluation **evaluation);

/* Frees it; NULL is allowed. Local. */
void ls_evaluation_destroy(ls_evaluation *evaluation);

/* The measures of the model as it is now: every rank computes a part, *metrics is set on every rank with the
 * same bits for any number of ranks. Collective; model must agree.
 * LS_E_INPUT if the data are unusable. */
ls_status ls_evaluation_run(ls_evaluation *evaluation, ls_metrics *metrics);

#endif
