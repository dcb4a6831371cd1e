/* The arithmetic of a model: gradient sums of shards, measures and predictions of rows.
 *
 * An engine is bound to one model and dtype. Every result is a function of the parameters and the rows alone,
 * never of the number of ranks: within a shard the sums run in an order that the engine fixes, across shards
 * they follow the pairwise-adjacent tree of comm/tree.h. Arrays x (rows x n_features, row-major) and y (rows)
 * are of the model's dtype and borrowed. All functions are local. */
#ifndef LS_ENGINE_ENGINE_H
#define LS_ENGINE_ENGINE_H

#include "comm/tree.h"
#include "data/segment.h"
#include "lockstep/dataset.h"
#include "lockstep/evaluate.h"
#include "lockstep/model.h"
#include "lockstep/train.h"

/* Sections of a step's message. Reals: the gradient sum of each parameter, in the order of the model.
 * Integers: counts by the engine, then what a rank (not a shard) adds: whether a signal came, whether a
 * checkpoint is due by the clock, and, if the run compares weights, n_extra more. */
enum { LS_STEP_LOSS, LS_STEP_DOUBLES };
enum {
    LS_STEP_SAMPLES,
    LS_STEP_TN,
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
    /* Adds the measures of the rows to *metrics, in the order of the rows. */
    void (*measure)(ls_engine *engine, const void *x, const void *y, int64_t n_rows, ls_metrics *metrics);
    /* Writes the n_rows probabilities of class 1 to p, in the model's dtype. */
    void (*predict)(ls_engine *engine, const void *x, int64_t n_rows, void *p);
} ls_engine_kind;

struct ls_engine {
    const ls_engine_kind *kind;
    const ls_model *model; /* borrowed; its parameters are read anew at every call */
    ls_message_layout layout;
    int64_t batch_size; /* of all shards together, as far as it decides an order of additions */
    int64_t n_shards;
    void *state; /* the implementation's own */
};

extern const ls_engine_kind ls_engine_reference; /* plain scalar C: the oracle for the others */
extern const ls_engine_kind ls_engine_simd;      /* vectors across samples */
extern const ls_engine_kind ls_engine_blas;      /* products of matrices by CBLAS */

/* The measures in a message, those of LS_STEP_LOSS and LS_STEP_SAMPLES to LS_STEP_TP. Local. */
static inline void ls_step_put_metrics(const ls_message_layout *layout, void *message,
                                       const ls_metrics *metrics)
{
    int64_t *ints = ls_message_ints(layout, message);
    ls_message_doubles(layout, message)[LS_STEP_LOSS] = metrics->loss_sum;
    ints[LS_STEP_SAMPLES] = metrics->n_samples;
    ints[LS_STEP_TN] = metrics->tn;
    ints[LS_STEP_FP] = metrics->fp;
    ints[LS_STEP_FN] = metrics->fn;
    ints[LS_STEP_TP] = metrics->tp;
}

static inline ls_metrics ls_step_metrics(const ls_message_layout *layout, void *message)
{
    const int64_t *ints = ls_message_ints(layout, message);
    return (ls_metrics){.n_samples = ints[LS_STEP_SAMPLES],
                        .loss_sum = ls_message_doubles(layout, message)[LS_STEP_LOSS],
                        .tn = ints[LS_STEP_TN],
                        .fp = ints[LS_STEP_FP],
                        .fn = ints[LS_STEP_FN],
                        .tp = ints[LS_STEP_TP]};
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

/* Makes an engine for calls of at most n_shards shards, into which batches of batch_size rows are cut, with
 * messages that have n_extra integers more than LS_STEP_INTS, which it sets to zero. The caller destroys
 * *engine. LS_E_MEMORY. */
ls_status ls_engine_create(const ls_engine_kind *kind, const ls_model *model, int64_t batch_size,
                           int64_t n_shards, int n_extra, ls_engine **engine);

/* Frees it; NULL is allowed. */
void ls_engine_destroy(ls_engine *engine);

/* LS_E_INPUT, naming both numbers, unless the rows of dataset fit the model. */
ls_status ls_engine_check_features(const ls_model *model, const ls_dataset *dataset);

#endif
