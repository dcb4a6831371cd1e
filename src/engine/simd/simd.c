/* The engine of vectors across samples (kernel.c): the packing of rows into their lanes, and sums over groups
 * of shards.
 *
 * A shard's rows are dealt to L lanes in turn, L a power of two that depends on the batch and the shards
 * alone. As many neighbouring shards as there is room for lie side by side in a group. So one fold over the
 * lanes of a group, and the tree over groups, are the tree over shards, and no rank count changes an
 * addition. Lanes without a sample hold the features of another one, the label -1, and add +0 or -0: sums
 * that are zero have no certain sign. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/wide.h"
#include "engine/dropout.h"
#include "engine/engine.h"
#include "engine/simd/kernel.h"
#include "engine/simd/network.h"

enum {
    ENOUGH_LANES = 64 /* of a batch: four ranks can fill vectors of float32 */
};

typedef struct simd_state {
    const ls_simd_kernel *kernel;
    ls_simd_network network;
    int64_t max_lanes;   /* of a group */
    int64_t shard_lanes; /* L */
    int shard_shift;     /* its logarithm */
    int64_t padded_parameters;
    char *workspace;
    char *sums; /* of groups that wait for their neighbour: padded_parameters values per level of the tree */
    char *arranged;            /* weights, or NULL where all layers are narrow */
    int64_t row_values;        /* of a packed sample */
    int64_t n_label_columns;   /* of rows that are to be packed */
    ls_dropout *dropout;       /* NULL where no layer drops any */
    const int64_t *group_rows; /* of the shards of the group that is computed, */
    int64_t group_shards, group_width;
    int64_t group_sample;       /* and the number of the first one's first row */
    char *measured;             /* rows packed for measuring and predicting, */
    char *outputs;              /* and their outputs, unit by unit */
    ls_simd_measures *measures; /* one per level */
} simd_state;

enum { ARRANGED_ROWS = 128 }; /* rows for which arranging the weights pays */
enum { MEASURED_STEPS = 4 * LS_SIMD_STEPS };

/* Lanes of a shard: as many as keep its rows within a chunk of steps, which is then folded once, and so many
 * over all shards that a few ranks can fill their vectors. */
static int64_t choose_shard_lanes(int64_t batch_size, int64_t n_shards, int64_t max_lanes)
{
    const int64_t shard_rows = (batch_size - 1) / n_shards + 1;
    int64_t lanes = 1;
    while (lanes < max_lanes &&
           (shard_rows > lanes * LS_SIMD_STEPS || (lanes * n_shards < ENOUGH_LANES && lanes < shard_rows)))
        lanes *= 2;
    return lanes;
}

static void simd_destroy(ls_engine *engine)
{
    simd_state *state = engine->state;
    if (!state) return;
    ls_simd_network_destroy(&state->network);
    ls_free(state->workspace);
    ls_free(state->sums);
    ls_free(state->measures);
    ls_free(state->measured);
    ls_free(state->outputs);
    ls_free(state->arranged);
    ls_dropout_destroy(state->dropout);
    ls_free(state);
}

static size_t value_size(const ls_engine *engine)
{
    return ls_dtype_size(engine->model->dtype);
}

static void drop(void *context, int64_t begin, int64_t n_steps);

