#include "comm/node_sum.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/memory.h"
#include "comm/wait.h"

enum {
    LINE = 64,
    DIRECT_BYTES = 64 * 1024, /* that a rank reads of others: beyond, slices are faster than one wait less */
    BLOCK = 1024 /* reals that are added at a time, so that sums in between stay in the nearest cache */
};

/* In shared memory, one per rank. */
typedef struct flags {
    _Alignas(LINE) _Atomic uint64_t written; /* reductions for which this rank's messages are there */
    _Atomic uint64_t added;                  /* for which its slice is there */
    _Atomic uint64_t shared;                 /* for which the total of all nodes is there */
} flags;

/* sum = left + right, or a copy of left where right is -1. Numbers of operands: members' messages first, then
 * sums in between, then results. */
typedef struct addition {
    int sum, left, right;
} addition;

struct ls_node_sum {
    ls_session *session;
    ls_message_layout layout;
    int n_ranks, rank; /* of the node */
    MPI_Win window;
    char *shared;
    size_t stride; /* of a message, whole lines */
    int *first;    /* of each rank, and the end: its messages among all */
    int n_members, n_temporaries, n_results;
    ls_subtree *members;
    addition *additions;
    int n_additions;
    bool direct;
    uint64_t turn;
    char *temporaries; /* private, room for a block and the rest of a message each */
    size_t temporary_size;
    char *private_results; /* in direct mode */
    bool private_turn;     /* the last results are those */
    int64_t looks;
};

/* ---- the plan of additions ---- */

static int temporary(const ls_node_sum *sum, int i)
{
    return sum->n_members + i;
}

static int result(const ls_node_sum *sum, int i)
{
    return sum->n_members + LS_MAX_SUBTREES + i;
}

/* Adds what gives the sum of a subtree into operand `to`; returns the operand that holds it, a member's
 * message where there is nothing to add. depth numbers the temporaries. */
static int plan(ls_node_sum *sum, ls_subtree at, int to, int depth)
{
    for (int i = 0; i < sum->n_members; i++)
        if (sum->members[i].first == at.first && sum->members[i].count == at.count) return i;
    const ls_subtree left = {at.first, at.count / 2}, right = {at.first + at.count / 2, at.count / 2};
    if (depth + 1 > sum->n_temporaries) sum->n_temporaries = depth + 1;
    const int a = plan(sum, left, to, depth), b = plan(sum, right, temporary(sum, depth), depth + 1);
    sum->additions[sum->n_additions++] = (addition){to, a, b};
    return to;
}

static ls_status make_plan(ls_node_sum *sum, int64_t n_leaves, const int64_t *begins)
{
    ls_subtree subtrees[LS_MAX_SUBTREES];
    LS_TRY(ls_alloc(&sum->first, (size_t)sum->n_ranks + 1, sizeof *sum->first, "reduction on the node"));
    for (int r = 0; r < sum->n_ranks; r++)
        sum->first[r + 1] = sum->first[r] + ls_subtrees_of(n_leaves, begins[r], begins[r + 1], subtrees);
    sum->n_members = sum->first[sum->n_ranks];
    LS_TRY(ls_alloc(&sum->members, (size_t)sum->n_members, sizeof *sum->members, "reduction on the node"));
    LS_TRY(ls_alloc(&sum->additions, (size_t)sum->n_members + LS_MAX_SUBTREES, sizeof *sum->additions,
                    "reduction on the node"));
    for (int r = 0; r < sum->n_ranks; r++) {
        const int n = ls_subtrees_of(n_leaves, begins[r], begins[r + 1], subtrees);
        memcpy(sum->members + sum->first[r], subtrees, (size_t)n * sizeof *subtrees);
    }
    const int n_subtrees = ls_subtrees_of(n_leaves, begins[0], begins[sum->n_ranks], subtrees);
    sum->n_results = n_subtrees ? n_subtrees : 1; /* a node without leaves has room for the total */
    for (int i = 0; i < n_subtrees; i++) {
        const int from = plan(sum, subtrees[i], result(sum, i), 0);
        if (from != result(sum, i)) sum->additions[sum->n_additions++] = (addition){result(sum, i), from, -1};
    }
    return LS_OK;
}

static size_t stride_of(const ls_message_layout *layout)
{
    return (layout->size + LINE - 1) / LINE * LINE;
}

static bool is_direct(int n_members, size_t stride)
{
    return (size_t)n_members * stride <= DIRECT_BYTES;
}

/* ---- shared memory: flags, then messages (twice in direct mode), then results ---- */

static size_t shared_size(const ls_node_sum *sum)
{
    const size_t n_messages = (size_t)sum->n_members * (sum->direct ? 2 : 1) + (size_t)sum->n_results;
    return LINE + (size_t)sum->n_ranks * sizeof(flags) + n_messages * sum->stride;
}

/* Open MPI takes the memory from /dev/shm, and touching more than there is kills the process. The first rank
 * looks. */
