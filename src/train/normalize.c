#include "train/normalize.h"

#include <string.h>

#include "base/memory.h"
#include "base/wide.h"
#include "comm/tree.h"
#include "data/row_reader.h"
#include "engine/evaluate.h"
#include "model/normalization.h"

/* A leaf's mean and sum of squares come from pieces of so many rows, each about its own mean. */
enum { PIECE_ROWS = 128 };

/* The leaves of evaluation cut the rows, so that no order of additions depends on the ranks. Each rank reads
 * its leaves once and keeps their moments; the mean of all rows is a sum over leaves, and then so is the sum
 * of squares about it, without the cancellation of E[x^2] - E[x]^2. */
typedef struct moments {
    int64_t n_samples, n_features, n_leaves;
    int64_t first_leaf, end_leaf; /* of this rank */
    double *mean, *squares;       /* of its leaves, n_features each: mean, sum of squares about it */
    double *piece_mean, *piece_squares;
    double *shift; /* the first row: a feature that never changes has exactly its value as mean */
    double *total; /* the mean of all rows */
    ls_row_reader *reader;
    ls_message_layout layout;
    ls_tree *tree;
    char *partial; /* a message for each level of the tree */
} moments;

static int64_t leaf_begin(const moments *m, int64_t leaf)
{
    return ls_split(m->n_samples, m->n_leaves, leaf);
}

LS_WIDE static void piece_moments(const double *restrict x, int64_t n_rows, int64_t n_features,
                                  double *restrict mean, double *restrict squares)
{
    for (int64_t j = 0; j < n_features; j++) mean[j] = squares[j] = 0;
    for (int64_t i = 1; i < n_rows; i++)
        for (int64_t j = 0; j < n_features; j++) mean[j] += x[i * n_features + j] - x[j];
    for (int64_t j = 0; j < n_features; j++) mean[j] = x[j] + mean[j] / (double)n_rows;
    for (int64_t i = 0; i < n_rows; i++)
        for (int64_t j = 0; j < n_features; j++) {
            const double d = x[i * n_features + j] - mean[j];
            squares[j] += d * d;
        }
}

/* Chan, Golub and LeVeque 1979: joins the moments of n_rows more rows to those of n rows. */
LS_WIDE static void join(int64_t n, int64_t n_rows, int64_t n_features, const double *restrict more_mean,
                         const double *restrict more_squares, double *restrict mean, double *restrict squares)
{
    const double share = (double)n_rows / (double)(n + n_rows), weight = (double)n * share;
    for (int64_t j = 0; j < n_features; j++) {
        const double d = more_mean[j] - mean[j];
        mean[j] += d * share;
        squares[j] += more_squares[j] + d * d * weight;
    }
}

static ls_status read_leaf(moments *m, int64_t leaf)
{
    const int64_t begin = leaf_begin(m, leaf), end = leaf_begin(m, leaf + 1), n_features = m->n_features;
    double *mean = m->mean + (leaf - m->first_leaf) * n_features,
           *squares = m->squares + (leaf - m->first_leaf) * n_features;
    for (int64_t row = begin, rows; row < end; row += rows) {
        const void *x, *y;
        rows = end - row < PIECE_ROWS ? end - row : PIECE_ROWS;
        LS_TRY(ls_row_reader_get(m->reader, row, rows, &x, &y));
        ls_place_at(LS_AT_COMPUTE, -1);
        piece_moments(x, rows, n_features, m->piece_mean, m->piece_squares);
        join(row - begin, rows, n_features, m->piece_mean, m->piece_squares, mean, squares);
    }
    return LS_OK;
}

/* What a leaf adds to the sum over all rows of x - shift, or of (x - total)^2. */
static void put_leaf(const moments *m, int64_t leaf, bool squares, double *sum)
{
    const double n = (double)(leaf_begin(m, leaf + 1) - leaf_begin(m, leaf));
    const int64_t at = (leaf - m->first_leaf) * m->n_features;
    for (int64_t j = 0; j < m->n_features; j++) {
        const double d = m->mean[at + j] - (squares ? m->total[j] : m->shift[j]);
        /* A leaf without rows has no mean. */
        sum[j] = n == 0 ? 0 : squares ? m->squares[at + j] + n * d * d : n * d;
    }
}

/* The sum over a subtree is that of its left half plus that of its right half, which waits in partial. */
static void add_subtree(const moments *m, ls_subtree at, bool squares, char *partial, void *message)
{
    if (at.count == 1) {
        put_leaf(m, at.first, squares, message);
        return;
    }
    const int64_t half = at.count / 2;
    add_subtree(m, (ls_subtree){at.first, half}, squares, partial, message);
    add_subtree(m, (ls_subtree){at.first + half, half}, squares, partial + m->layout.size, partial);
    ls_message_add(&m->layout, message, partial);
}

