/* The shortest way to the rows of an array that lies in its file as it is wanted in memory: plain reads at
 * its place, without HDF5, and a word to the system about what will be read next. */
#ifndef LS_DATA_DATASET_DIRECT_H
#define LS_DATA_DATASET_DIRECT_H

#include <stdint.h>
#include <stdio.h>

typedef struct ls_dataset_direct {
    int descriptor; /* below 0: there is no such way, go through HDF5 */
    int64_t offset; /* of the first row in the file */
    int64_t row_bytes;
} ls_dataset_direct;

/* Opens that way; no failure, for there is always the other one. Local. The caller closes it. */
void ls_dataset_direct_open(const char *file, int64_t offset, int64_t row_bytes, ls_dataset_direct *direct);
void ls_dataset_direct_close(ls_dataset_direct *direct);

/* Reads n_rows rows from first_row. Returns 0, or -1 with the reason in words. Local. */
int ls_dataset_direct_read(const ls_dataset_direct *direct, int64_t first_row, int64_t n_rows, void *values,
                           char *reason, size_t reason_size);

/* Says that these rows will be read soon: the system reads them from the disk meanwhile. Local. */
void ls_dataset_direct_expect(const ls_dataset_direct *direct, int64_t first_row, int64_t n_rows);

#endif
