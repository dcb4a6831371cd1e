#include "train/calibrate.h"

#include "base/memory.h"
#include "comm/tree.h"
#include "data/order.h"
#include "engine/engine.h"
#include "random/philox.h"
#include "train/optimizer.h"
#include "train/options.h"
#include "train/times.h"

static const double SECONDS = 0.15; /* of each measurement, at least */
enum {
    ROWS_BYTES = 32 << 20, /* synthetic rows: more than the nearer caches hold */
    LINE = 64              /* of a cache */
};

/* One rank's share of a few batches. */
typedef struct workbench {
    ls_order order;
    ls_engine *engine;
    ls_model model; /* with parameters of its own */
    ls_subtree subtrees[LS_MAX_SUBTREES];
    int n_subtrees;
    int64_t first_shard, n_shards;
    ls_walk *walks;
    int64_t *shard_begin; /* of each shard in the rows, and the end */
    int64_t *shard_rows;  /* of each shard in a batch */
    int64_t *rows;        /* of a batch, their numbers */
    void *x, *y;
    size_t packed_begin[LS_MAX_SUBTREES], packed_size; /* of a batch */
    char *packed;     /* a batch, or all of them where their rows stay the same */
    char *messages;   /* one per subtree */
    int64_t epoch, k; /* of the next batch */
} workbench;

static void clear(workbench *bench)
{
    for (int64_t i = 0; bench->walks && i < bench->n_shards; i++) ls_walk_end(&bench->walks[i]);
    ls_free(bench->walks);
    ls_free(bench->shard_begin);
    ls_free(bench->shard_rows);
    ls_free(bench->rows);
    ls_free(bench->x);
    ls_free(bench->y);
    ls_free(bench->packed);
    ls_free(bench->messages);
    ls_free(bench->model.parameters);
    ls_engine_destroy(bench->engine);
}

static void put(void *values, ls_dtype dtype, int64_t i, double value)
{
    if (dtype == LS_FLOAT32) {
        ((float *)values)[i] = (float)value;
    } else {
        ((double *)values)[i] = value;
    }
}

static ls_status make_rows(workbench *bench)
{
    const ls_model *model = &bench->model;
    const int64_t n_rows = bench->shard_begin[bench->n_shards], n_values = n_rows * model->n_features;
    const size_t size = ls_dtype_size(model->dtype);
    LS_TRY(ls_alloc(&bench->x, (size_t)n_rows, (size_t)model->n_features * size, "synthetic rows"));
    LS_TRY(ls_alloc(&bench->y, (size_t)n_rows, size, "synthetic labels"));
    uint32_t word = 1;
    for (int64_t i = 0; i < n_values + n_rows; i++) {
        word = word * 1664525 + 1013904223; /* any numbers do */
        if (i < n_values) {
            put(bench->x, model->dtype, i, (double)word * 0x1p-31 - 1);
        } else {
            put(bench->y, model->dtype, i - n_values, word >> 31);
        }
    }
    return LS_OK;
}

static void pack(workbench *bench, int64_t k, char *to)
{
    int64_t *rows = bench->rows, *shard_rows = bench->shard_rows;
    for (int64_t i = 0; i < bench->n_shards; i++) {
        ls_walk_rows(&bench->walks[i], bench->epoch, k * shard_rows[i], shard_rows[i], bench->shard_begin[i],
                     rows);
        rows += shard_rows[i];
    }
    rows = bench->rows;
    for (int i = 0; i < bench->n_subtrees; i++) {
        const int64_t n_shards = bench->subtrees[i].count;
        bench->engine->kind->pack(bench->engine, bench->x, bench->y, rows, shard_rows, n_shards,
                                  to + bench->packed_begin[i]);
        for (int64_t shard = 0; shard < n_shards; shard++) rows += shard_rows[shard];
        shard_rows += n_shards;
    }
}

static ls_status lay_out(workbench *bench, int n_ranks, int share)
{
    const ls_order *order = &bench->order;
    const size_t n_shards = (size_t)bench->n_shards;
    LS_TRY(ls_alloc(&bench->walks, n_shards, sizeof *bench->walks, "synthetic rows"));
    LS_TRY(ls_alloc(&bench->shard_begin, n_shards + 1, sizeof *bench->shard_begin, "synthetic rows"));
    LS_TRY(ls_alloc(&bench->shard_rows, n_shards, sizeof *bench->shard_rows, "synthetic rows"));
    int64_t batch_rows = 0;
    for (int64_t i = 0; i < bench->n_shards; i++) {
        const int64_t shard = bench->first_shard + i;
        bench->shard_begin[i + 1] = bench->shard_begin[i] + ls_order_shard_rows(order, shard);
        bench->shard_rows[i] = ls_order_share(order, 0, shard);
        batch_rows += bench->shard_rows[i];
        LS_TRY(ls_walk_begin(&bench->walks[i], order, shard));
    }
    bench->n_subtrees = ls_subtrees_of(order->n_shards, bench->first_shard,
                                       ls_split(order->n_shards, n_ranks, share + 1), bench->subtrees);
    for (int i = 0; i < bench->n_subtrees; i++) {
        const ls_subtree at = bench->subtrees[i];
        bench->packed_begin[i] = bench->packed_size;
        bench->packed_size += bench->engine->kind->packed_size(
            bench->engine, bench->shard_rows + (at.first - bench->first_shard), at.count);
    }
    LS_TRY(ls_alloc(&bench->rows, (size_t)batch_rows, sizeof *bench->rows, "synthetic rows"));
    LS_TRY(ls_alloc(&bench->packed, order->shuffle ? 1 : (size_t)order->n_batches, bench->packed_size,
                    "synthetic rows"));
    return ls_alloc(&bench->messages, (size_t)bench->n_subtrees, bench->engine->layout.size, "messages");
}

