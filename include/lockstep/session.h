/* The ranks that work together. Open one session before any collective function, close it last. */
#ifndef LOCKSTEP_SESSION_H
#define LOCKSTEP_SESSION_H

#include <stddef.h>

#include "lockstep/error.h"

typedef struct ls_session ls_session;

/* Initialises MPI (unless the caller did) and numbers the ranks by (node, place on the node), so that
 * neighbours in the reduction tree share a node. Holds the BLAS library to one thread: the ranks are the
 * parallelism, and the number of its threads would change the last bits. With LOCKSTEP_TRANSPORT=messages in
 * the environment of all ranks they share no memory and leave all exchange and waiting to MPI; shared is the
 * default. Collective over MPI_COMM_WORLD. The caller closes *session. LS_E_USAGE if the launcher started
 * several processes that have not met or the variable has another value, LS_E_DIFFER if the ranks run
 * different builds or libraries. */
ls_status ls_session_open(ls_session **session);

/* From now on until the session is closed: when no rank of a node gives a sign of life for seconds, the first
 * of them to notice prints where each of them is to stderr, marks those that are stuck, and the process exits
 * with LS_E_STALLED, which makes the launcher end the job. A rank that reads, writes or computes gives a sign
 * with every piece of it; one that waits for a rank of another node gives none, so seconds must exceed the
 * longest time that any rank reads or writes while the others wait. seconds <= 0 watches nothing. Collective.
 * LS_E_INTERNAL if there is no thread to be had. */
ls_status ls_session_watch(ls_session *session, double seconds);

/* Ends the session, and MPI if ls_session_open began it. NULL is allowed. Collective. */
void ls_session_close(ls_session *session);

/* This process' number, 0 .. size-1. Rank 0 prints, decides and writes. Local. */
int ls_session_rank(const ls_session *session);

/* Number of ranks. Local. */
int ls_session_size(const ls_session *session);

/* Shares a local outcome: all ranks return the status of the lowest rank that failed (LS_OK if none did), and
 * ls_error_message() gives that rank's text everywhere. Collective. */
ls_status ls_session_agree(ls_session *session, ls_status status);

/* Refuses with LS_E_DIFFER unless all ranks give the same text. It has a line for each thing to compare; the
 * message names the ranks that differ from rank 0, the first line in which the lowest of them does, on both
 * sides, and the remedy. One small reduction when they agree. Collective; remedy must agree. */
ls_status ls_session_compare(ls_session *session, const char *text, const char *remedy);

/* Sets warning (of size bytes) on every rank to a line about ranks that are bound to the same core, "" if
 * there are none. Collective. */
ls_status ls_session_check_cores(ls_session *session, char *warning, size_t size);

/* Finds out on rank 0, before hours of work, whether a file could be written at path. Collective.
 * LS_E_OUTPUT. */
ls_status ls_session_check_output(ls_session *session, const char *path);

/* Starts the program anew with the right kernels if OpenBLAS has taken some that are far below the CPU, as it
 * does on a CPU newer than itself; ls_version_text says so. It reads OPENBLAS_CORETYPE when it is loaded,
 * hence the new start; where the user has set that, nothing happens. To be called first in main, before MPI.
 * argv is that of main. Local. */
void ls_blas_choose_kernels(char *const argv[]);

/* One line each: lockstep's version, MPI, HDF5, BLAS as linked at run time. The text is static. Works before
 * ls_session_open. Local. */
const char *ls_version_text(void);

#endif
