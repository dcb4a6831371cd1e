#include "engine/evaluate.h"

#include "base/memory.h"
#include "comm/progress.h"
#include "data/row_reader.h"
#include "engine/engine.h"
#include "model/normalization.h"
#include "model/penalty.h"

/* The rows are cut into leaves, and a leaf into pieces; both fix the order of the loss' additions, so neither
 * may depend on the number of ranks. More ranks than leaves would be idle; leaves of few rows would leave
 * vectors empty. */
enum { MIN_LEAVES = 64, MAX_LEAVES = 1024, PIECE_ROWS = 1024 };

int64_t ls_evaluation_leaves(int64_t n_samples)
{
    int64_t n_leaves = MIN_LEAVES;
    while (n_leaves < MAX_LEAVES && n_samples / (2 * n_leaves) >= PIECE_ROWS) n_leaves *= 2;
    return n_leaves;
}

struct ls_evaluation {
    ls_session *session;
    ls_progress_part progress;
    ls_message_layout layout;
    ls_engine *engine;
    ls_tree *tree;
    int64_t n_samples, n_leaves; /* of all ranks */
    int64_t begin, end;          /* this rank's rows */
    ls_dataset *inputs;
    ls_row_reader *reader; /* NULL where there are none */
};

/* The measures of rows [row, end), added in the order of the rows. */
static ls_status measure_leaf(const ls_evaluation *e, int64_t row, int64_t end, ls_metrics *metrics)
{
    for (int64_t rows; row < end; row += rows) {
        const void *x, *y;
        rows = end - row < PIECE_ROWS ? end - row : PIECE_ROWS;
        LS_TRY(ls_row_reader_get(e->reader, row, rows, &x, &y));
        ls_place_at(LS_AT_COMPUTE, -1);
        e->engine->kind->measure(e->engine, x, y, rows, metrics, NULL);
        ls_progress_report(&e->progress, row + rows - e->begin, e->end - e->begin);
    }
    return LS_OK;
}

/* The sum over a subtree is that of its left half plus that of its right half. */
static ls_status measure_subtree(const ls_evaluation *e, ls_subtree at, ls_metrics *metrics)
{
    if (at.count == 1)
        return measure_leaf(e, ls_split(e->n_samples, e->n_leaves, at.first),
                            ls_split(e->n_samples, e->n_leaves, at.first + 1), metrics);
    ls_metrics right = {0};
    LS_TRY(measure_subtree(e, (ls_subtree){at.first, at.count / 2}, metrics));
    LS_TRY(measure_subtree(e, (ls_subtree){at.first + at.count / 2, at.count / 2}, &right));
    ls_metrics_add(metrics, &right);
    return LS_OK;
}

static ls_status measure_own_rows(ls_evaluation *e)
{
    for (int i = 0; i < ls_tree_n_subtrees(e->tree); i++) {
        ls_metrics metrics = {0};
        LS_TRY(measure_subtree(e, ls_tree_subtree(e->tree, i), &metrics));
        ls_step_put_metrics(e->engine, &e->layout, ls_tree_message(e->tree, i), &metrics);
    }
    return LS_OK;
}

static ls_status open_own_rows(ls_evaluation *e, ls_dataset *dataset)
{
    const int n_subtrees = ls_tree_n_subtrees(e->tree);
    if (n_subtrees == 0) return LS_OK;
    const ls_subtree first = ls_tree_subtree(e->tree, 0), last = ls_tree_subtree(e->tree, n_subtrees - 1);
    e->begin = ls_split(e->n_samples, e->n_leaves, first.first);
    e->end = ls_split(e->n_samples, e->n_leaves, last.first + last.count);
    LS_TRY(ls_model_open_inputs(e->engine->model, dataset, &e->inputs));
    return ls_row_reader_create(e->inputs, e->engine->model->dtype, e->end, PIECE_ROWS, &e->reader);
}

static ls_status prepare(ls_evaluation *e, const ls_model *model, ls_dataset *dataset)
{
    const ls_engine_plan plan = {
        .targets = ls_dataset_targets(dataset), .batch_size = LS_MEASURED_BATCH, .n_shards = 1};
    LS_TRY(ls_session_agree(
        e->session, ls_engine_create(ls_engine_choose(LS_ENGINE_AUTO, model), model, &plan, &e->engine)));
    ls_step_layout(model, &plan.targets, 0, 0, &e->layout);
    LS_TRY(ls_tree_create(e->session, &e->layout, e->n_leaves, false, &e->tree));
    return ls_session_agree(e->session, open_own_rows(e, dataset));
}

ls_status ls_evaluation_create(ls_session *session, const ls_model *model, ls_dataset *dataset,
                               const ls_progress *progress, ls_evaluation **result)
{
    const int64_t n_samples = ls_dataset_n_samples(dataset);
    ls_evaluation *e;
    *result = NULL;
    LS_TRY(ls_engine_check_features(model, dataset));
    if (!ls_dataset_has_y(dataset))
        return ls_fail(LS_E_INPUT, "%s: has no labels to measure against", ls_dataset_x_name(dataset));
    ls_status status = ls_session_agree(session, ls_alloc(&e, 1, sizeof *e, "evaluation"));
    if (status == LS_OK) {
        e->session = session;
        e->progress = (ls_progress_part){session, progress, 0, n_samples, n_samples};
        e->n_samples = n_samples;
        e->n_leaves = ls_evaluation_leaves(n_samples);
        status = prepare(e, model, dataset);
    }
    if (status != LS_OK) {
        ls_evaluation_destroy(e);
        return status;
    }
    *result = e;
    return LS_OK;
}

void ls_evaluation_destroy(ls_evaluation *e)
{
    if (!e) return;
    ls_row_reader_destroy(e->reader);
    ls_dataset_close(e->inputs);
    ls_tree_destroy(e->tree);
    ls_engine_destroy(e->engine);
    ls_free(e);
}

ls_status ls_evaluation_run(ls_evaluation *e, ls_metrics *metrics)
{
    void *sum;
    *metrics = (ls_metrics){0};
    LS_TRY(ls_session_agree(e->session, measure_own_rows(e)));
    LS_TRY(ls_tree_reduce(e->tree, &sum));
    *metrics = ls_step_metrics(e->engine, &e->layout, sum);
    /* Keras' loss of a model has its penalties. */
    const ls_model *model = e->engine->model;
    if (ls_penalty_exists(model)) metrics->loss_sum += ls_penalty_value(model) * (double)e->n_samples;
    ls_progress_end(&e->progress);
    return LS_OK;
}

ls_status ls_evaluate(ls_session *session, const ls_model *model, ls_dataset *dataset,
                      const ls_progress *progress, ls_metrics *metrics)
{
    ls_evaluation *evaluation;
    *metrics = (ls_metrics){0};
    LS_TRY(ls_evaluation_create(session, model, dataset, progress, &evaluation));
    const ls_status status = ls_evaluation_run(evaluation, metrics);
    ls_evaluation_destroy(evaluation);
    return status;
}
