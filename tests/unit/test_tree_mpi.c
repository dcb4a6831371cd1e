#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/tree.h"
#include "unit.h"

static ls_session *session;
static int64_t shift; /* other values */

/* Numbers of very different size, so that any other order of additions shows in the bits. */
static float leaf_value(int64_t leaf, int64_t i)
{
    const uint32_t hash = (uint32_t)((leaf + 977 * shift) * 2654435761u + i * 40503u + 12345u);
    return (float)((hash >> 8) & 0xffff) * ((hash & 1) ? 1e-6f : -1e3f);
}

static void fill(const ls_message_layout *layout, void *message, int64_t leaf)
{
    float *reals = message;
    for (int64_t i = 0; i < layout->n_reals; i++) reals[i] = leaf_value(leaf, i);
    for (int64_t i = 0; i < layout->n_doubles; i++)
        ls_message_doubles(layout, message)[i] = (double)leaf_value(leaf, i + 7) / 3.0;
    for (int64_t i = 0; i < layout->n_ints; i++) ls_message_ints(layout, message)[i] = leaf * 10 + i;
}

/* The definition: the sum of a subtree is the sum of its left half plus the sum of its right half. */
static void sum_subtree(const ls_message_layout *layout, void *message, ls_subtree at)
{
    if (at.count == 1) {
        fill(layout, message, at.first);
        return;
    }
    void *right = calloc(1, layout->size);
    sum_subtree(layout, message, (ls_subtree){at.first, at.count / 2});
    sum_subtree(layout, right, (ls_subtree){at.first + at.count / 2, at.count / 2});
    ls_message_add(layout, message, right);
    free(right);
}

/* Repeated, with other values each time, so that a message that is overwritten too early shows. */
static void check_totals(ls_session *at, int64_t n_leaves, int64_t n_reals, int repetitions)
{
    ls_message_layout layout;
    ls_tree *tree;
    ls_message_layout_init(&layout, LS_FLOAT32, n_reals, 2, 3);
    assert_int_equal(ls_tree_create(at, &layout, n_leaves, false, &tree), LS_OK);
    void *expected = calloc(1, layout.size), *sum;
    for (shift = 0; shift < repetitions; shift++) {
        sum_subtree(&layout, expected, (ls_subtree){0, n_leaves});
        for (int i = 0; i < ls_tree_n_subtrees(tree); i++)
            sum_subtree(&layout, ls_tree_message(tree, i), ls_tree_subtree(tree, i));
        assert_int_equal(ls_tree_reduce(tree, &sum), LS_OK);
        assert_memory_equal(sum, expected, (size_t)n_reals * sizeof(float));
        assert_memory_equal(ls_message_doubles(&layout, sum), ls_message_doubles(&layout, expected),
                            2 * sizeof(double));
        assert_memory_equal(ls_message_ints(&layout, sum), ls_message_ints(&layout, expected),
                            3 * sizeof(int64_t));
    }
    shift = 0;
    free(expected);
    ls_tree_destroy(tree);
}

/* Short messages and long ones, which are added in slices. */
static void check_all_sizes(ls_session *at)
{
    for (int64_t n_leaves = 1; n_leaves <= 64; n_leaves *= 2) check_totals(at, n_leaves, 5, 20);
    check_totals(at, 16, 1, 200);
    check_totals(at, 8, 4097, 10);
    check_totals(at, 4, 40001, 4);
    check_totals(at, 16, 0, 3);
}

static void totals_equal_the_definition_bit_for_bit(void **state)
{
    (void)state;
    check_all_sizes(session);
}

/* The same ranks as if they were on several nodes: each alone, in pairs, and as many as there are on the
 * first with one on the last. */
static void totals_over_several_nodes_too(void **state)
{
    (void)state;
    const int rank = ls_session_rank(session), size = ls_session_size(session);
    const int nodes[3] = {rank, rank / 2, rank == size - 1};
    for (int kind = 0; kind < 3; kind++) {
        ls_session pretended = *session;
        int local;
        MPI_Comm_split(session->comm, nodes[kind], rank, &pretended.node);
        MPI_Comm_rank(pretended.node, &local);
        MPI_Comm_size(pretended.node, &pretended.node_size);
        pretended.first_on_node = rank - local;
        check_all_sizes(&pretended);
        MPI_Comm_free(&pretended.node);
    }
}

static void subtrees_are_aligned_and_cover_the_range(void **state)
{
    (void)state;
    ls_message_layout layout;
    ls_tree *tree;
    ls_message_layout_init(&layout, LS_FLOAT64, 1, 0, 0);
    assert_int_equal(ls_tree_create(session, &layout, 1024, false, &tree), LS_OK);
    int64_t at = ls_split(1024, ls_session_size(session), ls_session_rank(session));
    for (int i = 0; i < ls_tree_n_subtrees(tree); i++) {
        const ls_subtree subtree = ls_tree_subtree(tree, i);
        assert_int_equal(subtree.first, at);
        assert_int_equal(subtree.first % subtree.count, 0);
        at += subtree.count;
    }
    assert_int_equal(at, ls_split(1024, ls_session_size(session), ls_session_rank(session) + 1));
    ls_tree_destroy(tree);
}

static void the_lowest_failing_rank_speaks_for_all(void **state)
{
    (void)state;
    assert_int_equal(ls_session_agree(session, LS_OK), LS_OK);
    const int last = ls_session_size(session) - 1;
    ls_status status = LS_OK;
    if (ls_session_rank(session) >= last / 2)
        status = ls_fail(ls_session_rank(session) == last / 2 ? LS_E_INPUT : LS_E_OUTPUT, "rank %d failed",
                         ls_session_rank(session));
    assert_int_equal(ls_session_agree(session, status), LS_E_INPUT);
    char expected[32];
    snprintf(expected, sizeof expected, "rank %d failed", last / 2);
    assert_string_equal(ls_error_message(), expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals_equal_the_definition_bit_for_bit),
        cmocka_unit_test(totals_over_several_nodes_too),
        cmocka_unit_test(subtrees_are_aligned_and_cover_the_range),
        cmocka_unit_test(the_lowest_failing_rank_speaks_for_all),
    };
    if (ls_session_open(&session) != LS_OK) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ls_session_close(session);
    return failed;
}
