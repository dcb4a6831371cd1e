#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"
#include "start.h"

enum {
    MAX_OPTIONS = 96,
    HELP_COLUMN = 30,
    HELP_WIDTH = 79,
    MAX_WORD = 64,
    NO_PREFIX = 1000,
    GRACE = 3 /* seconds */
};

/* The launcher's number of this process, NULL if no launcher has started it. */
static const char *launched_rank(void)
{
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"};
    const char *rank = NULL;
    for (size_t i = 0; !rank && i < sizeof variables / sizeof variables[0]; i++) rank = getenv(variables[i]);
    return rank;
}

bool cli_is_launched(void)
{
    return launched_rank() != NULL;
}

bool cli_is_first(void)
{
    return !cli_is_launched() || strcmp(launched_rank(), "0") == 0;
}

int cli_usage_error(const cli_command *command, const char *format, ...)
{
    char text[1024], whole[sizeof text + 256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(whole, sizeof whole, "lockstep %s: %s\nTry 'lockstep %s --help'.\n", command->name, text,
             command->name);
    return cli_refuse(whole);
}

static int minimum(int a, int b)
{
    return a < b ? a : b;
}

/* Levenshtein's distance, words cut to MAX_WORD. */
static int distance(const char *a, const char *b)
{
    const int n = minimum((int)strlen(a), MAX_WORD), m = minimum((int)strlen(b), MAX_WORD);
    int row[MAX_WORD + 1];
    for (int j = 0; j <= m; j++) row[j] = j;
    for (int i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= m; j++) {
            const int change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = minimum(change, minimum(row[j], row[j - 1]) + 1);
        }
    }
    return row[m];
}

const char *cli_nearest(const char *word, const char *const *words)
{
    const char *nearest = words[0];
    for (; *words; words++)
        if (distance(word, *words) < distance(word, nearest)) nearest = *words;
    return nearest;
}

/* Also 1e9 and 2.5e6: what is long is easily miscounted. */
static bool parse_int(const char *text, int64_t *value)
{
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    if (end == text || errno || isspace((unsigned char)*text)) return false;
    *value = number;
    if (!*end) return true;
    if (!strpbrk(end, "eE") || strspn(end, "0123456789.eE+") != strlen(end)) return false;
    const double real = strtod(text, &end);
    if (*end || !(fabs(real) < 0x1p53) || real != floor(real)) return false;
    *value = (int64_t)real;
    return true;
}

/* 1000, 64k, 1.5G: of 1024 each, as are KiB to TiB; kB to TB are of 1000. So do GNU's tools. */
static bool parse_bytes(const char *text, int64_t *value)
{
    static const char units[] = "kmgt";
    char *end;
    const double number = strtod(text, &end);
    if (end == text || strspn(text, "0123456789.eE+") != (size_t)(end - text)) return false;
    if (!*end) return parse_int(text, value);
    end += strspn(end, " ");
    const char *unit = strchr(units, tolower((unsigned char)*end));
    if (!*end || !unit) return false;
    const bool is_decimal = !strcasecmp(end + 1, "B");
    if (!is_decimal && end[1] && strcasecmp(end + 1, "iB") != 0) return false;
    const double bytes = number * pow(is_decimal ? 1000 : 1024, (double)(unit - units + 1));
    if (!(bytes < 0x1p63)) return false;
    *value = (int64_t)bytes;
    return true;
}

static bool parse_double(const char *text, double *value)
{
    char *end;
    *value = strtod(text, &end);
    return end != text && !*end && !isspace((unsigned char)*text);
}

/* Takes "0.2,0.8", "[0.2, 0.8]" and "(1, 2)"; calls parse for each item. Returns the number of items or -1.
 */
static int64_t split_list(const char *text, bool (*parse)(const char *, void *), void *values, size_t size)
{
    char *copy = strdup(text), *saved = NULL;
    int64_t n = 0;
    for (char *item = strtok_r(copy, "[](), \t", &saved); item; item = strtok_r(NULL, "[](), \t", &saved)) {
        if (!parse(item, (char *)values + (size_t)n * size)) {
            n = -1;
            break;
        }
        n++;
    }
    free(copy);
    return n;
}

