/* Models as images of Keras HDF5 files in memory. HDF5 never touches the disk here: what is read was verified
 * as bytes before, what is written gets its digest and goes out as a whole. */
#ifndef LS_MODEL_KERAS_H5_H
#define LS_MODEL_KERAS_H5_H

#include <stdbool.h>

#include "model/model.h"

/* Builds the model of an HDF5 file of size bytes in memory; with exact the learning rate is taken as it
 * stands (a file of ours). config may be NULL. Weights that are not finite, or that are not those of
 * model_config, are LS_E_INPUT; file is for messages. *record is the text that ls_keras_h5_write was given,
 * or NULL; record itself may be NULL; the caller clears config. Nothing is allocated that a file of this size
 * cannot fill. Local. The caller frees *model, and *record with ls_free. */
ls_status ls_keras_h5_read(const char *file, void *image, size_t size, bool exact, ls_model **model,
                           ls_training_config *config, char **record);

/* Makes the whole file: LS_FILE_HEAD_SIZE zero bytes for the head, then HDF5. The bytes are a function of
 * the arguments alone. config and record, a text of our own beside Keras' data, may be NULL. *image is the
 * caller's, to free with ls_free. Local. */
ls_status ls_keras_h5_write(const ls_model *model, const ls_training_config *config, const char *record,
                            void **image, size_t *size);

#endif
