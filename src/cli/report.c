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

/* More columns do not fit a terminal, and more lines nobody reads: then those that matter most. */
enum { MAX_COLUMNS = 8, MAX_LINES = 40, N_TOLD = 10 };

static void print_roc_areas(const ls_model *model, const ls_scores *scores)
{
    const int64_t n = scores->label_roc_auc ? ls_model_n_outputs(model) : 0;
    if (!isnan(scores->roc_auc))
        print_value(n > 0 ? "mean area under ROC curves" : "area under the ROC curve", scores->roc_auc);
    if (!isnan(scores->roc_auc) && n > MAX_LINES)
        printf("  (of %lld labels; --json has each one's)\n", (long long)n);
    for (int64_t i = 0; i < n && n <= MAX_LINES; i++) {
        char name[40];
        snprintf(name, sizeof name, "  label %lld", (long long)i);
        if (isnan(scores->label_roc_auc[i])) {
            printf("  %-31s none: the samples are of one class\n", name);
        } else {
            print_value(name, scores->label_roc_auc[i]);
        }
    }
}

static void print_two_classes(const ls_model *model, const ls_scores *scores)
{
    const ls_metrics *m = &scores->metrics;
    const double percent = 100.0 / (double)(m->tn + m->fp + m->fn + m->tp);
    print_value("binary_crossentropy cost", ls_metrics_loss(m));
    print_value("precision / PPV (FP related)", ls_metrics_precision(m));
    print_value("recall / TPR (FN related)", ls_metrics_recall(m));
    print_value("accuracy", ls_metrics_binary_accuracy(m));
    print_value("F1", ls_metrics_f1(m));
    print_roc_areas(model, scores);
    printf("  confusion matrix in %%       pred 0      pred 1\n");
    printf("                   real 0  %10.5f  %10.5f\n", percent * (double)m->tn, percent * (double)m->fp);
    printf("                   real 1  %10.5f  %10.5f\n", percent * (double)m->fn, percent * (double)m->tp);
}

/* Whether class number a is told before class number b: of the lower F1, then of more samples, those without
 * any at last. */
static bool class_is_before(const ls_scores *scores, int64_t a, int64_t b)
{
    const ls_class_scores *x = &scores->classes[a], *y = &scores->classes[b];
    if ((x->n_samples > 0) != (y->n_samples > 0)) return x->n_samples > 0;
    return x->f1 != y->f1 ? x->f1 < y->f1 : x->n_samples > y->n_samples;
}

/* The same for cells: wrong ones, the most frequent first. */
static bool cell_is_before(const ls_scores *scores, int64_t a, int64_t b)
{
    const ls_confusion_cell *x = &scores->confusion[a], *y = &scores->confusion[b];
    const bool x_is_wrong = x->real != x->predicted, y_is_wrong = y->real != y->predicted;
    return x_is_wrong != y_is_wrong ? x_is_wrong : x->n_samples > y->n_samples;
}

/* The first N_TOLD of n in that order. Returns their number. */
static int find_told(const ls_scores *scores, int64_t n,
                     bool (*is_before)(const ls_scores *scores, int64_t a, int64_t b),
                     int64_t told[N_TOLD + 1])
{
    int n_told = 0;
    for (int64_t i = 0; i < n; i++) {
        int at = n_told;
        for (; at > 0 && is_before(scores, i, told[at - 1]); at--) told[at] = told[at - 1];
        told[at] = i;
        if (n_told < N_TOLD) n_told++;
    }
    return n_told;
}

static void print_class(const char *name, const ls_class_scores *c)
{
    printf("  %5s  %8lld   %8.6f  %8.6f  %8.6f\n", name, (long long)c->n_samples, c->precision, c->recall,
           c->f1);
}

static void print_each_class(const ls_scores *scores)
{
    const bool all = scores->n_classes <= MAX_LINES;
    int64_t told[N_TOLD + 1];
    const int64_t n = all ? scores->n_classes : find_told(scores, scores->n_classes, class_is_before, told);
    printf("  class   samples  precision    recall        F1\n");
    for (int64_t i = 0; i < n; i++) {
        const ls_class_scores *class = &scores->classes[all ? i : told[i]];
        char name[24];
        snprintf(name, sizeof name, "%lld", (long long)(all ? i : told[i]));
        if (all || class->n_samples > 0) print_class(name, class);
    }
    if (!all) printf("  (the lowest F1 of %lld classes; --json has all)\n", (long long)scores->n_classes);
    print_class("mean", &scores->mean);
}

static void print_matrix(const ls_scores *scores)
{
    const ls_confusion_cell *cell = scores->confusion, *end = cell + scores->n_cells;
    printf("  confusion matrix in %%\n         ");
    for (int64_t i = 0; i < scores->n_classes; i++) printf("  pred %lld", (long long)i);
    for (int64_t real = 0; real < scores->n_classes; real++) {
        printf("\n  real %lld ", (long long)real);
        for (int64_t i = 0; i < scores->n_classes; i++) {
            const bool is_there = cell < end && cell->real == real && cell->predicted == i;
            printf(" %7.3f",
                   is_there ? 100.0 * (double)cell->n_samples / (double)scores->metrics.n_samples : 0);
            cell += is_there;
        }
    }
    putchar('\n');
}

