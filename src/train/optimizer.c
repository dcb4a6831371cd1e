#include "train/optimizer.h"

#include "base/wide.h"

/* Adding 0 makes +0 of -0, for which of them a sum of nothing is depends on how many lanes were empty.
 * One factor for all: a division by a number of samples that is a power of two would give the same bits, more
 * slowly. */
LS_WIDE void ls_sgd_step(ls_model *model, const void *gradient_sum, int64_t n_samples, double learning_rate)
{
    if (model->dtype == LS_FLOAT32) {
        float *restrict w = model->parameters;
        const float *restrict sum = gradient_sum, factor = (float)learning_rate / (float)n_samples;
        for (int64_t i = 0; i < model->n_parameters; i++) w[i] -= factor * (sum[i] + 0);
    } else {
        double *restrict w = model->parameters;
        const double *restrict sum = gradient_sum, factor = learning_rate / (double)n_samples;
        for (int64_t i = 0; i < model->n_parameters; i++) w[i] -= factor * (sum[i] + 0);
    }
}
