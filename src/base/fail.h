/* How the library's own code reports failures; the public half is lockstep/error.h. */
#ifndef LS_BASE_FAIL_H
#define LS_BASE_FAIL_H

#include <stddef.h>

#include "lockstep/error.h"

enum { LS_MESSAGE_SIZE = 1024 };

/* Returns from the calling function when the expression is not LS_OK. */
#define LS_TRY(expression)                                                                                   \
    do {                                                                                                     \
        const ls_status ls_try_status_ = (expression);                                                       \
        if (ls_try_status_ != LS_OK) return ls_try_status_;                                                  \
    } while (0)

/* Adds a name to a list for a message, ", " between two: a text of size bytes, which is cut where it is full.
 * Local. */
void ls_list_name(char *list, size_t size, const char *name);

#endif
