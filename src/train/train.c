#include "lockstep/train.h"

#include <math.h>
#include <time.h>

#include "comm/tree.h"
#include "data/feed.h"
#include "engine/engine.h"
#include "train/history.h"
#include "train/optimizer.h"

enum {
    MAX_DEFAULT_SHARDS = 64,
    SHARD_SAMPLES = 64,    /* shorter shards cost a GEMM too much */
    MIN_DEFAULT_SHARDS = 8 /* so many ranks can always share a batch of that many samples */
};

static const double PROGRESS_SECONDS = 0.1;

void ls_train_defaults(ls_train_options *options)
{
    *options = (ls_train_options){.epochs = 1, .batch_size = 32, .learning_rate = 0.01, .shuffle = true};
}

int64_t ls_train_default_shards(int64_t batch_size)
{
    int64_t shards = 1;
    while (shards < MAX_DEFAULT_SHARDS && batch_size / (2 * shards) >= SHARD_SAMPLES) shards *= 2;
    while (shards < MIN_DEFAULT_SHARDS && 2 * shards <= batch_size) shards *= 2;
    return shards;
}

static ls_status check_options(const ls_session *session, const ls_model *model, const ls_dataset *dataset,
                               const ls_train_options *options, int64_t n_shards)
{
    const int64_t n_samples = ls_dataset_n_samples(dataset);
    const int n_ranks = ls_session_size(session);
    if (options->epochs < 1)
        return ls_fail(LS_E_USAGE, "epochs is %lld: it must be at least 1", (long long)options->epochs);
    if (options->batch_size < 1)
        return ls_fail(LS_E_USAGE, "batch_size is %lld: it must be at least 1", (long long)options->batch_size);
    if (!isfinite(options->learning_rate) || options->learning_rate <= 0)
        return ls_fail(LS_E_USAGE, "learning_rate is %g: it must be a positive number", options->learning_rate);
    if (n_shards < 1 || (n_shards & (n_shards - 1)))
        return ls_fail(LS_E_USAGE, "shards is %lld: it must be a power of two", (long long)n_shards);
    LS_TRY(ls_engine_check_features(model, dataset));
    if (n_ranks > n_samples)
        return ls_fail(LS_E_USAGE, "%s: has %lld rows, fewer than the %d ranks: start at most %lld ranks",
                       ls_dataset_x_name(dataset), (long long)n_samples, n_ranks, (long long)n_samples);
    if (n_ranks > options->batch_size)
        return ls_fail(LS_E_USAGE,
                       "batch_size is %lld, fewer samples than the %d ranks: start at most %lld ranks or use a larger "
                       "batch_size",
                       (long long)options->batch_size, n_ranks, (long long)options->batch_size);
    if (n_ranks > n_shards)
        return ls_fail(LS_E_USAGE,
                       "a batch of %lld samples is cut into %lld shards, fewer than the %d ranks: start at most %lld "
                       "ranks or set shards to a larger power of two (which changes the rounding of the result)",
                       (long long)options->batch_size, (long long)n_shards, n_ranks, (long long)n_shards);
    return LS_OK;
}

/* Everything that one run needs, so that it is freed in one place. */
typedef struct run {
    ls_session *session;
    ls_model *model;
    const ls_train_options *options;
    const ls_train_observer *observer;
    ls_order order;
    ls_engine *engine;
    ls_tree *tree;
    ls_feed *feed;
    int64_t first_shard;
} run;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static ls_status prepare(run *r, ls_dataset *dataset, int64_t n_shards)
{
    const int rank = ls_session_rank(r->session), n_ranks = ls_session_size(r->session);
    const int64_t end_shard = ls_split(n_shards, n_ranks, rank + 1);
    r->first_shard = ls_split(n_shards, n_ranks, rank);
    ls_order_init(&r->order, ls_dataset_n_samples(dataset), r->model->n_features, r->options->batch_size, n_shards,
                  r->options->shuffle, r->options->seed);
    ls_status status = ls_engine_create(&ls_engine_reference, r->model, n_shards, &r->engine);
    if (status == LS_OK)
        status = ls_feed_create(&r->order, dataset, r->model->dtype, r->first_shard, end_shard, &r->feed);
    LS_TRY(ls_session_agree(r->session, status));
    return ls_tree_create(r->session, &r->engine->layout, n_shards, &r->tree);
}

