/* Sums on as many ranks as there are: compared with the definition bit by bit, while messages and memory are
 * counted. Built by simulation.py with --wrap=MPI_Isend. Rank 0 prints a line for each kind of message:
 * ranks, bytes of a message, the most messages that a rank sends in a reduction, the most bytes that a rank
 * holds beside the messages of its subtrees. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "comm/tree.h"

enum { N_LEAVES = 128, REPETITIONS = 3 };

static int64_t n_sent;

int __real_MPI_Isend(const void *data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                     MPI_Request *request);
int __wrap_MPI_Isend(const void *data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                     MPI_Request *request);

int __wrap_MPI_Isend(const void *data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm,
                     MPI_Request *request)
{
    n_sent++;
    return __real_MPI_Isend(data, n, type, to, tag, comm, request);
}

/* Numbers of very different size, so that any other order of additions shows in the bits. */
static void fill(const ls_message_layout *layout, void *message, int64_t leaf, int turn)
{
    float *reals = message;
    for (int64_t i = 0; i < layout->n_reals; i++) {
        const uint32_t hash = (uint32_t)((leaf + 977 * turn) * 2654435761u + i * 40503u + 12345u);
        reals[i] = (float)(hash >> 8 & 0xffff) * (hash & 1 ? 1e-6f : -1e3f);
    }
    ls_message_doubles(layout, message)[0] = 1.0 / (double)(leaf + turn + 1);
    ls_message_ints(layout, message)[0] = leaf;
}

/* The definition: the sum of a subtree is the sum of its left half plus the sum of its right half. */
static void sum_subtree(const ls_message_layout *layout, void *message, ls_subtree at, int turn)
{
    if (at.count == 1) {
        fill(layout, message, at.first, turn);
        return;
    }
    void *right = calloc(1, layout->size);
    sum_subtree(layout, message, (ls_subtree){at.first, at.count / 2}, turn);
    sum_subtree(layout, right, (ls_subtree){at.first + at.count / 2, at.count / 2}, turn);
    ls_message_add(layout, message, right);
    free(right);
}

static int check(ls_session *session, int64_t n_reals)
{
    ls_message_layout layout;
    ls_tree *tree;
    ls_message_layout_init(&layout, LS_FLOAT32, n_reals, 1, 1);
    if (ls_tree_create(session, &layout, N_LEAVES, false, &tree) != LS_OK) return 1;
    int64_t counts[2] = {0, ls_alloc_live_bytes() - ls_tree_n_subtrees(tree) * (int64_t)layout.size}, most[2];
    void *expected = calloc(1, layout.size), *sum;
    int wrong = 0;
    for (int turn = 0; turn < REPETITIONS; turn++) {
        sum_subtree(&layout, expected, (ls_subtree){0, N_LEAVES}, turn);
        for (int i = 0; i < ls_tree_n_subtrees(tree); i++)
            sum_subtree(&layout, ls_tree_message(tree, i), ls_tree_subtree(tree, i), turn);
        n_sent = 0;
        if (ls_tree_reduce(tree, &sum) != LS_OK) return 1;
        if (n_sent > counts[0]) counts[0] = n_sent;
        wrong |= memcmp(sum, expected, (size_t)n_reals * sizeof(float)) != 0 ||
                 memcmp((char *)sum + layout.doubles_at, (char *)expected + layout.doubles_at,
                        layout.size - layout.doubles_at) != 0;
    }
    MPI_Allreduce(counts, most, 2, MPI_INT64_T, MPI_MAX, MPI_COMM_WORLD);
    if (ls_session_rank(session) == 0)
        printf("%d %zu %lld %lld\n", ls_session_size(session), layout.size, (long long)most[0],
               (long long)most[1]);
    if (wrong) printf("rank %d has a wrong sum\n", ls_session_rank(session));
    free(expected);
    ls_tree_destroy(tree);
    return wrong;
}

int main(void)
{
    ls_session *session;
    if (ls_session_open(&session) != LS_OK) return 1;
    const int failed = check(session, 5) | check(session, 9001);
    ls_session_close(session);
    return failed;
}
