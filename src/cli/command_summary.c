#include <stdio.h>
#include <string.h>

#include "commands.h"
#include "start.h"
#include "terminal.h"

/* Box-drawing characters, or their stand-ins in ASCII. */
typedef struct box {
    const char *line, *bar, *corners[9]; /* top left, middle, right; middle ...; bottom ... */
} box;

static const box drawn = {"─", "│", {"┌", "┬", "┐", "├", "┼", "┤", "└", "┴", "┘"}};
static const box plain = {"-", "|", {"+", "+", "+", "+", "+", "+", "+", "+", "+"}};

enum { COLUMNS = 3 };
static const int widths[COLUMNS] = {32, 22, 15};

static void rule(const box *b, int row)
{
    for (int column = 0; column < COLUMNS; column++) {
        fputs(b->corners[3 * row + (column > 0)], stdout);
        for (int i = 0; i < widths[column]; i++) fputs(b->line, stdout);
    }
    puts(b->corners[3 * row + 2]);
}

static void cells(const box *b, const char *layer, const char *shape, const char *parameters)
{
    printf("%s %-*.*s%s %-*.*s%s %*s %s\n", b->bar, widths[0] - 1, widths[0] - 1, layer, b->bar,
           widths[1] - 1, widths[1] - 1, shape, b->bar, widths[2] - 2, parameters, b->bar);
}

static void with_commas(char *text, size_t size, int64_t number)
{
    char digits[32];
    const int length = snprintf(digits, sizeof digits, "%lld", (long long)number);
    size_t used = 0;
    for (int i = 0; i < length && used + 2 < size; i++) {
        if (i > 0 && (length - i) % 3 == 0) text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = 0;
}

static void print_table(const ls_model *model)
{
    const box *b = cli_utf8() ? &drawn : &plain;
    char number[48];
    printf("Model: %lld inputs, %s\n", (long long)model->n_features, ls_dtype_name(model->dtype));
    rule(b, 0);
    cells(b, "Layer (activation)", "Output Shape", "Param #");
    rule(b, 1);
    if (model->mean) {
        char shape[32];
        snprintf(shape, sizeof shape, "(None, %lld)", (long long)model->n_features);
        cells(b, "normalization", shape, "0");
    }
    for (int64_t i = 0; i < model->n_layers; i++) {
        const ls_layer *layer = &model->layers[i];
        char name[64], shape[32];
        snprintf(name, sizeof name, "%.40s (%s)", layer->name, ls_activation_name(layer->activation));
        if (layer->dropout > 0)
            snprintf(name, sizeof name, "%.20s (%s, drops %g)", layer->name,
                     ls_activation_name(layer->activation), layer->dropout);
        snprintf(shape, sizeof shape, "(None, %lld)", (long long)layer->units);
        with_commas(number, sizeof number, (layer->n_inputs + 1) * layer->units);
        cells(b, name, shape, number);
    }
    rule(b, 2);
    with_commas(number, sizeof number, model->n_parameters);
    printf("Total params: %s (%lld bytes)\n", number,
           (long long)model->n_parameters * (long long)ls_dtype_size(model->dtype));
}

/* With the digits that bring back the same number. */
static void print_value(const ls_model *model, int64_t at)
{
    if (model->dtype == LS_FLOAT32) {
        printf(" %.9g", (double)((const float *)model->parameters)[at]);
    } else {
        printf(" %.17g", ((const double *)model->parameters)[at]);
    }
}

static void print_weights(const ls_model *model)
{
    for (int64_t l = 0; l < model->n_layers; l++) {
        const ls_layer *layer = &model->layers[l];
        printf("\n%s/kernel (%lld, %lld)\n", layer->name, (long long)layer->n_inputs,
               (long long)layer->units);
        for (int64_t i = 0; i < layer->n_inputs; i++) {
            for (int64_t j = 0; j < layer->units; j++)
                print_value(model, layer->kernel_offset + i * layer->units + j);
            putchar('\n');
        }
        printf("%s/bias (%lld)\n", layer->name, (long long)layer->units);
        for (int64_t j = 0; j < layer->units; j++) print_value(model, layer->bias_offset + j);
        putchar('\n');
    }
}

static int run(int argc, char **argv)
{
    bool weights = false;
    const cli_option options[] = {{"weights", 0, CLI_FLAG, &weights, "", "print the weights too"},
                                  {.kind = CLI_END}};
    const char *positionals[CLI_MAX_POSITIONALS];
    const int parsed = cli_parse(&cli_summary, options, argc, argv, positionals);
    if (parsed >= 0) return parsed;
    ls_session *session = NULL;
    ls_model *model = NULL;
    ls_status status = cli_start(&cli_summary, options, positionals, &session);
    if (status == LS_OK) status = ls_model_load(session, positionals[0], &model, NULL);
    if (status == LS_OK && ls_session_rank(session) == 0) {
        print_table(model);
        if (weights) print_weights(model);
    }
    ls_model_free(model);
    return cli_finish(session, status);
}

const cli_command cli_summary = {.name = "summary",
                                 .positionals = "MODEL",
                                 .n_positionals = 1,
                                 .text = "show the layers and parameters of a model file",
                                 .run = run};
