#include "model/keras_h5_objects.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "data/hdf5_support.h"

enum {
    DEFLATE_MOST = 1032, /* times that deflate can expand its input */
    TEXT_SIZE = 256
};

ls_status ls_h5_fail(ls_status status, const char *file, const char *place, const char *what)
{
    return ls_fail(status, "%s: %s: %s (HDF5: %s)", file, place, what, ls_hdf5_reason());
}

void ls_h5_free_strings(ls_h5_strings *list)
{
    ls_free(list->items);
    ls_free(list->text);
    *list = (ls_h5_strings){0};
}

/* Copies n strings of size bytes each that are padded as padding says. */
static ls_status copy_fixed(const char *raw, size_t size, H5T_str_t padding, ls_h5_strings *list)
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

static ls_status read_fixed(const ls_h5_reader *in, const char *place, hid_t attribute, hid_t type,
                            ls_h5_strings *list)
{
    const size_t size = H5Tget_size(type);
    char *raw;
    LS_TRY(ls_alloc(&raw, (size_t)list->n, size, "strings of an attribute"));
    ls_status status = LS_OK;
    if (H5Aread(attribute, type, raw) < 0) status = ls_h5_fail(LS_E_INPUT, in->file, place, "cannot be read");
    if (status == LS_OK) status = copy_fixed(raw, size, H5Tget_strpad(type), list);
    ls_free(raw);
    return status;
}

static ls_status copy_variable(char *const *raw, ls_h5_strings *list)
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

static ls_status read_variable(const ls_h5_reader *in, const char *place, hid_t attribute, hid_t space,
                               hid_t type, ls_h5_strings *list)
{
    char **raw;
    LS_TRY(ls_alloc(&raw, (size_t)list->n, sizeof *raw, "strings of an attribute"));
    ls_status status = LS_OK;
    if (H5Aread(attribute, type, raw) < 0) {
        status = ls_h5_fail(LS_E_INPUT, in->file, place, "cannot be read");
    } else {
        status = copy_variable(raw, list);
        H5Dvlen_reclaim(type, space, H5P_DEFAULT, raw);
    }
    ls_free(raw);
    return status;
}

