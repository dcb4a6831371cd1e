#include "train/calibrate.h"

#include "base/memory.h"
#include "comm/tree.h"
#include "data/feed.h"
#include "engine/engine.h"
#include "lockstep/generate.h"
#include "train/optimizer.h"
#include "train/options.h"
#include "train/schedule.h"
#include "train/times.h"

static const double SECONDS = 0.15; /* of each measurement, at least */
enum {
    ROWS_BYTES = 16 << 20, /* rows: more than the nearer caches hold */
    LINE = 64              /* of a cache */
};

/* One rank's share of a few batches. */
typedef struct workbench {
    ls_order order;
    ls_engine *engine;
    ls_model model; /* with parameters of its own */
    ls_optimizer_state *optimizer;
    ls_feed *feed;
    ls_subtree subtrees[LS_MAX_SUBTREES];
    int n_subtrees;
    int64_t *shard_rows;                               /* of each shard in a batch */
    size_t packed_begin[LS_MAX_SUBTREES], packed_size; /* of a batch */
    char *packed;     /* a batch, or all of them where their rows stay the same */
    char *messages;   /* one per subtree */
    int64_t epoch, k; /* of the next batch */
} workbench;

static void clear(workbench *bench)
{
    ls_feed_destroy(bench->feed);
    ls_free(bench->shard_rows);
    ls_free(bench->packed);
    ls_free(bench->messages);
    ls_optimizer_destroy(bench->optimizer);
    ls_free(bench->model.parameters);
    ls_engine_destroy(bench->engine);
}

static ls_status pack(workbench *bench, int64_t epoch, int64_t k, char *to)
{
    const ls_rows *rows;
    const int64_t *shard_rows = bench->shard_rows;
    LS_TRY(ls_feed_batch(bench->feed, epoch, k, &rows));
    for (int i = 0; i < bench->n_subtrees; i++) {
        const int64_t n_shards = bench->subtrees[i].count;
        bench->engine->kind->pack(bench->engine, rows, shard_rows, n_shards, to + bench->packed_begin[i]);
        rows += n_shards;
        shard_rows += n_shards;
    }
    return LS_OK;
}

static ls_status lay_out(workbench *bench, ls_dataset *dataset, int n_ranks, int share)
{
    const ls_order *order = &bench->order;
    const int64_t first = ls_split(order->n_shards, n_ranks, share),
                  end = ls_split(order->n_shards, n_ranks, share + 1);
    LS_TRY(
        ls_alloc(&bench->shard_rows, (size_t)(end - first), sizeof *bench->shard_rows, "shards of a rank"));
    for (int64_t s = first; s < end; s++) bench->shard_rows[s - first] = ls_order_share(order, 0, s);
    bench->n_subtrees = ls_subtrees_of(order->n_shards, first, end, bench->subtrees);
    for (int i = 0; i < bench->n_subtrees; i++) {
        const ls_subtree at = bench->subtrees[i];
        bench->packed_begin[i] = bench->packed_size;
        bench->packed_size +=
            bench->engine->kind->packed_size(bench->engine, bench->shard_rows + (at.first - first), at.count);
    }
    LS_TRY(ls_alloc(&bench->packed, order->shuffle ? 1 : (size_t)order->n_batches, bench->packed_size,
                    "packed rows"));
    LS_TRY(ls_alloc(&bench->messages, (size_t)bench->n_subtrees, bench->engine->layout.size, "messages"));
    return ls_feed_create(order, dataset, bench->model.dtype, first, end, INT64_MAX, &bench->feed);
}

static ls_status prepare(workbench *bench, const ls_model *model, const ls_train_options *options,
                         ls_dataset *dataset, int n_ranks, int share, ls_calibration *result)
{
    const int64_t n_shards = ls_train_shards(options), n_samples = ls_dataset_n_samples(dataset);
    const size_t size = ls_dtype_size(model->dtype);
    bench->model = *model;
    bench->model.parameters = NULL;
    /* Whole batches, so that all steps are alike. */
    const int64_t batch = options->batch_size < n_samples ? options->batch_size : n_samples;
    const ls_targets targets = ls_dataset_targets(dataset);
    const int64_t own_bytes =
        (batch / n_ranks + 1) * (model->n_features + ls_targets_row_values(&targets)) * (int64_t)size;
    int64_t n_batches = 1 + ROWS_BYTES / own_bytes;
    if (n_batches > n_samples / batch) n_batches = n_samples / batch;
    ls_order_init(&bench->order, n_batches * batch, model->n_features, batch, n_shards, options->shuffle, 0);
    LS_TRY(ls_alloc(&bench->model.parameters, (size_t)model->n_parameters, size, "weights"));
    ls_model_init_glorot_uniform(&bench->model, 0);
    /* Without learning from rows that mean nothing. */
    ls_optimizer optimizer = options->optimizer;
    optimizer.schedule = ls_schedule_resolve(&optimizer.schedule, n_batches);
    LS_TRY(ls_optimizer_create(&bench->model, &optimizer, 0, &bench->optimizer));
    const int64_t before = ls_alloc_live_bytes();
    const ls_engine_plan plan = {.targets = targets, .batch_size = options->batch_size, .n_shards = n_shards};
    LS_TRY(ls_engine_create(ls_engine_choose(options->engine, model), &bench->model, &plan, &bench->engine));
    result->engine_bytes = ls_alloc_live_bytes() - before;
    LS_TRY(lay_out(bench, dataset, n_ranks, share));
    result->packed_bytes = (int64_t)bench->packed_size;
    if (options->shuffle) return LS_OK;
    for (int64_t k = 0; k < bench->order.n_batches; k++)
        LS_TRY(pack(bench, 0, k, bench->packed + (size_t)k * bench->packed_size));
    return LS_OK;
}

