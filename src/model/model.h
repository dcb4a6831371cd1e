/* Building a model layer by layer; the public half is lockstep/model.h. */
#ifndef LS_MODEL_MODEL_H
#define LS_MODEL_MODEL_H

#include "base/fail.h"
#include "lockstep/model.h"

/* Most inputs or units of a layer: BLAS and Keras count them in 32 bits. */
#define LS_LAYER_MAX_UNITS ((int64_t)INT32_MAX)

/* What a layer is before it has parameters. */
typedef struct ls_layer_plan {
    const char *name; /* copied; NULL for Keras' default: "dense", "dense_1", ... by position */
    int64_t units;
    ls_activation activation;
    double l1, l2; /* penalties of the kernel */
    double dropout;
} ls_layer_plan;

/* Refuses a loss that does not go with the output layer: LS_E_USAGE says what would. Local. */
ls_status ls_model_check_output(const ls_model *model);

/* A network of the planned layers, parameters zero. plan is borrowed. Says nothing about the output layer:
 * the caller checks it. LS_E_USAGE for sizes below 1 or too large, LS_E_MEMORY. Local. The caller frees
 * *model. */
ls_status ls_model_create_layers(ls_dtype dtype, int64_t n_features, const ls_layer_plan *plan,
                                 int64_t n_layers, ls_model **model);

/* Where parameter number index lies, in words: "dense_1: kernel[3][0]". text holds size bytes. Local. */
void ls_model_describe_parameter(const ls_model *model, int64_t index, char *text, size_t size);

#endif
