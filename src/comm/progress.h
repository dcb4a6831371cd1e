/* Reporting how far rank 0 is in its share of an operation. */
#ifndef LS_COMM_PROGRESS_H
#define LS_COMM_PROGRESS_H

#include "comm/comm.h"
#include "lockstep/progress.h"

/* One set of samples among those of an operation. */
typedef struct ls_progress_part {
    const ls_session *session;
    const ls_progress *progress; /* NULL: nobody wants to know; borrowed */
    int64_t n_before;            /* samples of earlier sets */
    int64_t n_part;              /* of this one */
    int64_t n_samples;           /* of all sets */
} ls_progress_part;

/* This rank has done n_done of n_share equal pieces of its work on a part. Cheap on other ranks than 0.
 * Local. */
void ls_progress_report(const ls_progress_part *part, int64_t n_done, int64_t n_share);

/* All ranks have done all n_samples. Local. */
void ls_progress_end(const ls_progress_part *part);

#endif
