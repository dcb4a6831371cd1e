#include <math.h>

#include "lockstep/model.h"
#include "random/philox.h"

void ls_model_init_glorot_uniform(ls_model *model, uint64_t seed)
{
    for (int64_t l = 0; l < model->n_layers; l++) {
        const ls_layer *layer = &model->layers[l];
        const double limit = sqrt(6.0 / (double)(layer->n_inputs + layer->units));
        for (int64_t i = 0; i < layer->n_inputs * layer->units; i++) {
            const int64_t at = layer->kernel_offset + i;
            uint32_t words[4];
            ls_philox(seed, LS_STREAM_WEIGHTS, 0, (uint64_t)at, words);
            const double value = limit * (2 * ls_uniform53(words[0], words[1]) - 1);
            if (model->dtype == LS_FLOAT32) {
                ((float *)model->parameters)[at] = (float)value;
            } else {
                ((double *)model->parameters)[at] = value;
            }
        }
        for (int64_t j = 0; j < layer->units; j++) {
            const int64_t at = layer->bias_offset + j;
            if (model->dtype == LS_FLOAT32) {
                ((float *)model->parameters)[at] = 0;
            } else {
                ((double *)model->parameters)[at] = 0;
            }
        }
    }
}
