/* The progress of long operations on stderr, that of training in Keras' form. */
#ifndef LS_CLI_PROGRESS_H
#define LS_CLI_PROGRESS_H

#include "options.h"

/* What --verbose and --progress say. */
typedef struct cli_progress_options {
    int64_t verbose;
    int form; /* index in cli_progress_forms */
} cli_progress_options;

extern const char *const cli_progress_forms[];

/* Rows of an option table; options is a cli_progress_options that starts as {.verbose = 1}. lines: what
 * --verbose 2 prints. */
#define CLI_PROGRESS_OPTIONS(options, lines)                                                                 \
    {                                                                                                        \
        "verbose",   0, CLI_INT, &(options)->verbose, "0|1|2", "0 silent, 1 progress bar, 2 " lines,         \
        .maximum = 2},                                                                                       \
    {                                                                                                        \
        "progress", 0, CLI_CHOICE, &(options)->form, "auto|bar|lines",                                       \
            "with --verbose 1: a bar on a terminal and lines elsewhere, or always one of them",              \
            .choices = cli_progress_forms                                                                    \
    }

/* Whether they ask for a bar on stderr. */
bool cli_progress_wants_bar(const cli_progress_options *options);

/* Shows how far an epoch is. */
void cli_progress_epoch(const cli_progress_options *options, const ls_train_progress *progress);

/* An operation over samples. Its functions are called on any rank; rank 0 alone prints. */
typedef struct cli_operation {
    const cli_progress_options *options;
    const char *title; /* "predict" */
    double begun;      /* seconds */
    double shown;      /* the same, when it was last, 0: not yet */
    int64_t tenths;    /* shown by a line */
    ls_progress progress;
} cli_operation;

/* What to give to the library for an operation that begins now, NULL with --verbose 0. options, title and
 * operation stay where they are until it ends. Where --progress is auto, nothing is shown of an operation
 * that is over in a moment. */
const ls_progress *cli_progress_begin(cli_operation *operation, const cli_progress_options *options,
                                      const char *title);

/* Ends a bar that stands on the terminal's line, before something else is printed there. */
void cli_progress_break(void);

#endif
