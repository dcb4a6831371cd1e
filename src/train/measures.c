#include "train/measures.h"

#include <stdio.h>
#include <string.h>

#include "base/fail.h"

static const char prefix[] = "val_";
enum { PREFIX = sizeof prefix - 1 };

void ls_measures_of(ls_loss loss, ls_measures *measures)
{
    const char *names[LS_MAX_MEASURES];
    const int n = ls_metrics_names(loss, names);
    measures->n = 2 * n;
    for (int i = 0; i < n; i++) {
        snprintf(measures->names[i], LS_MEASURE_NAME, "%s", names[i]);
        snprintf(measures->names[n + i], LS_MEASURE_NAME, "%s%s", prefix, names[i]);
    }
}

static int find(const ls_measures *measures, const char *name)
{
    int i = 0;
    while (i < measures->n && strcmp(name, measures->names[i]) != 0) i++;
    return i;
}

ls_status ls_measures_find(const ls_measures *measures, const char *name, int *i)
{
    char known[512] = "";
    *i = find(measures, name);
    if (*i == measures->n && !strcmp(name, "accuracy")) *i = find(measures, "binary_accuracy");
    if (*i == measures->n && !strcmp(name, "val_accuracy")) *i = find(measures, "val_binary_accuracy");
    if (*i < measures->n) return LS_OK;
    for (int k = 0; k < measures->n; k++) ls_list_name(known, sizeof known, measures->names[k]);
    return ls_fail(LS_E_USAGE, "objective '%.100s' is unknown: choose one of %s", name, known);
}

bool ls_measures_is_cost(const ls_measures *measures, int i)
{
    return !ls_metrics_rises(measures->names[i] + (i < measures->n / 2 ? 0 : PREFIX));
}

void ls_measures_take(const ls_measures *measures, const ls_metrics *training, const ls_metrics *validation,
                      double *values)
{
    for (int i = 0; i < measures->n; i++) {
        const char *name = measures->names[i];
        values[i] = i < measures->n / 2 ? ls_metrics_value(training, name)
                                        : ls_metrics_value(validation, name + PREFIX);
    }
}
