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

ALWAYS_INLINE vec activate(ls_simd_fused activation, vec z)
{
    switch (activation) {
    case LS_SIMD_TANH:
        return tanh_(z);
    case LS_SIMD_RELU:
        return greater_of(all(0), z); /* this way round NaN stays */
    case LS_SIMD_SIGMOID:
        return sigmoid_of(z, exp_minus(z));
    case LS_SIMD_LINEAR:
    case LS_SIMD_SLOPE:
        break;
    }
    return z;
}

/* The activation's derivative from its value. */
ALWAYS_INLINE vec derivative(ls_simd_fused activation, vec a)
{
    switch (activation) {
    case LS_SIMD_TANH:
        return fnma_(a, a, all(1));
    case LS_SIMD_RELU:
        return where_or_zero(greater(a, all(0)), all(1));
    case LS_SIMD_SIGMOID:
        return fnma_(a, a, a);
    case LS_SIMD_SLOPE:
        return a;
    case LS_SIMD_LINEAR:
        break;
    }
    return all(1);
}

#include "engine/simd/activations.h"
#include "engine/simd/arrange.h"
#include "engine/simd/losses.h"
#include "engine/simd/products.h"
#include "engine/simd/sums.h"

/* Copies the features of some steps into the workspace and computes all layers; the last one's row holds
 * sums (logits) afterwards. */
ALWAYS_INLINE void forward(const ls_simd_network *network, const REAL *parameters, const REAL *packed,
                           int64_t n_steps, int64_t width, REAL *workspace, bool with_slopes, bool arranges)
{
    const int64_t n_features = network->n_features, n_v = n_steps * (width / VL),
                  label_values = ls_simd_label_values(network);
    for (int64_t step = 0; step < n_steps; step++, packed += label_values * width)
        for (int64_t i = 0; i < n_features; i++, packed += width)
            for (int64_t lane = 0; lane < width; lane += VL)
                store(row_at(workspace, LS_SIMD_ROW_FEATURES + i) + step * width + lane, load(packed + lane));
    for (int64_t l = 0; l < network->n_layers; l++) {
        const ls_simd_layer *layer = &network->layers[l];
        forward_layer(network, layer, parameters, workspace, n_v, l == network->n_layers - 1, arranges);
        if (l < network->n_layers - 1 && layer->backward == LS_SIMD_SLOPE)
            activate_rows(layer, workspace, n_v, with_slopes);
    }
}

/* The last layer's rows of a chunk, and its labels, of which a packed sample has label_values. */
ALWAYS_INLINE judged judged_rows(const ls_simd_network *network, const REAL *packed, int64_t label_values,
                                 int64_t n_steps, int64_t width, REAL *workspace, bool with_delta)
{
    const ls_simd_layer *last = &network->layers[network->n_layers - 1];
    return (judged){.outputs = row_at(workspace, last->output_row),
                    .deltas = with_delta ? row_at(workspace, last->delta_row) : NULL,
                    .row_stride = ROW_STRIDE,
                    .n_outputs = last->units,
                    .activation = last->activation,
                    .labels = packed + network->n_features * width,
                    .label_step = (network->n_features + label_values) * width,
                    .label_stride = width,
                    .n_steps = n_steps,
                    .width = width};
}

/* Apart, so that a plain network makes nothing of what it does not need. */
static __attribute__((noinline)) void finish_network(const ls_simd_network *network, const REAL *packed,
                                                     int64_t n_steps, int64_t width, REAL *workspace,
                                                     bool with_delta, double losses[LS_SIMD_SUMS][MAX_LANES],
                                                     ls_simd_measures *measures)
{
    const judged rows =
        judged_rows(network, packed, network->n_targets + 1, n_steps, width, workspace, with_delta);
    judge_network(network, &rows, losses, measures);
}

