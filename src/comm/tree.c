#include "comm/tree.h"

#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"

enum {
    MAX_SUBTREES = 128, /* at most two per level of a tree of 2^62 leaves */
    PIECE = 1 << 30,    /* bytes of one MPI transfer */
    TAG = 1,
    SPINS = 1000 /* some 0.1 ms */
};

struct ls_tree {
    ls_session *session;
    ls_message_layout layout;
    int64_t n_leaves;
    int n_subtrees;
    ls_subtree subtrees[MAX_SUBTREES];
    char *messages; /* n_subtrees messages (at least one, for the result) */
    char *received; /* one message */
    bool plain;
    int64_t spins; /* looks at a request before the core is given away */
};

void ls_message_layout_init(ls_message_layout *layout, ls_dtype dtype, int64_t n_reals, int64_t n_doubles,
                            int64_t n_ints)
{
    layout->dtype = dtype;
    layout->n_reals = n_reals;
    layout->n_doubles = n_doubles;
    layout->n_ints = n_ints;
    layout->doubles_at = ((size_t)n_reals * ls_dtype_size(dtype) + 7) / 8 * 8;
    layout->ints_at = layout->doubles_at + (size_t)n_doubles * sizeof(double);
    layout->size = layout->ints_at + (size_t)n_ints * sizeof(int64_t);
}

void ls_message_add(const ls_message_layout *layout, void *sum, const void *other)
{
    if (layout->dtype == LS_FLOAT32) {
        float *restrict a = sum;
        const float *restrict b = other;
        for (int64_t i = 0; i < layout->n_reals; i++) a[i] += b[i];
    } else {
        double *restrict a = sum;
        const double *restrict b = other;
        for (int64_t i = 0; i < layout->n_reals; i++) a[i] += b[i];
    }
    double *a = ls_message_doubles(layout, sum);
    const double *b = ls_message_doubles(layout, (void *)other);
    for (int64_t i = 0; i < layout->n_doubles; i++) a[i] += b[i];
    /* Unsigned, so that digests may wrap. */
    uint64_t *m = (uint64_t *)ls_message_ints(layout, sum);
    const uint64_t *n = (const uint64_t *)ls_message_ints(layout, (void *)other);
    for (int64_t i = 0; i < layout->n_ints; i++) m[i] += n[i];
}

int ls_tree_owner(int64_t n_leaves, int n_ranks, int64_t leaf)
{
    /* The largest r with floor(r * n_leaves / n_ranks) <= leaf. */
    const __int128 end = (__int128)(leaf + 1) * n_ranks;
    return (int)((end + n_leaves - 1) / n_leaves - 1);
}

ls_status ls_tree_create(ls_session *session, const ls_message_layout *layout, int64_t n_leaves, bool plain,
                         ls_tree **result)
{
    ls_tree *tree;
    *result = NULL;
    ls_status status = ls_alloc(&tree, 1, sizeof *tree, "reduction tree");
    if (status == LS_OK) {
        tree->session = session;
        tree->layout = *layout;
        tree->n_leaves = n_leaves;
        tree->plain = plain;
        tree->spins = session->node_size > sysconf(_SC_NPROCESSORS_ONLN) ? 0 : SPINS;
        int64_t first = ls_split(n_leaves, session->size, session->rank);
        const int64_t end = ls_split(n_leaves, session->size, session->rank + 1);
        while (first < end) {
            int64_t count = first ? first & -first : n_leaves;
            while (first + count > end) count /= 2;
            tree->subtrees[tree->n_subtrees++] = (ls_subtree){first, count};
            first += count;
        }
        const size_t n_messages = (size_t)(tree->n_subtrees ? tree->n_subtrees : 1);
        status = ls_alloc(&tree->messages, n_messages, layout->size, "messages of the reduction tree");
        /* In plain mode it holds every value in the layout's dtype. */
        const size_t n_values = (size_t)(layout->n_reals + layout->n_doubles + layout->n_ints);
        if (status == LS_OK)
            status = ls_alloc(&tree->received, n_values, sizeof(double), "messages of the reduction tree");
    }
    status = ls_session_agree(session, status);
    if (status == LS_OK) {
        *result = tree;
    } else {
        ls_tree_destroy(tree);
    }
    return status;
}

