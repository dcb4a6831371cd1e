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

/* Rows of a block of products. With 32 registers 4 by 4 vectors of sums stay in them; with 16 it is 2 by 4.
 */
#if LS_SIMD_REGISTERS == 32
enum { BLOCK_ROWS = 4 };
#else
enum { BLOCK_ROWS = 2 };
#endif
enum { SINGLE_ROWS = 8 }; /* with one vector of samples: enough sums to hide the latency of an addition */
enum { MAX_PARTS = MAX_LANES / VL, ROW_STRIDE = (LS_SIMD_STEPS + 1) * MAX_LANES };
#define CHAINS (VL < 4 ? VL : 4) /* of a narrow tile at a time */
/* A wide tile: N_I rows of inputs by N_J rows of derivatives, VL chains in all. */
#define N_J    (VL < 4 ? VL : 4)
#define N_I    (VL / N_J)
#define SQUARE 16

ALWAYS_INLINE REAL *row_at(REAL *workspace, int64_t row)
{
    return workspace + row * ROW_STRIDE;
}

/* sums[j][v] += the sum over i of in[i][v] * w[i * step_i + j * step_j], in the order of i, for n_j rows j
 * and n_v vectors v. */
ALWAYS_INLINE void add_products(int n_j, int n_v, const REAL *in, int64_t n_i, const REAL *w, int64_t step_i,
                                int64_t step_j, vec *sums)
{
    for (int64_t i = 0; i < n_i; i++, in += ROW_STRIDE, w += step_i)
        for (int j = 0; j < n_j; j++) {
            const vec weight = all(w[j * step_j]);
            for (int v = 0; v < n_v; v++)
                sums[j * n_v + v] = fma_(load(in + v * VL), weight, sums[j * n_v + v]);
        }
}

ALWAYS_INLINE vec activate(ls_activation activation, vec z)
{
    switch (activation) {
    case LS_TANH:
        return tanh_(z);
    case LS_RELU:
        return where(greater(all(0), z), all(0), z); /* this way round NaN stays */
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
        return fma_(all(0) - a, a, all(1));
    case LS_RELU:
        return where(greater(a, all(0)), all(1), all(0));
    case LS_SIGMOID:
        return fma_(all(0) - a, a, a);
    case LS_LINEAR:
        break;
    }
    return all(1);
}

/* Sums over the rows of one layer for the rows of another: outputs from inputs, or derivatives from those of
 * the layer above. Row j of out is the sum over i of row i of in times w[i * step_in + j * step_out]. */
typedef struct dense {
    const REAL *in;
    int64_t n_in;
    const REAL *w;
    int64_t step_in, step_out;
    const REAL *arranged; /* w as arrange_dense leaves it, or NULL */
    REAL *out;
    int64_t n_out;
    const REAL *bias;         /* of the rows of out, forward */
    ls_activation activation; /* of the rows of out */
    const REAL *values;       /* outputs of the layer whose derivatives are summed, backward */
} dense;

/* Part of a sum's terms, few enough that their rows stay in the nearest cache. */
typedef struct terms {
    int64_t begin, end;
    bool first, last;
} terms;

enum { MAX_TERMS = 160 };

/* n_j rows of out from row j on, for n_v vectors from value `at` on. */
ALWAYS_INLINE void dense_block(int n_j, int n_v, bool backward, const dense *d, const REAL *w,
                               int64_t step_in, int64_t step_out, int64_t j, int64_t at, terms part)
{
    vec sums[BLOCK_ROWS * 4 > SINGLE_ROWS ? BLOCK_ROWS * 4 : SINGLE_ROWS];
    REAL *out = d->out + j * ROW_STRIDE + at;
    for (int u = 0; u < n_j; u++)
        for (int v = 0; v < n_v; v++)
            sums[u * n_v + v] = !part.first ? load(out + u * ROW_STRIDE + v * VL)
                                : backward  ? all(0)
                                            : all(d->bias[j + u]);
    add_products(n_j, n_v, d->in + part.begin * ROW_STRIDE + at, part.end - part.begin,
                 w + part.begin * step_in, step_in, step_out, sums);
    for (int u = 0; u < n_j; u++)
        for (int v = 0; v < n_v; v++) {
            vec sum = sums[u * n_v + v];
            const int64_t place = u * ROW_STRIDE + v * VL;
            if (part.last && backward) {
                sum = sum * derivative(d->activation, load(d->values + j * ROW_STRIDE + at + place));
            } else if (part.last) {
                sum = activate(d->activation, sum);
            }
            store(out + place, sum);
        }
}

