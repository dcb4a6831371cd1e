/* The subcommands. */
#ifndef LS_CLI_COMMANDS_H
#define LS_CLI_COMMANDS_H

#include "options.h"

extern const cli_command cli_generate, cli_split, cli_plan, cli_train, cli_evaluate, cli_predict, cli_summary,
    cli_tune;

#endif
