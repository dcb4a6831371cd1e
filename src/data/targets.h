/* What stands beside the features of a sample: its targets and its weight. A row of them holds n_columns
 * targets, and a weight after them if there are any. */
#ifndef LS_DATA_TARGETS_H
#define LS_DATA_TARGETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ls_target_kind { LS_TARGET_LABELS, LS_TARGET_CLASSES, LS_TARGET_NUMBERS } ls_target_kind;

typedef struct ls_targets {
    int64_t n_columns;
    bool weighted; /* by a number from 0 on, in a column more */
} ls_targets;

/* Values of a row. Local. */
static inline int64_t ls_targets_row_values(const ls_targets *targets)
{
    return targets->n_columns + targets->weighted;
}

#endif