static ls_status check_room(const ls_node_sum *sum, int *there_is_room)
{
    struct statvfs space;
    *there_is_room = 1;
    if (sum->rank == 0 && statvfs("/dev/shm", &space) == 0)
        *there_is_room = shared_size(sum) <= (size_t)space.f_bavail * space.f_frsize / 2;
    return ls_mpi_check(MPI_Bcast(there_is_room, 1, MPI_INT, 0, sum->session->node), "MPI_Bcast");
}

static ls_status allocate_shared(ls_node_sum *sum)
{
    void *base;
    MPI_Aint size;
    int unit;
    LS_TRY(ls_mpi_check(MPI_Win_allocate_shared(sum->rank == 0 ? (MPI_Aint)shared_size(sum) : 0, 1,
                                                MPI_INFO_NULL, sum->session->node, &base, &sum->window),
                        "MPI_Win_allocate_shared"));
    LS_TRY(ls_mpi_check(MPI_Win_shared_query(sum->window, 0, &size, &unit, &base), "MPI_Win_shared_query"));
    sum->shared = (char *)(((uintptr_t)base + LINE - 1) / LINE * LINE);
    if (sum->rank == 0) memset(sum->shared, 0, (size_t)sum->n_ranks * sizeof(flags));
    return ls_mpi_check(MPI_Barrier(sum->session->node), "MPI_Barrier");
}

static flags *flags_of(const ls_node_sum *sum, int rank)
{
    return (flags *)sum->shared + rank;
}

static char *shared_message(const ls_node_sum *sum, int64_t i)
{
    return sum->shared + (size_t)sum->n_ranks * sizeof(flags) + (size_t)i * sum->stride;
}

ls_status ls_node_sum_create(ls_session *session, const ls_message_layout *layout, int64_t n_leaves,
                             const int64_t *begins, ls_node_sum **out)
{
    ls_node_sum *sum = NULL;
    int failed = 0, any_failed = 0, there_is_room = 0;
    *out = NULL;
    ls_status status = ls_alloc(&sum, 1, sizeof *sum, "reduction on the node");
    if (status == LS_OK) {
        sum->session = session;
        sum->layout = *layout;
        sum->n_ranks = session->node_size;
        sum->rank = session->rank - session->first_on_node;
        sum->window = MPI_WIN_NULL;
        sum->stride = stride_of(layout);
        sum->looks = ls_wait_looks(session);
        sum->turn = 1;
        status = make_plan(sum, n_leaves, begins);
    }
    if (status == LS_OK) {
        sum->direct = is_direct(sum->n_members, sum->stride);
        sum->temporary_size =
            (BLOCK * sizeof(double) + (layout->size - layout->doubles_at) + LINE - 1) / LINE * LINE;
        status = ls_alloc(&sum->temporaries, (size_t)sum->n_temporaries, sum->temporary_size,
                          "reduction on the node");
    }
    if (status == LS_OK && sum->direct)
        status =
            ls_alloc(&sum->private_results, (size_t)sum->n_results, sum->stride, "reduction on the node");
    /* Nobody may enter the calls below alone. */
    failed = status != LS_OK;
    ls_status told = ls_mpi_check(MPI_Allreduce(&failed, &any_failed, 1, MPI_INT, MPI_MAX, session->node),
                                  "MPI_Allreduce");
    if (told == LS_OK && !any_failed) told = check_room(sum, &there_is_room);
    if (told == LS_OK && there_is_room) told = allocate_shared(sum);
    if (status == LS_OK) status = told;
    if (status == LS_OK && there_is_room) {
        *out = sum;
    } else {
        ls_node_sum_destroy(sum);
    }
    return status;
}

size_t ls_node_sum_memory(const ls_message_layout *layout, int64_t n_leaves, const int64_t *begins,
                          int n_ranks, int rank)
{
    ls_subtree subtrees[LS_MAX_SUBTREES];
    const size_t stride = stride_of(layout);
    const int n_results = ls_subtrees_of(n_leaves, begins[0], begins[n_ranks], subtrees),
              n_own = ls_subtrees_of(n_leaves, begins[rank], begins[rank + 1], subtrees);
    int n_members = 0;
    for (int r = 0; r < n_ranks; r++)
        n_members += ls_subtrees_of(n_leaves, begins[r], begins[r + 1], subtrees);
    if (is_direct(n_members, stride)) return 3 * (size_t)(n_members + n_results) * stride;
    /* Of the messages of others a slice. */
    return (size_t)(n_own + n_results) * stride + (size_t)(n_members - n_own) * stride / (size_t)n_ranks;
}

void ls_node_sum_destroy(ls_node_sum *sum)
{
    if (!sum) return;
    if (sum->window != MPI_WIN_NULL) MPI_Win_free(&sum->window);
    ls_free(sum->first);
    ls_free(sum->members);
    ls_free(sum->additions);
    ls_free(sum->temporaries);
    ls_free(sum->private_results);
    ls_free(sum);
}

/* ---- adding ---- */

static char *member_message(const ls_node_sum *sum, int i)
{
    return shared_message(sum, i + (sum->direct && sum->turn % 2 ? sum->n_members : 0));
}

