/* Keras' description of a model, the JSON text in the attribute model_config of its files. */
#ifndef LS_MODEL_KERAS_MODEL_H
#define LS_MODEL_KERAS_MODEL_H

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

/* The text for a model of ours, loadable in Keras 2 and 3. The caller frees *text with ls_free. LS_E_MEMORY.
 * Local. */
ls_status ls_keras_model_format(const ls_model *model, char **text);

/* What the Normalization layer of a model of ours is called: as no other layer is. Local. */
void ls_keras_name_normalization(const ls_model *model, char name[LS_KERAS_NAME_SIZE]);

/* The name that the Dropout layer `number` of the model's file has, as no other layer. Local. */
void ls_keras_name_dropout(const ls_model *model, int64_t number, char *name, size_t size);

#endif
