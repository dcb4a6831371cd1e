/* Loaded before the program's libraries (LD_PRELOAD): ranks of an MPICH on UCX that wait leave the core to
 * the others, which they would not of themselves. Four of them on two cores take a tenth of the time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <unistd.h>

enum { LOOKS = 100, MICROSECONDS = 20 };

unsigned ucp_worker_progress(void *worker)
{
    static unsigned (*real)(void *);
    static unsigned in_vain;
    if (!real) real = (unsigned (*)(void *))dlsym(RTLD_NEXT, "ucp_worker_progress");
    const unsigned progress = real(worker);
    in_vain = progress ? 0 : in_vain + 1;
    if (in_vain > LOOKS) usleep(MICROSECONDS);
    return progress;
}
