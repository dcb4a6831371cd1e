/* Loaded before the program's libraries (LD_PRELOAD): on rank 0 the fsync whose number is in HANG_FSYNC never
 * returns, as on a file system that has died. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fsync(int file)
{
    static int calls;
    const char *number = getenv("HANG_FSYNC"), *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (!rank) rank = getenv("PMI_RANK");
    if (number && rank && !strcmp(rank, "0") && ++calls == atoi(number))
        for (;;) pause();
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return real(file);
}
