#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data/hdf5_support.h"
#include "model/file_digest.h"
#include "model/heap_check.h"
#include "model/keras_h5.h"
#include "model/keras_h5_objects.h"
#include "model/keras_h5_optimizer.h"
#include "model/keras_model.h"
#include "model/keras_training.h"
#include "model/normalization.h"

enum { TEXT_SIZE = 256 };

/* The weights of one Dense layer, opened and checked. */
typedef struct weights {
    hid_t kernel, bias; /* -1 while not open */
    char place[TEXT_SIZE];
} weights;

static ls_status open_weights(const ls_h5_reader *in, hid_t group, const ls_h5_strings *names,
                              const hsize_t shape[2], weights *it)
{
    if (names->n != 2)
        return ls_fail(LS_E_INPUT, "%s: %s: %" PRId64 " weights instead of kernel and bias: not supported",
                       in->file, it->place, names->n);
    LS_TRY(ls_h5_open_object(in, group, names->items[0], it->place, &it->kernel));
    LS_TRY(ls_h5_open_object(in, group, names->items[1], it->place, &it->bias));
    char place[2 * TEXT_SIZE];
    snprintf(place, sizeof place, "%s/%s", it->place, names->items[0]);
    LS_TRY(ls_h5_check_values(in, place, it->kernel, 2, shape));
    snprintf(place, sizeof place, "%s/%s", it->place, names->items[1]);
    return ls_h5_check_values(in, place, it->bias, 1, shape + 1);
}

static void close_weights(weights *it, int64_t n)
{
    for (int64_t i = 0; it && i < n; i++) {
        if (it[i].kernel >= 0) H5Oclose(it[i].kernel);
        if (it[i].bias >= 0) H5Oclose(it[i].bias);
    }
    ls_free(it);
}

/* The rows of the first kernel, for a model_config without an input shape; 0 if it has no usable shape, which
 * the check against model_config then tells. */
static ls_status kernel_rows(const ls_h5_reader *in, hid_t group, const ls_h5_strings *names, int64_t *n)
{
    hsize_t shape[H5S_MAX_RANK] = {0};
    hid_t kernel;
    *n = 0;
    if (names->n != 2) return LS_OK;
    LS_TRY(ls_h5_open_object(in, group, names->items[0], "first kernel", &kernel));
    const hid_t space = H5Iget_type(kernel) == H5I_DATASET ? H5Dget_space(kernel) : -1;
    if (space >= 0 && H5Sget_simple_extent_ndims(space) == 2) H5Sget_simple_extent_dims(space, shape, NULL);
    if (space >= 0) H5Sclose(space);
    H5Oclose(kernel);
    if (shape[0] <= (hsize_t)LS_LAYER_MAX_UNITS) *n = (int64_t)shape[0];
    return LS_OK;
}

/* n_features numbers of the file; *n_features is found out if it is 0. */
static ls_status read_statistic(const ls_h5_reader *in, hid_t group, const char *name, const char *where,
                                int64_t *n_features, double **values)
{
    char place[2 * TEXT_SIZE];
    hsize_t shape = 0;
    hid_t dataset;
    snprintf(place, sizeof place, "%s/%s", where, name);
    LS_TRY(ls_h5_open_object(in, group, name, where, &dataset));
    if (*n_features == 0 && H5Iget_type(dataset) == H5I_DATASET) {
        const hid_t space = H5Dget_space(dataset);
        if (space >= 0 && H5Sget_simple_extent_ndims(space) == 1)
            H5Sget_simple_extent_dims(space, &shape, NULL);
        if (space >= 0) H5Sclose(space);
        if (shape >= 1 && shape <= (hsize_t)LS_LAYER_MAX_UNITS) *n_features = (int64_t)shape;
    }
    shape = (hsize_t)*n_features;
    ls_status status = ls_h5_check_values(in, place, dataset, 1, &shape);
    if (status == LS_OK) status = ls_alloc(values, (size_t)*n_features, sizeof **values, "mean and variance");
    if (status == LS_OK && H5Dread(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, *values) < 0)
        status = ls_h5_fail(LS_E_INPUT, in->file, place, "the weights cannot be read");
    H5Oclose(dataset);
    return status;
}

