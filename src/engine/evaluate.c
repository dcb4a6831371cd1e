#include "lockstep/evaluate.h"

#include "comm/progress.h"
#include "data/row_reader.h"
#include "engine/engine.h"
#include "model/penalty.h"

/* The rows are cut into leaves, and a leaf into pieces; both fix the order of the loss' additions, so neither
 * may depend on the number of ranks. More ranks than leaves would be idle; leaves of few rows would leave
 * vectors empty. */
enum { MIN_LEAVES = 64, MAX_LEAVES = 1024, PIECE_ROWS = 1024 };

static int64_t choose_leaves(int64_t n_samples)
{
    int64_t n_leaves = MIN_LEAVES;
    while (n_leaves < MAX_LEAVES && n_samples / (2 * n_leaves) >= PIECE_ROWS) n_leaves *= 2;
    return n_leaves;
}

/* This rank's way through its rows. */
typedef struct own_rows {
    ls_engine *engine;
    ls_row_reader *reader;
    int64_t n_samples, n_leaves; /* of all ranks */
    int64_t begin, end;
    const ls_progress_part *progress;
} own_rows;

/* The measures of rows [row, end), added in the order of the rows. */
static ls_status measure_leaf(const own_rows *own, int64_t row, int64_t end, ls_metrics *metrics)
{
    ls_engine *engine = own->engine;
    for (int64_t rows; row < end; row += rows) {
        const void *x, *y;
        rows = end - row < PIECE_ROWS ? end - row : PIECE_ROWS;
        LS_TRY(ls_row_reader_get(own->reader, row, rows, &x, &y));
        ls_place_at(LS_AT_COMPUTE, -1);
        engine->kind->measure(engine, x, y, rows, metrics, NULL);
        ls_progress_report(own->progress, row + rows - own->begin, own->end - own->begin);
    }
    return LS_OK;
}

/* The sum over a subtree is that of its left half plus that of its right half. */
static ls_status measure_subtree(const own_rows *own, ls_subtree at, ls_metrics *metrics)
{
    if (at.count == 1)
        return measure_leaf(own, ls_split(own->n_samples, own->n_leaves, at.first),
                            ls_split(own->n_samples, own->n_leaves, at.first + 1), metrics);
    ls_metrics right = {0};
    LS_TRY(measure_subtree(own, (ls_subtree){at.first, at.count / 2}, metrics));
    LS_TRY(measure_subtree(own, (ls_subtree){at.first + at.count / 2, at.count / 2}, &right));
    ls_metrics_add(metrics, &right);
    return LS_OK;
}

static ls_status measure_own_rows(ls_engine *engine, ls_dataset *dataset, const ls_progress_part *progress,
                                  ls_tree *tree, const ls_message_layout *layout)
{
    const int n_subtrees = ls_tree_n_subtrees(tree);
    if (n_subtrees == 0) return LS_OK;
    const int64_t n_samples = ls_dataset_n_samples(dataset), n_leaves = choose_leaves(n_samples);
    const ls_subtree first = ls_tree_subtree(tree, 0), last = ls_tree_subtree(tree, n_subtrees - 1);
    own_rows own = {
        .engine = engine,
        .n_samples = n_samples,
        .n_leaves = n_leaves,
        .begin = ls_split(n_samples, n_leaves, first.first),
        .end = ls_split(n_samples, n_leaves, last.first + last.count),
        .progress = progress,
    };
    LS_TRY(ls_row_reader_create(dataset, engine->model->dtype, own.end, PIECE_ROWS, &own.reader));
    ls_status status = LS_OK;
    for (int i = 0; i < n_subtrees && status == LS_OK; i++) {
        ls_metrics metrics = {0};
        status = measure_subtree(&own, ls_tree_subtree(tree, i), &metrics);
        void *message = ls_tree_message(tree, i);
        ls_step_put_metrics(engine, layout, message, &metrics);
    }
    ls_row_reader_destroy(own.reader);
    return status;
}

ls_status ls_evaluate(ls_session *session, const ls_model *model, ls_dataset *dataset,
                      const ls_progress *progress, ls_metrics *metrics)
{
    ls_message_layout layout;
    ls_engine *engine;
    ls_tree *tree = NULL;
    const int64_t n_samples = ls_dataset_n_samples(dataset);
    const ls_progress_part part = {session, progress, 0, n_samples, n_samples};
    *metrics = (ls_metrics){0};
    LS_TRY(ls_engine_check_features(model, dataset));
    if (!ls_dataset_has_y(dataset))
        return ls_fail(LS_E_INPUT, "%s: has no labels to measure against", ls_dataset_x_name(dataset));
    const ls_engine_plan plan = {
        .targets = ls_dataset_targets(dataset), .batch_size = LS_MEASURED_BATCH, .n_shards = 1};
    ls_status status = ls_session_agree(
        session, ls_engine_create(ls_engine_choose(LS_ENGINE_AUTO, model), model, &plan, &engine));
    ls_step_layout(model, &plan.targets, 0, 0, &layout);
    if (status == LS_OK) status = ls_tree_create(session, &layout, choose_leaves(n_samples), false, &tree);
    if (status == LS_OK)
        status = ls_session_agree(session, measure_own_rows(engine, dataset, &part, tree, &layout));
    void *sum = NULL;
    if (status == LS_OK) status = ls_tree_reduce(tree, &sum);
    if (status == LS_OK) {
        *metrics = ls_step_metrics(engine, &layout, sum);
        /* Keras' loss of a model has its penalties. */
        if (ls_penalty_exists(model)) metrics->loss_sum += ls_penalty_value(model) * (double)n_samples;
        ls_progress_end(&part);
    }
    ls_tree_destroy(tree);
    ls_engine_destroy(engine);
    return status;
}
