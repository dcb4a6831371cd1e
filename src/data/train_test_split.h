/* scikit-learn's train_test_split as row numbers. */
#ifndef LS_DATA_TRAIN_TEST_SPLIT_H
#define LS_DATA_TRAIN_TEST_SPLIT_H

#include "base/fail.h"
#include <stdint.h>

/* Number of training rows that train_test_split(train_size=...) takes of n_samples (floor of a share; the
 * test set gets the rest). LS_E_USAGE with scikit-learn's reasons if either part would be empty or too large.
 * Local. */
ls_status ls_train_test_sizes(int64_t n_samples, double train_size, int64_t *n_train, int64_t *n_test);

/* The rows of both parts in scikit-learn's order: train_rows (n_train) and test_rows (n_test) are the
 * caller's. Local. */
ls_status ls_train_test_split(int64_t n_samples, int64_t n_train, int64_t n_test, uint32_t random_state,
                              int64_t *train_rows, int64_t *test_rows);

#endif
