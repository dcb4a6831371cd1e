/* What a run decides from one measure at the end of every epoch, as Keras' EarlyStopping, ReduceLROnPlateau
 * and ModelCheckpoint(save_best_only) do. The measure is the same on all ranks, hence so is the decision. */
#ifndef LS_TRAIN_MONITOR_H
#define LS_TRAIN_MONITOR_H

#include <jansson.h>

#include "lockstep/train.h"

/* The best value that one of them has seen, and for how many epochs there was no better one. */
typedef struct ls_best {
    bool found;
    double value;
    int64_t epoch; /* from 0 */
    int64_t wait;
} ls_best;

/* How far they are. */
typedef struct ls_monitor {
    ls_best stopping, plateau, saved;
    bool stopped;
    int64_t cooldown; /* epochs in which the learning rate stays */
    double reduction; /* of the learning rate so far: a factor, at most 1 */
} ls_monitor;

/* What is to be done after an epoch. */
typedef struct ls_decision {
    bool keep;    /* its weights are the best so far: put them aside for restore_best */
    bool save;    /* they go to save_best */
    bool reduced; /* the learning rate is smaller from now on */
    bool stopped; /* it was the last epoch */
} ls_decision;

/* Before the first epoch. Local. */
void ls_monitor_init(ls_monitor *monitor);

/* Whether the options ask for anything. Local. */
bool ls_monitor_exists(const ls_train_options *options);

/* LS_E_USAGE, with what to do, unless these options make sense for a model of that loss. Local. */
ls_status ls_monitor_check(const ls_train_options *options, ls_loss loss);

/* Takes the measures of an epoch, compares in dtype as Keras does, and says what to do. Local. */
ls_decision ls_monitor_epoch(ls_monitor *monitor, const ls_train_options *options, ls_dtype dtype,
                             int64_t epoch, const ls_metrics *training, const ls_metrics *validation);

/* Adds the options that decide the rest of a run to its settings. LS_E_MEMORY. Local. */
ls_status ls_monitor_add_settings(const ls_train_options *options, json_t *settings);

/* As JSON and back; false unless it is one of a run after n_epochs epochs. The caller owns the value, NULL
 * without memory. Local. */
json_t *ls_monitor_json(const ls_monitor *monitor);
bool ls_monitor_parse(json_t *json, int64_t n_epochs, ls_monitor *monitor);

#endif
