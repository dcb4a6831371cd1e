/* The training set that ls_generate would write with LS_RNG_PHILOX, made when it is read. */
#ifndef LS_DATA_GENERATED_ROWS_H
#define LS_DATA_GENERATED_ROWS_H

#include "data/segment.h"
#include "lockstep/generate.h"

typedef struct ls_generated_rows ls_generated_rows;

/* Checks the parameters as ls_generate does. Memory does not depend on
 * n_samples. LS_E_USAGE, LS_E_MEMORY. Local. The caller closes *rows. */
ls_status ls_generated_rows_open(const ls_generate_options *options, ls_generated_rows **rows);
void ls_generated_rows_close(ls_generated_rows *rows);

int64_t ls_generated_rows_n_samples(const ls_generated_rows *rows);
int64_t ls_generated_rows_n_features(const ls_generated_rows *rows);
int64_t ls_generated_rows_n_classes(const ls_generated_rows *rows);

/* As ls_dataset_read_segments. LS_E_USAGE if a value might overflow dtype. Local. */
ls_status ls_generated_rows_read(ls_generated_rows *rows, ls_dtype dtype, const ls_segment *segments,
                                 int64_t n_segments, void *x, void *y);

#endif
