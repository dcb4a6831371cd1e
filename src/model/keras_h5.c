#include "model/keras_h5.h"

#include <hdf5.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "data/hdf5_support.h"
#include "model/file_digest.h"
#include "model/heap_check.h"
#include "model/keras_config.h"

enum {
    IMAGE_STEP = 1 << 16,       /* bytes by which HDF5's file in memory grows */
    DEFLATE_MOST = 1032,        /* times that deflate can expand its input */
    NAMES_PER_ATTRIBUTE = 4000, /* of 16 bytes; an attribute holds less than 64 KiB */
    TEXT_SIZE = 256
};

/* Where our own text lies; Keras passes over groups that it does not know. */
static const char own_group[] = "lockstep", own_attribute[] = "training_record";

/* HDF5 takes the name of a file in memory for that of a file on disk, which must not exist. */
static const char no_file[] = "/dev/null/model";

/* Fails with HDF5's reason; to be called before any other HDF5 function clears it. */
static ls_status fail_hdf5(ls_status status, const char *file, const char *place, const char *what)
{
    return ls_fail(status, "%s: %s: %s (HDF5: %s)", file, place, what, ls_hdf5_reason());
}

/* ---- reading ---- */

typedef struct reader {
    const char *file; /* for messages */
    size_t size;      /* bytes of the file */
    bool exact;
} reader;

/* Strings of an attribute. */
typedef struct strings {
    int64_t n;
    char **items; /* n pointers into text */
    char *text;
} strings;

static void free_strings(strings *list)
{
    ls_free(list->items);
    ls_free(list->text);
    *list = (strings){0};
}

/* Copies n strings of size bytes each that are padded as padding says. */
static ls_status copy_fixed(const char *raw, size_t size, H5T_str_t padding, strings *list)
{
    LS_TRY(ls_alloc(&list->text, (size_t)list->n, size + 1, "strings of an attribute"));
    for (int64_t i = 0; i < list->n; i++) {
        char *item = list->text + (size_t)i * (size + 1);
        memcpy(item, raw + (size_t)i * size, size);
        for (size_t end = size; padding == H5T_STR_SPACEPAD && end > 0 && item[end - 1] == ' '; end--)
            item[end - 1] = 0;
        list->items[i] = item;
    }
    return LS_OK;
}

static ls_status read_fixed(const reader *in, const char *place, hid_t attribute, hid_t type, strings *list)
{
    const size_t size = H5Tget_size(type);
    char *raw;
    LS_TRY(ls_alloc(&raw, (size_t)list->n, size, "strings of an attribute"));
    ls_status status = LS_OK;
    if (H5Aread(attribute, type, raw) < 0) status = fail_hdf5(LS_E_INPUT, in->file, place, "cannot be read");
    if (status == LS_OK) status = copy_fixed(raw, size, H5Tget_strpad(type), list);
    ls_free(raw);
    return status;
}

static ls_status copy_variable(char *const *raw, strings *list)
{
    size_t total = 0;
    for (int64_t i = 0; i < list->n; i++) total += (raw[i] ? strlen(raw[i]) : 0) + 1;
    LS_TRY(ls_alloc(&list->text, total, 1, "strings of an attribute"));
    char *at = list->text;
    for (int64_t i = 0; i < list->n; i++) {
        const size_t size = (raw[i] ? strlen(raw[i]) : 0) + 1;
        if (raw[i]) memcpy(at, raw[i], size);
        list->items[i] = at;
        at += size;
    }
    return LS_OK;
}

static ls_status read_variable(const reader *in, const char *place, hid_t attribute, hid_t space, hid_t type,
                               strings *list)
{
    char **raw;
    LS_TRY(ls_alloc(&raw, (size_t)list->n, sizeof *raw, "strings of an attribute"));
    ls_status status = LS_OK;
    if (H5Aread(attribute, type, raw) < 0) {
        status = fail_hdf5(LS_E_INPUT, in->file, place, "cannot be read");
    } else {
        status = copy_variable(raw, list);
        H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw);
    }
    ls_free(raw);
    return status;
}

