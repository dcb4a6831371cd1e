#include "data/dataset_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault_system.h"
#include "base/memory.h"
#include "base/output_file.h"
#include "data/hdf5_support.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "rows are written as they lie in memory");

enum {
    MAX_ARRAYS = 16,
    PAGE = 4096,       /* arrays of a page or more begin on a page */
    PIECE = 1 << 30,   /* one pwrite transfers less than 2^31 bytes */
    FLUSHED = 1 << 20, /* so many bytes are worth a request to the disk */
};

typedef struct written_array {
    char *path;
    ls_file_type type;
    int64_t n_rows;
    size_t row_bytes;
    int64_t offset; /* of the first row in the file, -1 while unknown and for an array without bytes */
    off_t fresh_begin,
        fresh_end; /* bytes of the file that this rank wrote last, and the disk was not asked for */
} written_array;

struct ls_dataset_writer {
    ls_session *session;
    ls_output_file
        output; /* made by rank 0; the others open its temporary file in begin, and never rename it */
    int header; /* rank 0: file in memory that HDF5 builds the header in, -1 after begin */
    hid_t file; /* the same for HDF5 */
    int n_arrays;
    written_array arrays[MAX_ARRAYS];
};

static size_t value_size(ls_file_type type)
{
    switch (type) {
    case LS_FILE_FLOAT32:
        return 4;
    case LS_FILE_UINT8:
        return 1;
    case LS_FILE_FLOAT64:
    case LS_FILE_INT64:
        break;
    }
    return 8;
}

static hid_t file_type(ls_file_type type)
{
    switch (type) {
    case LS_FILE_FLOAT32:
        return H5T_IEEE_F32LE;
    case LS_FILE_UINT8:
        return H5T_STD_U8LE;
    case LS_FILE_INT64:
        return H5T_STD_I64LE;
    case LS_FILE_FLOAT64:
        break;
    }
    return H5T_IEEE_F64LE;
}

static ls_status fail_system(const ls_dataset_writer *writer, const char *action, int error)
{
    return ls_output_file_fail(&writer->output, action, error);
}

static ls_status fail_hdf5(const ls_dataset_writer *writer, const char *object, const char *action)
{
    return ls_fail(LS_E_OUTPUT, "%s: %s: cannot %s: %s", writer->output.name, object, action,
                   ls_hdf5_reason());
}

/* HDF5 never touches the disk: it writes the header to a sparse file in memory, begin copies the little there
 * is. On a full disk libhdf5 1.10 can neither flush nor close a file, and crashes at exit over what it kept.
 */
static ls_status create_header(ls_dataset_writer *writer)
{
    writer->header = memfd_create("lockstep", MFD_CLOEXEC);
    if (writer->header < 0) return fail_system(writer, "make the header in memory", errno);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", writer->header);
    const hid_t creation = H5Pcreate(H5P_FILE_CREATE), access_list = H5Pcreate(H5P_FILE_ACCESS);
    /* Not the default driver: it wants to know the real path of a link, and a file in memory has none. */
    if (H5Pset_obj_track_times(creation, false) >= 0 && H5Pset_fapl_stdio(access_list) >= 0 &&
        H5Pset_alignment(access_list, PAGE, PAGE) >= 0)
        writer->file = H5Fcreate(path, H5F_ACC_TRUNC, creation, access_list);
    const ls_status status = writer->file < 0 ? fail_hdf5(writer, "/", "make the header") : LS_OK;
    ls_hdf5_close_list(creation);
    ls_hdf5_close_list(access_list);
    return status;
}

/* Closes and removes what there is; keeps the message of the failure that led here. */
static void discard(ls_dataset_writer *writer)
{
    /* The file is rank 0's to remove. */
    if (ls_session_rank(writer->session) != 0) writer->output.temporary[0] = 0;
    ls_output_file_discard(&writer->output);
    ls_hdf5_close_file(writer->file);
    if (writer->header >= 0) close(writer->header);
    for (int i = 0; i < writer->n_arrays; i++) ls_free(writer->arrays[i].path);
    ls_free(writer);
}

ls_status ls_dataset_writer_create(ls_session *session, const char *path, ls_dataset_writer **result)
{
    ls_hdf5_begin();
    *result = NULL;
    ls_dataset_writer *writer;
    ls_status status = ls_alloc(&writer, 1, sizeof *writer, "dataset writer");
    if (status == LS_OK) {
        writer->session = session;
        writer->header = -1;
        writer->file = -1;
        writer->output.descriptor = -1;
        snprintf(writer->output.name, sizeof writer->output.name, "%s", path);
        if (ls_session_rank(session) == 0) {
            status = ls_output_file_create(&writer->output, path);
            if (status == LS_OK) status = create_header(writer);
        }
    }
    status = ls_session_agree(session, status);
    if (status == LS_OK)
        status = ls_session_agree(
            session, ls_broadcast(session, writer->output.temporary, sizeof writer->output.temporary));
    if (status != LS_OK) {
        if (writer) discard(writer);
        return status;
    }
    *result = writer;
    return LS_OK;
}

