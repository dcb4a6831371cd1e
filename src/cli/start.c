#include "start.h"

#include <stdlib.h>

static void write_value(FILE *out, const cli_option *option)
{
    switch (option->kind) {
    case CLI_FLAG:
    case CLI_BOOL:
        fputs(*(const bool *)option->value ? "true" : "false", out);
        break;
    case CLI_INT:
    case CLI_BYTES:
        fprintf(out, "%lld", (long long)*(const int64_t *)option->value);
        break;
    case CLI_DOUBLE:
        fprintf(out, "%.17g", *(const double *)option->value);
        break;
    case CLI_CHOICE:
        fputs(option->choices[*(const int *)option->value], out);
        break;
    case CLI_TEXT: {
        const char *text = *(const char *const *)option->value;
        fputs(text ? text : "not given", out);
        break;
    }
    case CLI_INTS: {
        const cli_ints *list = option->value;
        for (int64_t i = 0; i < list->n; i++)
            fprintf(out, "%s%lld", i > 0 ? "," : "", (long long)list->values[i]);
        break;
    }
    case CLI_DOUBLES: {
        const cli_doubles *list = option->value;
        for (int64_t i = 0; i < list->n; i++) fprintf(out, "%s%.17g", i > 0 ? "," : "", list->values[i]);
        break;
    }
    case CLI_END:
        break;
    }
    if (option->given) fputs(*option->given ? "" : " by default", out);
}

/* What the user has asked for, a line for each part of it. */
static char *write_request(const cli_command *command, const cli_option *options,
                           const char *const *positionals)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out) return NULL;
    fprintf(out, "lockstep %s\n", command->name);
    for (int i = 0; i < command->n_positionals; i++)
        fprintf(out, "%s\n", positionals[i] ? positionals[i] : "");
    for (const cli_option *option = options; option->kind != CLI_END; option++) {
        fprintf(out, "--%s ", option->name);
        write_value(out, option);
        fputc('\n', out);
    }
    return fclose(out) == 0 ? text : NULL;
}

static ls_status meet(const char *request, ls_session **session)
{
    ls_status status = ls_session_open(session);
    if (status != LS_OK) return status;
    status = ls_session_agree(*session,
                              request ? LS_OK : ls_fail(LS_E_MEMORY, "options: no memory to compare them"));
    if (status != LS_OK) return status;
    return ls_session_compare(*session, request, "start all ranks with the same command line");
}

ls_status cli_start(const cli_command *command, const cli_option *options, const char *const *positionals,
                    ls_session **session)
{
    char warning[512];
    char *request = write_request(command, options, positionals);
    ls_status status = meet(request, session);
    free(request);
    if (status == LS_OK) status = ls_session_check_cores(*session, warning, sizeof warning);
    if (status == LS_OK && warning[0] && ls_session_rank(*session) == 0)
        fprintf(stderr, "lockstep: warning: %s\n", warning);
    return status;
}

int cli_refuse(const char *text)
{
    ls_session *session = NULL;
    const ls_status status = cli_is_launched() ? meet(text, &session) : LS_OK;
    if (status != LS_OK) return cli_finish(session, status);
    if (!session || ls_session_rank(session) == 0) fputs(text, stderr);
    ls_session_close(session);
    return LS_E_USAGE;
}