static ls_status read_typed(const reader *in, const char *place, hid_t attribute, hid_t space, hid_t type,
                            strings *list)
{
    const hssize_t n = H5Sget_simple_extent_npoints(space);
    const size_t size = H5Tget_size(type);
    if (n < 0 || size == 0) return fail_hdf5(LS_E_INPUT, in->file, place, "cannot be read");
    if (n == 0) return LS_OK; /* h5py gives an empty list of names some other type */
    if (H5Tget_class(type) != H5T_STRING)
        return ls_fail(LS_E_INPUT, "%s: %s: not a string: not a file that Keras wrote", in->file, place);
    if ((uint64_t)n > in->size / size)
        return ls_fail(LS_E_INPUT,
                       "%s: %s: claims %lld strings, more than the file can hold: the file is damaged",
                       in->file, place, (long long)n);
    list->n = n;
    LS_TRY(ls_alloc(&list->items, (size_t)n, sizeof *list->items, "strings of an attribute"));
    return H5Tis_variable_str(type) > 0 ? read_variable(in, place, attribute, space, type, list)
                                        : read_fixed(in, place, attribute, type, list);
}

/* Reads the attribute of object, a string or a list of strings; fills list, whose parts the caller frees even
 * on failure. */
static ls_status read_attribute(const reader *in, hid_t object, const char *name, const char *place,
                                strings *list)
{
    char where[TEXT_SIZE];
    snprintf(where, sizeof where, "%s: attribute %s", place, name);
    const hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (attribute < 0) return fail_hdf5(LS_E_INPUT, in->file, where, "cannot be opened");
    const hid_t space = H5Aget_space(attribute);
    const hid_t type = H5Aget_type(attribute);
    const ls_status status = space < 0 || type < 0 ? fail_hdf5(LS_E_INPUT, in->file, where, "cannot be read")
                                                   : read_typed(in, where, attribute, space, type, list);
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    H5Aclose(attribute);
    return status;
}

/* Answers of HDF5 to questions of the kind "is it there?": below 0 it could not tell. */
static ls_status take_answer(const reader *in, htri_t answer, const char *place, const char *name,
                             bool *found)
{
    *found = answer > 0;
    if (answer >= 0) return LS_OK;
    char what[TEXT_SIZE];
    snprintf(what, sizeof what, "cannot look for %s", name);
    return fail_hdf5(LS_E_INPUT, in->file, place, what);
}

static ls_status has_attribute(const reader *in, hid_t object, const char *place, const char *name,
                               bool *found)
{
    return take_answer(in, H5Aexists(object, name), place, name, found);
}

static ls_status has_link(const reader *in, hid_t group, const char *place, const char *name, bool *found)
{
    return take_answer(in, H5Lexists(group, name, H5P_DEFAULT), place, name, found);
}

/* Appends more to list and empties it. */
static ls_status append(strings *list, strings *more)
{
    strings sum = {.n = list->n + more->n};
    size_t total = 0;
    for (int64_t i = 0; i < list->n; i++) total += strlen(list->items[i]) + 1;
    for (int64_t i = 0; i < more->n; i++) total += strlen(more->items[i]) + 1;
    ls_status status = ls_alloc(&sum.items, (size_t)sum.n, sizeof *sum.items, "names");
    if (status == LS_OK) status = ls_alloc(&sum.text, total, 1, "names");
    if (status != LS_OK) {
        free_strings(&sum);
        return status;
    }
    char *at = sum.text;
    for (int64_t i = 0; i < sum.n; i++) {
        const char *item = i < list->n ? list->items[i] : more->items[i - list->n];
        const size_t size = strlen(item) + 1;
        memcpy(at, item, size);
        sum.items[i] = at;
        at += size;
    }
    free_strings(list);
    free_strings(more);
    *list = sum;
    return LS_OK;
}

