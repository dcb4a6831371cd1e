/* How the library's own code reports failures; the public half is lockstep/error.h. */
#ifndef LS_BASE_FAIL_H
#define LS_BASE_FAIL_H

#include "lockstep/error.h"

enum { LS_MESSAGE_SIZE = 1024 };

/* Records the message of this thread and returns status, so that a function can "return ls_fail(...)".
 * Form of a message: "FILE: place: what was found: what to do". Local. */
ls_status ls_fail(ls_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Returns from the calling function when the expression is not LS_OK. */
#define LS_TRY(expression)                                                                                   \
    do {                                                                                                     \
        const ls_status ls_try_status_ = (expression);                                                       \
        if (ls_try_status_ != LS_OK) return ls_try_status_;                                                  \
    } while (0)

#endif
