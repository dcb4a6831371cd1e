/* Body of the reference engine for one type. The including file defines REAL, NAME(x), TANH, EXP, EXPM1, LOG,
 * LOG1P and ERF.
 */

/* An activation of one value z, and its derivative there. */
static REAL NAME(activate)(ls_activation activation, REAL z, REAL *slope)
{
    /* Keras' constants: selu's from Klambauer et al. 2017. */
    const REAL selu_scale = (REAL)1.0507009873554805, selu_alpha = (REAL)1.6732632423543773,
               leaky = (REAL)0.2;
    REAL a = z;
    *slope = 1;
    switch (activation) {
    case LS_TANH:
        a = TANH(z);
        *slope = 1 - a * a;
        break;
    case LS_RELU:
        a = z > 0 ? z : 0;
        *slope = z > 0;
        break;
    case LS_SIGMOID:
        a = 1 / (1 + EXP(-z));
        *slope = a * (1 - a);
        break;
    case LS_ELU:
        a = z > 0 ? z : EXPM1(z);
        *slope = z > 0 ? 1 : EXP(z);
        break;
    case LS_SELU:
        a = selu_scale * (z > 0 ? z : selu_alpha * EXPM1(z));
        *slope = selu_scale * (z > 0 ? 1 : selu_alpha * EXP(z));
        break;
    case LS_GELU: {
        const REAL normal = (1 + ERF(z * (REAL)0.7071067811865476)) / 2;
        a = z * normal;
        *slope = normal + z * EXP(-z * z / 2) * (REAL)0.3989422804014327;
        break;
    }
    case LS_SOFTPLUS:
        a = (z > 0 ? z : 0) + LOG1P(EXP(z > 0 ? -z : z));
        *slope = 1 / (1 + EXP(-z));
        break;
    case LS_LEAKY_RELU:
        a = z > 0 ? z : leaky * z;
        *slope = z > 0 ? 1 : leaky;
        break;
    case LS_LINEAR:
    case LS_SOFTMAX: /* not of one value */
        break;
    }
    return a;
}

/* Outputs and slopes of all layers for one sample, one layer after the other in the state; the last layer's
 * outputs are its sums. kernel is [n_inputs][units] row-major. When training, outputs and slopes of dropped
 * units are 0. */
static void NAME(forward)(const ls_engine *engine, const REAL *x, bool trains)
{
    const reference_state *state = engine->state;
    const ls_model *model = engine->model;
    const REAL *parameters = model->parameters;
    const REAL *input = x;
    REAL *output = state->outputs, *slope = state->slopes;
    for (int64_t l = 0; l < model->n_layers; l++) {
        const ls_layer *layer = &model->layers[l];
        const REAL *kernel = parameters + layer->kernel_offset, *bias = parameters + layer->bias_offset;
        const bool last = l == model->n_layers - 1, drops = trains && layer->dropout > 0;
        REAL *factors = state->factors;
        if (drops) {
            const ls_dropout_block block = {engine->first_sample, 1, 1, 1, 1};
            void *to = factors;
            ls_dropout_fill(state->dropout, l, &block, 1, &to);
        }
        for (int64_t j = 0; j < layer->units; j++) {
            REAL z = 0;
            for (int64_t i = 0; i < layer->n_inputs; i++) z += input[i] * kernel[i * layer->units + j];
            z += bias[j];
            output[j] = last ? z : NAME(activate)(layer->activation, z, &slope[j]);
            if (drops) {
                output[j] *= factors[j];
                slope[j] *= factors[j];
            }
        }
        input = output;
        output += layer->units;
        slope += layer->units;
    }
}

/* Turns the last layer's sums z into outputs, in place. */
static void NAME(finish)(const ls_layer *last, REAL *z)
{
    REAL greatest = z[0], sum = 0, slope;
    for (int64_t j = 0; j < last->units && last->activation != LS_SOFTMAX; j++)
        z[j] = NAME(activate)(last->activation, z[j], &slope);
    if (last->activation != LS_SOFTMAX) return;
    for (int64_t j = 0; j < last->units; j++)
        if (z[j] > greatest) greatest = z[j];
    for (int64_t j = 0; j < last->units; j++) sum += z[j] = EXP(z[j] - greatest);
    for (int64_t j = 0; j < last->units; j++) z[j] /= sum;
}

