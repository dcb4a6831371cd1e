#include "base/memory.h"
#include "comm/progress.h"
#include "data/dataset.h"
#include "data/dataset_source.h"
#include "data/dataset_writer.h"
#include "data/train_test_split.h"

#include <stdio.h>

/* Rows are scattered over the whole source: the larger a piece, the fewer passes over it. */
enum { PIECE_BYTES = 64 << 20 };

/* One of the two sets of the output. */
typedef struct part {
    int64_t n_rows;
    int64_t *rows; /* of the source, in the order of the output */
    int x_array;
    int y_array;
} part;

/* Buffers for one piece. */
typedef struct buffers {
    int64_t n_rows;
    ls_segment *segments;
    char *x;
    char *y;         /* as read, in dtype */
    uint8_t *labels; /* as written, if they are classes */
} buffers;

/* How targets are written: classes that fit bytes as these, other values as those of X. */
typedef struct targets {
    int64_t n_columns;
    bool are_bytes;
} targets;

static ls_status allocate(buffers *buffer, int64_t n_rows, int64_t n_features, const targets *kind,
                          size_t value_size)
{
    buffer->n_rows = n_rows;
    LS_TRY(ls_alloc(&buffer->segments, (size_t)n_rows, sizeof *buffer->segments, "rows of a piece"));
    LS_TRY(ls_alloc(&buffer->x, (size_t)n_rows, (size_t)n_features * value_size, "features of a piece"));
    LS_TRY(ls_alloc(&buffer->y, (size_t)(n_rows * kind->n_columns), value_size, "labels of a piece"));
    return ls_alloc(&buffer->labels, (size_t)(n_rows * kind->n_columns), 1, "labels of a piece");
}

static void release(buffers *buffer)
{
    ls_free(buffer->segments);
    ls_free(buffer->x);
    ls_free(buffer->y);
    ls_free(buffer->labels);
}

/* Consecutive rows become one segment. */
static int64_t make_segments(const int64_t *rows, int64_t n_rows, ls_segment *segments)
{
    int64_t n = 0;
    for (int64_t i = 0; i < n_rows; i++) {
        if (n > 0 && segments[n - 1].first_row + segments[n - 1].n_rows == rows[i])
            segments[n - 1].n_rows++;
        else
            segments[n++] = (ls_segment){rows[i], 1};
    }
    return n;
}

/* Copies this rank's share of the rows of a part. */
static ls_status copy_rows(const ls_session *session, ls_dataset *dataset, ls_dtype dtype,
                           ls_dataset_writer *writer, const part *target, const targets *kind,
                           const ls_progress_part *progress, buffers *buffer)
{
    const int rank = ls_session_rank(session), size = ls_session_size(session);
    const int64_t begin = ls_split(target->n_rows, size, rank),
                  end = ls_split(target->n_rows, size, rank + 1);
    for (int64_t first = begin; first < end;) {
        const int64_t n = end - first < buffer->n_rows ? end - first : buffer->n_rows;
        const int64_t n_segments = make_segments(target->rows + first, n, buffer->segments);
        LS_TRY(ls_dataset_read_segments(dataset, dtype, buffer->segments, n_segments, buffer->x, buffer->y));
        for (int64_t i = 0; i < n * kind->n_columns && kind->are_bytes; i++)
            buffer->labels[i] = (uint8_t)(dtype == LS_FLOAT32 ? ((const float *)(const void *)buffer->y)[i]
                                                              : ((const double *)(const void *)buffer->y)[i]);
        LS_TRY(ls_dataset_writer_write_rows(writer, target->x_array, first, n, buffer->x));
        LS_TRY(ls_dataset_writer_write_rows(writer, target->y_array, first, n,
                                            kind->are_bytes ? (const void *)buffer->labels : buffer->y));
        first += n;
        ls_progress_report(progress, first - begin, end - begin);
    }
    return LS_OK;
}

/* Name of a source array inside its file: the output must not depend on where that file lies. */
static ls_status set_origin(ls_dataset_writer *writer, const char *attribute, const ls_dataset_place *place)
{
    char text[LS_PLACE_PATH_SIZE + LS_PLACE_FIELD_SIZE];
    snprintf(text, sizeof text, "%s%s%s", place->path, place->field[0] ? ":" : "", place->field);
    return ls_dataset_writer_set_text(writer, "/", attribute, text);
}

