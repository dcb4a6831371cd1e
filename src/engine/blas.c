/* The engine that leaves products of matrices to CBLAS: one product per shard and layer, so that its shape,
 * and with it the order of its additions, is a function of the shard alone. Its bits depend on the kernels of
 * the library. */
#include <cblas.h>
#include <stdio.h>
#include <string.h>

#include "base/blas.h"
#include "base/memory.h"
#include "engine/engine.h"
#include "engine/packed_rows.h"
#include "engine/simd/kernel.h"

typedef struct blas_state {
    const ls_simd_kernel *kernel; /* elementwise functions */
    int64_t lanes;                /* of the widest vector: arrays are filled up to a multiple of it */
    int64_t max_rows;             /* of a shard or a piece of a set */
    char **outputs;               /* of each layer: max_rows x units */
    char *deltas, *below;         /* max_rows x widest */
    char *labels;
    char *partial; /* sums of shards that wait for their neighbour: one message per level of the tree */
} blas_state;

enum { PIECE_ROWS = 1024 };

static void blas_destroy(ls_engine *engine)
{
    blas_state *state = engine->state;
    if (!state) return;
    for (int64_t l = 0; state->outputs && l < engine->model->n_layers; l++) ls_free(state->outputs[l]);
    ls_free(state->outputs);
    ls_free(state->deltas);
    ls_free(state->below);
    ls_free(state->labels);
    ls_free(state->partial);
    ls_free(state);
}

static ls_status blas_create(ls_engine *engine)
{
    LS_TRY(ls_alloc(&engine->state, 1, sizeof(blas_state), "engine"));
    blas_state *state = engine->state;
    const ls_model *model = engine->model;
    const size_t size = ls_dtype_size(model->dtype);
    size_t widest = 1;
    state->kernel = ls_simd_kernel_for(model->dtype, INT64_MAX);
    if (!state->kernel)
        return ls_fail(LS_E_USAGE, "LOCKSTEP_SIMD names kernels that this processor or build does not have");
    state->lanes = model->dtype == LS_FLOAT32 ? LS_SIMD_LANES_FLOAT32 : LS_SIMD_LANES_FLOAT64;
    state->max_rows = (engine->batch_size - 1) / engine->n_shards + 1;
    if (state->max_rows < PIECE_ROWS) state->max_rows = PIECE_ROWS;
    const size_t rows = (size_t)state->max_rows, slack = (size_t)state->lanes;
    LS_TRY(ls_alloc(&state->outputs, (size_t)model->n_layers, sizeof *state->outputs, "layer outputs"));
    for (int64_t l = 0; l < model->n_layers; l++) {
        const size_t units = (size_t)model->layers[l].units;
        if (units > widest) widest = units;
        LS_TRY(ls_alloc(&state->outputs[l], rows * units + slack, size, "layer outputs"));
    }
    LS_TRY(ls_alloc(&state->deltas, rows * widest + slack, size, "layer gradients"));
    LS_TRY(ls_alloc(&state->below, rows * widest + slack, size, "layer gradients"));
    LS_TRY(ls_alloc(&state->labels, rows + slack, size, "labels"));
    return ls_alloc(&state->partial, (size_t)ls_tree_levels(engine->n_shards), engine->layout.size,
                    "gradient sums");
}

static int64_t round_up(const blas_state *state, int64_t n)
{
    return (n + state->lanes - 1) / state->lanes * state->lanes;
}

#define REAL    float
#define NAME(x) x##_float32
#define GEMM    cblas_sgemm
#include "engine/blas_template.h"
#undef REAL
#undef NAME
#undef GEMM

#define REAL    double
#define NAME(x) x##_float64
#define GEMM    cblas_dgemm
#include "engine/blas_template.h"
#undef REAL
#undef NAME
#undef GEMM

static void blas_gradient(ls_engine *engine, const void *packed, const int64_t *shard_rows, int64_t n_shards,
                          void *message)
{
    const blas_state *state = engine->state;
    ls_sum_shards(engine,
                  engine->model->dtype == LS_FLOAT32 ? shard_gradient_float32 : shard_gradient_float64,
                  packed, shard_rows, n_shards, state->partial, message);
}

static void blas_measure(ls_engine *engine, const void *x, const void *y, int64_t n_rows, ls_metrics *metrics)
{
    const size_t value = ls_dtype_size(engine->model->dtype),
                 row_size = (size_t)engine->model->n_features * value;
    for (int64_t row = 0, rows; row < n_rows; row += rows) {
        const char *x_rows = (const char *)x + (size_t)row * row_size,
                   *y_rows = (const char *)y + (size_t)row * value;
        rows = n_rows - row < PIECE_ROWS ? n_rows - row : PIECE_ROWS;
        if (engine->model->dtype == LS_FLOAT32)
            measure_piece_float32(engine, (const float *)x_rows, (const float *)y_rows, rows, metrics);
        if (engine->model->dtype == LS_FLOAT64)
            measure_piece_float64(engine, (const double *)x_rows, (const double *)y_rows, rows, metrics);
    }
}

static void blas_predict(ls_engine *engine, const void *x, int64_t n_rows, void *p)
{
    const blas_state *state = engine->state;
    const size_t value = ls_dtype_size(engine->model->dtype),
                 row_size = (size_t)engine->model->n_features * value;
    char *logits = state->outputs[engine->model->n_layers - 1];
    for (int64_t row = 0, rows; row < n_rows; row += rows) {
        const char *x_rows = (const char *)x + (size_t)row * row_size;
        rows = n_rows - row < PIECE_ROWS ? n_rows - row : PIECE_ROWS;
        if (engine->model->dtype == LS_FLOAT32) forward_float32(engine, (const float *)x_rows, rows);
        if (engine->model->dtype == LS_FLOAT64) forward_float64(engine, (const double *)x_rows, rows);
        state->kernel->activate(LS_SIGMOID, rows, logits);
        memcpy((char *)p + (size_t)row * value, logits, (size_t)rows * value);
    }
}

static void blas_arithmetic(char *text, size_t size)
{
    char name[64];
    ls_blas_name(name, sizeof name);
    snprintf(text, size, "%s, kernels %s", name, ls_blas_kernels());
}

const ls_engine_kind ls_engine_blas = {
    .name = "blas",
    .arithmetic = blas_arithmetic,
    .create = blas_create,
    .destroy = blas_destroy,
    .packed_size = ls_packed_rows_size,
    .pack = ls_pack_rows,
    .gradient = blas_gradient,
    .measure = blas_measure,
    .predict = blas_predict,
};
