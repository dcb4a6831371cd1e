#include "train/search.h"

#include <math.h>
#include <stdlib.h>

#include "base/memory.h"

enum { MAX_RUNGS = 64, MAX_TRIALS = 100000, MAX_LEVELS = 20 };

typedef struct search_rung {
    int64_t epochs;
    int64_t n;         /* trials that stand on it in the end; at most, while the rung below is not complete */
    int64_t n_values;  /* of trials */
    int64_t n_entered; /* trials */
} search_rung;

/* Trials that compete. */
typedef struct search_bracket {
    int64_t first, n_trials, n_rungs;
    search_rung rungs[MAX_RUNGS];
} search_bracket;

typedef enum unit_state { WAITING, TAKEN, DONE } unit_state;

typedef struct standing {
    search_bracket *bracket;
    int64_t rung, n_done; /* executions on this rung */
    bool is_ready;        /* is in the list of promoted ones */
    double value;         /* of the last rung that is complete, NaN for none */
    double values[MAX_RUNGS];
} standing;

struct ls_search {
    int64_t n_trials, n_executions;
    int64_t n_brackets;
    search_bracket *brackets;
    standing *standings;
    unit_state *states; /* of each execution on its trial's rung */
    double *values;
    int64_t *ready, n_ready; /* promoted trials, the newest last */
    int64_t next;            /* first trial that may not have begun */
    int64_t n_open;          /* trainings that may be done now, and are not */
    int64_t *order;
};

/* ---- the plan ---- */

/* floor(log_factor n) */
static int64_t levels_of(int64_t n, int64_t factor)
{
    int64_t levels = 0;
    for (; n >= factor; n /= factor) levels++;
    return levels;
}

static int64_t power(int64_t factor, int64_t exponent)
{
    int64_t product = 1;
    while (exponent-- > 0) product *= factor;
    return product;
}

