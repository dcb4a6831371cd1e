#include "train/handout.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/memory.h"
#include "comm/mail.h"
#include "lockstep/interrupt.h"

typedef enum word {
    WORK, /* train this */
    HALT, /* leave the training at the next step; unasked */
    STOP  /* there is nothing more */
} word;

typedef struct tune_request {
    bool has_outcome;
    bool is_asking; /* for a training; otherwise only a signal is told */
    ls_outcome outcome;
} tune_request;

typedef struct tune_answer {
    word word;
    ls_unit unit;
} tune_answer;

/* ---- rank 0: the search ---- */

ls_status ls_handout_row(const ls_trials *trials, int64_t trial, ls_tune_row *row)
{
    char *settings;
    LS_TRY(ls_trials_describe(trials, trial, &settings));
    int64_t epochs = 0;
    for (int64_t i = 0; i < trials->options->executions; i++) {
        const ls_outcome *outcome = &trials->outcomes[trial * trials->options->executions + i];
        if (outcome->epochs > epochs) epochs = outcome->epochs;
    }
    *row = (ls_tune_row){.trial = trial,
                         .settings = settings,
                         .status = ls_trials_status(trials, trial),
                         .epochs = epochs,
                         .objective = ls_trials_mean(trials, trial, trials->objective)};
    return LS_OK;
}

static ls_status show(ls_handout *t)
{
    if (!t->observer || !t->observer->progress) return LS_OK;
    const ls_search *search = t->trials.search;
    const double seconds = ls_now() - t->begin, share = ls_search_share(search),
                 done = share - t->share_at_begin;
    const int64_t best = ls_search_best(search);
    ls_tune_row row = {0};
    if (best >= 0) LS_TRY(ls_handout_row(&t->trials, best, &row));
    const ls_tune_progress progress = {.n_trials = t->trials.n_trials,
                                       .n_done = t->n_done,
                                       .n_running = t->n_busy,
                                       .share = share,
                                       .seconds = seconds,
                                       .seconds_left = done > 0 ? seconds * (1 - share) / done : NAN,
                                       .best = best >= 0 ? &row : NULL};
    t->observer->progress(t->observer->context, &progress);
    ls_free((char *)row.settings);
    return LS_OK;
}

void ls_handout_tidy(ls_handout *t)
{
    t->n_done = 0;
    for (int64_t i = 0; i < t->trials.n_trials; i++) {
        if (!ls_search_is_done(t->trials.search, i)) continue;
        t->n_done++;
        if (!t->is_forgotten[i]) ls_worker_forget(&t->trials, i);
        t->is_forgotten[i] = true;
    }
}

/* No more trainings; those under way are left. */
static ls_status stop(ls_handout *t, ls_status status, const char *text)
{
    if (t->stopping) return LS_OK;
    t->stopping = true;
    t->status = status;
    snprintf(t->text, sizeof t->text, "%s", text);
    const tune_answer halt = {.word = HALT};
    for (int rank = 1; rank < t->session->size; rank++)
        if (t->is_busy[rank]) LS_TRY(ls_mail_send(t->session, rank, &halt, sizeof halt));
    return LS_OK;
}

static ls_status stop_for_signal(ls_handout *t)
{
    return stop(t, LS_E_INTERRUPTED, "stopped by a signal");
}

/* A failure that belongs to the settings of a trial, and not to the search. */
static bool is_of_trial(ls_status status)
{
    return status == LS_OK || status == LS_E_DIVERGED || status == LS_E_USAGE || status == LS_E_MEMORY;
}

static ls_status take_outcome(ls_handout *t, const ls_outcome *outcome)
{
    if (outcome->status == LS_E_INTERRUPTED) return stop_for_signal(t);
    if (!is_of_trial(outcome->status)) return stop(t, outcome->status, outcome->text);
    ls_status status = ls_journal_append(t->journal, ls_trials_line(&t->trials, outcome));
    if (status == LS_OK) status = ls_trials_finish(&t->trials, outcome);
    if (status == LS_OK) {
        ls_handout_tidy(t);
        status = show(t);
    }
    return status == LS_OK ? LS_OK : stop(t, status, ls_error_message());
}

