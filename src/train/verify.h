/* Whether all ranks still hold the same weights and the same state of the optimizer. */
#ifndef LS_TRAIN_VERIFY_H
#define LS_TRAIN_VERIFY_H

#include "comm/comm.h"
#include "lockstep/model.h"
#include "train/optimizer.h"

enum { LS_VERIFY_NIBBLES = 8, LS_VERIFY_INTS = 2 * LS_VERIFY_NIBBLES };

/* What a rank adds to the step's message: the nibbles of a 32-bit digest of its parameters and of what its
 * optimizer (or NULL) keeps, and their squares. As small numbers they survive any kind of sum over up to 70
 * 000 ranks exactly, even one in float32. Local. */
void ls_verify_digest(const ls_model *model, const ls_optimizer_state *optimizer,
                      int64_t values[LS_VERIFY_INTS]);

/* Looks at the sums of these values over all ranks. The ranks' nibbles d are all equal exactly if size *
 * sum(d^2) = sum(d)^2 (Cauchy and Schwarz), so every rank comes to the same verdict. LS_E_DIFFER names the
 * ranks whose parameters are not those of the majority, or all of them if there is none; step is for the
 * message. Collective if they differ. */
ls_status ls_verify_compare(ls_session *session, const ls_model *model, const ls_optimizer_state *optimizer,
                            const int64_t sums[LS_VERIFY_INTS], int64_t step);

/* Adds and compares at once, between two steps. Collective. */
ls_status ls_verify_now(ls_session *session, const ls_model *model, const ls_optimizer_state *optimizer,
                        int64_t step);

#endif
