/* Training: synchronous data-parallel stochastic gradient descent. */
#ifndef LOCKSTEP_TRAIN_H
#define LOCKSTEP_TRAIN_H

#include <stdbool.h>

#include "lockstep/dataset.h"
#include "lockstep/evaluate.h"
#include "lockstep/model.h"
#include "lockstep/session.h"

/* How the ranks' sums become one. */
typedef enum ls_reduction {
    LS_REDUCTION_TREE, /* along the fixed tree: the same bits on any number of ranks */
    LS_REDUCTION_MPI   /* by MPI_Allreduce, for networks that sum in hardware: bits depend on the number of
                          ranks, and   counts ride in the gradient's type, exact for batches below 2^24 samples
                          in   float32 */
} ls_reduction;

/* What computes. Each gives the same bits on any number of ranks; to one another they agree within rounding.
 */
typedef enum ls_engine_choice {
    LS_ENGINE_AUTO,     /* the fastest one: simd */
    LS_ENGINE_SIMD,     /* vectors across samples: the same bits on every processor */
    LS_ENGINE_BLAS,     /* products of matrices by CBLAS: the same bits with the same BLAS kernels */
    LS_ENGINE_REFERENCE /* plain scalar C, to compare with */
} ls_engine_choice;

#define LS_TRAIN_MEMORY ((int64_t)256 << 20)

typedef struct ls_train_options {
    int64_t epochs;                   /* at least 1 */
    int64_t batch_size;               /* samples of one step over all ranks (Keras' meaning) */
    double learning_rate;             /* NAN takes Keras' default of the optimizer */
    int64_t learning_rate_base_batch; /* the learning rate is meant for batches of so many samples and grows
                                         in proportion to batch_size (linear scaling); 0 takes it as it is */
    ls_optimizer optimizer;
    const ls_training_config
        *start;       /* where model comes from: its iterations and slots go on if the optimizer
                         keeps the same ones. NULL starts with a fresh state; borrowed */
    uint64_t seed;    /* order of the rows; below 2^63 */
    bool shuffle;     /* every epoch in a new order; otherwise the order of the file */
    int64_t n_shards; /* power of two; 0 takes ls_train_default_shards */
    ls_engine_choice engine;
    ls_reduction reduction;
    bool
        normalize; /* give the model the mean and variance of the training data, Keras' Normalization.adapt */
    int64_t memory; /* bytes of each rank for rows: those that fit are kept after the first epoch, others are
                       read again in each; validation data are kept if all of them fit beside. Never changes a
                       bit. A step takes what it needs in any case. */
    /* What follows from a measure at the end of each epoch, as in Keras' EarlyStopping, ReduceLROnPlateau and
     * ModelCheckpoint(save_best_only). */
    const char *monitor;    /* the measure: one of ls_metrics_names, with val_ that of validation data */
    double min_delta;       /* what counts as an improvement; NaN: 0, for reduce_lr 1e-4 */
    int64_t early_stopping; /* Keras' patience: stop after so many epochs without improvement; -1 for never */
    bool restore_best;      /* end with the weights of the best epoch */
    double reduce_lr;       /* factor of the learning rate, below 1; 0 for never: */
    int64_t reduce_lr_patience; /* after so many epochs without improvement, */
    int64_t cooldown;           /* then not for so many epochs, */
    double min_lr;              /* and not below this rate */
    const char *save_best;      /* model file to write after every epoch that is the best so far, or NULL */
    ls_dataset *validation;     /* rows to measure the model on after every epoch, or NULL; borrowed */
    int64_t verify_every;       /* steps between two comparisons of the weights over all ranks; 0 for none */
    const char
        *output; /* model file to write at the end, or NULL; it carries the record of the training, too */

    const char *checkpoint_dir; /* or NULL for no checkpoints */
    int64_t
        checkpoint_every_steps; /* a checkpoint after so many steps, counted from the start of training, */
    int64_t checkpoint_every_epochs; /* or so many epochs, */
    double checkpoint_every_seconds; /* or so much time on rank 0; 0 switches each off. Another one at the
                                        end. */
    int64_t checkpoint_keep;         /* newest ones that stay, at least 1 */
    bool resume;                     /* go on from the newest complete one, or begin anew if there is none */
    bool allow_other_cpu;            /* resume, or train on ranks of several kinds, although
                                        their processors compute in other last bits */
} ls_train_options;

/* Keras' defaults: 1 epoch, batch 32, plain SGD at its learning rate 0.01, seed 0, shuffled; a checkpoint
 * each epoch once a directory is given, the newest 2 kept; no verification, no stall timeout. Local. */
void ls_train_defaults(ls_train_options *options);

/* The learning rate of these options, scaled to the batch. Local. */
double ls_train_learning_rate(const ls_train_options *options);

/* Logical shards that a batch is cut into when the user does not say: the largest power of two S <= 64 with
 * at least 64 samples a shard, but at least the largest power of two <= min(batch_size, 8). At most S ranks
 * can share the work. Local. */
int64_t ls_train_default_shards(int64_t batch_size);

/* One epoch. metrics are Keras' running ones: sums over the batches, each measured just before its step. */
typedef struct ls_epoch_record {
    int64_t epoch; /* from 0, as in Keras' CSVLogger */
    ls_metrics metrics;
    ls_metrics validation; /* of the validation data after the epoch; without any, n_samples is 0 */
    double learning_rate;  /* where it changes from epoch to epoch, otherwise 0 */
    double seconds;        /* wall time of the steps on rank 0, NaN for an epoch (begun) before a resume */
    double samples_per_second;
} ls_epoch_record;