/* Mean and variance of a Normalization layer that was adapted; after them Keras lists a count. */
static ls_status read_normalization(const ls_h5_reader *in, hid_t group, const ls_h5_strings *names,
                                    const char *place, ls_keras_model *keras)
{
    if (names->n != 3)
        return ls_fail(LS_E_INPUT,
                       "%s: %s: %" PRId64 " weights instead of mean, variance and count: not supported",
                       in->file, place, names->n);
    LS_TRY(read_statistic(in, group, names->items[0], place, &keras->n_features, &keras->mean));
    return read_statistic(in, group, names->items[1], place, &keras->n_features, &keras->variance);
}

/* Opens the weights of the listed layers that have any; they must be those of keras, in order. */
static ls_status open_all_weights(const ls_h5_reader *in, hid_t root, const ls_h5_strings *layers,
                                  ls_keras_model *keras, weights *all)
{
    int64_t n = 0, n_inputs = keras->n_features;
    ls_status status = LS_OK;
    for (int64_t i = 0; i < layers->n && status == LS_OK; i++) {
        char place[TEXT_SIZE];
        snprintf(place, sizeof place, "/model_weights/%s", layers->items[i]);
        hid_t group;
        LS_TRY(ls_h5_open_object(in, root, layers->items[i], place, &group));
        ls_h5_strings names = {0};
        status = ls_h5_read_names(in, group, "weight_names", place, &names);
        if (status == LS_OK && names.n > 0 && keras->normalizes && !keras->mean) {
            status = read_normalization(in, group, &names, place, keras);
            n_inputs = keras->n_features;
        } else if (status == LS_OK && names.n > 0 && n == keras->n_layers) {
            status = ls_fail(LS_E_INPUT, "%s: %s: more layers with weights than model_config has", in->file,
                             place);
        } else if (status == LS_OK && names.n > 0) {
            if (n_inputs == 0) {
                status = kernel_rows(in, group, &names, &keras->n_features);
                n_inputs = keras->n_features;
            }
            const hsize_t shape[2] = {(hsize_t)n_inputs, (hsize_t)keras->plan[n].units};
            memcpy(all[n].place, place, sizeof place);
            if (status == LS_OK) status = open_weights(in, group, &names, shape, &all[n]);
            n_inputs = keras->plan[n].units;
            n++;
        }
        ls_h5_free_strings(&names);
        H5Oclose(group);
    }
    LS_TRY(status);
    if (n < keras->n_layers)
        return ls_fail(LS_E_INPUT,
                       "%s: /model_weights: weights of %" PRId64 " layers, model_config has %" PRId64
                       ": the file is "
                       "incomplete",
                       in->file, n, keras->n_layers);
    return LS_OK;
}

static ls_status check_finite(const ls_h5_reader *in, const ls_model *model)
{
    for (int64_t i = 0; i < model->n_parameters; i++) {
        const double value = model->dtype == LS_FLOAT32 ? (double)((const float *)model->parameters)[i]
                                                        : ((const double *)model->parameters)[i];
        if (isfinite(value)) continue;
        char place[TEXT_SIZE];
        ls_model_describe_parameter(model, i, place, sizeof place);
        return ls_fail(LS_E_INPUT, "%s: %s is %g in %s: train the model again, with a smaller learning rate",
                       in->file, place, value, ls_dtype_name(model->dtype));
    }
    return LS_OK;
}

static ls_status read_parameters(const ls_h5_reader *in, const weights *all, ls_model *model)
{
    const hid_t type = model->dtype == LS_FLOAT32 ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE;
    const size_t size = ls_dtype_size(model->dtype);
    for (int64_t i = 0; i < model->n_layers; i++) {
        const ls_layer *layer = &model->layers[i];
        char *parameters = model->parameters;
        if (H5Dread(all[i].kernel, type, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                    parameters + (size_t)layer->kernel_offset * size) < 0 ||
            H5Dread(all[i].bias, type, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                    parameters + (size_t)layer->bias_offset * size) < 0)
            return ls_h5_fail(LS_E_INPUT, in->file, all[i].place, "the weights cannot be read");
    }
    return check_finite(in, model);
}