/* Property list for links that makes the groups on the way; below 0 on failure, which its use then reports.
 */
static hid_t links_with_groups(void)
{
    const hid_t links = H5Pcreate(H5P_LINK_CREATE);
    if (links < 0 || H5Pset_create_intermediate_group(links, 1) >= 0) return links;
    H5Pclose(links);
    return H5I_INVALID_HID;
}

static ls_status create_array(ls_dataset_writer *writer, written_array *array, int64_t n_columns)
{
    const hsize_t extent[2] = {(hsize_t)array->n_rows, (hsize_t)n_columns};
    const hid_t space = H5Screate_simple(n_columns > 0 ? 2 : 1, extent, NULL);
    const hid_t links = links_with_groups(), creation = H5Pcreate(H5P_DATASET_CREATE);
    hid_t dataset = H5I_INVALID_HID;
    if (H5Pset_obj_track_times(creation, false) >= 0 && H5Pset_layout(creation, H5D_CONTIGUOUS) >= 0 &&
        H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY) >= 0 &&
        H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER) >= 0)
        dataset = H5Dcreate2(writer->file, array->path, file_type(array->type), space, links, creation,
                             H5P_DEFAULT);
    ls_status status = LS_OK;
    if (dataset < 0) {
        status = fail_hdf5(writer, array->path, "create the array");
    } else if (array->n_rows > 0) {
        const haddr_t offset = H5Dget_offset(dataset);
        if (offset == HADDR_UNDEF)
            status = fail_hdf5(writer, array->path, "find the place of the array");
        else
            array->offset = (int64_t)offset;
    }
    ls_hdf5_close_dataset(dataset);
    ls_hdf5_close_space(space);
    ls_hdf5_close_list(links);
    ls_hdf5_close_list(creation);
    return status;
}

ls_status ls_dataset_writer_add_array(ls_dataset_writer *writer, const char *path, ls_file_type type,
                                      int64_t n_rows, int64_t n_columns, int *result)
{
    ls_hdf5_begin();
    if (writer->n_arrays == MAX_ARRAYS)
        return ls_fail(LS_E_INTERNAL, "%s: %s: more than %d arrays", writer->output.name, path, MAX_ARRAYS);
    int64_t row_bytes, bytes;
    if (n_rows < 0 || n_columns < 0 ||
        __builtin_mul_overflow(n_columns > 0 ? n_columns : 1, (int64_t)value_size(type), &row_bytes) ||
        __builtin_mul_overflow(n_rows, row_bytes, &bytes))
        return ls_fail(LS_E_OUTPUT, "%s: %s: %lld x %lld values do not fit into a file", writer->output.name,
                       path, (long long)n_rows, (long long)n_columns);

    written_array *array = &writer->arrays[writer->n_arrays];
    ls_status status = ls_alloc(&array->path, strlen(path) + 1, 1, "name of an array");
    if (status == LS_OK) {
        strcpy(array->path, path);
        array->type = type;
        array->n_rows = n_rows;
        array->row_bytes = (size_t)row_bytes;
        array->offset = -1;
        if (ls_session_rank(writer->session) == 0) status = create_array(writer, array, n_columns);
    }
    status = ls_session_agree(writer->session, status);
    if (status != LS_OK) {
        ls_free(array->path);
        return status;
    }
    *result = writer->n_arrays++;
    return LS_OK;
}