/* Terms that are added at a time, of n. */
ALWAYS_INLINE int64_t part_length(int64_t n)
{
    return n <= MAX_TERMS ? n : (n - 1) / ((n - 1) / MAX_TERMS + 1) + 1;
}

/* The weights as dense_vectors reads them, one after the other: part after part of the terms, in each block
 * after block of rows of out. */
static void arrange_dense(const REAL *w, int64_t step_in, int64_t step_out, int64_t n_in, int64_t n_out,
                          REAL *to)
{
    const int64_t n_terms = part_length(n_in);
    for (int64_t begin = 0; begin < n_in; begin += n_terms) {
        const int64_t end = begin + n_terms < n_in ? begin + n_terms : n_in;
        for (int64_t j = 0; j + BLOCK_ROWS <= n_out; j += BLOCK_ROWS)
            for (int64_t i = begin; i < end; i++, to += BLOCK_ROWS)
                for (int u = 0; u < BLOCK_ROWS; u++) to[u] = w[i * step_in + (j + u) * step_out];
    }
}

/* Both ways, forward first; the derivatives of the first layer's inputs are never asked for. */
static void arrange(const ls_simd_network *network, const void *parameters, void *arranged)
{
    for (int64_t l = 0; l < network->n_layers; l++) {
        const ls_simd_layer *layer = &network->layers[l];
        const REAL *w = (const REAL *)parameters + layer->kernel;
        REAL *to = (REAL *)arranged + layer->kernel;
        if (!layer->is_arranged) continue;
        arrange_dense(w, layer->units, 1, layer->n_inputs, layer->units, to);
        if (l > 0)
            arrange_dense(w, 1, layer->units, layer->units, layer->n_inputs, to + network->n_parameters);
    }
}

static const REAL *arranged_weights(const ls_simd_network *network, const ls_simd_layer *layer, bool backward)
{
    if (!network->arranged || !layer->is_arranged) return NULL;
    return (const REAL *)network->arranged + layer->kernel + (backward ? network->n_parameters : 0);
}

ALWAYS_INLINE void dense_vectors(int n_v, bool backward, const dense *d, int64_t at, terms part)
{
    const int rows = n_v == 1 ? SINGLE_ROWS : BLOCK_ROWS;
    int64_t j = 0;
    if (d->arranged && rows == BLOCK_ROWS) {
        const int64_t length = part.end - part.begin;
        const REAL *w = d->arranged + part.begin * (d->n_out / BLOCK_ROWS * BLOCK_ROWS - BLOCK_ROWS);
        for (; j + rows <= d->n_out; j += rows)
            dense_block(rows, n_v, backward, d, w + j * length, rows, 1, j, at, part);
    } else {
        for (; j + rows <= d->n_out; j += rows)
            dense_block(rows, n_v, backward, d, d->w + j * d->step_out, d->step_in, d->step_out, j, at, part);
    }
    for (; j + 2 <= d->n_out; j += 2)
        dense_block(2, n_v, backward, d, d->w + j * d->step_out, d->step_in, d->step_out, j, at, part);
    if (j < d->n_out)
        dense_block(1, n_v, backward, d, d->w + j * d->step_out, d->step_in, d->step_out, j, at, part);
}

ALWAYS_INLINE void dense_part(bool backward, const dense *d, int64_t n_v, terms part)
{
    int64_t v = 0;
    for (; v + 4 <= n_v; v += 4) dense_vectors(4, backward, d, v * VL, part);
    if (v + 2 <= n_v) {
        dense_vectors(2, backward, d, v * VL, part);
        v += 2;
    }
    if (v < n_v) dense_vectors(1, backward, d, v * VL, part);
}

/* Many terms are added a part at a time, over all samples: so a part of the weights is read once from afar.
 */
ALWAYS_INLINE void compute_dense(bool backward, const dense *d, int64_t n_v)
{
    if (d->n_in <= MAX_TERMS) {
        dense_part(backward, d, n_v, (terms){0, d->n_in, true, true});
        return;
    }
    const int64_t n_terms = part_length(d->n_in);
    for (int64_t begin = 0; begin < d->n_in; begin += n_terms) {
        const int64_t end = begin + n_terms < d->n_in ? begin + n_terms : d->n_in;
        dense_part(backward, d, n_v, (terms){begin, end, begin == 0, end == d->n_in});
    }
}

/* Outputs of a layer; of the last one the logits. */
static void forward_layer(const ls_simd_network *network, const ls_simd_layer *layer, const REAL *parameters,
                          REAL *workspace, int64_t n_v, bool is_last)
{
    const dense d = {.in = row_at(workspace, layer->input_row),
                     .n_in = layer->n_inputs,
                     .w = parameters + layer->kernel,
                     .step_in = layer->units,
                     .step_out = 1,
                     .arranged = arranged_weights(network, layer, false),
                     .out = row_at(workspace, layer->output_row),
                     .n_out = layer->units,
                     .bias = parameters + layer->bias,
                     .activation = is_last ? LS_LINEAR : layer->activation};
    compute_dense(false, &d, n_v);
}

