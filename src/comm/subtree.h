/* Ranges of leaves of a pairwise-adjacent binary tree, and the subtrees that they hold. All functions are
 * local. */
#ifndef LS_COMM_SUBTREE_H
#define LS_COMM_SUBTREE_H

#include <stdint.h>

/* Leaves [first, first + count): count is a power of two that divides first. */
typedef struct ls_subtree {
    int64_t first;
    int64_t count;
} ls_subtree;

enum { LS_MAX_SUBTREES = 128 }; /* of one range: at most two per level of a tree of 2^62 leaves */

/* The maximal subtrees inside leaves [begin, end) of n_leaves (a power of two), by first leaf. Returns how
 * many. */
int ls_subtrees_of(int64_t n_leaves, int64_t begin, int64_t end, ls_subtree subtrees[LS_MAX_SUBTREES]);

#endif
