/* One table per subcommand drives parsing, checking and help. */
#ifndef LS_CLI_OPTIONS_H
#define LS_CLI_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lockstep/lockstep.h"

enum { CLI_MAX_POSITIONALS = 4 };

/* What an option takes, and the type that its value points to. */
typedef enum cli_kind {
    CLI_FLAG,    /* nothing; bool, set to true */
    CLI_BOOL,    /* true or false; bool. Also --no-NAME */
    CLI_INT,     /* int64_t within [minimum, maximum]; 1000000 or 1e6 */
    CLI_BYTES,   /* int64_t, at least 0: 1000, 64k, 256M, 1.5G, 2TiB (of 1024), 2GB (of 1000) */
    CLI_DOUBLE,  /* double */
    CLI_TEXT,    /* const char *, borrowed from argv */
    CLI_CHOICE,  /* int, the index of the word in choices */
    CLI_INTS,    /* cli_ints: whole numbers with commas, "" for none */
    CLI_DOUBLES, /* cli_doubles: numbers with commas, or "none" */
    CLI_END
} cli_kind;

typedef struct cli_ints {
    int64_t *values;
    int64_t n;
    bool given;
} cli_ints;

typedef struct cli_doubles {
    double *values; /* NULL for "none" */
    int64_t n;
    bool given;
} cli_doubles;

typedef struct cli_option {
    const char *name; /* without the dashes */
    char letter;      /* short form, or 0 */
    cli_kind kind;
    void *value;                /* holds the default before parsing */
    const char *takes;          /* the word for its argument in the help */
    const char *text;           /* the help */
    const char *shown_default;  /* instead of the value, or NULL */
    const char *const *choices; /* CLI_CHOICE: NULL-terminated words */
    int64_t minimum, maximum;   /* CLI_INT; both 0 for no limits */
    bool *given;                /* set to true when the option appears, or NULL */
} cli_option;

typedef struct cli_command {
    const char *name;
    const char *positionals;       /* as in the usage line, "MODEL DATA" */
    int n_positionals, n_optional; /* n_optional of them at the end may be left out: they are NULL */
    const char *text;              /* one line */
    const char *detail;            /* further help after the options, or NULL */
    int (*run)(int argc, char **argv);
} cli_command;

/* Whether a launcher has started this process, probably as one of several. */
bool cli_is_launched(void);

/* Whether this process may print before MPI is up: the launcher's rank 0, or no launcher at all. */
bool cli_is_first(void);

/* Parses argv[1..] by the table (ended by CLI_END). Returns -1 to go on, otherwise the exit code: 0 after
 * --help, LS_E_USAGE after an error, which has been printed on the first rank. */
int cli_parse(const cli_command *command, const cli_option *options, int argc, char **argv,
              const char *positionals[CLI_MAX_POSITIONALS]);

/* Prints "lockstep COMMAND: message" and where the help is; returns LS_E_USAGE (or what
 * cli_refuse does). Before MPI is up. */
int cli_usage_error(const cli_command *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The word of a NULL-terminated list that is nearest to word by edits. */
const char *cli_nearest(const char *word, const char *const *words);

/* Prints the error message on rank 0 if status is a failure, or the text on its stdout could not be written;
 * closes the session, returns the exit code. Collective; status must agree unless it is LS_E_MPI. */
int cli_finish(ls_session *session, ls_status status);

void cli_ints_free(cli_ints *ints);
void cli_doubles_free(cli_doubles *doubles);

#endif
