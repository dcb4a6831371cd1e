#include "engine/confusion.h"

#include <stdlib.h>

#include "base/memory.h"

enum { FIRST_CAPACITY = 64, PIECE = 1 << 12 /* pairs in a message */, TAG = 2 };

/* Where the pair is or may be put. */
static ls_confusion_cell *find(const ls_confusion *confusion, int64_t real, int64_t predicted)
{
    const uint64_t mask = (uint64_t)confusion->capacity - 1;
    uint64_t at = ((uint64_t)real * 0x9e3779b97f4a7c15U + (uint64_t)predicted) * 0xbf58476d1ce4e5b9U;
    for (at ^= at >> 32;; at++) {
        ls_confusion_cell *cell = &confusion->cells[at & mask];
        if (cell->n_samples == 0 || (cell->real == real && cell->predicted == predicted)) return cell;
    }
}

static ls_status grow(ls_confusion *confusion)
{
    const ls_confusion old = *confusion;
    ls_confusion larger = {.capacity = old.capacity > 0 ? 2 * old.capacity : FIRST_CAPACITY, .n = old.n};
    LS_TRY(ls_alloc(&larger.cells, (size_t)larger.capacity, sizeof *larger.cells, "confusion matrix"));
    for (const ls_confusion_cell *cell = old.cells; cell < old.cells + old.capacity; cell++)
        if (cell->n_samples > 0) *find(&larger, cell->real, cell->predicted) = *cell;
    ls_free(old.cells);
    *confusion = larger;
    return LS_OK;
}

ls_status ls_confusion_add(ls_confusion *confusion, int64_t real, int64_t predicted, int64_t n_samples)
{
    if (2 * confusion->n >= confusion->capacity) LS_TRY(grow(confusion));
    ls_confusion_cell *cell = find(confusion, real, predicted);
    if (cell->n_samples == 0) {
        *cell = (ls_confusion_cell){.real = real, .predicted = predicted};
        confusion->n++;
    }
    cell->n_samples += n_samples;
    return LS_OK;
}

/* Puts the pairs side by side; the table is none any more. */
static void compact(ls_confusion *confusion)
{
    int64_t n = 0;
    for (int64_t i = 0; i < confusion->capacity; i++)
        if (confusion->cells[i].n_samples > 0) confusion->cells[n++] = confusion->cells[i];
    confusion->capacity = 0;
}

static int by_classes(const void *a, const void *b)
{
    const ls_confusion_cell *x = a, *y = b;
    if (x->real != y->real) return x->real < y->real ? -1 : 1;
    return (x->predicted > y->predicted) - (x->predicted < y->predicted);
}

static ls_status send_pairs(ls_session *session, int to, ls_confusion *confusion)
{
    compact(confusion);
    LS_TRY(ls_mpi_check(MPI_Send(&confusion->n, 1, MPI_INT64_T, to, TAG, session->comm), "MPI_Send"));
    for (int64_t at = 0, n; at < confusion->n; at += n) {
        n = confusion->n - at < PIECE ? confusion->n - at : PIECE;
        LS_TRY(ls_mpi_check(MPI_Send(confusion->cells + at, (int)(n * (int64_t)sizeof *confusion->cells),
                                     MPI_BYTE, to, TAG, session->comm),
                            "MPI_Send"));
    }
    ls_confusion_clear(confusion);
    return LS_OK;
}

/* Takes everything that is sent, also where there is no memory for it. */
static ls_status receive_pairs(ls_session *session, int from, ls_confusion_cell *room,
                               ls_confusion *confusion)
{
    int64_t all;
    ls_status status = LS_OK;
    LS_TRY(ls_mpi_check(MPI_Recv(&all, 1, MPI_INT64_T, from, TAG, session->comm, MPI_STATUS_IGNORE),
                        "MPI_Recv"));
    for (int64_t at = 0, n; at < all; at += n) {
        n = all - at < PIECE ? all - at : PIECE;
        LS_TRY(ls_mpi_check(MPI_Recv(room, (int)(n * (int64_t)sizeof *room), MPI_BYTE, from, TAG,
                                     session->comm, MPI_STATUS_IGNORE),
                            "MPI_Recv"));
        for (int64_t i = 0; i < n && status == LS_OK; i++)
            status = ls_confusion_add(confusion, room[i].real, room[i].predicted, room[i].n_samples);
    }
    return status;
}

ls_status ls_confusion_gather(ls_session *session, ls_confusion *confusion)
{
    ls_confusion_cell *room;
    ls_status status =
        ls_session_agree(session, ls_alloc(&room, PIECE, sizeof *room, "parts of a confusion matrix"));
    for (int step = 1; status == LS_OK && step < session->size; step *= 2) {
        if (session->rank % (2 * step) == step) {
            status = send_pairs(session, session->rank - step, confusion);
        } else if (session->rank % (2 * step) == 0 && session->rank + step < session->size) {
            status = receive_pairs(session, session->rank + step, room, confusion);
        }
        status = ls_session_agree(session, status);
    }
    ls_free(room);
    if (status != LS_OK) return status;
    compact(confusion);
    if (confusion->n > 0) qsort(confusion->cells, (size_t)confusion->n, sizeof *confusion->cells, by_classes);
    return LS_OK;
}

void ls_confusion_clear(ls_confusion *confusion)
{
    ls_free(confusion->cells);
    *confusion = (ls_confusion){0};
}
