#include "engine/scores.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/values.h"

enum { SUM, SQUARES, ERRORS, PER_OUTPUT }; /* of doubles */
enum { MAX_CONFUSED = 512 };               /* classes of a matrix */

static bool has_matrix(const ls_model *model)
{
    return ls_loss_is_categorical(model->loss) && ls_model_n_outputs(model) <= MAX_CONFUSED;
}

void ls_score_sizes(const ls_model *model, int64_t *n_doubles, int64_t *n_ints)
{
    const int64_t n = ls_model_n_outputs(model);
    *n_doubles = ls_loss_is_regression(model->loss) ? PER_OUTPUT * n : 0;
    *n_ints = has_matrix(model) ? n * n + 1 : 0;
}

static void add_class(const ls_model *model, const ls_targets *targets, const void *y, const void *outputs,
                      int64_t row, int64_t *ints)
{
    const int64_t n = ls_model_n_outputs(model), at = row * ls_targets_row_values(targets);
    const int64_t real = targets->n_columns == 1 ? (int64_t)ls_value_at(model->dtype, y, at)
                                                 : ls_value_greatest(model->dtype, y, at, targets->n_columns);
    const double p = ls_value_at(model->dtype, outputs, row * n + real);
    int64_t n_greater = 0;
    for (int64_t i = 0; i < n; i++) n_greater += ls_value_at(model->dtype, outputs, row * n + i) > p;
    ints[real * n + ls_value_greatest(model->dtype, outputs, row * n, n)]++;
    ints[n * n] += n_greater < LS_TOP_K;
}

static void add_numbers(const ls_model *model, const ls_targets *targets, const void *y, const void *outputs,
                        int64_t row, double *doubles)
{
    const int64_t n = ls_model_n_outputs(model), at = row * ls_targets_row_values(targets);
    for (int64_t i = 0; i < n; i++, doubles += PER_OUTPUT) {
        const double real = ls_value_at(model->dtype, y, at + i),
                     error = ls_value_at(model->dtype, outputs, row * n + i) - real;
        doubles[SUM] += real;
        doubles[SQUARES] += real * real;
        doubles[ERRORS] += error * error;
    }
}

void ls_score_add(const ls_model *model, const ls_targets *targets, const void *y, const void *outputs,
                  int64_t n_rows, ls_score_sums sums)
{
    const bool classes = has_matrix(model), numbers = ls_loss_is_regression(model->loss);
    for (int64_t row = 0; row < n_rows; row++) {
        if (classes) add_class(model, targets, y, outputs, row, sums.ints);
        if (numbers) add_numbers(model, targets, y, outputs, row, sums.doubles);
    }
}

/* 1 - squared errors / squared deviations from the mean, the mean over outputs (scikit-learn's r2_score,
 * which gives 0 to a constant target that is missed and 1 to one that is met). */
static double r2_of(const ls_model *model, const double *doubles, double n)
{
    const int64_t n_outputs = ls_model_n_outputs(model);
    double sum = 0;
    for (int64_t i = 0; i < n_outputs; i++, doubles += PER_OUTPUT) {
        const double deviations = doubles[SQUARES] - doubles[SUM] * doubles[SUM] / n;
        sum += deviations > 0 ? 1 - doubles[ERRORS] / deviations : doubles[ERRORS] == 0;
    }
    return sum / (double)n_outputs;
}

ls_status ls_score_finish(const ls_model *model, ls_score_sums sums, ls_scores *scores)
{
    const ls_metrics *m = &scores->metrics;
    const int64_t n = ls_model_n_outputs(model);
    scores->roc_auc = scores->top_k_accuracy = scores->r2 = NAN;
    if (ls_loss_is_regression(model->loss)) {
        scores->r2 = r2_of(model, sums.doubles, (double)m->n_samples);
        return LS_OK;
    }
    if (model->loss != LS_BINARY_CROSSENTROPY && !has_matrix(model)) return LS_OK;
    const int64_t n_classes = model->loss == LS_BINARY_CROSSENTROPY ? 2 : n;
    LS_TRY(ls_alloc(&scores->confusion, (size_t)(n_classes * n_classes), sizeof *scores->confusion,
                    "confusion matrix"));
    scores->n_classes = n_classes;
    if (model->loss == LS_BINARY_CROSSENTROPY) {
        const int64_t counts[4] = {m->tn, m->fp, m->fn, m->tp};
        memcpy(scores->confusion, counts, sizeof counts);
        return LS_OK;
    }
    memcpy(scores->confusion, sums.ints, (size_t)(n * n) * sizeof *sums.ints);
    if (n > LS_TOP_K) scores->top_k_accuracy = (double)sums.ints[n * n] / (double)m->n_samples;
    return LS_OK;
}

void ls_scores_clear(ls_scores *scores)
{
    ls_free(scores->confusion);
    *scores = (ls_scores){0};
}

ls_class_scores ls_scores_of_class(const ls_scores *scores, int64_t class)
{
    const int64_t n = scores->n_classes;
    int64_t real = 0, predicted = 0;
    const double right = (double)scores->confusion[class * n + class];
    for (int64_t i = 0; i < n; i++) {
        real += scores->confusion[class * n + i];
        predicted += scores->confusion[i * n + class];
    }
    return (ls_class_scores){.n_samples = real,
                             .precision = predicted > 0 ? right / (double)predicted : 0,
                             .recall = real > 0 ? right / (double)real : 0,
                             .f1 = real + predicted > 0 ? 2 * right / (double)(real + predicted) : 0};
}
