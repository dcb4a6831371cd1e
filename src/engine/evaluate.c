#include "engine/evaluate.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/values.h"
#include "comm/progress.h"
#include "data/row_reader.h"
#include "engine/engine.h"
#include "engine/scores.h"
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

enum { WANTS_SCORES = 1, WANTS_KEYS = 2 };

/* Sums over some rows. */
typedef struct tally {
    ls_metrics metrics;
    ls_score_sums scores;
} tally;

struct ls_evaluation {
    ls_session *session;
    ls_progress_part progress;
    ls_message_layout layout;
    ls_engine *engine;
    ls_tree *tree;
    int64_t n_samples, n_leaves; /* of all ranks */
    int64_t piece_rows;
    int64_t begin, end; /* this rank's rows */
    ls_dataset *inputs;
    int64_t memory;        /* for them */
    ls_row_reader *reader; /* NULL where there are none */
    int wants;             /* bits */
    /* For scores alone: */
    int64_t n_doubles, n_ints; /* of the sums, which follow the measures in a message */
    void *outputs;             /* of a piece */
    ls_confusion confusion;    /* of this rank */
    tally *levels;             /* sums that wait for their neighbour */
    uint64_t *keys;            /* of this rank's predictions, or NULL */
    int64_t n_ranked;          /* rows of them */
};

static void clear(const ls_evaluation *e, tally *sums)
{
    sums->metrics = (ls_metrics){0};
    for (int64_t i = 0; i < e->n_doubles; i++) sums->scores.doubles[i] = 0;
    for (int64_t i = 0; i < e->n_ints; i++) sums->scores.ints[i] = 0;
}

static void add(const ls_evaluation *e, tally *left, const tally *right)
{
    ls_metrics_add(&left->metrics, &right->metrics);
    for (int64_t i = 0; i < e->n_doubles; i++) left->scores.doubles[i] += right->scores.doubles[i];
    for (int64_t i = 0; i < e->n_ints; i++) left->scores.ints[i] += right->scores.ints[i];
}

/* Label after label, for each is ranked by itself. */
static void keep_keys(ls_evaluation *e, const void *y, int64_t n_rows)
{
    const ls_dtype dtype = e->engine->model->dtype;
    const int64_t y_values = ls_targets_row_values(&e->engine->targets),
                  n_labels = e->engine->targets.n_columns;
    for (int64_t i = 0; i < n_rows; i++, e->n_ranked++)
        for (int64_t label = 0; label < n_labels; label++)
            e->keys[label * (e->end - e->begin) + e->n_ranked] =
                ls_ranking_key(ls_value_at(dtype, e->outputs, i * n_labels + label),
                               ls_value_at(dtype, y, i * y_values + label) != 0);
}

/* The sums over rows [row, end), added in the order of the rows. */
static ls_status measure_leaf(ls_evaluation *e, int64_t row, int64_t end, tally *sums)
{
    for (int64_t rows; row < end; row += rows) {
        const void *x, *y;
        rows = end - row < e->piece_rows ? end - row : e->piece_rows;
        LS_TRY(ls_row_reader_get(e->reader, row, rows, &x, &y));
        ls_place_at(LS_AT_COMPUTE, -1);
        e->engine->kind->measure(e->engine, x, y, rows, &sums->metrics, e->outputs);
        if (e->n_doubles + e->n_ints > 0)
            LS_TRY(ls_score_add(e->engine->model, &e->engine->targets, y, e->outputs, rows, sums->scores,
                                &e->confusion));
        if (e->keys) keep_keys(e, y, rows);
        ls_progress_report(&e->progress, row + rows - e->begin, e->end - e->begin);
    }
    return LS_OK;
}

/* The sum over a subtree is that of its left half plus that of its right half, which waits at `level`. */
static ls_status measure_subtree(ls_evaluation *e, ls_subtree at, int level, tally *sums)
{
    if (at.count == 1)
        return measure_leaf(e, ls_split(e->n_samples, e->n_leaves, at.first),
                            ls_split(e->n_samples, e->n_leaves, at.first + 1), sums);
    tally *right = &e->levels[level];
    LS_TRY(measure_subtree(e, (ls_subtree){at.first, at.count / 2}, level + 1, sums));
    clear(e, right);
    LS_TRY(measure_subtree(e, (ls_subtree){at.first + at.count / 2, at.count / 2}, level + 1, right));
    add(e, sums, right);
    return LS_OK;
}

