/* One training as a run has it at any moment: what it is made of, how it begins (anew or from a checkpoint)
 * and what it writes. The steps are in train.c. */
#ifndef LS_TRAIN_RUN_H
#define LS_TRAIN_RUN_H

#include <jansson.h>

#include "comm/tree.h"
#include "engine/engine.h"
#include "engine/evaluate.h"
#include "lockstep/train.h"
#include "train/batches.h"
#include "train/history.h"
#include "train/mixing.h"
#include "train/optimizer.h"
#include "train/record.h"
#include "train/times.h"

/* Everything that one run needs, so that it is freed in one place. */
typedef struct ls_run {
    ls_session *session;
    ls_model *model;
    const ls_train_options *options;
    const ls_train_observer *observer;
    ls_history *history;
    int64_t n_shards;
    ls_order order;
    ls_engine *engine;
    ls_tree *tree;
    ls_dataset *inputs; /* the rows as the first layer takes them */
    ls_batches *batches;
    ls_optimizer_state *optimizer;
    bool has_penalty;
    bool knows_normalization;   /* from the checkpoint: the data were not asked */
    int64_t initial_iterations; /* of the optimizer, before the run */
    ls_evaluation *validation;  /* or NULL */
    int lock;                   /* of the checkpoint directory, on rank 0 */
    json_t *settings;           /* what must not change when the run is resumed */
    ls_position position;
    bool asked_to_stop;        /* by the observer of rank 0 */
    bool drops;                /* outputs of layers are dropped */
    bool stop;                 /* a signal came, or that: the same on all ranks */
    bool checkpoint_due;       /* by the clock of rank 0: the same on all ranks */
    double checkpoint_seconds; /* when the last one was written */
    double clock;              /* at the last look, on rank 0 */
    int64_t clock_stride, steps_to_look;
    ls_times times;
    double begin;             /* of the whole run */
    int64_t first_iterations; /* steps that the run did not do itself */
    bool mixes;               /* the labels of this epoch's batches are counted */
    ls_mixing labels;
    ls_train_mixing mixing;
    int64_t saved_iterations; /* steps that the newest checkpoint has, -1 for none */
} ls_run;

/* Steps since the start of the training. Local. */
static inline int64_t ls_run_iterations(const ls_run *r)
{
    return r->position.epoch * r->order.n_batches + r->position.step;
}

/* Has rank 0 tell the observer what the user should know. Local. */
void ls_run_notice(const ls_run *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Lets the optimizer know how far the learning rate has been reduced. Local. */
void ls_run_set_rate(ls_run *r);

/* Makes the parts of a run, whose session, model, options, observer, history, lock and n_shards are set, and
 * brings it to where it begins: the start, or if the options say so the newest checkpoint. Collective. What
 * it has made when it fails, ls_run_free frees. LS_E_INPUT for data and checkpoints that do not serve,
 * LS_E_USAGE, LS_E_MEMORY, LS_E_IO, the same on all ranks. */
ls_status ls_run_prepare(ls_run *r, ls_dataset *dataset);

/* Writes a checkpoint of this moment to the options' directory. Collective; LS_E_IO, LS_E_MEMORY, and
 * LS_E_INTERNAL where weights are verified and differ. */
ls_status ls_run_write_checkpoint(ls_run *r);

/* Writes a model file with all that a checkpoint has. Collective; fails as ls_run_write_checkpoint does. */
ls_status ls_run_write_model(ls_run *r, const char *path);

/* Frees the parts. Local. */
void ls_run_free(ls_run *r);

#endif
