#include "report.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int cli_list_measures(ls_loss loss, cli_measure list[CLI_MAX_MEASURES])
{
    static const cli_measure of_two_classes[] = {{"loss", "loss", "loss"},
                                                 {"binary_accuracy", "acc", "accuracy"},
                                                 {"precision", "prec", "precision"},
                                                 {"recall", "rec", "recall"}},
                             of_classes[] = {{"loss", "loss", "loss"}, {"accuracy", "acc", "accuracy"}},
                             of_numbers[] = {{"loss", "loss", "loss"},
                                             {"mean_absolute_error", "mae", "abs error"},
                                             {"mean_squared_error", "mse", "sq error"}};
    const bool is_binary = loss == LS_BINARY_CROSSENTROPY, is_categorical = ls_loss_is_categorical(loss);
    const cli_measure *from = is_binary ? of_two_classes : is_categorical ? of_classes : of_numbers;
    const int n = is_binary ? 4 : is_categorical ? 2 : 3;
    memcpy(list, from, (size_t)n * sizeof *list);
    return n;
}

static void print_value(const char *name, double value)
{
    printf("  %-31s %.6f\n", name, value);
}

static void print_two_classes(const ls_scores *scores)
{
    const ls_metrics *m = &scores->metrics;
    const double percent = 100.0 / (double)(m->tn + m->fp + m->fn + m->tp);
    print_value("binary_crossentropy cost", ls_metrics_loss(m));
    print_value("precision / PPV (FP related)", ls_metrics_precision(m));
    print_value("recall / TPR (FN related)", ls_metrics_recall(m));
    print_value("accuracy", ls_metrics_binary_accuracy(m));
    print_value("F1", ls_metrics_f1(m));
    if (!isnan(scores->roc_auc)) print_value("area under the ROC curve", scores->roc_auc);
    printf("  confusion matrix in %%       pred 0      pred 1\n");
    printf("                   real 0  %10.5f  %10.5f\n", percent * (double)m->tn, percent * (double)m->fp);
    printf("                   real 1  %10.5f  %10.5f\n", percent * (double)m->fn, percent * (double)m->tp);
}

/* More columns than these do not fit a terminal; JSON has all. */
enum { MAX_COLUMNS = 8 };

static void print_classes(const ls_model *model, const ls_scores *scores)
{
    const ls_metrics *m = &scores->metrics;
    const int64_t n = scores->n_classes;
    print_value(ls_loss_name(model->loss), ls_metrics_loss(m));
    print_value("accuracy", ls_metrics_value(m, "accuracy"));
    if (!isnan(scores->top_k_accuracy)) print_value("top 5 accuracy", scores->top_k_accuracy);
    if (n == 0) return;
    printf("  class   samples  precision    recall        F1\n");
    for (int64_t i = 0; i < n; i++) {
        const ls_class_scores c = ls_scores_of_class(scores, i);
        printf("  %5lld  %8lld   %8.6f  %8.6f  %8.6f\n", (long long)i, (long long)c.n_samples, c.precision,
               c.recall, c.f1);
    }
    if (n > MAX_COLUMNS) return;
    printf("  confusion matrix in %%\n         ");
    for (int64_t i = 0; i < n; i++) printf("  pred %lld", (long long)i);
    for (int64_t real = 0; real < n; real++) {
        printf("\n  real %lld ", (long long)real);
        for (int64_t i = 0; i < n; i++)
            printf(" %7.3f", 100.0 * (double)scores->confusion[real * n + i] / (double)m->n_samples);
    }
    putchar('\n');
}

static void print_numbers(const ls_model *model, const ls_scores *scores)
{
    const ls_metrics *m = &scores->metrics;
    print_value(ls_loss_name(model->loss), ls_metrics_loss(m));
    if (model->loss != LS_MEAN_ABSOLUTE_ERROR)
        print_value("mean_absolute_error", ls_metrics_value(m, "mean_absolute_error"));
    if (model->loss != LS_MEAN_SQUARED_ERROR)
        print_value("mean_squared_error", ls_metrics_value(m, "mean_squared_error"));
    print_value("R2", scores->r2);
}