static bool parse_int_item(const char *text, void *value)
{
    return parse_int(text, value);
}

static bool parse_double_item(const char *text, void *value)
{
    return parse_double(text, value);
}

void cli_ints_free(cli_ints *ints)
{
    free(ints->values);
    ints->values = NULL;
}

void cli_doubles_free(cli_doubles *doubles)
{
    free(doubles->values);
    doubles->values = NULL;
}

static int wrong_value(const cli_command *command, const cli_option *option, const char *text,
                       const char *wanted)
{
    return cli_usage_error(command, "--%s: '%s' is not %s", option->name, text, wanted);
}

static int set_value(const cli_command *command, const cli_option *option, const char *text, bool negated)
{
    if (option->given) *option->given = true;
    switch (option->kind) {
    case CLI_FLAG:
        *(bool *)option->value = true;
        return -1;
    case CLI_BOOL:
        if (negated || !strcasecmp(text, "false") || !strcmp(text, "0") || !strcasecmp(text, "no")) {
            *(bool *)option->value = false;
        } else if (!strcasecmp(text, "true") || !strcmp(text, "1") || !strcasecmp(text, "yes")) {
            *(bool *)option->value = true;
        } else {
            return wrong_value(command, option, text, "true or false");
        }
        return -1;
    case CLI_INT: {
        int64_t number;
        const bool limited = option->minimum || option->maximum;
        if (!parse_int(text, &number)) return wrong_value(command, option, text, "a whole number");
        if (limited && (number < option->minimum || number > option->maximum)) {
            char wanted[96];
            if (option->maximum == INT64_MAX) {
                snprintf(wanted, sizeof wanted, "at least %lld", (long long)option->minimum);
            } else {
                snprintf(wanted, sizeof wanted, "within %lld..%lld", (long long)option->minimum,
                         (long long)option->maximum);
            }
            return wrong_value(command, option, text, wanted);
        }
        *(int64_t *)option->value = number;
        return -1;
    }
    case CLI_BYTES:
        if (!parse_bytes(text, option->value))
            return wrong_value(command, option, text,
                               "a number of bytes like 64k, 256M, 1.5G or 2TiB, below 2^63");
        return -1;
    case CLI_DOUBLE:
        if (!parse_double(text, option->value)) return wrong_value(command, option, text, "a number");
        return -1;
    case CLI_TEXT:
        *(const char **)option->value = text;
        return -1;
    case CLI_CHOICE:
        for (int i = 0; option->choices[i]; i++)
            if (!strcmp(text, option->choices[i])) {
                *(int *)option->value = i;
                return -1;
            }
        return cli_usage_error(command, "--%s: unknown word '%s'; did you mean '%s'? It takes %s",
                               option->name, text, cli_nearest(text, option->choices), option->takes);
    case CLI_INTS: {
        cli_ints *ints = option->value;
        free(ints->values);
        ints->values = calloc(strlen(text) + 1, sizeof *ints->values);
        ints->n = split_list(text, parse_int_item, ints->values, sizeof *ints->values);
        ints->given = true;
        return ints->n < 0 ? wrong_value(command, option, text, "a list of whole numbers like 64,32") : -1;
    }
    case CLI_DOUBLES: {
        cli_doubles *doubles = option->value;
        free(doubles->values);
        *doubles = (cli_doubles){.given = true};
        if (!strcasecmp(text, "none")) return -1;
        doubles->values = calloc(strlen(text) + 1, sizeof *doubles->values);
        doubles->n = split_list(text, parse_double_item, doubles->values, sizeof *doubles->values);
        return doubles->n < 1 ? wrong_value(command, option, text, "a list of numbers like 0.2,0.8, or none")
                              : -1;
    }
    case CLI_END:
        break;
    }
    return -1;
}

/* Prints text from the current column on, indented and wrapped. */
static void print_wrapped(const char *text, int column, int indent)
{
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (column > indent && column + 1 + length > HELP_WIDTH) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", length, text);
        column += length;
        text += length;
        while (*text == ' ') text++;
    }
    putchar('\n');
}

