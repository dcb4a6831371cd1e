/* Rows in a file and in memory. */
#ifndef LS_DATA_SEGMENT_H
#define LS_DATA_SEGMENT_H

#include <stdint.h>

/* n_rows consecutive rows of a file. */
typedef struct ls_segment {
    int64_t first_row;
    int64_t n_rows;
} ls_segment;

/* Consecutive rows in memory: features (row-major) and labels, of one dtype. */
typedef struct ls_rows {
    const void *x, *y;
} ls_rows;

#endif
