/* How a rank waits for another: looking often at first, for the partner is usually about to answer, then
 * giving the core away between looks, for it may be the partner that needs it. MPI's own blocking calls look
 * for ever, which made a step a thousand times slower beside another job. */
#ifndef LS_COMM_WAIT_H
#define LS_COMM_WAIT_H

#include <sched.h>
#include <stdint.h>

#include "comm/comm.h"

/* Looks before the core is given away, on a node with as many ranks as the session's. Local. */
int64_t ls_wait_looks(const ls_session *session);

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
