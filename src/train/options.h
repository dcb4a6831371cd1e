/* What the user may ask of a training; the public half is lockstep/train.h. */
#ifndef LS_TRAIN_OPTIONS_H
#define LS_TRAIN_OPTIONS_H

#include "lockstep/train.h"

/* Shards of a batch: those of the options, or else the default. Local. */
int64_t ls_train_shards(const ls_train_options *options);

/* LS_E_USAGE or LS_E_INPUT, with what to do, unless n_ranks ranks can train so. Local. */
ls_status ls_train_check_options(const ls_model *model, ls_dataset *dataset, const ls_train_options *options,
                                 int n_ranks);

#endif
