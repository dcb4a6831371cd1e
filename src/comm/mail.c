#include "comm/mail.h"

#include <time.h>

#include "comm/wait.h"

enum { TAG = 7001, YIELDS = 2000 };

/* Whether all ranks of this node wait, as far as they say so. */
static bool is_node_idle(const ls_session *session)
{
    for (int i = 0; session->board && i < session->ranks_of_node; i++)
        if (!ls_operation_waits((ls_operation)atomic_load(&session->board->places[i].operation)))
            return false;
    return session->board != NULL;
}

void ls_mail_pause(const ls_session *session, int64_t round)
{
    const int64_t looks = ls_wait_looks(session);
    if (round < looks + YIELDS) {
        ls_wait_pause(round, looks);
    } else {
        /* Where nobody is at work nobody is stuck: those who are waited for are on another node. */
        if (is_node_idle(session)) ls_place_pulse();
        /* The longer the wait, the longer the naps: a few hundredths of it, at most a millisecond. */
        const int64_t n_naps = round - looks - YIELDS;
        const struct timespec nap = {.tv_nsec = n_naps < 19 * 16 ? (1 + n_naps / 16) * 50000 : 1000000};
        nanosleep(&nap, NULL);
    }
}

static ls_status wait_for(const ls_session *session, MPI_Request *request)
{
    int done = 0;
    for (int64_t round = 0;; round++) {
        LS_TRY(ls_mpi_check(MPI_Test(request, &done, MPI_STATUS_IGNORE), "MPI_Test"));
        if (done) return LS_OK;
        ls_mail_pause(session, round);
    }
}

ls_status ls_mail_send(ls_session *session, int to, const void *data, size_t size)
{
    MPI_Request request;
    LS_TRY(ls_mpi_check(MPI_Isend(data, (int)size, MPI_BYTE, to, TAG, session->comm, &request), "MPI_Isend"));
    return wait_for(session, &request);
}

ls_status ls_mail_take(ls_session *session, int from, void *data, size_t size, bool *came, int *source)
{
    MPI_Status envelope;
    int there = 0;
    *came = false;
    LS_TRY(ls_mpi_check(MPI_Iprobe(from, TAG, session->comm, &there, &envelope), "MPI_Iprobe"));
    if (!there) return LS_OK;
    *source = envelope.MPI_SOURCE;
    *came = true;
    return ls_mpi_check(MPI_Recv(data, (int)size, MPI_BYTE, *source, TAG, session->comm, MPI_STATUS_IGNORE),
                        "MPI_Recv");
}

ls_status ls_mail_broadcast(ls_session *session, void *data, size_t size)
{
    MPI_Request request;
    if (session->size == 1) return LS_OK;
    LS_TRY(ls_mpi_check(MPI_Ibcast(data, (int)size, MPI_BYTE, 0, session->comm, &request), "MPI_Ibcast"));
    ls_place_at(LS_AT_AGREE, -1);
    return wait_for(session, &request);
}

ls_status ls_mail_meet(ls_session *session)
{
    MPI_Request request;
    if (session->size == 1) return LS_OK;
    LS_TRY(ls_mpi_check(MPI_Ibarrier(session->comm, &request), "MPI_Ibarrier"));
    ls_place_at(LS_AT_AGREE, -1);
    return wait_for(session, &request);
}
