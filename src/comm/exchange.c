#include "comm/exchange.h"

#include "base/memory.h"
#include "comm/wait.h"

enum {
    PIECE = 1 << 30, /* bytes of one MPI transfer */
    TAG = 1
};

struct ls_exchange {
    ls_session *session;
    ls_message_layout layout;
    MPI_Comm comm; /* the parties */
    int rank, size;
    int *session_ranks; /* of the parties, for reports */
    int64_t *begins;    /* of each party's leaves, and the end */
    int64_t n_leaves;
    bool doubling;
    char *received; /* one message */
    int64_t looks;
};

/* Doubling adds along the tree where all ranges are equal powers of two. */
static bool ranges_are_equal(const ls_exchange *exchange)
{
    const int64_t rows = exchange->n_leaves / exchange->size;
    for (int i = 0; i < exchange->size; i++)
        if (exchange->begins[i + 1] - exchange->begins[i] != rows) return false;
    return rows > 0 && (exchange->size & (exchange->size - 1)) == 0;
}

static ls_status fill(ls_exchange *exchange, int64_t begin)
{
    LS_TRY(
        ls_mpi_check(MPI_Comm_set_errhandler(exchange->comm, MPI_ERRORS_RETURN), "MPI_Comm_set_errhandler"));
    LS_TRY(
        ls_mpi_check(MPI_Allgather(&begin, 1, MPI_INT64_T, exchange->begins, 1, MPI_INT64_T, exchange->comm),
                     "MPI_Allgather"));
    LS_TRY(ls_mpi_check(MPI_Allgather(&exchange->session->rank, 1, MPI_INT, exchange->session_ranks, 1,
                                      MPI_INT, exchange->comm),
                        "MPI_Allgather"));
    exchange->begins[exchange->size] = exchange->n_leaves;
    exchange->doubling = ranges_are_equal(exchange);
    return LS_OK;
}

static ls_status allocate(ls_exchange *exchange)
{
    LS_TRY(
        ls_alloc(&exchange->begins, (size_t)exchange->size + 1, sizeof *exchange->begins, "reduction tree"));
    LS_TRY(ls_alloc(&exchange->session_ranks, (size_t)exchange->size, sizeof *exchange->session_ranks,
                    "reduction tree"));
    return ls_alloc(&exchange->received, 1, exchange->layout.size, "messages of the reduction tree");
}

ls_status ls_exchange_create(ls_session *session, const ls_message_layout *layout, int64_t n_leaves,
                             bool is_party, int64_t begin, ls_exchange **out)
{
    MPI_Comm comm;
    ls_exchange *exchange = NULL;
    *out = NULL;
    LS_TRY(ls_mpi_check(MPI_Comm_split(session->comm, is_party ? 0 : MPI_UNDEFINED, session->rank, &comm),
                        "MPI_Comm_split"));
    ls_status status = LS_OK;
    if (is_party) status = ls_alloc(&exchange, 1, sizeof *exchange, "reduction tree");
    if (exchange) {
        exchange->session = session;
        exchange->layout = *layout;
        exchange->comm = comm;
        exchange->n_leaves = n_leaves;
        exchange->looks = ls_wait_looks(session);
        status = ls_mpi_check(MPI_Comm_rank(comm, &exchange->rank), "MPI_Comm_rank");
        if (status == LS_OK) status = ls_mpi_check(MPI_Comm_size(comm, &exchange->size), "MPI_Comm_size");
        if (status == LS_OK) status = allocate(exchange);
    }
    status = ls_session_agree(session, status);
    if (status == LS_OK && exchange) status = fill(exchange, begin);
    if (status == LS_OK) {
        *out = exchange;
    } else if (exchange) {
        ls_exchange_destroy(exchange);
    } else if (comm != MPI_COMM_NULL) {
        MPI_Comm_free(&comm);
    }
    return status;
}

void ls_exchange_destroy(ls_exchange *exchange)
{
    if (!exchange) return;
    MPI_Comm_free(&exchange->comm);
    ls_free(exchange->begins);
    ls_free(exchange->session_ranks);
    ls_free(exchange->received);
    ls_free(exchange);
}

/* Waits for both requests; MPI_REQUEST_NULL is allowed. */
static ls_status wait_both(const ls_exchange *exchange, MPI_Request requests[2])
{
    MPI_Status statuses[2]; /* gcc takes MPICH's MPI_STATUSES_IGNORE for an array, and warns of its size */
    const double begin = ls_wait_clock();
    for (int64_t look = 0;; look++) {
        int done = 0;
        LS_TRY(ls_mpi_check(MPI_Testall(2, requests, &done, statuses), "MPI_Testall"));
        if (done) break;
        ls_wait_pause(look, exchange->looks);
    }
    ls_wait_took(begin);
    return LS_OK;
}

