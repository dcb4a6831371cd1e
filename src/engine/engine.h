/* The arithmetic of a model: gradient sums of shards, measures and predictions of rows.
 *
 * An engine is bound to one model and dtype. Every result is a function of the parameters and the rows alone,
 * never of the number of ranks: within a shard the sums run in an order that the engine fixes, across shards
 * they follow the pairwise-adjacent tree of comm/tree.h. Arrays x (rows x n_features, row-major) and y (rows)
 * are of the model's dtype and borrowed; a row of y holds what ls_targets says. All functions are local. */
#ifndef LS_ENGINE_ENGINE_H
#define LS_ENGINE_ENGINE_H

#include "comm/tree.h"
#include "data/segment.h"
#include "data/targets.h"
#include "lockstep/dataset.h"
#include "lockstep/evaluate.h"
#include "lockstep/model.h"
#include "lockstep/train.h"

/* Sections of a step's message. Reals: the gradient sum of each parameter, in the order of the model.
 * Doubles: the loss, and unless the engine is plain the sums that follow it. Integers: counts by the engine,
 * then what a rank (not a shard) adds: whether a signal came, whether a checkpoint is due by the clock, and,
 * if the run compares weights, n_extra more. */
enum {
    LS_STEP_LOSS,
    LS_STEP_PLAIN_DOUBLES,
    LS_STEP_CROSS_ENTROPY = LS_STEP_PLAIN_DOUBLES,
    LS_STEP_ABSOLUTE_ERROR,
    LS_STEP_SQUARED_ERROR,
    LS_STEP_DOUBLES
};
enum {
    LS_STEP_SAMPLES,
    LS_STEP_CORRECT, /* several classes; of two there are: */
    LS_STEP_FP,
    LS_STEP_FN,
    LS_STEP_TP,
    LS_STEP_SIGNALS,
    LS_STEP_CHECKPOINT,
    LS_STEP_INTS
};

typedef struct ls_engine ls_engine;

/* What an implementation provides. */
typedef struct ls_engine_kind {
    const char *name;
    /* What decides the last bits of its results beside our own code, as text: equal texts give equal bits. */
    void (*arithmetic)(char *text, size_t size);
    ls_status (*create)(ls_engine *engine); /* what it has made when it fails, destroy frees */
    void (*destroy)(ls_engine *engine);
    /* Bytes of n_shards packed shards with shard_rows[i] rows each (0 is allowed); n_shards is a power of
     * two. */
    size_t (*packed_size)(const ls_engine *engine, const int64_t *shard_rows, int64_t n_shards);
    /* Lays the shards' rows out as gradient reads them; those of shard i begin at rows[i]. */
    void (*pack)(const ls_engine *engine, const ls_rows *rows, const int64_t *shard_rows, int64_t n_shards,
                 void *packed);
    /* Writes (not adds) the sums over the packed shards to message. */
    void (*gradient)(ls_engine *engine, const void *packed, const int64_t *shard_rows, int64_t n_shards,
                     void *message);
    /* Adds the measures of the rows to *metrics, in the order of the rows, and writes n_rows x n_outputs
     * outputs (probabilities of classes, of class 1 if there are two; numbers), in the model's dtype. metrics
     * (and with it y) or outputs may be NULL. Nothing is dropped. */
    void (*measure)(ls_engine *engine, const void *x, const void *y, int64_t n_rows, ls_metrics *metrics,
                    void *outputs);
} ls_engine_kind;

struct ls_engine {
    const ls_engine_kind *kind;
    const ls_model *model; /* borrowed; its parameters are read anew at every call */
    ls_message_layout layout;
    ls_targets targets; /* beside the features of a row */
    bool is_plain;      /* binary cross-entropy of labels as they are, without weights */
    int64_t batch_size; /* of all shards together, as far as it decides an order of additions */
    int64_t n_shards;
    uint64_t dropout_seed; /* which outputs are dropped is a function of it, of the unit and of the sample's
                              number */
    int64_t first_sample;  /* number of the next gradient's first row since training began; the caller sets it
                              once  for gradients of rows that follow one another */
    void *state;           /* the implementation's own */
};

extern const ls_engine_kind ls_engine_reference; /* plain scalar C: the oracle for the others */
extern const ls_engine_kind ls_engine_simd;      /* vectors across samples */
extern const ls_engine_kind ls_engine_blas;      /* products of matrices by CBLAS */

/* What a model learns from where samples have no weights and classes are numbers. Local. */
ls_targets ls_engine_targets(const ls_model *model);

