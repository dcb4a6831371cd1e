#include "data/scaling.h"

#include <math.h>

#include "base/memory.h"
#include "base/wide.h"

/* Rows of few features are taken many together, so that vectors are full. */
enum { MIN_PERIOD = 64 };

static const double EPSILON = 1e-7; /* Keras' */

struct ls_scaling {
    ls_dtype dtype;
    int64_t n_features;
    int64_t period;  /* values after which the features begin anew, a multiple of n_features */
    void *deviation; /* of a period, of dtype */
    double mean[];   /* the same; room for them in either dtype */
};

ls_status ls_scaling_create(ls_dtype dtype, int64_t n_features, const double *mean, const double *variance,
                            ls_scaling **result)
{
    const int64_t period = n_features < MIN_PERIOD ? n_features * MIN_PERIOD : n_features;
    ls_scaling *scaling;
    LS_TRY(ls_alloc(&scaling, 1, sizeof *scaling + 2 * (size_t)period * sizeof(double), "mean and variance"));
    *scaling = (ls_scaling){dtype, n_features, period, scaling->mean + period};
    for (int64_t i = 0; i < period; i++) {
        const double m = mean[i % n_features], v = variance[i % n_features];
        if (dtype == LS_FLOAT32) {
            ((float *)scaling->mean)[i] = (float)m;
            ((float *)scaling->deviation)[i] = fmaxf(sqrtf((float)v), (float)EPSILON);
        } else {
            scaling->mean[i] = m;
            ((double *)scaling->deviation)[i] = fmax(sqrt(v), EPSILON);
        }
    }
    *result = scaling;
    return LS_OK;
}

LS_WIDE static void apply_float32(const float *restrict mean, const float *restrict deviation, int64_t n,
                                  float *restrict x)
{
    for (int64_t i = 0; i < n; i++) x[i] = (x[i] - mean[i]) / deviation[i];
}

LS_WIDE static void apply_float64(const double *restrict mean, const double *restrict deviation, int64_t n,
                                  double *restrict x)
{
    for (int64_t i = 0; i < n; i++) x[i] = (x[i] - mean[i]) / deviation[i];
}

void ls_scaling_apply(const ls_scaling *scaling, int64_t n_rows, void *x)
{
    for (int64_t at = 0, left = n_rows * scaling->n_features; left > 0; at += scaling->period) {
        const int64_t n = left < scaling->period ? left : scaling->period;
        if (scaling->dtype == LS_FLOAT32)
            apply_float32((const float *)scaling->mean, scaling->deviation, n, (float *)x + at);
        else
            apply_float64(scaling->mean, scaling->deviation, n, (double *)x + at);
        left -= n;
    }
}
