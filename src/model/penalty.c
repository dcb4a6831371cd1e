#include "model/penalty.h"

#include "base/sums.h"
#include "model/optimizer.h"

bool ls_penalty_exists(const ls_model *model)
{
    for (int64_t i = 0; i < model->n_layers; i++)
        if (model->layers[i].l1 != 0 || model->layers[i].l2 != 0) return true;
    return false;
}

double ls_penalty_value(const ls_model *model)
{
    double value = 0;
    for (int64_t i = 0; i < model->n_layers; i++) {
        const ls_layer *layer = &model->layers[i];
        const int64_t n = layer->n_inputs * layer->units;
        const char *kernel =
            (const char *)model->parameters + (size_t)layer->kernel_offset * ls_dtype_size(model->dtype);
        if (layer->l1 != 0) value += ls_as_keras_casts(layer->l1) * ls_sum_absolute(model->dtype, kernel, n);
        if (layer->l2 != 0) value += ls_as_keras_casts(layer->l2) * ls_sum_squares(model->dtype, kernel, n);
    }
    return value;
}