/* Whether an engine for these is plain. Local. */
bool ls_engine_is_plain(const ls_model *model, const ls_targets *targets);

/* The layout of a step's message, or with n_reals 0 of the measures alone. Local. */
void ls_step_layout(const ls_model *model, const ls_targets *targets, int64_t n_reals, int n_extra,
                    ls_message_layout *layout);

/* The measures in a message. Local. */
static inline void ls_step_put_metrics(const ls_engine *engine, const ls_message_layout *layout,
                                       void *message, const ls_metrics *metrics)
{
    int64_t *ints = ls_message_ints(layout, message);
    double *doubles = ls_message_doubles(layout, message);
    doubles[LS_STEP_LOSS] = metrics->loss_sum;
    ints[LS_STEP_SAMPLES] = metrics->n_samples;
    ints[LS_STEP_CORRECT] = metrics->n_correct;
    ints[LS_STEP_FP] = metrics->fp;
    ints[LS_STEP_FN] = metrics->fn;
    ints[LS_STEP_TP] = metrics->tp;
    if (engine->is_plain) return;
    doubles[LS_STEP_CROSS_ENTROPY] = metrics->cross_entropy_sum;
    doubles[LS_STEP_ABSOLUTE_ERROR] = metrics->absolute_error_sum;
    doubles[LS_STEP_SQUARED_ERROR] = metrics->squared_error_sum;
}

static inline ls_metrics ls_step_metrics(const ls_engine *engine, const ls_message_layout *layout,
                                         void *message)
{
    const int64_t *ints = ls_message_ints(layout, message);
    const double *doubles = ls_message_doubles(layout, message);
    const int64_t n_samples = ints[LS_STEP_SAMPLES], fp = ints[LS_STEP_FP], fn = ints[LS_STEP_FN],
                  tp = ints[LS_STEP_TP];
    ls_metrics metrics = {.n_samples = n_samples,
                          .loss_sum = doubles[LS_STEP_LOSS],
                          .fp = fp,
                          .fn = fn,
                          .tp = tp,
                          .n_correct = ints[LS_STEP_CORRECT],
                          .cross_entropy_sum = doubles[LS_STEP_LOSS]};
    if (engine->is_plain || engine->model->loss == LS_BINARY_CROSSENTROPY)
        metrics.tn = n_samples * engine->targets.n_columns - fp - fn - tp;
    if (engine->is_plain) return metrics;
    metrics.cross_entropy_sum = doubles[LS_STEP_CROSS_ENTROPY];
    metrics.absolute_error_sum = doubles[LS_STEP_ABSOLUTE_ERROR];
    metrics.squared_error_sum = doubles[LS_STEP_SQUARED_ERROR];
    return metrics;
}

/* Levels of the tree over n_shards shards, a power of two: as many sums wait for their neighbour at most.
 * Local. */
static inline int ls_tree_levels(int64_t n_shards)
{
    int levels = 1;
    for (int64_t shards = 1; shards < n_shards; shards *= 2) levels++;
    return levels;
}

/* The engine of that name, or the one for the model's widths. Local. */
const ls_engine_kind *ls_engine_choose(ls_engine_choice choice, const ls_model *model);

/* What an engine that only measures and predicts names as its batch: as many rows as fill any vector. */
enum { LS_MEASURED_BATCH = 64 };

/* How many rows are measured or predicted at a time, `rows` but for very many outputs, which would take much
 * memory. A function of the model alone. Local. */
int64_t ls_measured_rows(const ls_model *model, int64_t rows);

/* What an engine is made for. */
typedef struct ls_engine_plan {
    ls_targets targets; /* n_columns 0: a class, or as many numbers as outputs, without weights */
    int64_t batch_size; /* rows, */
    int64_t n_shards;   /* which are cut into so many shards: at most these in a call */
    int n_extra;        /* integers of a message more than LS_STEP_INTS; it sets them to zero */
    uint64_t seed;      /* of what is dropped */
} ls_engine_plan;

/* Makes an engine. The caller destroys *engine. LS_E_MEMORY. */
ls_status ls_engine_create(const ls_engine_kind *kind, const ls_model *model, const ls_engine_plan *plan,
                           ls_engine **engine);

/* Frees it; NULL is allowed. */
void ls_engine_destroy(ls_engine *engine);

/* Has dataset read its rows for the model. LS_E_INPUT, naming both numbers, unless its features (and its
 * targets, if it has any) fit it. */
ls_status ls_engine_check_features(const ls_model *model, ls_dataset *dataset);

#endif
