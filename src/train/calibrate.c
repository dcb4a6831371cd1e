#include "train/calibrate.h"

#include <math.h>

#include "base/memory.h"
#include "comm/tree.h"
#include "data/feed.h"
#include "engine/engine.h"
#include "lockstep/generate.h"
#include "model/model.h"
#include "train/optimizer.h"
#include "train/options.h"
#include "train/schedule.h"
#include "train/times.h"

static const double SECONDS = 0.15; /* of each measurement, at least */
enum {
    ROWS_BYTES = 16 << 20, /* rows: more than the nearer caches hold */
    LINE = 64,             /* of a cache */
    MOST_PARAMETERS = 1 << 22,
    FEW_SHARDS = 16, /* of a step that is tried, where there are as many: fewer might not fill a vector */
    FEW_ROWS = 128   /* of a step that is tried, at least: for fewer the engine may take another way */
};
/* Of a step that is tried: a fraction of a second. */
static const double MOST_FLOPS = 1e10, MOST_BYTES = 0x1p27;

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

/* Who has which rows, and how many bytes they take. */
static ls_status lay_out(workbench *bench, int n_ranks, int share)
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
    return LS_OK;
}

static ls_status fill(workbench *bench, ls_dataset *dataset, int n_ranks, int share)
{
    const ls_order *order = &bench->order;
    const size_t n_packed = order->shuffle ? 1 : (size_t)order->n_batches;
    LS_TRY(ls_alloc(&bench->packed, n_packed, bench->packed_size, "packed rows"));
    LS_TRY(ls_alloc(&bench->messages, (size_t)bench->n_subtrees, bench->engine->layout.size, "messages"));
    LS_TRY(ls_feed_create(order, dataset, bench->model.dtype, ls_split(order->n_shards, n_ranks, share),
                          ls_split(order->n_shards, n_ranks, share + 1), INT64_MAX, &bench->feed));
    for (int64_t k = 0; !order->shuffle && k < order->n_batches; k++)
        LS_TRY(pack(bench, 0, k, bench->packed + (size_t)k * bench->packed_size));
    return LS_OK;
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
    LS_TRY(lay_out(bench, n_ranks, share));
    result->packed_bytes = (int64_t)bench->packed_size;
    result->rows = 0;
    for (int64_t s = ls_split(n_shards, n_ranks, share); s < ls_split(n_shards, n_ranks, share + 1); s++)
        result->rows += ls_order_share(&bench->order, 0, s);
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

ls_status ls_calibrate_narrow(const ls_model *model, ls_model **narrow)
{
    *narrow = NULL;
    const double factor = sqrt(MOST_PARAMETERS / (double)model->n_parameters);
    const int64_t hidden = model->n_layers - 1;
    ls_layer_plan *plan;
    LS_TRY(ls_alloc(&plan, (size_t)model->n_layers, sizeof *plan, "layers"));
    for (int64_t i = 0; i < model->n_layers; i++) {
        const ls_layer *layer = &model->layers[i];
        const int64_t units =
            i < hidden && factor < 1 ? 1 + (int64_t)(factor * (double)layer->units) : layer->units;
        plan[i] =
            (ls_layer_plan){layer->name, units, layer->activation, layer->l1, layer->l2, layer->dropout};
    }
    const int64_t n_features =
        factor < 1 ? 1 + (int64_t)(factor * (double)model->n_features) : model->n_features;
    const ls_status status = ls_model_create_layers(model->dtype, n_features, plan, model->n_layers, narrow);
    ls_free(plan);
    LS_TRY(status);
    (*narrow)->loss = model->loss;
    (*narrow)->label_smoothing = model->label_smoothing;
    (*narrow)->huber_delta = model->huber_delta;
    return LS_OK;
}

static ls_status try_steps(const ls_model *model, const ls_train_options *options, ls_dataset *dataset,
                           int n_ranks, int share, ls_calibration *result)
{
    workbench bench = {0};
    ls_status status = prepare(&bench, model, options, dataset, n_ranks, share, result);
    if (status == LS_OK) status = fill(&bench, dataset, n_ranks, share);
    if (status == LS_OK) status = step_for_a_while(&bench, options, &result->seconds);
    clear(&bench);
    return status;
}

/* As many rows as take a fraction of a second and some megabytes. */
static int64_t few_rows(const ls_model *model)
{
    const double by_flops = MOST_FLOPS / (6 * (double)model->n_parameters),
                 by_bytes = MOST_BYTES / ((double)(model->n_features + 1) * sizeof(double));
    const int64_t rows = (int64_t)fmin(by_flops, by_bytes);
    return rows < FEW_ROWS ? FEW_ROWS : rows;
}

/* The first n_shards shards of a batch, of shard_rows rows each. */
static ls_status try_shards(const ls_model *model, const ls_train_options *options, ls_dataset *dataset,
                            int64_t n_shards, int64_t shard_rows, ls_calibration *result)
{
    ls_train_options part = *options;
    part.n_shards = ls_train_shards(options);
    part.batch_size = part.n_shards * shard_rows;
    return try_steps(model, &part, dataset, (int)(part.n_shards / n_shards), 0, result);
}

ls_status ls_calibrate_compute(const ls_model *model, const ls_train_options *options, ls_dataset *dataset,
                               int n_ranks, int share, ls_calibration *result)
{
    workbench bench = {0};
    *result = (ls_calibration){0};
    const ls_status status = prepare(&bench, model, options, dataset, n_ranks, share, result);
    clear(&bench);
    LS_TRY(status);
    const int64_t few = few_rows(model);
    result->rows_tried = result->rows;
    if (result->rows <= 2 * few) return try_steps(model, options, dataset, n_ranks, share, result);
    /* Two short steps tell what each row takes, and what a step takes whatever its rows: of some shards and
     * twice as many, or where a single one is long of a shorter one. */
    const int64_t batch = bench.order.batch_size, shard_rows = batch / bench.order.n_shards;
    ls_calibration half, whole;
    if (shard_rows <= few && bench.order.n_shards > 1) {
        const int64_t half_of_all = bench.order.n_shards / 2;
        int64_t n_shards = FEW_SHARDS < half_of_all ? FEW_SHARDS : half_of_all;
        while (2 * n_shards * shard_rows <= few) n_shards *= 2;
        LS_TRY(try_shards(model, options, dataset, n_shards, shard_rows, &half));
        LS_TRY(try_shards(model, options, dataset, 2 * n_shards, shard_rows, &whole));
    } else {
        LS_TRY(try_shards(model, options, dataset, 1, few, &half));
        LS_TRY(try_shards(model, options, dataset, 1, 2 * few, &whole));
    }
    const double row = fmax(0, (whole.seconds - half.seconds) / (double)(whole.rows - half.rows));
    result->rows_tried = whole.rows;
    result->seconds = whole.seconds + row * (double)(result->rows - whole.rows);
    return LS_OK;
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
