/* The learning rate as a function of the step. */
#ifndef LS_TRAIN_SCHEDULE_H
#define LS_TRAIN_SCHEDULE_H

#include "lockstep/optimizer.h"

/* The learning rate of the step after `iterations` steps, as Keras' LearningRateSchedule gives it for these;
 * rate is the one that the schedule begins (after a warm-up) with. decay_steps is not 0 where the schedule
 * has them. Made of plain arithmetic, so that processors of all kinds agree on its bits. Local. */
double ls_schedule_rate(const ls_schedule *schedule, double rate, int64_t iterations);

/* The schedule with the decay_steps that it leaves open, for a training that ends after n_steps. Local. */
ls_schedule ls_schedule_resolve(const ls_schedule *schedule, int64_t n_steps);

#endif
