#include "lockstep/generate.h"

#include <math.h>

#include "base/memory.h"
#include "comm/progress.h"
#include "data/dataset_writer.h"
#include "data/make_classification.h"
#include "data/philox_classification.h"
#include "data/train_test_split.h"

/* The release whose numbers are matched; the parity test compares with it. */
#define SKLEARN_VERSION "1.9.1"

enum {
    VALUES_PER_WRITE = 1 << 20,
    CACHED_VALUES = 1 << 16, /* a write of rows that have just been made takes them from the cache */
    LARGEST_BYTE_CLASS = 255,
    ROWS_OF_WHOLE_PAGES = 4096, /* so many rows of any type fill pages, which ranks then need not share */
};

void ls_make_classification_defaults(ls_make_classification *parameters)
{
    static const double no_shift = 0.0, no_scale = 1.0;
    *parameters = (ls_make_classification){
        .n_samples = 100,
        .n_features = 20,
        .n_informative = 2,
        .n_redundant = 2,
        .n_classes = 2,
        .n_clusters_per_class = 2,
        .flip_y = 0.01,
        .class_sep = 1.0,
        .hypercube = true,
        .shift = &no_shift,
        .n_shift = 1,
        .scale = &no_scale,
        .n_scale = 1,
        .shuffle = true,
    };
}

const char *ls_rng_name(ls_rng rng)
{
    return rng == LS_RNG_PHILOX ? "philox" : "mt19937";
}

/* One of the two sets in the file: which rows it takes, and where they go. */
typedef struct output_set {
    const char *x_path, *y_path;
    int64_t n_rows;
    const int64_t *rows; /* on rank 0; NULL means all in order */
    int x_array, y_array;
} output_set;

static ls_status check_options(const ls_generate_options *options, output_set *train, output_set *test)
{
    const ls_make_classification *data = &options->data;
    LS_TRY(ls_make_classification_check(data));
    if (options->rng == LS_RNG_MT19937 && data->n_samples > LS_GENERATE_MAX_VALUES / data->n_features)
        return ls_fail(
            LS_E_USAGE,
            "n_samples=%lld, n_features=%lld: scikit-learn's sequential generator is limited to %lld values "
            "here; more need the counter-based generator (--rng philox): other numbers of the same kind",
            (long long)data->n_samples, (long long)data->n_features, (long long)LS_GENERATE_MAX_VALUES);
    train->n_rows = data->n_samples;
    if (options->train_size == 0) return LS_OK;
    return ls_train_test_sizes(data->n_samples, options->train_size, &train->n_rows, &test->n_rows);
}

/* None as text, one value as a number, several as a vector. */
static ls_status write_doubles(ls_dataset_writer *writer, const char *name, const double *values,
                               int64_t n_values, bool one_is_scalar)
{
    if (!values) return ls_dataset_writer_set_text(writer, "/", name, "None");
    if (n_values == 1 && one_is_scalar) return ls_dataset_writer_set_double(writer, "/", name, values[0]);
    return ls_dataset_writer_set_doubles(writer, "/", name, values, n_values);
}

