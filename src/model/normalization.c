#include "model/normalization.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <xxhash.h>

#include "base/memory.h"

static ls_status check(const ls_model *model, const double *mean, const double *variance, const char *place)
{
    for (int64_t i = 0; i < model->n_features; i++) {
        const bool narrow = model->dtype == LS_FLOAT32;
        const double m = narrow ? (double)(float)mean[i] : mean[i],
                     v = narrow ? (double)(float)variance[i] : variance[i];
        if (isfinite(m) && isfinite(v) && v >= 0) continue;
        return ls_fail(LS_E_INPUT, "%s: mean %g and variance %g of feature %" PRId64 " do not go into %s%s",
                       place, mean[i], variance[i], i, ls_dtype_name(model->dtype),
                       narrow ? ": use float64, or smaller units" : "");
    }
    return LS_OK;
}

ls_status ls_model_set_normalization(ls_model *model, const double *mean, const double *variance,
                                     const char *place)
{
    const int64_t n = model->n_features;
    double *both;
    LS_TRY(check(model, mean, variance, place));
    LS_TRY(ls_alloc(&both, 2 * (size_t)n, sizeof *both, "mean and variance"));
    for (int64_t i = 0; i < n; i++) {
        both[i] = model->dtype == LS_FLOAT32 ? (double)(float)mean[i] : mean[i];
        both[n + i] = model->dtype == LS_FLOAT32 ? (double)(float)variance[i] : variance[i];
    }
    ls_free(model->mean);
    model->mean = both;
    model->variance = both + n;
    return LS_OK;
}

ls_status ls_model_share_normalization(ls_session *session, ls_model *model)
{
    const size_t n = (size_t)model->n_features;
    double *both;
    ls_status status = ls_alloc(&both, 2 * n, sizeof *both, "mean and variance");
    if (status == LS_OK && session->rank == 0) memcpy(both, model->mean, 2 * n * sizeof *both);
    status = ls_session_agree(session, status);
    if (status == LS_OK) status = ls_broadcast(session, both, 2 * n * sizeof *both);
    if (status == LS_OK)
        status =
            ls_session_agree(session, ls_model_set_normalization(model, both, both + n, "normalization"));
    ls_free(both);
    return status;
}

uint64_t ls_model_weights_digest(const ls_model *model)
{
    const size_t n = 2 * (size_t)model->n_features;
    const XXH64_hash_t normalization = model->mean ? XXH3_64bits(model->mean, n * sizeof *model->mean) : 0;
    return XXH3_64bits_withSeed(model->parameters, (size_t)model->n_parameters * ls_dtype_size(model->dtype),
                                normalization);
}

ls_status ls_model_open_inputs(const ls_model *model, ls_dataset *dataset, ls_dataset **inputs)
{
    return ls_dataset_open_scaled(dataset, model->dtype, model->mean, model->variance, inputs);
}