void cli_print_scores(const char *name, const ls_model *model, const ls_scores *scores)
{
    printf("Measures on the %s data, %lld samples\n", name, (long long)scores->metrics.n_samples);
    if (model->loss == LS_BINARY_CROSSENTROPY) {
        print_two_classes(scores);
    } else if (ls_loss_is_categorical(model->loss)) {
        print_classes(model, scores);
    } else {
        print_numbers(model, scores);
    }
}

static void put(json_t *object, const char *name, double value)
{
    json_object_set_new(object, name, isfinite(value) ? json_real(value) : json_null());
}

static json_t *confusion_json(const ls_scores *scores)
{
    const int64_t n = scores->n_classes;
    json_t *rows = json_array();
    for (int64_t real = 0; real < n; real++) {
        json_t *row = json_array();
        for (int64_t i = 0; i < n; i++)
            json_array_append_new(row, json_integer((json_int_t)scores->confusion[real * n + i]));
        json_array_append_new(rows, row);
    }
    return rows;
}

static json_t *classes_json(const ls_scores *scores)
{
    json_t *classes = json_array();
    for (int64_t i = 0; i < scores->n_classes; i++) {
        const ls_class_scores c = ls_scores_of_class(scores, i);
        json_array_append_new(classes, json_pack("{s:I, s:f, s:f, s:f}", "samples", (json_int_t)c.n_samples,
                                                 "precision", c.precision, "recall", c.recall, "f1", c.f1));
    }
    return classes;
}

json_t *cli_scores_json(const ls_model *model, const ls_scores *scores)
{
    const ls_metrics *m = &scores->metrics;
    cli_measure list[CLI_MAX_MEASURES];
    const int n = cli_list_measures(model->loss, list);
    json_t *object = json_pack("{s:I}", "samples", (json_int_t)m->n_samples);
    for (int i = 0; i < n; i++) put(object, list[i].name, ls_metrics_value(m, list[i].name));
    if (model->loss == LS_BINARY_CROSSENTROPY) put(object, "f1", ls_metrics_f1(m));
    if (!isnan(scores->roc_auc)) put(object, "roc_auc", scores->roc_auc);
    if (!isnan(scores->top_k_accuracy)) put(object, "top_5_accuracy", scores->top_k_accuracy);
    if (ls_loss_is_regression(model->loss)) put(object, "r2", scores->r2);
    if (ls_loss_is_categorical(model->loss) && scores->n_classes > 0)
        json_object_set_new(object, "classes", classes_json(scores));
    if (scores->n_classes > 0) json_object_set_new(object, "confusion_matrix", confusion_json(scores));
    return object;
}

void cli_print_layers(FILE *stream, const ls_model *model)
{
    fprintf(stream, "model: %lld%s", (long long)model->n_features, model->mean ? " normalized" : "");
    for (int64_t i = 0; i < model->n_layers; i++) {
        fprintf(stream, " - %lld %s", (long long)model->layers[i].units,
                ls_activation_name(model->layers[i].activation));
        if (model->layers[i].dropout > 0) fprintf(stream, " dropout %g", model->layers[i].dropout);
    }
    fprintf(stream, "; %lld parameters, %s\n", (long long)model->n_parameters, ls_dtype_name(model->dtype));
}

const char *cli_seconds_text(double seconds, char text[16])
{
    if (seconds >= 0.9995) {
        snprintf(text, 16, "%.2f s", seconds);
    } else if (seconds >= 0.9995e-3) {
        snprintf(text, 16, "%.0f ms", 1e3 * seconds);
    } else if (seconds >= 9.995e-6 || seconds == 0) {
        snprintf(text, 16, "%.0f us", 1e6 * seconds);
    } else {
        snprintf(text, 16, "%.2g us", 1e6 * seconds);
    }
    return text;
}
