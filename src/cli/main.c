#include <locale.h>
#include <stdio.h>
#include <string.h>

#include "commands.h"

static const cli_command *const commands[] = {&cli_generate, &cli_split,   &cli_train,
                                              &cli_evaluate, &cli_predict, &cli_summary};
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

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* only what the terminal can show, never how numbers are written */
    if (argc < 2) {
        /* In one write: another rank's exit makes mpirun speak at the same time. */
        static char buffer[BUFSIZ];
        setvbuf(stderr, buffer, _IOFBF, sizeof buffer);
        if (cli_is_first()) print_help(stderr);
        return LS_E_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        if (cli_is_first()) print_help(stdout);
        return LS_OK;
    }
    if (!strcmp(argv[1], "--version")) {
        if (cli_is_first()) printf("%s\n", ls_version_text());
        return LS_OK;
    }
    const char *names[N_COMMANDS + 1] = {NULL};
    for (int i = 0; i < N_COMMANDS; i++) {
        if (!strcmp(argv[1], commands[i]->name)) return commands[i]->run(argc - 1, argv + 1);
        names[i] = commands[i]->name;
    }
    if (cli_is_first())
        fprintf(stderr, "lockstep: unknown subcommand '%s'; did you mean '%s'?\nTry 'lockstep --help'.\n",
                argv[1], cli_nearest(argv[1], names));
    return LS_E_USAGE;
}
