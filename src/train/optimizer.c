#include "train/optimizer.h"

void ls_sgd_step(ls_model *model, const void *gradient_sum, int64_t n_samples, double learning_rate)
{
    if (model->dtype == LS_FLOAT32) {
        float *w = model->parameters;
        const float *sum = gradient_sum, n = (float)n_samples, rate = (float)learning_rate;
        for (int64_t i = 0; i < model->n_parameters; i++) w[i] -= rate * (sum[i] / n);
    } else {
        double *w = model->parameters;
        const double *sum = gradient_sum, n = (double)n_samples;
        for (int64_t i = 0; i < model->n_parameters; i++) w[i] -= learning_rate * (sum[i] / n);
    }
}