static void print_confusions(const ls_scores *scores)
{
    int64_t told[N_TOLD + 1];
    const int n = find_told(scores, scores->n_cells, cell_is_before, told);
    if (n == 0 || scores->confusion[told[0]].real == scores->confusion[told[0]].predicted) {
        printf("  no class is confused with another one\n");
        return;
    }
    printf("  most frequent confusions (--json has the whole matrix)\n"
           "   real   pred   samples  %% of real\n");
    for (int i = 0; i < n; i++) {
        const ls_confusion_cell *cell = &scores->confusion[told[i]];
        if (cell->real == cell->predicted) break;
        printf("  %5lld  %5lld  %8lld  %9.3f\n", (long long)cell->real, (long long)cell->predicted,
               (long long)cell->n_samples,
               100.0 * (double)cell->n_samples / (double)scores->classes[cell->real].n_samples);
    }
}

static void print_classes(const ls_model *model, const ls_scores *scores)
{
    const ls_metrics *m = &scores->metrics;
    print_value(ls_loss_name(model->loss), ls_metrics_loss(m));
    print_value("accuracy", ls_metrics_value(m, "accuracy"));
    if (!isnan(scores->top_k_accuracy)) print_value("top 5 accuracy", scores->top_k_accuracy);
    print_each_class(scores);
    if (scores->n_classes <= MAX_COLUMNS) {
        print_matrix(scores);
    } else {
        print_confusions(scores);
    }
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
        print_two_classes(model, scores);
    } else if (ls_loss_is_categorical(model->loss)) {
        print_classes(model, scores);
    } else {
        print_numbers(model, scores);
    }
}

static json_t *number_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static void put(json_t *object, const char *name, double value)
{
    json_object_set_new(object, name, number_json(value));
}

/* More classes get a list of what is above 0. */
enum { MAX_MATRIX = 512 };

static json_t *matrix_json(const ls_scores *scores)
{
    const ls_confusion_cell *cell = scores->confusion, *end = cell + scores->n_cells;
    json_t *rows = json_array();
    for (int64_t real = 0; real < scores->n_classes; real++) {
        json_t *row = json_array();
        for (int64_t i = 0; i < scores->n_classes; i++) {
            const bool is_there = cell < end && cell->real == real && cell->predicted == i;
            json_array_append_new(row, json_integer(is_there ? (json_int_t)cell->n_samples : 0));
            cell += is_there;
        }
        json_array_append_new(rows, row);
    }
    return rows;
}

static json_t *cells_json(const ls_scores *scores)
{
    json_t *real = json_array(), *predicted = json_array(), *samples = json_array();
    for (int64_t i = 0; i < scores->n_cells; i++) {
        json_array_append_new(real, json_integer((json_int_t)scores->confusion[i].real));
        json_array_append_new(predicted, json_integer((json_int_t)scores->confusion[i].predicted));
        json_array_append_new(samples, json_integer((json_int_t)scores->confusion[i].n_samples));
    }
    return json_pack("{s:o, s:o, s:o}", "real", real, "predicted", predicted, "samples", samples);
}

static json_t *class_json(const ls_class_scores *c)
{
    return json_pack("{s:I, s:f, s:f, s:f}", "samples", (json_int_t)c->n_samples, "precision", c->precision,
                     "recall", c->recall, "f1", c->f1);
}

static void put_classes(json_t *object, const ls_scores *scores)
{
    json_t *classes = json_array();
    for (int64_t i = 0; i < scores->n_classes; i++)
        json_array_append_new(classes, class_json(&scores->classes[i]));
    json_object_set_new(object, "classes", classes);
    json_object_set_new(object, "mean_of_classes", class_json(&scores->mean));
}

json_t *cli_scores_json(const ls_model *model, const ls_scores *scores)
{
    const ls_metrics *m = &scores->metrics;
    cli_measure list[CLI_MAX_MEASURES];
    const int n = cli_list_measures(model->loss, list);
    json_t *object = json_pack("{s:I}", "samples", (json_int_t)m->n_samples);
    for (int i = 0; i < n; i++) put(object, list[i].name, ls_metrics_value(m, list[i].name));
    if (model->loss == LS_BINARY_CROSSENTROPY) put(object, "f1", ls_metrics_f1(m));
    if (!isnan(scores->roc_auc) || scores->label_roc_auc) put(object, "roc_auc", scores->roc_auc);
    if (scores->label_roc_auc) {
        json_t *areas = json_array();
        for (int64_t i = 0; i < ls_model_n_outputs(model); i++)
            json_array_append_new(areas, number_json(scores->label_roc_auc[i]));
        json_object_set_new(object, "roc_auc_labels", areas);
    }
    if (!isnan(scores->top_k_accuracy)) put(object, "top_5_accuracy", scores->top_k_accuracy);
    if (ls_loss_is_regression(model->loss)) put(object, "r2", scores->r2);
    if (ls_loss_is_categorical(model->loss)) put_classes(object, scores);
    if (scores->n_classes > MAX_MATRIX) {
        json_object_set_new(object, "confusion_cells", cells_json(scores));
    } else if (scores->n_classes > 0) {
        json_object_set_new(object, "confusion_matrix", matrix_json(scores));
    }
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