/* Binary cross-entropy of target t from the logit: -t log p - (1-t) log(1-p) with p = sigmoid(z), in the form
 * that neither overflows nor cancels (TensorFlow's sigmoid_cross_entropy_with_logits). */
static REAL NAME(cross_entropy)(REAL z, REAL t)
{
    const REAL magnitude = z < 0 ? -z : z;
    return (z > 0 ? z : 0) - z * t + LOG1P(EXP(-magnitude));
}

/* The mean over the labels; each counts for itself. */
static void NAME(judge_binary)(const ls_model *model, const REAL *z, const REAL *targets, REAL weight,
                               REAL *delta, ls_metrics *metrics)
{
    const int64_t n = ls_model_n_outputs(model);
    const REAL s = (REAL)model->label_smoothing;
    REAL slope, loss = 0, cross_entropy = 0;
    for (int64_t j = 0; j < n; j++) {
        const REAL y = targets[j], target = y * (1 - s) + s / 2, p = NAME(activate)(LS_SIGMOID, z[j], &slope);
        loss += NAME(cross_entropy)(z[j], target);
        cross_entropy += NAME(cross_entropy)(z[j], y);
        *(y != 0 ? (p > (REAL)0.5 ? &metrics->tp : &metrics->fn)
                 : (p > (REAL)0.5 ? &metrics->fp : &metrics->tn)) += 1;
        delta[j] = (p - target) / (REAL)n * weight;
    }
    metrics->loss_sum += (double)(weight * (loss / (REAL)n));
    metrics->cross_entropy_sum += (double)(cross_entropy / (REAL)n);
}

/* -sum of t log p over the classes; targets are a number or a column for each class. The derivative by z_j is
 * p_j times the sum of all t minus t_j. */
static void NAME(judge_classes)(const ls_model *model, const REAL *z, const REAL *targets, bool number,
                                REAL weight, REAL *delta, ls_metrics *metrics)
{
    const int64_t n = ls_model_n_outputs(model);
    const REAL s = (REAL)model->label_smoothing;
    REAL greatest = z[0], sum = 0, total = 0, loss = 0, cross_entropy = 0, most = targets[0];
    int64_t best = 0, real = 0;
    for (int64_t j = 1; j < n; j++)
        if (z[j] > greatest) {
            greatest = z[j];
            best = j;
        }
    for (int64_t j = 0; j < n; j++) sum += EXP(z[j] - greatest);
    for (int64_t j = 0; j < n; j++) {
        const REAL t = number ? targets[0] == (REAL)j : targets[j], smoothed = t * (1 - s) + s / (REAL)n,
                   log_p = z[j] - greatest - LOG(sum);
        if (number ? t == 1 : t > most) {
            most = t;
            real = j;
        }
        cross_entropy -= t * log_p;
        loss -= smoothed * log_p;
        total += smoothed;
        delta[j] = smoothed;
    }
    for (int64_t j = 0; j < n; j++) delta[j] = (EXP(z[j] - greatest) / sum * total - delta[j]) * weight;
    metrics->loss_sum += (double)(weight * loss);
    metrics->cross_entropy_sum += (double)cross_entropy;
    metrics->n_correct += best == real;
}

