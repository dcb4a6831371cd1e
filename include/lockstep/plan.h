/* What a training will take, told before it is started. */
#ifndef LOCKSTEP_PLAN_H
#define LOCKSTEP_PLAN_H

#include "lockstep/train.h"

/* Memory of one rank while it trains, in bytes: what is resident at most, memory that it shares with its node
 * included. */
typedef struct ls_plan_memory {
    int64_t program;  /* libraries, MPI, buffers for reading */
    int64_t network;  /* weights, and what the engine needs beside them */
    int64_t exchange; /* sums on their way between ranks */
    int64_t rows;     /* of the data, those to validate on too */
    int64_t writing;  /* of a model file or checkpoint: rank 0 alone */
} ls_plan_memory;

typedef struct ls_plan {
    int n_ranks;
    int ranks_per_node; /* of this session if it has n_ranks, otherwise as many as this node has processors */
    int64_t n_samples;
    int64_t min_rank_rows, max_rank_rows; /* of the data, for one rank */
    int64_t batch_size;
    int64_t min_batch_rows, max_batch_rows; /* of a whole batch, for one rank */
    int64_t n_shards;
    int64_t max_ranks; /* more cannot take part */
    int64_t min_rank_shards, max_rank_shards;
    int as_fast_ranks; /* the fewest ranks whose busiest one has max_rank_shards shards, too */
    int64_t n_steps;   /* of an epoch */
    int64_t n_all_steps;
    int64_t first_epoch_bytes;     /* that all ranks read of the file in the first epoch, */
    int64_t epoch_bytes;           /* and, about, in each later one */
    int64_t checkpoint_bytes;      /* the first checkpoint's size, or the only model file's */
    int64_t last_checkpoint_bytes; /* at most, after the last epoch: the history grows */
    ls_plan_memory memory;         /* of the rank with the most rows */
    int64_t node_memory;           /* all that this node has */

    /* Measured on this node, a step; of a long one only a share of the rows is tried, of a wide network one
     * that is narrower, and their times are counted up: */
    int64_t tried_parameters;
    double tried_share;
    double compute_seconds; /* of the busiest of n_ranks */
    double lone_seconds;    /* of a lone rank */
    double
        exchange_seconds; /* of adding the ranks' sums; without exchange_ranks the least that it can take */
    int exchange_ranks;   /* that took part in measuring it, 0 if it could not be measured: a lone process */
    double step_seconds;
    int better_ranks; /* with which steps would be clearly faster, or n_ranks */
    double better_seconds;
} ls_plan;

/* Says what ls_train would take on n_ranks ranks (0: those of the session) with this model, data and options:
 * reads the header of the data only, and runs engine and exchange on synthetic rows for a second or two at
 * most. *plan is set on rank 0 alone. Collective; arguments must agree. What
 * ls_train would refuse is refused with its message. LS_E_MEMORY. */
ls_status ls_plan_training(ls_session *session, const ls_model *model, ls_dataset *dataset,
                           const ls_train_options *options, int n_ranks, ls_plan *plan);

/* Bytes of all parts together, with those of writing or without. Local. */
int64_t ls_plan_rank_bytes(const ls_plan_memory *memory, bool writes);

#endif