typedef struct ls_history {
    ls_loss loss; /* of the model: which measures there are */
    int64_t n_epochs;
    ls_epoch_record *epochs;
    int64_t model_epoch; /* whose weights the model has: the last one, or with restore_best the best */
} ls_history;

/* Frees what ls_train filled in; the struct itself is the caller's. Local. */
void ls_history_clear(ls_history *history);

/* Writes Keras' CSVLogger columns (epoch, ls_metrics_names, the same with val_ if there are validation data,
 * learning_rate where it changes) and seconds,samples_per_second; whole or not at all, by rank 0. Collective.
 * LS_E_OUTPUT. */
ls_status ls_history_write_csv(ls_session *session, const ls_history *history, const char *path);

/* What an observer may show; all on rank 0 only. */
typedef struct ls_train_progress {
    int64_t epoch; /* from 0 */
    int64_t n_epochs;
    int64_t step; /* steps done in this epoch */
    int64_t n_steps;
    double seconds;        /* since this epoch began */
    ls_loss loss;          /* of the model: which measures there are */
    ls_metrics metrics;    /* of this epoch so far */
    ls_metrics validation; /* of the validation data, at the end of the epoch; otherwise n_samples is 0 */
} ls_train_progress;

/* What a run is about to do. */
typedef struct ls_train_setup {
    int64_t n_samples;
    int64_t n_steps; /* of an epoch */
    int64_t n_shards;
    const char *engine;
    double learning_rate;          /* scaled to the batch */
    const ls_optimizer *optimizer; /* its schedule complete */
} ls_train_setup;

/* One of a training's times over the ranks, in seconds. */
typedef struct ls_time_spread {
    double min, mean, max;
} ls_time_spread;

/* Where the time of one ls_train went. Those of steps are sampled, as looking at the clock takes as long as a
 * good part of a small step. */
typedef struct ls_train_times {
    int n_ranks;
    int64_t n_shards;
    size_t message_bytes;         /* that a rank adds to those of others in a step */
    int64_t n_steps;              /* done, without those of a run that this one resumed */
    double seconds;               /* all of ls_train, on rank 0 */
    double steps;                 /* of that, the epochs without checkpoints, on rank 0 */
    ls_time_spread compute;       /* gradients, updates */
    ls_time_spread communication; /* adding the ranks' sums */
    ls_time_spread waiting;       /* for the sums of other ranks */
    ls_time_spread io;            /* reading or making the data; writing checkpoints and the model */
    int better_ranks;      /* a number of ranks with which the steps would be faster, or the present one */
    double better_seconds; /* what they would take with it, about */
} ls_train_times;

/* Writes them as a JSON object, {"ranks", "shards", "message_bytes", "steps", "seconds", "seconds_of_steps",
 * "compute": {"min", "mean", "max"}, "communication", "waiting", "io"}; whole or not at all, by rank 0, on
 * which alone times is read. Collective. LS_E_OUTPUT. */
ls_status ls_train_times_write_json(ls_session *session, const ls_train_times *times, const char *path);

/* How well the rows were mixed in the first epoch of a run; NaN where it cannot be told: too few rows or
 * batches, labels all alike, an epoch resumed in the middle. */
typedef struct ls_train_mixing {
    double neighbours;   /* correlation between the places in the data of rows used one after the other: 1 in
                            the order of the file, 0 in a perfect shuffle */
    double label_spread; /* standard deviation of the labels over batches beside that of a perfect shuffle:
                            about 1, many where the data are sorted by label and batches see it */
} ls_train_mixing;

typedef struct ls_train_observer {
    void *context;
    /* Called on rank 0 once, when everything has been checked and read and the first step is next. May be
     * NULL. */
    void (*begin)(void *context, const ls_train_setup *setup);
    /* Called on rank 0 now and then during an epoch (at most every tenth of a second) and at its end, where
     * progress->step == progress->n_steps. May be NULL. */
    void (*progress)(void *context, const ls_train_progress *progress);
    /* Called on rank 0 with a line for the log: resumed from where, a damaged checkpoint passed over. May be
     * NULL. */
    void (*notice)(void *context, const char *text);
    /* Called on rank 0 between steps, about every tenth of a millisecond; true asks all ranks to stop after
     * the step as a signal would. May be NULL. */
    bool (*poll)(void *context);
    /* Called on rank 0 when all is done. May be NULL. */
    void (*end)(void *context, const ls_train_times *times, const ls_train_mixing *mixing);
} ls_train_observer;

/* Trains model in place on the rows of dataset. Each rank reads and keeps its own rows only. history is
 * cleared first and filled on every rank. Collective; model, options and observer's presence must agree on
 * all ranks. LS_E_USAGE for unusable options or more ranks than shards or rows, LS_E_INPUT for unusable data,
 * LS_E_DIVERGED when the loss is no longer finite (the message names epoch and step), LS_E_DIFFER when the
 * weights of the ranks do, or at the start their arguments or (unless allow_other_cpu) kinds of processor,
 * LS_E_INTERRUPTED after a signal (see interrupt.h), when a checkpoint of the same
 * step has been written on behalf of all ranks. Then model and history are as far as it came. */
ls_status ls_train(ls_session *session, ls_model *model, ls_dataset *dataset, const ls_train_options *options,
                   const ls_train_observer *observer, ls_history *history);

#endif
