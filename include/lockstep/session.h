/* The ranks that work together. Open one session before any collective function, close it last. */
#ifndef LOCKSTEP_SESSION_H
#define LOCKSTEP_SESSION_H

#include "lockstep/error.h"

typedef struct ls_session ls_session;

/* Initialises MPI (unless the caller did) and numbers the ranks by (node, place on the node), so that
 * neighbours in the reduction tree share a node. Collective over MPI_COMM_WORLD. The caller closes *session.
 */
ls_status ls_session_open(ls_session **session);

/* Ends the session, and MPI if ls_session_open began it. NULL is allowed. Collective. */
void ls_session_close(ls_session *session);

/* This process' number, 0 .. size-1. Rank 0 prints, decides and writes. Local. */
int ls_session_rank(const ls_session *session);

/* Number of ranks. Local. */
int ls_session_size(const ls_session *session);

/* Shares a local outcome: all ranks return the status of the lowest rank that failed (LS_OK if none did), and
 * ls_error_message() gives that rank's text everywhere. Collective. */
ls_status ls_session_agree(ls_session *session, ls_status status);

/* Finds out on rank 0, before hours of work, whether a file could be written at path. Collective.
 * LS_E_OUTPUT. */
ls_status ls_session_check_output(ls_session *session, const char *path);

/* One line each: lockstep's version, MPI, HDF5, BLAS as linked at run time. The text is static. Works before
 * ls_session_open. Local. */
const char *ls_version_text(void);

#endif
