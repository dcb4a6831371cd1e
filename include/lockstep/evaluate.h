/* Measures of a finished model, and its predictions. */
#ifndef LOCKSTEP_EVALUATE_H
#define LOCKSTEP_EVALUATE_H

#include "lockstep/dataset.h"
#include "lockstep/model.h"
#include "lockstep/progress.h"
#include "lockstep/session.h"

/* Sums over samples, exact whatever the number of ranks. A sample is predicted class 1 if its probability p >
 * 0.5, as Keras' metrics count (predicted classes in files use p >= 0.5, as the notebook's predict_class
 * does). */
typedef struct ls_metrics {
    int64_t n_samples;
    double loss_sum; /* binary cross-entropy, nats, and n_samples times the penalties of the weights */
    int64_t tn, fp, fn, tp;
} ls_metrics;

/* Adds the sums of part to total. Local. */
void ls_metrics_add(ls_metrics *total, const ls_metrics *part);

/* The quotients. A zero denominator gives 0, as in Keras. Local. */
double ls_metrics_loss(const ls_metrics *metrics);
double ls_metrics_binary_accuracy(const ls_metrics *metrics);
double ls_metrics_precision(const ls_metrics *metrics); /* tp / (tp + fp) */
double ls_metrics_recall(const ls_metrics *metrics);    /* tp / (tp + fn) */
double ls_metrics_f1(const ls_metrics *metrics); /* 2 tp / (2 tp + fp + fn), the harmonic mean of both */

/* Measures the model on all rows of a set with labels; every rank computes a part, *metrics is set on every
 * rank with the same bits for any number of ranks. progress: or NULL; borrowed. Collective; model must agree.
 * LS_E_INPUT if n_features differ or the data are unusable. */
ls_status ls_evaluate(ls_session *session, const ls_model *model, ls_dataset *dataset,
                      const ls_progress *progress, ls_metrics *metrics);

/* Writes /NAME/y_pred (n_samples x 1 probabilities in the model's dtype) and /NAME/class (n_samples of uint8,
 * p >= 0.5) for each of the n_sets sets into a new HDF5 file; an empty NAME writes to the root. progress: or
 * NULL; borrowed. Collective; model, names and output must agree. LS_E_INPUT, LS_E_OUTPUT; then no file is
 * left. */
ls_status ls_predict(ls_session *session, const ls_model *model, ls_dataset *const *sets,
                     const char *const *names, int n_sets, const ls_progress *progress, const char *output);

#endif
