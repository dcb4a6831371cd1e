#include "source.h"

#include <string.h>

ls_status cli_sets_open(ls_session *session, const char *file, const char *x, const char *y, bool without_y,
                        cli_sets *sets)
{
    static const char *const names[CLI_MAX_SETS] = {"train", "test"};
    memset(sets, 0, sizeof *sets);
    if (x || y) {
        const ls_dataset_source source = {.file = file, .x = x, .y = y, .without_y = without_y};
        const ls_status status = ls_dataset_open(session, &source, &sets->sets[0]);
        sets->names[0] = "data";
        sets->n = status == LS_OK;
        return status;
    }
    for (int i = 0; i < CLI_MAX_SETS; i++) {
        const ls_dataset_source source = {.file = file, .set = names[i], .without_y = without_y};
        bool exists;
        ls_status status = ls_dataset_exists(session, &source, &exists);
        if (status == LS_OK && exists) {
            status = ls_dataset_open(session, &source, &sets->sets[sets->n]);
            if (status == LS_OK) sets->names[sets->n++] = names[i];
        }
        if (status != LS_OK) return status;
    }
    if (sets->n > 0) return LS_OK;
    /* Neither: let opening the usual one say what the file has instead. */
    const ls_dataset_source source = {.file = file, .set = names[0], .without_y = without_y};
    return ls_dataset_open(session, &source, &sets->sets[0]);
}

void cli_sets_close(cli_sets *sets)
{
    for (int i = 0; i < CLI_MAX_SETS; i++) ls_dataset_close(sets->sets[i]);
}
