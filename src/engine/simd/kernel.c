/* One variant of the kernel: the build defines LS_SIMD_DOUBLE (0 or 1), LS_SIMD_VECTOR (the header of the
 * vectors), LS_SIMD_ISA (its name) and LS_SIMD_SYMBOL. */
#include "engine/simd/kernel.h"

#include <stdbool.h>
#include <string.h>

#if LS_SIMD_DOUBLE
typedef double REAL;
#define MAX_LANES     LS_SIMD_LANES_FLOAT64
#define FRACTION_BITS 52
#define SQRT_HALF     0x1.6a09e667f3bcdp-1
#define MAGIC         0x1.8p52 /* x + MAGIC holds the integer nearest to x in its low bits */
#else
typedef float REAL;
#define MAX_LANES     LS_SIMD_LANES_FLOAT32
#define FRACTION_BITS 23
#define SQRT_HALF     0x1.6a09e6p-1f
#define MAGIC         0x1.8p23f
#endif

#include LS_SIMD_VECTOR
#include "engine/simd/vector_math.h"

enum { MAX_PARTS = MAX_LANES / VL, ROW_STRIDE = (LS_SIMD_STEPS + 1) * MAX_LANES };

ALWAYS_INLINE REAL *row_at(REAL *workspace, int64_t row)
{
    return workspace + row * ROW_STRIDE;
}

ALWAYS_INLINE vec activate(ls_activation activation, vec z)
{
    switch (activation) {
    case LS_TANH:
        return tanh_(z);
    case LS_RELU:
        return greater_of(all(0), z); /* this way round NaN stays */
    case LS_SIGMOID:
        return sigmoid_of(z, exp_minus(z));
    case LS_LINEAR:
        break;
    }
    return z;
}

/* The activation's derivative from its value. */
ALWAYS_INLINE vec derivative(ls_activation activation, vec a)
{
    switch (activation) {
    case LS_TANH:
        return fnma_(a, a, all(1));
    case LS_RELU:
        return where_or_zero(greater(a, all(0)), all(1));
    case LS_SIGMOID:
        return fnma_(a, a, a);
    case LS_LINEAR:
        break;
    }
    return all(1);
}

#include "engine/simd/products.h"
#include "engine/simd/sums.h"

/* Copies the features of some steps into the workspace and computes all layers; the last one's row holds
 * logits afterwards. */
ALWAYS_INLINE void forward(const ls_simd_network *network, const REAL *parameters, const REAL *packed,
                           int64_t n_steps, int64_t width, REAL *workspace)
{
    const int64_t n_features = network->n_features, n_v = n_steps * (width / VL);
    for (int64_t step = 0; step < n_steps; step++, packed += width)
        for (int64_t i = 0; i < n_features; i++, packed += width)
            for (int64_t lane = 0; lane < width; lane += VL)
                store(row_at(workspace, LS_SIMD_ROW_FEATURES + i) + step * width + lane, load(packed + lane));
    for (int64_t l = 0; l < network->n_layers; l++)
        forward_layer(network, &network->layers[l], parameters, workspace, n_v, l == network->n_layers - 1);
}

/* Logits and labels of some steps, the labels of one step label_step values after those of the one before:
 * measures and, unless deltas is NULL, the derivative of the cross-entropy by the logits, p - y. The loss of
 * a sample is max(z, 0) - zy + log1p(exp(-|z|)); a chunk's logarithms are taken together, of the product of
 * all 1 + e, kept as that product minus 1 so that small e are not lost. */
ALWAYS_INLINE void judge_steps(const REAL *logits, const REAL *all_labels, int64_t label_step,
                               int64_t n_steps, int64_t width, REAL *deltas, double *losses,
                               ls_simd_measures *measures)
{
    for (int64_t lane = 0; lane < width; lane += VL) {
        const REAL *labels = all_labels + lane;
        vec linear = all(0), product = all(0);
        for (int64_t step = 0; step < n_steps; step++, labels += label_step) {
            const vec y = load(labels), z = load(logits + step * width + lane);
            const vec e = exp_minus(z), p = sigmoid_of(z, e);
            const mask valid = greater(y, all((REAL)-0.5)), positive = greater(y, all(0)),
                       predicted = greater(p, all((REAL)0.5));
            const vec loss = fnma_(z, y, greater_of(all(0), z));
            const vec valid_e = where_or_zero(valid, e);
            linear = linear + where_or_zero(valid, loss);
            product = fma_(product, valid_e, product + valid_e);
            const int n_tp = count(both(predicted, positive));
            measures->tp += n_tp;
            measures->fp += count(both(predicted, valid)) - n_tp;
            measures->positives += count(positive);
            if (deltas) store(deltas + step * width + lane, where_or_zero(valid, p - y));
        }
        add_to_doubles(losses + lane, linear + log1p_(product));
    }
}

ALWAYS_INLINE void finish(const ls_simd_network *network, const REAL *packed, int64_t n_steps, int64_t width,
                          REAL *workspace, bool with_delta, double *losses, ls_simd_measures *measures)
{
    const ls_simd_layer *last = &network->layers[network->n_layers - 1];
    judge_steps(row_at(workspace, last->output_row), packed + network->n_features * width,
                (network->n_features + 1) * width, n_steps, width,
                with_delta ? row_at(workspace, last->delta_row) : NULL, losses, measures);
}

/* Lanes that are not in use hold 0. */
static double fold_losses(double losses[MAX_LANES])
{
    for (int distance = 1; distance < MAX_LANES; distance *= 2)
        for (int i = 0; i < MAX_LANES; i += 2 * distance) losses[i] += losses[i + distance];
    return losses[0];
}

