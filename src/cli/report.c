#include "report.h"

#include <math.h>
#include <stdio.h>

void cli_print_measures(const char *name, const ls_metrics *m)
{
    const double percent = 100.0 / (double)m->n_samples;
    printf("Measures on the %s data, %lld samples\n", name, (long long)m->n_samples);
    printf("  binary_crossentropy cost      %.6f\n", ls_metrics_loss(m));
    printf("  precision / PPV (FP related)  %.6f\n", ls_metrics_precision(m));
    printf("  recall / TPR (FN related)     %.6f\n", ls_metrics_recall(m));
    printf("  accuracy                      %.6f\n", ls_metrics_binary_accuracy(m));
    printf("  F1                            %.6f\n", ls_metrics_f1(m));
    printf("  confusion matrix in %%       pred 0      pred 1\n");
    printf("                   real 0  %10.5f  %10.5f\n", percent * (double)m->tn, percent * (double)m->fp);
    printf("                   real 1  %10.5f  %10.5f\n", percent * (double)m->fn, percent * (double)m->tp);
}

json_t *cli_measures_json(const ls_metrics *m)
{
    const double loss = ls_metrics_loss(m);
    return json_pack("{s:I, s:o, s:f, s:f, s:f, s:f, s:[[I,I],[I,I]]}", "samples", (json_int_t)m->n_samples,
                     "loss", isfinite(loss) ? json_real(loss) : json_null(), "binary_accuracy",
                     ls_metrics_binary_accuracy(m), "precision", ls_metrics_precision(m), "recall",
                     ls_metrics_recall(m), "f1", ls_metrics_f1(m), "confusion_matrix", (json_int_t)m->tn,
                     (json_int_t)m->fp, (json_int_t)m->fn, (json_int_t)m->tp);
}

void cli_print_layers(FILE *stream, const ls_model *model)
{
    fprintf(stream, "model: %lld%s", (long long)model->n_features, model->mean ? " normalized" : "");
    for (int64_t i = 0; i < model->n_layers; i++)
        fprintf(stream, " - %lld %s", (long long)model->layers[i].units,
                ls_activation_name(model->layers[i].activation));
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
