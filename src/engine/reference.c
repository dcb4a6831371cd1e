/* The reference engine: one sample at a time, one operation at a time, in the order of the formulas. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "engine/arithmetic.h"
#include "engine/engine.h"
#include "engine/packed_rows.h"

typedef struct reference_state {
    void *activations; /* outputs of every layer for one sample, layer after layer */
    void *deltas;      /* derivative of the loss by the layer's input sums, widest layer, twice */
    char *partial;     /* sums of shards that wait for their neighbour: one message per level of the tree */
    int64_t widest;
} reference_state;

static void reference_destroy(ls_engine *engine)
{
    reference_state *state = engine->state;
    if (!state) return;
    ls_free(state->activations);
    ls_free(state->deltas);
    ls_free(state->partial);
    ls_free(state);
}

static ls_status allocate(ls_engine *engine)
{
    reference_state *state = engine->state;
    const ls_model *model = engine->model;
    const size_t size = ls_dtype_size(model->dtype);
    int64_t units = 0, levels = 1;
    for (int64_t i = 0; i < model->n_layers; i++) {
        units += model->layers[i].units;
        if (model->layers[i].units > state->widest) state->widest = model->layers[i].units;
    }
    for (int64_t shards = 1; shards < engine->n_shards; shards *= 2) levels++;
    LS_TRY(ls_alloc(&state->activations, (size_t)units, size, "layer outputs"));
    LS_TRY(ls_alloc(&state->deltas, 2 * (size_t)state->widest, size, "layer gradients"));
    return ls_alloc(&state->partial, (size_t)levels, engine->layout.size, "gradient sums");
}

static ls_status reference_create(ls_engine *engine)
{
    LS_TRY(ls_alloc(&engine->state, 1, sizeof(reference_state), "engine"));
    const ls_status status = allocate(engine);
    if (status != LS_OK) reference_destroy(engine);
    return status;
}

#define REAL    float
#define NAME(x) x##_float32
#define TANH    tanhf
#define EXP     expf
#define LOG1P   log1pf
#include "engine/reference_template.h"
#undef REAL
#undef NAME
#undef TANH
#undef EXP
#undef LOG1P

#define REAL    double
#define NAME(x) x##_float64
#define TANH    tanh
#define EXP     exp
#define LOG1P   log1p
#include "engine/reference_template.h"
#undef REAL
#undef NAME
#undef TANH
#undef EXP
#undef LOG1P

static void reference_gradient(ls_engine *engine, const void *packed, const int64_t *shard_rows,
                               int64_t n_shards, void *message)
{
    const reference_state *state = engine->state;
    const void *x = packed, *y = (const char *)packed +
                                 (size_t)(ls_total_rows(shard_rows, n_shards) * engine->model->n_features) *
                                     ls_dtype_size(engine->model->dtype);
    const bool single = engine->model->dtype == LS_FLOAT32;
    const size_t size = engine->layout.size;
    int64_t row = 0;
    int level = 0; /* sums that wait; the lowest one waits in message itself */
    for (int64_t shard = 0; shard < n_shards; shard++) {
        char *sums = level == 0 ? message : state->partial + (size_t)level * size;
        memset(sums, 0, size);
        if (single) {
            shard_gradient_float32(engine, x, y, row, shard_rows[shard], sums);
        } else {
            shard_gradient_float64(engine, x, y, row, shard_rows[shard], sums);
        }
        row += shard_rows[shard];
        level++;
        /* Each factor 2 of the shards done completes a right half: add it to its left half. */
        for (int64_t done = shard + 1; done % 2 == 0; done /= 2) {
            level--;
            char *left = level == 1 ? message : state->partial + (size_t)(level - 1) * size;
            ls_message_add(&engine->layout, left, state->partial + (size_t)level * size);
        }
    }
}

static void reference_measure(ls_engine *engine, const void *x, const void *y, int64_t n_rows,
                              ls_metrics *metrics)
{
    if (engine->model->dtype == LS_FLOAT32) {
        measure_float32(engine, x, y, n_rows, metrics);
    } else {
        measure_float64(engine, x, y, n_rows, metrics);
    }
}

static void reference_predict(ls_engine *engine, const void *x, int64_t n_rows, void *p)
{
    if (engine->model->dtype == LS_FLOAT32) {
        predict_float32(engine, x, n_rows, p);
    } else {
        predict_float64(engine, x, n_rows, p);
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
    .predict = reference_predict,
};