static ls_status step(workbench *bench, const ls_train_options *options)
{
    const char *packed = bench->packed + (options->shuffle ? 0 : (size_t)bench->k * bench->packed_size);
    const int64_t *shard_rows = bench->shard_rows;
    if (options->shuffle) LS_TRY(pack(bench, bench->epoch, bench->k, bench->packed));
    for (int i = 0; i < bench->n_subtrees; i++) {
        bench->engine->kind->gradient(bench->engine, packed + bench->packed_begin[i], shard_rows,
                                      bench->subtrees[i].count,
                                      bench->messages + (size_t)i * bench->engine->layout.size);
        shard_rows += bench->subtrees[i].count;
    }
    bench->optimizer->step(bench->optimizer, bench->messages, bench->order.batch_size);
    if (++bench->k == bench->order.n_batches) {
        bench->k = 0;
        bench->epoch++;
    }
    return LS_OK;
}

static ls_status step_for_a_while(workbench *bench, const ls_train_options *options, double *seconds)
{
    LS_TRY(step(bench, options));
    const double begin = ls_now();
    int64_t n_steps = 0;
    for (int64_t more = 1; ls_now() - begin < SECONDS; more *= 2) {
        for (int64_t i = 0; i < more; i++) LS_TRY(step(bench, options));
        n_steps += more;
    }
    *seconds = (ls_now() - begin) / (double)n_steps;
    return LS_OK;
}

ls_status ls_calibrate_open(ls_session *session, const ls_model *model, int64_t n_samples,
                            ls_dataset **dataset)
{
    ls_generate_options options = {.rng = LS_RNG_PHILOX};
    ls_make_classification_defaults(&options.data);
    options.data.n_samples = n_samples;
    options.data.n_features = model->n_features;
    options.data.n_informative = 1;
    options.data.n_redundant = 0;
    options.data.n_clusters_per_class = 1;
    LS_TRY(ls_dataset_open_generated(session, &options, dataset));
    return ls_engine_check_features(model, *dataset);
}

ls_status ls_calibrate_compute(const ls_model *model, const ls_train_options *options, ls_dataset *dataset,
                               int n_ranks, int share, ls_calibration *result)
{
    workbench bench = {0};
    *result = (ls_calibration){0};
    ls_status status = prepare(&bench, model, options, dataset, n_ranks, share, result);
    if (status == LS_OK) status = step_for_a_while(&bench, options, &result->seconds);
    clear(&bench);
    return status;
}

/* One reduction of messages that have just been written: the others fetch every line of them. */
static ls_status reduce(ls_tree *tree, size_t size)
{
    void *sum;
    for (int i = 0; i < ls_tree_n_subtrees(tree); i++) {
        volatile char *message = ls_tree_message(tree, i);
        for (size_t at = 0; at < size; at += LINE) message[at] = 0;
    }
    return ls_tree_reduce(tree, &sum);
}

static ls_status reduce_for_a_while(ls_session *session, ls_tree *tree, size_t size, double *seconds)
{
    int64_t n = 0;
    LS_TRY(reduce(tree, size));
    const double begin = ls_now();
    for (int64_t more = 1; more > 0;) {
        for (int64_t i = 0; i < more; i++) LS_TRY(reduce(tree, size));
        n += more;
        /* Rank 0's clock says for all when it is enough. */
        more = ls_now() - begin < SECONDS ? 2 * more : 0;
        LS_TRY(ls_broadcast(session, &more, sizeof more));
    }
    *seconds = (ls_now() - begin) / (double)n;
    return LS_OK;
}

ls_status ls_calibrate_exchange(ls_session *session, const ls_model *model, const ls_train_options *options,
                                double *seconds)
{
    ls_tree *tree;
    ls_message_layout layout;
    const ls_targets targets = ls_engine_targets(model);
    ls_step_layout(model, &targets, model->n_parameters, 0, &layout);
    LS_TRY(ls_tree_create(session, &layout, ls_train_shards(options), options->reduction == LS_REDUCTION_MPI,
                          &tree));
    const ls_status status = reduce_for_a_while(session, tree, layout.size, seconds);
    ls_tree_destroy(tree);
    return ls_session_agree(session, status);
}
