/* How often which real class was predicted as which, for any number of classes: only pairs that occur are
 * kept, so memory grows with them, of which there are never more than samples. */
#ifndef LS_ENGINE_CONFUSION_H
#define LS_ENGINE_CONFUSION_H

#include "comm/comm.h"
#include "lockstep/evaluate.h"

/* A hash table of the pairs: {0} is an empty one. */
typedef struct ls_confusion {
    ls_confusion_cell *cells; /* capacity, a power of two; those without samples are free */
    int64_t capacity, n;
} ls_confusion;

/* Adds n_samples, at least 1, of a pair of classes. LS_E_MEMORY. Local. */
ls_status ls_confusion_add(ls_confusion *confusion, int64_t real, int64_t predicted, int64_t n_samples);

/* Moves the pairs of all ranks to rank 0 and sorts them there by real and then by predicted class, the first
 * n of cells; the other ranks have none then. Along a tree, so no rank holds more than what it brings
 * together. Collective. LS_E_MEMORY. */
ls_status ls_confusion_gather(ls_session *session, ls_confusion *confusion);

/* Frees it. Local. */
void ls_confusion_clear(ls_confusion *confusion);

#endif
