#include <stdio.h>

#include "base/memory.h"
#include "comm/progress.h"
#include "data/dataset_writer.h"
#include "data/row_reader.h"
#include "engine/engine.h"
#include "lockstep/evaluate.h"

enum { PIECE_ROWS = 4096, PATH_SIZE = 1024 };

/* Predicts this rank's rows of one set and writes them in place. */
static ls_status predict_own_rows(ls_session *session, ls_engine *engine, ls_dataset *dataset,
                                  ls_dataset_writer *writer, int y_pred, int class_array,
                                  const ls_progress_part *progress)
{
    const int64_t n_samples = ls_dataset_n_samples(dataset);
    const int64_t end = ls_split(n_samples, session->size, session->rank + 1);
    const bool single = engine->model->dtype == LS_FLOAT32;
    void *p = NULL;
    uint8_t *classes = NULL;
    ls_row_reader *reader = NULL;
    ls_status status = ls_row_reader_create(dataset, engine->model->dtype, end, PIECE_ROWS, &reader);
    if (status == LS_OK)
        status = ls_alloc(&p, PIECE_ROWS, ls_dtype_size(engine->model->dtype), "predictions");
    if (status == LS_OK) status = ls_alloc(&classes, PIECE_ROWS, 1, "predicted classes");
    const int64_t begin = ls_split(n_samples, session->size, session->rank);
    for (int64_t row = begin, rows; row < end && status == LS_OK; row += rows) {
        const void *x, *y;
        rows = end - row < PIECE_ROWS ? end - row : PIECE_ROWS;
        status = ls_row_reader_get(reader, row, rows, &x, &y);
        if (status != LS_OK) break;
        ls_place_at(LS_AT_COMPUTE, -1);
        engine->kind->predict(engine, x, rows, p);
        /* As the notebook's predict_class, not as Keras' metrics: 0.5 is class 1 here. */
        for (int64_t i = 0; i < rows; i++)
            classes[i] = single ? ((const float *)p)[i] >= 0.5f : ((const double *)p)[i] >= 0.5;
        status = ls_dataset_writer_write_rows(writer, y_pred, row, rows, p);
        if (status == LS_OK) status = ls_dataset_writer_write_rows(writer, class_array, row, rows, classes);
        if (status == LS_OK) ls_progress_report(progress, row + rows - begin, end - begin);
    }
    ls_row_reader_destroy(reader);
    ls_free(p);
    ls_free(classes);
    return status;
}

/* Declares the arrays of all sets; y_pred and class_array get their numbers. */
static ls_status declare(ls_dataset_writer *writer, ls_dtype dtype, ls_dataset *const *sets,
                         const char *const *names, int n_sets, int *y_pred, int *class_array)
{
    for (int i = 0; i < n_sets; i++) {
        char path[PATH_SIZE];
        const char *slash = names[i][0] ? "/" : "";
        const int64_t n_samples = ls_dataset_n_samples(sets[i]);
        snprintf(path, sizeof path, "%s%s/y_pred", slash, names[i]);
        LS_TRY(ls_dataset_writer_add_array(
            writer, path, dtype == LS_FLOAT32 ? LS_FILE_FLOAT32 : LS_FILE_FLOAT64, n_samples, 1, &y_pred[i]));
        snprintf(path, sizeof path, "%s%s/class", slash, names[i]);
        LS_TRY(ls_dataset_writer_add_array(writer, path, LS_FILE_UINT8, n_samples, 0, &class_array[i]));
    }
    return ls_dataset_writer_set_text(writer, "/", "lockstep_version", LOCKSTEP_VERSION);
}

ls_status ls_predict(ls_session *session, const ls_model *model, ls_dataset *const *sets,
                     const char *const *names, int n_sets, const ls_progress *progress, const char *output)
{
    enum { MAX_SETS = 8 };
    int y_pred[MAX_SETS], class_array[MAX_SETS];
    if (n_sets < 1 || n_sets > MAX_SETS)
        return ls_fail(LS_E_USAGE, "n_sets is %d: predict takes 1 to %d sets", n_sets, MAX_SETS);
    ls_progress_part part = {.session = session, .progress = progress};
    for (int i = 0; i < n_sets; i++) {
        LS_TRY(ls_engine_check_features(model, sets[i]));
        part.n_samples += ls_dataset_n_samples(sets[i]);
    }

    ls_engine *engine;
    ls_dataset_writer *writer;
    ls_status status = ls_session_agree(session, ls_engine_create(ls_engine_choose(LS_ENGINE_AUTO, model),
                                                                  model, LS_MEASURED_BATCH, 1, 0, &engine));
    if (status == LS_OK) status = ls_dataset_writer_create(session, output, &writer);
    if (status == LS_OK) {
        status = declare(writer, model->dtype, sets, names, n_sets, y_pred, class_array);
        if (status == LS_OK) status = ls_dataset_writer_begin(writer);
        if (status != LS_OK) {
            ls_dataset_writer_abandon(writer);
        } else {
            for (int i = 0; i < n_sets && status == LS_OK; i++, part.n_before += part.n_part) {
                part.n_part = ls_dataset_n_samples(sets[i]);
                status = predict_own_rows(session, engine, sets[i], writer, y_pred[i], class_array[i], &part);
            }
            status = ls_dataset_writer_commit(writer, status);
            if (status == LS_OK) ls_progress_end(&part);
        }
    }
    ls_engine_destroy(engine);
    return status;
}