void ls_tree_destroy(ls_tree *tree)
{
    if (!tree) return;
    ls_free(tree->messages);
    ls_free(tree->received);
    ls_free(tree);
}

int ls_tree_n_subtrees(const ls_tree *tree)
{
    return tree->n_subtrees;
}

ls_subtree ls_tree_subtree(const ls_tree *tree, int index)
{
    return tree->subtrees[index];
}

void *ls_tree_message(ls_tree *tree, int index)
{
    return tree->messages + (size_t)index * tree->layout.size;
}

/* Waits for both requests (MPI_REQUEST_NULL is allowed): spinning at first, for the partner is usually about
 * to answer, then giving the core away between looks, for it may be the partner that needs it. MPI's own
 * blocking calls spin for ever, which made a step a thousand times slower beside another job. */
static ls_status wait_both(const ls_tree *tree, MPI_Request requests[2])
{
    MPI_Status statuses[2]; /* gcc takes MPICH's MPI_STATUSES_IGNORE for an array, and warns of its size */
    for (int64_t look = 0;; look++) {
        int done = 0;
        LS_TRY(ls_mpi_check(MPI_Testall(2, requests, &done, statuses), "MPI_Testall"));
        if (done) return LS_OK;
        if (look >= tree->spins) sched_yield();
    }
}

/* Sends size bytes to one rank and receives as many from another; -1 for no rank. */
static ls_status transfer(const ls_tree *tree, const char *out, int to, char *in, int from)
{
    MPI_Comm comm = tree->session->comm;
    ls_place_at(LS_AT_REDUCE, from >= 0 ? from : to);
    for (size_t at = 0; at < tree->layout.size; at += PIECE) {
        const size_t rest = tree->layout.size - at;
        const int n = (int)(rest < PIECE ? rest : PIECE);
        MPI_Request requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
        if (from >= 0)
            LS_TRY(ls_mpi_check(MPI_Irecv(in + at, n, MPI_BYTE, from, TAG, comm, &requests[0]), "MPI_Irecv"));
        if (to >= 0)
            LS_TRY(ls_mpi_check(MPI_Isend(out + at, n, MPI_BYTE, to, TAG, comm, &requests[1]), "MPI_Isend"));
        LS_TRY(wait_both(tree, requests));
    }
    return LS_OK;
}

/* Both partners add the same two messages; addition commutes, so both get the same bits. */
static ls_status exchange_by_doubling(ls_tree *tree)
{
    for (int distance = 1; distance < tree->session->size; distance *= 2) {
        const int partner = tree->session->rank ^ distance;
        LS_TRY(transfer(tree, tree->messages, partner, tree->received, partner));
        ls_message_add(&tree->layout, tree->messages, tree->received);
    }
    return LS_OK;
}

/* The root's first message to all ranks, along a binomial tree. */
static ls_status broadcast_sum(ls_tree *tree, int root)
{
    const int size = tree->session->size, rank = (tree->session->rank - root + size) % size;
    int distance = 1;
    while (distance < size && !(rank & distance)) distance *= 2;
    if (rank != 0) LS_TRY(transfer(tree, NULL, -1, tree->messages, (rank - distance + root) % size));
    for (distance /= 2; distance > 0; distance /= 2)
        if (rank + distance < size)
            LS_TRY(transfer(tree, tree->messages, (rank + distance + root) % size, NULL, -1));
    return LS_OK;
}

/* Walks up the tree: at each level the owner of a right half sends its sum to the owner of the left half.
 * Sums travel to lower ranks only, so blocking calls cannot wait in a circle. Then the owner of leaf 0
 * broadcasts. */
