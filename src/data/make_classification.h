/* sklearn.datasets.make_classification, number by number. */
#ifndef LS_DATA_MAKE_CLASSIFICATION_H
#define LS_DATA_MAKE_CLASSIFICATION_H

#include <stdint.h>

#include "comm/progress.h"
#include "lockstep/generate.h"

/* Checks the parameters by scikit-learn's rules: ranges, sums, lengths of weights, shift and scale. Stricter
 * than scikit-learn only where its result would be useless: shift and scale must be finite in every element,
 * and shares in weights so large that a cluster's size leaves 64 bits are refused. LS_E_USAGE names the
 * parameter, what was given and what is allowed. Local. */
ls_status ls_make_classification_check(const ls_make_classification *parameters);

/* The share of class k < n_classes; a missing last one is what the others leave of 1. Local. */
double ls_make_classification_share(const ls_make_classification *parameters, int64_t k);

/* Fills stops (n_classes * n_clusters_per_class) with the row after each cluster's last one, before the
 * shuffle; the clusters lie one after the other, cluster c is of class c % n_classes. The sizes follow the
 * shares of the classes; what rounding leaves over is dealt out one by one. Stops are beyond n_samples where
 * shares exceed 1, and shrink where they are negative. Local. */
void ls_make_classification_stops(const ls_make_classification *parameters, int64_t *stops);

/* Checks the parameters and makes the data: x is n_samples x n_features, row-major; y (n_samples) are classes
 * 0 .. n_classes - 1. Both belong to the caller. Needs one more block of the size of x while it works, if
 * shuffle is on. progress: reported over the draws of normal numbers, or NULL. Local: a pure function of the
 * parameters. */
ls_status ls_make_classification_rows(const ls_make_classification *parameters,
                                      const ls_progress_part *progress, double *x, int64_t *y);

#endif