static ls_status add_all(moments *m, bool squares, const double **sum)
{
    void *total;
    for (int i = 0; i < ls_tree_n_subtrees(m->tree); i++)
        add_subtree(m, ls_tree_subtree(m->tree, i), squares, m->partial, ls_tree_message(m->tree, i));
    LS_TRY(ls_tree_reduce(m->tree, &total));
    *sum = total;
    return LS_OK;
}

static ls_status prepare(moments *m, ls_dataset *dataset)
{
    const int n_subtrees = ls_tree_n_subtrees(m->tree);
    if (n_subtrees > 0) {
        const ls_subtree last = ls_tree_subtree(m->tree, n_subtrees - 1);
        m->first_leaf = ls_tree_subtree(m->tree, 0).first;
        m->end_leaf = last.first + last.count;
    }
    const size_t n_leaves = (size_t)(m->end_leaf - m->first_leaf), n_features = (size_t)m->n_features;
    const size_t row_size = n_features * sizeof(double);
    int levels = 1;
    for (int64_t leaves = 1; leaves < m->n_leaves; leaves *= 2) levels++;
    LS_TRY(ls_alloc(&m->mean, n_leaves, row_size, "means of the features"));
    LS_TRY(ls_alloc(&m->squares, n_leaves, row_size, "variances of the features"));
    LS_TRY(ls_alloc(&m->piece_mean, 1, row_size, "means of the features"));
    LS_TRY(ls_alloc(&m->piece_squares, 1, row_size, "variances of the features"));
    LS_TRY(ls_alloc(&m->partial, (size_t)levels, m->layout.size, "variances of the features"));
    LS_TRY(ls_row_reader_create(dataset, LS_FLOAT64, leaf_begin(m, m->first_leaf), leaf_begin(m, m->end_leaf),
                                PIECE_ROWS, 0, &m->reader));
    for (int64_t leaf = m->first_leaf; leaf < m->end_leaf; leaf++) LS_TRY(read_leaf(m, leaf));
    return LS_OK;
}

/* The first row, for everybody. */
static ls_status share_first_row(ls_session *session, moments *m, ls_dataset *dataset)
{
    const size_t row_size = (size_t)m->n_features * sizeof(double);
    ls_status status = ls_alloc(&m->shift, 1, row_size, "first row");
    if (status == LS_OK) status = ls_alloc(&m->total, 1, row_size, "means of the features");
    if (status == LS_OK && session->rank == 0)
        status = ls_dataset_read_rows(dataset, LS_FLOAT64, 0, 1, m->shift, NULL);
    LS_TRY(ls_session_agree(session, status));
    return ls_broadcast(session, m->shift, row_size);
}

static ls_status adapt(ls_session *session, moments *m, ls_model *model, ls_dataset *dataset)
{
    const double *sum;
    double *variance;
    const double n = (double)m->n_samples;
    ls_message_layout_init(&m->layout, LS_FLOAT64, m->n_features, 0, 0);
    LS_TRY(ls_tree_create(session, &m->layout, m->n_leaves, false, &m->tree));
    LS_TRY(share_first_row(session, m, dataset));
    ls_place_at(LS_AT_READ, -1);
    LS_TRY(ls_session_agree(session, prepare(m, dataset)));
    LS_TRY(add_all(m, false, &sum));
    for (int64_t j = 0; j < m->n_features; j++) m->total[j] = m->shift[j] + sum[j] / n;
    LS_TRY(add_all(m, true, &sum));
    ls_status status =
        ls_alloc(&variance, (size_t)m->n_features, sizeof *variance, "variances of the features");
    if (status == LS_OK) {
        for (int64_t j = 0; j < m->n_features; j++) variance[j] = sum[j] / n;
        status = ls_model_set_normalization(model, m->total, variance, ls_dataset_x_name(dataset));
        ls_free(variance);
    }
    return ls_session_agree(session, status);
}

ls_status ls_normalize(ls_session *session, ls_model *model, ls_dataset *dataset)
{
    moments m = {.n_samples = ls_dataset_n_samples(dataset), .n_features = ls_dataset_n_features(dataset)};
    m.n_leaves = ls_evaluation_leaves(m.n_samples);
    const ls_status status = adapt(session, &m, model, dataset);
    ls_row_reader_destroy(m.reader);
    ls_tree_destroy(m.tree);
    ls_free(m.mean);
    ls_free(m.squares);
    ls_free(m.piece_mean);
    ls_free(m.piece_squares);
    ls_free(m.shift);
    ls_free(m.total);
    ls_free(m.partial);
    return status;
}
