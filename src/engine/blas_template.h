/* Body of the blas engine for one type. The including file defines REAL, NAME(x) and GEMM. */

/* Outputs of all layers for n_rows rows; the last layer's are logits. */
static void NAME(forward)(const ls_engine *engine, const REAL *x, int64_t n_rows)
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
        if (l + 1 < model->n_layers) state->kernel->activate(layer->activation, n_rows * units, out);
        in = out;
    }
}

/* Measures of the rows that forward was called for; deltas gets the derivatives by their logits. */
static ls_simd_measures NAME(judge)(const ls_engine *engine, const REAL *y, int64_t n_rows, REAL *deltas)
{
    const blas_state *state = engine->state;
    const int64_t n = round_up(state, n_rows);
    REAL *labels = (REAL *)state->labels, *logits = (REAL *)state->outputs[engine->model->n_layers - 1];
    ls_simd_measures measures = {0};
    memcpy(labels, y, (size_t)n_rows * sizeof(REAL));
    for (int64_t i = n_rows; i < n; i++) {
        labels[i] = -1;
        logits[i] = 0;
    }
    state->kernel->judge(logits, labels, n / state->lanes, deltas, &measures);
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
    NAME(forward)(engine, x, n_rows);
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
        state->kernel->multiply_by_derivative(layer[-1].activation, in, n_rows * n_inputs, below);
        REAL *swap = deltas;
        deltas = below;
        below = swap;
    }
    const ls_metrics metrics = ls_simd_metrics(&measures, n_rows);
    ls_step_put_metrics(&engine->layout, message, &metrics);
}

static void NAME(measure_piece)(ls_engine *engine, const REAL *x, const REAL *y, int64_t n_rows,
                                ls_metrics *metrics)
{
    const blas_state *state = engine->state;
    NAME(forward)(engine, x, n_rows);
    const ls_simd_measures measures = NAME(judge)(engine, y, n_rows, (REAL *)state->deltas);
    const ls_metrics part = ls_simd_metrics(&measures, n_rows);
    ls_metrics_add(metrics, &part);
}
