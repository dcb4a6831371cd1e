/* One open array of numbers in an HDF5 file, whatever its type and layout in the file. */
#ifndef LS_DATA_DATASET_ARRAY_H
#define LS_DATA_DATASET_ARRAY_H

#include <hdf5.h>
#include <stdbool.h>
#include <stdint.h>

#include "data/dataset_source.h"

/* The types that rows are handed out in; HDF5 converts to them from the type in the file without loss (other
 * than from floats wider than 64 bits). */
typedef enum ls_array_kind {
    LS_ARRAY_FLOAT32,
    LS_ARRAY_FLOAT64,
    LS_ARRAY_INT64,
    LS_ARRAY_UINT64,
    LS_ARRAY_UINT8 /* bytes as they are: labels, PyTables' booleans */
} ls_array_kind;

typedef struct ls_dataset_array {
    const ls_dataset_place *place; /* borrowed */
    ls_array_kind kind;
    size_t value_size; /* bytes of one value of that kind */
    int rank;          /* 1 or 2: a vector or a matrix */
    int64_t n_rows;
    int64_t n_columns; /* 1 for a vector */
    /* Values that are stored (and decompressed) together: chunk_rows x chunk_columns, n_columns in all of a
     * row. chunk_rows is 0 for contiguous storage. */
    int64_t chunk_rows, chunk_columns;
    bool keeps_band; /* HDF5's cache holds the chunks of chunk_rows whole rows, otherwise one chunk */
    int descriptor;  /* HDF5's, of the file if its values need no conversion, otherwise -1 */
    int64_t offset;  /* of the first one there */
    hid_t file;
    hid_t dataset;
    hid_t space;            /* in the file */
    hid_t memory_type;      /* of one element: a value, or a compound of the one field */
    int64_t element_values; /* values of one element: more than 1 if the field is an array */
} ls_dataset_array;

/* Opens and checks an array; the place must outlive it. LS_E_INPUT says what is there instead: no such file,
 * not HDF5, no such dataset (with those there are), a group, text, a table without a field, 3 dimensions, no
 * rows, a missing filter, storage beyond the end of the file. Local. The caller closes the array. */
ls_status ls_dataset_array_open(const ls_dataset_place *place, ls_dataset_array *array);

/* Closes it; also one that is all zero bytes or failed to open. Local. */
void ls_dataset_array_close(ls_dataset_array *array);

/* Whether the file has something at the place. LS_E_INPUT if the file itself cannot be read. Local. */
ls_status ls_dataset_array_exists(const ls_dataset_place *place, bool *exists);

/* Whether the first value of this row is in memory, so that reading it does not wait for a disk; true where
 * that cannot be told. Local. */
bool ls_dataset_array_is_there(const ls_dataset_array *array, int64_t row);

/* Says that these rows will be read soon: where they need no conversion, the system reads them meanwhile.
 * Local. */
void ls_dataset_array_expect(const ls_dataset_array *array, int64_t first_row, int64_t n_rows);

/* Reads columns [first_column, first_column + n_columns) of n_rows rows from first_row, row-major, values of
 * array->kind. Part of the columns only if array->chunk_columns < array->n_columns. One transfer: the caller
 * keeps it below 1 GiB. LS_E_INPUT with the reason of HDF5 or of the system. Local. */
ls_status ls_dataset_array_read(const ls_dataset_array *array, int64_t first_row, int64_t n_rows,
                                int64_t first_column, int64_t n_columns, void *values);

#endif
