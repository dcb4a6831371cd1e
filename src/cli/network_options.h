/* The options that describe a network, what it learns, and how much samples count. */
#ifndef LS_CLI_NETWORK_OPTIONS_H
#define LS_CLI_NETWORK_OPTIONS_H

#include "options.h"

enum { CLI_N_NETWORK_OPTIONS = 8 };

typedef struct cli_network {
    cli_ints hidden;
    const char *activation, *loss, *initializer, *sample_weight;
    bool activation_given, dropout_given, smoothing_given;
    double dropout, label_smoothing;
    cli_doubles class_weight;
} cli_network;

void cli_network_defaults(cli_network *n);

/* Writes their table to rows, which has room for CLI_N_NETWORK_OPTIONS: they point into n. Returns how many
 * there are. */
int cli_network_list(cli_network *n, cli_option *rows);

/* What the options and the targets of a set say of the network; its hidden is borrowed from n. Collective.
 * LS_E_USAGE, LS_E_INPUT. */
ls_status cli_network_describe(ls_session *session, const cli_network *n, ls_dtype dtype, ls_dataset *dataset,
                               ls_network *network, ls_initializer *initializer);

/* The network of the options for the targets of a set, with weights. Collective. LS_E_USAGE, LS_E_INPUT. The
 * caller frees *model. */
ls_status cli_network_make(ls_session *session, const cli_network *n, ls_dtype dtype, uint64_t seed,
                           ls_dataset *dataset, ls_model **model);

/* What the options say of a model from a file must be true of it, or, of its loss, dropout and smoothing, can
 * be given anew. LS_E_USAGE names the file. Local. */
ls_status cli_network_apply(const cli_network *n, const char *file, ls_model *model);

/* Gives the set the class weights of the options. LS_E_USAGE if they do not go with the loss and so many
 * outputs. Local. */
ls_status cli_network_weigh(const cli_network *n, ls_loss loss, int64_t n_outputs, ls_dataset *dataset);

void cli_network_free(cli_network *n);

#endif
