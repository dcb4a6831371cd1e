/* This rank's part of each batch, packed as the engine reads it. Where every epoch takes the rows in the same
 * order, packed ones are kept as far as there is memory. */
#ifndef LS_TRAIN_BATCHES_H
#define LS_TRAIN_BATCHES_H

#include "comm/tree.h"
#include "data/order.h"
#include "engine/engine.h"

typedef struct ls_batches ls_batches;

/* Prepares the rows of the shards that tree gives this rank. What fits into `memory` bytes is kept, once
 * read; if that is all it is read now. What a step needs is taken anyway. order, dataset, engine and tree are
 * borrowed until ls_batches_destroy. LS_E_INPUT, LS_E_MEMORY. Local: the caller shares the outcome. The
 * caller destroys *batches. */
ls_status ls_batches_create(const ls_order *order, ls_dataset *dataset, const ls_engine *engine,
                            const ls_tree *tree, int64_t memory, ls_batches **batches);

/* Frees it; NULL is allowed. Local. */
void ls_batches_destroy(ls_batches *batches);

/* Makes batch k of an epoch the present one. LS_E_INPUT, LS_E_MEMORY when it cannot be read, but never where
 * this rank has no rows in the batch. Local. */
ls_status ls_batches_enter(ls_batches *batches, int64_t epoch, int64_t k);

/* Seconds spent reading until now. Local. */
double ls_batches_seconds(const ls_batches *batches);

/* The rows of the rank's subtree number i in the present batch, and *shard_rows, how many each of its shards
 * has. Both hold until the next ls_batches_enter. Local. */
const void *ls_batches_packed(const ls_batches *batches, int i, const int64_t **shard_rows);

#endif