static ls_status simd_create(ls_engine *engine)
{
    LS_TRY(ls_alloc(&engine->state, 1, sizeof(simd_state), "engine"));
    simd_state *state = engine->state;
    const ls_model *model = engine->model;
    const size_t size = value_size(engine);
    state->max_lanes = model->dtype == LS_FLOAT32 ? LS_SIMD_LANES_FLOAT32 : LS_SIMD_LANES_FLOAT64;
    state->shard_lanes = choose_shard_lanes(engine->batch_size, engine->n_shards, state->max_lanes);
    state->kernel = ls_simd_kernel_for(model->dtype, engine->n_shards * state->shard_lanes);
    if (!state->kernel)
        return ls_fail(LS_E_USAGE,
                       "LOCKSTEP_SIMD is \"%s\": this processor or build has no such kernels; leave it unset "
                       "for the best",
                       getenv("LOCKSTEP_SIMD"));
    while (state->shard_lanes >> state->shard_shift > 1) state->shard_shift++;
    state->padded_parameters = model->n_parameters + state->kernel->lanes;
    LS_TRY(ls_simd_network_create(engine, state->kernel->lanes, state->max_lanes, &state->network));
    state->row_values = model->n_features + ls_simd_label_values(&state->network);
    state->n_label_columns = ls_targets_row_values(&engine->targets);
    LS_TRY(ls_dropout_create(model, engine->dropout_seed, &state->dropout));
    if (state->dropout) state->network.dropper = (ls_simd_dropper){drop, engine};
    const size_t levels = (size_t)ls_tree_levels(engine->n_shards);
    const size_t row = (size_t)ls_simd_row_stride(state->max_lanes),
                 n_measured = (size_t)(MEASURED_STEPS * state->max_lanes);
    LS_TRY(ls_alloc(&state->workspace, (size_t)state->network.n_rows * row, size, "layer outputs"));
    LS_TRY(ls_alloc(&state->sums, levels * (size_t)state->padded_parameters, size, "gradient sums"));
    LS_TRY(ls_alloc(&state->measures, levels, sizeof *state->measures, "engine"));
    LS_TRY(ls_alloc(&state->measured, n_measured * (size_t)state->row_values, size, "packed rows"));
    LS_TRY(ls_alloc(&state->outputs, n_measured * (size_t)ls_model_n_outputs(model), size, "outputs"));
    for (int64_t l = 0; l < model->n_layers && !state->arranged; l++)
        if (state->network.layers[l].is_arranged)
            LS_TRY(ls_alloc(&state->arranged, (size_t)model->n_parameters, size, "arranged weights"));
    for (size_t i = 0; i < row; i++) {
        if (model->dtype == LS_FLOAT32) {
            ((float *)state->workspace)[LS_SIMD_ROW_ONE * row + i] = 1;
        } else {
            ((double *)state->workspace)[LS_SIMD_ROW_ONE * row + i] = 1;
        }
    }
    return LS_OK;
}

/* Before a call for so many rows, the first of whose groups fills it. */
static void choose_arranged(simd_state *state, int64_t n_rows)
{
    state->network.arranged = n_rows >= ARRANGED_ROWS ? state->arranged : NULL;
}

/* Masks for some steps of the group that is computed. */
static void drop(void *context, int64_t begin, int64_t n_steps)
{
    const ls_engine *engine = context;
    const simd_state *state = engine->state;
    const size_t stride = (size_t)ls_simd_row_stride(state->max_lanes), size = value_size(engine);
    const int64_t lanes = state->shard_lanes;
    for (int64_t l = 0; l < state->network.n_layers; l++) {
        const ls_simd_layer *layer = &state->network.layers[l];
        if (!layer->mask_row) continue;
        char *rows = state->workspace + (size_t)layer->mask_row * stride * size;
        ls_dropout_block blocks[LS_SIMD_LANES_FLOAT32];
        void *factors[LS_SIMD_LANES_FLOAT32];
        int64_t sample = state->group_sample;
        for (int64_t s = 0; s < state->group_shards; s++) {
            blocks[s] = (ls_dropout_block){.first_sample = sample + begin * lanes,
                                           .n_steps = n_steps,
                                           .lanes = lanes,
                                           .step_values = state->group_width,
                                           .unit_values = (int64_t)stride};
            factors[s] = rows + (size_t)(s * lanes) * size;
            sample += state->group_rows[s];
        }
        ls_dropout_fill(state->dropout, l, blocks, state->group_shards, factors);
    }
}

/* ---- groups of shards ---- */

typedef struct shard_group {
    int64_t n_shards; /* side by side */
    int64_t n_rows, lanes, width, n_steps;
} shard_group;

static shard_group group_of(const simd_state *state, const int64_t *shard_rows, int64_t n_shards)
{
    const int64_t room = state->max_lanes >> state->shard_shift;
    shard_group group = {.n_shards = n_shards < room ? n_shards : room};
    group.lanes = group.n_shards * state->shard_lanes;
    group.width = group.lanes > state->kernel->lanes ? group.lanes : state->kernel->lanes;
    int64_t most_rows = 0;
    for (int64_t s = 0; s < group.n_shards; s++) {
        most_rows = shard_rows[s] > most_rows ? shard_rows[s] : most_rows;
        group.n_rows += shard_rows[s];
    }
    group.n_steps = (most_rows + state->shard_lanes - 1) >> state->shard_shift;
    return group;
}