/* Reads a list of names that Keras splits over NAME0, NAME1, ... when it is long; absent means empty. */
static ls_status read_names(const reader *in, hid_t object, const char *name, const char *place,
                            strings *list)
{
    bool found;
    LS_TRY(has_attribute(in, object, place, name, &found));
    if (found) return read_attribute(in, object, name, place, list);
    for (int i = 0;; i++) {
        char part[64];
        snprintf(part, sizeof part, "%s%d", name, i);
        LS_TRY(has_attribute(in, object, place, part, &found));
        if (!found) return LS_OK;
        strings more = {0};
        ls_status status = read_attribute(in, object, part, place, &more);
        if (status == LS_OK) status = append(list, &more);
        free_strings(&more);
        LS_TRY(status);
    }
}

/* Opens the object at a path below object ("" for itself) through hard links only: other links could lead out
 * of the bytes that were verified, and Keras refuses them as well. */
static ls_status open_object(const reader *in, hid_t object, const char *path, const char *place,
                             hid_t *result)
{
    hid_t here = H5Oopen(object, ".", H5P_DEFAULT);
    if (here < 0) return fail_hdf5(LS_E_INPUT, in->file, place, "cannot be opened");
    char *copy;
    const size_t size = strlen(path) + 1;
    ls_status status = ls_alloc(&copy, size, 1, "path");
    if (status == LS_OK) memcpy(copy, path, size);
    char *rest = NULL;
    for (char *part = status == LS_OK ? strtok_r(copy, "/", &rest) : NULL; part && status == LS_OK;
         part = strtok_r(NULL, "/", &rest)) {
        H5L_info_t link;
        hid_t next = -1;
        bool found = false;
        if (H5Iget_type(here) == H5I_GROUP) status = has_link(in, here, place, part, &found);
        if (status == LS_OK && !found)
            status = ls_fail(LS_E_INPUT, "%s: %s: there is no %.100s: the file is incomplete", in->file,
                             place, path);
        if (status == LS_OK && H5Lget_info(here, part, &link, H5P_DEFAULT) < 0)
            status = fail_hdf5(LS_E_INPUT, in->file, place, "a link cannot be read");
        else if (status == LS_OK && link.type != H5L_TYPE_HARD)
            status = ls_fail(LS_E_INPUT, "%s: %s: %.100s is a soft or external link: not supported", in->file,
                             place, path);
        else if (status == LS_OK && (next = H5Oopen(here, part, H5P_DEFAULT)) < 0)
            status = fail_hdf5(LS_E_INPUT, in->file, place, "an object cannot be opened");
        H5Oclose(here);
        here = next;
    }
    ls_free(copy);
    if (status == LS_OK)
        *result = here;
    else if (here >= 0)
        H5Oclose(here);
    return status;
}

/* bytes times the extents, UINT64_MAX if that is too many. */
static uint64_t multiply(uint64_t bytes, int rank, const hsize_t *extent)
{
    for (int i = 0; i < rank; i++) {
        if (__builtin_mul_overflow(bytes, extent[i], &bytes)) bytes = UINT64_MAX;
    }
    return bytes;
}

/* Whether the dataset's bytes lie in the file, and are as many as its shape says. */
static ls_status check_storage(const reader *in, const char *place, hid_t dataset, int rank,
                               const hsize_t *shape, uint64_t value_size)
{
    const uint64_t bytes = multiply(value_size, rank, shape);
    uint64_t chunk_bytes = 0; /* HDF5 takes memory for a whole chunk */
    const hid_t plist = H5Dget_create_plist(dataset);
    if (plist < 0) return fail_hdf5(LS_E_INPUT, in->file, place, "cannot be read");
    const H5D_layout_t layout = H5Pget_layout(plist);
    const bool external = layout == H5D_CONTIGUOUS && H5Pget_external_count(plist) != 0;
    if (layout == H5D_CHUNKED) {
        hsize_t chunk[H5S_MAX_RANK];
        const int chunk_rank = H5Pget_chunk(plist, H5S_MAX_RANK, chunk);
        chunk_bytes = chunk_rank < 0 ? UINT64_MAX : multiply(value_size, chunk_rank, chunk);
    }
    H5Pclose(plist);
    if (external || (layout != H5D_CONTIGUOUS && layout != H5D_CHUNKED && layout != H5D_COMPACT))
        return ls_fail(LS_E_INPUT, "%s: %s: the values lie in other files: not supported", in->file, place);
    const uint64_t stored = H5Dget_storage_size(dataset);
    const uint64_t expansion = layout == H5D_CHUNKED ? DEFLATE_MOST : 1;
    if (stored > in->size || bytes / expansion > stored || chunk_bytes / DEFLATE_MOST > in->size)
        return ls_fail(LS_E_INPUT,
                       "%s: %s: %" PRIu64 " bytes are claimed, %" PRIu64
                       " stored, in a file of %zu: the file is damaged",
                       in->file, place, bytes, stored, in->size);
    return LS_OK;
}

