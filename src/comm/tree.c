#include "comm/tree.h"

#include <string.h>

#include "base/memory.h"
#include "comm/exchange.h"
#include "comm/node_sum.h"

enum { PIECE = 1 << 30 }; /* bytes of one MPI transfer */

/* Sums meet in two stages: among the ranks of a node in memory that they share, then among the nodes' first
 * ranks by messages. Where a node has one rank, or no memory to share, its ranks exchange messages with the
 * others. */
struct ls_tree {
    ls_session *session;
    ls_message_layout layout;
    int n_subtrees;
    ls_subtree subtrees[LS_MAX_SUBTREES];
    ls_node_sum *node;     /* or NULL */
    ls_exchange *exchange; /* or NULL, on a rank that takes no part in it */
    bool one_node;         /* all ranks are on this node, and it has a node sum */
    char *messages; /* without a node sum: n_subtrees of them, at least one for the result; in plain mode, too
                     */
    char *packed;   /* in plain mode: every value in the layout's dtype */
    void *parts[LS_MAX_SUBTREES]; /* what this rank brings to the exchange */
    bool plain;
};

/* The first leaves of the ranks of this node, and the end of the last one's. */
static ls_status find_begins(const ls_session *session, int64_t n_leaves, int64_t **begins)
{
    LS_TRY(ls_alloc(begins, (size_t)session->node_size + 1, sizeof **begins, "reduction tree"));
    for (int i = 0; i <= session->node_size; i++)
        (*begins)[i] = ls_split(n_leaves, session->size, session->first_on_node + i);
    return LS_OK;
}

static ls_status prepare_node(ls_tree *tree, int64_t n_leaves)
{
    int64_t *begins;
    const ls_session *session = tree->session;
    ls_status status = ls_session_agree(tree->session, find_begins(session, n_leaves, &begins));
    if (status == LS_OK && session->node_size > 1)
        status = ls_node_sum_create(tree->session, &tree->layout, n_leaves, begins, &tree->node);
    if (status == LS_OK) tree->one_node = tree->node && session->node_size == session->size;
    ls_free(begins);
    return ls_session_agree(tree->session, status);
}

static ls_status prepare(ls_tree *tree, int64_t n_leaves)
{
    ls_session *session = tree->session;
    const int64_t first = ls_split(n_leaves, session->size, session->rank),
                  end = ls_split(n_leaves, session->size, session->rank + 1);
    tree->n_subtrees = ls_subtrees_of(n_leaves, first, end, tree->subtrees);
    if (session->size > 1 && !tree->plain) LS_TRY(prepare_node(tree, n_leaves));
    ls_status status = LS_OK;
    const size_t n_values = (size_t)(tree->layout.n_reals + tree->layout.n_doubles + tree->layout.n_ints);
    if (!tree->node)
        status = ls_alloc(&tree->messages, tree->n_subtrees ? (size_t)tree->n_subtrees : 1, tree->layout.size,
                          "messages of the reduction tree");
    if (status == LS_OK && tree->plain)
        status = ls_alloc(&tree->packed, n_values, sizeof(double), "messages of the reduction tree");
    LS_TRY(ls_session_agree(session, status));
    if (session->size == 1 || tree->plain) return LS_OK;
    for (int i = 0; i < LS_MAX_SUBTREES; i++)
        tree->parts[i] =
            tree->node ? ls_node_sum_result(tree->node, i) : tree->messages + (size_t)i * tree->layout.size;
    const bool is_party = !tree->node || session->rank == session->first_on_node;
    return ls_exchange_create(session, &tree->layout, n_leaves, is_party, &tree->exchange);
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
        tree->plain = plain;
    }
    status = ls_session_agree(session, status);
    if (status == LS_OK) status = prepare(tree, n_leaves);
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
    ls_node_sum_destroy(tree->node);
    ls_exchange_destroy(tree->exchange);
    ls_free(tree->messages);
    ls_free(tree->packed);
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
    return tree->node ? ls_node_sum_message(tree->node, index)
                      : tree->messages + (size_t)index * tree->layout.size;
}

/* One MPI_Allreduce in the layout's dtype; doubles and integers ride along behind the reals. */
static ls_status exchange_by_allreduce(ls_tree *tree)
{
    const ls_message_layout *layout = &tree->layout;
    const size_t size = ls_dtype_size(layout->dtype);
    const int64_t n = layout->n_reals + layout->n_doubles + layout->n_ints;
    char *message = tree->messages, *packed = tree->packed;
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
    ls_status status = LS_OK;
    if (tree->node) {
        ls_node_sum_add(tree->node, !tree->one_node);
        *sum = ls_node_sum_result(tree->node, 0);
    } else {
        *sum = tree->messages;
    }
    if (tree->session->size == 1 || tree->one_node) return LS_OK;
    if (tree->plain) {
        status = exchange_by_allreduce(tree);
    } else {
        if (tree->exchange) status = ls_exchange_add(tree->exchange, tree->parts);
        if (tree->node) ls_node_sum_share(tree->node);
    }
    ls_place_at(LS_AT_COMPUTE, -1);
    return status;
}
