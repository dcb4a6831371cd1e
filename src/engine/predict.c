#include <stdio.h>

#include "base/memory.h"
#include "base/values.h"
#include "comm/progress.h"
#include "data/dataset_writer.h"
#include "data/row_reader.h"
#include "engine/engine.h"
#include "lockstep/evaluate.h"
#include "model/normalization.h"

enum { PIECE_ROWS = 4096, PATH_SIZE = 1024 };

/* The type of `class`. */
static ls_file_type class_type(const ls_model *model)
{
    const bool is_wide = ls_loss_is_categorical(model->loss) && ls_model_n_outputs(model) > UINT8_MAX + 1;
    return is_wide ? LS_FILE_INT64 : LS_FILE_UINT8;
}

/* Classes of a row: one, or one for each label. */
static int64_t n_classes_of_row(const ls_model *model)
{
    return model->loss == LS_BINARY_CROSSENTROPY ? ls_model_n_outputs(model) : 1;
}

/* The classes of one row of outputs. As the notebook's predict_class, not as Keras' metrics: 0.5 is class 1
 * here. Of several classes the first of the most probable ones. */
static void put_classes(const ls_model *model, const void *outputs, int64_t row, void *classes)
{
    const int64_t n = ls_model_n_outputs(model);
    if (ls_loss_is_categorical(model->loss)) {
        const int64_t class = ls_value_greatest(model->dtype, outputs, row * n, n);
        if (class_type(model) == LS_FILE_INT64) {
            ((int64_t *)classes)[row] = class;
        } else {
            ((uint8_t *)classes)[row] = (uint8_t) class;
        }
        return;
    }
    for (int64_t i = row * n; i < (row + 1) * n; i++)
        ((uint8_t *)classes)[i] = ls_value_at(model->dtype, outputs, i) >= 0.5;
}

/* The arrays of a set in the output. */
typedef struct arrays {
    int y_pred, class; /* class is -1 where there are none */
} arrays;

/* Predicts this rank's rows of one set and writes them in place. */
static ls_status predict_own_rows(ls_session *session, ls_engine *engine, ls_dataset *dataset,
                                  ls_dataset_writer *writer, arrays to, const ls_progress_part *progress)
{
    const ls_model *model = engine->model;
    const int64_t n_samples = ls_dataset_n_samples(dataset);
    const int64_t piece_rows = ls_measured_rows(model, PIECE_ROWS);
    const int64_t begin = ls_split(n_samples, session->size, session->rank),
                  end = ls_split(n_samples, session->size, session->rank + 1);
    void *outputs = NULL, *classes = NULL;
    ls_row_reader *reader = NULL;
    ls_dataset *inputs = NULL;
    ls_status status = ls_model_open_inputs(model, dataset, &inputs);
    if (status == LS_OK)
        status = ls_row_reader_create(inputs, model->dtype, begin, end, piece_rows, 0, &reader);
    if (status == LS_OK)
        status = ls_alloc(&outputs, (size_t)(piece_rows * ls_model_n_outputs(model)),
                          ls_dtype_size(model->dtype), "predictions");
    if (status == LS_OK)
        status = ls_alloc(&classes, (size_t)(piece_rows * n_classes_of_row(model)),
                          class_type(model) == LS_FILE_INT64 ? sizeof(int64_t) : 1, "predicted classes");
    for (int64_t row = begin, rows; row < end && status == LS_OK; row += rows) {
        const void *x, *y;
        rows = end - row < piece_rows ? end - row : piece_rows;
        status = ls_row_reader_get(reader, row, rows, &x, &y);
        if (status != LS_OK) break;
        ls_place_at(LS_AT_COMPUTE, -1);
        engine->kind->measure(engine, x, NULL, rows, NULL, outputs);
        status = ls_dataset_writer_write_rows(writer, to.y_pred, row, rows, outputs);
        for (int64_t i = 0; i < rows && to.class >= 0; i++) put_classes(model, outputs, i, classes);
        if (status == LS_OK && to.class >= 0)
            status = ls_dataset_writer_write_rows(writer, to.class, row, rows, classes);
        if (status == LS_OK) ls_progress_report(progress, row + rows - begin, end - begin);
    }
    ls_row_reader_destroy(reader);
    ls_dataset_close(inputs);
    ls_free(outputs);
    ls_free(classes);
    return status;
}

/* Declares the arrays of all sets; `to` gets their numbers. */
static ls_status declare(ls_dataset_writer *writer, const ls_model *model, ls_dataset *const *sets,
                         const char *const *names, int n_sets, arrays *to)
{
    const ls_file_type type = model->dtype == LS_FLOAT32 ? LS_FILE_FLOAT32 : LS_FILE_FLOAT64;
    for (int i = 0; i < n_sets; i++) {
        char path[PATH_SIZE];
        const char *slash = names[i][0] ? "/" : "";
        const int64_t n_samples = ls_dataset_n_samples(sets[i]);
        to[i].class = -1;
        snprintf(path, sizeof path, "%s%s/y_pred", slash, names[i]);
        LS_TRY(ls_dataset_writer_add_array(writer, path, type, n_samples, ls_model_n_outputs(model),
                                           &to[i].y_pred));
        if (ls_loss_is_regression(model->loss)) continue;
        snprintf(path, sizeof path, "%s%s/class", slash, names[i]);
        const int64_t n_classes = n_classes_of_row(model);
        LS_TRY(ls_dataset_writer_add_array(writer, path, class_type(model), n_samples,
                                           n_classes > 1 ? n_classes : 0, &to[i].class));
    }
    return ls_dataset_writer_set_text(writer, "/", "lockstep_version", LOCKSTEP_VERSION);
}

ls_status ls_predict(ls_session *session, const ls_model *model, ls_dataset *const *sets,
                     const char *const *names, int n_sets, const ls_progress *progress, const char *output)
{
    enum { MAX_SETS = 8 };
    arrays to[MAX_SETS];
    if (n_sets < 1 || n_sets > MAX_SETS)
        return ls_fail(LS_E_USAGE, "n_sets is %d: predict takes 1 to %d sets", n_sets, MAX_SETS);
    ls_progress_part part = {.session = session, .progress = progress};
    for (int i = 0; i < n_sets; i++) {
        LS_TRY(ls_engine_check_features(model, sets[i]));
        part.n_samples += ls_dataset_n_samples(sets[i]);
    }

    ls_engine *engine;
    ls_dataset_writer *writer;
    const ls_engine_plan plan = {.batch_size = LS_MEASURED_BATCH, .n_shards = 1};
    ls_status status = ls_session_agree(
        session, ls_engine_create(ls_engine_choose(LS_ENGINE_AUTO, model), model, &plan, &engine));
    if (status == LS_OK) status = ls_dataset_writer_create(session, output, &writer);
    if (status == LS_OK) {
        status = declare(writer, model, sets, names, n_sets, to);
        if (status == LS_OK) status = ls_dataset_writer_begin(writer);
        if (status != LS_OK) {
            ls_dataset_writer_abandon(writer);
        } else {
            for (int i = 0; i < n_sets && status == LS_OK; i++, part.n_before += part.n_part) {
                part.n_part = ls_dataset_n_samples(sets[i]);
                status = predict_own_rows(session, engine, sets[i], writer, to[i], &part);
            }
            status = ls_dataset_writer_commit(writer, status);
            if (status == LS_OK) ls_progress_end(&part);
        }
    }
    ls_engine_destroy(engine);
    return status;
}
