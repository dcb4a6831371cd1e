/* Handing out the trainings of a search to groups of ranks.
 *
 * Rank 0 keeps the search. The first rank of each group asks it for a training, and brings the result along
 * when it asks again; rank 0, whose group trains as well, answers between two of its own steps. So nobody
 * waits but for trials that are not decided yet, and the search itself is in one place. */
#ifndef LS_TRAIN_HANDOUT_H
#define LS_TRAIN_HANDOUT_H

#include <stdbool.h>

#include "comm/comm.h"
#include "train/journal.h"
#include "train/trials.h"
#include "train/worker.h"

/* A rank's part in a search; what it borrows and owns is its maker's to free. */
typedef struct ls_handout {
    ls_session *session;
    const ls_tune_options *options;
    const ls_tune_observer *observer;
    ls_trials trials;
    ls_worker worker;
    int n_groups;
    bool halted; /* this group leaves its training */
    /* On rank 0: */
    ls_journal *journal;
    int lock;
    bool stopping;
    ls_status status; /* why */
    char text[LS_MESSAGE_SIZE];
    int n_stopped;     /* groups that know that there is nothing more */
    int *idle, n_idle; /* first ranks of groups that wait for a training */
    bool *is_busy;     /* by rank */
    int n_busy;
    bool *is_forgotten; /* by trial: its directories are gone */
    double begin, share_at_begin;
    int64_t n_done; /* trials */
} ls_handout;

/* One row for the user. The caller frees its settings with ls_free. LS_E_MEMORY. Local. */
ls_status ls_handout_row(const ls_trials *trials, int64_t trial, ls_tune_row *row);

/* Counts the trials that are done, and removes what no higher rung needs any more. Local: rank 0 only. */
void ls_handout_tidy(ls_handout *t);

/* Does all trainings, until there are none or the search is stopped; then rank 0 has the reason in status and
 * text, and the journal all results. Collective over the session. LS_E_MPI. */
ls_status ls_handout_work(ls_handout *t);

/* To be the poll of the trainings' observer, whose context is the handout. */
bool ls_handout_poll(void *context);

#endif