static size_t simd_packed_size(const ls_engine *engine, const int64_t *shard_rows, int64_t n_shards)
{
    const simd_state *state = engine->state;
    int64_t n_values = 0;
    for (int64_t s = 0; s < n_shards;) {
        const shard_group group = group_of(state, shard_rows + s, n_shards - s);
        n_values += group.n_steps * group.width * state->row_values;
        s += group.n_shards;
    }
    return (size_t)n_values * value_size(engine);
}

#define REAL    float
#define NAME(x) x##_float32
#include "engine/simd/pack_template.h"
#undef REAL
#undef NAME

#define REAL    double
#define NAME(x) x##_float64
#include "engine/simd/pack_template.h"
#undef REAL
#undef NAME

static void simd_pack(const ls_engine *engine, const ls_rows *rows, const int64_t *shard_rows,
                      int64_t n_shards, void *packed)
{
    const simd_state *state = engine->state;
    char *to = packed;
    for (int64_t s = 0; s < n_shards;) {
        const shard_group group = group_of(state, shard_rows + s, n_shards - s);
        if (engine->model->dtype == LS_FLOAT32) {
            pack_group_float32(state, &group, rows + s, shard_rows + s, (float *)to);
        } else {
            pack_group_float64(state, &group, rows + s, shard_rows + s, (double *)to);
        }
        s += group.n_shards;
        to += (size_t)(group.n_steps * group.width * state->row_values) * value_size(engine);
    }
}

/* Sums that wait at a level of the tree. The lowest ones wait in the message itself, where what a tile writes
 * beyond the last parameter is overwritten by the counts. */
static void *sums_at(const ls_engine *engine, void *message, int level)
{
    const simd_state *state = engine->state;
    return level == 0 ? message
                      : state->sums + (size_t)(level * state->padded_parameters) * value_size(engine);
}

_Static_assert((LS_STEP_DOUBLES + LS_STEP_INTS) * 8 >= LS_SIMD_LANES_FLOAT32 * 4,
               "a tile reaches beyond a message");

static void add_level(const ls_engine *engine, void *message, int level)
{
    void *sums = sums_at(engine, message, level);
    ls_message_add_reals(&engine->layout, engine->layout.n_reals, sums, sums,
                         sums_at(engine, message, level + 1));
    ls_simd_measures *left = &((simd_state *)engine->state)->measures[level];
    const ls_simd_measures *right = left + 1;
    for (int i = 0; i < LS_SIMD_SUMS; i++) left->sums[i] += right->sums[i];
    left->correct += right->correct;
    left->tp += right->tp;
    left->fp += right->fp;
    left->positives += right->positives;
}

static int64_t rows_of(const int64_t *shard_rows, int64_t n_shards)
{
    int64_t n_rows = 0;
    for (int64_t s = 0; s < n_shards; s++) n_rows += shard_rows[s];
    return n_rows;
}

static void simd_gradient(ls_engine *engine, const void *packed, const int64_t *shard_rows, int64_t n_shards,
                          void *message)
{
    simd_state *state = engine->state;
    const char *at = packed;
    const size_t size = value_size(engine);
    int64_t n_samples = 0;
    int level = 0; /* sums that wait */
    bool arranges = true;
    if (state->arranged) choose_arranged(state, rows_of(shard_rows, n_shards));
    for (int64_t s = 0, done = 1; s < n_shards; done++) {
        const shard_group shards = group_of(state, shard_rows + s, n_shards - s);
        n_samples += shards.n_rows;
        const ls_simd_group group = {.packed = at,
                                     .n_steps = shards.n_steps,
                                     .width = shards.width,
                                     .lanes = shards.lanes,
                                     .arranges = arranges};
        /* A right half of one chunk adds itself to its left neighbour, which is what the tree would do with
         * its sums. */
        const bool add = done % 2 == 0 && group.n_steps > 1 && group.n_steps <= LS_SIMD_STEPS;
        const int at_level = add ? level - 1 : level;
        void *sums = sums_at(engine, message, at_level);
        if (!add) state->measures[at_level] = (ls_simd_measures){0};
        if (group.n_steps == 0) memset(sums, 0, (size_t)engine->layout.n_reals * size);
        if (state->dropout) {
            state->group_rows = shard_rows + s;
            state->group_shards = shards.n_shards;
            state->group_width = group.width;
            state->group_sample = engine->first_sample;
        }
        if (group.n_steps > 0) {
            state->kernel->gradient(&state->network, engine->model->parameters, &group, state->workspace, add,
                                    sums, &state->measures[at_level]);
            arranges = false;
        }
        engine->first_sample += shards.n_rows;
        s += shards.n_shards;
        at += (size_t)(group.n_steps * group.width * state->row_values) * size;
        level = at_level + 1;
        /* Each factor 2 of the groups done completes a right half. */
        for (int64_t complete = add ? done / 2 : done; complete % 2 == 0; complete /= 2) {
            level--;
            add_level(engine, message, level - 1);
        }
    }
    const ls_metrics metrics = ls_simd_metrics(&state->network, state->measures, n_samples);
    memset(ls_message_ints(&engine->layout, message), 0, (size_t)engine->layout.n_ints * sizeof(int64_t));
    ls_step_put_metrics(engine, &engine->layout, message, &metrics);
}

