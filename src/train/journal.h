/* The journal of a search: its settings, then one line for each training that has ended, each with a digest.
 * A line counts once it is complete, so that a search that was killed loses the trainings under way and
 * nothing else. Rank 0 alone has it; all functions are local. */
#ifndef LS_TRAIN_JOURNAL_H
#define LS_TRAIN_JOURNAL_H

#include <jansson.h>
#include <stdbool.h>

#include "base/fail.h"

typedef struct ls_journal ls_journal;

/* Opens DIRECTORY/journal, or begins it with the settings. With `resume`, entry is called with each line that
 * is there, in their order; an incomplete last one is removed. LS_E_USAGE without `resume` if there is one,
 * or if it was written with other settings, the first of which is named with both values; LS_E_INPUT if it is
 * damaged; LS_E_OUTPUT; what entry returns. The caller closes *journal. */
ls_status ls_journal_open(const char *directory, bool resume, json_t *settings,
                          ls_status (*entry)(void *context, const json_t *line), void *context,
                          ls_journal **journal);

/* Appends a line, and drops the reference to it (which may be NULL, for lack of memory). It is on the disk at
 * the latest when half a second has gone by before the next one, or the journal is closed. LS_E_OUTPUT,
 * LS_E_MEMORY. */
ls_status ls_journal_append(ls_journal *journal, json_t *line);

/* Puts all on the disk and closes it; NULL is allowed. LS_E_OUTPUT. */
ls_status ls_journal_close(ls_journal *journal);

#endif
