#include "train/options.h"

#include <math.h>

#include "base/fail.h"
#include "engine/engine.h"
#include "train/monitor.h"

enum {
    MAX_DEFAULT_SHARDS = 64,
    SHARD_SAMPLES = 64,     /* shorter shards cost a GEMM too much */
    MIN_DEFAULT_SHARDS = 8, /* so many ranks can always share a batch of that many samples */
    EXACT_FLOAT32 = 1 << 24
};

void ls_train_defaults(ls_train_options *options)
{
    *options = (ls_train_options){.epochs = 1,
                                  .batch_size = 32,
                                  .learning_rate = NAN,
                                  .shuffle = true,
                                  .reduction = LS_REDUCTION_TREE,
                                  .memory = LS_TRAIN_MEMORY,
                                  .monitor = "val_loss",
                                  .min_delta = NAN,
                                  .early_stopping = -1,
                                  .reduce_lr_patience = 10,
                                  .checkpoint_every_epochs = 1,
                                  .checkpoint_keep = 2};
}

int64_t ls_train_default_shards(int64_t batch_size)
{
    int64_t shards = 1;
    while (shards < MAX_DEFAULT_SHARDS && batch_size / (2 * shards) >= SHARD_SAMPLES) shards *= 2;
    while (shards < MIN_DEFAULT_SHARDS && 2 * shards <= batch_size) shards *= 2;
    return shards;
}

double ls_train_learning_rate(const ls_train_options *options)
{
    const double rate = isnan(options->learning_rate) ? ls_optimizer_default_rate(options->optimizer.kind)
                                                      : options->learning_rate;
    if (options->learning_rate_base_batch == 0) return rate;
    return rate * ((double)options->batch_size / (double)options->learning_rate_base_batch);
}

int64_t ls_train_shards(const ls_train_options *options)
{
    return options->n_shards ? options->n_shards : ls_train_default_shards(options->batch_size);
}

ls_status ls_train_check_options(const ls_model *model, ls_dataset *dataset, const ls_train_options *options,
                                 int n_ranks)
{
    const int64_t n_samples = ls_dataset_n_samples(dataset), n_shards = ls_train_shards(options);
    if (options->epochs < 1)
        return ls_fail(LS_E_USAGE, "epochs is %lld: it must be at least 1", (long long)options->epochs);
    if (options->batch_size < 1)
        return ls_fail(LS_E_USAGE, "batch_size is %lld: it must be at least 1",
                       (long long)options->batch_size);
    if (options->memory < 0)
        return ls_fail(LS_E_USAGE, "memory is %lld: it must not be negative", (long long)options->memory);
    if (options->learning_rate_base_batch < 0)
        return ls_fail(LS_E_USAGE, "learning_rate_base_batch is %lld: it must not be negative",
                       (long long)options->learning_rate_base_batch);
    const double learning_rate = ls_train_learning_rate(options);
    if (!isfinite(learning_rate) || learning_rate <= 0)
        return ls_fail(LS_E_USAGE, "learning_rate is %g: it must be a positive number", learning_rate);
    LS_TRY(ls_optimizer_check(&options->optimizer));
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
    LS_TRY(ls_monitor_check(options, model->loss));
    LS_TRY(ls_engine_check_features(model, dataset));
    if (options->validation) LS_TRY(ls_engine_check_features(model, options->validation));
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
