/* Body of the blas engine for one type. The including file defines REAL, NAME(x) and GEMM. */

/* Outputs and slopes of all layers for n_rows rows; the last layer's outputs are sums. When training, those
 * of dropped units are 0. */
static void NAME(forward)(const ls_engine *engine, const REAL *x, int64_t n_rows, bool trains)
{
    const blas_state *state = engine->state;
    const ls_model *model = engine->model;
    const REAL *parameters = model->parameters, *in = x;
    for (int64_t l = 0; l < model->n_layers; l++) {
        const ls_layer *layer = &model->layers[l];
        REAL *out = (REAL *)state->outputs[l];
        const int units = (int)layer->units, n_inputs = (int)layer->n_inputs;
        for (int64_t row = 0; row < n_rows; row++)
            memcpy(out + row * units, parameters + layer->bias_offset, (size_t)units * sizeof(REAL));
        GEMM(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n_rows, units, n_inputs, 1, in, n_inputs,
             parameters + layer->kernel_offset, units, 1, out, units);
        in = out;
        if (l + 1 == model->n_layers) break;
        state->kernel->activate(layer->activation, n_rows * units, out, state->slopes[l]);
        if (!trains || layer->dropout == 0) continue;
        const ls_dropout_block block = {engine->first_sample, n_rows, 1, units, 1};
        void *factors = state->factors;
        ls_dropout_fill(state->dropout, l, &block, 1, &factors);
        state->kernel->multiply(n_rows * units, out, state->factors);
        state->kernel->multiply(n_rows * units, state->slopes[l], state->factors);
    }
}

/* The targets of rows [row, row + n) in rows of columns, as losses want them; the rest of n_padded are none.
 */
static void NAME(turn_labels)(const ls_engine *engine, const REAL *y, int64_t row, int64_t n,
                              int64_t n_padded)
{
    const blas_state *state = engine->state;
    const int64_t columns = ls_targets_row_values(&engine->targets),
                  values = ls_simd_label_values(&state->network), stride = LS_SIMD_STEPS * state->lanes;
    REAL *labels = (REAL *)state->labels;
    for (int64_t column = 0; column < values; column++)
        for (int64_t i = 0; i < n_padded; i++)
            labels[column * stride + i] = i >= n             ? (column == values - 1 ? -1 : 0)
                                          : column < columns ? y[(row + i) * columns + column]
                                                             : 1;
}

/* Measures of the rows that forward was called for, none if y is NULL; deltas, unless it is NULL, gets the
 * derivatives by their sums, and the sums become outputs. */
static ls_simd_measures NAME(judge)(const ls_engine *engine, const REAL *y, int64_t n_rows, REAL *deltas)
{
    const blas_state *state = engine->state;
    const int64_t stride = LS_SIMD_STEPS * state->lanes, units = state->last.units;
    REAL *outputs = (REAL *)state->outputs[engine->model->n_layers - 1], *judged = (REAL *)state->judged,
         *judged_deltas = (REAL *)state->judged_deltas;
    ls_simd_measures measures = {0};
    for (int64_t row = 0; row < n_rows; row += stride) {
        const int64_t n = n_rows - row < stride ? n_rows - row : stride, n_steps = (n - 1) / state->lanes + 1;
        NAME(turn_labels)(engine, y, row, y ? n : 0, n_steps * state->lanes);
        for (int64_t unit = 0; unit < units; unit++)
            for (int64_t i = 0; i < n_steps * state->lanes; i++)
                judged[unit * stride + i] = i < n ? outputs[(row + i) * units + unit] : 0;
        state->kernel->judge(&state->network, judged, state->labels, n_steps, judged_deltas, &measures);
        for (int64_t unit = 0; unit < units; unit++)
            for (int64_t i = 0; i < n; i++) {
                outputs[(row + i) * units + unit] = judged[unit * stride + i];
                if (deltas) deltas[(row + i) * units + unit] = judged_deltas[unit * stride + i];
            }
    }
    return measures;
}

static void NAME(shard_gradient)(ls_engine *engine, const void *x_rows, const void *y, int64_t n_rows,
                                 void *message)
{
    const REAL *x = x_rows;
    const blas_state *state = engine->state;
    const ls_model *model = engine->model;
    const REAL *parameters = model->parameters;
    REAL *gradient = message, *deltas = (REAL *)state->deltas, *below = (REAL *)state->below;
    NAME(forward)(engine, x, n_rows, true);
    const ls_simd_measures measures = NAME(judge)(engine, y, n_rows, deltas);
    for (int64_t l = model->n_layers - 1; l >= 0; l--) {
        const ls_layer *layer = &model->layers[l];
        const int units = (int)layer->units, n_inputs = (int)layer->n_inputs;
        const REAL *in = l > 0 ? (const REAL *)state->outputs[l - 1] : x;
        REAL *bias = gradient + layer->bias_offset;
        GEMM(CblasRowMajor, CblasTrans, CblasNoTrans, n_inputs, units, (int)n_rows, 1, in, n_inputs, deltas,
             units, 0, gradient + layer->kernel_offset, units);
        for (int64_t row = 0; row < n_rows; row++)
            for (int j = 0; j < units; j++) bias[j] += deltas[row * units + j];
        if (l == 0) break;
        GEMM(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n_rows, n_inputs, units, 1, deltas, units,
             parameters + layer->kernel_offset, units, 0, below, n_inputs);
        state->kernel->multiply(n_rows * n_inputs, below, state->slopes[l - 1]);
        REAL *swap = deltas;
        deltas = below;
        below = swap;
    }
    const ls_metrics metrics = ls_simd_metrics(&state->network, &measures, n_rows);
    ls_step_put_metrics(engine, &engine->layout, message, &metrics);
}

static void NAME(measure_piece)(ls_engine *engine, const REAL *x, const REAL *y, int64_t n_rows,
                                ls_metrics *metrics, REAL *outputs)
{
    const blas_state *state = engine->state;
    NAME(forward)(engine, x, n_rows, false);
    const ls_simd_measures measures = NAME(judge)(engine, y, n_rows, NULL);
    if (metrics) {
        const ls_metrics part = ls_simd_metrics(&state->network, &measures, n_rows);
        ls_metrics_add(metrics, &part);
    }
    const int64_t n_outputs = state->last.units;
    if (outputs)
        memcpy(outputs, state->outputs[engine->model->n_layers - 1],
               (size_t)(n_rows * n_outputs) * sizeof(REAL));
}
