/* Sums over shards in one fixed order, whatever the number of ranks.
 *
 * The shards 0 .. S-1 (S a power of two) are the leaves of a pairwise-adjacent binary tree: ((0+1)+(2+3))+...
 * A rank owns a contiguous range of leaves and computes the sum of every maximal subtree inside it;
 * ls_tree_reduce does the additions that cross ranks. Each addition has the same two operands on any number
 * of ranks, hence the same bits. */
#ifndef LS_COMM_TREE_H
#define LS_COMM_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/comm.h"
#include "lockstep/types.h"

/* A message is what travels: real numbers of one dtype (gradient sums), doubles (loss sums), int64 (counts,
 * flags). */
typedef struct ls_message_layout {
    ls_dtype dtype;
    int64_t n_reals;
    int64_t n_doubles;
    int64_t n_ints;
    size_t doubles_at; /* bytes from the start of the message; the reals begin at 0 */
    size_t ints_at;
    size_t size; /* bytes of the whole message, a multiple of 8 */
} ls_message_layout;

/* Fills the offsets and the size. Local. */
void ls_message_layout_init(ls_message_layout *layout, ls_dtype dtype, int64_t n_reals, int64_t n_doubles,
                            int64_t n_ints);

static inline double *ls_message_doubles(const ls_message_layout *layout, void *message)
{
    return (double *)((char *)message + layout->doubles_at);
}

static inline int64_t *ls_message_ints(const ls_message_layout *layout, void *message)
{
    return (int64_t *)((char *)message + layout->ints_at);
}

/* sum += other, element by element. Local. */
void ls_message_add(const ls_message_layout *layout, void *sum, const void *other);

/* Leaves [first, first + count): count is a power of two that divides first. */
typedef struct ls_subtree {
    int64_t first;
    int64_t count;
} ls_subtree;

/* The leaf where rank r of n_ranks begins is ls_split(n_leaves, n_ranks, r). This is the rank that owns a
 * leaf. Local. */
int ls_tree_owner(int64_t n_leaves, int n_ranks, int64_t leaf);

typedef struct ls_tree ls_tree;

/* Prepares sums over n_leaves (a power of two) of messages of that layout. Ranks beyond n_leaves own no leaf
 * and still take part. plain leaves the order of the additions that cross ranks to MPI_Allreduce; then
 * doubles and integers are rounded to the layout's dtype on the way. Collective; the arguments must agree.
 * The caller destroys *tree. */
ls_status ls_tree_create(ls_session *session, const ls_message_layout *layout, int64_t n_leaves, bool plain,
                         ls_tree **tree);

/* Frees it; NULL is allowed. Local. */
void ls_tree_destroy(ls_tree *tree);

/* The subtrees of this rank, by first leaf, and the message that the caller fills with the sum of each before
 * ls_tree_reduce. Local. */
int ls_tree_n_subtrees(const ls_tree *tree);
ls_subtree ls_tree_subtree(const ls_tree *tree, int index);
void *ls_tree_message(ls_tree *tree, int index);

/* Adds everything up. *sum is the total on every rank, in memory of the tree, valid until the messages are
 * filled again. Collective. LS_E_MPI on failure. */
ls_status ls_tree_reduce(ls_tree *tree, void **sum);

#endif