/* From the derivatives of this layer to those of the layer below. */
static void backward_layer(const ls_simd_network *network, const ls_simd_layer *layer, const REAL *parameters,
                           REAL *workspace, int64_t n_v)
{
    const dense d = {.in = row_at(workspace, layer->delta_row),
                     .n_in = layer->units,
                     .w = parameters + layer->kernel,
                     .step_in = 1,
                     .step_out = layer->units,
                     .arranged = arranged_weights(network, layer, true),
                     .out = row_at(workspace, layer[-1].delta_row),
                     .n_out = layer->n_inputs,
                     .activation = layer[-1].activation,
                     .values = row_at(workspace, layer[-1].output_row)};
    compute_dense(true, &d, n_v);
}

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
            const vec loss = fma_(all(0) - z, y, where(greater(all(0), z), all(0), z));
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

/* The sum over the parts of a group's lanes, each folded. */
ALWAYS_INLINE vec add_parts(vec folded[MAX_PARTS], int64_t n_parts)
{
    for (int64_t distance = 1; distance < n_parts; distance *= 2)
        for (int64_t part = 0; part < n_parts; part += 2 * distance)
            folded[part] = folded[part] + folded[part + distance];
    return folded[0];
}

/* The first n of the values to sums, or added to them. */
ALWAYS_INLINE void take(REAL *sums, const REAL *values, int64_t n, bool first)
{
    for (int64_t i = 0; i < n; i++) sums[i] = first ? values[i] : sums[i] + values[i];
}

/* A narrow tile's products over a chunk. */
static void add_narrow_tile(const ls_simd_tile *tile, const REAL *workspace, int64_t n_v, int64_t n_parts,
                            bool first, REAL *sums)
{
    vec folded[MAX_PARTS];
    int64_t part = 0;
    do {
        vec chains[VL];
        if (n_v == n_parts) {
            for (int k = 0; k < VL; k++)
                chains[k] = load(workspace + tile->inputs[k] + part * VL) *
                            load(workspace + tile->deltas[k] + part * VL);
        } else {
            /* Few at a time: each has two rows of its own to read. */
            for (int begin = 0; begin < VL; begin += CHAINS) {
                const REAL *in[CHAINS], *delta[CHAINS];
                vec chain[CHAINS];
                for (int k = 0; k < CHAINS; k++) {
                    in[k] = workspace + tile->inputs[begin + k];
                    delta[k] = workspace + tile->deltas[begin + k];
                    chain[k] = all(0);
                }
                for (int64_t v = part; v < n_v; v += n_parts)
                    for (int k = 0; k < CHAINS; k++)
                        chain[k] = fma_(load(in[k] + v * VL), load(delta[k] + v * VL), chain[k]);
                for (int k = 0; k < CHAINS; k++) chains[begin + k] = chain[k];
            }
        }
        folded[part] = fold(chains);
    } while (++part < n_parts);
    vec sum = add_parts(folded, n_parts);
    if (!first) sum = sum + load(sums + tile->parameter);
    store(sums + tile->parameter, sum);
}

/* Products of N_I inputs by N_J derivatives over a chunk; the rows say which, sums is that of the first pair.
 * Of inputs and derivatives only the first n_i and n_j are wanted, if they are fewer. */
ALWAYS_INLINE void add_wide_tile(const REAL *const in[N_I], const REAL *const delta[N_J], int64_t n_v,
                                 int64_t n_parts, bool first, int64_t n_i, int64_t n_j, int64_t units,
                                 REAL *sums)
{
    vec folded[MAX_PARTS];
    int64_t part = 0;
    do {
        vec chains[VL];
        for (int k = 0; k < VL; k++) chains[k] = all(0);
        for (int64_t v = part; v < n_v; v += n_parts) {
            vec d[N_J];
            for (int j = 0; j < N_J; j++) d[j] = load(delta[j] + v * VL);
            for (int i = 0; i < N_I; i++) {
                const vec x = load(in[i] + v * VL);
                for (int j = 0; j < N_J; j++) chains[i * N_J + j] = fma_(x, d[j], chains[i * N_J + j]);
            }
        }
        folded[part] = fold(chains);
    } while (++part < n_parts);
    REAL values[VL];
    store(values, add_parts(folded, n_parts));
    if (n_i >= N_I && n_j >= N_J) {
        for (int i = 0; i < N_I; i++) take(sums + i * units, values + i * N_J, N_J, first);
    } else {
        for (int64_t i = 0; i < N_I && i < n_i; i++)
            take(sums + i * units, values + i * N_J, n_j < N_J ? n_j : (int64_t)N_J, first);
    }
}

