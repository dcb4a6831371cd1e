#include "comm/rollcall.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/blas.h"
#include "base/build.h"
#include "base/memory.h"
#include "comm/version.h"

enum {
    HOST_SIZE = 64,
    MAX_NAMED = 8,     /* ranks that a message names */
    SHOWN_SIZE = 200,  /* of a line in a message */
    SHOWN_BEFORE = 80, /* characters shown before the first that differs, in a longer line */
    MASK_WORDS = 8192 / (8 * sizeof(unsigned long)) /* a CPU set as the kernel fills it */
};

/* What launchers tell the processes that they start, the innermost launcher first. */
static const struct {
    const char *size; /* variable with the number of processes */
    const char *launcher;
    const char *remedy;
} launchers[] = {
    {"OMPI_COMM_WORLD_SIZE", "Open MPI's mpirun",
     "start it with the mpirun of the MPI that it was built with"},
    {"PMI_SIZE", "a launcher that speaks PMI",
     "start it with the mpirun of the MPI that it was built with, or with srun --mpi=pmix"},
    {"SLURM_STEP_NUM_TASKS", "srun",
     "start it with srun --mpi=pmix (srun --mpi=list shows what there is), or with mpirun"},
};

ls_status ls_roll_call_launcher(int size)
{
    if (size > 1) return LS_OK;
    for (size_t i = 0; i < sizeof launchers / sizeof launchers[0]; i++) {
        const char *text = getenv(launchers[i].size);
        if (!text) continue;
        if (atol(text) <= 1) return LS_OK;
        char mpi[128];
        ls_mpi_name(mpi, sizeof mpi);
        return ls_fail(
            LS_E_USAGE,
            "%s started %s processes (%s), but each of them is a job of one rank, for its MPI library, "
            "%s, has not met the others: %s. For single processes on purpose, unset %s",
            launchers[i].launcher, text, launchers[i].size, mpi, launchers[i].remedy, launchers[i].size);
    }
    return LS_OK;
}

ls_status ls_roll_call_programs(ls_session *session)
{
    char text[512], mpi[128], hdf5[32], blas[64];
    ls_mpi_name(mpi, sizeof mpi);
    ls_hdf5_name(hdf5, sizeof hdf5);
    ls_blas_name(blas, sizeof blas);
    snprintf(text, sizeof text, "lockstep %s, build %s\n%s\nHDF5 %s\n%s\nLOCKSTEP_TRANSPORT=%s",
             LOCKSTEP_VERSION, ls_build_id(), mpi, hdf5, blas,
             session->messages_only ? "messages" : "shared");
    return ls_session_compare(session, text,
                              "install the same files on all nodes, or run from a directory that they share");
}

/* A line of a text, for a message: long ones are cut to where they differ. */
static void show_line(char shown[SHOWN_SIZE], const char *line, size_t length, size_t differs_at)
{
    if (length < SHOWN_SIZE) {
        snprintf(shown, SHOWN_SIZE, "%.*s", (int)length, line);
        return;
    }
    const size_t begin = differs_at > SHOWN_BEFORE ? differs_at - SHOWN_BEFORE : 0;
    const size_t room = SHOWN_SIZE - sizeof "......", rest = length - begin;
    snprintf(shown, SHOWN_SIZE, "%s%.*s%s", begin > 0 ? "..." : "", (int)(rest < room ? rest : room),
             line + begin, rest > room ? "..." : "");
}

/* The first line in which two texts differ. */
static void find_line(const char *mine, const char *theirs, char mine_shown[SHOWN_SIZE],
                      char theirs_shown[SHOWN_SIZE])
{
    size_t at = 0, begin = 0;
    for (; mine[at] && mine[at] == theirs[at]; at++)
        if (mine[at] == '\n') begin = at + 1;
    show_line(mine_shown, mine + begin, strcspn(mine + begin, "\n"), at - begin);
    show_line(theirs_shown, theirs + begin, strcspn(theirs + begin, "\n"), at - begin);
}

/* "rank 3 differs" or "ranks 1, 2, 3 and 5 more differ". Collective; the text is the same on all ranks. */
static ls_status name_ranks(ls_session *session, bool differs, char *text, size_t size)
{
    int before = 0,
        sums[MAX_NAMED + 1] = {0}; /* each of the first places is one rank's, the last counts them */
    sums[MAX_NAMED] = differs;
    LS_TRY(ls_mpi_check(MPI_Exscan(&sums[MAX_NAMED], &before, 1, MPI_INT, MPI_SUM, session->comm),
                        "MPI_Exscan"));
    if (differs && before < MAX_NAMED) sums[before] = session->rank;
    LS_TRY(ls_mpi_check(MPI_Allreduce(MPI_IN_PLACE, sums, MAX_NAMED + 1, MPI_INT, MPI_SUM, session->comm),
                        "MPI_Allreduce"));
    const int n = sums[MAX_NAMED];
    size_t used = (size_t)snprintf(text, size, n == 1 ? "rank" : "ranks");
    for (int i = 0; i < n && i < MAX_NAMED; i++)
        used += (size_t)snprintf(text + used, size - used, "%s %d", i > 0 ? "," : "", sums[i]);
    if (n > MAX_NAMED) used += (size_t)snprintf(text + used, size - used, " and %d more", n - MAX_NAMED);
    snprintf(text + used, size - used, n == 1 ? " differs" : " differ");
    return LS_OK;
}

