#include <hdf5.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data/hdf5_support.h"
#include "model/file_digest.h"
#include "model/keras_h5.h"
#include "model/keras_h5_objects.h"
#include "model/keras_h5_optimizer.h"
#include "model/keras_model.h"
#include "model/keras_training.h"

enum { NAMES_PER_ATTRIBUTE = 4000 }; /* of 16 bytes; an attribute holds less than 64 KiB */

static ls_status fail_build(const char *place)
{
    return ls_h5_fail(LS_E_OUTPUT, "model file", place, "cannot be made in memory");
}

/* A creation property list that keeps no times; -1 on failure. */
static hid_t timeless(hid_t class)
{
    const hid_t plist = H5Pcreate(class);
    if (plist < 0 || H5Pset_obj_track_times(plist, false) >= 0) return plist;
    H5Pclose(plist);
    return -1;
}

static ls_status make_group(hid_t parent, const char *name, hid_t *group)
{
    const hid_t plist = timeless(H5P_GROUP_CREATE);
    *group = H5Gcreate2(parent, name, H5P_DEFAULT, plist, H5P_DEFAULT);
    const ls_status status = *group < 0 ? fail_build(name) : LS_OK;
    ls_hdf5_close_list(plist);
    return status;
}

/* Writes a list of strings, or one string if n is 0. */
static ls_status put_strings(hid_t object, const char *name, const char *const *items, int64_t n)
{
    const hsize_t shape = (hsize_t)n;
    const hid_t space = n == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &shape, NULL);
    const hid_t type = H5Tcopy(H5T_C_S1);
    const bool typed = H5Tset_size(type, H5T_VARIABLE) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0;
    const hid_t attribute =
        typed ? H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT) : H5I_INVALID_HID;
    const ls_status status = attribute < 0 || H5Awrite(attribute, type, items) < 0 ? fail_build(name) : LS_OK;
    if (attribute >= 0) H5Aclose(attribute);
    ls_hdf5_close_type(type);
    ls_hdf5_close_space(space);
    return status;
}

static ls_status put_string(hid_t object, const char *name, const char *text)
{
    return put_strings(object, name, &text, 0);
}

