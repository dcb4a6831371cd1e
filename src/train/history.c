#include "train/history.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/output_file.h"

enum { FIRST_CAPACITY = 16, MAX_COLUMNS = 2 * LS_MAX_MEASURES + 1, NAME_SIZE = 64 };

static const char validation_prefix[] = "val_", learning_rate[] = "learning_rate";

void ls_history_clear(ls_history *history)
{
    ls_free(history->epochs);
    *history = (ls_history){0};
}

int64_t ls_history_capacity(int64_t n)
{
    int64_t capacity = FIRST_CAPACITY;
    while (capacity < n) capacity *= 2;
    return capacity;
}

ls_status ls_history_append(ls_session *session, ls_history *history, const ls_epoch_record *record)
{
    const int64_t n = history->n_epochs;
    const int64_t capacity = ls_history_capacity(n + 1);
    if (n == 0 || capacity > ls_history_capacity(n)) {
        ls_epoch_record *epochs;
        const ls_status status = ls_session_agree(
            session, ls_alloc(&epochs, (size_t)capacity, sizeof *epochs, "training history"));
        if (status != LS_OK) {
            ls_free(epochs);
            return status;
        }
        if (n > 0) memcpy(epochs, history->epochs, (size_t)n * sizeof *epochs);
        ls_free(history->epochs);
        history->epochs = epochs;
    }
    history->epochs[history->n_epochs++] = *record;
    return LS_OK;
}

/* A line of the file, as it grows. */
typedef struct line {
    char text[2048];
    size_t length;
} line;

static void add(line *to, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(line *to, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    to->length += (size_t)vsnprintf(to->text + to->length, sizeof to->text - to->length, format, arguments);
    va_end(arguments);
}

static bool has_validation(const ls_history *history)
{
    return history->n_epochs > 0 && history->epochs[0].validation.n_samples > 0;
}

static bool has_learning_rate(const ls_history *history)
{
    return history->n_epochs > 0 && history->epochs[0].learning_rate > 0;
}

/* The names of the columns between epoch and seconds, sorted as Keras' CSVLogger does. Returns their number.
 */
static int name_columns(const ls_history *history, char names[MAX_COLUMNS][NAME_SIZE])
{
    const char *measures[LS_MAX_MEASURES];
    const int n_measures = ls_metrics_names(history->loss, measures);
    int n = 0;
    for (int i = 0; i < n_measures; i++) {
        snprintf(names[n++], NAME_SIZE, "%s", measures[i]);
        if (has_validation(history)) snprintf(names[n++], NAME_SIZE, "%s%s", validation_prefix, measures[i]);
    }
    if (has_learning_rate(history)) snprintf(names[n++], NAME_SIZE, learning_rate);
    qsort(names, (size_t)n, NAME_SIZE, (int (*)(const void *, const void *))strcmp);
    return n;
}

static double value_of(const ls_epoch_record *record, const char *column)
{
    const size_t length = sizeof validation_prefix - 1;
    if (strcmp(column, learning_rate) == 0) return record->learning_rate;
    return strncmp(column, validation_prefix, length) == 0
               ? ls_metrics_value(&record->validation, column + length)
               : ls_metrics_value(&record->metrics, column);
}

static ls_status write_lines(ls_output_file *file, const ls_history *history)
{
    char names[MAX_COLUMNS][NAME_SIZE];
    const int n = name_columns(history, names);
    line header = {0};
    add(&header, "epoch");
    for (int i = 0; i < n; i++) add(&header, ",%s", names[i]);
    add(&header, ",seconds,samples_per_second\n");
    LS_TRY(ls_output_file_write(file, header.text, header.length));
    for (int64_t i = 0; i < history->n_epochs; i++) {
        const ls_epoch_record *record = &history->epochs[i];
        line epoch = {0};
        add(&epoch, "%lld", (long long)record->epoch);
        /* The digits that tell doubles apart. */
        for (int k = 0; k < n; k++) add(&epoch, ",%.17g", value_of(record, names[k]));
        if (isnan(record->seconds))
            add(&epoch, ",,\n");
        else
            add(&epoch, ",%.6f,%.1f\n", record->seconds, record->samples_per_second);
        LS_TRY(ls_output_file_write(file, epoch.text, epoch.length));
    }
    return LS_OK;
}

ls_status ls_history_write_csv(ls_session *session, const ls_history *history, const char *path)
{
    ls_status status = LS_OK;
    if (ls_session_rank(session) == 0) {
        ls_output_file file;
        status = ls_output_file_create(&file, path);
        if (status == LS_OK) status = write_lines(&file, history);
        if (status == LS_OK) {
            status = ls_output_file_commit(&file);
        } else {
            ls_output_file_discard(&file);
        }
    }
    return ls_session_agree(session, status);
}