/* Rank 0's text and host, on all ranks; the caller frees *text. */
static ls_status fetch_text_of_rank_0(ls_session *session, const char *mine, char **text,
                                      char host[HOST_SIZE])
{
    uint64_t size = strlen(mine) + 1;
    LS_TRY(ls_broadcast(session, &size, sizeof size));
    LS_TRY(ls_session_agree(session, ls_alloc(text, (size_t)size, 1, "comparison of the ranks")));
    if (session->rank == 0) memcpy(*text, mine, (size_t)size);
    LS_TRY(ls_broadcast(session, *text, (size_t)size));
    return ls_broadcast(session, host, HOST_SIZE);
}

static ls_status tell_difference(ls_session *session, const char *mine, const char *remedy)
{
    char *theirs = NULL, own_host[HOST_SIZE] = "", host[HOST_SIZE] = "", ranks[256];
    gethostname(own_host, sizeof own_host - 1);
    memcpy(host, own_host, sizeof host);
    ls_status status = fetch_text_of_rank_0(session, mine, &theirs, host);
    if (status == LS_OK) {
        const bool differs = strcmp(mine, theirs) != 0;
        status = name_ranks(session, differs, ranks, sizeof ranks);
        if (status == LS_OK && differs) {
            char mine_shown[SHOWN_SIZE], theirs_shown[SHOWN_SIZE];
            find_line(mine, theirs, mine_shown, theirs_shown);
            status = ls_fail(LS_E_DIFFER, "%s from rank 0: '%s' on rank %d (%s), '%s' on rank 0 (%s): %s",
                             ranks, mine_shown, session->rank, own_host, theirs_shown, host, remedy);
        }
        status = ls_session_agree(session, status);
    }
    ls_free(theirs);
    return status;
}

ls_status ls_session_compare(ls_session *session, const char *text, const char *remedy)
{
    if (session->size == 1) return LS_OK;
    const uint64_t hash = XXH3_64bits(text, strlen(text));
    uint64_t lowest[2] = {hash, ~hash}; /* the lowest complement is that of the highest */
    ls_place_at(LS_AT_AGREE, -1);
    LS_TRY(ls_mpi_check(MPI_Allreduce(MPI_IN_PLACE, lowest, 2, MPI_UINT64_T, MPI_MIN, session->comm),
                        "MPI_Allreduce"));
    ls_place_at(LS_AT_COMPUTE, -1);
    return lowest[0] == ~lowest[1] ? LS_OK : tell_difference(session, text, remedy);
}

static int count_cpus(const unsigned long *mask)
{
    int n = 0;
    for (size_t i = 0; i < MASK_WORDS; i++) n += __builtin_popcountl(mask[i]);
    return n;
}

/* More ranks of the node bound to a single core than there are such cores: at least two share one. */
static ls_status check_node(ls_session *session)
{
    unsigned long mask[MASK_WORDS] = {0};
    int bound = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask) > 0 && count_cpus(mask) == 1;
    if (!bound) memset(mask, 0, sizeof mask);
    LS_TRY(ls_mpi_check(MPI_Allreduce(MPI_IN_PLACE, &bound, 1, MPI_INT, MPI_SUM, session->node),
                        "MPI_Allreduce"));
    LS_TRY(
        ls_mpi_check(MPI_Allreduce(MPI_IN_PLACE, mask, MASK_WORDS, MPI_UNSIGNED_LONG, MPI_BOR, session->node),
                     "MPI_Allreduce"));
    const int n_cores = count_cpus(mask), online = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (bound <= n_cores || online == 1) return LS_OK;
    char host[HOST_SIZE] = "";
    gethostname(host, sizeof host - 1);
    return ls_fail(
        LS_E_USAGE,
        "%d of the ranks %d to %d on %s are bound to %d of its %d cores, so that they wait for each other: "
        "give each its own by mpirun --bind-to core or srun --cpu-bind=cores, or use --bind-to none",
        bound, session->first_on_node, session->first_on_node + session->node_size - 1, host, n_cores,
        online);
}

ls_status ls_session_check_cores(ls_session *session, char *warning, size_t size)
{
    if (size > 0) warning[0] = 0;
    if (session->size == 1) return LS_OK;
    const ls_status status = ls_session_agree(session, check_node(session));
    if (status != LS_E_USAGE) return status;
    snprintf(warning, size, "%s", ls_error_message());
    return LS_OK;
}
