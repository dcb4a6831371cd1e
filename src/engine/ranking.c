/* The area under the ROC curve, exact over all ranks. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "engine/scores.h"

enum { BUCKETS = 1 << 16, DIGIT_BITS = 16, DIGITS = 1 << DIGIT_BITS, PASSES = 4 };

/* By equal parts of [0, 1]: what is in a higher bucket is ranked higher, what is no number the highest. */
static int64_t bucket_of(uint64_t key)
{
    const uint64_t bits = key >> 1;
    double p;
    memcpy(&p, &bits, sizeof p);
    return p < 1 ? (int64_t)(p * BUCKETS) : BUCKETS - 1;
}

/* By digits of 16 bits, the lowest first; after an even number of passes the keys are where they were. */
static void sort_keys(uint64_t *keys, uint64_t *room, int64_t *counts, int64_t n)
{
    for (int pass = 0; pass < PASSES; pass++) {
        const int shift = DIGIT_BITS * pass;
        memset(counts, 0, DIGITS * sizeof *counts);
        for (int64_t i = 0; i < n; i++) counts[keys[i] >> shift & (DIGITS - 1)]++;
        for (int64_t digit = 0, begin = 0; digit < DIGITS; digit++) {
            const int64_t count = counts[digit];
            counts[digit] = begin;
            begin += count;
        }
        for (int64_t i = 0; i < n; i++) room[counts[keys[i] >> shift & (DIGITS - 1)]++] = keys[i];
        uint64_t *swap = keys;
        keys = room;
        room = swap;
    }
}

/* Twice the number of pairs with the positive one higher, ties counted once; n_below negatives are below all
 * keys. */
static int64_t count_pairs(const uint64_t *keys, int64_t n, int64_t n_below)
{
    int64_t twice = 0;
    for (int64_t i = 0; i < n;) {
        int64_t positives = 0, begin = i;
        for (; i < n && keys[i] >> 1 == keys[begin] >> 1; i++) positives += (int64_t)(keys[i] & 1);
        const int64_t negatives = i - begin - positives;
        twice += positives * (2 * n_below + negatives);
        n_below += negatives;
    }
    return twice;
}

/* How many keys go to whom and come from whom, and what is known of all. */
typedef struct traffic {
    int64_t *first_bucket; /* of each rank, and one more */
    int *send, *send_at, *receive, *receive_at;
    int64_t n_received, n_below; /* negatives in buckets before this rank's */
    int64_t positives, negatives;
} traffic;

/* Shares the buckets out so that ranks have about as many keys. counts: those of all ranks, negatives then
 * positives. */
static void share_buckets(int size, int rank, const int64_t *counts, traffic *t)
{
    int64_t all = 0, so_far = 0;
    for (int64_t b = 0; b < 2 * BUCKETS; b++) all += counts[b];
    int next = 0;
    for (int64_t b = 0; b < BUCKETS; b++) {
        while (next < size && so_far >= ls_split(all, size, next)) t->first_bucket[next++] = b;
        so_far += counts[b] + counts[BUCKETS + b];
    }
    while (next <= size) t->first_bucket[next++] = BUCKETS;
    for (int64_t b = 0; b < BUCKETS; b++) {
        t->negatives += counts[b];
        t->positives += counts[BUCKETS + b];
        if (b < t->first_bucket[rank]) t->n_below += counts[b];
        if (b >= t->first_bucket[rank] && b < t->first_bucket[rank + 1])
            t->n_received += counts[b] + counts[BUCKETS + b];
    }
}

/* Sends each key to the rank of its bucket. keys are grouped by it already: they are sorted. */
static ls_status exchange(ls_session *session, const uint64_t *keys, const int64_t *own, traffic *t,
                          uint64_t *received)
{
    int64_t at = 0;
    for (int r = 0; r < session->size; r++) {
        int64_t n = 0;
        for (int64_t b = t->first_bucket[r]; b < t->first_bucket[r + 1]; b++) n += own[b] + own[BUCKETS + b];
        t->send[r] = (int)n;
        t->send_at[r] = (int)at;
        at += n;
    }
    LS_TRY(ls_mpi_check(MPI_Alltoall(t->send, 1, MPI_INT, t->receive, 1, MPI_INT, session->comm),
                        "MPI_Alltoall"));
    for (int r = 1; r < session->size; r++) t->receive_at[r] = t->receive_at[r - 1] + t->receive[r - 1];
    return ls_mpi_check(MPI_Alltoallv(keys, t->send, t->send_at, MPI_UINT64_T, received, t->receive,
                                      t->receive_at, MPI_UINT64_T, session->comm),
                        "MPI_Alltoallv");
}

