#include "data/row_reader.h"

#include "base/memory.h"

struct ls_row_reader {
    ls_dataset *dataset;
    ls_dtype dtype;
    int64_t end_row;
    int64_t capacity;  /* rows */
    int64_t first_row; /* in the buffer */
    int64_t n_rows;
    size_t row_size, y_size; /* bytes of a row */
    char *x, *y;
};

ls_status ls_row_reader_create(ls_dataset *dataset, ls_dtype dtype, int64_t begin_row, int64_t end_row,
                               int64_t min_rows, int64_t memory, ls_row_reader **result)
{
    const int64_t n_rows = end_row - begin_row;
    ls_row_reader *reader;
    *result = NULL;
    LS_TRY(ls_alloc(&reader, 1, sizeof *reader, "row buffer"));
    const ls_targets targets = ls_dataset_targets(dataset);
    reader->row_size = (size_t)ls_dataset_n_features(dataset) * ls_dtype_size(dtype);
    reader->y_size = (size_t)ls_targets_row_values(&targets) * ls_dtype_size(dtype);
    reader->dataset = dataset;
    reader->dtype = dtype;
    reader->end_row = end_row;
    reader->capacity = (int64_t)(LS_ROW_READER_BYTES / reader->row_size);
    if (reader->capacity < min_rows) reader->capacity = min_rows;
    if (n_rows <= memory / (int64_t)(reader->row_size + reader->y_size) &&
        !ls_dataset_is_held(dataset, dtype))
        reader->capacity = n_rows;
    /* Short trainings, of which a search has many, would spend their time in clearing more. */
    if (reader->capacity > n_rows) reader->capacity = n_rows;
    if (reader->capacity < 1) reader->capacity = 1;
    ls_status status = ls_alloc(&reader->x, (size_t)reader->capacity, reader->row_size, "row buffer");
    if (status == LS_OK && ls_dataset_has_y(dataset))
        status = ls_alloc(&reader->y, (size_t)reader->capacity, reader->y_size, "label buffer");
    if (status != LS_OK) {
        ls_row_reader_destroy(reader);
        return status;
    }
    *result = reader;
    return LS_OK;
}

void ls_row_reader_destroy(ls_row_reader *reader)
{
    if (!reader) return;
    ls_free(reader->x);
    ls_free(reader->y);
    ls_free(reader);
}

ls_status ls_row_reader_get(ls_row_reader *reader, int64_t first_row, int64_t n_rows, const void **x,
                            const void **y)
{
    if (first_row < reader->first_row || first_row + n_rows > reader->first_row + reader->n_rows) {
        const int64_t left = reader->end_row - first_row;
        reader->n_rows = 0;
        const int64_t rows = left < reader->capacity ? left : reader->capacity;
        LS_TRY(ls_dataset_read_rows(reader->dataset, reader->dtype, first_row, rows, reader->x, reader->y));
        reader->first_row = first_row;
        reader->n_rows = rows;
    }
    const size_t at = (size_t)(first_row - reader->first_row);
    *x = reader->x + at * reader->row_size;
    *y = reader->y ? reader->y + at * reader->y_size : NULL;
    return LS_OK;
}
