/* Keras' description of how a model was compiled, the JSON text in the attribute training_config of its
 * files. */
#ifndef LS_MODEL_KERAS_TRAINING_H
#define LS_MODEL_KERAS_TRAINING_H

#include <stdbool.h>

#include "model/model.h"

/* What training_config says of the loss. */
typedef struct ls_keras_loss {
    bool known; /* it names one */
    ls_loss loss;
    double label_smoothing, huber_delta;
} ls_keras_loss;

/* Reads training_config. *config gets the optimizer and its learning rate, all 0 for one that we do not have;
 * exact tells that the text holds it as it was given, not rounded to float32 by Keras. LS_E_INPUT for a loss
 * that we do not have; file is for messages. Local. */
ls_status ls_keras_training_parse(const char *file, const char *text, bool exact, ls_keras_loss *loss,
                                  ls_training_config *config);

/* Gives the model the loss, or if none is known the one that goes with its outputs. LS_E_INPUT if they do not
 * go together. Local. */
ls_status ls_keras_apply_loss(const char *file, const ls_keras_loss *loss, ls_model *model);

/* The text for a model of ours, loadable in Keras 2 and 3. The caller frees *text with ls_free. LS_E_MEMORY;
 * LS_E_USAGE for a learning rate that is no finite number. Local. */
ls_status ls_keras_training_format(const ls_model *model, const ls_training_config *config, char **text);

#endif
