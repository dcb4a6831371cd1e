/* How a rank waits for another: looking often at first, for the partner is usually about to answer, then
 * giving the core away between looks, for it may be the partner that needs it. MPI's own blocking calls look
 * for ever, which made a step a thousand times slower beside another job. */
#ifndef LS_COMM_WAIT_H
#define LS_COMM_WAIT_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "comm/comm.h"

/* Looks before the core is given away, on a node with as many ranks as the session's. Local. */
int64_t ls_wait_looks(const ls_session *session);

/* Measures how long this rank waits for others, while it is on. */
typedef struct ls_wait_watch {
    bool on;
    double seconds;
} ls_wait_watch;

extern ls_wait_watch ls_wait_here;

/* The monotonic clock where waiting is measured, otherwise 0. Local. */
double ls_wait_clock(void);

/* Adds what has gone by since `begin`. Local. */
static inline void ls_wait_took(double begin)
{
    if (ls_wait_here.on) ls_wait_here.seconds += ls_wait_clock() - begin;
}

static inline void ls_wait_pause(int64_t look, int64_t looks)
{
    if (look >= looks) {
        sched_yield();
    } else {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
}

#endif