/* Rank 0's part of setting an attribute. */
static ls_status write_attribute(ls_dataset_writer *writer, const char *object, const char *name, hid_t type,
                                 hid_t space, hid_t memory_type, const void *value)
{
    hid_t target = H5Oopen(writer->file, object, H5P_DEFAULT);
    if (target < 0) {
        const hid_t links = links_with_groups();
        target = H5Gcreate2(writer->file, object, links, H5P_DEFAULT, H5P_DEFAULT);
        ls_hdf5_close_list(links);
    }
    const hid_t attribute = target < 0 ? -1 : H5Acreate2(target, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    ls_status status = LS_OK;
    if (attribute < 0 || H5Awrite(attribute, memory_type, value) < 0)
        status = ls_fail(LS_E_OUTPUT, "%s: %s: cannot write the attribute %s: %s", writer->output.name,
                         object, name, ls_hdf5_reason());
    if (attribute >= 0) H5Aclose(attribute);
    if (target >= 0) H5Oclose(target);
    return status;
}

static ls_status set_attribute(ls_dataset_writer *writer, const char *object, const char *name, hid_t type,
                               const hsize_t *n_values, hid_t memory_type, const void *value)
{
    ls_status status = LS_OK;
    if (ls_session_rank(writer->session) == 0) {
        const hid_t space = n_values ? H5Screate_simple(1, n_values, NULL) : H5Screate(H5S_SCALAR);
        status = write_attribute(writer, object, name, type, space, memory_type, value);
        ls_hdf5_close_space(space);
    }
    return ls_session_agree(writer->session, status);
}

ls_status ls_dataset_writer_set_text(ls_dataset_writer *writer, const char *object, const char *name,
                                     const char *value)
{
    ls_hdf5_begin();
    /* Variable length: h5py shows such a text as str, one of fixed length as bytes. */
    hid_t type = H5Tcopy(H5T_C_S1);
    if (H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0) {
        ls_hdf5_close_type(type);
        type = H5I_INVALID_HID;
    }
    const ls_status status = set_attribute(writer, object, name, type, NULL, type, &value);
    ls_hdf5_close_type(type);
    return status;
}

ls_status ls_dataset_writer_set_int(ls_dataset_writer *writer, const char *object, const char *name,
                                    int64_t value)
{
    ls_hdf5_begin();
    return set_attribute(writer, object, name, H5T_STD_I64LE, NULL, H5T_NATIVE_INT64, &value);
}

ls_status ls_dataset_writer_set_double(ls_dataset_writer *writer, const char *object, const char *name,
                                       double value)
{
    ls_hdf5_begin();
    return set_attribute(writer, object, name, H5T_IEEE_F64LE, NULL, H5T_NATIVE_DOUBLE, &value);
}

ls_status ls_dataset_writer_set_doubles(ls_dataset_writer *writer, const char *object, const char *name,
                                        const double *values, int64_t n_values)
{
    ls_hdf5_begin();
    const hsize_t extent = (hsize_t)n_values;
    return set_attribute(writer, object, name, H5T_IEEE_F64LE, &extent, H5T_NATIVE_DOUBLE, values);
}

/* Asks for the file's blocks now, so that a full disk is found before the work and not after it. */
static ls_status reserve_space(const ls_dataset_writer *writer, off_t size)
{
    int result = ftruncate(writer->output.descriptor, size);
    if (result == 0) {
        do result = fallocate(writer->output.descriptor, 0, 0, size);
        while (result != 0 && errno == EINTR);
        /* A file system without this operation (NFS 3, for one) reports a full disk at the write instead. */
        if (result == 0 || errno == EOPNOTSUPP || errno == ENOSYS) return LS_OK;
    }
    const int error = errno;
    return ls_fail(LS_E_OUTPUT, "%s: cannot reserve %.1f MB: %s", writer->output.name, (double)size / 1e6,
                   strerror(error));
}

static ls_status write_all(const ls_dataset_writer *writer, const char *what, const char *values, size_t n,
                           off_t offset)
{
    while (n > 0) {
        const ssize_t written = pwrite(writer->output.descriptor, values, n < PIECE ? n : PIECE, offset);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) {
            const int error = written < 0 ? errno : ENOSPC;
            return ls_fail(LS_E_OUTPUT, "%s: %s: cannot write: %s", writer->output.name, what,
                           strerror(error));
        }
        values += written;
        offset += written;
        n -= (size_t)written;
    }
    return LS_OK;
}

/* Copies the parts of the header file that were written; the arrays in it are holes. */
static ls_status copy_header(const ls_dataset_writer *writer, off_t size)
{
    char buffer[16 * PAGE];
    off_t at = 0;
    while (at < size && (at = lseek(writer->header, at, SEEK_DATA)) >= 0) {
        const off_t end = lseek(writer->header, at, SEEK_HOLE);
        if (end < 0) return fail_system(writer, "read the header in memory", errno);
        while (at < end) {
            const size_t wanted = end - at < (off_t)sizeof buffer ? (size_t)(end - at) : sizeof buffer;
            const ssize_t n = pread(writer->header, buffer, wanted, at);
            if (n <= 0) return fail_system(writer, "read the header in memory", n < 0 ? errno : EIO);
            LS_TRY(write_all(writer, "header", buffer, (size_t)n, at));
            at += n;
        }
    }
    /* No data after the last hole is the ordinary end. */
    return at < 0 && errno != ENXIO ? fail_system(writer, "read the header in memory", errno) : LS_OK;
}

