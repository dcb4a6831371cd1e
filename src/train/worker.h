/* One training of a search, by a group of ranks. */
#ifndef LS_TRAIN_WORKER_H
#define LS_TRAIN_WORKER_H

#include "train/trials.h"

/* What all trainings of a group share. */
typedef struct ls_worker {
    ls_session *group;
    const ls_trials *trials;
    ls_dataset *train, *validation;
    ls_train_observer observer; /* its poll may stop a training */
} ls_worker;

/* Trains the unit's model from its seed, or from where the rung below has left it, and measures it. The
 * outcome, with the status of a failure, is the same on all ranks of the group. Collective over the group. */
void ls_worker_train(const ls_worker *worker, const ls_unit *unit, ls_outcome *outcome);

/* Trains the settings of a trial anew, from the seed of ls_trials_anew, `epochs` epochs if it is the
 * search that varies them; writes options->output of the trials' training. history and *model are the
 * caller's to free. Collective over the group. */
ls_status ls_worker_train_best(const ls_worker *worker, int64_t trial, int64_t epochs, ls_history *history,
                               ls_model **model);

/* The model of a trial's settings, untrained. LS_E_USAGE, LS_E_MEMORY. Local. */
ls_status ls_worker_model(const ls_trial *settings, int64_t n_features, uint64_t seed, ls_model **model);

/* Removes what the rungs of a trial have left for higher ones. Local: one rank only. */
void ls_worker_forget(const ls_trials *trials, int64_t trial);

#endif
