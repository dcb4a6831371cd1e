#include "engine/simd/network.h"

#include "base/memory.h"

enum { ARRANGED_UNITS = 32 }; /* widths from which the order of the weights matters */

static ls_simd_fused fused(ls_activation activation)
{
    switch (activation) {
    case LS_LINEAR:
        return LS_SIMD_LINEAR;
    case LS_TANH:
        return LS_SIMD_TANH;
    case LS_RELU:
        return LS_SIMD_RELU;
    case LS_SIGMOID:
        return LS_SIMD_SIGMOID;
    case LS_ELU:
    case LS_SELU:
    case LS_GELU:
    case LS_SOFTPLUS:
    case LS_LEAKY_RELU:
    case LS_SOFTMAX:
        break;
    }
    return LS_SIMD_SLOPE;
}

/* Rows for what the values do not tell: derivatives of some activations, and which outputs are dropped. */
static void keep_slopes(ls_simd_network *network, ls_simd_layer *layer, bool drops)
{
    layer->backward = drops ? LS_SIMD_SLOPE : fused(layer->activation);
    layer->forward = layer->backward == LS_SIMD_SLOPE ? LS_SIMD_LINEAR : layer->backward;
    layer->slope_row = layer->output_row;
    if (layer->backward != LS_SIMD_SLOPE) return;
    layer->slope_row = network->n_rows;
    network->n_rows += layer->units;
    if (!drops) return;
    layer->mask_row = network->n_rows;
    network->n_rows += layer->units;
}

static ls_status make_layers(ls_simd_network *network, const ls_engine *engine, int64_t lanes)
{
    const ls_model *model = engine->model;
    int64_t most_units = 0; /* of an arranged layer */
    LS_TRY(ls_alloc(&network->layers, (size_t)model->n_layers, sizeof *network->layers, "engine"));
    network->n_layers = model->n_layers;
    network->n_features = model->n_features;
    network->n_parameters = model->n_parameters;
    network->n_rows = LS_SIMD_ROW_FEATURES + model->n_features;
    network->loss = model->loss;
    network->is_plain = engine->is_plain;
    network->n_targets = engine->targets.n_columns;
    network->label_smoothing = model->label_smoothing;
    network->huber_delta = model->huber_delta;
    for (int64_t l = 0; l < model->n_layers; l++) {
        const ls_layer *layer = &model->layers[l];
        network->layers[l] =
            (ls_simd_layer){.n_inputs = layer->n_inputs,
                            .units = layer->units,
                            .activation = layer->activation,
                            .kernel = layer->kernel_offset,
                            .bias = layer->bias_offset,
                            .input_row = l == 0 ? LS_SIMD_ROW_FEATURES : network->layers[l - 1].output_row,
                            .output_row = network->n_rows,
                            .delta_row = network->n_rows + layer->units};
        network->layers[l].is_wide = layer->units >= lanes;
        network->has_wide = network->has_wide || network->layers[l].is_wide;
        network->layers[l].is_arranged = layer->units >= ARRANGED_UNITS && layer->n_inputs >= ARRANGED_UNITS;
        network->n_rows += 2 * layer->units;
        keep_slopes(network, &network->layers[l], layer->dropout > 0);
        if (network->layers[l].is_arranged && layer->units > most_units) most_units = layer->units;
    }
    network->spread_row = network->n_rows;
    network->n_rows += (most_units + lanes - 1) / lanes * lanes;
    return LS_OK;
}

/* Row of the workspace that holds input i of a layer; the input of biases comes after the others. */
static int64_t input_row(const ls_simd_layer *layer, int64_t i)
{
    return i < layer->n_inputs ? layer->input_row + i : LS_SIMD_ROW_ONE;
}

static int64_t layer_parameters(const ls_simd_layer *layer)
{
    return (layer->n_inputs + 1) * layer->units;
}

/* Swaps the factors of neighbours that have only the second one in common. Returns whether all pairs now have
 * the first one in common, which is then loaded once for both. */
static bool pair_rows(int64_t *inputs, int64_t *deltas, int64_t n)
{
    bool all_paired = true;
    for (int64_t k = 0; k < n; k += 2) {
        if (inputs[k] != inputs[k + 1] && deltas[k] == deltas[k + 1])
            for (int64_t i = k; i < k + 2; i++) {
                const int64_t input = inputs[i];
                inputs[i] = deltas[i];
                deltas[i] = input;
            }
        all_paired = all_paired && inputs[k] == inputs[k + 1];
    }
    return all_paired;
}

/* Adds the tiles of the narrow layers [l, end); rows is where their tables go.
 * Returns the end of the tables. */
static int64_t *add_tiles(ls_simd_network *network, int64_t lanes, int64_t stride, int64_t l, int64_t end,
                          int64_t *rows)
{
    int64_t parameter = network->layers[l].kernel, q = 0; /* q: place in the present layer */
    while (l < end) {
        network->tiles[network->n_tiles++] =
            (ls_simd_tile){.parameter = parameter, .inputs = rows, .deltas = rows + lanes};
        for (int64_t k = 0; k < lanes; k++) {
            const ls_simd_layer *layer = &network->layers[l];
            rows[k] = stride * (l < end ? input_row(layer, q / layer->units) : LS_SIMD_ROW_ONE);
            rows[lanes + k] = stride * (l < end ? layer->delta_row + q % layer->units : LS_SIMD_ROW_ZERO);
            if (l < end && ++q == layer_parameters(layer)) {
                l++;
                q = 0;
            }
        }
        network->tiles[network->n_tiles - 1].has_pairs = pair_rows(rows, rows + lanes, lanes);
        rows += 2 * lanes;
        parameter += lanes;
    }
    return rows;
}

/* Narrow layers that follow one another share tiles. */
static ls_status make_tiles(ls_simd_network *network, int64_t lanes, int64_t stride)
{
    int64_t most = 0;
    for (int64_t l = 0; l < network->n_layers; l++)
        if (!network->layers[l].is_wide) most += layer_parameters(&network->layers[l]) / lanes + 1;
    LS_TRY(ls_alloc(&network->tiles, (size_t)most, sizeof *network->tiles, "engine"));
    LS_TRY(ls_alloc(&network->tile_rows, (size_t)(2 * most * lanes), sizeof *network->tile_rows, "engine"));
    int64_t *rows = network->tile_rows;
    for (int64_t l = 0, end; l < network->n_layers; l = end) {
        for (end = l; end < network->n_layers && !network->layers[end].is_wide;) end++;
        if (end > l) rows = add_tiles(network, lanes, stride, l, end, rows);
        if (end == l) end++;
    }
    return LS_OK;
}

ls_status ls_simd_network_create(const ls_engine *engine, int64_t lanes, int64_t max_lanes,
                                 ls_simd_network *network)
{
    LS_TRY(make_layers(network, engine, lanes));
    return make_tiles(network, lanes, ls_simd_row_stride(max_lanes));
}

void ls_simd_network_destroy(ls_simd_network *network)
{
    ls_free(network->layers);
    ls_free(network->tiles);
    ls_free(network->tile_rows);
}
