/* The engine that leaves products of matrices to CBLAS: one product per shard and layer, so that its shape,
 * and with it the order of its additions, is a function of the shard alone. Its bits depend on the kernels of
 * the library. */
#include <cblas.h>
#include <stdio.h>
#include <string.h>

#include "base/blas.h"
#include "base/memory.h"
#include "engine/dropout.h"
#include "engine/engine.h"
#include "engine/packed_rows.h"
#include "engine/simd/kernel.h"

typedef struct blas_state {
    const ls_simd_kernel *kernel; /* elementwise functions and losses */
    ls_simd_network network;      /* what losses need of it */
    ls_simd_layer last;           /* likewise */
    ls_dropout *dropout;
    int64_t lanes;        /* of the widest vector: arrays are filled up to a multiple of it */
    int64_t max_rows;     /* of a shard or a piece of a set */
    char **outputs;       /* of each layer: max_rows x units */
    char **slopes;        /* of each layer but the last */
    char *factors;        /* max_rows x widest: 0 for outputs that are dropped */
    char *deltas, *below; /* max_rows x widest */
    char *judged,
        *judged_deltas; /* a chunk's outputs and their derivatives in rows of units, as losses want them */
    char *labels;       /* in rows of columns */
    char *partial;      /* sums of shards that wait for their neighbour: one message per level of the tree */
} blas_state;

enum { PIECE_ROWS = 1024 };

static void blas_destroy(ls_engine *engine)
{
    blas_state *state = engine->state;
    if (!state) return;
    for (int64_t l = 0; state->outputs && l < engine->model->n_layers; l++) ls_free(state->outputs[l]);
    for (int64_t l = 0; state->slopes && l < engine->model->n_layers; l++) ls_free(state->slopes[l]);
    ls_free(state->outputs);
    ls_free(state->slopes);
    ls_free(state->factors);
    ls_free(state->judged);
    ls_free(state->judged_deltas);
    ls_dropout_destroy(state->dropout);
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
    const ls_layer *last = &model->layers[model->n_layers - 1];
    state->last = (ls_simd_layer){.units = last->units, .activation = last->activation};
    state->network = (ls_simd_network){.n_layers = 1,
                                       .layers = &state->last,
                                       .loss = model->loss,
                                       .is_plain = engine->is_plain,
                                       .n_targets = engine->targets.n_columns,
                                       .label_smoothing = model->label_smoothing,
                                       .huber_delta = model->huber_delta};
    LS_TRY(ls_dropout_create(model, engine->dropout_seed, &state->dropout));
    LS_TRY(ls_alloc(&state->outputs, (size_t)model->n_layers, sizeof *state->outputs, "layer outputs"));
    LS_TRY(ls_alloc(&state->slopes, (size_t)model->n_layers, sizeof *state->slopes, "layer outputs"));
    for (int64_t l = 0; l < model->n_layers; l++) {
        const size_t units = (size_t)model->layers[l].units;
        if (units > widest) widest = units;
        LS_TRY(ls_alloc(&state->outputs[l], rows * units + slack, size, "layer outputs"));
        if (l < model->n_layers - 1)
            LS_TRY(ls_alloc(&state->slopes[l], rows * units + slack, size, "layer outputs"));
    }
    if (state->dropout) LS_TRY(ls_alloc(&state->factors, rows * widest + slack, size, "dropout"));
    LS_TRY(ls_alloc(&state->deltas, rows * widest + slack, size, "layer gradients"));
    LS_TRY(ls_alloc(&state->below, rows * widest + slack, size, "layer gradients"));
    const size_t chunk = (size_t)(LS_SIMD_STEPS * state->lanes);
    LS_TRY(ls_alloc(&state->labels, chunk * (size_t)ls_simd_label_values(&state->network), size, "labels"));
    LS_TRY(ls_alloc(&state->judged, chunk * (size_t)last->units, size, "outputs"));
    LS_TRY(ls_alloc(&state->judged_deltas, chunk * (size_t)last->units, size, "output gradients"));
    return ls_alloc(&state->partial, (size_t)ls_tree_levels(engine->n_shards), engine->layout.size,
                    "gradient sums");
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

static void blas_measure(ls_engine *engine, const void *x, const void *y, int64_t n_rows, ls_metrics *metrics,
                         void *outputs)
{
    const size_t value = ls_dtype_size(engine->model->dtype),
                 row_size = (size_t)engine->model->n_features * value,
                 y_size = (size_t)ls_targets_row_values(&engine->targets) * value,
                 output_size = (size_t)ls_model_n_outputs(engine->model) * value;
    for (int64_t row = 0, rows; row < n_rows; row += rows) {
        const char *x_rows = (const char *)x + (size_t)row * row_size,
                   *y_rows = metrics ? (const char *)y + (size_t)row * y_size : NULL;
        char *to = outputs ? (char *)outputs + (size_t)row * output_size : NULL;
        rows = n_rows - row < PIECE_ROWS ? n_rows - row : PIECE_ROWS;
        if (engine->model->dtype == LS_FLOAT32)
            measure_piece_float32(engine, (const float *)x_rows, (const float *)y_rows, rows, metrics,
                                  (float *)to);
        if (engine->model->dtype == LS_FLOAT64)
            measure_piece_float64(engine, (const double *)x_rows, (const double *)y_rows, rows, metrics,
                                  (double *)to);
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
};
