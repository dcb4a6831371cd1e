/* Where the time of a training goes. Looking at the clock takes as long as a good part of a small step, so
 * steps are sampled. */
#ifndef LS_TRAIN_TIMES_H
#define LS_TRAIN_TIMES_H

#include "base/clock.h"
#include "comm/comm.h"
#include "lockstep/train.h"

typedef struct ls_times {
    double compute, reduce,
        wait;             /* seconds of the steps that were timed, each weighted by the steps it stands for */
    double io;            /* reading the data, writing checkpoints and the model */
    double read_in_steps; /* reading that is a part of the steps' compute */
    double all;           /* seconds of all steps */
    int64_t stride, until_next;
    double step_begin, begin; /* of a timed step and of its present part; begin is 0 in other steps */
} ls_times;

/* Around the parts of a step, in this order. Local. */
void ls_times_step_begins(ls_times *times);
void ls_times_computed(ls_times *times);
void ls_times_reduced(ls_times *times);
void ls_times_step_ends(ls_times *times);

/* Means over the ranks, and on rank 0 what fewer ranks would take. Collective. LS_E_MPI. */
ls_status ls_times_gather(ls_session *session, const ls_times *times, ls_train_times *result);

#endif