/* The gradient of a wide layer over a chunk, in squares of tiles whose rows stay in the nearest cache. */
static void add_wide_layer(const ls_simd_layer *layer, const REAL *workspace, int64_t n_v, int64_t n_parts,
                           bool first, REAL *sums)
{
    const int64_t n_rows = layer->n_inputs + 1; /* the last one is the bias */
    for (int64_t j_begin = 0; j_begin < layer->units; j_begin += SQUARE)
        for (int64_t i_begin = 0; i_begin < n_rows; i_begin += SQUARE)
            for (int64_t i = i_begin; i < i_begin + SQUARE && i < n_rows; i += N_I) {
                const REAL *in[N_I], *delta[N_J];
                for (int u = 0; u < N_I; u++) {
                    const int64_t row = i + u < layer->n_inputs ? layer->input_row + i + u : LS_SIMD_ROW_ONE;
                    in[u] = workspace + row * ROW_STRIDE;
                }
                for (int64_t j = j_begin; j < j_begin + SQUARE && j < layer->units; j += N_J) {
                    for (int u = 0; u < N_J; u++) {
                        const int64_t unit = j + u < layer->units ? j + u : j;
                        delta[u] = workspace + (layer->delta_row + unit) * ROW_STRIDE;
                    }
                    add_wide_tile(in, delta, n_v, n_parts, first, n_rows - i, layer->units - j, layer->units,
                                  sums + layer->kernel + i * layer->units + j);
                }
            }
}

/* n vectors, a power of two, along the pairwise-adjacent tree. */
ALWAYS_INLINE vec add_tree(int n, const vec *v)
{
    if (n == 1) return v[0];
    if (n == 2) return v[0] + v[1];
    const vec left = (v[0] + v[1]) + (v[2] + v[3]);
    if (n == 4) return left;
    const vec half = left + ((v[4] + v[5]) + (v[6] + v[7]));
    if (n == 8) return half;
    return half + (((v[8] + v[9]) + (v[10] + v[11])) + ((v[12] + v[13]) + (v[14] + v[15])));
}

/* The gradient of a wide layer's VL units from j on, where every lane has one sample at most: with vectors
 * across units there is nothing to fold, for the tree adds whole vectors. */
ALWAYS_INLINE void add_one_sample(int n_lanes, const ls_simd_layer *layer, const REAL *workspace, int64_t j,
                                  REAL *sums)
{
    REAL by_lane[MAX_LANES][VL];
    vec deltas[16];
    const REAL *delta = workspace + (layer->delta_row + j) * ROW_STRIDE;
    for (int k = 0; k < VL; k++)
        for (int lane = 0; lane < n_lanes; lane++) by_lane[lane][k] = delta[k * ROW_STRIDE + lane];
    for (int lane = 0; lane < n_lanes; lane++) deltas[lane] = load(by_lane[lane]);
    REAL *to = sums + layer->kernel + j;
    for (int64_t i = 0; i <= layer->n_inputs; i++, to += layer->units) {
        const REAL *in =
            workspace + (i < layer->n_inputs ? layer->input_row + i : LS_SIMD_ROW_ONE) * ROW_STRIDE;
        vec products[16];
        for (int lane = 0; lane < n_lanes; lane++) products[lane] = all(in[lane]) * deltas[lane];
        store(to, add_tree(n_lanes, products));
    }
}

static void add_one_step(const ls_simd_network *network, int64_t lanes, const REAL *workspace, REAL *sums)
{
    for (int64_t l = 0; l < network->n_layers; l++) {
        const ls_simd_layer *layer = &network->layers[l];
        if (!layer->is_wide) continue;
        for (int64_t j = 0; j < layer->units; j += VL) {
            const int64_t first = j + VL <= layer->units ? j : layer->units - VL;
            /* A number that the compiler knows keeps the products in registers. */
            switch (lanes) {
#define CASE(n)                                                                                              \
    case n:                                                                                                  \
        add_one_sample(n, layer, workspace, first, sums);                                                    \
        break;
                CASE(1)
                CASE(2)
                CASE(4)
                CASE(8)
#if !LS_SIMD_DOUBLE
                CASE(16)
#endif
#undef CASE
            }
        }
    }
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
            if (network->layers[l].is_wide)
                add_wide_layer(&network->layers[l], workspace, n_steps * n_parts, n_parts, begin == 0 && !add,
                               sums);
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