ALWAYS_INLINE void finish(const ls_simd_network *network, const REAL *packed, int64_t n_steps, int64_t width,
                          REAL *workspace, bool with_delta, double losses[LS_SIMD_SUMS][MAX_LANES],
                          ls_simd_measures *measures)
{
    if (network->is_plain) {
        const ls_simd_layer *last = &network->layers[network->n_layers - 1];
        judge_steps(row_at(workspace, last->output_row), packed + network->n_features * width,
                    (network->n_features + 1) * width, n_steps, width,
                    with_delta ? row_at(workspace, last->delta_row) : NULL, losses[LS_SIMD_LOSS], measures);
    } else {
        finish_network(network, packed, n_steps, width, workspace, with_delta, losses, measures);
    }
}

ALWAYS_INLINE void clear_losses(const ls_simd_network *network, double losses[LS_SIMD_SUMS][MAX_LANES])
{
    memset(losses[0], 0, sizeof losses[0]);
    if (!network->is_plain) memset(losses[1], 0, sizeof losses[0] * (LS_SIMD_SUMS - 1));
}

/* The sum over the lanes along the tree; those that are not in use hold 0. */
ALWAYS_INLINE double fold_losses(const double losses[MAX_LANES])
{
    typedef double two __attribute__((vector_size(16)));
    two sums[MAX_LANES / 2];
    for (int i = 0; i < MAX_LANES / 2; i++) sums[i] = (two){losses[2 * i], losses[2 * i + 1]};
    for (int n = MAX_LANES / 2; n > 1; n /= 2)
        for (int i = 0; i < n / 2; i++) {
            const two a = sums[2 * i], b = sums[2 * i + 1];
            sums[i] = (two){a[0], b[0]} + (two){a[1], b[1]};
        }
    return sums[0][0] + sums[0][1];
}

ALWAYS_INLINE void add_losses(const ls_simd_network *network, double losses[LS_SIMD_SUMS][MAX_LANES],
                              ls_simd_measures *measures)
{
    measures->sums[0] += fold_losses(losses[0]);
    for (int sum = 1; sum < LS_SIMD_SUMS && !network->is_plain; sum++)
        measures->sums[sum] += fold_losses(losses[sum]);
}

static void gradient(const ls_simd_network *network, const void *parameters, const ls_simd_group *group,
                     void *workspace_memory, bool add, void *sums, ls_simd_measures *measures)
{
    const int64_t width = group->width, n_parts = MAX_PARTS == 1 ? 1 : width / VL;
    const REAL *packed = group->packed;
    REAL *workspace = workspace_memory;
    double losses[LS_SIMD_SUMS][MAX_LANES] __attribute__((aligned(64)));
    clear_losses(network, losses);
    for (int64_t begin = 0; begin < group->n_steps; begin += LS_SIMD_STEPS) {
        const int64_t left = group->n_steps - begin, n_steps = left < LS_SIMD_STEPS ? left : LS_SIMD_STEPS;
        if (network->dropper.drop) network->dropper.drop(network->dropper.context, begin, n_steps);
        forward(network, parameters, packed, n_steps, width, workspace, true, group->arranges && begin == 0);
        finish(network, packed, n_steps, width, workspace, true, losses, measures);
        for (int64_t l = network->n_layers - 1; l > 0; l--)
            backward_layer(&network->layers[l], parameters, workspace, n_steps * n_parts);
        for (int64_t i = 0; i < network->n_tiles; i++)
            add_narrow_tile(&network->tiles[i], workspace, n_steps * n_parts, n_parts, begin == 0 && !add,
                            sums);
        for (int64_t l = 0; l < network->n_layers && network->has_wide && group->n_steps > 1; l++)
            if (network->layers[l].is_arranged) {
                add_wide_layer_by_lanes(&network->layers[l], workspace,
                                        row_at(workspace, network->spread_row),
                                        (chunk){n_steps, width, begin == 0 && !add}, sums);
            } else if (network->layers[l].is_wide) {
                add_wide_layer(&network->layers[l], workspace, n_steps * n_parts, n_parts, begin == 0 && !add,
                               sums);
            }
        packed += n_steps * (network->n_features + ls_simd_label_values(network)) * width;
    }
    if (group->n_steps == 1 && network->has_wide) add_one_step(network, group->lanes, workspace, sums);
    add_losses(network, losses, measures);
}

