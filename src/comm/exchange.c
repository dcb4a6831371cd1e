#include "comm/exchange.h"

#include <string.h>

#include "base/memory.h"
#include "comm/wait.h"

enum {
    PIECE = 1 << 30, /* bytes of one MPI transfer */
    TAG = 1,
    LINE = 64,
    LONG_BYTES = 32 * 1024, /* from here on twice the rounds cost less than log2 times the bytes */
    MAX_LEVELS = 31         /* log2 of the parties */
};

/* A part of the way up to the sum of a block. */
typedef struct move {
    enum { ADD, SEND, RECEIVE } kind;
    int message; /* what is added to, or sent */
    int other;   /* ADD: the other message; else the party */
} move;

struct ls_exchange {
    ls_session *session;
    ls_message_layout layout;
    int64_t n_leaves;
    int rank, size;     /* among the parties */
    int *session_ranks; /* of the parties */
    int n_blocks, block;
    int owner;                  /* party that owns the block */
    int group_begin, group_end; /* the parties that get the total from it */
    int partners[MAX_LEVELS];   /* of the owner in doubling */
    move moves[LS_MAX_SUBTREES + 64];
    int n_moves;
    int sum_at;            /* the owner's message that becomes the sum of the block */
    MPI_Request *requests; /* of what is being sent up */
    int n_requests;
    char *received; /* one message */
    int64_t looks;
};

/* ---- who does what ---- */

static int64_t begin_of(const ls_exchange *exchange, int party)
{
    return party == exchange->size
               ? exchange->n_leaves
               : ls_split(exchange->n_leaves, exchange->session->size, exchange->session_ranks[party]);
}

/* The party that has a leaf: the last one that begins at or before it. Parties without leaves begin where the
 * next one does. */