static ls_status read_typed(const ls_h5_reader *in, const char *place, hid_t attribute, hid_t space,
                            hid_t type, ls_h5_strings *list)
{
    const hssize_t n = H5Sget_simple_extent_npoints(space);
    const size_t size = H5Tget_size(type);
    if (n < 0 || size == 0) return ls_h5_fail(LS_E_INPUT, in->file, place, "cannot be read");
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

ls_status ls_h5_read_attribute(const ls_h5_reader *in, hid_t object, const char *name, const char *place,
                               ls_h5_strings *list)
{
    char where[TEXT_SIZE];
    snprintf(where, sizeof where, "%s: attribute %s", place, name);
    const hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (attribute < 0) return ls_h5_fail(LS_E_INPUT, in->file, where, "cannot be opened");
    const hid_t space = H5Aget_space(attribute);
    const hid_t type = H5Aget_type(attribute);
    const ls_status status = space < 0 || type < 0 ? ls_h5_fail(LS_E_INPUT, in->file, where, "cannot be read")
                                                   : read_typed(in, where, attribute, space, type, list);
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    H5Aclose(attribute);
    return status;
}

/* Answers of HDF5 to questions of the kind "is it there?": below 0 it could not tell. */
static ls_status take_answer(const ls_h5_reader *in, htri_t answer, const char *place, const char *name,
                             bool *found)
{
    *found = answer > 0;
    if (answer >= 0) return LS_OK;
    char what[TEXT_SIZE];
    snprintf(what, sizeof what, "cannot look for %s", name);
    return ls_h5_fail(LS_E_INPUT, in->file, place, what);
}

ls_status ls_h5_has_attribute(const ls_h5_reader *in, hid_t object, const char *place, const char *name,
                              bool *found)
{
    return take_answer(in, H5Aexists(object, name), place, name, found);
}

ls_status ls_h5_has_link(const ls_h5_reader *in, hid_t group, const char *place, const char *name,
                         bool *found)
{
    return take_answer(in, H5Lexists(group, name, H5P_DEFAULT), place, name, found);
}

/* Appends more to list and empties it. */
static ls_status append(ls_h5_strings *list, ls_h5_strings *more)
{
    ls_h5_strings sum = {.n = list->n + more->n};
    size_t total = 0;
    for (int64_t i = 0; i < list->n; i++) total += strlen(list->items[i]) + 1;
    for (int64_t i = 0; i < more->n; i++) total += strlen(more->items[i]) + 1;
    ls_status status = ls_alloc(&sum.items, (size_t)sum.n, sizeof *sum.items, "names");
    if (status == LS_OK) status = ls_alloc(&sum.text, total, 1, "names");
    if (status != LS_OK) {
        ls_h5_free_strings(&sum);
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
    ls_h5_free_strings(list);
    ls_h5_free_strings(more);
    *list = sum;
    return LS_OK;
}

ls_status ls_h5_read_names(const ls_h5_reader *in, hid_t object, const char *name, const char *place,
                           ls_h5_strings *list)
{
    bool found;
    LS_TRY(ls_h5_has_attribute(in, object, place, name, &found));
    if (found) return ls_h5_read_attribute(in, object, name, place, list);
    for (int i = 0;; i++) {
        char part[64];
        snprintf(part, sizeof part, "%s%d", name, i);
        LS_TRY(ls_h5_has_attribute(in, object, place, part, &found));
        if (!found) return LS_OK;
        ls_h5_strings more = {0};
        ls_status status = ls_h5_read_attribute(in, object, part, place, &more);
        if (status == LS_OK) status = append(list, &more);
        ls_h5_free_strings(&more);
        LS_TRY(status);
    }
}

ls_status ls_h5_open_object(const ls_h5_reader *in, hid_t object, const char *path, const char *place,
                            hid_t *result)
{
    hid_t here = H5Oopen(object, ".", H5P_DEFAULT);
    if (here < 0) return ls_h5_fail(LS_E_INPUT, in->file, place, "cannot be opened");
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
        if (H5Iget_type(here) == H5I_GROUP) status = ls_h5_has_link(in, here, place, part, &found);
        if (status == LS_OK && !found)
            status = ls_fail(LS_E_INPUT, "%s: %s: there is no %.100s: the file is incomplete", in->file,
                             place, path);
        if (status == LS_OK && H5Lget_info(here, part, &link, H5P_DEFAULT) < 0)
            status = ls_h5_fail(LS_E_INPUT, in->file, place, "a link cannot be read");
        else if (status == LS_OK && link.type != H5L_TYPE_HARD)
            status = ls_fail(LS_E_INPUT, "%s: %s: %.100s is a soft or external link: not supported", in->file,
                             place, path);
        else if (status == LS_OK && (next = H5Oopen(here, part, H5P_DEFAULT)) < 0)
            status = ls_h5_fail(LS_E_INPUT, in->file, place, "an object cannot be opened");
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
static ls_status check_storage(const ls_h5_reader *in, const char *place, hid_t dataset, int rank,
                               const hsize_t *shape, uint64_t value_size)
{
    const uint64_t bytes = multiply(value_size, rank, shape);
    uint64_t chunk_bytes = 0; /* HDF5 takes memory for a whole chunk */
    const hid_t plist = H5Dget_create_plist(dataset);
    if (plist < 0) return ls_h5_fail(LS_E_INPUT, in->file, place, "cannot be read");
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

static ls_status check_shape(const ls_h5_reader *in, const char *place, hid_t dataset, int rank,
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

ls_status ls_h5_check_values(const ls_h5_reader *in, const char *place, hid_t dataset, int rank,
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
