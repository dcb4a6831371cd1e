/* The communicator that the library's collective functions share, and agreement over it. */
#ifndef LS_COMM_COMM_H
#define LS_COMM_COMM_H

#include <mpi.h>
#include <stdint.h>

#include "base/fail.h"
#include "lockstep/session.h"

struct ls_session {
    MPI_Comm comm; /* our own duplicate, errors returned, ranks ordered by (node, place on the node) */
    int rank;
    int size;
    int initialized_mpi; /* we called MPI_Init and must call MPI_Finalize */
};

/* Turns an MPI return code into a status; call names the operation. Local. */
ls_status ls_mpi_check(int code, const char *call);

/* Broadcasts n bytes from rank 0, in pieces below 2^31. Collective; n must agree on all ranks. */
ls_status ls_broadcast(ls_session *session, void *data, size_t n);

/* First item of part p when n items are split over parts: floor(p * n / parts), exact for all int64 n >= 0 and
 * 0 <= p <= parts. Part p holds [ls_split(n, parts, p), ls_split(n, parts, p + 1)). Local. */
int64_t ls_split(int64_t n, int64_t parts, int64_t p);

#endif
