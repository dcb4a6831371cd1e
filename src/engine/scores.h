/* What is told of a finished model beside the measures of training: added up over rows like these. */
#ifndef LS_ENGINE_SCORES_H
#define LS_ENGINE_SCORES_H

#include "comm/comm.h"
#include "data/targets.h"
#include "engine/confusion.h"
#include "lockstep/evaluate.h"

/* Sums over rows: of each output of a regression the targets, their squares and those of the errors; of
 * several classes how often the real one was among the LS_TOP_K most probable ones. */
typedef struct ls_score_sums {
    double *doubles;
    int64_t *ints;
} ls_score_sums;

/* How many values the sums of a model have. Local. */
void ls_score_sizes(const ls_model *model, int64_t *n_doubles, int64_t *n_ints);

/* Adds n_rows rows of y (as targets say) and outputs, in the model's dtype. LS_E_MEMORY. Local. */
ls_status ls_score_add(const ls_model *model, const ls_targets *targets, const void *y, const void *outputs,
                       int64_t n_rows, ls_score_sums sums, ls_confusion *confusion);

/* Fills scores from sums over all rows and this rank's confusion, which becomes part of them; scores->metrics
 * must be there. Collective. LS_E_MEMORY. */
ls_status ls_score_finish(ls_session *session, const ls_model *model, ls_score_sums sums,
                          ls_confusion *confusion, ls_scores *scores);

/* A prediction and its label as one number: sorted by the prediction. */
static inline uint64_t ls_ranking_key(double p, bool positive)
{
    union {
        double value;
        uint64_t bits;
    } word = {p};
    return word.bits << 1 | positive; /* p has no sign */
}

/* The area under the ROC curve of all ranks' predictions, n keys of this rank, which are sorted: the share of
 * pairs of a positive and a negative one that are ranked right, ties by half (Mann and Whitney's U), exact.
 * Each rank sorts a range of predictions. Takes twice the memory of the keys beside them. NaN where
 * there is one class only. Collective. LS_E_MEMORY. */
ls_status ls_ranking_auc(ls_session *session, uint64_t *keys, int64_t n, double *auc);

#endif
