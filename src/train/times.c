#include "train/times.h"

#include "comm/wait.h"

enum { STRIDE = 61 };                          /* a prime, so that no period of the data is hit each time */
static const double LONG_STEP_SECONDS = 20e-6; /* such steps are all timed */

void ls_times_step_begins(ls_times *times)
{
    times->begin = 0;
    if (--times->until_next > 0) return;
    if (times->stride == 0) times->stride = 1;
    times->step_begin = times->begin = ls_now();
}

/* Seconds since the last part, which now ends. */
static double take(ls_times *times)
{
    const double time = ls_now(), seconds = time - times->begin;
    times->begin = time;
    return seconds;
}

void ls_times_computed(ls_times *times)
{
    if (times->begin == 0) return;
    times->compute += (double)times->stride * take(times);
    ls_wait_here = (ls_wait_watch){.on = true};
}

void ls_times_reduced(ls_times *times)
{
    if (times->begin == 0) return;
    const double seconds = take(times);
    times->reduce += (double)times->stride * (seconds - ls_wait_here.seconds);
    times->wait += (double)times->stride * ls_wait_here.seconds;
    ls_wait_here.on = false;
}

void ls_times_step_ends(ls_times *times)
{
    if (times->begin == 0) return;
    times->compute += (double)times->stride * take(times);
    times->stride = times->begin - times->step_begin < LONG_STEP_SECONDS ? STRIDE : 1;
    times->until_next = times->stride;
}

/* If compute were divided by fewer ranks and the rest stayed as it is; with one rank the rest is gone. What
 * does not divide makes fewer ranks look worse than they are. */
static void find_better(ls_train_times *result, int n_ranks)
{
    const double steps = result->compute + result->communication + result->waiting;
    result->better_seconds = steps;
    result->better_ranks = n_ranks;
    for (int ranks = 1; ranks < n_ranks; ranks *= 2) {
        const double seconds =
            result->compute * n_ranks / ranks + (ranks > 1 ? result->communication + result->waiting : 0);
        if (seconds < 0.9 * result->better_seconds) {
            result->better_seconds = seconds;
            result->better_ranks = ranks;
        }
    }
}

ls_status ls_times_gather(ls_session *session, const ls_times *times, ls_train_times *result)
{
    /* The samples say in which proportion, the whole how much. */
    const double sampled = times->compute + times->reduce + times->wait;
    const double scale = sampled > 0 ? times->all / sampled : 0;
    /* A lone rank reduces nothing: what was measured there is the clock. */
    const double reduce = session->size > 1 ? times->reduce : 0;
    const double compute = scale * (times->compute + times->reduce - reduce) - times->read_in_steps;
    double own[4] = {compute > 0 ? compute : 0, scale * reduce, scale * times->wait,
                     times->io + times->read_in_steps},
           sums[4];
    LS_TRY(ls_mpi_check(MPI_Allreduce(own, sums, 4, MPI_DOUBLE, MPI_SUM, session->comm), "MPI_Allreduce"));
    *result = (ls_train_times){.compute = sums[0] / session->size,
                               .communication = sums[1] / session->size,
                               .waiting = sums[2] / session->size,
                               .io = sums[3] / session->size};
    find_better(result, session->size);
    return LS_OK;
}