static ls_status finish_header(ls_dataset_writer *writer)
{
    const hid_t file = writer->file;
    writer->file = -1;
    if (H5Fclose(file) < 0) return fail_hdf5(writer, "/", "finish the header");
    struct stat header;
    if (fstat(writer->header, &header) != 0) return fail_system(writer, "look at the header", errno);
    LS_TRY(reserve_space(writer, header.st_size));
    LS_TRY(copy_header(writer, header.st_size));
    close(writer->header);
    writer->header = -1;
    return LS_OK;
}

static ls_status open_descriptor(ls_dataset_writer *writer)
{
    writer->output.descriptor = open(writer->output.temporary, O_RDWR | O_CLOEXEC);
    if (writer->output.descriptor >= 0) return LS_OK;
    const int error = errno;
    return ls_fail(LS_E_OUTPUT,
                   "%s: rank %d cannot open the file that rank 0 made: %s: use a directory that all nodes "
                   "share",
                   writer->output.name, ls_session_rank(writer->session), strerror(error));
}

ls_status ls_dataset_writer_begin(ls_dataset_writer *writer)
{
    ls_hdf5_begin();
    int64_t offsets[MAX_ARRAYS] = {0};
    ls_status status = LS_OK;
    if (ls_session_rank(writer->session) == 0) status = finish_header(writer);
    for (int i = 0; i < writer->n_arrays; i++) offsets[i] = writer->arrays[i].offset;
    LS_TRY(ls_session_agree(writer->session, status));
    status = ls_broadcast(writer->session, offsets, sizeof offsets);
    for (int i = 0; i < writer->n_arrays; i++) writer->arrays[i].offset = offsets[i];
    if (status == LS_OK && writer->output.descriptor < 0) status = open_descriptor(writer);
    return ls_session_agree(writer->session, status);
}

static bool has_begun(const ls_dataset_writer *writer)
{
    return writer->header < 0 && writer->output.descriptor >= 0;
}

/* The disk begins beside the making of the next rows, and not at the sync, where failures show. */
static void start_disk(const ls_dataset_writer *writer, written_array *array, off_t offset, off_t n)
{
    if (offset != array->fresh_end) array->fresh_begin = offset;
    array->fresh_end = offset + n;
    const off_t n_fresh = array->fresh_end - array->fresh_begin;
    if (n_fresh < FLUSHED) return;
    (void)sync_file_range(writer->output.descriptor, array->fresh_begin, n_fresh, SYNC_FILE_RANGE_WRITE);
    array->fresh_begin = array->fresh_end;
}

ls_status ls_dataset_writer_write_rows(ls_dataset_writer *writer, int array_number, int64_t first_row,
                                       int64_t n_rows, const void *values)
{
    if (!has_begun(writer) || array_number < 0 || array_number >= writer->n_arrays)
        return ls_fail(LS_E_INTERNAL, "%s: array %d is not open for writing", writer->output.name,
                       array_number);
    written_array *array = &writer->arrays[array_number];
    if (first_row < 0 || n_rows < 0 || n_rows > array->n_rows - first_row)
        return ls_fail(LS_E_INTERNAL, "%s: %s: rows %lld + %lld of %lld", writer->output.name, array->path,
                       (long long)first_row, (long long)n_rows, (long long)array->n_rows);
    const size_t n = (size_t)n_rows * array->row_bytes;
    const off_t offset = array->offset + first_row * (int64_t)array->row_bytes;
    LS_TRY(write_all(writer, array->path, values, n, offset));
    start_disk(writer, array, offset, (off_t)n);
    return LS_OK;
}

ls_status ls_dataset_writer_commit(ls_dataset_writer *writer, ls_status status)
{
    ls_session *session = writer->session;
    if (status == LS_OK && !has_begun(writer))
        status = ls_fail(LS_E_INTERNAL, "%s: commit without begin", writer->output.name);
    /* Every rank syncs its own descriptor: network file systems keep written pages per node and report a full
     * disk only here. */
    if (status == LS_OK) status = ls_output_file_sync(&writer->output);
    status = ls_session_agree(session, status);
    if (status == LS_OK) {
        if (ls_session_rank(session) == 0) status = ls_output_file_commit(&writer->output);
        status = ls_session_agree(session, status);
    }
    discard(writer);
    return status;
}

void ls_dataset_writer_abandon(ls_dataset_writer *writer)
{
    if (writer) discard(writer);
}
