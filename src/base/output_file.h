/* A file that appears whole or not at all: written under a temporary name beside the target, synced, renamed.
 */
#ifndef LS_BASE_OUTPUT_FILE_H
#define LS_BASE_OUTPUT_FILE_H

#include <limits.h>
#include <stddef.h>

#include "base/fail.h"

typedef struct ls_output_file {
    char name[PATH_MAX];      /* as the user wrote it, for messages */
    char target[PATH_MAX];    /* links resolved */
    char temporary[PATH_MAX]; /* "" while there is no such file */
    int descriptor;           /* of the temporary file, -1 when closed */
} ls_output_file;

/* Checks that path can be replaced and opens a new temporary file (mode 0666 less the umask) in its
 * directory. LS_E_OUTPUT names the path and the system's reason. End with commit or discard. Local: one rank
 * only. */
ls_status ls_output_file_create(ls_output_file *file, const char *path);

/* Appends size bytes. LS_E_OUTPUT, for example when the disk is full. Local. */
ls_status ls_output_file_write(ls_output_file *file, const void *data, size_t size);

/* Syncs and closes the descriptor, if it is open. Local. */
ls_status ls_output_file_sync(ls_output_file *file);

/* Syncs, renames to the target (an older file there is replaced in one step; a link stays a link) and syncs
 * the directory. On failure the temporary file is removed and the target is as before. Local. */
ls_status ls_output_file_commit(ls_output_file *file);

/* Closes and removes the temporary file, if there is one. Local. */
void ls_output_file_discard(ls_output_file *file);

/* All of that for a file whose bytes are at hand. Local: one rank only. */
ls_status ls_output_file_put(const char *path, const void *data, size_t size);

/* The message of a failed system call: "NAME: cannot ACTION: reason of error". Returns LS_E_OUTPUT. Local. */
ls_status ls_output_file_fail(const ls_output_file *file, const char *action, int error);

/* Finds out now, before hours of work, whether path could be written. Local. */
ls_status ls_output_file_probe(const char *path);

#endif
