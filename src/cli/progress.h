/* The progress of long operations on stderr, that of training in Keras' form. */
#ifndef LS_CLI_PROGRESS_H
#define LS_CLI_PROGRESS_H

#include "lockstep/lockstep.h"

typedef enum cli_progress_style {
    CLI_PROGRESS_NONE,
    CLI_PROGRESS_BAR,  /* a title and a line per epoch, rewritten in place */
    CLI_PROGRESS_LINES /* one line per epoch when it is done */
} cli_progress_style;

/* Shows how far an epoch is. */
void cli_progress(cli_progress_style style, const ls_train_progress *progress);

/* Rewrites a line that says how many of the samples are done, how fast, and the time left or taken. */
void cli_progress_samples(int64_t n_done, int64_t n_samples, double seconds);

#endif
