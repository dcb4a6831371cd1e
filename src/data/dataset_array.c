#include "data/dataset_array.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fault_system.h"
#include "base/place.h"
#include "data/dataset_listing.h"
#include "data/dataset_storage.h"
#include "data/hdf5_support.h"

enum {
    LISTING_SIZE = 500,
    MAX_COLUMNS = 1 << 26, /* one row stays below the 1 GiB of a transfer */
};

static ls_status fail_at(const ls_dataset_place *place, const char *found)
{
    return ls_fail(LS_E_INPUT, "%s: %s", place->name, found);
}

/* HDF5 says little about a file that is no file, so the system is asked first. */
static ls_status check_file(const char *name, int64_t *size)
{
    const int descriptor = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        const int error = errno;
        if (descriptor >= 0) close(descriptor);
        return ls_fail(LS_E_INPUT, "%s: cannot open the file: %s", name, strerror(error));
    }
    close(descriptor);
    if (S_ISDIR(status.st_mode)) return ls_fail(LS_E_INPUT, "%s: is a directory: give an HDF5 file", name);
    if (!S_ISREG(status.st_mode))
        return ls_fail(LS_E_INPUT, "%s: is not a regular file: give an HDF5 file", name);
    if (status.st_size == 0) return ls_fail(LS_E_INPUT, "%s: the file is empty: give an HDF5 file", name);
    *size = status.st_size;
    return LS_OK;
}

