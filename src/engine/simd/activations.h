/* Activations with their derivatives, row by row: those that products do not compute at once. Part of
 * kernel.c. */

#define SELU_SCALE       (REAL)1.0507009873554805
#define SELU_SCALE_ALPHA (REAL)1.7580993408473766
#define LEAKY_SLOPE      (REAL)0.2
#define NORMAL_DENSITY_0 (REAL)0.3989422804014327 /* 1 / sqrt(2 pi) */

/* activation(z) and its derivative there, as Keras computes them. */
ALWAYS_INLINE vec value_and_slope(ls_activation activation, vec z, vec *slope)
{
    const mask positive = greater(z, all(0));
    switch (activation) {
    case LS_TANH: {
        const vec a = activate(LS_SIMD_TANH, z);
        *slope = derivative(LS_SIMD_TANH, a);
        return a;
    }
    case LS_RELU: {
        const vec a = activate(LS_SIMD_RELU, z);
        *slope = derivative(LS_SIMD_RELU, a);
        return a;
    }
    case LS_SIGMOID: {
        const vec a = activate(LS_SIMD_SIGMOID, z);
        *slope = derivative(LS_SIMD_SIGMOID, a);
        return a;
    }
    case LS_ELU: {
        const vec below = expm1_minus(magnitude(z));
        *slope = where(positive, all(1), below + all(1));
        return where(positive, z, below);
    }
    case LS_SELU: {
        const vec below = all(SELU_SCALE_ALPHA) * expm1_minus(magnitude(z));
        *slope = where(positive, all(SELU_SCALE), below + all(SELU_SCALE_ALPHA));
        return where(positive, all(SELU_SCALE) * z, below);
    }
    case LS_GELU: {
        vec bell;
        const vec tail = normal_tail(z, &bell), phi = where(greater(all(0), z), tail, all(1) - tail);
        *slope = fma_(all(NORMAL_DENSITY_0) * z, bell, phi);
        return z * phi;
    }
    case LS_SOFTPLUS: {
        const vec e = exp_minus(z);
        *slope = sigmoid_of(z, e);
        return greater_of(all(0), z) + log1p_(e);
    }
    case LS_LEAKY_RELU:
        *slope = where(positive, all(1), all(LEAKY_SLOPE));
        return where(positive, z, all(LEAKY_SLOPE) * z);
    case LS_LINEAR:
    case LS_SOFTMAX: /* not of one value */
        break;
    }
    *slope = all(1);
    return z;
}

ALWAYS_INLINE vec value_of(ls_activation activation, vec z)
{
    vec slope;
    return value_and_slope(activation, z, &slope);
}

/* Values, and with_slopes their derivatives, of a layer whose rows hold sums. Outputs that are dropped have
 * neither. */
static void activate_rows(const ls_simd_layer *layer, REAL *workspace, int64_t n_v, bool with_slopes)
{
    for (int64_t unit = 0; unit < layer->units; unit++) {
        REAL *values = row_at(workspace, layer->output_row + unit),
             *slopes = row_at(workspace, layer->slope_row + unit);
        const REAL *masks = with_slopes && layer->mask_row ? row_at(workspace, layer->mask_row + unit) : NULL;
        for (int64_t i = 0; i < n_v * VL; i += VL) {
            vec slope, value = value_and_slope(layer->activation, load(values + i), &slope);
            if (masks) {
                value = value * load(masks + i);
                slope = slope * load(masks + i);
            }
            store(values + i, value);
            if (with_slopes) store(slopes + i, slope);
        }
    }
}

/* exp(z - the greatest of all units' z) of n values of each output, and in *sum what they add up to. */
ALWAYS_INLINE void exponentials(REAL *outputs, int64_t row_stride, int64_t n_outputs, int64_t i,
                                vec *greatest, vec *sum)
{
    *greatest = load(outputs + i);
    *sum = all(0);
    for (int64_t unit = 1; unit < n_outputs; unit++)
        *greatest = greater_of(*greatest, load(outputs + unit * row_stride + i));
    for (int64_t unit = 0; unit < n_outputs; unit++) {
        const vec e = exp_minus(load(outputs + unit * row_stride + i) - *greatest);
        store(outputs + unit * row_stride + i, e);
        *sum = *sum + e;
    }
}

/* Outputs from the last layer's sums, n values of each unit, in place. */
static void activate_outputs(const ls_simd_layer *last, REAL *outputs, int64_t row_stride, int64_t n)
{
    for (int64_t i = 0; i < n; i += VL) {
        if (last->activation == LS_SOFTMAX) {
            vec greatest, sum;
            exponentials(outputs, row_stride, last->units, i, &greatest, &sum);
            for (int64_t unit = 0; unit < last->units; unit++) {
                REAL *e = outputs + unit * row_stride + i;
                store(e, load(e) / sum);
            }
            continue;
        }
        for (int64_t unit = 0; unit < last->units; unit++) {
            REAL *z = outputs + unit * row_stride + i;
            store(z, value_of(last->activation, load(z)));
        }
    }
}
