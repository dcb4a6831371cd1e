/* How measures and models are shown. */
#ifndef LS_CLI_REPORT_H
#define LS_CLI_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "lockstep/lockstep.h"

/* The notebook's list of measures, with the confusion matrix in percent, on stdout. name: "train". */
void cli_print_measures(const char *name, const ls_metrics *metrics);

/* {"samples", "loss", "binary_accuracy", "precision", "recall", "f1", "confusion_matrix": [[tn, fp], [fn,
 * tp]]}; a loss that is not finite becomes null. The caller owns it. */
json_t *cli_measures_json(const ls_metrics *metrics);

/* The line "model: 2 - 5 tanh - 1 sigmoid; 21 parameters, float32". */
void cli_print_layers(FILE *stream, const ls_model *model);

/* "1.23 s", "45 ms", "6 us" and "0.18 us" into text, which is returned. */
const char *cli_seconds_text(double seconds, char text[16]);

#endif
