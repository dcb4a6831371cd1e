#include "data/dataset_listing.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "data/hdf5_support.h"

enum { MAX_VISITED = 10000 }; /* objects; a file may hold millions */

typedef struct listing {
    char *text;
    size_t size;
    size_t length;
    int64_t n_found;
    int64_t n_shown;
    int64_t n_visited;
} listing;

/* Adds one entry if it fits and leaves room for "and N more". */
static void add(listing *list, const char *entry)
{
    const size_t length = strlen(entry), tail = 40;
    list->n_found++;
    if (list->n_shown + 1 != list->n_found || list->length + length + 2 + tail > list->size) return;
    list->length += (size_t)snprintf(list->text + list->length, list->size - list->length, "%s%s",
                                     list->n_shown > 0 ? ", " : "", entry);
    list->n_shown++;
}

static void finish(listing *list, const char *none)
{
    if (list->n_found == 0)
        snprintf(list->text, list->size, "%s", none);
    else if (list->n_found > list->n_shown)
        snprintf(list->text + list->length, list->size - list->length, " and %lld more",
                 (long long)(list->n_found - list->n_shown));
}

/* Byte order and sign are worth a word only for numbers. */
static void number_name(hid_t type, const char *class_name, char *text, size_t size)
{
    const size_t bytes = H5Tget_size(type);
    snprintf(text, size, "%s%s%s%zu", H5Tget_order(type) == H5T_ORDER_BE && bytes > 1 ? "big-endian " : "",
             H5Tget_class(type) == H5T_INTEGER && H5Tget_sign(type) == H5T_SGN_NONE ? "u" : "", class_name,
             8 * bytes);
}

void ls_dataset_type_name(hid_t type, char *text, size_t size)
{
    switch (H5Tget_class(type)) {
    case H5T_INTEGER:
        number_name(type, "int", text, size);
        return;
    case H5T_FLOAT:
        number_name(type, "float", text, size);
        return;
    case H5T_BITFIELD:
        number_name(type, "bits", text, size);
        return;
    case H5T_STRING:
        snprintf(text, size, "text");
        return;
    case H5T_COMPOUND:
        snprintf(text, size, "table");
        return;
    case H5T_ENUM:
        snprintf(text, size, "bool or enum");
        return;
    case H5T_ARRAY:
        snprintf(text, size, "arrays");
        return;
    case H5T_REFERENCE:
        snprintf(text, size, "references");
        return;
    case H5T_OPAQUE:
        snprintf(text, size, "opaque bytes");
        return;
    case H5T_VLEN:
        snprintf(text, size, "variable-length lists");
        return;
    default:
        snprintf(text, size, "an unknown type");
    }
}

static herr_t visit(hid_t file, const char *name, const H5O_info_t *info, void *data)
{
    listing *list = data;
    if (++list->n_visited > MAX_VISITED) return 1;
    if (info->type != H5O_TYPE_DATASET) return 0;
    const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    if (dataset < 0) return 0;
    const hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
    hsize_t extent[H5S_MAX_RANK];
    const int rank = H5Sget_simple_extent_dims(space, extent, NULL);
    char entry[320], shape[64] = "", type_name[32];
    size_t length = 0;
    for (int i = 0; i < rank && length < sizeof shape - 24; i++)
        length += (size_t)snprintf(shape + length, sizeof shape - length, "%llu %s",
                                   (unsigned long long)extent[i], i + 1 < rank ? "x " : "");
    ls_dataset_type_name(type, type_name, sizeof type_name);
    snprintf(entry, sizeof entry, "/%.200s (%s%s)", name, shape, type_name);
    add(list, entry);
    ls_hdf5_close_type(type);
    ls_hdf5_close_space(space);
    ls_hdf5_close_dataset(dataset);
    return 0;
}

void ls_dataset_list(hid_t file, char *text, size_t size)
{
    listing list = {.text = text, .size = size};
    H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, visit, &list, H5O_INFO_BASIC);
    finish(&list, "no datasets");
}

void ls_dataset_list_fields(hid_t type, char *text, size_t size)
{
    listing list = {.text = text, .size = size};
    const int n = H5Tget_nmembers(type);
    for (int i = 0; i < n; i++) {
        char *name = H5Tget_member_name(type, (unsigned)i);
        if (name) add(&list, name);
        H5free_memory(name);
    }
    finish(&list, "no fields");
}
