#include "comm/comm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/blas.h"
#include "base/fault.h"
#include "base/memory.h"
#include "base/output_file.h"
#include "comm/rollcall.h"
#include "comm/watchdog.h"

enum { PIECE = 1 << 30 }; /* MPI counts are int */

/* The board of the open session, for the last words of end_job. */
static ls_board *board;

/* The others wait for this rank in a call that it will not make, and nothing can be told them any more. The
 * first rank of a node that gets here says why; the launcher ends them all. */
static void end_job(void)
{
    int rank = 0, unreported = 0;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (!board || atomic_compare_exchange_strong(&board->reported, &unreported, 1)) {
        char text[LS_MESSAGE_SIZE + 64];
        const int length = snprintf(text, sizeof text, "lockstep: rank %d: %s\n", rank, ls_error_message());
        if (write(STDERR_FILENO, text, (size_t)length) < 0) _exit(LS_E_MPI);
    } else {
        sleep(1); /* so that the job lives until it is said */
    }
    MPI_Abort(MPI_COMM_WORLD, LS_E_MPI);
    _exit(LS_E_MPI);
}

ls_status ls_mpi_check(int code, const char *call)
{
    if (ls_fault(LS_FAULT_MPI)) code = MPI_ERR_OTHER;
    if (code == MPI_SUCCESS) return LS_OK;
    char text[MPI_MAX_ERROR_STRING] = "";
    int length = 0, initialized = 0, size = 1;
    MPI_Error_string(code, text, &length);
    ls_fail(LS_E_MPI, "%s: %s", call, text);
    MPI_Initialized(&initialized);
    if (initialized) MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (size > 1) end_job();
    return LS_E_MPI;
}

/* Ranks ordered by (lowest world rank of the node, world rank): one node's ranks become neighbours. */
static ls_status order_by_node(MPI_Comm *comm)
{
    MPI_Comm node;
    int first;
    LS_TRY(ls_mpi_check(MPI_Comm_rank(MPI_COMM_WORLD, &first), "MPI_Comm_rank"));
    LS_TRY(ls_mpi_check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node),
                        "MPI_Comm_split_type"));
    ls_status status = ls_mpi_check(MPI_Bcast(&first, 1, MPI_INT, 0, node), "MPI_Bcast");
    MPI_Comm_free(&node);
    LS_TRY(status);
    /* MPI_Comm_split sorts by the key and breaks ties by the rank in the old communicator. */
    return ls_mpi_check(MPI_Comm_split(MPI_COMM_WORLD, 0, first, comm), "MPI_Comm_split");
}

static ls_status read_transport(bool *messages_only)
{
    const char *wanted = getenv("LOCKSTEP_TRANSPORT");
    *messages_only = wanted && !strcmp(wanted, "messages");
    if (!wanted || *messages_only || !strcmp(wanted, "shared")) return LS_OK;
    return ls_fail(LS_E_USAGE, "LOCKSTEP_TRANSPORT is '%.100s': it must be shared or messages", wanted);
}

static ls_status split_node(ls_session *session)
{
    if (session->messages_only)
        return ls_mpi_check(MPI_Comm_dup(MPI_COMM_SELF, &session->node), "MPI_Comm_dup");
    return ls_mpi_check(
        MPI_Comm_split_type(session->comm, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &session->node),
        "MPI_Comm_split_type");
}

static ls_status find_node(ls_session *session)
{
    int local;
    LS_TRY(split_node(session));
    LS_TRY(ls_mpi_check(MPI_Comm_rank(session->node, &local), "MPI_Comm_rank"));
    LS_TRY(ls_mpi_check(MPI_Comm_size(session->node, &session->node_size), "MPI_Comm_size"));
    session->first_on_node = session->rank - local;
    return LS_OK;
}