static ls_status answer_group(ls_handout *t, int rank)
{
    tune_answer answer = {.word = WORK};
    if (t->stopping || ls_search_is_over(t->trials.search)) {
        answer.word = STOP;
        t->n_stopped++;
    } else if (ls_search_next(t->trials.search, &answer.unit)) {
        t->is_busy[rank] = true;
        t->n_busy++;
    } else {
        t->idle[t->n_idle++] = rank;
        return LS_OK;
    }
    return ls_mail_send(t->session, rank, &answer, sizeof answer);
}

static ls_status take_request(ls_handout *t, int rank, const tune_request *request)
{
    if (t->is_busy[rank] && request->has_outcome) {
        t->is_busy[rank] = false;
        t->n_busy--;
    }
    if (request->has_outcome) LS_TRY(take_outcome(t, &request->outcome));
    return request->is_asking ? answer_group(t, rank) : LS_OK;
}

/* All requests that have come, then those that could not be answered before. */
static ls_status serve(ls_handout *t, bool *any)
{
    tune_request request;
    int rank;
    bool came = true;
    *any = false;
    if (ls_interrupt_pending()) LS_TRY(stop_for_signal(t));
    while (t->session->size > 1) {
        LS_TRY(ls_mail_take(t->session, LS_MAIL_ANY, &request, sizeof request, &came, &rank));
        if (!came) break;
        *any = true;
        LS_TRY(take_request(t, rank, &request));
    }
    const int n_idle = t->n_idle;
    t->n_idle = 0;
    for (int i = 0; i < n_idle; i++) LS_TRY(answer_group(t, t->idle[i]));
    return LS_OK;
}

/* ---- the groups ---- */

bool ls_handout_poll(void *context)
{
    ls_handout *t = context;
    bool came;
    tune_answer answer;
    int rank;
    /* A failed call of MPI has ended the job: there is nothing to hand on. */
    if (t->session->rank == 0) {
        if (serve(t, &came) != LS_OK || t->stopping) t->halted = true;
    } else if (ls_mail_take(t->session, 0, &answer, sizeof answer, &came, &rank) != LS_OK || came) {
        t->halted = true;
    }
    return t->halted;
}

/* The next training of rank 0's own group. */
static ls_status get_own(ls_handout *t, tune_answer *next)
{
    ls_place_at(LS_AT_AGREE, -1);
    for (int64_t round = 0;; round++) {
        bool any;
        LS_TRY(serve(t, &any));
        next->word = t->stopping || ls_search_is_over(t->trials.search) ? STOP : WORK;
        if (next->word == STOP) {
            if (t->n_stopped == t->n_groups - 1) return LS_OK;
        } else if (ls_search_next(t->trials.search, &next->unit)) {
            t->is_busy[0] = true;
            t->n_busy++;
            return LS_OK;
        }
        if (any) round = 0;
        ls_mail_pause(t->session, round);
    }
}

/* That of another group, which brings what has come out of the one before. */
static ls_status get_from_rank_0(ls_handout *t, tune_request *request, tune_answer *next)
{
    bool came = false, told = false;
    int rank;
    request->is_asking = true;
    LS_TRY(ls_mail_send(t->session, 0, request, sizeof *request));
    ls_place_at(LS_AT_AGREE, 0);
    for (int64_t round = 0;; round++) {
        LS_TRY(ls_mail_take(t->session, 0, next, sizeof *next, &came, &rank));
        /* A halt that has crossed the result is answered by a stop. */
        if (came && next->word != HALT) return LS_OK;
        if (ls_interrupt_pending() && !told) {
            static tune_request signal;
            signal.has_outcome = true;
            signal.outcome.status = LS_E_INTERRUPTED;
            LS_TRY(ls_mail_send(t->session, 0, &signal, sizeof signal));
            told = true;
        }
        ls_mail_pause(t->session, round);
    }
}

ls_status ls_handout_work(ls_handout *t)
{
    const bool is_first = t->worker.group->rank == 0;
    tune_request request = {0};
    tune_answer next = {0};
    for (;;) {
        if (t->session->rank == 0) {
            if (request.has_outcome) {
                t->is_busy[0] = false;
                t->n_busy--;
                LS_TRY(take_outcome(t, &request.outcome));
            }
            LS_TRY(get_own(t, &next));
        } else if (is_first) {
            LS_TRY(get_from_rank_0(t, &request, &next));
        }
        LS_TRY(ls_mail_broadcast(t->worker.group, &next, sizeof next));
        if (next.word == STOP) return LS_OK;
        t->halted = false;
        ls_worker_train(&t->worker, &next.unit, &request.outcome);
        request.has_outcome = true;
    }
}
