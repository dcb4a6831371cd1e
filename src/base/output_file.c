#include "base/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault_system.h"
#include "base/place.h"

enum {
    PIECE = 1 << 26,      /* bytes of one write, between two signs of life */
    NAME_PART = 200,      /* of the target's name in the temporary one, so that NAME_MAX holds */
    NAME_ATTEMPTS = 1000, /* temporary names that dead runs with the same process number left */
};

ls_status ls_output_file_fail(const ls_output_file *file, const char *action, int error)
{
    return ls_fail(LS_E_OUTPUT, "%s: cannot %s: %s", file->name, action, strerror(error));
}

static ls_status check_target(ls_output_file *file)
{
    struct stat target;
    if (file->name[0] == 0) return ls_fail(LS_E_OUTPUT, "the name of the output file is empty");
    if (file->name[strlen(file->name) - 1] == '/')
        return ls_fail(LS_E_OUTPUT, "%s: is the name of a directory: give the name of a file", file->name);
    snprintf(file->target, sizeof file->target, "%s", file->name);
    if (stat(file->name, &target) != 0) {
        /* What is missing, making the temporary file will tell. */
        if (errno == ENOENT || errno == ENOTDIR || errno == EACCES) return LS_OK;
        return ls_output_file_fail(file, "create the file", errno);
    }
    if (S_ISDIR(target.st_mode))
        return ls_fail(LS_E_OUTPUT, "%s: is a directory: give the name of a file", file->name);
    if (!S_ISREG(target.st_mode))
        return ls_fail(LS_E_OUTPUT, "%s: exists and is not a regular file: give another name", file->name);
    if (access(file->name, W_OK) != 0) return ls_output_file_fail(file, "replace the file", errno);
    if (!realpath(file->name, file->target)) return ls_output_file_fail(file, "resolve the path", errno);
    return LS_OK;
}

/* Made with O_EXCL: the process number may repeat on another node or in another container. */
static ls_status make_temporary(ls_output_file *file)
{
    char directory_buffer[PATH_MAX], base_buffer[PATH_MAX];
    strcpy(directory_buffer, file->target);
    strcpy(base_buffer, file->target);
    const char *directory = dirname(directory_buffer), *base = basename(base_buffer);
    for (int attempt = 0; file->descriptor < 0; attempt++) {
        char suffix[32] = "";
        if (attempt > 0) snprintf(suffix, sizeof suffix, "-%d", attempt);
        const int length = snprintf(file->temporary, sizeof file->temporary, "%s/.%.*s.tmp-%ld%s", directory,
                                    NAME_PART, base, (long)getpid(), suffix);
        if (length >= (int)sizeof file->temporary) {
            file->temporary[0] = 0;
            return ls_output_file_fail(file, "create the file", ENAMETOOLONG);
        }
        file->descriptor = open(file->temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
        if (file->descriptor < 0 && (errno != EEXIST || attempt == NAME_ATTEMPTS)) {
            const int error = errno;
            file->temporary[0] = 0;
            if (access(directory, F_OK) != 0)
                return ls_fail(LS_E_OUTPUT, "%s: the directory %s does not exist: make it first", file->name,
                               directory);
            return ls_fail(LS_E_OUTPUT, "%s: cannot write in the directory %s: %s", file->name, directory,
                           strerror(error));
        }
    }
    return LS_OK;
}

ls_status ls_output_file_create(ls_output_file *file, const char *path)
{
    file->temporary[0] = 0;
    file->descriptor = -1;
    if (strlen(path) >= sizeof file->name) {
        snprintf(file->name, sizeof file->name, "%.64s...", path);
        return ls_output_file_fail(file, "create the file", ENAMETOOLONG);
    }
    strcpy(file->name, path);
    LS_TRY(check_target(file));
    return make_temporary(file);
}

ls_status ls_output_file_write(ls_output_file *file, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ls_place_pulse();
        const ssize_t written = write(file->descriptor, at, size < PIECE ? size : PIECE);
        if (written < 0) {
            if (errno == EINTR) continue;
            return ls_output_file_fail(file, "write", errno);
        }
        at += written;
        size -= (size_t)written;
    }
    return LS_OK;
}

ls_status ls_output_file_sync(ls_output_file *file)
{
    if (file->descriptor < 0) return LS_OK;
    const int descriptor = file->descriptor;
    file->descriptor = -1;
    int error = fsync(descriptor) == 0 ? 0 : errno;
    if (close(descriptor) != 0 && error == 0) error = errno;
    return error == 0 ? LS_OK : ls_output_file_fail(file, "write the file to disk", error);
}

ls_status ls_output_file_commit(ls_output_file *file)
{
    ls_status status = ls_output_file_sync(file);
    if (status == LS_OK && rename(file->temporary, file->target) != 0)
        status = ls_output_file_fail(file, "put the file in place", errno);
    if (status != LS_OK) {
        ls_output_file_discard(file);
        return status;
    }
    file->temporary[0] = 0;
    char directory_buffer[PATH_MAX];
    strcpy(directory_buffer, file->target);
    const int directory = open(dirname(directory_buffer), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* Directories that cannot be opened or synced (some network file systems) order the rename themselves. */
    const int error = directory < 0 || fsync(directory) == 0 || errno == EINVAL ? 0 : errno;
    if (directory >= 0) close(directory);
    return error == 0 ? LS_OK : ls_output_file_fail(file, "write the directory to disk", error);
}

void ls_output_file_discard(ls_output_file *file)
{
    if (file->descriptor >= 0) close(file->descriptor);
    file->descriptor = -1;
    if (file->temporary[0]) unlink(file->temporary);
    file->temporary[0] = 0;
}

ls_status ls_output_file_probe(const char *path)
{
    ls_output_file file;
    const ls_status status = ls_output_file_create(&file, path);
    ls_output_file_discard(&file);
    return status;
}

ls_status ls_output_file_put(const char *path, const void *data, size_t size)
{
    ls_output_file file;
    LS_TRY(ls_output_file_create(&file, path));
    const ls_status status = ls_output_file_write(&file, data, size);
    if (status == LS_OK) return ls_output_file_commit(&file);
    ls_output_file_discard(&file);
    return status;
}
