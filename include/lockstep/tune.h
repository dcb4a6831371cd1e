/* Search for the hyperparameters with which training gives the best model. */
#ifndef LOCKSTEP_TUNE_H
#define LOCKSTEP_TUNE_H

#include <stdbool.h>

#include "lockstep/dataset.h"
#include "lockstep/model.h"
#include "lockstep/session.h"
#include "lockstep/train.h"

typedef enum ls_search_kind {
    LS_SEARCH_GRID,     /* every point of the space */
    LS_SEARCH_RANDOM,   /* points drawn at random */
    LS_SEARCH_HALVING,  /* these with few epochs; the best of them go on with more, the best of those with all
                         */
    LS_SEARCH_HYPERBAND /* several such searches, from many trials with few epochs to few with all (Li et al.,
                           "Hyperband", JMLR 2018) */
} ls_search_kind;

typedef struct ls_tune_options {
    const char *space; /* JSON file: which settings vary, and over which values (README.md) */
    ls_search_kind search;
    int64_t trials;     /* of random and halving; the others have as many as the space or the epochs give */
    int64_t executions; /* trainings of each trial, with other seeds; their objectives are averaged */
    const char *objective;   /* a measure of ls_metrics_names, with val_ in front of the validation data */
    int64_t factor;          /* of halving and hyperband: one trial in so many goes on, with so many times the
                                epochs; at least 2 */
    int64_t ranks_per_trial; /* 0: one, or more where there are more ranks than trainings */
    uint64_t seed;           /* of the points drawn, and of the trainings; below 2^63 */
    const char *directory;   /* for the journal, the tables and what unfinished trials need to go on */
    bool resume;             /* go on with the search in the directory, or begin anew if there is none */
    bool save_models;        /* also write the model of each training, models/trial-TRIAL-EXECUTION.h5 in the
                                directory */
    /* What the space does not vary. train.epochs is what a trial gets at most; train.output is where the best
     * model goes, or NULL; seed, checkpoint_*, resume, validation and save_best of train are not used. */
    ls_train_options train;
    ls_network network; /* n_features follows from the data; hidden is borrowed */
    ls_initializer initializer;
    double l1, l2; /* penalties of all kernels */
} ls_tune_options;

/* 20 trials at random, 1 execution, val_loss, factor 3, the defaults of training. Local. */
void ls_tune_defaults(ls_tune_options *options);

/* One trial of a search. */
typedef struct ls_tune_row {
    int64_t trial;
    const char *settings; /* "hidden=16,8 activation=relu learning_rate=0.012" */
    const char *status;   /* "finished", "stopped" (others were better), "diverged", "failed" */
    int64_t epochs;
    double objective; /* mean over the executions; NaN unless all of them finished */
} ls_tune_row;

typedef struct ls_tune_progress {
    int64_t n_trials, n_done; /* trials, and those for which nothing is left to do */
    int64_t n_running;        /* trainings */
    double share;             /* of all work that is done, by epochs */
    double seconds;           /* since the search began, or was resumed */
    double seconds_left;      /* about, NaN while nobody knows */
    const ls_tune_row *best;  /* so far, or NULL */
} ls_tune_progress;

typedef struct ls_tune_observer {
    void *context;
    /* All on rank 0 only; any may be NULL. When the first training is next: how many trials and trainings
     * there are at most, and groups of ranks. */
    void (*begin)(void *context, int64_t n_trials, int64_t n_trainings, int n_groups);
    /* After each training. */
    void (*progress)(void *context, const ls_tune_progress *progress);
    /* A line for the log. */
    void (*notice)(void *context, const char *text);
} ls_tune_observer;

/* What came out, the best trial first, those without a result last. */
typedef struct ls_tune_result {
    int64_t n_rows;
    ls_tune_row *rows;
    ls_model *best;     /* the best trial's settings trained anew, NULL if no trial has finished */
    ls_history history; /* of that training */
    void *owner;        /* of the texts */
} ls_tune_result;

/* Frees what ls_tune filled in. Local. */
void ls_tune_result_clear(ls_tune_result *result);

/* Searches: trains each trial on `train`, measures the model that it ends with on `validation` (with
 * train.restore_best that of its best epoch), and writes the tables trials.csv (by
 * trial), results.csv (best first) and results.json into the directory; then trains the best one anew, from a
 * seed that none of its executions had unless the seed is one of its settings. The
 * ranks work in groups, a training each, and take the next one whenever they are free; what comes out is the
 * same on any number of ranks, and whoever does what. A training that diverges or cannot be done is a row of
 * the tables. Every result is kept in the directory's journal, so that a search that was stopped or killed
 * goes on with `resume`. Collective; arguments must agree. LS_E_USAGE, LS_E_INPUT for a space that cannot be
 * used or data that cannot be read, LS_E_OUTPUT, LS_E_INTERRUPTED after a signal, LS_E_DIVERGED if no trial
 * has finished (the tables are there then). The caller clears *result in any case. */
ls_status ls_tune(ls_session *session, ls_dataset *train, ls_dataset *validation,
                  const ls_tune_options *options, const ls_tune_observer *observer, ls_tune_result *result);

#endif
