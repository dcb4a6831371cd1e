/* Whether a training can be done as asked. */
#ifndef LS_TRAIN_CHECK_H
#define LS_TRAIN_CHECK_H

#include "comm/comm.h"
#include "lockstep/train.h"

/* LS_E_USAGE, LS_E_INPUT, naming what is wrong and what would do: options out of range, features that do not
 * fit the model, more ranks than rows, samples of a batch or shards. n_shards is the number in force. Local:
 * a pure function of its arguments. */
ls_status ls_train_check(const ls_session *session, const ls_model *model, const ls_dataset *dataset,
                         const ls_train_options *options, int64_t n_shards);

#endif
