#include "data/dataset_direct.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fault_system.h"

enum { MAX_READ = 1 << 30 }; /* systems cut reads of 2 GiB and more */

void ls_dataset_direct_open(const char *file, int64_t offset, int64_t row_bytes, ls_dataset_direct *direct)
{
    *direct = (ls_dataset_direct){open(file, O_RDONLY | O_CLOEXEC), offset, row_bytes};
}

void ls_dataset_direct_close(ls_dataset_direct *direct)
{
    if (direct->descriptor >= 0) close(direct->descriptor); /* nothing was written that could be lost */
    direct->descriptor = -1;
}

int ls_dataset_direct_read(const ls_dataset_direct *direct, int64_t first_row, int64_t n_rows, void *values,
                           char *reason, size_t reason_size)
{
    char *to = values;
    int64_t at = direct->offset + first_row * direct->row_bytes, left = n_rows * direct->row_bytes;
    while (left > 0) {
        const ssize_t n = pread(direct->descriptor, to, (size_t)(left < MAX_READ ? left : MAX_READ), at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            snprintf(reason, reason_size, "%s",
                     n < 0 ? strerror(errno) : "the file ends there: it has become shorter");
            return -1;
        }
        to += n;
        at += n;
        left -= n;
    }
    return 0;
}

void ls_dataset_direct_expect(const ls_dataset_direct *direct, int64_t first_row, int64_t n_rows)
{
    if (direct->descriptor >= 0) /* advice that is not taken is no loss */
        posix_fadvise(direct->descriptor, direct->offset + first_row * direct->row_bytes,
                      n_rows * direct->row_bytes, POSIX_FADV_WILLNEED);
}
