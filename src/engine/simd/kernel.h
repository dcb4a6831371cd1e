/* The arithmetic on vectors across samples, compiled once for each instruction set and
 * dtype from kernel.c. All variants give the same bits: every lane is one chain of correctly rounded
 * operations, and lanes are folded along the pairwise-adjacent tree, however many of them an instruction
 * holds. */
#ifndef LS_ENGINE_SIMD_KERNEL_H
#define LS_ENGINE_SIMD_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "lockstep/evaluate.h"
#include "lockstep/model.h"

enum {
    LS_SIMD_LANES_FLOAT32 = 16, /* most lanes of a group */
    LS_SIMD_LANES_FLOAT64 = 8,
    LS_SIMD_STEPS =
        16, /* of a chunk: what is computed at a time; also how often losses are rounded to double */
};

/* What products do with their sums at once. Values of other activations, and those of which some are dropped,
 * are computed afterwards, and their derivatives with them: backward LS_SIMD_SLOPE reads these. */
typedef enum ls_simd_fused {
    LS_SIMD_LINEAR,
    LS_SIMD_TANH,
    LS_SIMD_RELU,
    LS_SIMD_SIGMOID,
    LS_SIMD_SLOPE
} ls_simd_fused;

/* A layer, with the workspace rows where its parts begin: one row per input, unit or derivative. */
typedef struct ls_simd_layer {
    int64_t n_inputs, units;
    ls_activation activation;
    ls_simd_fused forward, backward;
    int64_t kernel, bias; /* offsets of the parameters */
    int64_t input_row, output_row, delta_row;
    int64_t slope_row; /* of the derivatives, if they are kept, otherwise output_row */
    int64_t mask_row;  /* of the factors of outputs, 0 where they are dropped, or 0 if none are */
    bool is_wide;      /* at least as many units as a vector has lanes: it has no tiles */
    bool is_arranged;  /* wide enough, both ways, that it pays to arrange its weights and derivatives */
} ls_simd_layer;

/* Parameters of narrow layers, as many as a vector has lanes, whose gradients are summed together. In the
 * last tile of neighbouring narrow layers places are left over: they add 0 to what follows, before wide
 * layers are summed. */
typedef struct ls_simd_tile {
    int64_t parameter;              /* the first */
    const int64_t *inputs, *deltas; /* where the rows of inputs and derivatives begin in the workspace, in
                                       values; a pair's are swapped if it has the derivative in common */
    bool has_pairs;                 /* places 2k and 2k + 1 have the same row in `inputs`, for all k */
} ls_simd_tile;

/* Fills the rows of masks for steps [begin, begin + n_steps) of the present group. */
typedef struct ls_simd_dropper {
    void (*drop)(void *context, int64_t begin, int64_t n_steps);
    void *context;
} ls_simd_dropper;

typedef struct ls_simd_network {
    int64_t n_features, n_layers, n_tiles, n_rows;
    int64_t n_parameters;
    ls_loss loss;
    bool is_plain; /* binary cross-entropy of labels as they are, all of the same weight: packed rows have the
                      label alone; others have their targets and the weight, -1 where there is no sample */
    int64_t n_targets; /* columns; classes may be numbers in a single one */
    double label_smoothing, huber_delta;
    ls_simd_dropper dropper; /* drop is NULL if no layer drops any */
    int64_t spread_row;      /* of the workspace: from here on derivatives of a wide layer in another order */
    void *arranged;          /* room for weights as products read them, n_parameters values, or NULL */
    ls_simd_layer *layers;
    ls_simd_tile *tiles;
    int64_t *tile_rows; /* their tables */
    bool has_wide;      /* layers that have none */
} ls_simd_network;

/* Rows of the workspace: the constant 1 (the input of biases), the features, then outputs and derivatives. */
enum { LS_SIMD_ROW_ONE, LS_SIMD_ROW_ZERO, LS_SIMD_ROW_FEATURES };

/* Values from one workspace row to the next: an odd number of cache lines, so that rows do not compete for
 * the same ones. */
static inline int64_t ls_simd_row_stride(int64_t max_lanes)
{
    return (LS_SIMD_STEPS + 1) * max_lanes;
}

/* Sums over samples whose values are real numbers: the loss, and if the network is not plain the others. */
enum { LS_SIMD_LOSS, LS_SIMD_CROSS_ENTROPY, LS_SIMD_ABSOLUTE_ERROR, LS_SIMD_SQUARED_ERROR, LS_SIMD_SUMS };

typedef struct ls_simd_measures {
    double sums[LS_SIMD_SUMS];
    int64_t tp, fp, positives, correct;
} ls_simd_measures;

