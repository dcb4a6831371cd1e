#include "model/file_digest.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

static const char magic[] = "lockstep model ";
static const char version[] = "1\n";
static const unsigned char hdf5_signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
enum { MAGIC_SIZE = sizeof magic - 1, VERSION_SIZE = sizeof version - 1 };

static void format_head(char head[LS_FILE_HEAD_SIZE], size_t size, XXH128_hash_t digest)
{
    char text[LS_FILE_HEAD_SIZE];
    const int length =
        snprintf(text, sizeof text,
                 "%s%sbytes %zu\nxxh3-128 %016llx%016llx\n"
                 "An HDF5 file that Keras opens, behind this user block of 512 bytes.\n"
                 "The digest is that of: tail -c +513 FILE | xxh128sum\n",
                 magic, version, size, (unsigned long long)digest.high64, (unsigned long long)digest.low64);
    memset(head, ' ', LS_FILE_HEAD_SIZE);
    memcpy(head, text, (size_t)length);
    head[LS_FILE_HEAD_SIZE - 1] = '\n';
}

static XXH128_hash_t digest_of(const void *file, size_t size)
{
    return XXH3_128bits((const char *)file + LS_FILE_HEAD_SIZE, size - LS_FILE_HEAD_SIZE);
}

void ls_file_digest_stamp(void *file, size_t size)
{
    format_head(file, size, digest_of(file, size));
}

static bool begins_with(const void *file, size_t size, const void *start, size_t n)
{
    return size >= n && memcmp(file, start, n) == 0;
}

/* The number after "bytes ", 0 if the head does not say one. */
static size_t stated_size(const char head[LS_FILE_HEAD_SIZE])
{
    char text[LS_FILE_HEAD_SIZE + 1];
    memcpy(text, head, LS_FILE_HEAD_SIZE);
    text[LS_FILE_HEAD_SIZE] = 0;
    size_t size = 0;
    return sscanf(text + MAGIC_SIZE + VERSION_SIZE, "bytes %19zu", &size) == 1 ? size : 0;
}

static ls_status check_head(const char *path, const char *file, size_t size)
{
    if (size <= LS_FILE_HEAD_SIZE)
        return ls_fail(LS_E_INPUT,
                       "%s: the file is cut: only %zu bytes of a lockstep file are left: use another copy",
                       path, size);
    if (memcmp(file + MAGIC_SIZE, version, VERSION_SIZE) != 0)
        return ls_fail(
            LS_E_INPUT,
            "%s: the head of the file is damaged, or a newer lockstep wrote it: its first line is not "
            "\"%s1\": use another copy or a newer lockstep",
            path, magic);
    char expected[LS_FILE_HEAD_SIZE];
    format_head(expected, size, digest_of(file, size));
    if (memcmp(file, expected, LS_FILE_HEAD_SIZE) == 0) return LS_OK;
    const size_t stated = stated_size(file);
    if (stated != 0 && stated != size)
        return ls_fail(LS_E_INPUT,
                       "%s: the file is damaged: its head says %zu bytes, it has %zu: use another copy", path,
                       stated, size);
    return ls_fail(LS_E_INPUT,
                   "%s: the file is damaged: its bytes do not have the digest that its head says (some byte "
                   "changed after lockstep wrote it): use another copy",
                   path);
}

ls_status ls_file_digest_check(const char *path, const void *file, size_t size, bool *ours)
{
    *ours = false;
    if (size == 0)
        return ls_fail(LS_E_INPUT, "%s: the file is empty: a Keras HDF5 model file is needed", path);
    if (begins_with(file, size, hdf5_signature, sizeof hdf5_signature)) return LS_OK;
    if (begins_with(file, size, magic, MAGIC_SIZE) || begins_with(magic, MAGIC_SIZE, file, size)) {
        LS_TRY(check_head(path, file, size));
        *ours = true;
        return LS_OK;
    }
    /* Keras writes no user block, so a signature behind one means a file of ours whose first line is damaged.
     */
    if (size >= LS_FILE_HEAD_SIZE + sizeof hdf5_signature &&
        memcmp((const char *)file + LS_FILE_HEAD_SIZE, hdf5_signature, sizeof hdf5_signature) == 0)
        return ls_fail(
            LS_E_INPUT,
            "%s: the file is damaged: HDF5 begins after 512 bytes that are no valid head of a lockstep file: "
            "use another copy",
            path);
    if (begins_with(file, size, "PK\003\004", 4))
        return ls_fail(LS_E_INPUT,
                       "%s: a zip archive, as Keras' .keras format is: save the model as HDF5, "
                       "model.save(\"NAME.h5\")",
                       path);
    return ls_fail(LS_E_INPUT, "%s: not an HDF5 file: a Keras HDF5 model file is needed", path);
}