static ls_status open_file(const char *name, hid_t *file, int64_t *size)
{
    LS_TRY(check_file(name, size));
    *file = H5Fopen(name, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (*file >= 0) return LS_OK;
    /* Copied first: the question below replaces HDF5's reason. */
    char reason[LS_MESSAGE_SIZE / 4];
    snprintf(reason, sizeof reason, "%s", ls_hdf5_reason());
    if (H5Fis_hdf5(name) <= 0)
        return ls_fail(LS_E_INPUT, "%s: is not an HDF5 file, or its beginning is damaged: %s", name, reason);
    return ls_fail(LS_E_INPUT, "%s: the HDF5 file is truncated or damaged: %s", name, reason);
}

/* Whether a link leads to a group, below 0 if HDF5 cannot tell. */
static htri_t is_group(hid_t file, const char *path)
{
    const htri_t found = H5Oexists_by_name(file, path, H5P_DEFAULT);
    if (found <= 0) return found;
    const hid_t object = H5Oopen(file, path, H5P_DEFAULT);
    if (object < 0) return -1;
    const H5I_type_t what = H5Iget_type(object);
    H5Oclose(object);
    return what == H5I_GROUP;
}

/* Whether every link of the path is there, below 0 if HDF5 cannot tell; it wants to be asked one by one. */
static htri_t has_link(hid_t file, const char *path)
{
    char prefix[LS_PLACE_PATH_SIZE];
    for (const char *at = path; *at;) {
        while (*at == '/') at++;
        while (*at && *at != '/') at++;
        snprintf(prefix, sizeof prefix, "%.*s", (int)(at - path), path);
        if (strspn(prefix, "/") == strlen(prefix)) continue;
        htri_t found = H5Lexists(file, prefix, H5P_DEFAULT);
        if (found > 0 && *at) found = is_group(file, prefix);
        if (found <= 0) return found;
    }
    return 1;
}

static ls_status fail_lookup(const ls_dataset_place *place)
{
    return ls_fail(LS_E_INPUT, "%s: cannot be looked for (the file may be damaged): %s", place->name,
                   ls_hdf5_reason());
}

ls_status ls_dataset_array_exists(const ls_dataset_place *place, bool *exists)
{
    ls_hdf5_begin();
    hid_t file;
    int64_t size;
    LS_TRY(open_file(place->file, &file, &size));
    const htri_t found = has_link(file, place->path);
    *exists = found > 0;
    const ls_status status = found < 0 ? fail_lookup(place) : LS_OK;
    H5Fclose(file);
    return status;
}

static ls_status fail_missing(hid_t file, const ls_dataset_place *place, const char *found)
{
    char listing[LISTING_SIZE];
    ls_dataset_list(file, listing, sizeof listing);
    return ls_fail(LS_E_INPUT, "%s: %s; the file has %s: name the arrays with --x FILE:/PATH --y FILE:/PATH",
                   place->name, found, listing);
}

/* The dataset itself, not a group. */
static ls_status open_dataset(ls_dataset_array *array)
{
    const ls_dataset_place *place = array->place;
    const htri_t found = has_link(array->file, place->path);
    if (found < 0) return fail_lookup(place);
    if (!found) return fail_missing(array->file, place, "there is no such dataset");
    const hid_t object = H5Oopen(array->file, place->path, H5P_DEFAULT);
    if (object < 0)
        return ls_fail(LS_E_INPUT, "%s: cannot be opened (a link that leads nowhere, or a damaged file): %s",
                       place->name, ls_hdf5_reason());
    const H5I_type_t what = H5Iget_type(object);
    H5Oclose(object);
    if (what != H5I_DATASET)
        return fail_missing(array->file, place,
                            what == H5I_GROUP ? "is a group, not a dataset" : "is not a dataset");
    array->dataset = H5Dopen2(array->file, place->path, H5P_DEFAULT);
    if (array->dataset < 0)
        return ls_fail(LS_E_INPUT, "%s: cannot be opened: %s", place->name, ls_hdf5_reason());
    array->space = H5Dget_space(array->dataset);
    if (array->space < 0)
        return ls_fail(LS_E_INPUT, "%s: cannot read its shape: %s", place->name, ls_hdf5_reason());
    return LS_OK;
}

/* Sets kind; type is that of a single value. Returns the native type (HDF5's own, not to be closed) or -1. */
static hid_t native_type(hid_t type, ls_dataset_array *array)
{
    hid_t base;
    bool is_unsigned;
    switch (H5Tget_class(type)) {
    case H5T_FLOAT:
        array->kind = H5Tget_size(type) <= sizeof(float) ? LS_ARRAY_FLOAT32 : LS_ARRAY_FLOAT64;
        array->value_size = array->kind == LS_ARRAY_FLOAT32 ? sizeof(float) : sizeof(double);
        return array->kind == LS_ARRAY_FLOAT32 ? H5T_NATIVE_FLOAT : H5T_NATIVE_DOUBLE;
    case H5T_ENUM: /* h5py's booleans */
        base = H5Tget_super(type);
        if (base < 0) return -1;
        is_unsigned = H5Tget_sign(base) == H5T_SGN_NONE;
        H5Tclose(base);
        break;
    case H5T_INTEGER:
        if (H5Tget_size(type) > sizeof(int64_t)) return -1;
        is_unsigned = H5Tget_sign(type) == H5T_SGN_NONE;
        if (is_unsigned && H5Tget_size(type) == 1) {
            array->kind = LS_ARRAY_UINT8;
            array->value_size = 1;
            return H5T_NATIVE_UINT8;
        }
        break;
    case H5T_BITFIELD: /* PyTables' booleans */
        if (H5Tget_size(type) != 1) return -1;
        array->kind = LS_ARRAY_UINT8;
        array->value_size = 1;
        return H5T_NATIVE_B8;
    default:
        return -1;
    }
    array->kind = is_unsigned ? LS_ARRAY_UINT64 : LS_ARRAY_INT64;
    array->value_size = sizeof(int64_t);
    return is_unsigned ? H5T_NATIVE_UINT64 : H5T_NATIVE_INT64;
}

/* Explains a compound type that was named without a field. */
static ls_status fail_compound(const ls_dataset_place *place, hid_t type)
{
    char fields[LISTING_SIZE];
    if (H5Tget_nmembers(type) == 2 && H5Tget_member_index(type, "r") == 0 &&
        H5Tget_member_index(type, "i") == 1)
        return fail_at(place, "holds complex numbers: only real ones can be used");
    ls_dataset_list_fields(type, fields, sizeof fields);
    return ls_fail(LS_E_INPUT, "%s: is a table with the fields %s: name one field as FILE:/PATH:FIELD",
                   place->name, fields);
}

/* Type of the elements: a value, an array of values, or one field of a compound type that is either. Adds the
 * array's dimensions to extent[*rank...]. */
static ls_status choose_type(ls_dataset_array *array, hid_t type, hsize_t *extent, int *rank)
{
    const ls_dataset_place *place = array->place;
    hid_t field = -1, base = -1, memory = -1;
    ls_status status = LS_OK;
    const bool compound = H5Tget_class(type) == H5T_COMPOUND;
    if (compound && !place->field[0]) return fail_compound(place, type);
    if (!compound && place->field[0])
        return fail_at(place, "is no table and has no fields: leave out the :FIELD");
    if (compound) {
        const int index = H5Tget_member_index(type, place->field);
        if (index < 0) {
            char fields[LISTING_SIZE];
            ls_dataset_list_fields(type, fields, sizeof fields);
            return ls_fail(LS_E_INPUT, "%s: the table has no such field; it has %s", place->name, fields);
        }
        field = H5Tget_member_type(type, (unsigned)index);
    } else {
        field = H5Tcopy(type);
    }

    array->element_values = 1;
    int n_inner = 0;
    hsize_t inner[H5S_MAX_RANK];
    if (H5Tget_class(field) == H5T_ARRAY) {
        n_inner = H5Tget_array_dims2(field, inner);
        base = H5Tget_super(field);
    } else {
        base = H5Tcopy(field);
    }
    const hid_t native = native_type(base, array);
    if (native < 0) {
        char name[32];
        ls_dataset_type_name(base, name, sizeof name);
        status =
            ls_fail(LS_E_INPUT, "%s: holds %s: integers, booleans or floats are needed", place->name, name);
    } else if (n_inner < 0 || *rank + n_inner > 2) {
        status = ls_fail(LS_E_INPUT, "%s: has %d dimensions: rows x columns are needed, one number each",
                         place->name, *rank + n_inner);
    } else if (n_inner > 0) {
        extent[*rank] = inner[0];
        *rank += 1;
        array->element_values = (int64_t)inner[0];
        memory = H5Tarray_create2(native, 1, inner);
    } else {
        memory = H5Tcopy(native);
    }
    if (status == LS_OK && memory < 0)
        status = ls_fail(LS_E_INPUT, "%s: its type cannot be used: %s", place->name, ls_hdf5_reason());
    if (memory >= 0 && compound) {
        array->memory_type = H5Tcreate(H5T_COMPOUND, (size_t)array->element_values * array->value_size);
        if (H5Tinsert(array->memory_type, place->field, 0, memory) < 0)
            status = ls_fail(LS_E_INPUT, "%s: cannot select the field: %s", place->name, ls_hdf5_reason());
        H5Tclose(memory);
    } else {
        array->memory_type = memory;
    }
    ls_hdf5_close_type(base);
    ls_hdf5_close_type(field);
    return status;
}

static ls_status check_shape(ls_dataset_array *array, const hsize_t *extent, int rank)
{
    const ls_dataset_place *place = array->place;
    if (rank < 1 || rank > 2)
        return ls_fail(LS_E_INPUT, "%s: has %d dimensions%s: rows x columns are needed", place->name, rank,
                       rank == 0 ? " (a single value)" : "");
    if (extent[0] == 0) return fail_at(place, "has no rows");
    if (rank == 2 && extent[1] == 0) return fail_at(place, "has no columns");
    if (extent[0] > (hsize_t)INT64_MAX / 16 || (rank == 2 && extent[1] > MAX_COLUMNS))
        return ls_fail(LS_E_INPUT, "%s: is too large: at most %d columns are supported", place->name,
                       MAX_COLUMNS);
    array->rank = rank;
    array->n_rows = (int64_t)extent[0];
    array->n_columns = rank == 2 ? (int64_t)extent[1] : 1;
    return LS_OK;
}

static ls_status open_parts(ls_dataset_array *array)
{
    int64_t file_size;
    LS_TRY(open_file(array->place->file, &array->file, &file_size));
    LS_TRY(open_dataset(array));
    if (H5Sget_simple_extent_type(array->space) == H5S_NULL)
        return fail_at(array->place, "is empty (no dataspace)");
    hsize_t extent[H5S_MAX_RANK + 1];
    int rank = H5Sget_simple_extent_dims(array->space, extent, NULL);
    if (rank < 0)
        return ls_fail(LS_E_INPUT, "%s: cannot read its shape: %s", array->place->name, ls_hdf5_reason());
    const hid_t type = H5Dget_type(array->dataset);
    if (type < 0)
        return ls_fail(LS_E_INPUT, "%s: cannot read its type: %s", array->place->name, ls_hdf5_reason());
    ls_status status = choose_type(array, type, extent, &rank);
    if (status == LS_OK) status = check_shape(array, extent, rank);
    if (status == LS_OK) status = ls_dataset_storage_open(array, type, file_size);
    H5Tclose(type);
    return status;
}

ls_status ls_dataset_array_open(const ls_dataset_place *place, ls_dataset_array *array)
{
    ls_hdf5_begin();
    ls_place_at(LS_AT_READ, -1);
    memset(array, 0, sizeof *array);
    array->place = place;
    array->file = array->dataset = array->space = array->memory_type = -1;
    array->offset = array->descriptor = -1;
    const ls_status status = open_parts(array);
    if (status != LS_OK) ls_dataset_array_close(array);
    return status;
}

void ls_dataset_array_close(ls_dataset_array *array)
{
    if (!array->place) return;
    ls_hdf5_close_type(array->memory_type);
    ls_hdf5_close_space(array->space);
    ls_hdf5_close_dataset(array->dataset);
    ls_hdf5_close_file(array->file);
    memset(array, 0, sizeof *array);
}

bool ls_dataset_array_is_there(const ls_dataset_array *array, int64_t row)
{
    char byte;
    const struct iovec part = {&byte, 1};
    const int64_t row_bytes = array->n_columns * (int64_t)array->value_size;
    return array->descriptor < 0 ||
           preadv2(array->descriptor, &part, 1, array->offset + row * row_bytes, RWF_NOWAIT) == 1;
}

void ls_dataset_array_expect(const ls_dataset_array *array, int64_t first_row, int64_t n_rows)
{
    const int64_t row_bytes = array->n_columns * (int64_t)array->value_size;
    if (array->descriptor >= 0) /* advice that is not taken is no loss */
        posix_fadvise(array->descriptor, array->offset + first_row * row_bytes, n_rows * row_bytes,
                      POSIX_FADV_WILLNEED);
}

static ls_status fail_read(const ls_dataset_array *array, int64_t first_row, int64_t n_rows,
                           const char *reason)
{
    return ls_fail(LS_E_INPUT, "%s: rows %lld to %lld (counted from 0) cannot be read: %s",
                   array->place->name, (long long)first_row, (long long)(first_row + n_rows - 1), reason);
}

/* Straight from the file into the caller's memory. */
static ls_status read_native(const ls_dataset_array *array, int64_t first_row, int64_t n_rows, char *values)
{
    const int64_t row_bytes = array->n_columns * (int64_t)array->value_size;
    size_t n = (size_t)(n_rows * row_bytes);
    for (off_t at = array->offset + first_row * row_bytes; n > 0;) {
        const ssize_t got = pread(array->descriptor, values, n, at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0)
            return fail_read(array, first_row, n_rows,
                             got < 0 ? strerror(errno) : "the file has become shorter");
        values += got;
        at += got;
        n -= (size_t)got;
    }
    return LS_OK;
}

ls_status ls_dataset_array_read(const ls_dataset_array *array, int64_t first_row, int64_t n_rows,
                                int64_t first_column, int64_t n_columns, void *values)
{
    ls_place_at(LS_AT_READ, -1);
    if (array->descriptor >= 0 && n_columns == array->n_columns)
        return read_native(array, first_row, n_rows, values);
    ls_hdf5_begin();
    const hsize_t start[2] = {(hsize_t)first_row, (hsize_t)first_column};
    const hsize_t count[2] = {(hsize_t)n_rows, (hsize_t)n_columns};
    /* The same rank as in the file: HDF5 walks over shapes that differ value by value. */
    const hid_t memory = H5Screate_simple(H5Sget_simple_extent_ndims(array->space), count, NULL);
    ls_status status = LS_OK;
    if (memory < 0 || H5Sselect_hyperslab(array->space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        H5Dread(array->dataset, array->memory_type, memory, array->space, H5P_DEFAULT, values) < 0)
        status = fail_read(array, first_row, n_rows, ls_hdf5_reason());
    ls_hdf5_close_space(memory);
    return status;
}