static ls_status read_weights(const ls_h5_reader *in, hid_t root, const ls_h5_strings *layers,
                              ls_keras_model *keras, ls_model **model)
{
    weights *all;
    LS_TRY(ls_alloc(&all, (size_t)keras->n_layers, sizeof *all, "weights of the layers"));
    for (int64_t i = 0; i < keras->n_layers; i++) all[i].kernel = all[i].bias = -1;
    ls_status status = open_all_weights(in, root, layers, keras, all);
    if (status == LS_OK)
        status = ls_model_create_layers(keras->dtype, keras->n_features, keras->plan, keras->n_layers, model);
    if (status == LS_OK) {
        status = read_parameters(in, all, *model);
        if (status == LS_OK && keras->normalizes)
            status = ls_model_set_normalization(*model, keras->mean, keras->variance, in->file);
        if (status != LS_OK) {
            ls_model_free(*model);
            *model = NULL;
        }
    }
    close_weights(all, keras->n_layers);
    return status;
}

/* The one string of a root attribute. */
static ls_status read_json(const ls_h5_reader *in, hid_t root, const char *name, ls_h5_strings *text)
{
    LS_TRY(ls_h5_read_attribute(in, root, name, "/", text));
    if (text->n == 1) return LS_OK;
    return ls_fail(LS_E_INPUT, "%s: attribute %s: %" PRId64 " strings instead of one", in->file, name,
                   text->n);
}

static ls_status read_training(const ls_h5_reader *in, hid_t root, ls_keras_loss *loss,
                               ls_training_config *config)
{
    bool found;
    LS_TRY(ls_h5_has_attribute(in, root, "/", "training_config", &found));
    if (!found) return LS_OK;
    ls_h5_strings text = {0};
    ls_status status = read_json(in, root, "training_config", &text);
    if (status == LS_OK) status = ls_keras_training_parse(in->file, text.items[0], in->exact, loss, config);
    ls_h5_free_strings(&text);
    return status;
}

static ls_status read_keras_model(const ls_h5_reader *in, hid_t root, ls_keras_model **keras)
{
    bool found;
    LS_TRY(ls_h5_has_attribute(in, root, "/", "model_config", &found));
    if (!found) {
        bool layers, layer_names;
        LS_TRY(ls_h5_has_link(in, root, "/", "layers", &layers));
        LS_TRY(ls_h5_has_attribute(in, root, "/", "layer_names", &layer_names));
        const bool weights_only = layers || layer_names;
        return weights_only
                   ? ls_fail(LS_E_INPUT,
                             "%s: weights without a model: save the whole model, model.save(\"NAME.h5\"), "
                             "not model.save_weights",
                             in->file)
                   : ls_fail(LS_E_INPUT,
                             "%s: not a Keras model file: it has no attribute model_config (data files "
                             "are a different argument)",
                             in->file);
    }
    ls_h5_strings text = {0};
    ls_status status = read_json(in, root, "model_config", &text);
    if (status == LS_OK) status = ls_keras_model_parse(in->file, text.items[0], keras);
    ls_h5_free_strings(&text);
    return status;
}

static ls_status read_layers(const ls_h5_reader *in, hid_t root, ls_keras_model *keras, ls_model **model)
{
    hid_t group;
    bool found;
    LS_TRY(ls_h5_has_link(in, root, "/", "model_weights", &found));
    LS_TRY(ls_h5_open_object(in, root, found ? "model_weights" : "", "/model_weights", &group));
    ls_h5_strings layers = {0};
    ls_status status = ls_h5_read_names(in, group, "layer_names", "/model_weights", &layers);
    if (status == LS_OK) status = read_weights(in, group, &layers, keras, model);
    ls_h5_free_strings(&layers);
    H5Oclose(group);
    return status;
}

/* Our own text, NULL if the file has none. */
static ls_status read_record(const ls_h5_reader *in, hid_t root, char **record)
{
    *record = NULL;
    bool found;
    LS_TRY(ls_h5_has_link(in, root, "/", LS_H5_OWN_GROUP, &found));
    if (!found) return LS_OK;
    hid_t group;
    LS_TRY(ls_h5_open_object(in, root, LS_H5_OWN_GROUP, LS_H5_OWN_GROUP, &group));
    ls_status status = ls_h5_has_attribute(in, group, LS_H5_OWN_GROUP, LS_H5_OWN_ATTRIBUTE, &found);
    if (status == LS_OK && found) {
        ls_h5_strings text = {0};
        status = read_json(in, group, LS_H5_OWN_ATTRIBUTE, &text);
        if (status == LS_OK) {
            const size_t size = strlen(text.items[0]) + 1;
            status = ls_alloc(record, size, 1, "record of the training");
            if (status == LS_OK) memcpy(*record, text.items[0], size);
        }
        ls_h5_free_strings(&text);
    }
    H5Oclose(group);
    return status;
}

