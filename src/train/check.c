#include "train/check.h"

#include <math.h>

#include "engine/engine.h"

enum { EXACT_FLOAT32 = 1 << 24 };

ls_status ls_train_check(const ls_session *session, const ls_model *model, const ls_dataset *dataset,
                         const ls_train_options *options, int64_t n_shards)
{
    const int64_t n_samples = ls_dataset_n_samples(dataset);
    const int n_ranks = ls_session_size(session);
    if (options->epochs < 1)
        return ls_fail(LS_E_USAGE, "epochs is %lld: it must be at least 1", (long long)options->epochs);
    if (options->batch_size < 1)
        return ls_fail(LS_E_USAGE, "batch_size is %lld: it must be at least 1",
                       (long long)options->batch_size);
    if (options->memory < 0)
        return ls_fail(LS_E_USAGE, "memory is %lld: it must not be negative", (long long)options->memory);
    if (!isfinite(options->learning_rate) || options->learning_rate <= 0)
        return ls_fail(LS_E_USAGE, "learning_rate is %g: it must be a positive number",
                       options->learning_rate);
    if (n_shards < 1 || (n_shards & (n_shards - 1)))
        return ls_fail(LS_E_USAGE, "shards is %lld: it must be a power of two", (long long)n_shards);
    if (options->checkpoint_keep < 1)
        return ls_fail(LS_E_USAGE, "checkpoint_keep is %lld: it must be at least 1",
                       (long long)options->checkpoint_keep);
    if (options->resume && !options->checkpoint_dir)
        return ls_fail(LS_E_USAGE, "resume needs checkpoint_dir, the directory to resume from");
    if (options->reduction == LS_REDUCTION_MPI && model->dtype == LS_FLOAT32 &&
        options->batch_size >= EXACT_FLOAT32)
        return ls_fail(
            LS_E_USAGE,
            "batch_size is %lld: with the mpi reduction and float32, counts are exact below %d only",
            (long long)options->batch_size, EXACT_FLOAT32);
    LS_TRY(ls_engine_check_features(model, dataset));
    if (n_ranks > n_samples)
        return ls_fail(LS_E_USAGE, "%s: has %lld rows, fewer than the %d ranks: start at most %lld ranks",
                       ls_dataset_x_name(dataset), (long long)n_samples, n_ranks, (long long)n_samples);
    if (n_ranks > options->batch_size)
        return ls_fail(
            LS_E_USAGE,
            "batch_size is %lld, fewer samples than the %d ranks: start at most %lld ranks or use a larger "
            "batch_size",
            (long long)options->batch_size, n_ranks, (long long)options->batch_size);
    if (n_ranks > n_shards)
        return ls_fail(
            LS_E_USAGE,
            "a batch of %lld samples is cut into %lld shards, fewer than the %d ranks: start at most %lld "
            "ranks or set shards to a larger power of two (which changes the rounding of the result)",
            (long long)options->batch_size, (long long)n_shards, n_ranks, (long long)n_shards);
    return LS_OK;
}
