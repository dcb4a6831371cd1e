/* Short messages between any two ranks of a session, for work that is handed out. Nobody spins: who waits
 * gives the core away, and sleeps when it takes longer. */
#ifndef LS_COMM_MAIL_H
#define LS_COMM_MAIL_H

#include <mpi.h>
#include <stdbool.h>
#include <stddef.h>

#include "comm/comm.h"

enum { LS_MAIL_ANY = MPI_ANY_SOURCE };

/* Sends size bytes to a rank. LS_E_MPI. Local. */
ls_status ls_mail_send(ls_session *session, int to, const void *data, size_t size);

/* Takes a message of size bytes from `from` (or LS_MAIL_ANY), if one has come: *came, and *source, its
 * sender. LS_E_MPI. Local. */
ls_status ls_mail_take(ls_session *session, int from, void *data, size_t size, bool *came, int *source);

/* A moment's pause in a loop that takes; round counts the rounds without a message. Local. */
void ls_mail_pause(const ls_session *session, int64_t round);

/* Rank 0's bytes on all ranks, and a meeting of all ranks, however long some of them take to come.
 * Collective. LS_E_MPI. */
ls_status ls_mail_broadcast(ls_session *session, void *data, size_t size);
ls_status ls_mail_meet(ls_session *session);

#endif