static void NAME(judge_numbers)(const ls_model *model, const REAL *z, const REAL *targets, REAL weight,
                                REAL *delta, ls_metrics *metrics)
{
    const ls_layer *last = &model->layers[model->n_layers - 1];
    const REAL n = (REAL)last->units, far = (REAL)model->huber_delta;
    REAL loss = 0, absolute = 0, squared = 0;
    for (int64_t j = 0; j < last->units; j++) {
        REAL slope, change;
        const REAL error = NAME(activate)(last->activation, z[j], &slope) - targets[j],
                   size = error < 0 ? -error : error;
        const REAL sign = (REAL)((error > 0) - (error < 0));
        absolute += size;
        squared += error * error;
        if (model->loss == LS_MEAN_SQUARED_ERROR) {
            loss += error * error;
            change = 2 * error;
        } else if (model->loss == LS_MEAN_ABSOLUTE_ERROR) {
            loss += size;
            change = sign;
        } else {
            loss += size > far ? far * (size - far / 2) : error * error / 2;
            change = size > far ? far * sign : error;
        }
        delta[j] = change * slope / n * weight;
    }
    metrics->loss_sum += (double)(weight * loss / n);
    metrics->absolute_error_sum += (double)(absolute / n);
    metrics->squared_error_sum += (double)(squared / n);
}

/* Adds the measures of the sample that forward was called for, and leaves the loss' derivatives by the last
 * layer's sums z in delta. */
static void NAME(judge)(const ls_engine *engine, const REAL *z, const REAL *y, REAL *delta,
                        ls_metrics *metrics)
{
    const ls_model *model = engine->model;
    const REAL weight = engine->targets.weighted ? y[engine->targets.n_columns] : 1;
    metrics->n_samples++;
    if (model->loss == LS_BINARY_CROSSENTROPY) {
        NAME(judge_binary)(model, z, y, weight, delta, metrics);
    } else if (ls_loss_is_categorical(model->loss)) {
        NAME(judge_classes)(model, z, y, engine->targets.n_columns == 1, weight, delta, metrics);
    } else {
        NAME(judge_numbers)(model, z, y, weight, delta, metrics);
    }
}

/* Adds one sample's gradient to gradient (laid out as the parameters), by the chain rule from the derivatives
 * by the last layer's sums in state->deltas. forward has been called for x. */
static void NAME(backward)(const ls_engine *engine, const REAL *x, REAL *gradient)
{
    const reference_state *state = engine->state;
    const ls_model *model = engine->model;
    const REAL *parameters = model->parameters;
    const ls_layer *last = &model->layers[model->n_layers - 1];
    REAL *delta = state->deltas, *below = delta + state->widest;
    const REAL *output = state->outputs, *slope = state->slopes;
    for (int64_t l = 0; l < model->n_layers - 1; l++) {
        output += model->layers[l].units;
        slope += model->layers[l].units;
    }
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
        slope -= layer->n_inputs;
        for (int64_t i = 0; i < layer->n_inputs; i++) {
            REAL sum = 0;
            for (int64_t j = 0; j < layer->units; j++) sum += kernel[i * layer->units + j] * delta[j];
            below[i] = sum * slope[i];
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
    const REAL *z = (const REAL *)state->outputs + state->last_output;
    ls_metrics metrics = {0};
    const int64_t first_sample = engine->first_sample;
    for (int64_t row = 0; row < n_rows;
         row++, x += model->n_features, y += ls_targets_row_values(&engine->targets)) {
        engine->first_sample = first_sample + row;
        NAME(forward)(engine, x, true);
        NAME(judge)(engine, z, y, state->deltas, &metrics);
        NAME(backward)(engine, x, message);
    }
    engine->first_sample = first_sample;
    ls_step_put_metrics(engine, &engine->layout, message, &metrics);
}

static void NAME(measure)(ls_engine *engine, const void *x_rows, const void *y_rows, int64_t n_rows,
                          ls_metrics *metrics, void *outputs)
{
    const reference_state *state = engine->state;
    const ls_model *model = engine->model;
    const ls_layer *last = &model->layers[model->n_layers - 1];
    const REAL *x = x_rows, *y = y_rows;
    REAL *z = (REAL *)state->outputs + state->last_output, *out = outputs;
    for (int64_t row = 0; row < n_rows; row++, x += model->n_features) {
        NAME(forward)(engine, x, false);
        if (metrics) {
            NAME(judge)(engine, z, y, state->deltas, metrics);
            y += ls_targets_row_values(&engine->targets);
        }
        if (!outputs) continue;
        NAME(finish)(last, z);
        memcpy(out, z, (size_t)last->units * sizeof *out);
        out += last->units;
    }
}
