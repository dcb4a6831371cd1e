#include "train/history.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/output_file.h"

enum { FIRST_CAPACITY = 16 };

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

/* Keras' CSVLogger sorts the names of the measures. Numbers have the digits that tell doubles apart. */
static ls_status write_lines(ls_output_file *file, const ls_history *history)
{
    static const char header[] =
        "epoch,binary_accuracy,binary_crossentropy,loss,precision,recall,seconds,samples_per_second\n";
    LS_TRY(ls_output_file_write(file, header, sizeof header - 1));
    for (int64_t i = 0; i < history->n_epochs; i++) {
        const ls_epoch_record *record = &history->epochs[i];
        const double loss = ls_metrics_loss(&record->metrics);
        char line[256], times[64] = ",";
        if (!isnan(record->seconds))
            snprintf(times, sizeof times, "%.6f,%.1f", record->seconds, record->samples_per_second);
        const int length =
            snprintf(line, sizeof line, "%lld,%.17g,%.17g,%.17g,%.17g,%.17g,%s\n", (long long)record->epoch,
                     ls_metrics_binary_accuracy(&record->metrics), loss, loss,
                     ls_metrics_precision(&record->metrics), ls_metrics_recall(&record->metrics), times);
        LS_TRY(ls_output_file_write(file, line, (size_t)length));
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