static void gradient(const ls_simd_network *network, const void *parameters, const ls_simd_group *group,
                     void *workspace_memory, bool add, void *sums, ls_simd_measures *measures)
{
    const int64_t width = group->width, n_parts = MAX_PARTS == 1 ? 1 : width / VL;
    const REAL *packed = group->packed;
    REAL *workspace = workspace_memory;
    double losses[MAX_LANES] = {0};
    for (int64_t begin = 0; begin < group->n_steps; begin += LS_SIMD_STEPS) {
        const int64_t left = group->n_steps - begin, n_steps = left < LS_SIMD_STEPS ? left : LS_SIMD_STEPS;
        forward(network, parameters, packed, n_steps, width, workspace);
        finish(network, packed, n_steps, width, workspace, true, losses, measures);
        for (int64_t l = network->n_layers - 1; l > 0; l--)
            backward_layer(network, &network->layers[l], parameters, workspace, n_steps * n_parts);
        for (int64_t i = 0; i < network->n_tiles; i++)
            add_narrow_tile(&network->tiles[i], workspace, n_steps * n_parts, n_parts, begin == 0 && !add,
                            sums);
        for (int64_t l = 0; l < network->n_layers && group->n_steps > 1; l++)
            if (network->layers[l].is_arranged) {
                add_wide_layer_by_lanes(&network->layers[l], workspace,
                                        (chunk){n_steps, width, begin == 0 && !add}, sums);
            } else if (network->layers[l].is_wide) {
                add_wide_layer(&network->layers[l], workspace, n_steps * n_parts, n_parts, begin == 0 && !add,
                               sums);
            }
        packed += n_steps * (network->n_features + 1) * width;
    }
    if (group->n_steps == 1) add_one_step(network, group->lanes, workspace, sums);
    measures->loss_sum += fold_losses(losses);
}

static void measure(const ls_simd_network *network, const void *parameters, const ls_simd_group *group,
                    void *workspace, ls_simd_measures *measures)
{
    const REAL *packed = group->packed;
    double losses[MAX_LANES] = {0};
    for (int64_t begin = 0; begin < group->n_steps; begin += LS_SIMD_STEPS) {
        const int64_t left = group->n_steps - begin, n_steps = left < LS_SIMD_STEPS ? left : LS_SIMD_STEPS;
        forward(network, parameters, packed, n_steps, group->width, workspace);
        finish(network, packed, n_steps, group->width, workspace, false, losses, measures);
        packed += n_steps * (network->n_features + 1) * group->width;
    }
    measures->loss_sum += fold_losses(losses);
}

static void predict(const ls_simd_network *network, const void *parameters, const ls_simd_group *group,
                    void *workspace, void *p)
{
    const REAL *packed = group->packed;
    const REAL *logits = row_at(workspace, network->layers[network->n_layers - 1].output_row);
    REAL *out = p;
    for (int64_t begin = 0; begin < group->n_steps; begin += LS_SIMD_STEPS) {
        const int64_t left = group->n_steps - begin, n_steps = left < LS_SIMD_STEPS ? left : LS_SIMD_STEPS;
        forward(network, parameters, packed, n_steps, group->width, workspace);
        for (int64_t i = 0; i < n_steps * group->width; i += VL, out += VL) {
            const vec z = load(logits + i);
            store(out, sigmoid_of(z, exp_minus(z)));
        }
        packed += n_steps * (network->n_features + 1) * group->width;
    }
}

static void judge(const void *logits, const void *labels, int64_t n_steps, void *deltas,
                  ls_simd_measures *measures)
{
    double losses[MAX_LANES] = {0};
    for (int64_t step = 0; step < n_steps; step += LS_SIMD_STEPS) {
        const int64_t at = step * MAX_LANES,
                      n = n_steps - step < LS_SIMD_STEPS ? n_steps - step : LS_SIMD_STEPS;
        judge_steps((const REAL *)logits + at, (const REAL *)labels + at, MAX_LANES, n, MAX_LANES,
                    (REAL *)deltas + at, losses, measures);
    }
    measures->loss_sum += fold_losses(losses);
}

static void activate_values(ls_activation activation, int64_t n, void *z)
{
    for (REAL *at = z, *end = at + n; at < end; at += VL) store(at, activate(activation, load(at)));
}

static void multiply_by_derivative(ls_activation activation, const void *values, int64_t n, void *deltas)
{
    REAL *d = deltas;
    for (int64_t i = 0; i < n; i += VL)
        store(d + i, load(d + i) * derivative(activation, load((const REAL *)values + i)));
}

#define ELEMENTWISE(name, expression)                                                                        \
    static void name(const void *x, int64_t n, void *y)                                                      \
    {                                                                                                        \
        for (int64_t i = 0; i < n; i += VL) {                                                                \
            const vec v = load((const REAL *)x + i);                                                         \
            store((REAL *)y + i, expression);                                                                \
        }                                                                                                    \
    }
ELEMENTWISE(tanh_values, tanh_(v))
ELEMENTWISE(exp_minus_values, exp_minus(v))
ELEMENTWISE(sigmoid_values, sigmoid_of(v, exp_minus(v)))
ELEMENTWISE(log1p_values, log1p_(v))

extern const ls_simd_kernel LS_SIMD_SYMBOL;
const ls_simd_kernel LS_SIMD_SYMBOL = {
    .name = LS_SIMD_ISA,
    .lanes = VL,
    .arrange = arrange,
    .gradient = gradient,
    .measure = measure,
    .predict = predict,
    .judge = judge,
    .activate = activate_values,
    .multiply_by_derivative = multiply_by_derivative,
    .tanh = tanh_values,
    .exp_minus = exp_minus_values,
    .sigmoid = sigmoid_values,
    .log1p = log1p_values,
};
