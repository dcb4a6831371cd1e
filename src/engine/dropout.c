#include "engine/dropout.h"

#include "base/memory.h"
#include "random/philox.h"

enum {
    BLOCK_SAMPLES = 16 * LS_PHILOX_LANES,
    WORDS = 4
}; /* random words of an index, one for each of 4 units */

struct ls_dropout {
    const ls_model *model;
    uint64_t seed;
    int64_t *first_unit; /* of each layer, in a numbering of all units in fours */
    uint32_t words[WORDS * BLOCK_SAMPLES];
};

ls_status ls_dropout_create(const ls_model *model, uint64_t seed, ls_dropout **result)
{
    ls_dropout *dropout;
    bool drops = false;
    *result = NULL;
    for (int64_t l = 0; l < model->n_layers; l++) drops = drops || model->layers[l].dropout > 0;
    if (!drops) return LS_OK;
    LS_TRY(ls_alloc(&dropout, 1, sizeof *dropout, "dropout"));
    dropout->model = model;
    dropout->seed = seed;
    const ls_status status =
        ls_alloc(&dropout->first_unit, (size_t)model->n_layers, sizeof *dropout->first_unit, "dropout");
    if (status != LS_OK) {
        ls_dropout_destroy(dropout);
        return status;
    }
    for (int64_t l = 1; l < model->n_layers; l++)
        dropout->first_unit[l] =
            dropout->first_unit[l - 1] + (model->layers[l - 1].units + WORDS - 1) / WORDS;
    *result = dropout;
    return LS_OK;
}

void ls_dropout_destroy(ls_dropout *dropout)
{
    if (!dropout) return;
    ls_free(dropout->first_unit);
    ls_free(dropout);
}

/* The factors of unit `unit` from the words of `n` samples, the first of them sample number `at` of the
 * block. */
static void put(const ls_dropout *dropout, const ls_layer *layer, int64_t unit, const ls_dropout_block *block,
                int64_t at, int64_t n, void *factors)
{
    const uint32_t limit = (uint32_t)(layer->dropout * 0x1p32);
    const double kept = 1 / (1 - layer->dropout);
    const uint32_t *words = dropout->words + unit % WORDS;
    for (int64_t i = 0; i < n; i++) {
        const int64_t step = (at + i) / block->lanes, lane = (at + i) % block->lanes,
                      to = unit * block->unit_values + step * block->step_values + lane;
        const bool drops = words[WORDS * i] < limit;
        if (dropout->model->dtype == LS_FLOAT32) {
            ((float *)factors)[to] = drops ? 0 : (float)kept;
        } else {
            ((double *)factors)[to] = drops ? 0 : kept;
        }
    }
}

void ls_dropout_fill(ls_dropout *dropout, int64_t l, const ls_dropout_block *block, void *factors)
{
    const ls_layer *layer = &dropout->model->layers[l];
    const int64_t n_samples = block->n_steps * block->lanes;
    for (int64_t unit = 0; unit < layer->units; unit += WORDS)
        for (int64_t at = 0; at < n_samples; at += BLOCK_SAMPLES) {
            const int64_t n = n_samples - at < BLOCK_SAMPLES ? n_samples - at : BLOCK_SAMPLES;
            const int64_t rounded = (n + LS_PHILOX_LANES - 1) / LS_PHILOX_LANES * LS_PHILOX_LANES;
            ls_philox_many(dropout->seed, LS_STREAM_DROPOUT,
                           (uint32_t)(dropout->first_unit[l] + unit / WORDS),
                           (uint64_t)(block->first_sample + at), rounded, dropout->words);
            for (int64_t u = unit; u < unit + WORDS && u < layer->units; u++)
                put(dropout, layer, u, block, at, n, factors);
        }
}
