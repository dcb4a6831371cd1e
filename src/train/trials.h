/* The trials of a search: which points of the space, with which seeds, and what came out. The same on all
 * ranks but for the results, which rank 0 has. All functions are local. */
#ifndef LS_TRAIN_TRIALS_H
#define LS_TRAIN_TRIALS_H

#include <jansson.h>

#include "lockstep/tune.h"
#include "train/measures.h"
#include "train/search.h"
#include "train/space.h"

/* What came out of one training. Sent from rank to rank as it is. */
typedef struct ls_outcome {
    ls_unit unit;
    int64_t epochs; /* done */
    ls_status status;
    double seconds;
    double measures[LS_MEASURES]; /* NaN without success */
    char text[LS_MESSAGE_SIZE];   /* of a failure */
} ls_outcome;

typedef struct ls_trials {
    const ls_tune_options *options;
    ls_measures measures;
    int objective; /* number of the measure */
    ls_space *space;
    ls_search *search;
    int64_t n_trials;
    json_t **values;      /* of each trial */
    ls_outcome *outcomes; /* of each execution of each trial, the newest; unit.epochs 0 for none */
} ls_trials;

/* Reads the space (text, of options->space) and draws the trials. options are borrowed. LS_E_USAGE,
 * LS_E_INPUT, LS_E_MEMORY. The caller clears *trials, also after a failure. */
ls_status ls_trials_create(const ls_tune_options *options, const char *text, ls_trials *trials);
void ls_trials_clear(ls_trials *trials);

/* The settings of a trial, and the seed of its execution number i, below 2^63. LS_E_INPUT. */
ls_status ls_trials_settings(const ls_trials *trials, int64_t trial, ls_trial *settings);
uint64_t ls_trials_seed(const ls_trials *trials, const ls_trial *settings, int64_t trial, int64_t i);

/* The number of the execution whose seed the best trial is trained anew with: one more than there were, or
 * the first where the seed is one of the settings. */
int64_t ls_trials_anew(const ls_trials *trials, const ls_trial *settings);

/* Takes a result in. LS_E_INPUT if it is not one that is missing. */
ls_status ls_trials_finish(ls_trials *trials, const ls_outcome *outcome);

/* What makes it this search, beside the settings of the training. NULL for lack of memory; the caller owns
 * it. */
json_t *ls_trials_settings_json(const ls_trials *trials);

/* A result as a line of the journal, and back (values are the caller's). */
json_t *ls_trials_line(const ls_trials *trials, const ls_outcome *outcome);
ls_status ls_trials_read_line(const ls_trials *trials, const json_t *line, ls_outcome *outcome);

/* "finished", "stopped", "diverged", "failed", or "waiting" while something is left to do. */
const char *ls_trials_status(const ls_trials *trials, int64_t trial);

/* The mean of a measure over the executions of a trial, NaN without one. */
double ls_trials_mean(const ls_trials *trials, int64_t trial, int measure);

/* "hidden=16,8 learning_rate=0.01", and one value of that kind; the caller frees *text with ls_free.
 * LS_E_MEMORY. */
ls_status ls_trials_describe(const ls_trials *trials, int64_t trial, char **text);
ls_status ls_trials_value_text(const json_t *value, char **text);

#endif
