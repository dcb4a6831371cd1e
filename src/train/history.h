/* Collecting the epochs of a run; the public half is in lockstep/train.h. */
#ifndef LS_TRAIN_HISTORY_H
#define LS_TRAIN_HISTORY_H

#include "lockstep/train.h"

/* Room for records that a history of n epochs has: at least n. ls_history_append counts on it. Local. */
int64_t ls_history_capacity(int64_t n);

/* Appends a copy of record, the same number of calls on every rank. Collective. LS_E_MEMORY. */
ls_status ls_history_append(ls_session *session, ls_history *history, const ls_epoch_record *record);

#endif
