/* The command line: every kind of option, one line of the input for each word. */
#include <getopt.h>
#include <string.h>

#include "cli/options.h"
#include "cli/start.h"
#include "fuzz.h"

enum { MAX_WORDS = 64 };

static const char *const words[] = {"none", "epoch", "other", NULL};

static volatile double use;

/* In the place of the one that lets the ranks of a job meet. */
int cli_refuse(const char *text)
{
    fputs(text, stderr);
    return LS_E_USAGE;
}

static int run(int argc, char **argv)
{
    bool flag = false, yes = true, given = false;
    int64_t number = 1, seed = 0;
    double real = 0.5;
    const char *text = NULL;
    int choice = 0;
    cli_ints ints = {0};
    cli_doubles doubles = {0};
    static const cli_command command = {
        .name = "fuzz", .positionals = "A B", .n_positionals = 2, .text = "takes anything", .detail = "more"};
    const cli_option options[] = {
        {"flag", 'f', CLI_FLAG, &flag, "", "a flag"},
        {"yes", 0, CLI_BOOL, &yes, "BOOL", "true or false", .given = &given},
        {"number", 'n', CLI_INT, &number, "N", "a number", .minimum = 1, .maximum = INT64_MAX},
        {"seed", 0, CLI_INT, &seed, "N", "a number", .maximum = UINT32_MAX},
        {"real", 0, CLI_DOUBLE, &real, "R", "a number"},
        {"output", 'o', CLI_TEXT, &text, "FILE", "a file"},
        {"shuffle", 0, CLI_CHOICE, &choice, "none|epoch|other", "one of them", .choices = words},
        {"hidden", 0, CLI_INTS, &ints, "U,U", "some numbers", .shown_default = "none"},
        {"weights", 0, CLI_DOUBLES, &doubles, "W,W", "some numbers", .shown_default = ""},
        {.kind = CLI_END}};
    const char *positionals[CLI_MAX_POSITIONALS];
    const int parsed = cli_parse(&command, options, argc, argv, positionals);
    FUZZ_ASSERT(parsed == -1 || parsed == LS_OK || parsed == LS_E_USAGE);
    if (parsed == -1) {
        FUZZ_ASSERT(number >= 1 && seed >= 0 && seed <= UINT32_MAX && choice >= 0 && choice < 3);
        FUZZ_ASSERT(positionals[0] && positionals[1]);
        /* The lists are as long as they say. */
        double sum = 0;
        for (int64_t i = 0; i < ints.n; i++) sum += (double)ints.values[i];
        for (int64_t i = 0; i < doubles.n; i++) sum += doubles.values[i];
        use = sum;
    }
    cli_ints_free(&ints);
    cli_doubles_free(&doubles);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool silent;
    if (!silent) {
        /* The help and the messages go nowhere; sanitizers write to the descriptor. */
        stdout = fopen("/dev/null", "w");
        stderr = stdout;
        silent = true;
    }
    static char program[] = "fuzz";
    char *text = fuzz_text(data, size), *rest = text, *argv[MAX_WORDS + 1] = {program};
    int argc = 1;
    /* getopt forgets where it was in the words of the input before. */
    optind = 0;
    getopt(argc, argv, "");
    while (rest && argc < MAX_WORDS) argv[argc++] = strsep(&rest, "\n");
    run(argc, argv);
    free(text);
    return 0;
}
