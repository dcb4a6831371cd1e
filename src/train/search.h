/* Which trainings a search needs, and in which order they may be done: every trial once, or in rungs of more
 * and more epochs, of which only the best trials climb the next one.
 *
 * Who is promoted depends on the values alone, never on the order in which they come in: a trial climbs as
 * soon as it is sure to be among the best of its rung, whatever those still missing may give. All functions
 * are local. */
#ifndef LS_TRAIN_SEARCH_H
#define LS_TRAIN_SEARCH_H

#include <stdbool.h>

#include "base/fail.h"
#include "lockstep/tune.h"

/* One training: an execution of a trial, up to so many epochs (from those of the rung below). */
typedef struct ls_unit {
    int64_t trial, execution, rung, epochs;
} ls_unit;

typedef struct ls_search ls_search;

/* A search of n_trials trials (of the first point of the space and so on); epochs is the most that one gets.
 * With LS_SEARCH_HYPERBAND n_trials is not used. LS_E_USAGE, LS_E_MEMORY. The caller destroys *search. */
ls_status ls_search_create(ls_search_kind kind, int64_t n_trials, int64_t n_executions, int64_t epochs,
                           int64_t factor, ls_search **search);

/* Frees it; NULL is allowed. */
void ls_search_destroy(ls_search *search);

int64_t ls_search_n_trials(const ls_search *search);

/* Trainings that are there to be done now or later, as far as it is known. */
int64_t ls_search_n_units(const ls_search *search);

/* Takes a training that may begin now. Returns false if there is none: the search is over, or waits for
 * results. */
bool ls_search_next(ls_search *search, ls_unit *unit);

/* The value of a training, smaller is better; NaN if it has none. LS_E_INPUT if no such result is missing. */
ls_status ls_search_finish(ls_search *search, const ls_unit *unit, double value);

bool ls_search_is_over(const ls_search *search);

/* Share of the epochs that is done. */
double ls_search_share(const ls_search *search);

/* How far a trial has come: the rung it stands on, its epochs; whether nothing more will be done about it;
 * the mean of its values on the highest rung where all of them are known, NaN before. */
int64_t ls_search_rung(const ls_search *search, int64_t trial);
int64_t ls_search_epochs(const ls_search *search, int64_t trial);
bool ls_search_is_done(const ls_search *search, int64_t trial);
double ls_search_value(const ls_search *search, int64_t trial);

/* Whether the trial got as many epochs as any. */
bool ls_search_is_top(const ls_search *search, int64_t trial);

/* The trial that is best now, -1 if there is none: of those with values on the highest rung that has any. */
int64_t ls_search_best(const ls_search *search);

/* order[0 .. n_trials) becomes the trials, best first: by epochs, then by value; those without a value last.
 */
void ls_search_rank(const ls_search *search, int64_t *order);

#endif
