/* A directory of checkpoints: model files that also carry the record of their run. */
#ifndef LS_TRAIN_CHECKPOINT_H
#define LS_TRAIN_CHECKPOINT_H

#include "lockstep/train.h"
#include "train/optimizer.h"
#include "train/record.h"

/* Writes the checkpoint of a run that has done iterations steps in all into directory (made if it does not
 * exist), then removes the oldest ones beyond the newest keep. Each file appears whole or not at all, and
 * none is removed before its successor is safe on disk. Rank 0 writes. Collective; arguments must agree.
 * LS_E_OUTPUT. */
ls_status ls_checkpoint_write(ls_session *session, const char *directory, int64_t keep, const ls_model *model,
                              const ls_training_config *config, int64_t iterations, const char *record);

/* Removes the oldest ones beyond the newest keep up to the one after `iterations` steps, which is known to be
 * whole: what a run that was killed after writing had not come to. Rank 0 does. Collective; arguments must
 * agree. LS_E_OUTPUT. */
ls_status ls_checkpoint_prune(ls_session *session, const char *directory, int64_t keep, int64_t iterations);

/* The newest complete checkpoint of directory: its parameters and best_parameters go into model, whose layers
 * and dtype must be the same, the optimizer's state into optimizer (NULL for none) if it is of the same kind,
 * its record into *text, for the caller to ls_free; name (size bytes) gets its path. *text is NULL if there
 * is none. A damaged file is told to the observer and passed over for the one before it; if none is left
 * undamaged, LS_E_INPUT. Rank 0 reads. Collective; arguments must agree. */
ls_status ls_checkpoint_read_newest(ls_session *session, const char *directory, ls_model *model,
                                    ls_optimizer_state *optimizer, const ls_train_observer *observer,
                                    char **text, char *name, size_t size);

/* Gives the model the mean and variance of the newest complete checkpoint of directory, if there is one that
 * has them for as many features in the same dtype. Rank 0 reads. Collective; arguments must agree.
 * LS_E_MEMORY. */
ls_status ls_checkpoint_adopt_normalization(ls_session *session, const char *directory, ls_model *model,
                                            bool *adopted);

/* Prepares the directory for a run: makes it, locks it on rank 0 until *lock is given to
 * ls_checkpoint_release or the process ends, removes what a killed run left half written. LS_E_USAGE if
 * another run holds the lock (and does not leave within seconds), or if fresh and there are checkpoints,
 * which would mix with those to come. *lock is -1 on the other ranks and after a failure. Collective.
 * LS_E_OUTPUT. */
ls_status ls_checkpoint_prepare(ls_session *session, const char *directory, bool fresh, int *lock);

/* Lets other runs into the directory; -1 is allowed. Local. */
void ls_checkpoint_release(int lock);

#endif