/* The measures of n_samples samples. Local. */
static inline ls_metrics ls_simd_metrics(const ls_simd_network *network, const ls_simd_measures *measures,
                                         int64_t n_samples)
{
    const double *sums = measures->sums;
    ls_metrics metrics = {.n_samples = n_samples,
                          .loss_sum = sums[LS_SIMD_LOSS],
                          .cross_entropy_sum = sums[network->is_plain ? LS_SIMD_LOSS : LS_SIMD_CROSS_ENTROPY],
                          .absolute_error_sum = sums[LS_SIMD_ABSOLUTE_ERROR],
                          .squared_error_sum = sums[LS_SIMD_SQUARED_ERROR],
                          .n_correct = measures->correct};
    if (network->loss != LS_BINARY_CROSSENTROPY) return metrics;
    metrics.tn = n_samples * network->n_targets - measures->positives - measures->fp;
    metrics.fp = measures->fp;
    metrics.fn = measures->positives - measures->tp;
    metrics.tp = measures->tp;
    return metrics;
}

/* Values of a packed sample beside its features. Local. */
static inline int64_t ls_simd_label_values(const ls_simd_network *network)
{
    return network->is_plain ? 1 : network->n_targets + 1;
}

/* Samples in lanes: for each of n_steps, as many times `width` values as a packed sample has: the features,
 * then the label, -1 where there is no sample, or targets and weight. width is a multiple of the kernel's
 * lanes. */
typedef struct ls_simd_group {
    const void *packed;
    int64_t n_steps, width;
    int64_t lanes; /* of width that shards have */
    bool arranges; /* the weights are new: network->arranged is to be filled */
} ls_simd_group;

typedef struct ls_simd_kernel {
    const char *name; /* of the instruction set */
    int lanes;        /* of a hardware vector */
    /* Sums over the group's samples: the gradient to sums, or with `add`, for a group of 2 to LS_SIMD_STEPS
     * steps, added to them; the rest added to *measures. workspace has n_rows rows. A group of more than
     * LS_SIMD_STEPS steps is one of a single shard: its chunks are folded each, and then added in order. */
    void (*gradient)(const ls_simd_network *network, const void *parameters, const ls_simd_group *group,
                     void *workspace, bool add, void *sums, ls_simd_measures *measures);
    /* The measures, added, unless measures is NULL; the outputs, unless outputs is NULL: for each output unit
     * n_steps times width values. */
    void (*measure)(const ls_simd_network *network, const void *parameters, const ls_simd_group *group,
                    void *workspace, ls_simd_measures *measures, void *outputs);
    /* For an engine that lays samples out otherwise: the last layer's sums, for each unit n_steps * (most
     * lanes of a group) values in a row of LS_SIMD_STEPS * (most lanes) values, and the packed labels,
     * likewise: their measures, added, and in deltas the derivatives of the loss by the sums. The sums become
     * outputs. n_steps is at most LS_SIMD_STEPS. */
    void (*judge)(const ls_simd_network *network, void *outputs, const void *labels, int64_t n_steps,
                  void *deltas, ls_simd_measures *measures);
    /* n values in place, n rounded up to a multiple of the lanes: z = activation(z), slopes = its derivative;
     * and a *= b. */
    void (*activate)(ls_activation activation, int64_t n, void *z, void *slopes);
    void (*multiply)(int64_t n, void *a, const void *b);
    /* tanh, exp(-|x|), sigmoid, log1p (of x >= 0) and the activations gelu, softplus and elu of n values, a
     * multiple of lanes: for the tests of their accuracy. */
    void (*tanh)(const void *x, int64_t n, void *y);
    void (*exp_minus)(const void *x, int64_t n, void *y);
    void (*sigmoid)(const void *x, int64_t n, void *y);
    void (*log1p)(const void *x, int64_t n, void *y);
    void (*gelu)(const void *x, int64_t n, void *y);
    void (*softplus)(const void *x, int64_t n, void *y);
    void (*elu)(const void *x, int64_t n, void *y);
} ls_simd_kernel;

/* The best kernel that this CPU can run for batches that fill so many lanes (half empty vectors are slower
 * than full ones of half the size), or the one that the environment variable LOCKSTEP_SIMD names (avx512,
 * avx2, portable): NULL if that cannot run here. Local. */
const ls_simd_kernel *ls_simd_kernel_for(ls_dtype dtype, int64_t lanes);

/* The kernel of that name, or for NULL the best one; NULL if there is none or the CPU lacks the instructions.
 * Local. */
const ls_simd_kernel *ls_simd_kernel_named(ls_dtype dtype, const char *name);

#endif
