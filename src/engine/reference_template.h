/* Body of the reference engine for one type. The including file defines REAL, NAME(x), TANH, EXP and LOG1P.
 */

static REAL NAME(activate)(ls_activation activation, REAL z)
{
    switch (activation) {
    case LS_TANH:
        return TANH(z);
    case LS_RELU:
        return z > 0 ? z : 0;
    case LS_SIGMOID:
        return 1 / (1 + EXP(-z));
    case LS_LINEAR:
        break;
    }
    return z;
}

/* The activation's derivative by z, from its value a: all ours can be told from the value. */
static REAL NAME(derivative)(ls_activation activation, REAL a)
{
    switch (activation) {
    case LS_TANH:
        return 1 - a * a;
    case LS_RELU:
        return a > 0 ? 1 : 0;
    case LS_SIGMOID:
        return a * (1 - a);
    case LS_LINEAR:
        break;
    }
    return 1;
}

/* Outputs of all layers for one sample, one layer after the other in state->activations; returns the last
 * layer's input sum, the logit z. kernel is [n_inputs][units] row-major. */
static REAL NAME(forward)(const ls_engine *engine, const REAL *x)
{
    const reference_state *state = engine->state;
    const ls_model *model = engine->model;
    const REAL *parameters = model->parameters;
    const REAL *input = x;
    REAL *output = state->activations;
    REAL z = 0;
    for (int64_t l = 0; l < model->n_layers; l++) {
        const ls_layer *layer = &model->layers[l];
        const REAL *kernel = parameters + layer->kernel_offset, *bias = parameters + layer->bias_offset;
        for (int64_t j = 0; j < layer->units; j++) {
            z = 0;
            for (int64_t i = 0; i < layer->n_inputs; i++) z += input[i] * kernel[i * layer->units + j];
            z += bias[j];
            output[j] = NAME(activate)(layer->activation, z);
        }
        input = output;
        output += layer->units;
    }
    return z;
}

/* Binary cross-entropy of label y from the logit: -y log p - (1-y) log(1-p) with p = sigmoid(z), in the form
 * that neither overflows nor cancels (TensorFlow's sigmoid_cross_entropy_with_logits). */
static REAL NAME(cross_entropy)(REAL z, REAL y)
{
    const REAL magnitude = z < 0 ? -z : z;
    return (z > 0 ? z : 0) - z * y + LOG1P(EXP(-magnitude));
}

/* Counts the sample under its label and its prediction, p > 0.5. */
static void NAME(count)(REAL p, REAL y, int64_t *tn, int64_t *fp, int64_t *fn, int64_t *tp)
{
    const int predicted = p > (REAL)0.5;
    if (y != 0) {
        *(predicted ? tp : fn) += 1;
    } else {
        *(predicted ? fp : tn) += 1;
    }
}

/* Adds one sample's gradient to gradient (laid out as the parameters). forward has been called for x. With
 * the cross-entropy of a sigmoid the derivative by the logit is p - y; the rest is the chain rule. */
static void NAME(backward)(const ls_engine *engine, const REAL *x, REAL y, REAL *gradient)
{
    const reference_state *state = engine->state;
    const ls_model *model = engine->model;
    const REAL *parameters = model->parameters;
    const ls_layer *last = &model->layers[model->n_layers - 1];
    REAL *delta = state->deltas, *below = delta + state->widest;
    const REAL *output = state->activations;
    for (int64_t l = 0; l < model->n_layers - 1; l++) output += model->layers[l].units;
    delta[0] = output[0] - y;

    for (const ls_layer *layer = last; layer >= model->layers; layer--) {
        const REAL *input = layer > model->layers ? output - layer->n_inputs : x;
        REAL *kernel_gradient = gradient + layer->kernel_offset,
             *bias_gradient = gradient + layer->bias_offset;
        for (int64_t i = 0; i < layer->n_inputs; i++)
            for (int64_t j = 0; j < layer->units; j++)
                kernel_gradient[i * layer->units + j] += input[i] * delta[j];
        for (int64_t j = 0; j < layer->units; j++) bias_gradient[j] += delta[j];
        if (layer == model->layers) break;

        const REAL *kernel = parameters + layer->kernel_offset;
        for (int64_t i = 0; i < layer->n_inputs; i++) {
            REAL sum = 0;
            for (int64_t j = 0; j < layer->units; j++) sum += kernel[i * layer->units + j] * delta[j];
            below[i] = sum * NAME(derivative)(layer[-1].activation, input[i]);
        }
        REAL *swap = delta;
        delta = below;
        below = swap;
        output = input;
    }
}

static void NAME(shard_gradient)(ls_engine *engine, const void *x_rows, const void *y_rows, int64_t n_rows,
                                 void *message)
{
    const reference_state *state = engine->state;
    const ls_model *model = engine->model;
    const REAL *x = x_rows, *y = y_rows;
    const REAL *p = state->activations;
    double *loss = ls_message_doubles(&engine->layout, message) + LS_STEP_LOSS;
    int64_t *counts = ls_message_ints(&engine->layout, message);
    for (int64_t l = 0; l < model->n_layers - 1; l++) p += model->layers[l].units;
    for (int64_t row = 0; row < n_rows; row++, x += model->n_features) {
        const REAL z = NAME(forward)(engine, x);
        *loss += (double)NAME(cross_entropy)(z, y[row]);
        NAME(count)
        (*p, y[row], &counts[LS_STEP_TN], &counts[LS_STEP_FP], &counts[LS_STEP_FN], &counts[LS_STEP_TP]);
        NAME(backward)(engine, x, y[row], message);
    }
    counts[LS_STEP_SAMPLES] += n_rows;
}

static void NAME(measure)(ls_engine *engine, const void *x_rows, const void *y_rows, int64_t n_rows,
                          ls_metrics *metrics)
{
    const ls_model *model = engine->model;
    const REAL *x = x_rows, *y = y_rows;
    for (int64_t row = 0; row < n_rows; row++, x += model->n_features) {
        const REAL z = NAME(forward)(engine, x);
        metrics->loss_sum += (double)NAME(cross_entropy)(z, y[row]);
        NAME(count)
        (NAME(activate)(LS_SIGMOID, z), y[row], &metrics->tn, &metrics->fp, &metrics->fn, &metrics->tp);
    }
    metrics->n_samples += n_rows;
}

static void NAME(predict)(ls_engine *engine, const void *x_rows, int64_t n_rows, void *p_rows)
{
    const ls_model *model = engine->model;
    const REAL *x = x_rows;
    REAL *p = p_rows;
    for (int64_t row = 0; row < n_rows; row++, x += model->n_features)
        p[row] = NAME(activate)(LS_SIGMOID, NAME(forward)(engine, x));
}
