#include "train/measures.h"

#include <stdio.h>
#include <string.h>

#include "base/fail.h"

static const struct measure {
    const char *name;
    double (*value)(const ls_metrics *);
    bool is_cost, of_validation;
} table[] = {
    {"loss", ls_metrics_loss, true, false},
    {"binary_accuracy", ls_metrics_binary_accuracy, false, false},
    {"val_loss", ls_metrics_loss, true, true},
    {"val_binary_accuracy", ls_metrics_binary_accuracy, false, true},
    {"val_precision", ls_metrics_precision, false, true},
    {"val_recall", ls_metrics_recall, false, true},
    {"val_f1", ls_metrics_f1, false, true},
};
enum { N = sizeof table / sizeof table[0] };
_Static_assert((int)N <= (int)LS_MAX_TRIAL_MEASURES, "room for all measures");

int ls_measures_count(void)
{
    return N;
}

const char *ls_measures_name(int i)
{
    return table[i].name;
}

ls_status ls_measures_find(const char *name, int *i)
{
    static const char *const shorts[][2] = {{"accuracy", "binary_accuracy"},
                                            {"val_accuracy", "val_binary_accuracy"}};
    char known[256] = "";
    for (size_t k = 0; k < sizeof shorts / sizeof shorts[0]; k++)
        if (!strcmp(name, shorts[k][0])) name = shorts[k][1];
    for (*i = 0; *i < N; ++*i) {
        const size_t used = strlen(known);
        if (!strcmp(name, table[*i].name)) return LS_OK;
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", table[*i].name);
    }
    return ls_fail(LS_E_USAGE, "objective '%.100s' is unknown: choose one of %s", name, known);
}

bool ls_measures_is_cost(int i)
{
    return table[i].is_cost;
}

void ls_measures_take(const ls_metrics *training, const ls_metrics *validation, double *values)
{
    for (int i = 0; i < N; i++) values[i] = table[i].value(table[i].of_validation ? validation : training);
}
