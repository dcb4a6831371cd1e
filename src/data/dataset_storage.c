#include "data/dataset_storage.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault_system.h"
#include "data/hdf5_support.h"

enum {
    MIN_CHUNK_CACHE = 1 << 20,
    MAX_CHUNK_CACHE = 64 << 20,
    MAX_EXPANSION =
        1 << 14, /* bytes of an array for each one of the file: no filter shrinks real data so far */
    MAX_VIRTUAL_SOURCES = 10000, /* looked for; a file may name any number */
};

static ls_status check_filters(const ls_dataset_place *place, hid_t creation)
{
    const int n = H5Pget_nfilters(creation);
    for (int i = 0; i < n; i++) {
        char name[64] = "";
        unsigned flags, config;
        size_t n_values = 0;
        const H5Z_filter_t filter =
            H5Pget_filter2(creation, (unsigned)i, &flags, &n_values, NULL, sizeof name, name, &config);
        if (filter >= 0 && H5Zfilter_avail(filter) <= 0)
            return ls_fail(
                LS_E_INPUT,
                "%s: is compressed with the filter %s (number %d), which this HDF5 library lacks: install "
                "its "
                "plugin and set HDF5_PLUGIN_PATH, or rewrite the file where it can be read with: h5repack "
                "-f SHUF -f GZIP=1 OLD.h5 NEW.h5",
                place->name, name[0] ? name : "without a name", (int)filter);
    }
    return LS_OK;
}

/* HDF5 hands out fill values in place of the source files of a virtual dataset that it does not find. Names
 * are looked up as it does: as they are, and beside the file. */
static ls_status check_virtual_sources(const ls_dataset_place *place, hid_t creation)
{
    size_t n = 0;
    if (getenv("HDF5_VDS_PREFIX") || H5Pget_virtual_count(creation, &n) < 0) return LS_OK;
    for (size_t i = 0; i < n && i < MAX_VIRTUAL_SOURCES; i++) {
        char name[LS_PLACE_FILE_SIZE], beside[2 * LS_PLACE_FILE_SIZE];
        const ssize_t length = H5Pget_virtual_filename(creation, i, name, sizeof name);
        /* "." is the file itself, % stands for numbers. */
        if (length <= 0 || length >= (ssize_t)sizeof name || strcmp(name, ".") == 0 || strchr(name, '%'))
            continue;
        const char *slash = strrchr(place->file, '/');
        snprintf(beside, sizeof beside, "%.*s%s", slash ? (int)(slash - place->file) + 1 : 0, place->file,
                 name);
        if (access(name, R_OK) != 0 && (name[0] == '/' || access(beside, R_OK) != 0))
            return ls_fail(LS_E_INPUT, "%s: is a virtual dataset, and its source file %s cannot be read: %s",
                           place->name, name, strerror(errno));
    }
    return LS_OK;
}

/* Opens the dataset again with a cache that holds the chunks of one band of rows, so that a pass over
 * ascending rows decompresses every chunk once, even if it comes in pieces. */
static ls_status set_chunk_cache(ls_dataset_array *array, hid_t creation, hid_t type)
{
    hsize_t chunk[H5S_MAX_RANK], extent[H5S_MAX_RANK];
    const int rank = H5Pget_chunk(creation, H5S_MAX_RANK, chunk);
    if (rank < 1 || rank != H5Sget_simple_extent_dims(array->space, extent, NULL)) return LS_OK;
    for (int i = 0; i < rank; i++)
        if (chunk[i] == 0)
            return ls_fail(LS_E_INPUT, "%s: has chunks without rows: the file is damaged",
                           array->place->name);
    array->chunk_rows = chunk[0] < (hsize_t)array->n_rows ? (int64_t)chunk[0] : array->n_rows;
    if (rank == 2 && chunk[1] < extent[1]) array->chunk_columns = (int64_t)chunk[1];
    double bytes = (double)H5Tget_size(type), n_chunks = 1;
    for (int i = 0; i < rank; i++) bytes *= (double)chunk[i];
    if (rank == 2) n_chunks = (double)((extent[1] + chunk[1] - 1) / chunk[1]);
    double wanted = bytes * n_chunks;
    array->keeps_band = wanted <= MAX_CHUNK_CACHE;
    if (!array->keeps_band) wanted = bytes; /* HDF5 needs the memory of one chunk anyway */
    if (wanted < MIN_CHUNK_CACHE) wanted = MIN_CHUNK_CACHE;
    /* HDF5 advises many more slots than chunks, a prime number of them. w0 = 0: the chunk that was used least
     * recently goes; with 1 those that were read in part never go (1.10). */
    const size_t n_slots = n_chunks < 100 ? 10007 : n_chunks < 1000 ? 100003 : 1000003;
    const hid_t access_list = H5Pcreate(H5P_DATASET_ACCESS);
    if (access_list < 0) return LS_OK; /* slower, no more */
    H5Pset_chunk_cache(access_list, n_slots, (size_t)wanted, 0.0);
    H5Dclose(array->dataset); /* first: a dataset that is open keeps its cache */
    array->dataset = H5Dopen2(array->file, array->place->path, access_list);
    H5Pclose(access_list);
    if (array->dataset < 0)
        return ls_fail(LS_E_INPUT, "%s: cannot be opened: %s", array->place->name, ls_hdf5_reason());
    return LS_OK;
}

