/* What a build for a simulated cluster has in addition (CMake's LOCKSTEP_SIMULATED_STEPS, linked with
 * --wrap=ls_optimizer_create). The simulator's clock does not count arithmetic, for all ranks share a core;
 * so each step lets it advance by what has been measured elsewhere: LOCKSTEP_STEP_SECONDS=SHARDS:LOW:HIGH
 * seconds of a step of a rank that has floor(SHARDS / ranks) shards, and of one that has one more. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "train/optimizer.h"

ls_status __real_ls_optimizer_create(ls_model *model, const ls_optimizer *optimizer, double learning_rate,
                                     ls_optimizer_state **state);
ls_status __wrap_ls_optimizer_create(ls_model *model, const ls_optimizer *optimizer, double learning_rate,
                                     ls_optimizer_state **state);

static void (*real_step)(ls_optimizer_state *state, const void *gradient_sum, int64_t n_samples);

static double seconds_of_a_step(void)
{
    const char *text = getenv("LOCKSTEP_STEP_SECONDS");
    long long shards;
    double low, high;
    int rank, size;
    if (!text || sscanf(text, "%lld:%lf:%lf", &shards, &low, &high) != 3) {
        fprintf(stderr, "LOCKSTEP_STEP_SECONDS must be SHARDS:LOW:HIGH, not '%s'\n", text ? text : "");
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    const long long own = shards * (rank + 1) / size - shards * rank / size;
    return own > shards / size ? high : low;
}

static void timed_step(ls_optimizer_state *state, const void *gradient_sum, int64_t n_samples)
{
    static double seconds = -1;
    if (seconds < 0) seconds = seconds_of_a_step();
    const struct timespec time = {.tv_sec = (time_t)seconds,
                                  .tv_nsec = (long)(1e9 * (seconds - (double)(time_t)seconds))};
    real_step(state, gradient_sum, n_samples);
    nanosleep(&time, NULL); /* the simulator's */
}

ls_status __wrap_ls_optimizer_create(ls_model *model, const ls_optimizer *optimizer, double learning_rate,
                                     ls_optimizer_state **state)
{
    const ls_status status = __real_ls_optimizer_create(model, optimizer, learning_rate, state);
    if (status != LS_OK) return status;
    real_step = (*state)->step;
    (*state)->step = timed_step;
    return LS_OK;
}
