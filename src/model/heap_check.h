/* A look at the part of HDF5 files over which libhdf5 1.10 hangs or crashes when it is damaged. */
#ifndef LS_MODEL_HEAP_CHECK_H
#define LS_MODEL_HEAP_CHECK_H

#include <stddef.h>

#include "base/fail.h"

/* Checks every global heap, where the long strings of attributes lie (in Keras' files the whole description
 * of the model), of an HDF5 file of size bytes in memory that begins with HDF5's signature: its objects must
 * fill it exactly. LS_E_INPUT; file is for messages. Local. */
ls_status ls_heap_check(const char *file, const void *image, size_t size);

#endif
