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

/* The factors of unit `unit` from the words of n samples, the first of them sample number `at` of the block.
 */
#define DEFINE_PUT(name, type)                                                                               \
    static void name(const uint32_t *words, uint32_t limit, type kept, const ls_dropout_block *block,        \
                     int64_t at, int64_t n, type *factors)                                                   \
    {                                                                                                        \
        int64_t lane = at % block->lanes;                                                                    \
        factors += at / block->lanes * block->step_values;                                                   \
        for (int64_t i = 0; i < n; i++) {                                                                    \
            factors[lane] = words[WORDS * i] < limit ? 0 : kept;                                             \
            if (++lane < block->lanes) continue;                                                             \
            lane = 0;                                                                                        \
            factors += block->step_values;                                                                   \
        }                                                                                                    \
    }
DEFINE_PUT(put_float32, float)
DEFINE_PUT(put_float64, double)

static void put(const ls_dropout *dropout, const ls_layer *layer, int64_t unit, const ls_dropout_block *block,
                int64_t at, int64_t n, const uint32_t *words, void *factors)
{
    const uint32_t limit = (uint32_t)(layer->dropout * 0x1p32);
    const double kept = 1 / (1 - layer->dropout);
    const int64_t first = unit * block->unit_values;
    if (dropout->model->dtype == LS_FLOAT32) {
        put_float32(words + unit % WORDS, limit, (float)kept, block, at, n, (float *)factors + first);
    } else {
        put_float64(words + unit % WORDS, limit, kept, block, at, n, (double *)factors + first);
    }
}

/* Blocks [begin, *end) whose samples follow one another and fit the words together; at least one. Returns
 * their samples. */
static int64_t take_run(const ls_dropout_block *blocks, int64_t n_blocks, int64_t begin, int64_t *end)
{
    int64_t n = blocks[begin].n_steps * blocks[begin].lanes;
    for (*end = begin + 1; *end < n_blocks; (*end)++) {
        const ls_dropout_block *next = &blocks[*end];
        const int64_t more = next->n_steps * next->lanes;
        if (next->first_sample != blocks[begin].first_sample + n || n + more > BLOCK_SAMPLES) break;
        n += more;
    }
    return n;
}

static void draw(ls_dropout *dropout, uint32_t instance, int64_t first_sample, int64_t n)
{
    const int64_t rounded = (n + LS_PHILOX_LANES - 1) / LS_PHILOX_LANES * LS_PHILOX_LANES;
    ls_philox_many(dropout->seed, LS_STREAM_DROPOUT, instance, (uint64_t)first_sample, rounded,
                   dropout->words);
}

void ls_dropout_fill(ls_dropout *dropout, int64_t l, const ls_dropout_block *blocks, int64_t n_blocks,
                     void *const *factors)
{
    const ls_layer *layer = &dropout->model->layers[l];
    for (int64_t begin = 0, end; begin < n_blocks; begin = end) {
        const int64_t n_samples = take_run(blocks, n_blocks, begin, &end);
        for (int64_t unit = 0; unit < layer->units; unit += WORDS)
            for (int64_t at = 0; at < n_samples; at += BLOCK_SAMPLES) {
                const int64_t n = n_samples - at < BLOCK_SAMPLES ? n_samples - at : BLOCK_SAMPLES;
                int64_t word = 0; /* a run of several blocks is drawn at once */
                draw(dropout, (uint32_t)(dropout->first_unit[l] + unit / WORDS),
                     blocks[begin].first_sample + at, n);
                for (int64_t b = begin; b < end; b++) {
                    const int64_t own = end - begin == 1 ? n : blocks[b].n_steps * blocks[b].lanes;
                    for (int64_t u = unit; u < unit + WORDS && u < layer->units; u++)
                        put(dropout, layer, u, &blocks[b], at, own, dropout->words + WORDS * word,
                            factors[b]);
                    word += own;
                }
            }
    }
}
