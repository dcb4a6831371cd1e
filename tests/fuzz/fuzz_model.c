/* Model files and checkpoints: ours, with a digest that fits whatever the bytes are, and Keras'. */
#include <hdf5.h>
#include <math.h>

#include "hdf5_mutator.h"
#include "model/file_digest.h"
#include "model/keras_h5.h"
#include "model/model.h"
#include "model/normalization.h"

static void check_model(const ls_model *model)
{
    FUZZ_ASSERT(model->n_layers >= 1 && ls_model_check_output(model) == LS_OK);
    for (int64_t i = 0; i < model->n_layers; i++)
        FUZZ_ASSERT(model->layers[i].dropout >= 0 && model->layers[i].dropout < 1);
    FUZZ_ASSERT(!model->mean == !model->variance);
    for (int64_t i = 0; i < model->n_features && model->mean; i++)
        FUZZ_ASSERT(isfinite(model->mean[i]) && isfinite(model->variance[i]) && model->variance[i] >= 0);
    for (int64_t i = 0; i < model->n_parameters; i++)
        FUZZ_ASSERT(isfinite(model->dtype == LS_FLOAT32 ? (double)((const float *)model->parameters)[i]
                                                        : ((const double *)model->parameters)[i]));
}

/* What could be read can be written, and read back the same. */
static void check_round_trip(const ls_model *model, const ls_training_config *config, const char *record)
{
    void *image;
    size_t size;
    ls_model *again;
    ls_training_config config_again;
    char *record_again;
    bool ours;
    FUZZ_ASSERT(ls_keras_h5_write(model, config, record, &image, &size) == LS_OK);
    ls_file_digest_stamp(image, size);
    FUZZ_ASSERT(ls_file_digest_check("again", image, size, &ours) == LS_OK && ours);
    FUZZ_ASSERT(ls_keras_h5_read("again", image, size, true, &again, &config_again, &record_again) == LS_OK);
    FUZZ_ASSERT(again->n_layers == model->n_layers && again->n_parameters == model->n_parameters);
    FUZZ_ASSERT(again->loss == model->loss && again->label_smoothing == model->label_smoothing);
    FUZZ_ASSERT(ls_model_weights_digest(again) == ls_model_weights_digest(model));
    for (int64_t i = 0; i < model->n_layers; i++)
        FUZZ_ASSERT(again->layers[i].dropout == model->layers[i].dropout);
    FUZZ_ASSERT(memcmp(again->parameters, model->parameters,
                       (size_t)model->n_parameters * ls_dtype_size(model->dtype)) == 0);
    FUZZ_ASSERT(config_again.iterations == config->iterations);
    FUZZ_ASSERT(!config_again.slots == !config->slots);
    FUZZ_ASSERT(!config->slots || memcmp(config_again.slots, config->slots,
                                         (size_t)ls_optimizer_n_slots(&config->optimizer) *
                                             (size_t)model->n_parameters * ls_dtype_size(model->dtype)) == 0);
    FUZZ_ASSERT(!record == !record_again && (!record || strcmp(record, record_again) == 0));
    ls_training_config_clear(&config_again);
    ls_free(record_again);
    ls_model_free(again);
    ls_free(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int64_t live = ls_alloc_live();
    char *image = fuzz_text(data, size);
    bool ours;
    ls_status status = ls_file_digest_check("input", image, size, &ours);
    FUZZ_ASSERT_TOLD(status);
    if (size > LS_FILE_HEAD_SIZE && memcmp(image, "lockstep model", 14) == 0) {
        /* Behind the digest. */
        ls_file_digest_stamp(image, size);
        status = ls_file_digest_check("input", image, size, &ours);
        FUZZ_ASSERT(status == LS_OK && ours);
    }
    if (status == LS_OK) {
        ls_model *model;
        ls_training_config config = {0};
        char *record;
        status = ls_keras_h5_read("input", image, size, ours, &model, &config, &record);
        FUZZ_ASSERT_TOLD(status);
        FUZZ_ASSERT((status == LS_OK) == (model != NULL));
        if (status == LS_OK) {
            check_model(model);
            check_round_trip(model, &config, record);
        }
        ls_training_config_clear(&config);
        ls_model_free(model);
        ls_free(record);
    }
    free(image);
    FUZZ_ASSERT(ls_alloc_live() == live);
    FUZZ_ASSERT(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) == 0);
    return 0;
}
