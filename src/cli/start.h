/* How every subcommand begins; cli_finish is how it ends. */
#ifndef LS_CLI_START_H
#define LS_CLI_START_H

#include "options.h"

/* Opens the session, refuses if the ranks were given different options (each is named and compared by its
 * value), and warns on rank 0 of ranks that share a core. Collective. */
ls_status cli_start(const cli_command *command, const cli_option *options, const char *const *positionals,
                    ls_session **session);

/* Instead of that: refuses the command line with a text of whole lines, on stderr of rank 0, and returns the
 * exit code, LS_E_USAGE. Under a launcher the ranks meet first: one that left early would end the job before
 * rank 0 has spoken, or leave the others waiting if only its own command line is wrong (LS_E_DIFFER).
 * Collective, before MPI is up. */
int cli_refuse(const char *text);

#endif
