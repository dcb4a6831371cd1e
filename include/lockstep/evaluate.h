/* Measures of a finished model, and its predictions. */
#ifndef LOCKSTEP_EVALUATE_H
#define LOCKSTEP_EVALUATE_H

#include <stdbool.h>

#include "lockstep/dataset.h"
#include "lockstep/model.h"
#include "lockstep/progress.h"
#include "lockstep/session.h"

/* Sums over samples, exact whatever the number of ranks. Of two classes a sample is predicted class 1 if its
 * probability p > 0.5, as Keras' metrics count (predicted classes in files use p >= 0.5, as the notebook's
 * predict_class does), of several the first one of the greatest probability. */
typedef struct ls_metrics {
    int64_t n_samples;
    double
        loss_sum; /* the model's loss, with weights and smoothed labels, and n_samples times its penalties */
    int64_t tn, fp, fn, tp;    /* binary cross-entropy; of several labels each counts */
    int64_t n_correct;         /* several classes */
    double cross_entropy_sum;  /* of classes, two or several, without weights and smoothing, nats */
    double absolute_error_sum; /* regression: means over the outputs of a sample, without weights */
    double squared_error_sum;
} ls_metrics;

/* Adds the sums of part to total. Local. */
void ls_metrics_add(ls_metrics *total, const ls_metrics *part);

/* The quotients. A zero denominator gives 0, as in Keras. Local. */
double ls_metrics_loss(const ls_metrics *metrics);
double ls_metrics_binary_accuracy(const ls_metrics *metrics);
double ls_metrics_precision(const ls_metrics *metrics); /* tp / (tp + fp) */
double ls_metrics_recall(const ls_metrics *metrics);    /* tp / (tp + fn) */
double ls_metrics_f1(const ls_metrics *metrics); /* 2 tp / (2 tp + fp + fn), the harmonic mean of both */

/* The measures that Keras shows in training a model of that loss, by Keras' names, in the alphabet: loss, and
 * of two classes binary_accuracy, binary_crossentropy, precision and recall, of several accuracy, for
 * regression mean_absolute_error and mean_squared_error. Returns their number, at most LS_MAX_MEASURES.
 * Local. */
enum { LS_MAX_MEASURES = 5 };
int ls_metrics_names(ls_loss loss, const char *names[LS_MAX_MEASURES]);

/* The measure of that name, one of the above, NaN for another name; and whether a greater one is better.
 * Local. */
double ls_metrics_value(const ls_metrics *metrics, const char *name);
bool ls_metrics_rises(const char *name);

/* Measures the model on all rows of a set with labels; every rank computes a part, *metrics is set on every
 * rank with the same bits for any number of ranks. progress: or NULL; borrowed. Collective; model must agree.
 * LS_E_INPUT if n_features differ or the data are unusable. */
ls_status ls_evaluate(ls_session *session, const ls_model *model, ls_dataset *dataset,
                      const ls_progress *progress, ls_metrics *metrics);

/* How many samples of a real class were predicted as which. */
typedef struct ls_confusion_cell {
    int64_t real, predicted, n_samples;
} ls_confusion_cell;

/* Of one class against all others; a zero denominator gives 0. */
typedef struct ls_class_scores {
    int64_t n_samples, n_predicted, n_correct; /* of the class, as this class, both */
    double precision, recall, f1;
} ls_class_scores;

/* What is told of a finished model. Arrays are rank 0's, on others they are NULL. */
enum { LS_TOP_K = 5 };
typedef struct ls_scores {
    ls_metrics metrics;
    int64_t n_classes; /* 0 for regression; of labels 2, all labels counted together */
    ls_class_scores *classes;
    ls_class_scores mean; /* over the classes that occur, real or predicted; rank 0 */
    /* The confusion matrix without its zeros, by real and then by predicted class: */
    ls_confusion_cell *confusion;
    int64_t n_cells;
    double top_k_accuracy; /* share of samples whose class is among the LS_TOP_K most probable; NaN for fewer
                              classes */
    /* Areas under ROC curves, if they were asked for; NaN where there is one class only. Of several labels
     * the mean of those that are not NaN, and each one's (n_outputs, on every rank); otherwise NULL. */
    double roc_auc, *label_roc_auc;
    double r2; /* of regression, the mean over outputs; otherwise NaN */
} ls_scores;

/* As ls_evaluate, and the other scores. The confusion matrix takes 48 to 96 bytes for each of its numbers
 * above 0, of which there are never more than samples. The areas under ROC curves, of each label one, if they
 * are asked for: 8 bytes for each sample and label, and 16 for each sample while one label's predictions are
 * sorted. Collective; roc_auc must agree, too. LS_E_MEMORY. The caller clears *scores, also after a failure.
 */
ls_status ls_evaluate_scores(ls_session *session, const ls_model *model, ls_dataset *dataset, bool roc_auc,
                             const ls_progress *progress, ls_scores *scores);

/* Frees what was filled in. Local. */
void ls_scores_clear(ls_scores *scores);

/* Writes /NAME/y_pred (n_samples x n_outputs probabilities, or the numbers of a regression, in the model's
 * dtype) and, unless it is a regression, /NAME/class (n_samples of uint8, of more than 256 classes int64: p
 * >= 0.5, or the most probable of several; of several labels n_samples x n_outputs) for each of the n_sets
 * sets into a new HDF5 file; an empty NAME writes to the root. progress: or NULL; borrowed. Collective;
 * model, names and output must agree. LS_E_INPUT, LS_E_OUTPUT; then no file is left. */
ls_status ls_predict(ls_session *session, const ls_model *model, ls_dataset *const *sets,
                     const char *const *names, int n_sets, const ls_progress *progress, const char *output);

#endif
