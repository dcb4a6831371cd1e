/* A thread per rank that ends the job when the work makes no progress, and says who is stuck; the public half
 * is ls_session_watch. */
#ifndef LS_COMM_WATCHDOG_H
#define LS_COMM_WATCHDOG_H

#include "comm/comm.h"

/* Stops what ls_session_watch started, if it runs. Local. */
void ls_watchdog_stop(ls_session *session);

#endif
