/* A thread per rank that ends the job when the work makes no progress, and says who is stuck. */
#ifndef LS_COMM_WATCHDOG_H
#define LS_COMM_WATCHDOG_H

#include "comm/comm.h"

/* Starts it: when the pulse of this rank's place rests for seconds, the first such rank of the node prints
 * the place of every rank of the node to stderr, marks those that are stuck, and the process exits with
 * LS_E_STALLED, which makes the launcher end the job. seconds <= 0 starts nothing. LS_E_INTERNAL if there is
 * no thread to be had. Local. */
ls_status ls_watchdog_start(ls_session *session, double seconds);

/* Stops it, if it runs. Local. */
void ls_watchdog_stop(ls_session *session);

#endif
