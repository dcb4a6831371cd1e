#include "comm/watchdog.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault_system.h"
#include "base/memory.h"
#include "base/place.h"

enum { MAX_LINES = 64, LINE_SIZE = 256 };

struct ls_watchdog {
    ls_session *session;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    int stop;
    double limit; /* seconds */
    double look;  /* seconds between two looks */
};

/* One line about one rank of the node. A rank is stuck if its watchdog no longer beats (stopped, swapped
 * out), or if it rests in an operation that waits for nobody. The others go on until they need a stopped
 * rank, so at the time of a report it has been silent for longer than the limit. */
static int describe(char *text, size_t size, const ls_session *session, int local, double limit)
{
    const ls_place *place = &session->board->places[local];
    const ls_operation operation = (ls_operation)atomic_load(&place->operation);
    const int peer = atomic_load(&place->peer);
    const double silent = ls_now() - 1e-3 * (double)atomic_load(&place->heartbeat);
    const bool dead = silent > 0.75 * limit;
    const bool stuck = dead || !ls_operation_waits(operation);
    char whom[48] = "";
    if (ls_operation_waits(operation) && peer >= 0) snprintf(whom, sizeof whom, " for rank %d", peer);
    snprintf(text, size, "  rank %d: step %lld, %s%s%s%s\n", session->first_on_node + local,
             (long long)atomic_load(&place->step), ls_operation_text(operation), whom,
             stuck ? "  <- STUCK" : "", dead ? " (the process does not run)" : "");
    return stuck;
}

static void report(const struct ls_watchdog *dog)
{
    const ls_session *session = dog->session;
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    char *text = malloc((MAX_LINES + 3) * LINE_SIZE);
    if (!text) return;
    size_t used = (size_t)snprintf(
        text, LINE_SIZE, "lockstep: no progress for %g s (--stall-timeout), ending the job; ranks on %s:\n",
        dog->limit, host);
    int n_stuck = 0;
    for (int i = 0; i < session->node_size && i < MAX_LINES; i++) {
        n_stuck += describe(text + used, LINE_SIZE, session, i, dog->limit);
        used += strlen(text + used);
    }
    if (n_stuck == 0)
        used += (size_t)snprintf(text + used, LINE_SIZE,
                                 "  all of them wait: look at the rank they wait for, on another node\n");
    /* One write, so that the lines of several nodes do not mix. */
    if (write(STDERR_FILENO, text, used) < 0) _exit(LS_E_STALLED);
    free(text);
}

/* The first rank of the node to notice reports; the others give it the time to, and the ranks of other nodes,
 * which notice up to one look later: the first process that ends makes the launcher kill all others. */
static void end_job(const struct ls_watchdog *dog)
{
    const ls_session *session = dog->session;
    const bool one_node = session->node_size == session->size;
    int expected = 0;
    if (atomic_compare_exchange_strong(&session->board->reported, &expected, 1)) {
        report(dog);
        if (one_node) _exit(LS_E_STALLED);
    }
    const double grace = one_node ? 1 : 1 + dog->look;
    const struct timespec nap = {.tv_sec = (time_t)grace,
                                 .tv_nsec = (long)((grace - (double)(time_t)grace) * 1e9)};
    nanosleep(&nap, NULL);
    _exit(LS_E_STALLED);
}

/* The work of the whole node: while one rank writes a large file, those that wait for it are not stuck. */
static uint64_t pulse_of_node(const ls_session *session)
{
    uint64_t sum = 0;
    for (int i = 0; i < session->node_size; i++) sum += atomic_load(&session->board->places[i].pulse);
    return sum;
}

static void *watch(void *argument)
{
    struct ls_watchdog *dog = argument;
    uint64_t pulse = pulse_of_node(dog->session);
    double since = ls_now(), looked = since;
    pthread_mutex_lock(&dog->mutex);
    while (!dog->stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        const double end = (double)until.tv_sec + 1e-9 * (double)until.tv_nsec + dog->look;
        until.tv_sec = (time_t)end;
        until.tv_nsec = (long)((end - (double)until.tv_sec) * 1e9);
        pthread_cond_timedwait(&dog->wake, &dog->mutex, &until);
        if (dog->stop) break;
        const double time = ls_now();
        atomic_store(&ls_place_here->heartbeat, (int64_t)(1e3 * time));
        const uint64_t seen = pulse_of_node(dog->session);
        /* A process that was stopped itself (a suspended job) sees time jump: that is no stall. */
        if (seen != pulse || time - looked > dog->limit / 2) {
            pulse = seen;
            since = time;
        } else if (time - since > dog->limit) {
            end_job(dog);
        }
        looked = time;
    }
    pthread_mutex_unlock(&dog->mutex);
    return NULL;
}

static ls_status start(ls_session *session, double seconds)
{
    struct ls_watchdog *dog;
    LS_TRY(ls_alloc(&dog, 1, sizeof *dog, "watchdog"));
    dog->session = session;
    dog->limit = seconds;
    dog->look = seconds / 8 < 1 ? seconds / 8 : 1;
    atomic_store(&ls_place_here->heartbeat, (int64_t)(1e3 * ls_now()));
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&dog->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&dog->mutex, NULL);
    const int error = pthread_create(&dog->thread, NULL, watch, dog);
    if (error) {
        ls_free(dog);
        return ls_fail(LS_E_INTERNAL, "no thread for --stall-timeout: %s", strerror(error));
    }
    session->watchdog = dog;
    return LS_OK;
}

ls_status ls_session_watch(ls_session *session, double seconds)
{
    ls_watchdog_stop(session);
    return seconds > 0 ? ls_session_agree(session, start(session, seconds)) : LS_OK;
}

void ls_watchdog_stop(ls_session *session)
{
    struct ls_watchdog *dog = session->watchdog;
    if (!dog) return;
    pthread_mutex_lock(&dog->mutex);
    dog->stop = 1;
    pthread_cond_signal(&dog->wake);
    pthread_mutex_unlock(&dog->mutex);
    pthread_join(dog->thread, NULL);
    pthread_cond_destroy(&dog->wake);
    pthread_mutex_destroy(&dog->mutex);
    ls_free(dog);
    session->watchdog = NULL;
}
