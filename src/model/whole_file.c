#include "model/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault_system.h"
#include "base/memory.h"

enum { PIECE = 1 << 30 }; /* Linux moves at most 2^31 - 4096 bytes at a time */

/* 0, or the system's reason; *done tells how far it came (less than size only at the end of the file). */
static int read_all(int file, char *bytes, size_t size, size_t *done)
{
    *done = 0;
    while (*done < size) {
        const size_t rest = size - *done;
        const ssize_t n = read(file, bytes + *done, rest < PIECE ? rest : PIECE);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno;
        if (n == 0) return 0;
        *done += (size_t)n;
    }
    return 0;
}

static ls_status read_open(const char *path, int file, void **bytes, size_t *size)
{
    struct stat status;
    if (fstat(file, &status) != 0) return ls_fail(LS_E_INPUT, "%s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode)) return ls_fail(LS_E_INPUT, "%s: not a regular file", path);
    const __int128 memory = (__int128)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    if (status.st_size > memory)
        return ls_fail(LS_E_MEMORY, "%s: %lld bytes are more than this machine's memory", path,
                       (long long)status.st_size);
    LS_TRY(ls_alloc(bytes, (size_t)status.st_size, 1, path));
    const int reason = read_all(file, *bytes, (size_t)status.st_size, size);
    if (reason == 0 && *size == (size_t)status.st_size) return LS_OK;
    ls_free(*bytes);
    *bytes = NULL;
    if (reason != 0) return ls_fail(LS_E_INPUT, "%s: reading failed: %s", path, strerror(reason));
    return ls_fail(LS_E_INPUT, "%s: the file became shorter while it was read", path);
}

ls_status ls_whole_file_read(const char *path, void **bytes, size_t *size)
{
    *bytes = NULL;
    *size = 0;
    /* Opening a pipe would wait for its writer. */
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return ls_fail(LS_E_INPUT, "%s: %s", path, strerror(errno));
    const ls_status status = read_open(path, file, bytes, size);
    close(file);
    return status;
}