static ls_status write_attributes(ls_dataset_writer *writer, const ls_generate_options *options)
{
    const ls_make_classification *data = &options->data;
    const struct {
        const char *name;
        int64_t value;
    } integers[] = {
        {"n_samples", data->n_samples},
        {"n_features", data->n_features},
        {"n_informative", data->n_informative},
        {"n_redundant", data->n_redundant},
        {"n_repeated", data->n_repeated},
        {"n_classes", data->n_classes},
        {"n_clusters_per_class", data->n_clusters_per_class},
        {"hypercube", data->hypercube},
        {"shuffle", data->shuffle},
        {"random_state", data->random_state},
    };
    if (options->rng == LS_RNG_MT19937) {
        LS_TRY(ls_dataset_writer_set_text(writer, "/", "generator", "sklearn.datasets.make_classification"));
        LS_TRY(ls_dataset_writer_set_text(writer, "/", "sklearn_version", SKLEARN_VERSION));
    } else {
        LS_TRY(ls_dataset_writer_set_text(writer, "/", "generator", "lockstep generate"));
    }
    LS_TRY(ls_dataset_writer_set_text(writer, "/", "rng", ls_rng_name(options->rng)));
    LS_TRY(ls_dataset_writer_set_text(writer, "/", "lockstep_version", LOCKSTEP_VERSION));
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++)
        LS_TRY(ls_dataset_writer_set_int(writer, "/", integers[i].name, integers[i].value));
    LS_TRY(
        write_doubles(writer, "weights", data->n_weights > 0 ? data->weights : NULL, data->n_weights, false));
    LS_TRY(ls_dataset_writer_set_double(writer, "/", "flip_y", data->flip_y));
    LS_TRY(ls_dataset_writer_set_double(writer, "/", "class_sep", data->class_sep));
    LS_TRY(write_doubles(writer, "shift", data->shift, data->n_shift, true));
    LS_TRY(write_doubles(writer, "scale", data->scale, data->n_scale, true));
    if (options->train_size == 0) {
        LS_TRY(ls_dataset_writer_set_text(writer, "/", "train_size", "None"));
        return ls_dataset_writer_set_text(writer, "/", "split_random_state", "None");
    }
    if (options->train_size < 1)
        LS_TRY(ls_dataset_writer_set_double(writer, "/", "train_size", options->train_size));
    else
        LS_TRY(ls_dataset_writer_set_int(writer, "/", "train_size", (int64_t)options->train_size));
    if (options->rng == LS_RNG_PHILOX)
        return ls_dataset_writer_set_text(writer, "/", "split_random_state", "None");
    return ls_dataset_writer_set_int(writer, "/", "split_random_state", options->split_random_state);
}

static ls_file_type label_type(const ls_generate_options *options)
{
    return options->data.n_classes - 1 > LARGEST_BYTE_CLASS ? LS_FILE_INT64 : LS_FILE_UINT8;
}

static ls_status declare(ls_dataset_writer *writer, const ls_generate_options *options, output_set *sets,
                         int n_sets)
{
    const ls_file_type x_type = options->dtype == LS_FLOAT32 ? LS_FILE_FLOAT32 : LS_FILE_FLOAT64;
    const ls_file_type y_type = label_type(options);
    for (int s = 0; s < n_sets; s++) {
        LS_TRY(ls_dataset_writer_add_array(writer, sets[s].x_path, x_type, sets[s].n_rows,
                                           options->data.n_features, &sets[s].x_array));
        LS_TRY(
            ls_dataset_writer_add_array(writer, sets[s].y_path, y_type, sets[s].n_rows, 0, &sets[s].y_array));
    }
    LS_TRY(write_attributes(writer, options));
    return ls_dataset_writer_begin(writer);
}

/* Copies rows [first, first + n_rows) of a set, as they go into the file, into x_block and y_block. */
static ls_status gather(const ls_generate_options *options, const output_set *set, int64_t first,
                        int64_t n_rows, const double *x, const int64_t *y, void *x_block, void *y_block)
{
    const int64_t n_features = options->data.n_features;
    const bool as_float = options->dtype == LS_FLOAT32;
    const bool as_int64 = label_type(options) == LS_FILE_INT64;
    for (int64_t i = 0; i < n_rows; i++) {
        const int64_t row = set->rows ? set->rows[first + i] : first + i;
        for (int64_t j = 0; j < n_features; j++) {
            const double value = x[row * n_features + j];
            const float narrow = (float)value;
            if (!(as_float ? isfinite(narrow) : isfinite(value)))
                return ls_fail(
                    LS_E_USAGE,
                    "class_sep, shift, scale: the value %g of sample %lld, feature %lld is not finite as "
                    "%s: use smaller factors",
                    value, (long long)row, (long long)j, ls_dtype_name(options->dtype));
            if (as_float)
                ((float *)x_block)[i * n_features + j] = narrow;
            else
                ((double *)x_block)[i * n_features + j] = value;
        }
        if (as_int64)
            ((int64_t *)y_block)[i] = y[row];
        else
            ((uint8_t *)y_block)[i] = (uint8_t)y[row];
    }
    return LS_OK;
}

