/* The options that describe an optimizer, the learning rate and penalties. */
#ifndef LS_CLI_OPTIMIZER_OPTIONS_H
#define LS_CLI_OPTIMIZER_OPTIONS_H

#include "options.h"

enum { CLI_N_OPTIMIZER_OPTIONS = 23 };

typedef struct cli_optimizer {
    int kind, schedule;  /* of the choices */
    ls_optimizer wanted; /* where given */
    cli_ints boundaries;
    cli_doubles factors;
    double l1, l2;
    bool given[CLI_N_OPTIMIZER_OPTIONS];
} cli_optimizer;

/* Writes their table to rows, which has room for CLI_N_OPTIMIZER_OPTIONS: they point into o and to *rate
 * and *base_batch. Returns how many there are. */
int cli_optimizer_list(cli_optimizer *o, double *rate, int64_t *base_batch, cli_option *rows);

/* After parsing: *optimizer gets Keras' defaults and what was given; an option that this optimizer or
 * schedule does not use is refused. Returns -1, or the exit code after an error that has been printed. */
int cli_optimizer_complete(const cli_command *command, const cli_optimizer *o, const cli_option *rows,
                           ls_optimizer *optimizer);

/* Gives the layers the penalties of the options, where there are any. */
void cli_optimizer_set_penalties(const cli_optimizer *o, ls_model *model);

/* Frees what the options hold. */
void cli_optimizer_free(cli_optimizer *o);

/* Prints what a training is about to use: "optimizer: adam, beta_1 0.9, ...". */
void cli_print_optimizer(FILE *stream, const ls_optimizer *optimizer, const ls_model *model);

#endif
