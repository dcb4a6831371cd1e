/* How fast the ranks write one file: each its part, from memory that the cache holds, then fsync.
 *   limit_write FILE MEGABYTES
 * Prints the seconds of the slowest rank. Removes the file. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mpi.h>

enum { PIECE = 1 << 20 };

static void check(int good, const char *what)
{
    if (good) return;
    perror(what);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

int main(int argc, char **argv)
{
    static char piece[PIECE];
    int rank, ranks;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    check(argc == 3, "usage: limit_write FILE MEGABYTES");
    memset(piece, rank + 1, PIECE);
    const off_t n_pieces = atoll(argv[2]), begin = n_pieces * rank / ranks,
                end = n_pieces * (rank + 1) / ranks;
    MPI_Barrier(MPI_COMM_WORLD);
    double seconds = MPI_Wtime(), slowest;
    const int file = open(argv[1], O_CREAT | O_WRONLY, 0666);
    check(file >= 0, argv[1]);
    for (off_t i = begin; i < end; i++) check(pwrite(file, piece, PIECE, i * PIECE) == PIECE, "pwrite");
    check(fsync(file) == 0, "fsync");
    seconds = MPI_Wtime() - seconds;
    MPI_Reduce(&seconds, &slowest, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    close(file);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) {
        unlink(argv[1]);
        printf("%.6f\n", slowest);
    }
    MPI_Finalize();
    return 0;
}
