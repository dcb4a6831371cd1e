/* What a file holds, in words: for messages about arrays that are not where they were looked for. */
#ifndef LS_DATA_DATASET_LISTING_H
#define LS_DATA_DATASET_LISTING_H

#include <hdf5.h>
#include <stddef.h>

/* Writes "/train/X (800 x 2 float64), /train/y (800 uint8)" into text, the first datasets of the file in the
 * order of their names, "and 12 more" where text is full, "no datasets" if there are none. Local. */
void ls_dataset_list(hid_t file, char *text, size_t size);

/* Writes "float64", "big-endian int16", "bool", "text" and the like into text. Local. */
void ls_dataset_type_name(hid_t type, char *text, size_t size);

/* Writes the fields of a compound type, "index, values_block_0", bounded as above. Local. */
void ls_dataset_list_fields(hid_t type, char *text, size_t size);

#endif