void *ls_node_sum_message(ls_node_sum *sum, int i)
{
    return member_message(sum, sum->first[sum->rank] + i);
}

void *ls_node_sum_result(ls_node_sum *sum, int i)
{
    return sum->private_turn ? sum->private_results + (size_t)i * sum->stride
                             : shared_message(sum, (int64_t)sum->n_members * (sum->direct ? 2 : 1) + i);
}

/* Where an operand's reals from number `at` on are, or with at < 0 its rest. */
static char *operand(ls_node_sum *sum, int i, int64_t at)
{
    const size_t offset = at < 0 ? sum->layout.doubles_at : (size_t)at * ls_dtype_size(sum->layout.dtype);
    if (i < sum->n_members) return member_message(sum, i) + offset;
    i -= sum->n_members;
    if (i < LS_MAX_SUBTREES)
        return sum->temporaries + (size_t)i * sum->temporary_size + (at < 0 ? BLOCK * sizeof(double) : 0);
    return (char *)ls_node_sum_result(sum, i - LS_MAX_SUBTREES) + offset;
}

static void add_reals(ls_node_sum *sum, int64_t begin, int64_t end)
{
    const size_t size = ls_dtype_size(sum->layout.dtype);
    for (int64_t at = begin, n; at < end; at += n) {
        n = end - at < BLOCK ? end - at : BLOCK;
        for (int i = 0; i < sum->n_additions; i++) {
            const addition a = sum->additions[i];
            if (a.right < 0) {
                memcpy(operand(sum, a.sum, at), operand(sum, a.left, at), (size_t)n * size);
            } else {
                ls_message_add_reals(&sum->layout, n, operand(sum, a.sum, at), operand(sum, a.left, at),
                                     operand(sum, a.right, at));
            }
        }
    }
}

static void add_rest(ls_node_sum *sum)
{
    for (int i = 0; i < sum->n_additions; i++) {
        const addition a = sum->additions[i];
        if (a.right < 0) {
            memcpy(operand(sum, a.sum, -1), operand(sum, a.left, -1),
                   sum->layout.size - sum->layout.doubles_at);
        } else {
            ls_message_add_rest(&sum->layout, operand(sum, a.sum, -1), operand(sum, a.left, -1),
                                operand(sum, a.right, -1));
        }
    }
}

static void wait_for(const ls_node_sum *sum, _Atomic uint64_t *flag, int rank)
{
    if (atomic_load_explicit(flag, memory_order_acquire) >= sum->turn) return;
    const double begin = ls_wait_clock();
    ls_place_at(LS_AT_REDUCE, sum->session->first_rank + sum->session->first_on_node + rank);
    for (int64_t look = 0; atomic_load_explicit(flag, memory_order_acquire) < sum->turn; look++)
        ls_wait_pause(look, sum->looks);
    ls_wait_took(begin);
}

static void wait_for_written(const ls_node_sum *sum)
{
    for (int r = 0; r < sum->n_ranks; r++)
        if (r != sum->rank) wait_for(sum, &flags_of(sum, r)->written, r);
}

/* A rank that writes its next messages, or results, overwrites nothing that another still reads: messages of
 * the turn before last were read before the last turn's were written (direct), or before its slices were
 * (otherwise); results are read before the messages of the next turn are written. */
void ls_node_sum_add(ls_node_sum *sum, bool for_first)
{
    flags *own = flags_of(sum, sum->rank);
    const int64_t n = sum->layout.n_reals;
    sum->private_turn = sum->direct && !for_first;
    atomic_store_explicit(&own->written, sum->turn, memory_order_release);
    if (sum->direct) {
        if (!for_first || sum->rank == 0) {
            wait_for_written(sum);
            add_reals(sum, 0, n);
            add_rest(sum);
        }
    } else {
        /* Slices of whole lines, so that ranks do not write the same one. */
        const int64_t lines = (int64_t)((size_t)n * ls_dtype_size(sum->layout.dtype) + LINE - 1) / LINE;
        const int64_t per_line = LINE / (int64_t)ls_dtype_size(sum->layout.dtype);
        const int64_t begin = ls_split(lines, sum->n_ranks, sum->rank) * per_line,
                      end = ls_split(lines, sum->n_ranks, sum->rank + 1) * per_line;
        wait_for_written(sum);
        add_reals(sum, begin, end < n ? end : n);
        if (sum->rank == 0) add_rest(sum);
        atomic_store_explicit(&own->added, sum->turn, memory_order_release);
        if (!for_first || sum->rank == 0)
            for (int r = 0; r < sum->n_ranks; r++)
                if (r != sum->rank) wait_for(sum, &flags_of(sum, r)->added, r);
    }
    if (!for_first) sum->turn++;
}

void ls_node_sum_share(ls_node_sum *sum)
{
    flags *first = flags_of(sum, 0);
    if (sum->rank == 0) {
        atomic_store_explicit(&first->shared, sum->turn, memory_order_release);
    } else {
        wait_for(sum, &first->shared, 0);
    }
    sum->turn++;
}
