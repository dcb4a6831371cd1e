/* What a training of a search is measured by: every measure of the training data and, as val_..., of the
 * validation data. The one place that knows their names. All functions are local. */
#ifndef LS_TRAIN_MEASURES_H
#define LS_TRAIN_MEASURES_H

#include <stdbool.h>

#include "lockstep/evaluate.h"

enum { LS_MAX_TRIAL_MEASURES = 16 };

int ls_measures_count(void);
const char *ls_measures_name(int i);

/* The number of a name; "accuracy" is short for the accuracy that there is. LS_E_USAGE lists the names. */
ls_status ls_measures_find(const char *name, int *i);

/* Whether less of it is better. */
bool ls_measures_is_cost(int i);

/* values[i] of the running measures of a training's last epoch and those of its finished model. */
void ls_measures_take(const ls_metrics *training, const ls_metrics *validation, double *values);

#endif