static ls_status make_traffic(const ls_session *session, traffic *t)
{
    const size_t n = (size_t)session->size;
    LS_TRY(ls_alloc(&t->first_bucket, n + 1, sizeof *t->first_bucket, "ranking"));
    LS_TRY(ls_alloc(&t->send, n, sizeof *t->send, "ranking"));
    LS_TRY(ls_alloc(&t->send_at, n, sizeof *t->send_at, "ranking"));
    LS_TRY(ls_alloc(&t->receive, n, sizeof *t->receive, "ranking"));
    return ls_alloc(&t->receive_at, n, sizeof *t->receive_at, "ranking");
}

static ls_status rank_all(ls_session *session, uint64_t *keys, int64_t n, traffic *t, int64_t *twice)
{
    int64_t *own = NULL, *all = NULL, sum = 0;
    uint64_t *room = NULL, *received = NULL;
    ls_status status = make_traffic(session, t);
    if (status == LS_OK)
        status = ls_alloc(&own, DIGITS > 2 * BUCKETS ? DIGITS : 2 * BUCKETS, sizeof *own, "ranking");
    if (status == LS_OK) status = ls_alloc(&all, 2 * BUCKETS, sizeof *all, "ranking");
    if (status == LS_OK) status = ls_alloc(&room, (size_t)n, sizeof *room, "predictions to be ranked");
    status = ls_session_agree(session, status);
    if (status == LS_OK) {
        sort_keys(keys, room, own, n);
        ls_free(room);
        room = NULL;
        memset(own, 0, 2 * BUCKETS * sizeof *own);
        for (int64_t i = 0; i < n; i++) own[(keys[i] & 1 ? BUCKETS : 0) + bucket_of(keys[i])]++;
        status = ls_mpi_check(MPI_Allreduce(own, all, 2 * BUCKETS, MPI_INT64_T, MPI_SUM, session->comm),
                              "MPI_Allreduce");
    }
    if (status == LS_OK) {
        share_buckets(session->size, session->rank, all, t);
        status =
            n > INT_MAX || t->n_received > INT_MAX
                ? ls_fail(LS_E_USAGE, "a rank has more than %d predictions to rank: start more ranks",
                          INT_MAX)
                : ls_alloc(&received, (size_t)t->n_received, sizeof *received, "predictions to be ranked");
        if (status == LS_OK)
            status = ls_alloc(&room, (size_t)t->n_received, sizeof *room, "predictions to be ranked");
        status = ls_session_agree(session, status);
    }
    if (status == LS_OK) status = exchange(session, keys, own, t, received);
    if (status == LS_OK) {
        sort_keys(received, room, own, t->n_received);
        const int64_t mine = count_pairs(received, t->n_received, t->n_below);
        status =
            ls_mpi_check(MPI_Allreduce(&mine, &sum, 1, MPI_INT64_T, MPI_SUM, session->comm), "MPI_Allreduce");
        *twice = sum;
    }
    ls_free(own);
    ls_free(all);
    ls_free(room);
    ls_free(received);
    return status;
}

ls_status ls_ranking_auc(ls_session *session, uint64_t *keys, int64_t n, double *auc)
{
    traffic t = {0};
    int64_t twice = 0;
    *auc = NAN;
    const ls_status status = rank_all(session, keys, n, &t, &twice);
    if (status == LS_OK && t.positives > 0 && t.negatives > 0)
        *auc = (double)twice / (2 * (double)t.positives * (double)t.negatives);
    ls_free(t.first_bucket);
    ls_free(t.send);
    ls_free(t.send_at);
    ls_free(t.receive);
    ls_free(t.receive_at);
    return status;
}
