/* This rank's part of each batch, packed as the engine reads it. Where every epoch takes the rows in the same
 * order they are packed once. */
#ifndef LS_TRAIN_BATCHES_H
#define LS_TRAIN_BATCHES_H

#include "comm/tree.h"
#include "data/order.h"
#include "engine/engine.h"

typedef struct ls_batches ls_batches;

/* Reads the rows of the shards that tree gives this rank. order, engine and tree are borrowed until
 * ls_batches_destroy, dataset for the call. LS_E_INPUT, LS_E_MEMORY. Local: the caller shares the outcome.
 * The caller destroys *batches. */
ls_status ls_batches_create(const ls_order *order, ls_dataset *dataset, const ls_engine *engine,
                            const ls_tree *tree, ls_batches **batches);

/* Frees it; NULL is allowed. Local. */
void ls_batches_destroy(ls_batches *batches);

/* Makes batch k of an epoch the present one. Local. */
void ls_batches_enter(ls_batches *batches, int64_t epoch, int64_t k);

/* The rows of the rank's subtree number i in the present batch, and *shard_rows, how many each of its shards
 * has. Both hold until the next ls_batches_enter. Local. */
const void *ls_batches_packed(const ls_batches *batches, int i, const int64_t **shard_rows);

#endif
