/* Writes one HDF5 file of large arrays from any number of ranks, so that the file appears whole or not at
 * all.
 *
 * Rank 0 creates a temporary file beside the target with contiguous, early-allocated arrays and attributes
 * and closes it; the ranks then write rows in place with plain pwrite at the arrays' file offsets; rank 0
 * syncs and renames. The bytes do not depend on the number of ranks or on the clock. Order of calls: create,
 * add_array..., set_*_attribute..., begin, write_rows..., commit (or abandon at any point). */
#ifndef LS_DATA_DATASET_WRITER_H
#define LS_DATA_DATASET_WRITER_H

#include <stdint.h>

#include "comm/comm.h"
#include "data/file_type.h"
#include "lockstep/types.h"

typedef struct ls_dataset_writer ls_dataset_writer;

/* Checks that the directory of path can be written and makes the temporary file. Collective; path must agree.
 * LS_E_OUTPUT names the path and the system's reason. The caller ends with commit or abandon. */
ls_status ls_dataset_writer_create(ls_session *session, const char *path, ls_dataset_writer **writer);

/* Declares the array at an absolute path such as "/train/X" (groups are made): n_rows x n_columns values, or
 * a vector of n_rows if n_columns is 0. *array is its number for write_rows. Collective; arguments must
 * agree. */
ls_status ls_dataset_writer_add_array(ls_dataset_writer *writer, const char *path, ls_file_type type,
                                      int64_t n_rows, int64_t n_columns, int *array);

/* Attributes of an object ("/", "/train", "/train/X"; groups are made). Collective; arguments must agree. */
ls_status ls_dataset_writer_set_text(ls_dataset_writer *writer, const char *object, const char *name,
                                     const char *value);
ls_status ls_dataset_writer_set_int(ls_dataset_writer *writer, const char *object, const char *name,
                                    int64_t value);
ls_status ls_dataset_writer_set_double(ls_dataset_writer *writer, const char *object, const char *name,
                                       double value);
ls_status ls_dataset_writer_set_doubles(ls_dataset_writer *writer, const char *object, const char *name,
                                        const double *values, int64_t n_values);

/* Ends the declarations: rank 0 closes the file, every rank opens it for write_rows. Collective. */
ls_status ls_dataset_writer_begin(ls_dataset_writer *writer);

/* Writes rows [first_row, first_row + n_rows) of an array from row-major values of the array's own type.
 * Local: any rank, any rows, any order; each row once. LS_E_OUTPUT with the system's reason. */
ls_status ls_dataset_writer_write_rows(ls_dataset_writer *writer, int array, int64_t first_row,
                                       int64_t n_rows, const void *values);

/* Shares status (the outcome of this rank's writing); if all are LS_OK, syncs, renames to the target and
 * syncs the directory, otherwise removes the temporary file. Frees the writer. Collective; returns the agreed
 * status. */
ls_status ls_dataset_writer_commit(ls_dataset_writer *writer, ls_status status);

/* Removes the temporary file and frees the writer; NULL is allowed. Collective. */
void ls_dataset_writer_abandon(ls_dataset_writer *writer);

#endif
