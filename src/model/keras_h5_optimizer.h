/* The optimizer's state in Keras' HDF5 files. Local. */
#ifndef LS_MODEL_KERAS_H5_OPTIMIZER_H
#define LS_MODEL_KERAS_H5_OPTIMIZER_H

#include "lockstep/model.h"
#include "model/keras_h5_objects.h"

/* One kernel or bias of a slot: a dataset of the file. */
typedef struct ls_slot_place {
    int64_t offset; /* of its first value, in values from the start of the slots */
    int rank;
    hsize_t shape[2];
} ls_slot_place;

/* Datasets that the slots of an optimizer are cut into, and the one with that number in Keras' order. */
int64_t ls_slot_count(const ls_model *model, const ls_optimizer *optimizer);
ls_slot_place ls_slot_find(const ls_model *model, const ls_optimizer *optimizer, int64_t number);

/* Reads into config the steps that the optimizer of the file has done, and the slots of the optimizer that
 * config names: both stay 0 where the file has none, slots also where their number is not the expected one.
 * LS_E_INPUT. */
ls_status ls_keras_h5_read_optimizer(const ls_h5_reader *in, hid_t root, const ls_model *model,
                                     ls_training_config *config);

#endif
