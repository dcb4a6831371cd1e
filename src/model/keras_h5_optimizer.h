/* The optimizer's state in Keras' HDF5 files. */
#ifndef LS_MODEL_KERAS_H5_OPTIMIZER_H
#define LS_MODEL_KERAS_H5_OPTIMIZER_H

#include "model/keras_h5_objects.h"

/* The steps that the optimizer of the file has done, 0 if the file does not say. Local. LS_E_INPUT. */
ls_status ls_keras_h5_read_optimizer(const ls_h5_reader *in, hid_t root, int64_t *iterations);

#endif