static ls_status write_set(ls_dataset_writer *writer, const ls_generate_options *options,
                           const output_set *set, const ls_progress_part *progress, const double *x,
                           const int64_t *y)
{
    const int64_t n_features = options->data.n_features;
    const int64_t rows_per_write = n_features < VALUES_PER_WRITE ? VALUES_PER_WRITE / n_features : 1;
    const int64_t n_block = rows_per_write < set->n_rows ? rows_per_write : set->n_rows;
    void *x_block = NULL, *y_block = NULL;
    ls_status status = ls_alloc(&x_block, (size_t)(n_block * n_features), sizeof(double), "rows to write");
    if (status == LS_OK) status = ls_alloc(&y_block, (size_t)n_block, sizeof(int64_t), "labels to write");
    for (int64_t first = 0; status == LS_OK && first < set->n_rows; first += n_block) {
        const int64_t n_rows = set->n_rows - first < n_block ? set->n_rows - first : n_block;
        status = gather(options, set, first, n_rows, x, y, x_block, y_block);
        if (status == LS_OK)
            status = ls_dataset_writer_write_rows(writer, set->x_array, first, n_rows, x_block);
        if (status == LS_OK)
            status = ls_dataset_writer_write_rows(writer, set->y_array, first, n_rows, y_block);
        if (status == LS_OK) ls_progress_report(progress, first + n_rows, set->n_rows);
    }
    ls_free(x_block);
    ls_free(y_block);
    return status;
}

/* Rank 0's part: the stream is sequential, so that one rank makes all rows. */
static ls_status make_and_write(const ls_session *session, ls_dataset_writer *writer,
                                const ls_generate_options *options, output_set *sets, int n_sets)
{
    const ls_make_classification *data = &options->data;
    /* Making the rows counts as much as writing them. */
    ls_progress_part progress = {session, options->progress, 0, data->n_samples / 2, data->n_samples};
    const size_t n = (size_t)data->n_samples;
    double *x = NULL;
    int64_t *y = NULL, *rows = NULL;
    ls_status status = ls_alloc(&x, n * (size_t)data->n_features, sizeof *x, "generated samples");
    if (status == LS_OK) status = ls_alloc(&y, n, sizeof *y, "generated labels");
    if (status == LS_OK) status = ls_make_classification_rows(data, &progress, x, y);
    if (status == LS_OK && n_sets == 2) {
        status = ls_alloc(&rows, n, sizeof *rows, "row numbers of the split");
        if (status == LS_OK) {
            sets[0].rows = rows;
            sets[1].rows = rows + sets[0].n_rows;
            status = ls_train_test_split(data->n_samples, sets[0].n_rows, sets[1].n_rows,
                                         options->split_random_state, rows, rows + sets[0].n_rows);
        }
    }
    for (int s = 0; status == LS_OK && s < n_sets; s++) {
        progress.n_before += progress.n_part;
        progress.n_part = sets[s].n_rows / 2;
        status = write_set(writer, options, &sets[s], &progress, x, y);
    }
    ls_free(x);
    ls_free(y);
    ls_free(rows);
    return status;
}

/* What a rank needs to make its share of rows. */
typedef struct row_maker {
    const ls_session *session;
    ls_dataset_writer *writer;
    const ls_generate_options *options;
    ls_philox_classification *source;
    int64_t n_block;
    void *x_block, *y_block;
} row_maker;

/* This rank's rows of a set whose row 0 is sample first_sample: whole pages of each array, as evenly as that
 * allows. */
