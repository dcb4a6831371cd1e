/* Whether the ranks are about to train the same model in the same way. */
#ifndef LS_TRAIN_COMPARE_H
#define LS_TRAIN_COMPARE_H

#include "comm/comm.h"
#include "engine/engine.h"
#include "lockstep/train.h"

/* Collective: model, options and what decides the engine's last bits are compared over all ranks.
 * LS_E_DIFFER; with allow_other_cpu another arithmetic is only told to the observer. */
ls_status ls_train_compare(ls_session *session, const ls_model *model, const ls_train_options *options,
                           const ls_engine_kind *engine, const ls_train_observer *observer);

#endif