static ls_status use_comm(ls_session *session)
{
    LS_TRY(
        ls_mpi_check(MPI_Comm_set_errhandler(session->comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler"));
    LS_TRY(ls_mpi_check(MPI_Comm_rank(session->comm, &session->rank), "MPI_Comm_rank"));
    return ls_mpi_check(MPI_Comm_size(session->comm, &session->size), "MPI_Comm_size");
}

/* Moves this process' place into memory that the other ranks of the node can read even when it is stopped. */
static ls_status share_board(ls_session *session)
{
    LS_TRY(find_node(session));
    session->ranks_of_node = session->node_size;
    const int local = session->rank - session->first_on_node;
    const size_t size = sizeof(ls_board) + (size_t)session->node_size * sizeof(ls_place);
    void *base;
    MPI_Aint shared_size;
    int unit;
    LS_TRY(ls_mpi_check(MPI_Win_allocate_shared(local == 0 ? (MPI_Aint)(size + sizeof(ls_place)) : 0, 1,
                                                MPI_INFO_NULL, session->node, &base, &session->window),
                        "MPI_Win_allocate_shared"));
    LS_TRY(ls_mpi_check(MPI_Win_shared_query(session->window, 0, &shared_size, &unit, &base),
                        "MPI_Win_shared_query"));
    const uintptr_t aligned = ((uintptr_t)base + sizeof(ls_place) - 1) / sizeof(ls_place) * sizeof(ls_place);
    session->board = (ls_board *)aligned;
    if (local == 0) memset(session->board, 0, size);
    LS_TRY(ls_mpi_check(MPI_Barrier(session->node), "MPI_Barrier"));
    board = session->board;
    ls_place_here = &session->board->places[local];
    ls_place_at(LS_AT_START, -1);
    return LS_OK;
}

/* A process that no launcher started needs neither Open MPI's daemon nor a look at every network: this takes
 * its start from 0.46 s to 0.04 s. The user's own settings stay, and other MPI libraries do not read these.
 */
static void start_alone_quickly(void)
{
    static const char *const launched[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "SLURM_STEP_ID"};
    for (size_t i = 0; i < sizeof launched / sizeof launched[0]; i++)
        if (getenv(launched[i])) return;
    setenv("OMPI_MCA_ess_singleton_isolated", "1", 0);
    /* All such processes would take the same directory, and remove it from under each other. */
    setenv("OMPI_MCA_orte_create_session_dirs", "0", 0);
    setenv("OMPI_MCA_pml", "ob1", 0);
    setenv("OMPI_MCA_btl", "self", 0);
}

static ls_status begin(ls_session *session)
{
    int initialized = 0;
    MPI_Initialized(&initialized);
    if (!initialized) {
        start_alone_quickly();
        LS_TRY(ls_mpi_check(MPI_Init(NULL, NULL), "MPI_Init"));
        session->initialized_mpi = 1;
    }
    LS_TRY(
        ls_mpi_check(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler"));
    LS_TRY(order_by_node(&session->comm));
    LS_TRY(use_comm(session));
    ls_blas_one_thread();
    LS_TRY(ls_session_agree(session, read_transport(&session->messages_only)));
    LS_TRY(ls_roll_call_launcher(session->size));
    LS_TRY(ls_roll_call_programs(session)); /* before anything whose layout depends on the build */
    return share_board(session);
}

/* Takes back what begin did, also the part of it that a failure left. */
static void end(ls_session *session)
{
    ls_place_leave();
    board = NULL;
    if (session->window != MPI_WIN_NULL) MPI_Win_free(&session->window);
    if (session->node != MPI_COMM_NULL) MPI_Comm_free(&session->node);
    if (session->comm != MPI_COMM_NULL) MPI_Comm_free(&session->comm);
    if (session->initialized_mpi) MPI_Finalize();
}

ls_status ls_session_open(ls_session **result)
{
    *result = NULL;
    ls_session *session = NULL;
    ls_session begun = {.comm = MPI_COMM_NULL, .node = MPI_COMM_NULL, .window = MPI_WIN_NULL};
    ls_status status = begin(&begun);
    /* Allocated when it can be told to the others that there is no memory. */
    if (status == LS_OK) status = ls_session_agree(&begun, ls_alloc(&session, 1, sizeof *session, "session"));
    if (status != LS_OK) {
        ls_free(session);
        end(&begun);
        return status;
    }
    *session = begun;
    *result = session;
    return LS_OK;
}

void ls_session_close(ls_session *session)
{
    if (!session) return;
    ls_watchdog_stop(session);
    end(session);
    ls_free(session);
}

static ls_status begin_group(const ls_session *session, int n_groups, ls_session *group)
{
    int number = 0;
    while (ls_split(session->size, n_groups, number + 1) <= session->rank) number++;
    *group = (ls_session){.messages_only = session->messages_only,
                          .comm = MPI_COMM_NULL,
                          .node = MPI_COMM_NULL,
                          .window = MPI_WIN_NULL,
                          .board = session->board,
                          .first_rank = (int)ls_split(session->size, n_groups, number),
                          .ranks_of_node = session->ranks_of_node};
    LS_TRY(
        ls_mpi_check(MPI_Comm_split(session->comm, number, session->rank, &group->comm), "MPI_Comm_split"));
    LS_TRY(use_comm(group));
    return find_node(group);
}

ls_status ls_group_open(ls_session *session, int n_groups, ls_session **group)
{
    *group = NULL;
    ls_status status = ls_session_agree(session, ls_alloc(group, 1, sizeof **group, "group of ranks"));
    if (status != LS_OK) {
        ls_free(*group);
        *group = NULL;
        return status;
    }
    status = ls_session_agree(session, begin_group(session, n_groups, *group));
    if (status == LS_OK) return LS_OK;
    ls_group_close(*group);
    *group = NULL;
    return status;
}

void ls_group_close(ls_session *group)
{
    if (!group) return;
    if (group->node != MPI_COMM_NULL) MPI_Comm_free(&group->node);
    if (group->comm != MPI_COMM_NULL) MPI_Comm_free(&group->comm);
    ls_free(group);
}

int ls_session_rank(const ls_session *session)
{
    return session->rank;
}

int ls_session_size(const ls_session *session)
{
    return session->size;
}

ls_status ls_broadcast(ls_session *session, void *data, size_t n)
{
    if (session->size == 1) return LS_OK;
    for (char *at = data; n > 0;) {
        const size_t piece = n < PIECE ? n : PIECE;
        LS_TRY(ls_mpi_check(MPI_Bcast(at, (int)piece, MPI_BYTE, 0, session->comm), "MPI_Bcast"));
        at += piece;
        n -= piece;
    }
    return LS_OK;
}

ls_status ls_session_agree(ls_session *session, ls_status status)
{
    if (session->size == 1) return status;
    ls_place_at(LS_AT_AGREE, -1);
    const int none = session->size;
    const int mine = status == LS_OK ? none : session->rank;
    int lowest = none;
    LS_TRY(ls_mpi_check(MPI_Allreduce(&mine, &lowest, 1, MPI_INT, MPI_MIN, session->comm), "MPI_Allreduce"));
    ls_place_at(LS_AT_COMPUTE, -1);
    if (lowest == none) return LS_OK;

    struct {
        int status;
        char text[LS_MESSAGE_SIZE];
    } verdict;
    memset(&verdict, 0, sizeof verdict);
    verdict.status = status;
    strncpy(verdict.text, ls_error_message(), sizeof verdict.text - 1);
    LS_TRY(
        ls_mpi_check(MPI_Bcast(&verdict, (int)sizeof verdict, MPI_BYTE, lowest, session->comm), "MPI_Bcast"));
    return ls_fail((ls_status)verdict.status, "%s", verdict.text);
}

ls_status ls_session_check_output(ls_session *session, const char *path)
{
    return ls_session_agree(session, session->rank == 0 ? ls_output_file_probe(path) : LS_OK);
}

ls_status ls_session_greatest(ls_session *session, double *values, int n)
{
    double greatest[16];
    if (n > (int)(sizeof greatest / sizeof greatest[0]))
        return ls_fail(LS_E_INTERNAL, "the greatest of %d values at a time", n);
    LS_TRY(ls_mpi_check(MPI_Allreduce(values, greatest, n, MPI_DOUBLE, MPI_MAX, session->comm),
                        "MPI_Allreduce"));
    memcpy(values, greatest, (size_t)n * sizeof *values);
    return LS_OK;
}

int64_t ls_split(int64_t n, int64_t parts, int64_t p)
{
    /* floor(p * n / parts) without the product: n = whole * parts + rest. */
    const int64_t whole = n / parts, rest = n % parts;
    return whole * p + (int64_t)((__int128)rest * p / parts);
}