/* rank 0 writes a single value. */
static ls_status put_values(hid_t group, const char *name, hid_t file_type, hid_t type, int rank,
                            const hsize_t *shape, const void *values)
{
    const hid_t space = rank == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(rank, shape, NULL);
    const hid_t plist = timeless(H5P_DATASET_CREATE);
    const hid_t dataset = H5Pset_fill_time(plist, H5D_FILL_TIME_NEVER) < 0
                              ? H5I_INVALID_HID
                              : H5Dcreate2(group, name, file_type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    const ls_status status = dataset < 0 || H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0
                                 ? fail_build(name)
                                 : LS_OK;
    if (dataset >= 0) H5Dclose(dataset);
    ls_hdf5_close_list(plist);
    ls_hdf5_close_space(space);
    return status;
}

static hid_t file_type_of(ls_dtype dtype)
{
    return dtype == LS_FLOAT32 ? H5T_IEEE_F32LE : H5T_IEEE_F64LE;
}

static hid_t memory_type_of(ls_dtype dtype)
{
    return dtype == LS_FLOAT32 ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE;
}

static ls_status put_weight_names(hid_t group, const ls_layer *layer)
{
    static const char *const suffixes[2] = {"/kernel", "/bias"};
    const size_t size = strlen(layer->name) + sizeof "/kernel";
    char *text;
    LS_TRY(ls_alloc(&text, 2, size, "names of the weights"));
    const char *names[2];
    for (int i = 0; i < 2; i++) {
        snprintf(text + (size_t)i * size, size, "%s%s", layer->name, suffixes[i]);
        names[i] = text + (size_t)i * size;
    }
    const ls_status status = put_strings(group, "weight_names", names, 2);
    ls_free(text);
    return status;
}

/* The new-style names of the same arrays: /layers/dense_2/vars/0, numbered whatever the layer is called. */
static ls_status link_weights(hid_t weights_group, hid_t layers_group, int64_t number)
{
    char name[32] = "dense";
    if (number > 0) snprintf(name, sizeof name, "dense_%" PRId64, number);
    hid_t group, vars;
    LS_TRY(make_group(layers_group, name, &group));
    ls_status status = make_group(group, "vars", &vars);
    if (status == LS_OK) {
        if (H5Lcreate_hard(weights_group, "kernel", vars, "0", H5P_DEFAULT, H5P_DEFAULT) < 0 ||
            H5Lcreate_hard(weights_group, "bias", vars, "1", H5P_DEFAULT, H5P_DEFAULT) < 0)
            status = fail_build("link");
        H5Gclose(vars);
    }
    H5Gclose(group);
    return status;
}

/* The weights of Keras' Normalization layer: mean, variance and a count that Keras no longer uses. */
static ls_status put_statistics(const ls_model *model, hid_t group, hid_t vars)
{
    static const char *const names[] = {"mean", "variance", "count"};
    const hsize_t shape = (hsize_t)model->n_features;
    const hid_t file_type = file_type_of(model->dtype);
    const int64_t count = 0;
    LS_TRY(put_values(group, names[0], file_type, H5T_NATIVE_DOUBLE, 1, &shape, model->mean));
    LS_TRY(put_values(group, names[1], file_type, H5T_NATIVE_DOUBLE, 1, &shape, model->variance));
    LS_TRY(put_values(group, names[2], H5T_STD_I64LE, H5T_NATIVE_INT64, 0, NULL, &count));
    for (int i = 0; i < 3; i++) {
        const char number[2] = {(char)('0' + i)};
        if (H5Lcreate_hard(group, names[i], vars, number, H5P_DEFAULT, H5P_DEFAULT) < 0)
            return fail_build("link");
    }
    return LS_OK;
}

static ls_status put_normalization(const ls_model *model, hid_t model_weights, hid_t layers_group)
{
    static const char *const names[] = {"mean", "variance", "count"};
    char name[LS_KERAS_NAME_SIZE];
    hid_t group, layer, vars;
    ls_keras_name_normalization(model, name);
    LS_TRY(make_group(model_weights, name, &group));
    ls_status status = put_strings(group, "weight_names", names, 3);
    if (status == LS_OK) status = make_group(layers_group, "normalization", &layer);
    if (status == LS_OK) {
        status = make_group(layer, "vars", &vars);
        if (status == LS_OK) {
            status = put_statistics(model, group, vars);
            H5Gclose(vars);
        }
        H5Gclose(layer);
    }
    H5Gclose(group);
    return status;
}

static ls_status put_layer(const ls_model *model, int64_t number, hid_t model_weights, hid_t layers_group)
{
    const ls_layer *layer = &model->layers[number];
    const size_t size = ls_dtype_size(model->dtype);
    const char *parameters = model->parameters;
    const hsize_t shape[2] = {(hsize_t)layer->n_inputs, (hsize_t)layer->units};
    const hid_t file_type = file_type_of(model->dtype), type = memory_type_of(model->dtype);
    hid_t outer, inner;
    LS_TRY(make_group(model_weights, layer->name, &outer));
    ls_status status = put_weight_names(outer, layer);
    if (status == LS_OK) status = make_group(outer, layer->name, &inner);
    if (status == LS_OK) {
        status = put_values(inner, "kernel", file_type, type, 2, shape,
                            parameters + (size_t)layer->kernel_offset * size);
        if (status == LS_OK)
            status = put_values(inner, "bias", file_type, type, 1, shape + 1,
                                parameters + (size_t)layer->bias_offset * size);
        if (status == LS_OK) status = link_weights(inner, layers_group, number);
        H5Gclose(inner);
    }
    H5Gclose(outer);
    return status;
}

/* Splits long lists over layer_names0, layer_names1, ... as Keras does. */
static ls_status put_split_names(hid_t group, const char *const *names, int64_t n)
{
    if (n <= NAMES_PER_ATTRIBUTE) return put_strings(group, "layer_names", names, n);
    for (int64_t at = 0, part = 0; at < n; at += NAMES_PER_ATTRIBUTE, part++) {
        const int64_t rest = n - at;
        char attribute[48];
        snprintf(attribute, sizeof attribute, "layer_names%" PRId64, part);
        LS_TRY(put_strings(group, attribute, names + at,
                           rest < NAMES_PER_ATTRIBUTE ? rest : NAMES_PER_ATTRIBUTE));
    }
    return LS_OK;
}

/* The layers in their order; those that drop outputs have no weights, but a group. */
static ls_status put_layer_names(hid_t group, const ls_model *model)
{
    const char **names;
    char(*dropouts)[LS_KERAS_NAME_SIZE], normalization[LS_KERAS_NAME_SIZE];
    int64_t n = 0, n_dropouts = 0;
    LS_TRY(ls_alloc(&names, 2 * (size_t)model->n_layers + 1, sizeof *names, "names of the layers"));
    ls_status status = ls_alloc(&dropouts, (size_t)model->n_layers, sizeof *dropouts, "names of the layers");
    ls_keras_name_normalization(model, normalization);
    if (model->mean) names[n++] = normalization;
    for (int64_t i = 0; i < model->n_layers && status == LS_OK; i++) {
        names[n++] = model->layers[i].name;
        if (model->layers[i].dropout == 0) continue;
        char *name = dropouts[n_dropouts];
        hid_t empty;
        ls_keras_name_dropout(model, n_dropouts++, name, sizeof dropouts[0]);
        names[n++] = name;
        status = make_group(group, name, &empty);
        if (status == LS_OK) H5Gclose(empty);
    }
    if (status == LS_OK) status = put_split_names(group, names, n);
    ls_free(dropouts);
    ls_free(names);
    return status;
}

static ls_status put_versions(hid_t object)
{
    /* The dialect of the file: both Keras 2 and 3 read it so. */
    LS_TRY(put_string(object, "keras_version", "2.15.0"));
    return put_string(object, "backend", "tensorflow");
}

static ls_status put_model(hid_t root, const ls_model *model)
{
    LS_TRY(put_versions(root));
    char *text;
    LS_TRY(ls_keras_model_format(model, &text));
    ls_status status = put_string(root, "model_config", text);
    ls_free(text);
    LS_TRY(status);

    hid_t model_weights, layers_group;
    LS_TRY(make_group(root, "model_weights", &model_weights));
    status = put_versions(model_weights);
    if (status == LS_OK) status = put_layer_names(model_weights, model);
    if (status == LS_OK) status = make_group(root, "layers", &layers_group);
    if (status == LS_OK) {
        if (model->mean) status = put_normalization(model, model_weights, layers_group);
        for (int64_t i = 0; i < model->n_layers && status == LS_OK; i++)
            status = put_layer(model, i, model_weights, layers_group);
        H5Gclose(layers_group);
    }
    H5Gclose(model_weights);
    return status;
}

/* One kernel or bias of a slot. */
static ls_status put_slot(hid_t vars, const ls_model *model, const ls_training_config *config,
                          const ls_slot_place *place, int64_t number)
{
    char name[32];
    snprintf(name, sizeof name, "%" PRId64, number);
    const size_t size = ls_dtype_size(model->dtype);
    return put_values(vars, name, file_type_of(model->dtype), memory_type_of(model->dtype), place->rank,
                      place->shape, (const char *)config->slots + (size_t)place->offset * size);
}

/* Keras' order: the iteration, the learning rate unless a schedule makes it, the slots. */
static ls_status put_state(hid_t vars, const ls_model *model, const ls_training_config *config)
{
    int64_t number = 0;
    LS_TRY(put_values(vars, "0", H5T_STD_I64LE, H5T_NATIVE_INT64, 0, NULL, &config->iterations));
    number++;
    if (config->optimizer.schedule.kind == LS_SCHEDULE_CONSTANT) {
        LS_TRY(put_values(vars, "1", file_type_of(model->dtype), H5T_NATIVE_DOUBLE, 0, NULL,
                          &config->learning_rate));
        number++;
    }
    const int64_t n = config->slots ? ls_slot_count(model, &config->optimizer) : 0;
    for (int64_t i = 0; i < n; i++) {
        const ls_slot_place place = ls_slot_find(model, &config->optimizer, i);
        LS_TRY(put_slot(vars, model, config, &place, number + i));
    }
    return LS_OK;
}

static ls_status put_training(hid_t root, const ls_model *model, const ls_training_config *config)
{
    char *text;
    LS_TRY(ls_keras_training_format(model, config, &text));
    ls_status status = put_string(root, "training_config", text);
    ls_free(text);
    LS_TRY(status);

    hid_t group, vars;
    LS_TRY(make_group(root, "optimizer", &group));
    status = make_group(group, "vars", &vars);
    if (status == LS_OK) {
        status = put_state(vars, model, config);
        H5Gclose(vars);
    }
    H5Gclose(group);
    return status;
}

/* HDF5's own bytes of the file, behind room for the head. */
static ls_status take_image(hid_t root, void **image, size_t *size)
{
    const ssize_t length = H5Fflush(root, H5F_SCOPE_GLOBAL) < 0 ? -1 : H5Fget_file_image(root, NULL, 0);
    if (length < 0) return fail_build("image");
    *size = LS_FILE_HEAD_SIZE + (size_t)length;
    LS_TRY(ls_alloc(image, *size, 1, "image of the model file"));
    if (H5Fget_file_image(root, (char *)*image + LS_FILE_HEAD_SIZE, (size_t)length) == length) return LS_OK;
    const ls_status status = fail_build("image");
    ls_free(*image);
    *image = NULL;
    return status;
}

/* An empty file in memory, -1 on failure. */
static hid_t create_in_memory(void)
{
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    const hid_t creation = timeless(H5P_FILE_CREATE);
    hid_t root = -1;
    if (H5Pset_fapl_core(access, LS_H5_IMAGE_STEP, 0) >= 0 &&
        H5Pset_userblock(creation, LS_FILE_HEAD_SIZE) >= 0)
        root = H5Fcreate(LS_H5_NO_FILE, H5F_ACC_TRUNC, creation, access);
    ls_hdf5_close_list(creation);
    ls_hdf5_close_list(access);
    return root;
}

static ls_status put_record(hid_t root, const ls_model *model, const char *record)
{
    hid_t group;
    const hsize_t shape = (hsize_t)model->n_parameters;
    LS_TRY(make_group(root, LS_H5_OWN_GROUP, &group));
    ls_status status = put_string(group, LS_H5_OWN_ATTRIBUTE, record);
    if (status == LS_OK && model->best_parameters)
        status = put_values(group, LS_H5_OWN_BEST, file_type_of(model->dtype), memory_type_of(model->dtype),
                            1, &shape, model->best_parameters);
    H5Gclose(group);
    return status;
}

ls_status ls_keras_h5_write(const ls_model *model, const ls_training_config *config, const char *record,
                            void **image, size_t *size)
{
    *image = NULL;
    ls_hdf5_begin();
    const hid_t root = create_in_memory();
    if (root < 0) return fail_build("file");
    ls_status status = put_model(root, model);
    if (status == LS_OK && config) status = put_training(root, model, config);
    if (status == LS_OK && record) status = put_record(root, model, record);
    if (status == LS_OK) status = take_image(root, image, size);
    H5Fclose(root);
    return status;
}