static void describe_default(const cli_option *option, char *text, size_t size)
{
    text[0] = 0;
    if (option->shown_default) {
        if (option->shown_default[0]) snprintf(text, size, " (default: %s)", option->shown_default);
        return;
    }
    switch (option->kind) {
    case CLI_BOOL:
        snprintf(text, size, " (default: %s)", *(bool *)option->value ? "true" : "false");
        break;
    case CLI_INT:
        snprintf(text, size, " (default: %lld)", (long long)*(int64_t *)option->value);
        break;
    case CLI_DOUBLE:
        snprintf(text, size, " (default: %g)", *(double *)option->value);
        break;
    case CLI_CHOICE:
        snprintf(text, size, " (default: %s)", option->choices[*(int *)option->value]);
        break;
    case CLI_TEXT:
        if (*(const char **)option->value)
            snprintf(text, size, " (default: %s)", *(const char **)option->value);
        break;
    default:
        break;
    }
}

static void print_help(const cli_command *command, const cli_option *options)
{
    printf("Usage: lockstep %s %s [OPTIONS]\n\n", command->name, command->positionals);
    print_wrapped(command->text, 0, 0);
    printf("\nOptions:\n");
    for (const cli_option *option = options; option->kind != CLI_END; option++) {
        char names[96], help[1024], shown[128];
        const bool takes = option->kind != CLI_FLAG;
        int length = option->letter ? snprintf(names, sizeof names, "  -%c, ", option->letter)
                                    : snprintf(names, sizeof names, "      ");
        length += snprintf(names + length, sizeof names - (size_t)length, "--%s%s%s", option->name,
                           takes ? " " : "", takes ? option->takes : "");
        describe_default(option, shown, sizeof shown);
        snprintf(help, sizeof help, "%s%s%s%s", option->text, option->kind == CLI_BOOL ? "; also --no-" : "",
                 option->kind == CLI_BOOL ? option->name : "", shown);
        if (length + 2 > HELP_COLUMN) {
            printf("%s\n%*s", names, HELP_COLUMN, "");
        } else {
            printf("%-*s", HELP_COLUMN, names);
        }
        print_wrapped(help, HELP_COLUMN, HELP_COLUMN);
    }
    printf("%-*s%s\n", HELP_COLUMN, "      --help", "print this and exit");
    for (const char *line = command->detail; line && *line;) {
        char paragraph[1024];
        const int length = (int)strcspn(line, "\n");
        snprintf(paragraph, sizeof paragraph, "%.*s", length, line);
        putchar('\n');
        print_wrapped(paragraph, 0, 0);
        line += length + (line[length] == '\n');
    }
}

/* getopt_long accepts beginnings of names; a script that relies on one breaks when an option is added. */
static bool is_abbreviated(const char *word, const char *name)
{
    return word[0] == '-' && word[1] == '-' && strcspn(word + 2, "=") != strlen(name);
}

static int unknown_option(const cli_command *command, const struct option *table, const char *word)
{
    const char *names[2 * MAX_OPTIONS + 2];
    int n = 0;
    for (; table->name; table++) names[n++] = table->name;
    names[n] = NULL;
    char bare[MAX_WORD + 1];
    snprintf(bare, sizeof bare, "%.*s", (int)strcspn(word + strspn(word, "-"), "="),
             word + strspn(word, "-"));
    return cli_usage_error(command, "unknown option '%s'; did you mean '--%s'?", word,
                           cli_nearest(bare, names));
}

