/* Loaded before the program's libraries (LD_PRELOAD): makes one call fail or hang on one rank, as the
 * environment says. LOCKSTEP_FAULT is CALL:NUMBER:RANK, for example MPI_Sendrecv:17:2 for the 17th such call
 * of rank 2. MPI calls return an error, fsync never returns. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int is_hit(const char *call)
{
    static int calls;
    const char *fault = getenv("LOCKSTEP_FAULT"), *rank = getenv("OMPI_COMM_WORLD_RANK");
    char wanted[64];
    int number, wanted_rank;
    if (!rank) rank = getenv("PMI_RANK");
    if (!fault || !rank || sscanf(fault, "%63[^:]:%d:%d", wanted, &number, &wanted_rank) != 3) return 0;
    return !strcmp(call, wanted) && atoi(rank) == wanted_rank && ++calls == number;
}

int fsync(int file)
{
    if (is_hit("fsync"))
        for (;;) pause();
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    return real(file);
}

int MPI_Sendrecv(const void *a, int b, MPI_Datatype c, int d, int e, void *f, int g, MPI_Datatype h, int i,
                 int j, MPI_Comm k, MPI_Status *l)
{
    return is_hit("MPI_Sendrecv") ? MPI_ERR_OTHER : PMPI_Sendrecv(a, b, c, d, e, f, g, h, i, j, k, l);
}

int MPI_Allreduce(const void *a, void *b, int c, MPI_Datatype d, MPI_Op e, MPI_Comm f)
{
    return is_hit("MPI_Allreduce") ? MPI_ERR_OTHER : PMPI_Allreduce(a, b, c, d, e, f);
}

int MPI_Bcast(void *a, int b, MPI_Datatype c, int d, MPI_Comm e)
{
    return is_hit("MPI_Bcast") ? MPI_ERR_OTHER : PMPI_Bcast(a, b, c, d, e);
}

int MPI_Recv(void *a, int b, MPI_Datatype c, int d, int e, MPI_Comm f, MPI_Status *g)
{
    return is_hit("MPI_Recv") ? MPI_ERR_OTHER : PMPI_Recv(a, b, c, d, e, f, g);
}