static ls_status measure_own_rows(ls_evaluation *e)
{
    const size_t doubles = (size_t)e->n_doubles * sizeof(double), ints = (size_t)e->n_ints * sizeof(int64_t);
    tally *sums = &e->levels[0];
    e->n_ranked = 0;
    for (int i = 0; i < ls_tree_n_subtrees(e->tree); i++) {
        void *message = ls_tree_message(e->tree, i);
        clear(e, sums);
        LS_TRY(measure_subtree(e, ls_tree_subtree(e->tree, i), 1, sums));
        ls_step_put_metrics(e->engine, &e->layout, message, &sums->metrics);
        memcpy(ls_message_doubles(&e->layout, message) + e->layout.n_doubles - e->n_doubles,
               sums->scores.doubles, doubles);
        memcpy(ls_message_ints(&e->layout, message) + e->layout.n_ints - e->n_ints, sums->scores.ints, ints);
    }
    return LS_OK;
}

/* Room for sums of all levels of the tree, and one more. */
static ls_status make_levels(ls_evaluation *e)
{
    const int n_levels = ls_tree_levels(e->n_leaves) + 1;
    LS_TRY(ls_alloc(&e->levels, (size_t)n_levels, sizeof *e->levels, "sums of an evaluation"));
    for (int i = 0; i < n_levels; i++) {
        ls_score_sums *sums = &e->levels[i].scores;
        LS_TRY(
            ls_alloc(&sums->doubles, (size_t)e->n_doubles, sizeof *sums->doubles, "sums of an evaluation"));
        LS_TRY(ls_alloc(&sums->ints, (size_t)e->n_ints, sizeof *sums->ints, "sums of an evaluation"));
    }
    return LS_OK;
}

static void free_levels(ls_evaluation *e)
{
    for (int i = 0; e->levels && i <= ls_tree_levels(e->n_leaves); i++) {
        ls_free(e->levels[i].scores.doubles);
        ls_free(e->levels[i].scores.ints);
    }
    ls_free(e->levels);
}

static ls_status open_own_rows(ls_evaluation *e, ls_dataset *dataset)
{
    const int n_subtrees = ls_tree_n_subtrees(e->tree);
    if (n_subtrees == 0) return LS_OK;
    const ls_subtree first = ls_tree_subtree(e->tree, 0), last = ls_tree_subtree(e->tree, n_subtrees - 1);
    e->begin = ls_split(e->n_samples, e->n_leaves, first.first);
    e->end = ls_split(e->n_samples, e->n_leaves, last.first + last.count);
    const ls_model *model = e->engine->model;
    if (e->wants & WANTS_SCORES)
        LS_TRY(ls_alloc(&e->outputs, (size_t)(e->piece_rows * ls_model_n_outputs(model)),
                        ls_dtype_size(model->dtype), "outputs"));
    if (e->wants & WANTS_KEYS)
        LS_TRY(ls_alloc(&e->keys, (size_t)((e->end - e->begin) * ls_model_n_outputs(model)), sizeof *e->keys,
                        "predictions to be ranked"));
    LS_TRY(ls_model_open_inputs(model, dataset, &e->inputs));
    return ls_row_reader_create(e->inputs, e->engine->model->dtype, e->begin, e->end, e->piece_rows,
                                e->memory, &e->reader);
}

static ls_status prepare(ls_evaluation *e, const ls_model *model, ls_dataset *dataset)
{
    const ls_engine_plan plan = {
        .targets = ls_dataset_targets(dataset), .batch_size = LS_MEASURED_BATCH, .n_shards = 1};
    LS_TRY(ls_session_agree(
        e->session, ls_engine_create(ls_engine_choose(LS_ENGINE_AUTO, model), model, &plan, &e->engine)));
    if (e->wants & WANTS_SCORES) ls_score_sizes(model, &e->n_doubles, &e->n_ints);
    ls_step_layout(model, &plan.targets, 0, 0, &e->layout);
    ls_message_layout_init(&e->layout, model->dtype, 0, e->layout.n_doubles + e->n_doubles,
                           e->layout.n_ints + e->n_ints);
    LS_TRY(ls_session_agree(e->session, make_levels(e)));
    LS_TRY(ls_tree_create(e->session, &e->layout, e->n_leaves, false, &e->tree));
    return ls_session_agree(e->session, open_own_rows(e, dataset));
}

