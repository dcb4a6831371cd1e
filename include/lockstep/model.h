/* Multilayer perceptrons: dense layers over one flat block of parameters, and their Keras HDF5 files. */
#ifndef LOCKSTEP_MODEL_H
#define LOCKSTEP_MODEL_H

#include <stdbool.h>

#include "lockstep/dataset.h"
#include "lockstep/optimizer.h"
#include "lockstep/session.h"
#include "lockstep/types.h"

/* name in options and files */
#define LS_ACTIVATION_LIST(X)                                                                                \
    X(LS_LINEAR, "linear")                                                                                   \
    X(LS_TANH, "tanh")                                                                                       \
    X(LS_RELU, "relu")                                                                                       \
    X(LS_SIGMOID, "sigmoid")                                                                                 \
    X(LS_ELU, "elu")                                                                                         \
    X(LS_SELU, "selu")                                                                                       \
    X(LS_GELU, "gelu")                                                                                       \
    X(LS_SOFTPLUS, "softplus")                                                                               \
    X(LS_LEAKY_RELU, "leaky_relu")                                                                           \
    X(LS_SOFTMAX, "softmax") /* of an output layer only */

typedef enum ls_activation {
#define LS_ACTIVATION_ENUM(name, text) name,
    LS_ACTIVATION_LIST(LS_ACTIVATION_ENUM)
#undef LS_ACTIVATION_ENUM
} ls_activation;

/* "tanh" and so on. Local. */
const char *ls_activation_name(ls_activation activation);

/* The activation of that name; LS_E_USAGE names the ones there are. Local. */
ls_status ls_activation_parse(const char *name, ls_activation *activation);

/* What training minimises: the mean over samples of these, with Keras' names and definitions. The first takes
 * sigmoid outputs and a label of 0 or 1 for each, the next two softmax outputs and classes (numbers from 0,
 * or a column for each), the others any outputs and as many target values. */
#define LS_LOSS_LIST(X)                                                                                      \
    X(LS_BINARY_CROSSENTROPY, "binary_crossentropy")                                                         \
    X(LS_SPARSE_CATEGORICAL_CROSSENTROPY, "sparse_categorical_crossentropy")                                 \
    X(LS_CATEGORICAL_CROSSENTROPY, "categorical_crossentropy")                                               \
    X(LS_MEAN_SQUARED_ERROR, "mean_squared_error")                                                           \
    X(LS_MEAN_ABSOLUTE_ERROR, "mean_absolute_error")                                                         \
    X(LS_HUBER, "huber")

typedef enum ls_loss {
#define LS_LOSS_ENUM(name, text) name,
    LS_LOSS_LIST(LS_LOSS_ENUM)
#undef LS_LOSS_ENUM
} ls_loss;

/* "huber" and so on. Local. */
const char *ls_loss_name(ls_loss loss);

/* The loss of that name; LS_E_USAGE names the ones there are. Local. */
ls_status ls_loss_parse(const char *name, ls_loss *loss);

/* Whether the targets are classes, several of them (the two categorical ones). Local. */
bool ls_loss_is_categorical(ls_loss loss);

/* Whether the targets are numbers of any size. Local. */
bool ls_loss_is_regression(ls_loss loss);

/* Distributions of initial kernels, with Keras' names and definitions: the variance is 1 / n_inputs (lecun),
 * 2 / n_inputs (he) or 2 / (n_inputs + units) (glorot); normal ones are truncated at two standard deviations.
 */
#define LS_INITIALIZER_LIST(X)                                                                               \
    X(LS_GLOROT_UNIFORM, "glorot_uniform")                                                                   \
    X(LS_GLOROT_NORMAL, "glorot_normal")                                                                     \
    X(LS_HE_UNIFORM, "he_uniform")                                                                           \
    X(LS_HE_NORMAL, "he_normal")                                                                             \
    X(LS_LECUN_UNIFORM, "lecun_uniform")                                                                     \
    X(LS_LECUN_NORMAL, "lecun_normal")

typedef enum ls_initializer {
#define LS_INITIALIZER_ENUM(name, text) name,
    LS_INITIALIZER_LIST(LS_INITIALIZER_ENUM)
#undef LS_INITIALIZER_ENUM
} ls_initializer;

