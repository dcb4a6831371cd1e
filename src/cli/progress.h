/* The progress of training on stderr, in Keras' form. */
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

#endif