static ls_status create(ls_session *session, const ls_model *model, ls_dataset *dataset, int wants,
                        int64_t memory, const ls_progress *progress, ls_evaluation **result)
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
        e->wants = wants;
        e->memory = memory;
        e->n_samples = n_samples;
        e->n_leaves = ls_evaluation_leaves(n_samples);
        e->piece_rows = ls_measured_rows(model, PIECE_ROWS);
        status = prepare(e, model, dataset);
    }
    if (status != LS_OK) {
        ls_evaluation_destroy(e);
        return status;
    }
    *result = e;
    return LS_OK;
}

ls_status ls_evaluation_create(ls_session *session, const ls_model *model, ls_dataset *dataset,
                               int64_t memory, const ls_progress *progress, ls_evaluation **evaluation)
{
    return create(session, model, dataset, 0, memory, progress, evaluation);
}

void ls_evaluation_destroy(ls_evaluation *e)
{
    if (!e) return;
    free_levels(e);
    ls_free(e->outputs);
    ls_confusion_clear(&e->confusion);
    ls_free(e->keys);
    ls_row_reader_destroy(e->reader);
    ls_dataset_close(e->inputs);
    ls_tree_destroy(e->tree);
    ls_engine_destroy(e->engine);
    ls_free(e);
}

static ls_status run(ls_evaluation *e, ls_metrics *metrics, ls_score_sums *scores)
{
    void *sum;
    *metrics = (ls_metrics){0};
    LS_TRY(ls_session_agree(e->session, measure_own_rows(e)));
    LS_TRY(ls_tree_reduce(e->tree, &sum));
    *metrics = ls_step_metrics(e->engine, &e->layout, sum);
    /* Keras' loss of a model has its penalties. */
    const ls_model *model = e->engine->model;
    if (ls_penalty_exists(model)) metrics->loss_sum += ls_penalty_value(model) * (double)e->n_samples;
    scores->doubles = ls_message_doubles(&e->layout, sum) + e->layout.n_doubles - e->n_doubles;
    scores->ints = ls_message_ints(&e->layout, sum) + e->layout.n_ints - e->n_ints;
    ls_progress_end(&e->progress);
    return LS_OK;
}

ls_status ls_evaluation_run(ls_evaluation *e, ls_metrics *metrics)
{
    ls_score_sums scores;
    return run(e, metrics, &scores);
}

static ls_status rank_labels(ls_evaluation *e, ls_scores *scores)
{
    const int64_t n_labels = e->engine->targets.n_columns, n_own = e->end - e->begin;
    if (n_labels == 1) return ls_ranking_auc(e->session, e->keys, n_own, &scores->roc_auc);
    double sum = 0;
    int64_t n_defined = 0;
    LS_TRY(ls_session_agree(e->session, ls_alloc(&scores->label_roc_auc, (size_t)n_labels,
                                                 sizeof *scores->label_roc_auc, "areas of labels")));
    for (int64_t i = 0; i < n_labels; i++) {
        double *auc = &scores->label_roc_auc[i];
        LS_TRY(ls_ranking_auc(e->session, e->keys ? e->keys + i * n_own : NULL, n_own, auc));
        if (isnan(*auc)) continue;
        sum += *auc;
        n_defined++;
    }
    if (n_defined > 0) scores->roc_auc = sum / (double)n_defined;
    return LS_OK;
}

ls_status ls_evaluate_scores(ls_session *session, const ls_model *model, ls_dataset *dataset, bool roc_auc,
                             const ls_progress *progress, ls_scores *scores)
{
    ls_evaluation *e;
    ls_score_sums sums;
    *scores = (ls_scores){0};
    if (roc_auc && model->loss != LS_BINARY_CROSSENTROPY)
        return ls_fail(LS_E_USAGE,
                       "areas under ROC curves are of two classes or of labels: the model's loss is %s",
                       ls_loss_name(model->loss));
    LS_TRY(create(session, model, dataset, WANTS_SCORES | (roc_auc ? WANTS_KEYS : 0), 0, progress, &e));
    ls_status status = run(e, &scores->metrics, &sums);
    if (status == LS_OK) status = ls_score_finish(session, model, sums, &e->confusion, scores);
    if (status == LS_OK && roc_auc) status = rank_labels(e, scores);
    ls_evaluation_destroy(e);
    return status;
}

ls_status ls_evaluate(ls_session *session, const ls_model *model, ls_dataset *dataset,
                      const ls_progress *progress, ls_metrics *metrics)
{
    ls_evaluation *evaluation;
    *metrics = (ls_metrics){0};
    LS_TRY(ls_evaluation_create(session, model, dataset, 0, progress, &evaluation));
    const ls_status status = ls_evaluation_run(evaluation, metrics);
    ls_evaluation_destroy(evaluation);
    return status;
}