static int owner_of_leaf(const ls_exchange *exchange, int64_t leaf)
{
    int low = 0, high = exchange->size;
    while (high - low > 1) {
        const int middle = low + (high - low) / 2;
        if (begin_of(exchange, middle) <= leaf) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The party that has the first leaf of a block; beyond the last block the end of the parties. */
static int owner_of_block(const ls_exchange *exchange, int block)
{
    return block == exchange->n_blocks
               ? exchange->size
               : owner_of_leaf(exchange, exchange->n_leaves / exchange->n_blocks * block);
}

static bool owners_differ(const ls_exchange *exchange)
{
    for (int block = 0; block < exchange->n_blocks; block++)
        if (owner_of_block(exchange, block) == owner_of_block(exchange, block + 1)) return false;
    return true;
}

static void find_block(ls_exchange *exchange)
{
    exchange->n_blocks = 1;
    while (exchange->n_blocks <= exchange->size / 2 && exchange->n_blocks < exchange->n_leaves)
        exchange->n_blocks *= 2;
    while (!owners_differ(exchange)) exchange->n_blocks /= 2;
    while (owner_of_block(exchange, exchange->block + 1) <= exchange->rank) exchange->block++;
    exchange->owner = owner_of_block(exchange, exchange->block);
    exchange->group_begin = exchange->block == 0 ? 0 : exchange->owner;
    exchange->group_end = owner_of_block(exchange, exchange->block + 1);
    for (int level = 0; 1 << level < exchange->n_blocks; level++)
        exchange->partners[level] = owner_of_block(exchange, exchange->block ^ 1 << level);
}

/* Up the tree: at each level below the block the owner of a right half sends its sum to the owner of the left
 * half. */
static void plan_moves(ls_exchange *exchange)
{
    ls_subtree held[LS_MAX_SUBTREES];
    int message[LS_MAX_SUBTREES];
    int n_held = ls_subtrees_of(exchange->n_leaves, begin_of(exchange, exchange->rank),
                                begin_of(exchange, exchange->rank + 1), held);
    for (int i = 0; i < n_held; i++) message[i] = i;
    /* Below, every held subtree has at least `half` leaves: a smaller one has grown or gone at an earlier
     * level. */
    for (int64_t half = 1; half < exchange->n_leaves / exchange->n_blocks; half *= 2) {
        int kept = 0;
        for (int i = 0; i < n_held; i++) {
            move *next = &exchange->moves[exchange->n_moves];
            const int64_t first = held[i].first;
            bool keep = true;
            if (held[i].count == half && first & half) { /* a right half */
                keep = false;
                exchange->n_moves++;
                if (kept > 0 && held[kept - 1].first == first - half) {
                    *next = (move){ADD, message[kept - 1], message[i]};
                    held[kept - 1].count = 2 * half;
                } else {
                    *next = (move){SEND, message[i], owner_of_leaf(exchange, first - half)};
                }
            } else if (held[i].count == half &&
                       i + 1 == n_held) { /* the right half begins at another party */
                exchange->n_moves++;
                *next = (move){RECEIVE, message[i], owner_of_leaf(exchange, first + half)};
                held[i].count = 2 * half;
            }
            if (keep) {
                held[kept] = held[i];
                message[kept++] = message[i];
            }
        }
        n_held = kept;
    }
    exchange->sum_at = n_held > 0 ? message[0] : 0;
}

static ls_status prepare(ls_exchange *exchange, const char *is_party)
{
    const ls_session *session = exchange->session;
    for (int rank = 0; rank < session->size; rank++) exchange->size += is_party[rank];
    LS_TRY(ls_alloc(&exchange->session_ranks, (size_t)exchange->size, sizeof *exchange->session_ranks,
                    "reduction tree"));
    for (int rank = 0, i = 0; rank < session->size; rank++) {
        if (rank == session->rank) exchange->rank = i;
        if (is_party[rank]) exchange->session_ranks[i++] = rank;
    }
    find_block(exchange);
    plan_moves(exchange);
    const size_t pieces = (exchange->layout.size + PIECE - 1) / PIECE;
    LS_TRY(ls_alloc(&exchange->requests, LS_MAX_SUBTREES * pieces, sizeof *exchange->requests,
                    "reduction tree"));
    return ls_alloc(&exchange->received, 1, exchange->layout.size, "messages of the reduction tree");
}

ls_status ls_exchange_create(ls_session *session, const ls_message_layout *layout, int64_t n_leaves,
                             bool is_party, ls_exchange **out)
{
    ls_exchange *exchange = NULL;
    const char own = is_party;
    char *all;
    *out = NULL;
    ls_status status = ls_session_agree(session, ls_alloc(&all, (size_t)session->size, 1, "reduction tree"));
    if (status == LS_OK)
        status =
            ls_mpi_check(MPI_Allgather(&own, 1, MPI_CHAR, all, 1, MPI_CHAR, session->comm), "MPI_Allgather");
    if (status == LS_OK && is_party) status = ls_alloc(&exchange, 1, sizeof *exchange, "reduction tree");
    if (exchange) {
        exchange->session = session;
        exchange->layout = *layout;
        exchange->n_leaves = n_leaves;
        exchange->looks = ls_wait_looks(session);
        status = prepare(exchange, all);
    }
    ls_free(all);
    status = ls_session_agree(session, status);
    if (status == LS_OK) {
        *out = exchange;
    } else {
        ls_exchange_destroy(exchange);
    }
    return status;
}

void ls_exchange_destroy(ls_exchange *exchange)
{
    if (!exchange) return;
    ls_free(exchange->session_ranks);
    ls_free(exchange->requests);
    ls_free(exchange->received);
    ls_free(exchange);
}

/* ---- messages ---- */

static ls_status wait_for(const ls_exchange *exchange, MPI_Request *request)
{
    MPI_Status status; /* gcc takes MPICH's MPI_STATUS_IGNORE for an object, and warns of its size */
    int done = exchange->session->messages_only;
    const double begin = ls_wait_clock();
    if (done) LS_TRY(ls_mpi_check(MPI_Wait(request, &status), "MPI_Wait"));
    for (int64_t look = 0; !done; look++) {
        if (look > 0) ls_wait_pause(look - 1, exchange->looks);
        LS_TRY(ls_mpi_check(MPI_Test(request, &done, &status), "MPI_Test"));
    }
    ls_wait_took(begin);
    return LS_OK;
}

static ls_status begin_to_send(const ls_exchange *exchange, const char *out, size_t n, int to,
                               MPI_Request *request)
{
    return ls_mpi_check(
        MPI_Isend(out, (int)n, MPI_BYTE, exchange->session_ranks[to], TAG, exchange->session->comm, request),
        "MPI_Isend");
}

static ls_status begin_to_receive(const ls_exchange *exchange, char *in, size_t n, int from,
                                  MPI_Request *request)
{
    ls_place_at(LS_AT_REDUCE, exchange->session->first_rank + exchange->session_ranks[from]);
    return ls_mpi_check(
        MPI_Irecv(in, (int)n, MPI_BYTE, exchange->session_ranks[from], TAG, exchange->session->comm, request),
        "MPI_Irecv");
}

static size_t piece_of(size_t rest)
{
    return rest < PIECE ? rest : PIECE;
}

static ls_status receive(const ls_exchange *exchange, char *in, size_t n, int from)
{
    for (size_t at = 0, piece; at < n; at += piece) {
        MPI_Request request;
        piece = piece_of(n - at);
        LS_TRY(begin_to_receive(exchange, in + at, piece, from, &request));
        LS_TRY(wait_for(exchange, &request));
    }
    return LS_OK;
}

/* What is sent must stay as it is until wait_for_sent. */
static ls_status send_up(ls_exchange *exchange, const char *message, int to)
{
    for (size_t at = 0, piece; at < exchange->layout.size; at += piece) {
        piece = piece_of(exchange->layout.size - at);
        LS_TRY(begin_to_send(exchange, message + at, piece, to, &exchange->requests[exchange->n_requests++]));
    }
    return LS_OK;
}

static ls_status wait_for_sent(ls_exchange *exchange)
{
    for (int i = 0; i < exchange->n_requests; i++) LS_TRY(wait_for(exchange, &exchange->requests[i]));
    exchange->n_requests = 0;
    return LS_OK;
}

/* Sends bytes to another party while as many or others come from it. */
static ls_status swap(const ls_exchange *exchange, const char *out, size_t n_out, char *in, size_t n_in,
                      int with)
{
    for (size_t at = 0; at < n_out || at < n_in; at += PIECE) {
        MPI_Request sent, received;
        if (at < n_in) LS_TRY(begin_to_receive(exchange, in + at, piece_of(n_in - at), with, &received));
        if (at < n_out) LS_TRY(begin_to_send(exchange, out + at, piece_of(n_out - at), with, &sent));
        if (at < n_in) LS_TRY(wait_for(exchange, &received));
        if (at < n_out) LS_TRY(wait_for(exchange, &sent));
    }
    return LS_OK;
}

/* ---- adding ---- */

/* Nobody waits for another's sending here, so a party that sends and receives holds up neither. */
static ls_status add_in_block(ls_exchange *exchange, void *const *messages)
{
    const ls_message_layout *layout = &exchange->layout;
    for (int i = 0; i < exchange->n_moves; i++) {
        const move at = exchange->moves[i];
        if (at.kind == ADD) {
            ls_message_add(layout, messages[at.message], messages[at.other]);
        } else if (at.kind == SEND) {
            LS_TRY(send_up(exchange, messages[at.message], at.other));
        } else {
            LS_TRY(receive(exchange, exchange->received, layout->size, at.other));
            ls_message_add(layout, messages[at.message], exchange->received);
        }
    }
    return wait_for_sent(exchange);
}

/* Both partners add the same two messages; addition commutes, so both get the same bits. */
static ls_status add_by_doubling(ls_exchange *exchange, char *message)
{
    const size_t size = exchange->layout.size;
    for (int level = 0; 1 << level < exchange->n_blocks; level++) {
        LS_TRY(swap(exchange, message, size, exchange->received, size, exchange->partners[level]));
        ls_message_add(&exchange->layout, message, exchange->received);
    }
    return LS_OK;
}

/* Where the slice of a block begins in a message: at a whole line of reals. The last one has the rest, too.
 */
static size_t slice_begin(const ls_exchange *exchange, int slice)
{
    const size_t lines = (size_t)exchange->layout.n_reals * ls_dtype_size(exchange->layout.dtype) / LINE;
    return slice == exchange->n_blocks ? exchange->layout.size
                                       : (size_t)ls_split((int64_t)lines, exchange->n_blocks, slice) * LINE;
}

static void add_slices(const ls_exchange *exchange, char *message, size_t begin, size_t end)
{
    const ls_message_layout *layout = &exchange->layout;
    const size_t value = ls_dtype_size(layout->dtype);
    const char *received = exchange->received;
    const int64_t first = (int64_t)(begin / value),
                  last = end == layout->size ? layout->n_reals : (int64_t)(end / value);
    ls_message_add_reals(layout, last - first, message + begin, message + begin, received + begin);
    if (end == layout->size)
        ls_message_add_rest(layout, message + layout->doubles_at, message + layout->doubles_at,
                            received + layout->doubles_at);
}

/* At each level partners halve the slices that they add, in the order of doubling; then the sums go back the
 * same way. */
static ls_status add_by_halving(ls_exchange *exchange, char *message)
{
    int first = 0, n = exchange->n_blocks, level = 0;
    for (; n > 1; level++) {
        const bool upper = exchange->block >> level & 1;
        n /= 2;
        const size_t begin = slice_begin(exchange, first), middle = slice_begin(exchange, first + n),
                     end = slice_begin(exchange, first + 2 * n);
        const size_t kept = upper ? middle : begin, kept_end = upper ? end : middle;
        const size_t given = upper ? begin : middle, given_end = upper ? middle : end;
        LS_TRY(swap(exchange, message + given, given_end - given, exchange->received + kept, kept_end - kept,
                    exchange->partners[level]));
        add_slices(exchange, message, kept, kept_end);
        if (upper) first += n;
    }
    while (level-- > 0) {
        const bool upper = exchange->block >> level & 1;
        const int other = upper ? first - n : first + n;
        const size_t own = slice_begin(exchange, first), theirs = slice_begin(exchange, other);
        LS_TRY(swap(exchange, message + own, slice_begin(exchange, first + n) - own, message + theirs,
                    slice_begin(exchange, other + n) - theirs, exchange->partners[level]));
        if (upper) first -= n;
        n *= 2;
    }
    return LS_OK;
}

/* The owner's message to all parties of its block, along a binomial tree. */
static ls_status broadcast(ls_exchange *exchange, char *message)
{
    const int begin = exchange->group_begin, size = exchange->group_end - begin;
    const int root = exchange->owner - begin, rank = (exchange->rank - exchange->owner + size) % size;
    int distance = 1;
    while (distance < size && !(rank & distance)) distance *= 2;
    if (rank != 0)
        LS_TRY(receive(exchange, message, exchange->layout.size, begin + (rank - distance + root) % size));
    for (distance /= 2; distance > 0; distance /= 2)
        if (rank + distance < size)
            LS_TRY(send_up(exchange, message, begin + (rank + distance + root) % size));
    return wait_for_sent(exchange);
}

ls_status ls_exchange_add(ls_exchange *exchange, void *const *messages)
{
    char *sum = messages[0];
    LS_TRY(add_in_block(exchange, messages));
    if (exchange->rank == exchange->owner) {
        if (exchange->sum_at > 0) memcpy(sum, messages[exchange->sum_at], exchange->layout.size);
        LS_TRY(exchange->n_blocks > 2 && exchange->layout.size >= LONG_BYTES
                   ? add_by_halving(exchange, sum)
                   : add_by_doubling(exchange, sum));
    }
    return broadcast(exchange, sum);
}
