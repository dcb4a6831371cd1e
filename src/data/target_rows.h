/* Targets and weights as they are read, checked and put side by side. All functions are local. */
#ifndef LS_DATA_TARGET_ROWS_H
#define LS_DATA_TARGET_ROWS_H

#include <stdbool.h>

#include "base/fail.h"
#include "data/segment.h"
#include "data/targets.h"
#include "lockstep/types.h"

typedef struct ls_target_rows {
    ls_target_kind kind;
    int64_t n_outputs; /* classes or numbers */
    ls_targets targets;
    int64_t stored_columns;
    bool are_made;               /* not read, so nothing has checked that they are labels */
    const double *class_weights; /* or NULL */
    ls_dtype dtype;
    const ls_segment *segments; /* where the rows lie in the file, for messages, */
    const char *y_name, *weight_name;
} ls_target_rows;

/* LS_E_INPUT, naming the row and the value, for classes that there are not and weights (NULL for none) below
 * 0. */
ls_status ls_target_rows_check(const ls_target_rows *rows, int64_t n_rows, const void *stored,
                               const void *weights);

/* Rows of y from stored targets and weights (or NULL). Generated classes stand for numbers of any count. */
void ls_target_rows_join(const ls_target_rows *rows, int64_t n_rows, const void *stored, const void *weights,
                         void *y);

#endif