int cli_parse(const cli_command *command, const cli_option *options, int argc, char **argv,
              const char *positionals[CLI_MAX_POSITIONALS])
{
    struct option table[2 * MAX_OPTIONS + 2] = {{0}};
    char letters[2 * MAX_OPTIONS + 3] =
        "-:"; /* '-': positionals come in place; ':': tell a missing argument */
    int n_table = 0, n_letters = 2, n_positionals = 0;
    for (int i = 0; options[i].kind != CLI_END; i++) {
        const int argument = options[i].kind == CLI_FLAG ? no_argument : required_argument;
        table[n_table++] = (struct option){options[i].name, argument, NULL, 256 + i};
        if (options[i].kind == CLI_BOOL) {
            char *negated = malloc(strlen(options[i].name) + sizeof "no-");
            sprintf(negated, "no-%s", options[i].name);
            table[n_table++] = (struct option){negated, no_argument, NULL, 256 + NO_PREFIX + i};
        }
        if (options[i].letter) {
            letters[n_letters++] = options[i].letter;
            if (argument == required_argument) letters[n_letters++] = ':';
        }
    }
    table[n_table++] = (struct option){"help", no_argument, NULL, 'h'};

    int result = -1;
    opterr = 0;
    optind = 1;
    while (result == -1) {
        int index = -1;
        const char *word = optind < argc ? argv[optind] : "";
        const int code = getopt_long(argc, argv, letters, table, &index);
        if (code == -1) break;
        if (index >= 0 && is_abbreviated(word, table[index].name)) {
            result = unknown_option(command, table, word);
        } else if (code == 'h' && index >= 0) {
            if (cli_is_first()) print_help(command, options);
            result = LS_OK;
        } else if (code == 1 || code == '?') {
            if (code == '?') {
                result = unknown_option(command, table, word);
            } else if (n_positionals == command->n_positionals) {
                result = cli_usage_error(command, "unexpected argument '%s'; it takes %s", optarg,
                                         command->n_positionals ? command->positionals : "options only");
            } else {
                positionals[n_positionals++] = optarg;
            }
        } else if (code == ':') {
            result = cli_usage_error(command, "option '%s' needs a value", word);
        } else if (code >= 256 + NO_PREFIX) {
            result = set_value(command, &options[code - 256 - NO_PREFIX], "", true);
        } else {
            int i = code - 256;
            if (code < 256)
                for (i = 0; options[i].letter != code;) i++;
            result = set_value(command, &options[i], optarg, false);
        }
    }
    while (result == -1 && optind < argc) { /* after "--" */
        if (n_positionals == command->n_positionals)
            result = cli_usage_error(command, "unexpected argument '%s'", argv[optind]);
        else
            positionals[n_positionals++] = argv[optind++];
    }
    for (int i = n_positionals; i < command->n_positionals; i++) positionals[i] = NULL;
    if (result == -1 && n_positionals < command->n_positionals - command->n_optional)
        result = cli_usage_error(command, "too few arguments; it takes %s", command->positionals);
    for (int i = 0; result >= 0 && options[i].kind != CLI_END; i++) { /* no run will free them */
        if (options[i].kind == CLI_INTS) cli_ints_free(options[i].value);
        if (options[i].kind == CLI_DOUBLES) cli_doubles_free(options[i].value);
    }
    for (int i = 0; i < n_table; i++)
        if (table[i].val >= 256 + NO_PREFIX) free((char *)table[i].name);
    return result;
}

/* What a full disk swallows of rank 0's text shows when the last of it is written. */
static ls_status flush_text(ls_session *session)
{
    const bool is_lost = fflush(stdout) != 0 || ferror(stdout);
    return ls_session_agree(
        session, is_lost && ls_session_rank(session) == 0
                     ? ls_fail(LS_E_OUTPUT, "stdout: cannot write the text: look whether the disk is full")
                     : LS_OK);
}

int cli_finish(ls_session *session, ls_status status)
{
    if (status == LS_OK && session) status = flush_text(session);
    /* A failure of MPI is known to the rank alone where it happened; without a session all ranks have the
     * message. */
    const bool tells = session ? ls_session_rank(session) == 0 : cli_is_first();
    cli_progress_break();
    if (status != LS_OK && (tells || status == LS_E_MPI))
        fprintf(stderr, "lockstep: %s\n", ls_error_message());
    fflush(stdout);
    /* Processes that have not met cannot wait for the one that tells, but the end of any may end them all. */
    if (status == LS_E_USAGE && !session && !tells) sleep(GRACE);
    ls_session_close(session);
    return (int)status;
}
