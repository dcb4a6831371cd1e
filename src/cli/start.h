/* How every subcommand begins; cli_finish is how it ends. */
#ifndef LS_CLI_START_H
#define LS_CLI_START_H

#include "options.h"

/* Opens the session, refuses if the ranks were given different options (each is named and compared by its
 * value), and warns on rank 0 of ranks that share a core. Collective. */
ls_status cli_start(const cli_command *command, const cli_option *options, const char *const *positionals,
                    ls_session **session);

#endif
