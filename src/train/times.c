#include "train/times.h"

#include <jansson.h>
#include <string.h>

#include "base/json_text.h"
#include "base/memory.h"
#include "base/output_file.h"
#include "comm/wait.h"
#include "data/dataset.h"

enum { STRIDE = 61 };                          /* a prime, so that no period of the data is hit each time */
static const double LONG_STEP_SECONDS = 20e-6; /* such steps are all timed */

void ls_times_begin(ls_times *times)
{
    times->read_before = ls_dataset_reading;
}

void ls_times_step_begins(ls_times *times)
{
    times->begin = 0;
    if (--times->until_next > 0) return;
    if (times->stride == 0) times->stride = 1;
    times->reading = ls_dataset_reading;
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
    const double read = ls_dataset_reading - times->reading;
    times->compute += (double)times->stride * (take(times) - read);
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
static void find_better(ls_train_times *result)
{
    const int n_ranks = result->n_ranks;
    const double compute = result->compute.mean, rest = result->communication.mean + result->waiting.mean;
    result->better_seconds = compute + rest;
    result->better_ranks = n_ranks;
    for (int ranks = 1; ranks < n_ranks; ranks *= 2) {
        const double seconds = compute * n_ranks / ranks + (ranks > 1 ? rest : 0);
        if (seconds < 0.9 * result->better_seconds) {
            result->better_seconds = seconds;
            result->better_ranks = ranks;
        }
    }
}

ls_status ls_times_gather(ls_session *session, const ls_times *times, ls_train_times *result)
{
    enum { PARTS = 4 };
    /* The samples say in which proportion, the whole how much. */
    const double sampled = times->compute + times->reduce + times->wait;
    const double read = ls_dataset_reading - times->read_before;
    const double scale = sampled > 0 ? (times->all - read) / sampled : 0;
    /* A lone rank reduces nothing: what was measured there is the clock. */
    const double reduce = session->size > 1 ? times->reduce : 0;
    const double own[PARTS] = {scale * (times->compute + times->reduce - reduce), scale * reduce,
                               scale * times->wait, times->io + read};
    ls_time_spread *const parts[PARTS] = {&result->compute, &result->communication, &result->waiting,
                                          &result->io};
    double sums[PARTS], least[PARTS], most[PARTS];
    LS_TRY(
        ls_mpi_check(MPI_Allreduce(own, sums, PARTS, MPI_DOUBLE, MPI_SUM, session->comm), "MPI_Allreduce"));
    LS_TRY(
        ls_mpi_check(MPI_Allreduce(own, least, PARTS, MPI_DOUBLE, MPI_MIN, session->comm), "MPI_Allreduce"));
    LS_TRY(
        ls_mpi_check(MPI_Allreduce(own, most, PARTS, MPI_DOUBLE, MPI_MAX, session->comm), "MPI_Allreduce"));
    for (int i = 0; i < PARTS; i++) *parts[i] = (ls_time_spread){least[i], sums[i] / session->size, most[i]};
    result->n_ranks = session->size;
    result->steps = times->all;
    find_better(result);
    return LS_OK;
}

static json_t *spread_json(const ls_time_spread *spread)
{
    return json_pack("{s:f, s:f, s:f}", "min", spread->min, "mean", spread->mean, "max", spread->max);
}

static ls_status write_json(const ls_train_times *times, const char *path)
{
    char *text;
    json_t *root = json_pack(
        "{s:i, s:I, s:I, s:I, s:f, s:f, s:o, s:o, s:o, s:o}", "ranks", times->n_ranks, "shards",
        (json_int_t)times->n_shards, "message_bytes", (json_int_t)times->message_bytes, "steps",
        (json_int_t)times->n_steps, "seconds", times->seconds, "seconds_of_steps", times->steps, "compute",
        spread_json(&times->compute), "communication", spread_json(&times->communication), "waiting",
        spread_json(&times->waiting), "io", spread_json(&times->io));
    LS_TRY(ls_json_text(root, JSON_INDENT(2), "times of the training", &text));
    const ls_status status = ls_output_file_put(path, text, strlen(text));
    ls_free(text);
    return status;
}

ls_status ls_train_times_write_json(ls_session *session, const ls_train_times *times, const char *path)
{
    return ls_session_agree(session, session->rank == 0 ? write_json(times, path) : LS_OK);
}
