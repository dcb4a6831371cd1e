/* What the tests of datasets share: a session, and a directory that rank 0 makes and removes. */
#ifndef LS_TESTS_DATASET_UNIT_H
#define LS_TESTS_DATASET_UNIT_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "comm/comm.h"
#include "unit.h"

static ls_session *session;
static char directory[256];

static inline void barrier(void)
{
    MPI_Barrier(session->comm);
}

/* "DIRECTORY/name"; four such names can be in use at a time. */
static inline const char *path_of(const char *name)
{
    static char paths[4][512];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

/* All bytes of a file, for the caller to free; returns their number. */
static inline size_t read_whole_file(const char *path, char **bytes)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    const size_t size = (size_t)ftell(file);
    rewind(file);
    *bytes = malloc(size);
    assert_int_equal(fread(*bytes, 1, size, file), size);
    fclose(file);
    return size;
}

static inline void assert_same_files(const char *one, const char *other)
{
    char *bytes, *other_bytes;
    const size_t size = read_whole_file(one, &bytes);
    assert_int_equal(read_whole_file(other, &other_bytes), size);
    assert_memory_equal(bytes, other_bytes, size);
    free(bytes);
    free(other_bytes);
}

/* Number of files in the directory, hidden ones included. */
static inline int count_files(void)
{
    DIR *listing = opendir(directory);
    int n = 0;
    for (const struct dirent *entry; (entry = readdir(listing));)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(listing);
    return n;
}

static inline void remove_files(void)
{
    DIR *listing = opendir(directory);
    for (const struct dirent *entry; (entry = readdir(listing));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            const char *path = path_of(entry->d_name);
            if (unlink(path) != 0) rmdir(path);
        }
    closedir(listing);
}

/* Setup and teardown of each test: an empty directory, and no memory left. */
static inline int begin_test(void **state)
{
    (void)state;
    barrier();
    if (session->rank == 0) remove_files();
    barrier();
    return 0;
}

/* The whole of a test program's main. */
static inline int run_dataset_tests(const struct CMUnitTest *tests, size_t n_tests)
{
    if (ls_session_open(&session) != LS_OK) return 1;
    if (session->rank == 0) {
        const char *parent = getenv("TMPDIR");
        snprintf(directory, sizeof directory, "%s/lockstep-test-XXXXXX", parent ? parent : "/tmp");
        if (!mkdtemp(directory)) return 1;
    }
    MPI_Bcast(directory, sizeof directory, MPI_BYTE, 0, session->comm);
    int failures = _cmocka_run_group_tests("datasets", tests, n_tests, NULL, NULL);
    barrier();
    if (session->rank == 0) {
        remove_files();
        rmdir(directory);
    }
    ls_session_close(session);
    if (ls_alloc_live() != 0) {
        fprintf(stderr, "%lld blocks of memory are left\n", (long long)ls_alloc_live());
        failures++;
    }
    return failures;
}

#endif