static ls_status fill_set(const row_maker *maker, const output_set *set, int64_t first_sample)
{
    const ls_session *session = maker->session;
    const ls_progress_part progress = {session, maker->options->progress, first_sample, set->n_rows,
                                       maker->options->data.n_samples};
    const int64_t n_pieces = set->n_rows / ROWS_OF_WHOLE_PAGES + (set->n_rows % ROWS_OF_WHOLE_PAGES != 0);
    const int64_t begin = ls_split(n_pieces, session->size, session->rank) * ROWS_OF_WHOLE_PAGES;
    const int64_t end_piece = ls_split(n_pieces, session->size, session->rank + 1);
    const int64_t end = end_piece == n_pieces ? set->n_rows : end_piece * ROWS_OF_WHOLE_PAGES;
    for (int64_t first = begin; first < end; first += maker->n_block) {
        const int64_t n_rows = end - first < maker->n_block ? end - first : maker->n_block;
        ls_philox_classification_fill(maker->source, first_sample + first, n_rows, maker->x_block,
                                      label_type(maker->options), maker->y_block);
        LS_TRY(ls_dataset_writer_write_rows(maker->writer, set->x_array, first, n_rows, maker->x_block));
        LS_TRY(ls_dataset_writer_write_rows(maker->writer, set->y_array, first, n_rows, maker->y_block));
        ls_progress_report(&progress, first + n_rows - begin, end - begin);
    }
    return LS_OK;
}

/* Every rank's part: samples that depend on nothing but their numbers. */
static ls_status fill_and_write(const ls_session *session, ls_dataset_writer *writer,
                                const ls_generate_options *options, ls_philox_classification *source,
                                const output_set *sets, int n_sets)
{
    const int64_t n_features = options->data.n_features;
    row_maker maker = {session, writer, options, source, 1, NULL, NULL};
    if (n_features < CACHED_VALUES) maker.n_block = CACHED_VALUES / n_features;
    ls_status status = ls_alloc(&maker.x_block, (size_t)(maker.n_block * n_features),
                                ls_dtype_size(options->dtype), "rows to write");
    if (status == LS_OK)
        status = ls_alloc(&maker.y_block, (size_t)maker.n_block, sizeof(int64_t), "labels to write");
    int64_t first_sample = 0;
    for (int s = 0; status == LS_OK && s < n_sets; s++) {
        status = fill_set(&maker, &sets[s], first_sample);
        first_sample += sets[s].n_rows;
    }
    ls_free(maker.x_block);
    ls_free(maker.y_block);
    return status;
}

ls_status ls_generate(ls_session *session, const ls_generate_options *options, const char *output)
{
    output_set sets[2] = {{.x_path = "/train/X", .y_path = "/train/y"},
                          {.x_path = "/test/X", .y_path = "/test/y"}};
    const int n_sets = options->train_size == 0 ? 1 : 2;
    const ls_progress_part all = {
        .session = session, .progress = options->progress, .n_samples = options->data.n_samples};
    ls_philox_classification *source = NULL;
    ls_dataset_writer *writer = NULL;
    ls_status status = check_options(options, &sets[0], &sets[1]);
    if (status == LS_OK && options->rng == LS_RNG_PHILOX)
        status = ls_philox_classification_open(&options->data, options->dtype, &source);
    status = ls_session_agree(session, status);
    if (status == LS_OK) status = ls_dataset_writer_create(session, output, &writer);
    if (status == LS_OK) {
        status = declare(writer, options, sets, n_sets);
        if (status != LS_OK) ls_dataset_writer_abandon(writer);
    }
    if (status == LS_OK) {
        if (source)
            status = fill_and_write(session, writer, options, source, sets, n_sets);
        else if (session->rank == 0)
            status = make_and_write(session, writer, options, sets, n_sets);
        status = ls_dataset_writer_commit(writer, status);
        if (status == LS_OK) ls_progress_end(&all);
    }
    ls_philox_classification_close(source);
    return status;
}