/* Sends a message to one party and receives one from another; -1 for none. */
static ls_status transfer(const ls_exchange *exchange, const char *out, int to, char *in, int from)
{
    MPI_Comm comm = exchange->comm;
    ls_place_at(LS_AT_REDUCE, exchange->session_ranks[from >= 0 ? from : to]);
    for (size_t at = 0; at < exchange->layout.size; at += PIECE) {
        const size_t rest = exchange->layout.size - at;
        const int n = (int)(rest < PIECE ? rest : PIECE);
        MPI_Request requests[2] = {MPI_REQUEST_NULL, MPI_REQUEST_NULL};
        if (from >= 0)
            LS_TRY(ls_mpi_check(MPI_Irecv(in + at, n, MPI_BYTE, from, TAG, comm, &requests[0]), "MPI_Irecv"));
        if (to >= 0)
            LS_TRY(ls_mpi_check(MPI_Isend(out + at, n, MPI_BYTE, to, TAG, comm, &requests[1]), "MPI_Isend"));
        LS_TRY(wait_both(exchange, requests));
    }
    return LS_OK;
}

/* Both partners add the same two messages; addition commutes, so both get the same bits. */
static ls_status add_by_doubling(ls_exchange *exchange, char *message)
{
    for (int distance = 1; distance < exchange->size; distance *= 2) {
        const int partner = exchange->rank ^ distance;
        LS_TRY(transfer(exchange, message, partner, exchange->received, partner));
        ls_message_add(&exchange->layout, message, exchange->received);
    }
    return LS_OK;
}

/* The root's message to all parties, along a binomial tree. */
static ls_status broadcast(ls_exchange *exchange, int root, char *message)
{
    const int size = exchange->size, rank = (exchange->rank - root + size) % size;
    int distance = 1;
    while (distance < size && !(rank & distance)) distance *= 2;
    if (rank != 0) LS_TRY(transfer(exchange, NULL, -1, message, (rank - distance + root) % size));
    for (distance /= 2; distance > 0; distance /= 2)
        if (rank + distance < size)
            LS_TRY(transfer(exchange, message, (rank + distance + root) % size, NULL, -1));
    return LS_OK;
}

/* The party that has a leaf: the last one that begins at or before it. Parties without leaves begin where the
 * next one does. */
static int owner(const ls_exchange *exchange, int64_t leaf)
{
    int low = 0, high = exchange->size;
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (exchange->begins[middle] <= leaf) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Walks up the tree: at each level the owner of a right half sends its sum to the owner of the left half.
 * Sums travel to lower parties only, so nobody waits in a circle. Then the owner of leaf 0 broadcasts. */
static ls_status add_by_tree(ls_exchange *exchange, void *const *messages)
{
    struct {
        int64_t first, count;
        void *message;
    } held[LS_MAX_SUBTREES];
    ls_subtree subtrees[LS_MAX_SUBTREES];
    int n_held = ls_subtrees_of(exchange->n_leaves, exchange->begins[exchange->rank],
                                exchange->begins[exchange->rank + 1], subtrees);
    for (int i = 0; i < n_held; i++) {
        held[i].first = subtrees[i].first;
        held[i].count = subtrees[i].count;
        held[i].message = messages[i];
    }
    /* Below, every held subtree has at least `half` leaves: a smaller one has grown or gone at an earlier
     * level. */
    for (int64_t half = 1; half < exchange->n_leaves; half *= 2) {
        int kept = 0;
        for (int i = 0; i < n_held; i++) {
            const int64_t first = held[i].first;
            if (held[i].count > half) {
                held[kept++] = held[i];
            } else if (first & half) { /* a right half */
                if (kept > 0 && held[kept - 1].first == first - half) {
                    ls_message_add(&exchange->layout, held[kept - 1].message, held[i].message);
                    held[kept - 1].count = 2 * half;
                } else {
                    LS_TRY(transfer(exchange, held[i].message, owner(exchange, first - half), NULL, -1));
                }
            } else {
                if (i + 1 == n_held) { /* the right half begins at another party */
                    LS_TRY(transfer(exchange, NULL, -1, exchange->received, owner(exchange, first + half)));
                    ls_message_add(&exchange->layout, held[i].message, exchange->received);
                    held[i].count = 2 * half;
                }
                held[kept++] = held[i];
            }
        }
        n_held = kept;
    }
    return broadcast(exchange, owner(exchange, 0), messages[0]);
}

ls_status ls_exchange_add(ls_exchange *exchange, void *const *messages)
{
    if (exchange->size == 1) return LS_OK;
    return exchange->doubling ? add_by_doubling(exchange, messages[0]) : add_by_tree(exchange, messages);
}