/* n_trials begin with epochs / factor^n_levels epochs. */
static void plan_bracket(search_bracket *bracket, int64_t first, int64_t n_trials, int64_t n_levels,
                         int64_t epochs, int64_t factor)
{
    bracket->first = first;
    bracket->n_trials = n_trials;
    bracket->n_rungs = n_levels + 1;
    for (int64_t i = 0; i <= n_levels; i++) {
        const int64_t n = n_trials / power(factor, i);
        bracket->rungs[i] = (search_rung){.epochs = epochs / power(factor, n_levels - i), .n = n < 1 ? 1 : n};
    }
    bracket->rungs[0].n_entered = n_trials;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Hyperband's brackets: with n_levels halvings, n_levels - 1, ... none, of about the same work each. */
static int64_t trials_of_bracket(int64_t n_levels, int64_t s, int64_t factor)
{
    return (int64_t)ceil((double)(n_levels + 1) / (double)(s + 1) * (double)power(factor, s));
}

static ls_status plan(ls_search *search, ls_search_kind kind, int64_t epochs, int64_t factor)
{
    const bool hyperband = kind == LS_SEARCH_HYPERBAND;
    const bool halves = kind == LS_SEARCH_HALVING || hyperband;
    const int64_t n_levels = !halves ? 0
                                     : smaller(levels_of(epochs, factor),
                                               hyperband ? MAX_RUNGS : levels_of(search->n_trials, factor));
    search->n_brackets = hyperband ? n_levels + 1 : 1;
    LS_TRY(ls_alloc(&search->brackets, (size_t)search->n_brackets, sizeof *search->brackets, "search"));
    if (!hyperband) {
        plan_bracket(&search->brackets[0], 0, search->n_trials, n_levels, epochs, factor);
        return LS_OK;
    }
    search->n_trials = 0;
    if (n_levels > MAX_LEVELS)
        return ls_fail(LS_E_USAGE, "epochs is %lld: with factor %lld hyperband begins with too many trials",
                       (long long)epochs, (long long)factor);
    for (int64_t s = n_levels; s >= 0; s--) {
        const int64_t n = trials_of_bracket(n_levels, s, factor);
        plan_bracket(&search->brackets[n_levels - s], search->n_trials, n, s, epochs, factor);
        search->n_trials += n;
    }
    return LS_OK;
}

static ls_status prepare(ls_search *search)
{
    const size_t n = (size_t)search->n_trials, n_units = n * (size_t)search->n_executions;
    LS_TRY(ls_alloc(&search->standings, n, sizeof *search->standings, "trials of the search"));
    LS_TRY(ls_alloc(&search->states, n_units, sizeof *search->states, "trials of the search"));
    LS_TRY(ls_alloc(&search->values, n_units, sizeof *search->values, "trials of the search"));
    LS_TRY(ls_alloc(&search->ready, n, sizeof *search->ready, "trials of the search"));
    LS_TRY(ls_alloc(&search->order, n, sizeof *search->order, "trials of the search"));
    for (search_bracket *bracket = search->brackets; bracket < search->brackets + search->n_brackets;
         bracket++)
        for (int64_t i = 0; i < bracket->n_trials; i++)
            search->standings[bracket->first + i] = (standing){.bracket = bracket, .value = NAN};
    search->n_open = (int64_t)n_units;
    return LS_OK;
}

ls_status ls_search_create(ls_search_kind kind, int64_t n_trials, int64_t n_executions, int64_t epochs,
                           int64_t factor, ls_search **result)
{
    ls_search *search;
    *result = NULL;
    if (n_executions < 1 || n_executions > MAX_TRIALS)
        return ls_fail(LS_E_USAGE, "executions is %lld: it must be within 1 .. %d", (long long)n_executions,
                       MAX_TRIALS);
    if (factor < 2) return ls_fail(LS_E_USAGE, "factor is %lld: it must be at least 2", (long long)factor);
    LS_TRY(ls_alloc(&search, 1, sizeof *search, "search"));
    search->n_trials = n_trials;
    search->n_executions = n_executions;
    ls_status status = plan(search, kind, epochs, factor);
    if (status == LS_OK && (search->n_trials < 1 || search->n_trials > MAX_TRIALS))
        status = ls_fail(LS_E_USAGE, "the search has %lld trials: it can have 1 .. %d",
                         (long long)search->n_trials, MAX_TRIALS);
    if (status == LS_OK) status = prepare(search);
    if (status != LS_OK) {
        ls_search_destroy(search);
        return status;
    }
    *result = search;
    return LS_OK;
}

void ls_search_destroy(ls_search *search)
{
    if (!search) return;
    ls_free(search->brackets);
    ls_free(search->standings);
    ls_free(search->states);
    ls_free(search->values);
    ls_free(search->ready);
    ls_free(search->order);
    ls_free(search);
}

int64_t ls_search_n_trials(const ls_search *search)
{
    return search->n_trials;
}

int64_t ls_search_n_units(const ls_search *search)
{
    int64_t n = 0;
    for (int64_t i = 0; i < search->n_brackets; i++)
        for (int64_t k = 0; k < search->brackets[i].n_rungs; k++) n += search->brackets[i].rungs[k].n;
    return n * search->n_executions;
}

/* ---- handing out ---- */

static bool take(ls_search *search, int64_t trial, ls_unit *unit)
{
    const standing *at = &search->standings[trial];
    for (int64_t i = 0; i < search->n_executions; i++) {
        unit_state *state = &search->states[trial * search->n_executions + i];
        if (*state != WAITING) continue;
        *state = TAKEN;
        *unit = (ls_unit){trial, i, at->rung, at->bracket->rungs[at->rung].epochs};
        return true;
    }
    return false;
}

bool ls_search_next(ls_search *search, ls_unit *unit)
{
    /* Promoted ones first: they take longest. */
    for (; search->n_ready > 0; search->n_ready--) {
        const int64_t trial = search->ready[search->n_ready - 1];
        if (take(search, trial, unit)) return true;
        search->standings[trial].is_ready = false;
    }
    for (; search->next < search->n_trials; search->next++)
        if (take(search, search->next, unit)) return true;
    return false;
}

/* ---- results ---- */

/* Better first; without a value last; equal ones by their number. */
static int compare_values(double a, double b)
{
    if (isnan(a) || isnan(b)) return isnan(a) - isnan(b);
    return (a > b) - (a < b);
}

/* The search whose trials are being sorted, for qsort hands nothing on. */
static const ls_search *sorted;
static int64_t sorted_rung;

static int by_value_on_rung(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    const int order =
        compare_values(sorted->standings[a].values[sorted_rung], sorted->standings[b].values[sorted_rung]);
    return order ? order : (a > b) - (a < b);
}

static void enter(ls_search *search, int64_t trial, int64_t rung)
{
    standing *at = &search->standings[trial];
    at->rung = rung;
    at->n_done = 0;
    at->bracket->rungs[rung].n_entered++;
    for (int64_t i = 0; i < search->n_executions; i++)
        search->states[trial * search->n_executions + i] = WAITING;
    if (!at->is_ready) search->ready[search->n_ready++] = trial;
    at->is_ready = true;
    search->n_open += search->n_executions;
}

/* Whether a trial has its value on that rung. */
static bool has_value(const ls_search *search, int64_t trial, int64_t rung)
{
    const standing *at = &search->standings[trial];
    return at->rung > rung || (at->rung == rung && at->n_done == search->n_executions);
}

/* Lets those climb from a rung that are sure to be among its best. */
static void promote(ls_search *search, search_bracket *bracket, int64_t k)
{
    search_rung *from = &bracket->rungs[k], *to = from + 1;
    const int64_t n_missing = from->n - from->n_values;
    if (k + 1 == bracket->n_rungs || to->n <= n_missing) return;
    int64_t n = 0, n_promoted = 0;
    for (int64_t trial = bracket->first; trial < bracket->first + bracket->n_trials; trial++)
        if (has_value(search, trial, k)) search->order[n++] = trial;
    sorted = search;
    sorted_rung = k;
    qsort(search->order, (size_t)n, sizeof *search->order, by_value_on_rung);
    for (int64_t i = 0; i < smaller(n, to->n - n_missing); i++) {
        standing *at = &search->standings[search->order[i]];
        if (isnan(at->values[k])) break;
        if (at->rung == k) enter(search, search->order[i], k + 1);
        n_promoted++;
    }
    if (n_missing > 0) return;
    /* Fewer climb than could if too few have a value at all. */
    for (int64_t above = k + 1; above < bracket->n_rungs; above++)
        bracket->rungs[above].n = smaller(bracket->rungs[above].n, n_promoted);
    promote(search, bracket, k + 1);
}

ls_status ls_search_finish(ls_search *search, const ls_unit *unit, double value)
{
    if (unit->trial < 0 || unit->trial >= search->n_trials || unit->execution < 0 ||
        unit->execution >= search->n_executions)
        return ls_fail(LS_E_INPUT, "there is no execution %lld of trial %lld", (long long)unit->execution,
                       (long long)unit->trial);
    standing *at = &search->standings[unit->trial];
    const int64_t first = unit->trial * search->n_executions;
    if (unit->rung != at->rung || search->states[first + unit->execution] == DONE)
        return ls_fail(LS_E_INPUT, "a second result of execution %lld of trial %lld",
                       (long long)unit->execution, (long long)unit->trial);
    search->states[first + unit->execution] = DONE;
    search->values[first + unit->execution] = value;
    search->n_open--;
    if (++at->n_done < search->n_executions) return LS_OK;
    double sum = 0;
    for (int64_t i = 0; i < search->n_executions; i++) sum += search->values[first + i];
    const int64_t rung = at->rung;
    at->value = at->values[rung] = sum / (double)search->n_executions;
    at->bracket->rungs[rung].n_values++;
    promote(search, at->bracket, rung);
    return LS_OK;
}

bool ls_search_is_over(const ls_search *search)
{
    return search->n_open == 0;
}

double ls_search_share(const ls_search *search)
{
    double done = 0, all = 0;
    for (int64_t i = 0; i < search->n_brackets; i++) {
        const search_bracket *bracket = &search->brackets[i];
        for (int64_t k = 0; k < bracket->n_rungs; k++) {
            const search_rung *rung = &bracket->rungs[k];
            const double epochs = (double)(rung->epochs - (k > 0 ? rung[-1].epochs : 0));
            all += epochs * (double)(rung->n * search->n_executions);
            done += epochs * (double)(rung->n_values * search->n_executions);
        }
    }
    for (int64_t i = 0; i < search->n_trials; i++) {
        const standing *at = &search->standings[i];
        const search_rung *rung = &at->bracket->rungs[at->rung];
        if (at->n_done == search->n_executions) continue;
        done += (double)((rung->epochs - (at->rung > 0 ? rung[-1].epochs : 0)) * at->n_done);
    }
    return all > 0 ? done / all : 1;
}

int64_t ls_search_rung(const ls_search *search, int64_t trial)
{
    return search->standings[trial].rung;
}

int64_t ls_search_epochs(const ls_search *search, int64_t trial)
{
    const standing *at = &search->standings[trial];
    return at->bracket->rungs[at->rung].epochs;
}

bool ls_search_is_top(const ls_search *search, int64_t trial)
{
    return search->standings[trial].rung == search->standings[trial].bracket->n_rungs - 1;
}

bool ls_search_is_done(const ls_search *search, int64_t trial)
{
    const standing *at = &search->standings[trial];
    const search_rung *rung = &at->bracket->rungs[at->rung];
    if (at->n_done < search->n_executions) return false;
    return ls_search_is_top(search, trial) || rung->n_values == rung->n || isnan(at->value);
}

double ls_search_value(const ls_search *search, int64_t trial)
{
    return search->standings[trial].value;
}

/* Epochs behind the value of a trial, 0 without one. */
static int64_t valued_epochs(const standing *at, int64_t n_executions)
{
    const int64_t rung = at->rung - (at->n_done < n_executions);
    return isnan(at->value) || rung < 0 ? 0 : at->bracket->rungs[rung].epochs;
}

static int by_rank(const void *left, const void *right)
{
    const int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
    const standing *one = &sorted->standings[a], *other = &sorted->standings[b];
    const int64_t of_one = valued_epochs(one, sorted->n_executions),
                  of_other = valued_epochs(other, sorted->n_executions);
    if (of_one != of_other) return of_one > of_other ? -1 : 1;
    const int order = compare_values(one->value, other->value);
    return order ? order : (a > b) - (a < b);
}

void ls_search_rank(const ls_search *search, int64_t *order)
{
    for (int64_t i = 0; i < search->n_trials; i++) order[i] = i;
    sorted = search;
    qsort(order, (size_t)search->n_trials, sizeof *order, by_rank);
}

int64_t ls_search_best(const ls_search *search)
{
    int64_t best = -1;
    sorted = search;
    for (int64_t i = 0; i < search->n_trials; i++)
        if (!isnan(search->standings[i].value) && (best < 0 || by_rank(&i, &best) < 0)) best = i;
    return best;
}