/* The weights of the best epoch that go with a record. */
static ls_status read_best(const ls_h5_reader *in, hid_t root, ls_model *model)
{
    static const char place[] = "/" LS_H5_OWN_GROUP "/" LS_H5_OWN_BEST;
    const hsize_t shape = (hsize_t)model->n_parameters;
    hid_t group, dataset;
    bool found;
    LS_TRY(ls_h5_open_object(in, root, LS_H5_OWN_GROUP, place, &group));
    ls_status status = ls_h5_has_link(in, group, place, LS_H5_OWN_BEST, &found);
    if (status == LS_OK && found) {
        status = ls_h5_open_object(in, group, LS_H5_OWN_BEST, place, &dataset);
        if (status == LS_OK) {
            status = ls_h5_check_values(in, place, dataset, 1, &shape);
            if (status == LS_OK)
                status = ls_alloc(&model->best_parameters, (size_t)model->n_parameters,
                                  ls_dtype_size(model->dtype), "weights of the best epoch");
            if (status == LS_OK &&
                H5Dread(dataset, model->dtype == LS_FLOAT32 ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE, H5S_ALL,
                        H5S_ALL, H5P_DEFAULT, model->best_parameters) < 0)
                status = ls_h5_fail(LS_E_INPUT, in->file, place, "the weights cannot be read");
            H5Oclose(dataset);
        }
    }
    H5Oclose(group);
    return status;
}

static ls_status read_root(const ls_h5_reader *in, hid_t root, ls_model **model, ls_training_config *config,
                           bool wants_state, char **record)
{
    ls_keras_model *keras = NULL;
    LS_TRY(read_keras_model(in, root, &keras));
    ls_keras_loss loss = {.huber_delta = 1};
    ls_status status = read_training(in, root, &loss, config);
    if (status == LS_OK && record) status = read_record(in, root, record);
    if (status == LS_OK) status = read_layers(in, root, keras, model);
    if (status == LS_OK) {
        status = ls_keras_apply_loss(in->file, &loss, *model);
        if (status == LS_OK && wants_state) status = ls_keras_h5_read_optimizer(in, root, *model, config);
        if (status != LS_OK) {
            ls_model_free(*model);
            *model = NULL;
        }
    }
    ls_keras_model_free(keras);
    if (status == LS_OK && record && *record) {
        status = read_best(in, root, *model);
        if (status != LS_OK) {
            ls_model_free(*model);
            *model = NULL;
        }
    }
    if (status != LS_OK && record) {
        ls_free(*record);
        *record = NULL;
    }
    return status;
}

ls_status ls_keras_h5_read(const char *file, void *image, size_t size, bool exact, ls_model **model,
                           ls_training_config *config, char **record)
{
    *model = NULL;
    if (record) *record = NULL;
    const ls_h5_reader in = {file, size, exact};
    ls_training_config found = {0};
    const size_t head = exact ? LS_FILE_HEAD_SIZE : 0;
    LS_TRY(ls_heap_check(file, (const char *)image + head, size - head));
    ls_hdf5_begin();
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    hid_t root = -1;
    if (access >= 0 && H5Pset_fapl_core(access, LS_H5_IMAGE_STEP, 0) >= 0 &&
        H5Pset_file_image(access, image, size) >= 0)
        root = H5Fopen(LS_H5_NO_FILE, H5F_ACC_RDONLY, access);
    const ls_status status = root < 0
                                 ? ls_h5_fail(LS_E_INPUT, file, "not a readable HDF5 file", "damaged or cut")
                                 : read_root(&in, root, model, &found, config != NULL, record);
    if (root >= 0) H5Fclose(root);
    if (access >= 0) H5Pclose(access);
    if (status == LS_OK && config)
        *config = found;
    else
        ls_training_config_clear(&found);
    return status;
}
