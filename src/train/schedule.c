#include "train/schedule.h"

#include <math.h>

#include "base/functions.h"

static double decay(const ls_schedule *schedule, double steps)
{
    const double passed = steps / (double)schedule->decay_steps;
    double factor = 1;
    switch (schedule->kind) {
    case LS_SCHEDULE_STEP:
        return ls_exp(floor(passed) * ls_log(schedule->decay_rate));
    case LS_SCHEDULE_EXPONENTIAL:
        return ls_exp(passed * ls_log(schedule->decay_rate));
    case LS_SCHEDULE_COSINE:
        return (1 - schedule->alpha) * (0.5 * (1 + ls_cos_pi(passed < 1 ? passed : 1))) + schedule->alpha;
    case LS_SCHEDULE_PIECEWISE:
        for (int i = 0; i < schedule->n_boundaries && steps > (double)schedule->boundaries[i]; i++)
            factor = schedule->factors[i];
        break;
    case LS_SCHEDULE_CONSTANT:
        break;
    }
    return factor;
}

double ls_schedule_rate(const ls_schedule *schedule, double rate, int64_t iterations)
{
    if (iterations < schedule->warmup_steps)
        return rate * ((double)iterations / (double)schedule->warmup_steps);
    return rate * decay(schedule, (double)(iterations - schedule->warmup_steps));
}

ls_schedule ls_schedule_resolve(const ls_schedule *schedule, int64_t n_steps)
{
    ls_schedule resolved = *schedule;
    const int64_t left = n_steps - schedule->warmup_steps;
    if (ls_schedule_uses(schedule->kind, "decay_steps") && schedule->decay_steps == 0)
        resolved.decay_steps = left > 1 ? left : 1;
    return resolved;
}