static ls_status exchange_by_tree(ls_tree *tree)
{
    const int n_ranks = tree->session->size;
    struct {
        int64_t first, count;
        char *message;
    } held[MAX_SUBTREES];
    int n_held = tree->n_subtrees;
    for (int i = 0; i < n_held; i++) {
        held[i].first = tree->subtrees[i].first;
        held[i].count = tree->subtrees[i].count;
        held[i].message = ls_tree_message(tree, i);
    }
    /* Below, every held subtree has at least `half` leaves: a smaller one has grown or gone at an earlier
     * level. */
    for (int64_t half = 1; half < tree->n_leaves; half *= 2) {
        int kept = 0;
        for (int i = 0; i < n_held; i++) {
            const int64_t first = held[i].first;
            if (held[i].count > half) {
                held[kept++] = held[i];
            } else if (first & half) { /* a right half */
                if (kept > 0 && held[kept - 1].first == first - half) {
                    ls_message_add(&tree->layout, held[kept - 1].message, held[i].message);
                    held[kept - 1].count = 2 * half;
                } else {
                    LS_TRY(transfer(tree, held[i].message,
                                    ls_tree_owner(tree->n_leaves, n_ranks, first - half), NULL, -1));
                }
            } else {
                if (i + 1 == n_held) { /* the right half begins on another rank */
                    LS_TRY(transfer(tree, NULL, -1, tree->received,
                                    ls_tree_owner(tree->n_leaves, n_ranks, first + half)));
                    ls_message_add(&tree->layout, held[i].message, tree->received);
                    held[i].count = 2 * half;
                }
                held[kept++] = held[i];
            }
        }
        n_held = kept;
    }
    return broadcast_sum(tree, ls_tree_owner(tree->n_leaves, n_ranks, 0));
}

/* One MPI_Allreduce in the layout's dtype; doubles and integers ride along behind the reals. */
static ls_status exchange_by_allreduce(ls_tree *tree)
{
    const ls_message_layout *layout = &tree->layout;
    const size_t size = ls_dtype_size(layout->dtype);
    const int64_t n = layout->n_reals + layout->n_doubles + layout->n_ints;
    char *message = tree->messages, *packed = tree->received;
    double *doubles = ls_message_doubles(layout, message);
    int64_t *ints = ls_message_ints(layout, message);
    const bool single = layout->dtype == LS_FLOAT32;
    if (tree->n_subtrees == 0) memset(message, 0, layout->size);
    for (int i = 1; i < tree->n_subtrees; i++) ls_message_add(layout, message, ls_tree_message(tree, i));
    memcpy(packed, message, (size_t)layout->n_reals * size);
    for (int64_t i = 0; i < layout->n_doubles + layout->n_ints; i++) {
        const double value = i < layout->n_doubles ? doubles[i] : (double)ints[i - layout->n_doubles];
        if (single) {
            ((float *)packed)[layout->n_reals + i] = (float)value;
        } else {
            ((double *)packed)[layout->n_reals + i] = value;
        }
    }
    ls_place_at(LS_AT_REDUCE, -1);
    for (int64_t at = 0; at < n; at += PIECE / 8) {
        const int piece = (int)(n - at < PIECE / 8 ? n - at : PIECE / 8);
        LS_TRY(ls_mpi_check(MPI_Allreduce(MPI_IN_PLACE, packed + (size_t)at * size, piece,
                                          single ? MPI_FLOAT : MPI_DOUBLE, MPI_SUM, tree->session->comm),
                            "MPI_Allreduce"));
    }
    memcpy(message, packed, (size_t)layout->n_reals * size);
    for (int64_t i = 0; i < layout->n_doubles + layout->n_ints; i++) {
        const double value =
            single ? (double)((float *)packed)[layout->n_reals + i] : ((double *)packed)[layout->n_reals + i];
        if (i < layout->n_doubles) {
            doubles[i] = value;
        } else {
            ints[i - layout->n_doubles] = (int64_t)value;
        }
    }
    return LS_OK;
}

ls_status ls_tree_reduce(ls_tree *tree, void **sum)
{
    const int n_ranks = tree->session->size;
    *sum = tree->messages;
    if (n_ranks == 1) return LS_OK;
    const bool doubling = (n_ranks & (n_ranks - 1)) == 0 && n_ranks <= tree->n_leaves;
    const ls_status status = tree->plain ? exchange_by_allreduce(tree)
                             : doubling  ? exchange_by_doubling(tree)
                                         : exchange_by_tree(tree);
    ls_place_at(LS_AT_COMPUTE, -1);
    return status;
}
