#include "comm/progress.h"

void ls_progress_report(const ls_progress_part *part, int64_t n_done, int64_t n_share)
{
    if (!part->progress || part->session->rank != 0) return;
    const double share = (double)n_done / (double)n_share;
    const int64_t n = part->n_before + (int64_t)(share * (double)part->n_part);
    /* The end is when the others are there, too. */
    if (n < part->n_samples) part->progress->report(part->progress->context, n, part->n_samples);
}

void ls_progress_end(const ls_progress_part *part)
{
    if (part->progress && part->session->rank == 0)
        part->progress->report(part->progress->context, part->n_samples, part->n_samples);
}