/* The initialiser of that name; LS_E_USAGE names the ones there are. Local. */
ls_status ls_initializer_parse(const char *name, ls_initializer *initializer);

/* One dense layer: outputs = activation(inputs . kernel + bias). */
typedef struct ls_layer {
    char *name;       /* Keras' layer name, "dense", "dense_1", ... unique; owned by the model */
    int64_t n_inputs; /* rows of the kernel */
    int64_t units;    /* columns of the kernel */
    ls_activation activation;
    double dropout;        /* share of the outputs that a training step leaves out; 0 of an output layer */
    int64_t kernel_offset; /* first parameter of the kernel [n_inputs][units], row-major, in values */
    int64_t bias_offset;   /* first parameter of the bias [units], in values */
    double l1, l2; /* Keras' kernel_regularizer: the loss has l1 sum|w| + l2 sum(w^2) of the kernel more */
} ls_layer;

typedef struct ls_model {
    ls_dtype dtype;     /* type of the parameters and of the arithmetic (Keras' floatx) */
    int64_t n_features; /* inputs of the first layer */
    int64_t n_layers;   /* hidden layers + 1 */
    ls_layer *layers;
    ls_loss loss;
    double label_smoothing; /* s of the cross-entropies: targets t become t (1 - s) + s / number of classes */
    double huber_delta;     /* where the Huber loss turns from squares to absolute values */
    /* Keras' Normalization layer: an input x becomes (x - mean) / max(sqrt(variance), 1e-7). n_features
     * numbers of dtype each; NULL for none. */
    double *mean, *variance;
    int64_t n_parameters;  /* those that training changes */
    void *parameters;      /* n_parameters values of dtype: kernel, bias, kernel, bias, ... without gaps */
    void *best_parameters; /* those of a training's best epoch, while one keeps them; otherwise NULL */
} ls_model;

/* What a network is before it has parameters. What is left 0 is binary classification. */
typedef struct ls_network {
    ls_dtype dtype;
    int64_t n_features;
    const int64_t *hidden; /* units of the n_hidden hidden layers */
    int64_t n_hidden;
    ls_activation activation; /* of the hidden layers */
    double dropout;           /* after each hidden layer */
    ls_loss loss;
    int64_t n_outputs;               /* 0 for 1 */
    ls_activation output_activation; /* for regression; otherwise it follows from the loss */
    double label_smoothing;
    double huber_delta; /* 0 for Keras' 1 */
} ls_network;

/* Sets the loss (unless it is given) and the outputs of a network that is to learn the targets of a set: 0
 * and 1 are two classes, other whole numbers of an integer type several, columns of 0 and 1 a class each,
 * other numbers are predicted. Reads all targets, a share on each rank. Collective; the arguments must agree.
 * LS_E_INPUT for classes that are not numbers from 0, and for whole numbers of a floating-point type that may
 * be either. */
ls_status ls_network_fit_targets(ls_session *session, ls_dataset *dataset, bool loss_given,
                                 ls_network *network);

/* Such a network, parameters zero. network is borrowed. LS_E_USAGE for sizes below 1 or too large, for
 * outputs that do not go with the loss, for a dropout or a smoothing outside [0, 1). Local. The caller frees
 * *model. */
ls_status ls_model_create_network(const ls_network *network, ls_model **model);

/* The binary classifier: one sigmoid output unit, binary cross-entropy. */
ls_status ls_model_create(ls_dtype dtype, int64_t n_features, const int64_t *hidden, int64_t n_hidden,
                          ls_activation activation, ls_model **model);

/* Frees it; NULL is allowed. Local. */
void ls_model_free(ls_model *model);

/* Change what a model drops and smooths. LS_E_USAGE outside [0, 1), or for smoothing in regression. Local. */
ls_status ls_model_set_dropout(ls_model *model, double dropout);
ls_status ls_model_set_label_smoothing(ls_model *model, double label_smoothing);

/* Outputs of the last layer. Local. */
int64_t ls_model_n_outputs(const ls_model *model);

/* Kernels from the distribution, biases zero. Each value is a function of (seed, position) alone. Local. */
void ls_model_init(ls_model *model, ls_initializer initializer, uint64_t seed);

/* ls_model_init with Keras' default. */
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
