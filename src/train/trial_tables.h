/* The tables that a search leaves. */
#ifndef LS_TRAIN_TRIAL_TABLES_H
#define LS_TRAIN_TRIAL_TABLES_H

#include "train/trials.h"

/* Writes trials.csv (a line for each trial, in their order), results.csv (best first) and results.json (all
 * of it, with each execution) into the directory of the search, each whole or not at all. They hold nothing
 * of ranks or time. Local: rank 0 only. LS_E_OUTPUT, LS_E_MEMORY. */
ls_status ls_trial_tables_write(const ls_trials *trials);

#endif
