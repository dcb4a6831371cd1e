/* The options that say where labelled data lie, the same for every subcommand. */
#ifndef LS_CLI_SOURCE_H
#define LS_CLI_SOURCE_H

#include "options.h"

/* Rows of an option table: arrays other than the usual ones. x and y are const char * that start as NULL. */
#define CLI_SOURCE_OPTIONS(x_value, y_value)                                                                 \
    {"x",                                                                                                    \
     0,                                                                                                      \
     CLI_TEXT,                                                                                               \
     x_value,                                                                                                \
     "[FILE:]/PATH",                                                                                         \
     "array of the features, instead of X of the set; a table's field is /PATH:FIELD"},                      \
    {                                                                                                        \
        "y", 0, CLI_TEXT, y_value, "[FILE:]/PATH", "array of the labels, instead of y of the set"            \
    }

/* For the end of the help. */
#define CLI_SOURCE_DETAIL                                                                                    \
    "DATA is an HDF5 file with /train/X and /train/y, /test/X and /test/y, or FILE:/GROUP with these in a "  \
    "group. "                                                                                                \
    "Arrays of other names are given by --x and --y."

/* The sets of a file, opened: train and test as far as the file has them, or the one that --x names. */
enum { CLI_MAX_SETS = 2 };

typedef struct cli_sets {
    int n;
    const char *names[CLI_MAX_SETS];
    ls_dataset *sets[CLI_MAX_SETS];
} cli_sets;

/* Opens them. Collective. The caller closes them, also after a failure. */
ls_status cli_sets_open(ls_session *session, const char *file, const char *x, const char *y, bool without_y,
                        cli_sets *sets);
void cli_sets_close(cli_sets *sets);

#endif
