/* Everything that decides the rest of a run, beside the weights: as a text in the model file. */
#ifndef LS_TRAIN_RECORD_H
#define LS_TRAIN_RECORD_H

#include <jansson.h>

#include "data/order.h"
#include "engine/engine.h"
#include "lockstep/train.h"
#include "train/monitor.h"
#include "train/optimizer.h"

/* How far a run is. */
typedef struct ls_position {
    int64_t epoch;      /* epochs done */
    int64_t step;       /* steps done in the next one */
    ls_metrics metrics; /* of these steps */
    ls_monitor monitor; /* after the epochs done */
} ls_position;

/* What must not change when a run goes on, by the names that the user knows; what explains a difference in
 * another one comes before it. data and validation are the fingerprints of the rows, "none" if there are no
 * validation data. The caller frees *settings with
 * json_decref. LS_E_MEMORY. Local. */
ls_status ls_record_settings(const ls_order *order, const ls_model *model, const ls_train_options *options,
                             const char *data, const char *validation, const ls_engine_kind *engine,
                             json_t **settings);

/* Adds those of the optimizer, of the penalties and of a state that has not done a step of the run yet.
 * LS_E_MEMORY. Local. */
ls_status ls_record_add_optimizer(const ls_optimizer_state *state, json_t *settings);

/* The text of a run: settings is what must not change on the way (any JSON object), position and history how
 * far it is. Numbers come back exactly. No times, so that equal runs have equal texts. The caller frees *text
 * with ls_free. Local. */
ls_status ls_record_format(json_t *settings, const ls_position *position, const ls_history *history,
                           char **text);

/* Refuses settings of which one differs from what is stored in the file: LS_E_USAGE names the first, with
 * both values. Local. */
ls_status ls_record_compare(const char *file, json_t *stored, json_t *now);

/* Reads such a text. LS_E_INPUT, naming file, if it is not one, or if it was made with settings other than
 * these; the message names the differing one with both values. *position and *history (epochs by ls_alloc,
 * seconds NaN) are filled. Local. */
ls_status ls_record_parse(const char *file, const char *text, json_t *settings, ls_position *position,
                          ls_history *history);

#endif
