/* Losses of samples, their derivatives by the last layer's sums, and the other measures. Part of kernel.c. */

/* The last layer's rows of a chunk and its labels. */
typedef struct judged {
    REAL *outputs, *deltas; /* sums, which become outputs unless the network is plain; deltas may be NULL */
    int64_t row_stride;     /* from one unit to the next */
    int64_t n_outputs;
    ls_activation activation;
    const REAL *labels;
    int64_t label_step, label_stride; /* from one step to the next, and from one column to the next */
    int64_t n_steps, width;
} judged;

/* A plain network: measures and, unless deltas is NULL, the derivative of the cross-entropy by the logit, p -
 * y. The loss of a sample is max(z, 0) - zy + log1p(exp(-|z|)); a chunk's logarithms are taken together, of
 * the product of all 1 + e, kept as that product minus 1 so that small e are not lost. */
ALWAYS_INLINE void judge_steps(const REAL *logits, const REAL *all_labels, int64_t label_step,
                               int64_t n_steps, int64_t width, REAL *deltas, double *losses,
                               ls_simd_measures *measures)
{
    int64_t tp = 0, predictions = 0, positives = 0;
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
            tp += count(both(predicted, positive));
            predictions += count(both(predicted, valid));
            positives += count(positive);
            if (deltas) store(deltas + step * width + lane, where_or_zero(valid, p - y));
        }
        add_to_doubles(losses + lane, linear + log1p_(product));
    }
    measures->tp += tp;
    measures->fp += predictions - tp;
    measures->positives += positives;
}

/* What one vector of samples brings: its losses without and with weights, errors, correct predictions. */
typedef struct judgement {
    vec cross_entropy, loss, absolute, squared;
} judgement;

/* Binary cross-entropy of one label or several, smoothed: the mean over them; each counts for itself. */
ALWAYS_INLINE judgement judge_binary(const ls_simd_network *network, const judged *rows, int64_t at,
                                     const REAL *labels, vec weight, mask valid, ls_simd_measures *measures)
{
    const REAL smoothing = (REAL)network->label_smoothing, share = 1 / (REAL)rows->n_outputs;
    vec cross_entropy = all(0), loss = all(0);
    for (int64_t unit = 0; unit < rows->n_outputs; unit++) {
        REAL *output = rows->outputs + unit * rows->row_stride + at;
        const vec y = load(labels + unit * rows->label_stride), z = load(output), e = exp_minus(z),
                  p = sigmoid_of(z, e);
        const vec target = fma_(y, all(1 - smoothing), all(smoothing / 2));
        const vec rest = greater_of(all(0), z) + log1p_(e);
        const mask positive = both(valid, greater(y, all((REAL)0.5))),
                   predicted = both(valid, greater(p, all((REAL)0.5)));
        const int n_tp = count(both(predicted, positive));
        measures->tp += n_tp;
        measures->fp += count(predicted) - n_tp;
        measures->positives += count(positive);
        store(output, p);
        if (rows->deltas)
            store(rows->deltas + unit * rows->row_stride + at, (p - target) * all(share) * weight);
        cross_entropy = cross_entropy + fnma_(z, y, rest);
        loss = loss + fnma_(z, target, rest);
    }
    return (judgement){.cross_entropy = cross_entropy * all(share), .loss = loss * all(share) * weight};
}

/* Cross-entropy of classes, -sum of t log p with log p = z - greatest - log sum. Targets are a number in one
 * column or a column for each class. */
ALWAYS_INLINE judgement judge_classes(const ls_simd_network *network, const judged *rows, int64_t at,
                                      const REAL *labels, vec weight, mask valid, ls_simd_measures *measures)
{
    const int64_t n = rows->n_outputs, stride = rows->row_stride;
    const bool numbers = network->n_targets == 1;
    const REAL smoothing = (REAL)network->label_smoothing;
    vec greatest, sum, best = all(0), best_z = load(rows->outputs + at), real = all(0);
    vec of_targets = all(0), of_smoothed = all(0), total = all(0), most = load(labels);
    if (numbers) real = most;
    for (int64_t unit = 0; unit < n; unit++) { /* the first of equal ones, as argmax */
        const vec z = load(rows->outputs + unit * stride + at);
        const mask better = greater(z, best_z);
        best = where(better, all((REAL)unit), best);
        best_z = where(better, z, best_z);
    }
    /* The sums by class are of z - greatest, which lose nothing where z are large. */
    for (int64_t unit = 0; unit < n; unit++) {
        const vec z = load(rows->outputs + unit * stride + at) - best_z;
        vec t;
        if (numbers) {
            const vec distance = magnitude(real - all((REAL)unit));
            t = where_or_zero(greater(all((REAL)0.5), distance), all(1));
        } else {
            t = load(labels + unit * rows->label_stride);
            const mask more = greater(t, most);
            real = where(more, all((REAL)unit), real);
            most = where(more, t, most);
        }
        const vec smoothed = fma_(t, all(1 - smoothing), all(smoothing / (REAL)n));
        total = total + smoothed;
        of_targets = fma_(t, z, of_targets);
        of_smoothed = fma_(smoothed, z, of_smoothed);
        if (rows->deltas) store(rows->deltas + unit * stride + at, smoothed);
    }
    exponentials(rows->outputs, stride, n, at, &greatest, &sum);
    const vec log_sum = log1p_(greater_of(all(0), sum - all(1)));
    for (int64_t unit = 0; unit < n; unit++) {
        REAL *e = rows->outputs + unit * stride + at, *delta = rows->deltas + unit * stride + at;
        const vec p = load(e) / sum;
        store(e, p);
        if (rows->deltas) store(delta, fma_(p, total, all(0) - load(delta)) * weight);
    }
    measures->correct += count(both(valid, greater(all((REAL)0.5), magnitude(best - real))));
    return (judgement){.cross_entropy = log_sum - of_targets,
                       .loss = fma_(total, log_sum, all(0) - of_smoothed) * weight};
}

