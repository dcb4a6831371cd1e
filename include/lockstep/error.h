/* Status codes and error messages.
 *
 * Every function that can fail returns an ls_status. The numbers are the exit codes of the command, so they
 * are stable. Beside the code there is one message per thread: it names the file and place, what was found
 * and what to do. Collective functions agree before they return: all ranks get the code and the text of the
 * lowest rank that failed. Only when MPI itself fails, so that nothing can be agreed on, the job ends by
 * MPI_Abort. */
#ifndef LOCKSTEP_ERROR_H
#define LOCKSTEP_ERROR_H

/* name, number (= exit code), meaning */
#define LS_STATUS_LIST(X)                                                                                    \
    X(LS_OK, 0, "success")                                                                                   \
    X(LS_E_INTERNAL, 1, "a defect of lockstep itself")                                                       \
    X(LS_E_USAGE, 2, "wrong option or parameter")                                                            \
    X(LS_E_INPUT, 3, "input file or data cannot be used")                                                    \
    X(LS_E_OUTPUT, 4, "output cannot be written")                                                            \
    X(LS_E_MEMORY, 5, "out of memory")                                                                       \
    X(LS_E_MPI, 6, "MPI call failed")                                                                        \
    X(LS_E_DIVERGED, 7, "training diverged: the loss is not finite")                                         \
    X(LS_E_STALLED, 8, "no progress for longer than the stall timeout")                                      \
    X(LS_E_DIFFER, 9, "ranks that must agree do not: different weights, inputs or programs")                 \
    X(LS_E_INTERRUPTED, 75, "stopped by a signal: start it again to go on")

typedef enum ls_status {
#define LS_STATUS_ENUM(name, number, text) name = number,
    LS_STATUS_LIST(LS_STATUS_ENUM)
#undef LS_STATUS_ENUM
} ls_status;

/* The meaning of a code, for example "input file or data cannot be used". Never NULL. Local. */
const char *ls_status_text(ls_status status);

/* The message of the newest failure in this thread, "" if there was none. Valid until the next failure.
 * Local. */
const char *ls_error_message(void);

/* Records the message of this thread and returns status, so that a function can "return ls_fail(...)".
 * Form of a message: "FILE: place: what was found: what to do". Local. */
ls_status ls_fail(ls_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
