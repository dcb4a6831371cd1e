#include "data/train_test_split.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "random/mt19937.h"

ls_status ls_train_test_sizes(int64_t n_samples, double train_size, int64_t *n_train, int64_t *n_test)
{
    *n_train = *n_test = 0;
    const double rows = (double)n_samples;
    if (!(train_size > 0) || (train_size >= 1 && (train_size >= rows || train_size != floor(train_size))))
        return ls_fail(
            LS_E_USAGE,
            "train_size: %.17g of %lld samples: give a share above 0 and below 1, or a whole number of "
            "training rows that is positive and smaller than the number of samples",
            train_size, (long long)n_samples);
    const int64_t train = (int64_t)(train_size < 1 ? floor(train_size * rows) : train_size);
    if (train == 0)
        return ls_fail(
            LS_E_USAGE,
            "train_size: %.17g of %lld samples: the training set would be empty: give a larger share or more "
            "samples",
            train_size, (long long)n_samples);
    *n_train = train;
    *n_test = n_samples - train;
    return LS_OK;
}

ls_status ls_train_test_split(int64_t n_samples, int64_t n_train, int64_t n_test, uint32_t random_state,
                              int64_t *train_rows, int64_t *test_rows)
{
    if (n_train < 0 || n_test < 0 || n_train > n_samples || n_test > n_samples - n_train)
        return ls_fail(LS_E_INTERNAL, "train_test_split: %lld + %lld rows of %lld", (long long)n_train,
                       (long long)n_test, (long long)n_samples);
    int64_t *rows = NULL;
    LS_TRY(ls_alloc(&rows, (size_t)n_samples, sizeof *rows, "row numbers of the split"));
    ls_mt19937 generator;
    ls_mt19937_seed(&generator, random_state);
    ls_mt19937_permutation(&generator, n_samples, rows);
    /* The test set comes first in the permutation, as in ShuffleSplit. */
    memcpy(test_rows, rows, (size_t)n_test * sizeof *rows);
    memcpy(train_rows, rows + n_test, (size_t)n_train * sizeof *rows);
    ls_free(rows);
    return LS_OK;
}
