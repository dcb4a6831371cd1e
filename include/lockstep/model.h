/* Multilayer perceptrons: dense layers over one flat block of parameters, and their Keras HDF5 files. */
#ifndef LOCKSTEP_MODEL_H
#define LOCKSTEP_MODEL_H

#include "lockstep/optimizer.h"
#include "lockstep/session.h"
#include "lockstep/types.h"

/* name in options and files */
#define LS_ACTIVATION_LIST(X)                                                                                \
    X(LS_LINEAR, "linear")                                                                                   \
    X(LS_TANH, "tanh")                                                                                       \
    X(LS_RELU, "relu")                                                                                       \
    X(LS_SIGMOID, "sigmoid")

typedef enum ls_activation {
#define LS_ACTIVATION_ENUM(name, text) name,
    LS_ACTIVATION_LIST(LS_ACTIVATION_ENUM)
#undef LS_ACTIVATION_ENUM
} ls_activation;

/* "tanh" and so on. Local. */
const char *ls_activation_name(ls_activation activation);

/* The activation of that name; LS_E_USAGE names the ones there are. Local. */
ls_status ls_activation_parse(const char *name, ls_activation *activation);

/* One dense layer: outputs = activation(inputs . kernel + bias). */
typedef struct ls_layer {
    char *name;       /* Keras' layer name, "dense", "dense_1", ... unique; owned by the model */
    int64_t n_inputs; /* rows of the kernel */
    int64_t units;    /* columns of the kernel */
    ls_activation activation;
    int64_t kernel_offset; /* first parameter of the kernel [n_inputs][units], row-major, in values */
    int64_t bias_offset;   /* first parameter of the bias [units], in values */
    double l1, l2; /* Keras' kernel_regularizer: the loss has l1 sum|w| + l2 sum(w^2) of the kernel more */
} ls_layer;

typedef struct ls_model {
    ls_dtype dtype;     /* type of the parameters and of the arithmetic (Keras' floatx) */
    int64_t n_features; /* inputs of the first layer */
    int64_t n_layers;   /* hidden layers + 1 */
    ls_layer *layers;
    int64_t n_parameters;
    void *parameters; /* n_parameters values of dtype: kernel, bias, kernel, bias, ... without gaps */
} ls_model;

/* A network of n_hidden hidden layers of the given units and one sigmoid output unit, parameters zero. units
 * are borrowed. LS_E_USAGE for sizes below 1 or too large. Local. The caller frees *model. */
ls_status ls_model_create(ls_dtype dtype, int64_t n_features, const int64_t *hidden, int64_t n_hidden,
                          ls_activation activation, ls_model **model);

/* Frees it; NULL is allowed. Local. */
void ls_model_free(ls_model *model);

/* Keras' glorot_uniform kernels (Glorot and Bengio 2010: uniform within sqrt(6 / (n_inputs + units))) and
 * zero biases. Each value is a function of (seed, position) alone. Local. */
void ls_model_init_glorot_uniform(ls_model *model, uint64_t seed);

/* Converts the parameters to dtype in place (exact from float32 to float64, rounded the other way). Local. */
ls_status ls_model_convert(ls_model *model, ls_dtype dtype);

/* How the model was compiled, for Keras' training_config. */
typedef struct ls_training_config {
    double learning_rate; /* that a schedule begins with; 0 where a file has no optimizer that we know */
    int64_t iterations;   /* optimizer steps done */
    ls_optimizer
        optimizer; /* a file holds its schedule if Keras has one like it, otherwise the present rate */
    void *slots; /* ls_optimizer_n_slots blocks of n_parameters values of the model's dtype, NULL for none */
} ls_training_config;

/* Frees the slots that ls_model_load has filled in. Local. */
void ls_training_config_clear(ls_training_config *config);

/* Reads a Keras HDF5 model file, ours or one that Keras saved: rank 0 reads, all get the model. config may be
 * NULL; its fields become 0 where the file has none, and the caller clears it. Collective; path must agree.
 * LS_E_INPUT names the file, the place, what was found and what is supported. The caller frees *model. */
ls_status ls_model_load(ls_session *session, const char *path, ls_model **model, ls_training_config *config);

/* Writes a file that keras.models.load_model opens, whole or not at all (rank 0 writes; the model must agree
 * on all ranks). config may be NULL for a model that was not compiled. Collective. LS_E_OUTPUT with the
 * system's reason. */
ls_status ls_model_save(ls_session *session, const ls_model *model, const ls_training_config *config,
                        const char *path);

#endif