/* One step: local sums, one reduction, the same update on every rank. Adds the batch's measures to metrics. */
static ls_status step(run *r, int64_t epoch, int64_t k, ls_metrics *metrics)
{
    const void *x, *y;
    const int64_t *shard_rows;
    const size_t size = ls_dtype_size(r->model->dtype), row_size = (size_t)r->model->n_features * size;
    ls_feed_batch(r->feed, epoch, k, &x, &y, &shard_rows);
    for (int i = 0; i < ls_tree_n_subtrees(r->tree); i++) {
        const ls_subtree subtree = ls_tree_subtree(r->tree, i);
        const int64_t *rows = shard_rows + (subtree.first - r->first_shard);
        r->engine->kind->gradient(r->engine, x, y, rows, subtree.count, ls_tree_message(r->tree, i));
        for (int64_t shard = 0; shard < subtree.count; shard++) {
            x = (const char *)x + (size_t)rows[shard] * row_size;
            y = (const char *)y + (size_t)rows[shard] * size;
        }
    }
    void *sum;
    LS_TRY(ls_tree_reduce(r->tree, &sum));
    const ls_message_layout *layout = &r->engine->layout;
    const double *doubles = ls_message_doubles(layout, sum);
    const int64_t *ints = ls_message_ints(layout, sum);
    const ls_metrics batch = {.n_samples = ints[LS_STEP_SAMPLES],
                              .loss_sum = doubles[LS_STEP_LOSS],
                              .tn = ints[LS_STEP_TN],
                              .fp = ints[LS_STEP_FP],
                              .fn = ints[LS_STEP_FN],
                              .tp = ints[LS_STEP_TP]};
    ls_metrics_add(metrics, &batch);
    /* The sum is the same everywhere, so all ranks stop here together. */
    if (!isfinite(batch.loss_sum))
        return ls_fail(LS_E_DIVERGED,
                       "the loss of step %lld in epoch %lld is not finite: use a smaller learning_rate (it is %g)",
                       (long long)k + 1, (long long)epoch + 1, r->options->learning_rate);
    ls_sgd_step(r->model, sum, batch.n_samples, r->options->learning_rate);
    return LS_OK;
}

static ls_status train_epoch(run *r, int64_t epoch, ls_epoch_record *record)
{
    const bool watched = ls_session_rank(r->session) == 0 && r->observer && r->observer->progress;
    const double begin = now();
    double shown = begin;
    *record = (ls_epoch_record){.epoch = epoch};
    for (int64_t k = 0; k < r->order.n_batches; k++) {
        LS_TRY(step(r, epoch, k, &record->metrics));
        const bool last = k + 1 == r->order.n_batches;
        if (!watched && !last) continue;
        const double time = now();
        if (last) {
            record->seconds = time - begin;
            record->samples_per_second = (double)record->metrics.n_samples / record->seconds;
        }
        if (watched && (last || time - shown >= PROGRESS_SECONDS)) {
            shown = time;
            const ls_train_progress progress = {.epoch = epoch,
                                                .n_epochs = r->options->epochs,
                                                .step = k + 1,
                                                .n_steps = r->order.n_batches,
                                                .seconds = time - begin,
                                                .metrics = record->metrics};
            r->observer->progress(r->observer->context, &progress);
        }
    }
    return LS_OK;
}

ls_status ls_train(ls_session *session, ls_model *model, ls_dataset *dataset, const ls_train_options *options,
                   const ls_train_observer *observer, ls_history *history)
{
    run r = {.session = session, .model = model, .options = options, .observer = observer};
    ls_history_clear(history);
    const int64_t n_shards = options->n_shards ? options->n_shards : ls_train_default_shards(options->batch_size);
    LS_TRY(check_options(session, model, dataset, options, n_shards));
    ls_status status = prepare(&r, dataset, n_shards);
    for (int64_t epoch = 0; status == LS_OK && epoch < options->epochs; epoch++) {
        ls_epoch_record record;
        status = train_epoch(&r, epoch, &record);
        if (status == LS_OK) status = ls_history_append(session, history, &record);
    }
    ls_feed_destroy(r.feed);
    ls_tree_destroy(r.tree);
    ls_engine_destroy(r.engine);
    return status;
}
