/* How far a long operation is. */
#ifndef LOCKSTEP_PROGRESS_H
#define LOCKSTEP_PROGRESS_H

#include <stdint.h>

typedef struct ls_progress {
    void *context;
    /* Called on rank 0 alone, after every few thousand samples: about how many of n_samples all ranks have
     * done, below n_samples and never less than before; and once with n_done == n_samples, when all have done
     * theirs and a file that they write is in place. The ranks' shares are alike, so that rank 0's own stands
     * for all of them and nobody sends a message. */
    void (*report)(void *context, int64_t n_done, int64_t n_samples);
} ls_progress;

#endif
