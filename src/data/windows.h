/* The rows of some shards in the order in which shuffled epochs use them. A shard's rows are read window by
 * window, put into the window's order, and handed out from there one after the other. */
#ifndef LS_DATA_WINDOWS_H
#define LS_DATA_WINDOWS_H

#include "data/dataset.h"
#include "data/order.h"

typedef struct ls_windows ls_windows;

/* Prepares shards [first_shard, end_shard) of a shuffled order. Of their rows as many are kept in memory,
 * once read, as fit into `memory` bytes beside the windows in use; if that is all of them they are read now.
 * order and dataset are borrowed until ls_windows_destroy. LS_E_INPUT, LS_E_MEMORY. Local. The caller
 * destroys *windows. */
ls_status ls_windows_create(const ls_order *order, ls_dataset *dataset, ls_dtype dtype, int64_t first_shard,
                            int64_t end_shard, int64_t memory, ls_windows **windows);

/* Frees it; NULL is allowed. Local. */
void ls_windows_destroy(ls_windows *windows);

/* Seconds spent reading until now. Local. */
double ls_windows_seconds(const ls_windows *windows);

/* The rows of batch k of an epoch, for each shard where they begin. They belong to the windows and hold until
 * the next call. Cheapest for batches in their order. LS_E_INPUT, LS_E_MEMORY. Local. */
ls_status ls_windows_batch(ls_windows *windows, int64_t epoch, int64_t k, ls_rows *rows);

#endif