static void format_shape(const hsize_t *shape, int rank, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "(");
    for (int i = 0; i < rank && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s%llu", i ? ", " : "", (unsigned long long)shape[i]);
    if (used < size) snprintf(text + used, size - used, rank == 1 ? ",)" : ")");
}

static ls_status check_shape(const reader *in, const char *place, hid_t dataset, int rank,
                             const hsize_t *shape)
{
    hsize_t found[H5S_MAX_RANK];
    const hid_t space = H5Dget_space(dataset);
    const int found_rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    if (found_rank >= 0) H5Sget_simple_extent_dims(space, found, NULL);
    if (space >= 0) H5Sclose(space);
    if (found_rank == rank && memcmp(found, shape, (size_t)rank * sizeof *shape) == 0) return LS_OK;
    char found_text[TEXT_SIZE] = "unknown", wanted_text[TEXT_SIZE];
    if (found_rank >= 0) format_shape(found, found_rank, found_text, sizeof found_text);
    format_shape(shape, rank, wanted_text, sizeof wanted_text);
    return ls_fail(LS_E_INPUT, "%s: %s: the shape is %s, model_config says %s: the file is inconsistent",
                   in->file, place, found_text, wanted_text);
}

/* Checks a dataset of floats of that shape; the values are read only when all of them were checked. */
static ls_status check_weights(const reader *in, const char *place, hid_t dataset, int rank,
                               const hsize_t *shape)
{
    if (H5Iget_type(dataset) != H5I_DATASET)
        return ls_fail(LS_E_INPUT, "%s: %s: not a dataset: the file is damaged", in->file, place);
    LS_TRY(check_shape(in, place, dataset, rank, shape));
    const hid_t type = H5Dget_type(dataset);
    const H5T_class_t class = type < 0 ? H5T_NO_CLASS : H5Tget_class(type);
    const size_t value_size = type < 0 ? 0 : H5Tget_size(type);
    if (type >= 0) H5Tclose(type);
    if (class != H5T_FLOAT || value_size == 0)
        return ls_fail(LS_E_INPUT, "%s: %s: the values are not floating-point numbers", in->file, place);
    return check_storage(in, place, dataset, rank, shape, value_size);
}

/* The weights of one Dense layer, opened and checked. */
typedef struct weights {
    hid_t kernel, bias; /* -1 while not open */
    char place[TEXT_SIZE];
} weights;

