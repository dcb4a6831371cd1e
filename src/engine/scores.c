#include "engine/scores.h"

#include <math.h>

#include "base/memory.h"
#include "base/values.h"

enum { SUM, SQUARES, ERRORS, PER_OUTPUT }; /* of doubles */

void ls_score_sizes(const ls_model *model, int64_t *n_doubles, int64_t *n_ints)
{
    *n_doubles = ls_loss_is_regression(model->loss) ? PER_OUTPUT * ls_model_n_outputs(model) : 0;
    *n_ints = ls_loss_is_categorical(model->loss) ? 1 : 0;
}

static ls_status add_class(const ls_model *model, const ls_targets *targets, const void *y,
                           const void *outputs, int64_t row, int64_t *n_in_top, ls_confusion *confusion)
{
    const int64_t n = ls_model_n_outputs(model), at = row * ls_targets_row_values(targets);
    const int64_t real = targets->n_columns == 1 ? (int64_t)ls_value_at(model->dtype, y, at)
                                                 : ls_value_greatest(model->dtype, y, at, targets->n_columns);
    const double p = ls_value_at(model->dtype, outputs, row * n + real);
    int64_t n_greater = 0;
    for (int64_t i = 0; i < n; i++) n_greater += ls_value_at(model->dtype, outputs, row * n + i) > p;
    *n_in_top += n_greater < LS_TOP_K;
    return ls_confusion_add(confusion, real, ls_value_greatest(model->dtype, outputs, row * n, n), 1);
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

ls_status ls_score_add(const ls_model *model, const ls_targets *targets, const void *y, const void *outputs,
                       int64_t n_rows, ls_score_sums sums, ls_confusion *confusion)
{
    const bool classes = ls_loss_is_categorical(model->loss), numbers = ls_loss_is_regression(model->loss);
    for (int64_t row = 0; row < n_rows; row++) {
        if (classes) LS_TRY(add_class(model, targets, y, outputs, row, sums.ints, confusion));
        if (numbers) add_numbers(model, targets, y, outputs, row, sums.doubles);
    }
    return LS_OK;
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

/* Each class by the sums of its row and its column, and their mean. */
static ls_status judge_classes(ls_scores *scores)
{
    int64_t n_occurring = 0;
    ls_class_scores *mean = &scores->mean;
    LS_TRY(
        ls_alloc(&scores->classes, (size_t)scores->n_classes, sizeof *scores->classes, "scores of classes"));
    for (int64_t i = 0; i < scores->n_cells; i++) {
        const ls_confusion_cell *cell = &scores->confusion[i];
        scores->classes[cell->real].n_samples += cell->n_samples;
        scores->classes[cell->predicted].n_predicted += cell->n_samples;
        if (cell->real == cell->predicted) scores->classes[cell->real].n_correct = cell->n_samples;
    }
    for (int64_t i = 0; i < scores->n_classes; i++) {
        ls_class_scores *class = &scores->classes[i];
        const ls_metrics m = {.tp = class->n_correct,
                              .fp = class->n_predicted - class->n_correct,
                              .fn = class->n_samples - class->n_correct};
        if (m.tp + m.fp + m.fn == 0) continue;
        class->precision = ls_metrics_precision(&m);
        class->recall = ls_metrics_recall(&m);
        class->f1 = ls_metrics_f1(&m);
        n_occurring++;
        mean->n_samples += class->n_samples;
        mean->n_predicted += class->n_predicted;
        mean->n_correct += class->n_correct;
        mean->recall += class->recall;
        mean->precision += class->precision;
        mean->f1 += class->f1;
    }
    mean->recall /= (double)n_occurring;
    mean->precision /= (double)n_occurring;
    mean->f1 /= (double)n_occurring;
    return LS_OK;
}

/* Two classes are counted with the measures. */
static ls_status add_two_classes(const ls_metrics *m, ls_confusion *confusion)
{
    const int64_t counts[2][2] = {{m->tn, m->fp}, {m->fn, m->tp}};
    for (int64_t i = 0; i < 4; i++)
        if (counts[i / 2][i % 2] > 0) LS_TRY(ls_confusion_add(confusion, i / 2, i % 2, counts[i / 2][i % 2]));
    return LS_OK;
}

ls_status ls_score_finish(ls_session *session, const ls_model *model, ls_score_sums sums,
                          ls_confusion *confusion, ls_scores *scores)
{
    const ls_metrics *m = &scores->metrics;
    const int64_t n = ls_model_n_outputs(model);
    const bool is_binary = model->loss == LS_BINARY_CROSSENTROPY;
    scores->roc_auc = scores->top_k_accuracy = scores->r2 = NAN;
    if (ls_loss_is_regression(model->loss)) {
        scores->r2 = r2_of(model, sums.doubles, (double)m->n_samples);
        return LS_OK;
    }
    if (!is_binary && n > LS_TOP_K) scores->top_k_accuracy = (double)sums.ints[0] / (double)m->n_samples;
    scores->n_classes = is_binary ? 2 : n;
    LS_TRY(
        ls_session_agree(session, is_binary && session->rank == 0 ? add_two_classes(m, confusion) : LS_OK));
    LS_TRY(ls_confusion_gather(session, confusion));
    scores->confusion = confusion->cells;
    scores->n_cells = confusion->n;
    *confusion = (ls_confusion){0};
    return ls_session_agree(session, session->rank == 0 ? judge_classes(scores) : LS_OK);
}

void ls_scores_clear(ls_scores *scores)
{
    ls_free(scores->classes);
    ls_free(scores->confusion);
    ls_free(scores->label_roc_auc);
    *scores = (ls_scores){0};
}