static ls_status prepare(workbench *bench, const ls_model *model, const ls_train_options *options,
                         int64_t n_samples, int n_ranks, int share, ls_calibration *result)
{
    const int64_t n_shards = ls_train_shards(options);
    const size_t size = ls_dtype_size(model->dtype);
    bench->model = *model;
    bench->model.parameters = NULL;
    bench->first_shard = ls_split(n_shards, n_ranks, share);
    bench->n_shards = ls_split(n_shards, n_ranks, share + 1) - bench->first_shard;
    /* Whole batches, so that all steps are alike. */
    const int64_t batch = options->batch_size < n_samples ? options->batch_size : n_samples;
    const int64_t own_bytes = (batch / n_ranks + 1) * (model->n_features + 1) * (int64_t)size;
    int64_t n_batches = 1 + ROWS_BYTES / own_bytes;
    if (n_batches > n_samples / batch) n_batches = n_samples / batch;
    ls_order_init(&bench->order, n_batches * batch, model->n_features, batch, n_shards, options->shuffle, 0);
    LS_TRY(ls_alloc(&bench->model.parameters, (size_t)model->n_parameters, size, "weights"));
    ls_model_init_glorot_uniform(&bench->model, 0);
    const int64_t before = ls_alloc_live_bytes();
    LS_TRY(ls_engine_create(ls_engine_choose(options->engine, model), &bench->model, options->batch_size,
                            n_shards, 0, &bench->engine));
    result->engine_bytes = ls_alloc_live_bytes() - before;
    LS_TRY(lay_out(bench, n_ranks, share));
    result->packed_bytes = (int64_t)bench->packed_size;
    LS_TRY(make_rows(bench));
    if (options->shuffle) return LS_OK;
    for (int64_t k = 0; k < bench->order.n_batches; k++)
        pack(bench, k, bench->packed + (size_t)k * bench->packed_size);
    return LS_OK;
}

static void step(workbench *bench, const ls_train_options *options)
{
    const char *packed = bench->packed + (options->shuffle ? 0 : (size_t)bench->k * bench->packed_size);
    const size_t size = bench->engine->layout.size;
    if (options->shuffle) pack(bench, bench->k, bench->packed);
    for (int i = 0; i < bench->n_subtrees; i++)
        bench->engine->kind->gradient(bench->engine, packed + bench->packed_begin[i],
                                      bench->shard_rows + (bench->subtrees[i].first - bench->first_shard),
                                      bench->subtrees[i].count, bench->messages + (size_t)i * size);
    /* Without learning from rows that mean nothing. */
    ls_sgd_step(&bench->model, bench->messages, bench->order.batch_size, 0);
    if (++bench->k == bench->order.n_batches) {
        bench->k = 0;
        bench->epoch++;
    }
}

ls_status ls_calibrate_compute(const ls_model *model, const ls_train_options *options, int64_t n_samples,
                               int n_ranks, int share, ls_calibration *result)
{
    workbench bench = {0};
    *result = (ls_calibration){0};
    const ls_status status = prepare(&bench, model, options, n_samples, n_ranks, share, result);
    if (status == LS_OK) {
        step(&bench, options);
        const double begin = ls_now();
        int64_t n_steps = 0;
        for (int64_t more = 1; ls_now() - begin < SECONDS; more *= 2) {
            for (int64_t i = 0; i < more; i++) step(&bench, options);
            n_steps += more;
        }
        result->seconds = (ls_now() - begin) / (double)n_steps;
    }
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
    ls_message_layout_init(&layout, model->dtype, model->n_parameters, LS_STEP_DOUBLES, LS_STEP_INTS);
    LS_TRY(ls_tree_create(session, &layout, ls_train_shards(options), options->reduction == LS_REDUCTION_MPI,
                          &tree));
    const ls_status status = reduce_for_a_while(session, tree, layout.size, seconds);
    ls_tree_destroy(tree);
    return ls_session_agree(session, status);
}
