#include "model/keras_h5_optimizer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data/hdf5_support.h"

enum { TEXT_SIZE = 256 };

int64_t ls_slot_count(const ls_model *model, const ls_optimizer *optimizer)
{
    return ls_optimizer_n_slots(optimizer) * 2 * model->n_layers;
}

/* Adam keeps both slots of a kernel or bias side by side, the others one slot after the other. */
ls_slot_place ls_slot_find(const ls_model *model, const ls_optimizer *optimizer, int64_t number)
{
    const int64_t n_slots = ls_optimizer_n_slots(optimizer), n_arrays = 2 * model->n_layers;
    const bool adam = optimizer->kind == LS_ADAM || optimizer->kind == LS_ADAMW;
    const int64_t slot = adam ? number % n_slots : number / n_arrays;
    const int64_t array = adam ? number / n_slots : number % n_arrays;
    const ls_layer *layer = &model->layers[array / 2];
    const int64_t begin = slot * model->n_parameters;
    if (array % 2 == 0)
        return (ls_slot_place){
            begin + layer->kernel_offset, 2, {(hsize_t)layer->n_inputs, (hsize_t)layer->units}};
    return (ls_slot_place){begin + layer->bias_offset, 1, {(hsize_t)layer->units}};
}

static ls_status read_iterations(const ls_h5_reader *in, hid_t group, const char *path, const char *place,
                                 int64_t *value)
{
    hid_t dataset;
    LS_TRY(ls_h5_open_object(in, group, path, place, &dataset));
    const hid_t space = H5Iget_type(dataset) == H5I_DATASET ? H5Dget_space(dataset) : -1;
    ls_status status = LS_OK;
    if (space < 0 || H5Sget_simple_extent_npoints(space) != 1)
        status = ls_fail(LS_E_INPUT, "%s: %s: the optimizer's iteration is not one number", in->file, place);
    else if (H5Dread(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) < 0)
        status = ls_h5_fail(LS_E_INPUT, in->file, place, "the optimizer's iteration cannot be read");
    if (space >= 0) H5Sclose(space);
    H5Oclose(dataset);
    if (status == LS_OK && *value < 0)
        status =
            ls_fail(LS_E_INPUT, "%s: %s: the optimizer's iteration is %" PRId64, in->file, place, *value);
    return status;
}

/* The last part of "sgd/iteration" or "SGD/iter:0" is this word. */
static bool is_named(const char *name, const char *word)
{
    const char *slash = strrchr(name, '/');
    const char *last = slash ? slash + 1 : name;
    const size_t length = strcspn(last, ":");
    return length == strlen(word) && strncmp(last, word, length) == 0;
}

/* Where the arrays of an optimizer are: names below group, in order. */
typedef struct listing {
    hid_t group;
    const char *place;
    ls_h5_strings names; /* empty for the new style, whose names are numbers */
} listing;

static const char *name_of(const listing *list, int64_t number, char text[32])
{
    if (list->names.n > 0) return list->names.items[number];
    snprintf(text, 32, "%" PRId64, number);
    return text;
}

static ls_status read_array(const ls_h5_reader *in, const listing *list, int64_t number,
                            const ls_slot_place *place, const ls_model *model, char *slots)
{
    char text[32], where[TEXT_SIZE];
    const char *name = name_of(list, number, text);
    snprintf(where, sizeof where, "%s/%s", list->place, name);
    hid_t dataset;
    LS_TRY(ls_h5_open_object(in, list->group, name, list->place, &dataset));
    ls_status status = ls_h5_check_values(in, where, dataset, place->rank, place->shape);
    if (status == LS_OK &&
        H5Dread(dataset, model->dtype == LS_FLOAT32 ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL,
                H5P_DEFAULT, slots + (size_t)place->offset * ls_dtype_size(model->dtype)) < 0)
        status = ls_h5_fail(LS_E_INPUT, in->file, where, "the optimizer's state cannot be read");
    H5Oclose(dataset);
    return status;
}

