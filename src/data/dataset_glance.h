/* A quick look at the values of an array, to notice that a rank sees another file than rank 0 does. */
#ifndef LS_DATA_DATASET_GLANCE_H
#define LS_DATA_DATASET_GLANCE_H

#include "data/dataset_array.h"

/* *digest: XXH3-64 of the shape and of a few evenly spaced blocks of rows, the first and the last among them:
 * at most about a megabyte, whatever the size of the array. LS_E_INPUT with HDF5's reason. Local. */
ls_status ls_dataset_glance(const ls_dataset_array *array, uint64_t *digest);

#endif
