/* The communicator that the library's collective functions share, and agreement over it. */
#ifndef LS_COMM_COMM_H
#define LS_COMM_COMM_H

#include <mpi.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fail.h"
#include "base/place.h"
#include "lockstep/session.h"

/* Memory that the ranks of one node share: where each of them is. */
typedef struct ls_board {
    _Alignas(64) _Atomic int reported; /* a watchdog of this node has spoken */
    ls_place places[];                 /* one per rank of the node */
} ls_board;

struct ls_watchdog;

struct ls_session {
    MPI_Comm comm; /* our own duplicate, errors returned, ranks ordered by (node, place on the node) */
    int rank;
    int size;
    bool messages_only; /* LOCKSTEP_TRANSPORT=messages: every rank counts as a node of its own */
    MPI_Comm node;      /* the ranks of this node, in the order of comm */
    int node_size;
    int first_on_node; /* rank in comm of the node's first */
    int first_rank;    /* of a group: number of its first rank in the whole session, otherwise 0 */
    int ranks_of_node; /* ranks on this node, those of other groups too */
    MPI_Win window;    /* holds the board */
    ls_board *board;
    struct ls_watchdog *watchdog; /* or NULL */
    int initialized_mpi;          /* we called MPI_Init and must call MPI_Finalize */
};

/* Turns an MPI return code into a status; call names the operation. If there are other ranks a failure ends
 * the job: they may wait for this one for ever, and without MPI nothing can be agreed on. One message to
 * stderr, MPI_Abort with LS_E_MPI. A lone rank, or one whose MPI_Init failed, gets LS_E_MPI back. Local. */
ls_status ls_mpi_check(int code, const char *call);

/* Cuts the session into n_groups, 1 .. size, of neighbouring ranks, and gives this rank a session of its
 * group alone, for any collective function of the library while the groups work each by itself. The watch
 * over the session goes on. Collective; n_groups must agree. The caller ends *group by ls_group_close before
 * the session. */
ls_status ls_group_open(ls_session *session, int n_groups, ls_session **group);

/* Collective over the group; NULL is allowed. */
void ls_group_close(ls_session *group);

/* Broadcasts n bytes from rank 0, in pieces below 2^31. Collective; n must agree on all ranks. */
ls_status ls_broadcast(ls_session *session, void *data, size_t n);

/* Replaces each of n values by the greatest of all ranks. Collective; n must agree. LS_E_MPI. */
ls_status ls_session_greatest(ls_session *session, double *values, int n);

/* First item of part p when n items are split over parts: floor(p * n / parts), exact for all int64 n >= 0
 * and 0 <= p <= parts. Part p holds [ls_split(n, parts, p), ls_split(n, parts, p + 1)). Local. */
int64_t ls_split(int64_t n, int64_t parts, int64_t p);

#endif
