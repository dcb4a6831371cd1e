#include "train/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/fault_system.h"
#include "base/json_text.h"
#include "base/memory.h"
#include "model/whole_file.h"
#include "train/record.h"

enum { PATH_SIZE = 4096, DIGITS = 16 };

static const double SYNC_SECONDS = 0.5; /* syncing each line would take longer than a small training */

struct ls_journal {
    char path[PATH_SIZE];
    int file;
    double synced; /* when */
};

/* ---- writing ---- */

static ls_status fail(const ls_journal *journal, const char *action)
{
    return ls_fail(LS_E_OUTPUT, "%s: cannot %s: %s", journal->path, action, strerror(errno));
}

static ls_status sync_file(ls_journal *journal)
{
    if (fsync(journal->file) != 0) return fail(journal, "sync");
    journal->synced = ls_now();
    return LS_OK;
}

/* "DIGEST JSON\n" */
static ls_status line_of(json_t *line, char **text)
{
    char *json;
    LS_TRY(ls_json_text(line, JSON_COMPACT | JSON_REAL_PRECISION(17), "journal of the search", &json));
    const size_t length = strlen(json), size = DIGITS + 1 + length + 2;
    const ls_status status = ls_alloc(text, size, 1, "journal of the search");
    if (status == LS_OK)
        snprintf(*text, size, "%0*" PRIx64 " %s\n", DIGITS, (uint64_t)XXH3_64bits(json, length), json);
    ls_free(json);
    return status;
}

ls_status ls_journal_append(ls_journal *journal, json_t *line)
{
    char *text;
    LS_TRY(line_of(line, &text));
    const size_t length = strlen(text);
    const ssize_t n = write(journal->file, text, length);
    ls_free(text);
    if (n != (ssize_t)length) {
        if (n >= 0) errno = ENOSPC;
        return fail(journal, "write");
    }
    return ls_now() - journal->synced < SYNC_SECONDS ? LS_OK : sync_file(journal);
}

ls_status ls_journal_close(ls_journal *journal)
{
    if (!journal) return LS_OK;
    ls_status status = LS_OK;
    if (journal->file >= 0) {
        status = sync_file(journal);
        close(journal->file);
    }
    ls_free(journal);
    return status;
}

/* ---- reading ---- */

/* The JSON of a line of that length, NULL if it is not what was written. */
static json_t *parse_line(const char *line, size_t length)
{
    char digest[DIGITS + 1];
    if (length < DIGITS + 2 || line[DIGITS] != ' ') return NULL;
    const char *json = line + DIGITS + 1;
    const size_t json_length = length - DIGITS - 1;
    snprintf(digest, sizeof digest, "%0*" PRIx64, DIGITS, (uint64_t)XXH3_64bits(json, json_length));
    return memcmp(digest, line, DIGITS) == 0 ? json_loadb(json, json_length, 0, NULL) : NULL;
}

/* Hands on all complete lines; *length becomes theirs. */
static ls_status read_lines(const char *path, const char *text, size_t *length, json_t *settings,
                            ls_status (*entry)(void *context, const json_t *line), void *context)
{
    size_t at = 0;
    for (int64_t number = 1; at < *length; number++) {
        const char *end = memchr(text + at, '\n', *length - at);
        json_t *line = end ? parse_line(text + at, (size_t)(end - text) - at) : NULL;
        /* Torn, as the last line of a machine that died may be. */
        if (!line && (!end || (size_t)(end - text) + 1 == *length)) break;
        if (!line)
            return ls_fail(LS_E_INPUT,
                           "%s: line %lld is damaged: remove it and those after it, or search anew", path,
                           (long long)number);
        ls_status status = number == 1 ? ls_record_compare(path, line, settings) : entry(context, line);
        if (status == LS_E_INPUT)
            status =
                ls_fail(LS_E_INPUT, "%s: line %lld: %.600s", path, (long long)number, ls_error_message());
        json_decref(line);
        LS_TRY(status);
        at = (size_t)(end - text) + 1;
    }
    *length = at;
    return LS_OK;
}

static ls_status read_existing(ls_journal *journal, json_t *settings,
                               ls_status (*entry)(void *context, const json_t *line), void *context,
                               bool *has_settings)
{
    void *text;
    size_t size;
    LS_TRY(ls_whole_file_read(journal->path, &text, &size));
    size_t length = size;
    const ls_status status = read_lines(journal->path, text, &length, settings, entry, context);
    ls_free(text);
    LS_TRY(status);
    *has_settings = length > 0;
    if (length < size && ftruncate(journal->file, (off_t)length) != 0) return fail(journal, "cut");
    return LS_OK;
}

static ls_status begin(ls_journal *journal, bool resume, json_t *settings,
                       ls_status (*entry)(void *context, const json_t *line), void *context)
{
    bool has_settings = false;
    const bool exists = access(journal->path, F_OK) == 0;
    if (exists && !resume)
        return ls_fail(
            LS_E_USAGE,
            "%s: is that of an earlier search: go on with it by --resume, or give another directory",
            journal->path);
    journal->file = open(journal->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (journal->file < 0) return fail(journal, "open");
    if (exists) LS_TRY(read_existing(journal, settings, entry, context, &has_settings));
    return has_settings ? LS_OK : ls_journal_append(journal, json_incref(settings));
}

ls_status ls_journal_open(const char *directory, bool resume, json_t *settings,
                          ls_status (*entry)(void *context, const json_t *line), void *context,
                          ls_journal **result)
{
    ls_journal *journal;
    *result = NULL;
    LS_TRY(ls_alloc(&journal, 1, sizeof *journal, "journal of the search"));
    journal->file = -1;
    ls_status status = LS_OK;
    if (snprintf(journal->path, PATH_SIZE, "%s/journal", directory) >= PATH_SIZE)
        status = ls_fail(LS_E_USAGE, "%.100s...: the name of the directory is too long", directory);
    if (status == LS_OK) status = begin(journal, resume, settings, entry, context);
    if (status != LS_OK) {
        if (journal->file >= 0) close(journal->file);
        ls_free(journal);
        return status;
    }
    *result = journal;
    return LS_OK;
}