/* A damaged or hostile header may claim any shape; memory is taken in proportion to it, and by HDF5 to a
 * chunk.
 */
static ls_status check_claim(const ls_dataset_array *array, hid_t creation, hid_t type, int64_t file_size)
{
    if (H5Pget_layout(creation) == H5D_VIRTUAL || H5Pget_external_count(creation) != 0) return LS_OK;
    hsize_t extent[H5S_MAX_RANK], chunk[H5S_MAX_RANK];
    const int rank = H5Sget_simple_extent_dims(array->space, extent, NULL);
    const int chunk_rank =
        H5Pget_layout(creation) == H5D_CHUNKED ? H5Pget_chunk(creation, H5S_MAX_RANK, chunk) : 0;
    double claimed = (double)H5Tget_size(type), chunk_bytes = claimed;
    for (int i = 0; i < rank; i++) claimed *= (double)extent[i];
    for (int i = 0; i < chunk_rank; i++) chunk_bytes *= (double)chunk[i];
    const double largest = claimed > chunk_bytes ? claimed : chunk_bytes;
    if (rank >= 0 && chunk_rank >= 0 && largest <= (double)MAX_EXPANSION * (double)file_size) return LS_OK;
    return ls_fail(
        LS_E_INPUT,
        "%s: claims %.4g bytes in a file of %lld: the file is damaged, or the rows were never written",
        array->place->name, largest, (long long)file_size);
}

/* The descriptor of the file that the dataset lies in, which may be another one than was opened (an external
 * link); -1 if HDF5 reads it in some other way. HDF5 keeps it open as long as the dataset. */
static int find_descriptor(hid_t dataset)
{
    void *descriptor = NULL;
    const hid_t file = H5Iget_file_id(dataset);
    const hid_t access_list = file < 0 ? H5I_INVALID_HID : H5Fget_access_plist(file);
    if (access_list < 0 || H5Pget_driver(access_list) != H5FD_SEC2 ||
        H5Fget_vfd_handle(file, H5P_DEFAULT, &descriptor) < 0)
        descriptor = NULL;
    ls_hdf5_close_list(access_list);
    ls_hdf5_close_file(file);
    return descriptor ? *(const int *)descriptor : -1;
}

/* Where the values of a contiguous array begin, if there are any in a file. */
static ls_status find_values(ls_dataset_array *array, hid_t type, int descriptor, int64_t file_size)
{
    const haddr_t offset = H5Dget_offset(array->dataset);
    const hsize_t bytes = H5Dget_storage_size(array->dataset);
    if (offset == HADDR_UNDEF) return LS_OK; /* never written: HDF5 hands out the fill value */
    if (offset > (haddr_t)file_size || bytes > (hsize_t)file_size - offset)
        return ls_fail(LS_E_INPUT, "%s: the file is truncated: it has %lld bytes, the array ends at %llu",
                       array->place->name, (long long)file_size, (unsigned long long)(offset + bytes));
    if (descriptor < 0 || H5Tequal(type, array->memory_type) <= 0) return LS_OK;
    array->descriptor = descriptor;
    array->offset = (int64_t)offset;
    return LS_OK;
}

ls_status ls_dataset_storage_open(ls_dataset_array *array, hid_t type, int64_t file_size)
{
    array->chunk_columns = array->n_columns;
    struct stat file;
    const int descriptor = find_descriptor(array->dataset);
    if (descriptor >= 0 && fstat(descriptor, &file) == 0) file_size = file.st_size;
    const hid_t creation = H5Dget_create_plist(array->dataset);
    if (creation < 0)
        return ls_fail(LS_E_INPUT, "%s: cannot read its layout: %s", array->place->name, ls_hdf5_reason());
    const H5D_layout_t layout = H5Pget_layout(creation);
    ls_status status = check_filters(array->place, creation);
    if (status == LS_OK) status = check_claim(array, creation, type, file_size);
    if (status == LS_OK && layout == H5D_VIRTUAL) status = check_virtual_sources(array->place, creation);
    if (status == LS_OK && layout == H5D_CHUNKED) status = set_chunk_cache(array, creation, type);
    if (status == LS_OK && layout == H5D_CONTIGUOUS && H5Pget_external_count(creation) == 0)
        status = find_values(array, type, descriptor, file_size);
    H5Pclose(creation);
    return status;
}
