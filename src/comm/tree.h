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
#include "comm/message.h"
#include "comm/subtree.h"

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
