#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "start.h"

static const cli_command *const commands[] = {&cli_generate, &cli_split,    &cli_plan,    &cli_train,
                                              &cli_tune,     &cli_evaluate, &cli_predict, &cli_summary};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static void print_help(FILE *stream)
{
    fprintf(stream, "Usage: lockstep SUBCOMMAND [OPTIONS]\n"
                    "       mpirun -n RANKS lockstep SUBCOMMAND [OPTIONS]\n\n"
                    "Trains multilayer perceptrons by synchronous data-parallel SGD over MPI.\n\n"
                    "Subcommands:\n");
    for (int i = 0; i < N_COMMANDS; i++)
        fprintf(stream, "  %-10s %s\n", commands[i]->name, commands[i]->text);
    fprintf(stream, "\n  --version  print the versions of lockstep, MPI, HDF5 and BLAS\n"
                    "  --help     print this; 'lockstep SUBCOMMAND --help' prints the options of one\n\n"
                    "Exit codes:\n");
#define EXIT_CODE_LINE(name, number, text) fprintf(stream, "  %-4d %s\n", number, text);
    LS_STATUS_LIST(EXIT_CODE_LINE)
#undef EXIT_CODE_LINE
}

static int refuse_without_subcommand(void)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return LS_E_MEMORY;
    print_help(out);
    const int code = fclose(out) == 0 ? cli_refuse(text) : LS_E_MEMORY;
    free(text);
    return code;
}

static int refuse_subcommand(const char *word)
{
    const char *names[N_COMMANDS + 1] = {NULL};
    char text[512];
    for (int i = 0; i < N_COMMANDS; i++) names[i] = commands[i]->name;
    snprintf(text, sizeof text,
             "lockstep: unknown subcommand '%.100s'; did you mean '%s'?\nTry 'lockstep --help'.\n", word,
             cli_nearest(word, names));
    return cli_refuse(text);
}

int main(int argc, char **argv)
{
    ls_blas_choose_kernels(argv);
    setlocale(LC_CTYPE, ""); /* only what the terminal can show, never how numbers are written */
    if (argc < 2) return refuse_without_subcommand();
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        if (cli_is_first()) print_help(stdout);
        return LS_OK;
    }
    if (!strcmp(argv[1], "--version")) {
        if (cli_is_first()) printf("%s\n", ls_version_text());
        return LS_OK;
    }
    for (int i = 0; i < N_COMMANDS; i++)
        if (!strcmp(argv[1], commands[i]->name)) return commands[i]->run(argc - 1, argv + 1);
    return refuse_subcommand(argv[1]);
}