static ls_status declare(ls_dataset_writer *writer, const ls_dataset_source *source, double train_size,
                         uint32_t random_state, ls_dtype dtype, int64_t n_features, const targets *kind,
                         part *train, part *test)
{
    const ls_file_type x_type = dtype == LS_FLOAT32 ? LS_FILE_FLOAT32 : LS_FILE_FLOAT64,
                       y_type = kind->are_bytes ? LS_FILE_UINT8 : x_type;
    const int64_t columns = kind->n_columns == 1 ? 0 : kind->n_columns; /* 0 makes a vector */
    LS_TRY(
        ls_dataset_writer_add_array(writer, "/train/X", x_type, train->n_rows, n_features, &train->x_array));
    LS_TRY(ls_dataset_writer_add_array(writer, "/train/y", y_type, train->n_rows, columns, &train->y_array));
    LS_TRY(ls_dataset_writer_add_array(writer, "/test/X", x_type, test->n_rows, n_features, &test->x_array));
    LS_TRY(ls_dataset_writer_add_array(writer, "/test/y", y_type, test->n_rows, columns, &test->y_array));
    ls_dataset_place place;
    LS_TRY(ls_dataset_place_of_x(source, &place));
    LS_TRY(set_origin(writer, "source_x", &place));
    LS_TRY(ls_dataset_place_of_y(source, &place));
    LS_TRY(set_origin(writer, "source_y", &place));
    LS_TRY(ls_dataset_writer_set_double(writer, "/", "train_size", train_size));
    LS_TRY(ls_dataset_writer_set_int(writer, "/", "split_random_state", random_state));
    LS_TRY(ls_dataset_writer_set_text(writer, "/", "lockstep_version", LOCKSTEP_VERSION));
    return ls_dataset_writer_begin(writer);
}

/* Makes the file from the rows of both parts. Collective. */
static ls_status write_parts(ls_session *session, ls_dataset *dataset, const ls_dataset_source *source,
                             double train_size, uint32_t random_state, ls_dtype dtype, part *train,
                             part *test, const ls_progress *progress, const char *output)
{
    ls_target_range range;
    LS_TRY(ls_dataset_scan_targets(session, dataset, &range));
    const targets kind = {range.n_columns,
                          range.is_whole && range.minimum >= 0 && range.maximum <= UINT8_MAX};
    LS_TRY(ls_dataset_expect_targets(dataset, LS_TARGET_NUMBERS, range.n_columns));
    const int64_t n_features = ls_dataset_n_features(dataset);
    ls_dataset_writer *writer;
    LS_TRY(ls_dataset_writer_create(session, output, &writer));
    ls_status status =
        declare(writer, source, train_size, random_state, dtype, n_features, &kind, train, test);
    if (status != LS_OK) {
        ls_dataset_writer_abandon(writer);
        return status;
    }
    const int64_t largest = train->n_rows > test->n_rows ? train->n_rows : test->n_rows;
    const int64_t row_bytes =
        (n_features + kind.n_columns) * (int64_t)ls_dtype_size(dtype) + (int64_t)sizeof(ls_segment);
    int64_t piece_rows = PIECE_BYTES / row_bytes + 1;
    const int64_t share = largest / ls_session_size(session) + 1;
    if (piece_rows > share) piece_rows = share;
    const int64_t n_samples = train->n_rows + test->n_rows;
    const ls_progress_part first = {session, progress, 0, train->n_rows, n_samples},
                           second = {session, progress, train->n_rows, test->n_rows, n_samples};
    buffers buffer = {0};
    status = allocate(&buffer, piece_rows, n_features, &kind, ls_dtype_size(dtype));
    if (status == LS_OK) status = copy_rows(session, dataset, dtype, writer, train, &kind, &first, &buffer);
    if (status == LS_OK) status = copy_rows(session, dataset, dtype, writer, test, &kind, &second, &buffer);
    release(&buffer);
    status = ls_dataset_writer_commit(writer, status);
    if (status == LS_OK) ls_progress_end(&second);
    return status;
}

ls_status ls_dataset_split(ls_session *session, const ls_dataset_source *source, double train_size,
                           uint32_t random_state, ls_dtype dtype, const ls_progress *progress,
                           const char *output)
{
    if (source->without_y) return ls_fail(LS_E_USAGE, "a set without labels cannot be split");
    ls_dataset *dataset;
    LS_TRY(ls_dataset_open(session, source, &dataset));
    const int64_t n_samples = ls_dataset_n_samples(dataset);
    part train = {0}, test = {0};
    ls_status status = ls_train_test_sizes(n_samples, train_size, &train.n_rows, &test.n_rows);
    if (status == LS_OK)
        status = ls_alloc(&train.rows, (size_t)train.n_rows, sizeof *train.rows, "rows of the training set");
    if (status == LS_OK)
        status = ls_alloc(&test.rows, (size_t)test.n_rows, sizeof *test.rows, "rows of the test set");
    if (status == LS_OK)
        status =
            ls_train_test_split(n_samples, train.n_rows, test.n_rows, random_state, train.rows, test.rows);
    status = ls_session_agree(session, status);
    if (status == LS_OK)
        status = write_parts(session, dataset, source, train_size, random_state, dtype, &train, &test,
                             progress, output);
    ls_free(train.rows);
    ls_free(test.rows);
    ls_dataset_close(dataset);
    return status;
}