static ls_status check_finite(const ls_h5_reader *in, const listing *list, const ls_model *model,
                              const void *slots, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const double value =
            model->dtype == LS_FLOAT32 ? (double)((const float *)slots)[i] : ((const double *)slots)[i];
        if (!isfinite(value))
            return ls_fail(LS_E_INPUT,
                           "%s: %s: the optimizer's state has the value %g: train the model again", in->file,
                           list->place, value);
    }
    return LS_OK;
}

/* Reads the slots, which begin with the name of that number, if there are as many names as they need. */
static ls_status read_slots(const ls_h5_reader *in, const listing *list, int64_t first, int64_t n_names,
                            const ls_model *model, ls_training_config *config)
{
    const int64_t count = ls_slot_count(model, &config->optimizer);
    const int64_t n_values = ls_optimizer_n_slots(&config->optimizer) * model->n_parameters;
    if (config->learning_rate == 0 || count == 0 || n_names - first != count) return LS_OK;
    LS_TRY(ls_alloc(&config->slots, (size_t)n_values, ls_dtype_size(model->dtype), "state of the optimizer"));
    for (int64_t i = 0; i < count; i++) {
        const ls_slot_place place = ls_slot_find(model, &config->optimizer, i);
        LS_TRY(read_array(in, list, first + i, &place, model, config->slots));
    }
    return check_finite(in, list, model, config->slots, n_values);
}

/* /optimizer/vars/0, /1, ...: the iteration, the learning rate unless there is a schedule, the slots. */
static ls_status read_numbered(const ls_h5_reader *in, hid_t root, const ls_model *model,
                               ls_training_config *config)
{
    listing list = {.place = "/optimizer/vars"};
    LS_TRY(ls_h5_open_object(in, root, "optimizer/vars", list.place, &list.group));
    int64_t n = 0;
    bool found = true;
    ls_status status = LS_OK;
    while (found && status == LS_OK) {
        char name[32];
        status = ls_h5_has_link(in, list.group, list.place, name_of(&list, n, name), &found);
        if (found) n++;
    }
    if (status == LS_OK)
        status = read_iterations(in, list.group, "0", "/optimizer/vars/0", &config->iterations);
    const int64_t first = config->optimizer.schedule.kind == LS_SCHEDULE_CONSTANT ? 2 : 1;
    if (status == LS_OK) status = read_slots(in, &list, first, n, model, config);
    H5Oclose(list.group);
    return status;
}

/* What Keras 2 and 3 list as "sgd/iteration", "SGD/iter:0" or "iteration:0" among the optimizer's weights. */
static ls_status read_named(const ls_h5_reader *in, hid_t root, const ls_model *model,
                            ls_training_config *config)
{
    listing list = {.place = "/optimizer_weights"};
    LS_TRY(ls_h5_open_object(in, root, "optimizer_weights", list.place, &list.group));
    ls_status status = ls_h5_read_names(in, list.group, "weight_names", list.place, &list.names);
    const int64_t n = list.names.n;
    int64_t first = 0;
    bool early = false; /* Keras before 2.11, which had "iter", put slots in another order */
    for (; first < n && status == LS_OK; first++) {
        const char *name = list.names.items[first];
        early = early || is_named(name, "iter");
        if (is_named(name, "iteration") || is_named(name, "iter"))
            status = read_iterations(in, list.group, name, list.place, &config->iterations);
        else if (!is_named(name, "learning_rate"))
            break;
    }
    if (status == LS_OK && !early) status = read_slots(in, &list, first, n, model, config);
    ls_h5_free_strings(&list.names);
    H5Oclose(list.group);
    return status;
}

ls_status ls_keras_h5_read_optimizer(const ls_h5_reader *in, hid_t root, const ls_model *model,
                                     ls_training_config *config)
{
    bool found;
    LS_TRY(ls_h5_has_attribute(in, root, "/", "training_config", &found));
    if (!found) return LS_OK;
    LS_TRY(ls_h5_has_link(in, root, "/", "optimizer", &found));
    if (found) return read_numbered(in, root, model, config);
    LS_TRY(ls_h5_has_link(in, root, "/", "optimizer_weights", &found));
    return found ? read_named(in, root, model, config) : LS_OK;
}
