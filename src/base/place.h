/* Where this process is: which step, which operation, since when. Written by the work, read by the watchdogs
 * of this and the other ranks of the node, which tell from it who is stuck and in what. */
#ifndef LS_BASE_PLACE_H
#define LS_BASE_PLACE_H

#include <stdatomic.h>
#include <stdint.h>

/* name, whether it waits for another rank, words for a report */
#define LS_OPERATION_LIST(X)                                                                                 \
    X(LS_AT_START, 0, "starting")                                                                            \
    X(LS_AT_READ, 0, "reading data")                                                                         \
    X(LS_AT_COMPUTE, 0, "computing")                                                                         \
    X(LS_AT_WRITE, 0, "writing a file")                                                                      \
    X(LS_AT_CHECKPOINT, 0, "writing a checkpoint")                                                           \
    X(LS_AT_REDUCE, 1, "waiting in the reduction")                                                           \
    X(LS_AT_AGREE, 1, "waiting for the other ranks' outcome")                                                \
    X(LS_AT_END, 0, "ending")

typedef enum ls_operation {
#define LS_OPERATION_ENUM(name, waits, text) name,
    LS_OPERATION_LIST(LS_OPERATION_ENUM)
#undef LS_OPERATION_ENUM
} ls_operation;

/* One cache line per process. */
typedef struct ls_place {
    _Alignas(64) _Atomic uint64_t pulse; /* grows with every sign of life of the work */
    _Atomic int64_t step;                /* steps done since the start of training */
    _Atomic int32_t operation;
    _Atomic int32_t peer;      /* rank that a reduction waits for, -1 for no particular one */
    _Atomic int64_t heartbeat; /* milliseconds of the monotonic clock at the watchdog's last look */
} ls_place;

/* This process' place: private at first, in memory shared on the node once a session is open. Never NULL. */
extern ls_place *ls_place_here;

/* Says that the present operation goes on. Local. */
static inline void ls_place_pulse(void)
{
    ls_place *place = ls_place_here;
    atomic_store_explicit(&place->pulse, atomic_load_explicit(&place->pulse, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* Says what begins now. Cheap enough for every step. Local. */
static inline void ls_place_at(ls_operation operation, int peer)
{
    ls_place *place = ls_place_here;
    atomic_store_explicit(&place->operation, (int32_t)operation, memory_order_relaxed);
    atomic_store_explicit(&place->peer, peer, memory_order_relaxed);
    ls_place_pulse();
}

/* Takes the place back to private memory, before the shared memory goes. Local. */
void ls_place_leave(void);

/* Counts a step. Local. */
static inline void ls_place_step(int64_t step)
{
    atomic_store_explicit(&ls_place_here->step, step, memory_order_relaxed);
}

/* The words of an operation, and whether it waits for other ranks. Local. */
const char *ls_operation_text(ls_operation operation);
int ls_operation_waits(ls_operation operation);

#endif