/* ---- whole sets ---- */

/* The rows as one shard over all lanes; at most so many that they fit the packed rows. */
static ls_simd_group pack_measured(const ls_engine *engine, const void *x, const void *y, int64_t n_rows)
{
    const simd_state *state = engine->state;
    const shard_group group = {.n_shards = 1,
                               .width = state->max_lanes,
                               .n_steps = (n_rows + state->max_lanes - 1) / state->max_lanes};
    if (engine->model->dtype == LS_FLOAT32) {
        pack_rows_float32(state, &group, x, y, n_rows, (float *)state->measured);
    } else {
        pack_rows_float64(state, &group, x, y, n_rows, (double *)state->measured);
    }
    return (ls_simd_group){.packed = state->measured, .n_steps = group.n_steps, .width = group.width};
}

/* Outputs of some rows, unit by unit, to rows of them. */
static void turn_outputs(const ls_engine *engine, int64_t unit_values, int64_t n_rows, char *to)
{
    const simd_state *state = engine->state;
    const int64_t n_outputs = ls_model_n_outputs(engine->model);
    const size_t size = value_size(engine);
    if (n_outputs == 1) {
        memcpy(to, state->outputs, (size_t)n_rows * size);
        return;
    }
    for (int64_t row = 0; row < n_rows; row++)
        for (int64_t unit = 0; unit < n_outputs; unit++)
            memcpy(to + (size_t)(row * n_outputs + unit) * size,
                   state->outputs + (size_t)(unit * unit_values + row) * size, size);
}

static void simd_measure(ls_engine *engine, const void *x, const void *y, int64_t n_rows, ls_metrics *metrics,
                         void *outputs)
{
    simd_state *state = engine->state;
    const size_t size = value_size(engine), row_size = (size_t)engine->model->n_features * size,
                 y_size = (size_t)ls_targets_row_values(&engine->targets) * size,
                 output_size = (size_t)ls_model_n_outputs(engine->model) * size;
    const int64_t most = MEASURED_STEPS * state->max_lanes;
    choose_arranged(state, n_rows);
    for (int64_t row = 0, rows; row < n_rows; row += rows) {
        ls_simd_measures measures = {0};
        rows = n_rows - row < most ? n_rows - row : most;
        ls_simd_group group = pack_measured(engine, (const char *)x + (size_t)row * row_size,
                                            metrics ? (const char *)y + (size_t)row * y_size : NULL, rows);
        group.arranges = row == 0;
        state->kernel->measure(&state->network, engine->model->parameters, &group, state->workspace,
                               metrics ? &measures : NULL, outputs ? state->outputs : NULL);
        if (outputs)
            turn_outputs(engine, group.n_steps * group.width, rows,
                         (char *)outputs + (size_t)row * output_size);
        if (!metrics) continue;
        const ls_metrics part = ls_simd_metrics(&state->network, &measures, rows);
        ls_metrics_add(metrics, &part);
    }
}

/* Nothing but this code decides its bits. The number grows when a change of it changes them. */
static void simd_arithmetic(char *text, size_t size)
{
    snprintf(text, size, "simd 2");
}

const ls_engine_kind ls_engine_simd = {
    .name = "simd",
    .arithmetic = simd_arithmetic,
    .create = simd_create,
    .destroy = simd_destroy,
    .packed_size = simd_packed_size,
    .pack = simd_pack,
    .gradient = simd_gradient,
    .measure = simd_measure,
};
