/* The rules for one type: REAL, SQRT and RULE(name) are defined by update.c, which includes this file twice.
 * A rule keeps Keras' order of operations. */

#define TAKE(update)                                                                                         \
    const int64_t n = (update)->n;                                                                           \
    REAL *restrict w = (update)->weights;                                                                    \
    const REAL *restrict sums = (update)->gradient;                                                          \
    const REAL scale = (REAL)(update)->scale, rate = (REAL)(update)->learning_rate

LS_WIDE void RULE(sgd)(const ls_update *update)
{
    TAKE(update);
    for (int64_t i = 0; i < n; i++) w[i] -= rate * (scale * (sums[i] + 0));
}

LS_WIDE void RULE(momentum)(const ls_update *update)
{
    TAKE(update);
    const REAL momentum = (REAL)update->momentum;
    REAL *restrict m = update->slots[0];
    for (int64_t i = 0; i < n; i++) {
        m[i] = m[i] * momentum - scale * (sums[i] + 0) * rate;
        w[i] += m[i];
    }
}

LS_WIDE void RULE(nesterov)(const ls_update *update)
{
    TAKE(update);
    const REAL momentum = (REAL)update->momentum;
    REAL *restrict m = update->slots[0];
    for (int64_t i = 0; i < n; i++) {
        const REAL step = scale * (sums[i] + 0) * rate;
        m[i] = m[i] * momentum - step;
        w[i] += m[i] * momentum - step;
    }
}

LS_WIDE void RULE(rmsprop)(const ls_update *update)
{
    TAKE(update);
    const REAL rho = (REAL)update->rho, gain = (REAL)update->gain_1, epsilon = (REAL)update->epsilon;
    REAL *restrict v = update->slots[0];
    for (int64_t i = 0; i < n; i++) {
        const REAL g = scale * (sums[i] + 0);
        v[i] = rho * v[i] + gain * (g * g);
        w[i] -= rate * g / SQRT(v[i] + epsilon);
    }
}

LS_WIDE void RULE(rmsprop_momentum)(const ls_update *update)
{
    TAKE(update);
    const REAL rho = (REAL)update->rho, gain = (REAL)update->gain_1, epsilon = (REAL)update->epsilon,
               momentum = (REAL)update->momentum;
    REAL *restrict v = update->slots[0], *restrict m = update->slots[1];
    for (int64_t i = 0; i < n; i++) {
        const REAL g = scale * (sums[i] + 0);
        v[i] = rho * v[i] + gain * (g * g);
        m[i] = momentum * m[i] + rate * g / SQRT(v[i] + epsilon);
        w[i] -= m[i];
    }
}

LS_WIDE void RULE(rmsprop_centered)(const ls_update *update)
{
    TAKE(update);
    const REAL rho = (REAL)update->rho, gain = (REAL)update->gain_1, epsilon = (REAL)update->epsilon;
    REAL *restrict v = update->slots[0], *restrict average = update->slots[1];
    for (int64_t i = 0; i < n; i++) {
        const REAL g = scale * (sums[i] + 0);
        v[i] = rho * v[i] + gain * (g * g);
        average[i] = rho * average[i] + gain * g;
        w[i] -= rate * g / SQRT(v[i] - average[i] * average[i] + epsilon);
    }
}

LS_WIDE void RULE(rmsprop_centered_momentum)(const ls_update *update)
{
    TAKE(update);
    const REAL rho = (REAL)update->rho, gain = (REAL)update->gain_1, epsilon = (REAL)update->epsilon,
               momentum = (REAL)update->momentum;
    REAL *restrict v = update->slots[0], *restrict m = update->slots[1], *restrict average = update->slots[2];
    for (int64_t i = 0; i < n; i++) {
        const REAL g = scale * (sums[i] + 0);
        v[i] = rho * v[i] + gain * (g * g);
        average[i] = rho * average[i] + gain * g;
        m[i] = momentum * m[i] + rate * g / SQRT(v[i] - average[i] * average[i] + epsilon);
        w[i] -= m[i];
    }
}

LS_WIDE void RULE(adagrad)(const ls_update *update)
{
    TAKE(update);
    const REAL epsilon = (REAL)update->epsilon;
    REAL *restrict accumulator = update->slots[0];
    for (int64_t i = 0; i < n; i++) {
        const REAL g = scale * (sums[i] + 0);
        accumulator[i] += g * g;
        w[i] -= rate * g / SQRT(accumulator[i] + epsilon);
    }
}

LS_WIDE void RULE(adam)(const ls_update *update)
{
    TAKE(update);
    const REAL gain_1 = (REAL)update->gain_1, gain_2 = (REAL)update->gain_2, epsilon = (REAL)update->epsilon;
    REAL *restrict m = update->slots[0], *restrict v = update->slots[1];
    for (int64_t i = 0; i < n; i++) {
        const REAL g = scale * (sums[i] + 0);
        m[i] += (g - m[i]) * gain_1;
        v[i] += (g * g - v[i]) * gain_2;
        w[i] -= m[i] * rate / (SQRT(v[i]) + epsilon);
    }
}

LS_WIDE void RULE(weight_decay)(const ls_update *update)
{
    const int64_t n = update->n;
    REAL *restrict w = update->weights;
    const REAL decay = (REAL)update->weight_decay, rate = (REAL)update->learning_rate;
    for (int64_t i = 0; i < n; i++) w[i] -= w[i] * decay * rate;
}

#undef TAKE
