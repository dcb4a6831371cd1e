/* The reference engine: one sample at a time, one operation at a time, in the order of the formulas. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "engine/arithmetic.h"
#include "engine/dropout.h"
#include "engine/engine.h"
#include "engine/packed_rows.h"

typedef struct reference_state {
    void *outputs;       /* of every layer for one sample, layer after layer, */
    void *slopes;        /* and the activations' derivatives */
    int64_t last_output; /* where the last layer's outputs begin */
    void *deltas;        /* derivative of the loss by the layer's sums, widest layer, twice */
    void *factors;       /* of a layer's outputs: 0 for those that are dropped */
    ls_dropout *dropout;
    char *partial; /* sums of shards that wait for their neighbour: one message per level of the tree */
    int64_t widest;
} reference_state;

static void reference_destroy(ls_engine *engine)
{
    reference_state *state = engine->state;
    if (!state) return;
    ls_free(state->outputs);
    ls_free(state->slopes);
    ls_free(state->deltas);
    ls_free(state->factors);
    ls_dropout_destroy(state->dropout);
    ls_free(state->partial);
    ls_free(state);
}

static ls_status reference_create(ls_engine *engine)
{
    LS_TRY(ls_alloc(&engine->state, 1, sizeof(reference_state), "engine"));
    reference_state *state = engine->state;
    const ls_model *model = engine->model;
    const size_t size = ls_dtype_size(model->dtype);
    int64_t units = 0;
    for (int64_t i = 0; i < model->n_layers; i++) {
        units += model->layers[i].units;
        if (model->layers[i].units > state->widest) state->widest = model->layers[i].units;
    }
    state->last_output = units - ls_model_n_outputs(model);
    LS_TRY(ls_alloc(&state->outputs, (size_t)units, size, "layer outputs"));
    LS_TRY(ls_alloc(&state->slopes, (size_t)units, size, "layer outputs"));
    LS_TRY(ls_alloc(&state->factors, (size_t)state->widest, size, "dropout"));
    LS_TRY(ls_dropout_create(model, engine->dropout_seed, &state->dropout));
    LS_TRY(ls_alloc(&state->deltas, 2 * (size_t)state->widest, size, "layer gradients"));
    return ls_alloc(&state->partial, (size_t)ls_tree_levels(engine->n_shards), engine->layout.size,
                    "gradient sums");
}

#define REAL    float
#define NAME(x) x##_float32
#define TANH    tanhf
#define EXP     expf
#define EXPM1   expm1f
#define LOG     logf
#define LOG1P   log1pf
#define ERF     erff
#include "engine/reference_template.h"
#undef REAL
#undef NAME
#undef TANH
#undef EXP
#undef EXPM1
#undef LOG
#undef LOG1P
#undef ERF

#define REAL    double
#define NAME(x) x##_float64
#define TANH    tanh
#define EXP     exp
#define EXPM1   expm1
#define LOG     log
#define LOG1P   log1p
#define ERF     erf
#include "engine/reference_template.h"
#undef REAL
#undef NAME
#undef TANH
#undef EXP
#undef EXPM1
#undef LOG
#undef LOG1P
#undef ERF

static void reference_gradient(ls_engine *engine, const void *packed, const int64_t *shard_rows,
                               int64_t n_shards, void *message)
{
    const reference_state *state = engine->state;
    ls_sum_shards(engine,
                  engine->model->dtype == LS_FLOAT32 ? shard_gradient_float32 : shard_gradient_float64,
                  packed, shard_rows, n_shards, state->partial, message);
}

static void reference_measure(ls_engine *engine, const void *x, const void *y, int64_t n_rows,
                              ls_metrics *metrics, void *outputs)
{
    if (engine->model->dtype == LS_FLOAT32) {
        measure_float32(engine, x, y, n_rows, metrics, outputs);
    } else {
        measure_float64(engine, x, y, n_rows, metrics, outputs);
    }
}

const ls_engine_kind ls_engine_reference = {
    .name = "reference",
    .arithmetic = ls_arithmetic_name,
    .create = reference_create,
    .destroy = reference_destroy,
    .packed_size = ls_packed_rows_size,
    .pack = ls_pack_rows,
    .gradient = reference_gradient,
    .measure = reference_measure,
};
