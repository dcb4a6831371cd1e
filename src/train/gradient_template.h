/* The passes over a gradient for one type: REAL and PASS(name) are defined by gradient.c, which includes this
 * file twice. */

LS_WIDE void PASS(mean)(REAL *restrict gradient, const REAL *restrict sum, int64_t n, double scale)
{
    const REAL factor = (REAL)scale;
    for (int64_t i = 0; i < n; i++) gradient[i] = factor * (sum[i] + 0);
}

LS_WIDE void PASS(add_penalty)(REAL *restrict gradient, const REAL *restrict w, int64_t n, double l1,
                               double l2)
{
    const REAL absolute = (REAL)l1, square = (REAL)l2;
    for (int64_t i = 0; i < n; i++) {
        const REAL sign = (REAL)(w[i] > 0) - (REAL)(w[i] < 0);
        gradient[i] += absolute * sign + square * (2 * w[i]);
    }
}

LS_WIDE void PASS(clip)(REAL *gradient, int64_t n, double most)
{
    const REAL high = (REAL)most, low = -high;
    for (int64_t i = 0; i < n; i++) {
        const REAL above = gradient[i] < low ? low : gradient[i];
        gradient[i] = above > high ? high : above;
    }
}

/* In Keras' order of operations. */
LS_WIDE void PASS(scale)(REAL *gradient, int64_t n, double factor, double divisor)
{
    const REAL numerator = (REAL)factor, denominator = (REAL)divisor;
    for (int64_t i = 0; i < n; i++) gradient[i] = gradient[i] * numerator / denominator;
}
