/* The few types that several public headers share. */
#ifndef LOCKSTEP_TYPES_H
#define LOCKSTEP_TYPES_H

#include <stddef.h>
#include <stdint.h>

/* Floating-point type of an array in memory or in a file. */
typedef enum ls_dtype { LS_FLOAT32 = 0, LS_FLOAT64 = 1 } ls_dtype;

/* "float32" or "float64". Local. */
const char *ls_dtype_name(ls_dtype dtype);

/* Bytes of one value: 4 or 8. Local. */
size_t ls_dtype_size(ls_dtype dtype);

#endif