/* Errors of numbers: the means over outputs. */
ALWAYS_INLINE judgement judge_numbers(const ls_simd_network *network, const judged *rows, int64_t at,
                                      const REAL *labels, vec weight)
{
    const REAL delta = (REAL)network->huber_delta, share = 1 / (REAL)rows->n_outputs;
    vec loss = all(0), absolute = all(0), squared = all(0);
    for (int64_t unit = 0; unit < rows->n_outputs; unit++) {
        REAL *output = rows->outputs + unit * rows->row_stride + at;
        vec slope, change;
        const vec a = value_and_slope(rows->activation, load(output), &slope),
                  error = a - load(labels + unit * rows->label_stride), size = magnitude(error);
        store(output, a);
        absolute = absolute + size;
        squared = fma_(error, error, squared);
        const vec sign = where_or_zero(greater(size, all(0)), with_sign_of(all(1), error));
        if (network->loss == LS_MEAN_SQUARED_ERROR) {
            change = error + error;
        } else if (network->loss == LS_MEAN_ABSOLUTE_ERROR) {
            change = sign;
        } else {
            const mask far = greater(size, all(delta));
            loss = loss + where(far, all(delta) * (size - all(delta / 2)), all((REAL)0.5) * error * error);
            change = where(far, all(delta) * sign, error);
        }
        if (rows->deltas)
            store(rows->deltas + unit * rows->row_stride + at, change * slope * all(share) * weight);
    }
    absolute = absolute * all(share);
    squared = squared * all(share);
    loss = loss * all(share);
    if (network->loss == LS_MEAN_SQUARED_ERROR) loss = squared;
    if (network->loss == LS_MEAN_ABSOLUTE_ERROR) loss = absolute;
    return (judgement){.loss = loss * weight, .absolute = absolute, .squared = squared};
}

/* Any network: lanes without a sample have the weight -1. */
static void judge_network(const ls_simd_network *network, const judged *rows,
                          double losses[LS_SIMD_SUMS][MAX_LANES], ls_simd_measures *measures)
{
    for (int64_t lane = 0; lane < rows->width; lane += VL) {
        vec sums[LS_SIMD_SUMS] = {all(0), all(0), all(0), all(0)};
        for (int64_t step = 0; step < rows->n_steps; step++) {
            const REAL *labels = rows->labels + step * rows->label_step + lane;
            const vec packed_weight = load(labels + network->n_targets * rows->label_stride);
            const mask valid = greater(packed_weight, all((REAL)-0.5));
            const vec weight = where_or_zero(valid, packed_weight);
            const int64_t at = step * rows->width + lane;
            judgement j = {all(0), all(0), all(0), all(0)};
            if (network->loss == LS_BINARY_CROSSENTROPY) {
                j = judge_binary(network, rows, at, labels, weight, valid, measures);
            } else if (ls_loss_is_categorical(network->loss)) {
                j = judge_classes(network, rows, at, labels, weight, valid, measures);
            } else {
                j = judge_numbers(network, rows, at, labels, weight);
            }
            sums[LS_SIMD_LOSS] = sums[LS_SIMD_LOSS] + where_or_zero(valid, j.loss);
            sums[LS_SIMD_CROSS_ENTROPY] = sums[LS_SIMD_CROSS_ENTROPY] + where_or_zero(valid, j.cross_entropy);
            sums[LS_SIMD_ABSOLUTE_ERROR] = sums[LS_SIMD_ABSOLUTE_ERROR] + where_or_zero(valid, j.absolute);
            sums[LS_SIMD_SQUARED_ERROR] = sums[LS_SIMD_SQUARED_ERROR] + where_or_zero(valid, j.squared);
        }
        for (int sum = 0; sum < LS_SIMD_SUMS; sum++) add_to_doubles(losses[sum] + lane, sums[sum]);
    }
}
