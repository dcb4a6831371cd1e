#include "data/generated_rows.h"

#include <string.h>

#include "base/memory.h"
#include "data/philox_classification.h"
#include "data/train_test_split.h"

enum { BLOCK_VALUES = 1 << 14, SHORT_ROWS = 128 };

struct ls_generated_rows {
    ls_philox_classification *source;
    ls_dtype dtype;
    int64_t n_samples, n_features, n_classes;
    /* Short segments that follow one another closely have a block made for all of them; of scattered ones, a
     * block would be many times what is wanted. */
    int64_t block_rows, block_first, block_there;
    int64_t asked_end; /* of the rows asked for last */
    char *block_x, *block_y;
};

ls_status ls_generated_rows_open(const ls_generate_options *options, ls_generated_rows **result)
{
    const ls_make_classification *data = &options->data;
    *result = NULL;
    ls_generated_rows *rows;
    LS_TRY(ls_alloc(&rows, 1, sizeof *rows, "generated rows"));
    ls_status status = ls_philox_classification_open(data, LS_FLOAT64, &rows->source);
    rows->dtype = LS_FLOAT64;
    rows->n_samples = data->n_samples;
    rows->n_features = data->n_features;
    rows->n_classes = data->n_classes;
    int64_t n_test;
    if (status == LS_OK && options->train_size != 0)
        status = ls_train_test_sizes(data->n_samples, options->train_size, &rows->n_samples, &n_test);
    if (status == LS_OK) {
        rows->block_rows = BLOCK_VALUES / data->n_features / SHORT_ROWS * SHORT_ROWS;
        if (rows->block_rows < SHORT_ROWS) rows->block_rows = SHORT_ROWS;
        status = ls_alloc(&rows->block_x, (size_t)(rows->block_rows * rows->n_features), sizeof(double),
                          "generated rows");
    }
    if (status == LS_OK)
        status = ls_alloc(&rows->block_y, (size_t)rows->block_rows, sizeof(double), "generated labels");
    if (status != LS_OK) {
        ls_generated_rows_close(rows);
        return status;
    }
    *result = rows;
    return LS_OK;
}

void ls_generated_rows_close(ls_generated_rows *rows)
{
    if (!rows) return;
    ls_philox_classification_close(rows->source);
    ls_free(rows->block_x);
    ls_free(rows->block_y);
    ls_free(rows);
}

int64_t ls_generated_rows_n_samples(const ls_generated_rows *rows)
{
    return rows->n_samples;
}

int64_t ls_generated_rows_n_features(const ls_generated_rows *rows)
{
    return rows->n_features;
}

int64_t ls_generated_rows_n_classes(const ls_generated_rows *rows)
{
    return rows->n_classes;
}

static ls_file_type label_type(ls_dtype dtype)
{
    return dtype == LS_FLOAT32 ? LS_FILE_FLOAT32 : LS_FILE_FLOAT64;
}

/* A few rows, by way of the block. */
static void copy_short(ls_generated_rows *rows, ls_segment segment, char *x, char *y)
{
    const size_t size = ls_dtype_size(rows->dtype), row_size = (size_t)rows->n_features * size;
    while (segment.n_rows > 0) {
        int64_t skip = segment.first_row - rows->block_first;
        if (skip < 0 || skip >= rows->block_there) {
            rows->block_first = segment.first_row / SHORT_ROWS * SHORT_ROWS;
            const int64_t rest = rows->n_samples - rows->block_first,
                          ahead = segment.first_row - rows->asked_end;
            const int64_t end = segment.first_row + segment.n_rows + SHORT_ROWS - 1;
            int64_t wanted = rows->block_rows;
            if (ahead < 0 || ahead >= SHORT_ROWS) wanted = end / SHORT_ROWS * SHORT_ROWS - rows->block_first;
            if (wanted > rows->block_rows) wanted = rows->block_rows;
            rows->block_there = rest < wanted ? rest : wanted;
            ls_philox_classification_fill(rows->source, rows->block_first, rows->block_there, rows->block_x,
                                          label_type(rows->dtype), rows->block_y);
            skip = segment.first_row - rows->block_first;
        }
        const int64_t there = rows->block_there - skip;
        const int64_t n = segment.n_rows < there ? segment.n_rows : there;
        memcpy(x, rows->block_x + (size_t)skip * row_size, (size_t)n * row_size);
        if (y) memcpy(y, rows->block_y + (size_t)skip * size, (size_t)n * size);
        x += (size_t)n * row_size;
        if (y) y += (size_t)n * size;
        segment = (ls_segment){segment.first_row + n, segment.n_rows - n};
        rows->asked_end = segment.first_row;
    }
}

ls_status ls_generated_rows_read(ls_generated_rows *rows, ls_dtype dtype, const ls_segment *segments,
                                 int64_t n_segments, void *x, void *y)
{
    if (dtype != rows->dtype) {
        LS_TRY(ls_philox_classification_set_dtype(rows->source, dtype));
        rows->dtype = dtype;
        rows->block_there = 0;
    }
    const size_t size = ls_dtype_size(dtype), row_size = (size_t)rows->n_features * size;
    char *to_x = x, *to_y = y;
    for (int64_t i = 0; i < n_segments; i++) {
        const ls_segment segment = segments[i];
        if (segment.n_rows < SHORT_ROWS || !y)
            copy_short(rows, segment, to_x, to_y);
        else
            ls_philox_classification_fill(rows->source, segment.first_row, segment.n_rows, to_x,
                                          label_type(dtype), to_y);
        to_x += (size_t)segment.n_rows * row_size;
        if (to_y) to_y += (size_t)segment.n_rows * size;
    }
    return LS_OK;
}
