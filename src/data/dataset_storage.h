/* How an array lies in its file: whether all of it is there, and the shortest way to it. */
#ifndef LS_DATA_DATASET_STORAGE_H
#define LS_DATA_DATASET_STORAGE_H

#include "data/dataset_array.h"

/* For an array whose dataset, space, memory_type and shape are known; type is that in the file, file_size in
 * bytes that of the file that was opened. LS_E_INPUT for a filter that is missing, more values than the file
 * can hold, sources of a virtual dataset that are missing, storage beyond the end of the file.
 *
 * Chunked: sets chunk_rows, chunk_columns and keeps_band, and opens the dataset again with a cache that holds
 * the chunks of a band of rows, or one chunk where a band is too large. Contiguous, of the very type that is
 * handed out: sets offset and descriptor, so that rows are read without HDF5. Local. */
ls_status ls_dataset_storage_open(ls_dataset_array *array, hid_t type, int64_t file_size);

#endif
