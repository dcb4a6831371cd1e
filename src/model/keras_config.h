/* Keras' descriptions of a model and of how it was compiled, JSON texts in the attributes model_config and
 * training_config of its files. */
#ifndef LS_MODEL_KERAS_CONFIG_H
#define LS_MODEL_KERAS_CONFIG_H

#include <stdbool.h>

#include "model/model.h"

/* Room for the names that layers without weights and the normalization get here. */
enum { LS_KERAS_NAME_SIZE = 48 };

/* What model_config says. */
typedef struct ls_keras_model {
    ls_dtype dtype;
    int64_t n_features; /* 0 if the text does not say it */
    bool normalizes;    /* a Normalization layer comes first */
    double *mean,
        *variance; /* of it, n_features each, if the text says them; otherwise NULL: they are weights */
    int64_t n_layers;
    ls_layer_plan *plan; /* n_layers; the names belong to this structure */
} ls_keras_model;

/* Reads model_config: a Sequential of Dense layers, after Normalization or not and with Dropout after some,
 * as Keras 2 or 3 describes it. Everything that we would compute differently from Keras is LS_E_INPUT and
 * named. file is for messages. Local. The caller frees *keras. */
ls_status ls_keras_model_parse(const char *file, const char *text, ls_keras_model **keras);

/* Frees it; NULL is allowed. Local. */
void ls_keras_model_free(ls_keras_model *keras);

/* What training_config says of the loss. */
typedef struct ls_keras_loss {
    bool known; /* it names one */
    ls_loss loss;
    double label_smoothing, huber_delta;
} ls_keras_loss;

/* Reads training_config. *config gets the optimizer and its learning rate, all 0 for one that we do not have;
 * exact tells that the text holds it as it was given, not rounded to float32 by Keras. Local. */
ls_status ls_keras_training_parse(const char *file, const char *text, bool exact, ls_keras_loss *loss,
                                  ls_training_config *config);

/* Gives the model the loss, or if none is known the one that goes with its outputs. LS_E_INPUT if they do not
 * go together. Local. */
ls_status ls_keras_apply_loss(const char *file, const ls_keras_loss *loss, ls_model *model);

/* What the Normalization layer of a model of ours is called: as no other layer is. Local. */
void ls_keras_name_normalization(const ls_model *model, char name[LS_KERAS_NAME_SIZE]);

/* The texts for a model of ours, loadable in Keras 2 and 3. The caller frees *text with ls_free. Local. */
ls_status ls_keras_model_format(const ls_model *model, char **text);
ls_status ls_keras_training_format(const ls_model *model, const ls_training_config *config, char **text);

/* The name that the Dropout layer `number` of the model's file has, as no other layer. Local. */
void ls_keras_name_dropout(const ls_model *model, int64_t number, char *name, size_t size);

/* The shortest decimal number that rounds to the same float32 as value, if value is a float32: 0.1 for
 * 0.10000000149011612; otherwise value itself. Local. */
double ls_keras_undo_float32(double value);

#endif
