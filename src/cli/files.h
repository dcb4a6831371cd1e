/* The files of a command line: none may be written over another one that it names. */
#ifndef LS_CLI_FILES_H
#define LS_CLI_FILES_H

#include "options.h"

typedef struct cli_file {
    const char *name; /* for the user: "DATA", "--history" */
    const char *path; /* or NULL; of data also FILE:/GROUP */
} cli_file;

/* The file that --x or --y names, [FILE:]/PATH; without one its path is NULL. */
cli_file cli_file_of_array(const char *name, const char *array);

/* Refuses an output, of which there are those from n_inputs on, that is another file of the list, by whatever
 * path or link. Returns -1, or the exit code after an error that has been printed. Before MPI is up. */
int cli_check_files(const cli_command *command, const cli_file *files, int n_files, int n_inputs);

#endif
