/* How measures and models are shown. */
#ifndef LS_CLI_REPORT_H
#define LS_CLI_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "lockstep/lockstep.h"

/* The measures that are shown of a training: the loss first, without those that repeat it. Returns their
 * number. */
enum { CLI_MAX_MEASURES = 4 };
typedef struct cli_measure {
    const char *name, *short_name, *title; /* Keras', for a line of 80 columns, for a table */
} cli_measure;
int cli_list_measures(ls_loss loss, cli_measure list[CLI_MAX_MEASURES]);

/* The notebook's list of measures, with the confusion matrix in percent, on stdout; of several classes also
 * each one's. name: "train". */
void cli_print_scores(const char *name, const ls_model *model, const ls_scores *scores);

/* The same as an object: {"samples", "loss", ...}, with "confusion_matrix" by real and predicted class in
 * samples, or of very many classes "confusion_cells"; numbers that are not finite become null. The caller
 * owns it. */
json_t *cli_scores_json(const ls_model *model, const ls_scores *scores);

/* The line "model: 2 - 5 tanh - 1 sigmoid; 21 parameters, float32". */
void cli_print_layers(FILE *stream, const ls_model *model);

/* "1.23 s", "45 ms", "6 us" and "0.18 us" into text, which is returned. */
const char *cli_seconds_text(double seconds, char text[16]);

#endif
