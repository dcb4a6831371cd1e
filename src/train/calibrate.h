/* How long parts of a step take on this machine, found by doing them for a fraction of a second with the real
 * engine and the real exchange. */
#ifndef LS_TRAIN_CALIBRATE_H
#define LS_TRAIN_CALIBRATE_H

#include "lockstep/train.h"

typedef struct ls_calibration {
    double seconds;       /* of a step, mean */
    int64_t rows;         /* of a step */
    int64_t rows_tried;   /* as many, or fewer where a step would take long: then seconds is counted up */
    int64_t engine_bytes; /* memory of the engine */
    int64_t packed_bytes; /* of the rank's rows of a batch as the engine reads them */
} ls_calibration;

/* A model that is tried instead of a wide one, whose weights alone would take long to fill: of the same
 * depth, and so much narrower in all layers that it has some millions of parameters; otherwise as wide.
 * Parameters are zero. Local. LS_E_MEMORY. The caller frees *narrow. */
ls_status ls_calibrate_narrow(const ls_model *model, ls_model **narrow);

/* Rows for it: made when they are read, with as many features as the model takes. Collective; arguments must
 * agree. LS_E_MEMORY. The caller closes *dataset. */
ls_status ls_calibrate_open(ls_session *session, const ls_model *model, int64_t n_samples,
                            ls_dataset **dataset);

/* What a rank does by itself in a step of this training if `share` of n_ranks ranks is its own: laying out
 * the rows of its shards, their gradients, the update. Of the rows as many are used as fit a few megabytes
 * and are then kept. Local. LS_E_MEMORY. */
ls_status ls_calibrate_compute(const ls_model *model, const ls_train_options *options, ls_dataset *dataset,
                               int n_ranks, int share, ls_calibration *result);

/* Mean seconds of adding the sums of all ranks of the session once. Collective; arguments must agree.
 * LS_E_MEMORY, LS_E_MPI. */
ls_status ls_calibrate_exchange(ls_session *session, const ls_model *model, const ls_train_options *options,
                                double *seconds);

#endif
