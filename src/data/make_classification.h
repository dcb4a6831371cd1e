/* sklearn.datasets.make_classification, number by number. */
#ifndef LS_DATA_MAKE_CLASSIFICATION_H
#define LS_DATA_MAKE_CLASSIFICATION_H

#include <stdint.h>

#include "base/fail.h"
#include "lockstep/generate.h"

/* Checks the parameters by scikit-learn's rules: ranges, sums, lengths of weights, shift and scale. Stricter
 * than scikit-learn only where its result would be useless: shift and scale must be finite in every element,
 * and shares in weights so large that a cluster's size leaves 64 bits are refused. LS_E_USAGE names the
 * parameter, what was given and what is allowed. Local. */
ls_status ls_make_classification_check(const ls_make_classification *parameters);

/* Checks the parameters and makes the data: x is n_samples x n_features, row-major; y (n_samples) are classes
 * 0 .. n_classes - 1. Both belong to the caller. Needs one more block of the size of x while it works, if
 * shuffle is on. Local: a pure function of the parameters. */
ls_status ls_make_classification_rows(const ls_make_classification *parameters, double *x, int64_t *y);

#endif
