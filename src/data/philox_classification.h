/* make_classification's model of data as a pure function of (random_state, sample number): any samples, made
 * anywhere, in any order, in constant memory.
 *
 * The parameters mean what they mean in scikit-learn, the numbers are others. What all samples share (centres
 * of the clusters, matrices, order of the columns, random shift and scale) is drawn from LS_STREAM_MIXTURE;
 * sample i takes its normal numbers and its redrawn class from counters that contain i. Which cluster sample
 * i belongs to says its place under a seeded bijection over [0, n_samples), where the clusters lie one after
 * the other in make_classification's sizes: so the classes' counts before flipping are exact. Without shuffle
 * the place is i, and columns keep their order.
 *
 * The bits are the same on every processor: fixed sequences of correctly rounded operations. */
#ifndef LS_DATA_PHILOX_CLASSIFICATION_H
#define LS_DATA_PHILOX_CLASSIFICATION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "data/file_type.h"
#include "lockstep/generate.h"

typedef struct ls_philox_classification ls_philox_classification;

/* Checks the parameters as ls_make_classification_check does, and that every value fits dtype; shares in
 * weights must not be negative. Draws what the samples share: memory for n_clusters x n_informative^2 values
 * and one block of samples, whatever n_samples is. LS_E_USAGE, LS_E_MEMORY. Local: a pure function of its
 * arguments. The caller closes *source. */
ls_status ls_philox_classification_open(const ls_make_classification *parameters, ls_dtype dtype,
                                        ls_philox_classification **source);

/* From now on fills x in dtype; checked as when opened. LS_E_USAGE, LS_E_MEMORY, and nothing changed. Local.
 */
ls_status ls_philox_classification_set_dtype(ls_philox_classification *source, ls_dtype dtype);

/* Frees it; NULL is allowed. Local. */
void ls_philox_classification_close(ls_philox_classification *source);

/* Fills x (n x n_features, row-major, of the source's dtype) and y (n, of y_type, classes 0 .. n_classes - 1)
 * with samples [first, first + n), which lie within n_samples. float32 values are the rounded float64 ones.
 * Ranges of thousands of samples are fastest; a short one costs as much as 128 samples. The source holds
 * working memory: one call at a time. Local; cannot fail. */
void ls_philox_classification_fill(ls_philox_classification *source, int64_t first, int64_t n, void *x,
                                   ls_file_type y_type, void *y);

/* The instruction set in use: "avx512", "avx2" or "portable". ls_philox_classification_use takes the named
 * one instead of the best, for tests; false if this processor or build does not have it. Local. */
const char *ls_philox_classification_isa(const ls_philox_classification *source);
bool ls_philox_classification_use(ls_philox_classification *source, const char *isa);

#endif