static void measure(const ls_simd_network *network, const void *parameters, const ls_simd_group *group,
                    void *workspace, ls_simd_measures *measures, void *outputs)
{
    const ls_simd_layer *last = &network->layers[network->n_layers - 1];
    const int64_t width = group->width;
    const REAL *packed = group->packed;
    REAL *rows = row_at(workspace, last->output_row);
    double losses[LS_SIMD_SUMS][MAX_LANES];
    clear_losses(network, losses);
    for (int64_t begin = 0; begin < group->n_steps; begin += LS_SIMD_STEPS) {
        const int64_t left = group->n_steps - begin, n_steps = left < LS_SIMD_STEPS ? left : LS_SIMD_STEPS;
        forward(network, parameters, packed, n_steps, width, workspace, false, group->arranges && begin == 0);
        if (measures) finish(network, packed, n_steps, width, workspace, false, losses, measures);
        /* Those of a plain network are still sums. */
        if (outputs && (network->is_plain || !measures))
            activate_outputs(last, rows, ROW_STRIDE, n_steps * width);
        for (int64_t unit = 0; outputs && unit < last->units; unit++)
            memcpy((REAL *)outputs + (unit * group->n_steps + begin) * width, rows + unit * ROW_STRIDE,
                   (size_t)(n_steps * width) * sizeof(REAL));
        packed += n_steps * (network->n_features + ls_simd_label_values(network)) * width;
    }
    if (measures) add_losses(network, losses, measures);
}

static void judge(const ls_simd_network *network, void *outputs, const void *labels, int64_t n_steps,
                  void *deltas, ls_simd_measures *measures)
{
    enum { STRIDE = LS_SIMD_STEPS * MAX_LANES };
    const ls_simd_layer *last = &network->layers[network->n_layers - 1];
    double losses[LS_SIMD_SUMS][MAX_LANES] = {0};
    const judged rows = {.outputs = outputs,
                         .deltas = deltas,
                         .row_stride = STRIDE,
                         .n_outputs = last->units,
                         .activation = last->activation,
                         .labels = labels,
                         .label_step = MAX_LANES,
                         .label_stride = STRIDE,
                         .n_steps = n_steps,
                         .width = MAX_LANES};
    if (network->is_plain) {
        judge_steps(outputs, labels, MAX_LANES, n_steps, MAX_LANES, deltas, losses[LS_SIMD_LOSS], measures);
        activate_outputs(last, outputs, STRIDE, n_steps * MAX_LANES);
    } else {
        judge_network(network, &rows, losses, measures);
    }
    add_losses(network, losses, measures);
}

static void activate_values(ls_activation activation, int64_t n, void *z, void *slopes)
{
    for (int64_t i = 0; i < n; i += VL) {
        vec slope;
        const vec value = value_and_slope(activation, load((REAL *)z + i), &slope);
        store((REAL *)z + i, value);
        store((REAL *)slopes + i, slope);
    }
}

static void multiply(int64_t n, void *a, const void *b)
{
    for (int64_t i = 0; i < n; i += VL) store((REAL *)a + i, load((REAL *)a + i) * load((const REAL *)b + i));
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
ELEMENTWISE(gelu_values, value_of(LS_GELU, v))
ELEMENTWISE(softplus_values, value_of(LS_SOFTPLUS, v))
ELEMENTWISE(elu_values, value_of(LS_ELU, v))

extern const ls_simd_kernel LS_SIMD_SYMBOL;
const ls_simd_kernel LS_SIMD_SYMBOL = {
    .name = LS_SIMD_ISA,
    .lanes = VL,
    .gradient = gradient,
    .measure = measure,
    .judge = judge,
    .activate = activate_values,
    .multiply = multiply,
    .tanh = tanh_values,
    .exp_minus = exp_minus_values,
    .sigmoid = sigmoid_values,
    .log1p = log1p_values,
    .gelu = gelu_values,
    .softplus = softplus_values,
    .elu = elu_values,
};
