/* Which outputs a training step drops: a pure function of (seed, sample, unit), so that neither ranks nor the
 * way an engine lays samples out change it. All functions are local. */
#ifndef LS_ENGINE_DROPOUT_H
#define LS_ENGINE_DROPOUT_H

#include "lockstep/model.h"

typedef struct ls_dropout ls_dropout;

/* For the layers of model that drop outputs; *dropout is NULL if none does. LS_E_MEMORY. The caller destroys
 * it. */
ls_status ls_dropout_create(const ls_model *model, uint64_t seed, ls_dropout **dropout);

/* Frees it; NULL is allowed. */
void ls_dropout_destroy(ls_dropout *dropout);

/* Samples with consecutive numbers: n_steps times `lanes` of them, and where their factors go. */
typedef struct ls_dropout_block {
    int64_t first_sample;
    int64_t n_steps, lanes;
    int64_t step_values; /* from one step's factors to the next one's */
    int64_t unit_values; /* from one unit's to the next one's */
} ls_dropout_block;

/* Writes the factors of all units of a layer for each of n_blocks blocks to factors[i], in the model's dtype:
 * 0 with the probability `dropout` of the layer, otherwise 1 / (1 - dropout) (inverted dropout, as Keras'
 * layer). Cheapest for blocks whose samples follow one another. */
void ls_dropout_fill(ls_dropout *dropout, int64_t layer, const ls_dropout_block *blocks, int64_t n_blocks,
                     void *const *factors);

#endif
