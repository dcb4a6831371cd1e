/* Sums among the ranks of one node, through memory that they share: each rank writes its messages there and
 * reads those of the others.
 *
 * Short messages: every rank adds all of them, so there is one wait a reduction, and two buffers that take
 * turns. Long ones: every rank adds a slice, and then reads the slices of the others. Either way each
 * addition is one of the tree. */
#ifndef LS_COMM_NODE_SUM_H
#define LS_COMM_NODE_SUM_H

#include <stdbool.h>

#include "comm/comm.h"
#include "comm/message.h"
#include "comm/subtree.h"

typedef struct ls_node_sum ls_node_sum;

/* Prepares sums over the leaves of the node's ranks: begins[i] is the first leaf of the node's rank i,
 * begins[node_size] the end of the last. *sum is NULL, without an error, where the shared memory would not
 * suffice. Collective over the node; arguments must agree. The caller destroys *sum. */
ls_status ls_node_sum_create(ls_session *session, const ls_message_layout *layout, int64_t n_leaves,
                             const int64_t *begins, ls_node_sum **sum);

/* Frees it; NULL is allowed. Collective over the node. */
void ls_node_sum_destroy(ls_node_sum *sum);

/* Bytes of memory that rank number `rank` of a node touches for such sums, the shared ones included; begins
 * is that of n_ranks ranks. Local. */
size_t ls_node_sum_memory(const ls_message_layout *layout, int64_t n_leaves, const int64_t *begins,
                          int n_ranks, int rank);

/* Where this rank's message number i goes. Changes with every reduction. Local. */
void *ls_node_sum_message(ls_node_sum *sum, int i);

/* Adds the messages of all ranks of the node. Afterwards result i is the sum of the node's subtree i: on all
 * its ranks, or with `for_first` perhaps only on the first. Collective over the node. */
void ls_node_sum_add(ls_node_sum *sum, bool for_first);
void *ls_node_sum_result(ls_node_sum *sum, int i);

/* After an add for_first: the first rank says that result 0 is what all are to have, the others wait for
 * that. Collective over the node. */
void ls_node_sum_share(ls_node_sum *sum);

#endif