static ls_status open_weights(const reader *in, hid_t group, const strings *names, const hsize_t shape[2],
                              weights *it)
{
    if (names->n != 2)
        return ls_fail(LS_E_INPUT, "%s: %s: %" PRId64 " weights instead of kernel and bias: not supported",
                       in->file, it->place, names->n);
    LS_TRY(open_object(in, group, names->items[0], it->place, &it->kernel));
    LS_TRY(open_object(in, group, names->items[1], it->place, &it->bias));
    char place[2 * TEXT_SIZE];
    snprintf(place, sizeof place, "%s/%s", it->place, names->items[0]);
    LS_TRY(check_weights(in, place, it->kernel, 2, shape));
    snprintf(place, sizeof place, "%s/%s", it->place, names->items[1]);
    return check_weights(in, place, it->bias, 1, shape + 1);
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
static ls_status kernel_rows(const reader *in, hid_t group, const strings *names, int64_t *n)
{
    hsize_t shape[H5S_MAX_RANK] = {0};
    hid_t kernel;
    *n = 0;
    if (names->n != 2) return LS_OK;
    LS_TRY(open_object(in, group, names->items[0], "first kernel", &kernel));
    const hid_t space = H5Iget_type(kernel) == H5I_DATASET ? H5Dget_space(kernel) : -1;
    if (space >= 0 && H5Sget_simple_extent_ndims(space) == 2) H5Sget_simple_extent_dims(space, shape, NULL);
    if (space >= 0) H5Sclose(space);
    H5Oclose(kernel);
    if (shape[0] <= (hsize_t)LS_LAYER_MAX_UNITS) *n = (int64_t)shape[0];
    return LS_OK;
}

/* Opens the weights of the listed layers that have any; they must be those of keras, in order. */
static ls_status open_all_weights(const reader *in, hid_t root, const strings *layers, ls_keras_model *keras,
                                  weights *all)
{
    int64_t n = 0, n_inputs = keras->n_features;
    ls_status status = LS_OK;
    for (int64_t i = 0; i < layers->n && status == LS_OK; i++) {
        char place[TEXT_SIZE];
        snprintf(place, sizeof place, "/model_weights/%s", layers->items[i]);
        hid_t group;
        LS_TRY(open_object(in, root, layers->items[i], place, &group));
        strings names = {0};
        status = read_names(in, group, "weight_names", place, &names);
        if (status == LS_OK && names.n > 0 && n == keras->n_layers) {
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
        free_strings(&names);
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

static ls_status check_finite(const reader *in, const ls_model *model)
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

static ls_status read_parameters(const reader *in, const weights *all, ls_model *model)
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
            return fail_hdf5(LS_E_INPUT, in->file, all[i].place, "the weights cannot be read");
    }
    return check_finite(in, model);
}

static ls_status read_weights(const reader *in, hid_t root, const strings *layers, ls_keras_model *keras,
                              ls_model **model)
{
    weights *all;
    LS_TRY(ls_alloc(&all, (size_t)keras->n_layers, sizeof *all, "weights of the layers"));
    for (int64_t i = 0; i < keras->n_layers; i++) all[i].kernel = all[i].bias = -1;
    ls_status status = open_all_weights(in, root, layers, keras, all);
    if (status == LS_OK)
        status = ls_model_create_layers(keras->dtype, keras->n_features, keras->plan, keras->n_layers, model);
    if (status == LS_OK) {
        status = read_parameters(in, all, *model);
        if (status != LS_OK) {
            ls_model_free(*model);
            *model = NULL;
        }
    }
    close_weights(all, keras->n_layers);
    return status;
}

static ls_status read_scalar(const reader *in, hid_t root, const char *path, const char *place,
                             int64_t *value)
{
    hid_t dataset;
    LS_TRY(open_object(in, root, path, place, &dataset));
    const hid_t space = H5Iget_type(dataset) == H5I_DATASET ? H5Dget_space(dataset) : -1;
    ls_status status = LS_OK;
    if (space < 0 || H5Sget_simple_extent_npoints(space) != 1)
        status = ls_fail(LS_E_INPUT, "%s: %s: the optimizer's iteration is not one number", in->file, place);
    else if (H5Dread(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) < 0)
        status = fail_hdf5(LS_E_INPUT, in->file, place, "the optimizer's iteration cannot be read");
    if (space >= 0) H5Sclose(space);
    H5Oclose(dataset);
    if (status == LS_OK && *value < 0)
        status =
            ls_fail(LS_E_INPUT, "%s: %s: the optimizer's iteration is %" PRId64, in->file, place, *value);
    return status;
}

/* Keras 2 and 3 list "sgd/iteration", "SGD/iter:0" or "iteration:0" among the optimizer's weights. */
static bool is_iteration(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *last = slash ? slash + 1 : name;
    const size_t length = strcspn(last, ":");
    return (length == 4 && strncmp(last, "iter", 4) == 0) ||
           (length == 9 && strncmp(last, "iteration", 9) == 0);
}

static ls_status read_iterations(const reader *in, hid_t root, int64_t *iterations)
{
    bool found;
    LS_TRY(has_link(in, root, "/", "optimizer", &found));
    if (found) return read_scalar(in, root, "optimizer/vars/0", "/optimizer/vars/0", iterations);
    LS_TRY(has_link(in, root, "/", "optimizer_weights", &found));
    if (!found) return LS_OK;
    const char *place = "/optimizer_weights";
    hid_t group;
    LS_TRY(open_object(in, root, "optimizer_weights", place, &group));
    strings names = {0};
    ls_status status = read_names(in, group, "weight_names", place, &names);
    for (int64_t i = 0; i < names.n && status == LS_OK; i++) {
        if (!is_iteration(names.items[i])) continue;
        status = read_scalar(in, group, names.items[i], place, iterations);
        break;
    }
    free_strings(&names);
    H5Oclose(group);
    return status;
}

/* The one string of a root attribute. */
static ls_status read_json(const reader *in, hid_t root, const char *name, strings *text)
{
    LS_TRY(read_attribute(in, root, name, "/", text));
    if (text->n == 1) return LS_OK;
    return ls_fail(LS_E_INPUT, "%s: attribute %s: %" PRId64 " strings instead of one", in->file, name,
                   text->n);
}

static ls_status read_training(const reader *in, hid_t root, ls_training_config *config)
{
    bool found;
    LS_TRY(has_attribute(in, root, "/", "training_config", &found));
    if (!found) return LS_OK;
    strings text = {0};
    ls_status status = read_json(in, root, "training_config", &text);
    if (status == LS_OK)
        status = ls_keras_training_parse(in->file, text.items[0], in->exact, &config->learning_rate);
    free_strings(&text);
    LS_TRY(status);
    return read_iterations(in, root, &config->iterations);
}

static ls_status read_keras_model(const reader *in, hid_t root, ls_keras_model **keras)
{
    bool found;
    LS_TRY(has_attribute(in, root, "/", "model_config", &found));
    if (!found) {
        bool layers, layer_names;
        LS_TRY(has_link(in, root, "/", "layers", &layers));
        LS_TRY(has_attribute(in, root, "/", "layer_names", &layer_names));
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
    strings text = {0};
    ls_status status = read_json(in, root, "model_config", &text);
    if (status == LS_OK) status = ls_keras_model_parse(in->file, text.items[0], keras);
    free_strings(&text);
    return status;
}

static ls_status read_layers(const reader *in, hid_t root, ls_keras_model *keras, ls_model **model)
{
    hid_t group;
    bool found;
    LS_TRY(has_link(in, root, "/", "model_weights", &found));
    LS_TRY(open_object(in, root, found ? "model_weights" : "", "/model_weights", &group));
    strings layers = {0};
    ls_status status = read_names(in, group, "layer_names", "/model_weights", &layers);
    if (status == LS_OK) status = read_weights(in, group, &layers, keras, model);
    free_strings(&layers);
    H5Oclose(group);
    return status;
}

/* Our own text, NULL if the file has none. */
static ls_status read_record(const reader *in, hid_t root, char **record)
{
    *record = NULL;
    bool found;
    LS_TRY(has_link(in, root, "/", own_group, &found));
    if (!found) return LS_OK;
    hid_t group;
    LS_TRY(open_object(in, root, own_group, own_group, &group));
    ls_status status = has_attribute(in, group, own_group, own_attribute, &found);
    if (status == LS_OK && found) {
        strings text = {0};
        status = read_json(in, group, own_attribute, &text);
        if (status == LS_OK) {
            const size_t size = strlen(text.items[0]) + 1;
            status = ls_alloc(record, size, 1, "record of the training");
            if (status == LS_OK) memcpy(*record, text.items[0], size);
        }
        free_strings(&text);
    }
    H5Oclose(group);
    return status;
}

static ls_status read_root(const reader *in, hid_t root, ls_model **model, ls_training_config *config,
                           char **record)
{
    ls_keras_model *keras = NULL;
    LS_TRY(read_keras_model(in, root, &keras));
    ls_status status = read_training(in, root, config);
    if (status == LS_OK && record) status = read_record(in, root, record);
    if (status == LS_OK) status = read_layers(in, root, keras, model);
    ls_keras_model_free(keras);
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
    const reader in = {file, size, exact};
    ls_training_config found = {0};
    const size_t head = exact ? LS_FILE_HEAD_SIZE : 0;
    LS_TRY(ls_heap_check(file, (const char *)image + head, size - head));
    ls_hdf5_begin();
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    hid_t root = -1;
    if (access >= 0 && H5Pset_fapl_core(access, IMAGE_STEP, 0) >= 0 &&
        H5Pset_file_image(access, image, size) >= 0)
        root = H5Fopen(no_file, H5F_ACC_RDONLY, access);
    const ls_status status = root < 0
                                 ? fail_hdf5(LS_E_INPUT, file, "not a readable HDF5 file", "damaged or cut")
                                 : read_root(&in, root, model, &found, record);
    if (root >= 0) H5Fclose(root);
    if (access >= 0) H5Pclose(access);
    if (status == LS_OK && config) *config = found;
    return status;
}

/* ---- writing ---- */

static ls_status fail_build(const char *place)
{
    return fail_hdf5(LS_E_OUTPUT, "model file", place, "cannot be made in memory");
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
static ls_status put_layer_names(hid_t group, const ls_model *model)
{
    const char **names;
    LS_TRY(ls_alloc(&names, (size_t)model->n_layers, sizeof *names, "names of the layers"));
    for (int64_t i = 0; i < model->n_layers; i++) names[i] = model->layers[i].name;
    ls_status status = LS_OK;
    if (model->n_layers <= NAMES_PER_ATTRIBUTE) {
        status = put_strings(group, "layer_names", names, model->n_layers);
    } else {
        for (int64_t at = 0, part = 0; at < model->n_layers && status == LS_OK;
             at += NAMES_PER_ATTRIBUTE, part++) {
            const int64_t rest = model->n_layers - at;
            char attribute[48];
            snprintf(attribute, sizeof attribute, "layer_names%" PRId64, part);
            status = put_strings(group, attribute, names + at,
                                 rest < NAMES_PER_ATTRIBUTE ? rest : NAMES_PER_ATTRIBUTE);
        }
    }
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
        for (int64_t i = 0; i < model->n_layers && status == LS_OK; i++)
            status = put_layer(model, i, model_weights, layers_group);
        H5Gclose(layers_group);
    }
    H5Gclose(model_weights);
    return status;
}

static ls_status put_training(hid_t root, ls_dtype dtype, const ls_training_config *config)
{
    char *text;
    LS_TRY(ls_keras_training_format(config->learning_rate, &text));
    ls_status status = put_string(root, "training_config", text);
    ls_free(text);
    LS_TRY(status);

    hid_t group, vars;
    LS_TRY(make_group(root, "optimizer", &group));
    status = make_group(group, "vars", &vars);
    if (status == LS_OK) {
        status = put_values(vars, "0", H5T_STD_I64LE, H5T_NATIVE_INT64, 0, NULL, &config->iterations);
        if (status == LS_OK)
            status = put_values(vars, "1", file_type_of(dtype), H5T_NATIVE_DOUBLE, 0, NULL,
                                &config->learning_rate);
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
    if (H5Pset_fapl_core(access, IMAGE_STEP, 0) >= 0 && H5Pset_userblock(creation, LS_FILE_HEAD_SIZE) >= 0)
        root = H5Fcreate(no_file, H5F_ACC_TRUNC, creation, access);
    ls_hdf5_close_list(creation);
    ls_hdf5_close_list(access);
    return root;
}

static ls_status put_record(hid_t root, const char *record)
{
    hid_t group;
    LS_TRY(make_group(root, own_group, &group));
    const ls_status status = put_string(group, own_attribute, record);
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
    if (status == LS_OK && config) status = put_training(root, model->dtype, config);
    if (status == LS_OK && record) status = put_record(root, record);
    if (status == LS_OK) status = take_image(root, image, size);
    H5Fclose(root);
    return status;
}
