/* What a training of a search is measured by: Keras' measures of its loss on the training data and, as
 * val_..., on the validation data. All functions are local. */
#ifndef LS_TRAIN_MEASURES_H
#define LS_TRAIN_MEASURES_H

#include <stdbool.h>

#include "lockstep/evaluate.h"

enum { LS_MEASURES = 2 * LS_MAX_MEASURES, LS_MEASURE_NAME = 48 };

typedef struct ls_measures {
    int n;
    char names[LS_MEASURES][LS_MEASURE_NAME];
} ls_measures;

void ls_measures_of(ls_loss loss, ls_measures *measures);

/* The number of a name; "accuracy" stands for binary_accuracy where that is the one there is. LS_E_USAGE
 * lists the names. */
ls_status ls_measures_find(const ls_measures *measures, const char *name, int *i);

/* Whether less of it is better. */
bool ls_measures_is_cost(const ls_measures *measures, int i);

/* values[i] of the running measures of a training's epoch and those of its model after it. */
void ls_measures_take(const ls_measures *measures, const ls_metrics *training, const ls_metrics *validation,
                      double *values);

#endif
