/* The options of a training, for every subcommand that takes them, and the data and model that they name. */
#ifndef LS_CLI_TRAINING_H
#define LS_CLI_TRAINING_H

#include "data_options.h"
#include "network_options.h"
#include "optimizer_options.h"
#include "options.h"
#include "progress.h"

enum { CLI_TRAINING_OPTIONS = 128 };

/* Not to be copied: the table points into it. */
typedef struct cli_training {
    cli_option options[CLI_TRAINING_OPTIONS];
    ls_train_options train;
    cli_network network;
    bool batch_size_given;
    int64_t batch_size_per_rank; /* 0: not given */
    int dtype;
    bool dtype_given;
    const char *init;
    int64_t seed;
    int shuffle, engine, reduction;
    const char *x, *y, *history_path, *times_path, *checkpoint_every;
    double stall_timeout;
    const char *validation_set; /* NULL: the usual one if it is there */
    double validation_split;
    bool validation_split_given;
    ls_dataset *whole, *validation; /* opened: the rows before they were split, and those to validate on */
    cli_progress_options progress;
    cli_optimizer optimizer;
    const cli_option *optimizer_rows; /* of options */
    ls_training_config start;         /* of --init */
    bool is_generated;                /* instead of reading a file */
    cli_data made;
} cli_training;

/* Parses the command line by these options and those of `more` (ended by CLI_END, or NULL), except those that
 * are named in without (ended by NULL, or NULL); without "generate" there are none of data to be made.
 * Returns as cli_parse does. After -1 the caller frees the training. */
int cli_training_parse(const cli_command *command, const cli_option *more, const char *const *without,
                       int argc, char **argv, cli_training *training,
                       const char *positionals[CLI_MAX_POSITIONALS]);

/* With --batch-size-per-rank: the batch of n_ranks ranks (0: those of the session), and shards enough for
 * them unless --shards is given. Collective. */
ls_status cli_training_scale(ls_session *session, cli_training *training, int64_t n_ranks);

/* Opens the data, or prepares to make them (data is NULL); validation data, NULL if there are none, go into
 * training->train. Collective. The caller closes *dataset before it frees the training, also after a failure;
 * it must be NULL before. */
ls_status cli_training_open_data(ls_session *session, cli_training *training, const char *data,
                                 ls_dataset **dataset);

/* The same, and builds the model of the options or loads that
 * of --init. Collective. The caller closes and frees both before it
 * frees the training, also after a failure; they must be NULL before. */
ls_status cli_training_open(ls_session *session, cli_training *training, const char *data,
                            ls_dataset **dataset, ls_model **model);

void cli_training_free(cli_training *training);

#endif
