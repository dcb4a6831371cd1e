#include "data/dataset.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "base/clock.h"
#include "base/memory.h"
#include "data/generated_rows.h"
#include "data/scaling.h"
#include "data/stored_rows.h"
#include "data/target_rows.h"

struct ls_dataset {
    ls_stored_rows stored;        /* in files */
    ls_generated_rows *generated; /* instead of those, or NULL */
    ls_target_kind kind;
    int64_t n_outputs;
    double *class_weights; /* of all classes, or NULL: then a part has those of its whole */
    char *held_x, *held_y; /* all rows, as values of held_dtype, or NULL */
    ls_dtype held_dtype;
    /* Or some rows of another set. */
    ls_dataset *whole;
    int64_t first_row, n_rows;
    ls_scaling *scaling; /* or NULL */
};

static const char generated_name[] = "generated data";

ls_status ls_dataset_open(ls_session *session, const ls_dataset_source *source, ls_dataset **result)
{
    *result = NULL;
    ls_dataset *dataset;
    ls_status status = ls_session_agree(session, ls_alloc(&dataset, 1, sizeof *dataset, "dataset"));
    if (status == LS_OK) status = ls_stored_rows_open(session, source, &dataset->stored);
    if (status != LS_OK) {
        ls_dataset_close(dataset);
        return status;
    }
    *result = dataset;
    return LS_OK;
}

/* Ranks that were told otherwise would train on other data. */
static ls_status compare_generated(ls_session *session, ls_dataset *dataset)
{
    enum { ROWS = 4 };
    const int64_t n = ls_dataset_n_samples(dataset), n_features = ls_dataset_n_features(dataset);
    double *x, y[ROWS];
    LS_TRY(ls_session_agree(
        session, ls_alloc(&x, (size_t)(ROWS * n_features), sizeof *x, "generated rows to compare")));
    const int64_t n_rows = n < ROWS ? n : ROWS;
    const ls_status status = ls_dataset_read_rows(dataset, LS_FLOAT64, n - n_rows, n_rows, x, y);
    char text[160];
    snprintf(text, sizeof text, "generated data: %lld x %lld values, the last rows with the digest %016llx",
             (long long)n, (long long)n_features,
             (unsigned long long)XXH3_64bits_withSeed(x, (size_t)(n_rows * n_features) * sizeof *x,
                                                      XXH3_64bits(y, (size_t)n_rows * sizeof *y)));
    ls_free(x);
    LS_TRY(ls_session_agree(session, status));
    return ls_session_compare(session, text, "generate with the same parameters on all ranks");
}

ls_status ls_dataset_open_generated(ls_session *session, const ls_generate_options *options,
                                    ls_dataset **result)
{
    *result = NULL;
    ls_dataset *dataset;
    ls_status status = ls_alloc(&dataset, 1, sizeof *dataset, "dataset");
    if (status == LS_OK) status = ls_generated_rows_open(options, &dataset->generated);
    status = ls_session_agree(session, status);
    if (status == LS_OK) status = compare_generated(session, dataset);
    if (status != LS_OK) {
        ls_dataset_close(dataset);
        return status;
    }
    *result = dataset;
    return LS_OK;
}

ls_status ls_dataset_open_part(ls_dataset *whole, int64_t first_row, int64_t n_rows, ls_dataset **result)
{
    ls_dataset *part;
    *result = NULL;
    if (first_row < 0 || n_rows < 1 || n_rows > ls_dataset_n_samples(whole) - first_row)
        return ls_fail(LS_E_USAGE, "%s: has %lld rows: %lld from row %lld on are no part of them",
                       ls_dataset_x_name(whole), (long long)ls_dataset_n_samples(whole), (long long)n_rows,
                       (long long)first_row);
    LS_TRY(ls_alloc(&part, 1, sizeof *part, "dataset"));
    part->whole = whole;
    part->first_row = first_row;
    part->n_rows = n_rows;
    *result = part;
    return LS_OK;
}

ls_status ls_dataset_open_scaled(ls_dataset *whole, ls_dtype dtype, const double *mean,
                                 const double *variance, ls_dataset **result)
{
    LS_TRY(ls_dataset_open_part(whole, 0, ls_dataset_n_samples(whole), result));
    if (!mean) return LS_OK;
    const ls_status status =
        ls_scaling_create(dtype, ls_dataset_n_features(whole), mean, variance, &(*result)->scaling);
    if (status == LS_OK) return LS_OK;
    ls_dataset_close(*result);
    *result = NULL;
    return status;
}

static void release_held(ls_dataset *dataset)
{
    ls_free(dataset->held_x);
    ls_free(dataset->held_y);
    dataset->held_x = dataset->held_y = NULL;
}

void ls_dataset_close(ls_dataset *dataset)
{
    if (!dataset) return;
    ls_generated_rows_close(dataset->generated);
    ls_free(dataset->scaling);
    ls_stored_rows_close(&dataset->stored);
    ls_free(dataset->class_weights);
    release_held(dataset);
    ls_free(dataset);
}

ls_status ls_dataset_exists(ls_session *session, const ls_dataset_source *source, bool *exists)
{
    ls_dataset_place place;
    bool found = false;
    ls_status status = LS_OK;
    if (ls_session_rank(session) == 0) {
        status = ls_dataset_place_of_x(source, &place);
        if (status == LS_OK) status = ls_dataset_array_exists(&place, &found);
    }
    LS_TRY(ls_session_agree(session, status));
    LS_TRY(ls_session_agree(session, ls_broadcast(session, &found, sizeof found)));
    *exists = found;
    return LS_OK;
}

int64_t ls_dataset_n_samples(const ls_dataset *dataset)
{
    if (dataset->whole) return dataset->n_rows;
    return dataset->generated ? ls_generated_rows_n_samples(dataset->generated) : dataset->stored.x.n_rows;
}

int64_t ls_dataset_n_features(const ls_dataset *dataset)
{
    if (dataset->whole) return ls_dataset_n_features(dataset->whole);
    return dataset->generated ? ls_generated_rows_n_features(dataset->generated)
                              : dataset->stored.x.n_columns;
}

int64_t ls_dataset_stored_bytes(const ls_dataset *dataset)
{
    if (dataset->whole)
        return (int64_t)((__int128)ls_dataset_stored_bytes(dataset->whole) * dataset->n_rows /
                         ls_dataset_n_samples(dataset->whole));
    if (dataset->generated) return 0;
    return ls_stored_rows_bytes(&dataset->stored);
}

bool ls_dataset_has_y(const ls_dataset *dataset)
{
    if (dataset->whole) return ls_dataset_has_y(dataset->whole);
    return dataset->generated || dataset->stored.has_y;
}

const char *ls_dataset_x_name(const ls_dataset *dataset)
{
    if (dataset->whole) return ls_dataset_x_name(dataset->whole);
    return dataset->generated ? generated_name : dataset->stored.x_place.name;
}

const char *ls_dataset_y_name(const ls_dataset *dataset)
{
    if (dataset->whole) return ls_dataset_y_name(dataset->whole);
    return dataset->generated ? generated_name : dataset->stored.y_place.name;
}

int64_t ls_dataset_target_columns(const ls_dataset *dataset)
{
    if (dataset->whole) return ls_dataset_target_columns(dataset->whole);
    return dataset->generated || !dataset->stored.has_y ? 1 : dataset->stored.y.n_columns;
}

bool ls_dataset_targets_are_integers(const ls_dataset *dataset)
{
    if (dataset->whole) return ls_dataset_targets_are_integers(dataset->whole);
    const ls_array_kind kind = dataset->stored.y.kind;
    return dataset->generated || (kind != LS_ARRAY_FLOAT32 && kind != LS_ARRAY_FLOAT64);
}

int64_t ls_dataset_generated_classes(const ls_dataset *dataset)
{
    if (dataset->whole) return ls_dataset_generated_classes(dataset->whole);
    return dataset->generated ? ls_generated_rows_n_classes(dataset->generated) : 0;
}

ls_status ls_dataset_read_targets(ls_dataset *dataset, int64_t first_row, int64_t n_rows, double *values)
{
    if (dataset->whole)
        return ls_dataset_read_targets(dataset->whole, dataset->first_row + first_row, n_rows, values);
    const ls_segment segment = {first_row, n_rows};
    return ls_stored_rows_read(&dataset->stored, LS_FLOAT64, LS_CHECK_FINITE, &segment, 1, NULL, values,
                               NULL);
}

ls_status ls_dataset_expect_targets(ls_dataset *dataset, ls_target_kind kind, int64_t n_outputs)
{
    if (dataset->whole) {
        release_held(dataset);
        return ls_dataset_expect_targets(dataset->whole, kind, n_outputs);
    }
    const int64_t n = ls_dataset_target_columns(dataset);
    if (dataset->kind != kind || dataset->n_outputs != n_outputs) release_held(dataset);
    dataset->kind = kind;
    dataset->n_outputs = n_outputs;
    if (dataset->generated || n == n_outputs || (kind == LS_TARGET_CLASSES && n == 1)) return LS_OK;
    if (kind == LS_TARGET_LABELS && n_outputs == 1)
        return ls_fail(LS_E_INPUT,
                       "%s: has %lld columns: labels of two classes must be a vector or a single column",
                       dataset->stored.y_place.name, (long long)n);
    return ls_fail(LS_E_INPUT, "%s: has %lld columns, but the model has %lld outputs: %s",
                   dataset->stored.y_place.name, (long long)n, (long long)n_outputs,
                   kind == LS_TARGET_CLASSES ? "classes are numbers in a vector, or have a column each"
                                             : "a column for each is needed");
}

ls_targets ls_dataset_targets(const ls_dataset *dataset)
{
    const ls_dataset *root = dataset;
    while (root->whole) root = root->whole;
    /* Rows that are made have their label in each column. */
    return (ls_targets){.n_columns = root->generated && root->kind != LS_TARGET_CLASSES && root->n_outputs > 1
                                         ? root->n_outputs
                                         : ls_dataset_target_columns(root),
                        .weighted = ls_dataset_has_weights(dataset)};
}

bool ls_dataset_has_weights(const ls_dataset *dataset)
{
    if (dataset->class_weights) return true;
    return dataset->whole ? ls_dataset_has_weights(dataset->whole) : dataset->stored.has_weight;
}

ls_status ls_dataset_set_class_weights(ls_dataset *dataset, const double *weights, int64_t n_classes)
{
    if (!weights && !dataset->class_weights) return LS_OK;
    for (int64_t i = 0; i < n_classes; i++)
        if (!(weights[i] >= 0 && isfinite(weights[i])))
            return ls_fail(LS_E_USAGE, "the weight of class %lld is %g: weights are numbers from 0 on",
                           (long long)i, weights[i]);
    release_held(dataset);
    ls_free(dataset->class_weights);
    dataset->class_weights = NULL;
    if (!weights) return LS_OK;
    LS_TRY(ls_alloc(&dataset->class_weights, (size_t)n_classes, sizeof *weights, "class weights"));
    memcpy(dataset->class_weights, weights, (size_t)n_classes * sizeof *weights);
    return LS_OK;
}

/* The same rows as the whole set counts them. */
static ls_status locate(const ls_dataset *part, const ls_segment *segments, int64_t n_segments,
                        ls_segment **located)
{
    LS_TRY(ls_alloc(located, (size_t)n_segments, sizeof **located, "rows of a part"));
    for (int64_t i = 0; i < n_segments; i++)
        (*located)[i] = (ls_segment){segments[i].first_row + part->first_row, segments[i].n_rows};
    return LS_OK;
}

static void copy_held(const ls_dataset *dataset, const ls_segment *segments, int64_t n_segments, char *x,
                      char *y)
{
    const ls_targets targets = ls_dataset_targets(dataset);
    const size_t size = ls_dtype_size(dataset->held_dtype),
                 row_size = (size_t)ls_dataset_n_features(dataset) * size,
                 y_size = (size_t)ls_targets_row_values(&targets) * size;
    for (int64_t i = 0; i < n_segments; i++) {
        const size_t first = (size_t)segments[i].first_row, n = (size_t)segments[i].n_rows;
        memcpy(x, dataset->held_x + first * row_size, n * row_size);
        x += n * row_size;
        if (!y) continue;
        memcpy(y, dataset->held_y + first * y_size, n * y_size);
        y += n * y_size;
    }
}

static ls_status read_segments(ls_dataset *dataset, const double *class_weights, ls_dtype dtype,
                               const ls_segment *segments, int64_t n_segments, void *x, void *y);

static ls_status read_part(const ls_dataset *part, const double *class_weights, ls_dtype dtype,
                           const ls_segment *segments, int64_t n_segments, void *x, void *y)
{
    ls_segment *located = NULL;
    if (part->first_row > 0) LS_TRY(locate(part, segments, n_segments, &located));
    const ls_status status =
        read_segments(part->whole, class_weights, dtype, located ? located : segments, n_segments, x, y);
    ls_free(located);
    LS_TRY(status);
    int64_t n_rows = 0;
    for (int64_t i = 0; i < n_segments; i++) n_rows += segments[i].n_rows;
    if (part->scaling) ls_scaling_apply(part->scaling, n_rows, x);
    return LS_OK;
}

/* class_weights are those of a part that is read, instead of the set's own, or NULL. */
static ls_status read_segments(ls_dataset *dataset, const double *class_weights, ls_dtype dtype,
                               const ls_segment *segments, int64_t n_segments, void *x, void *y)
{
    if (dataset->held_x && dtype == dataset->held_dtype && (!y || (dataset->held_y && !class_weights))) {
        copy_held(dataset, segments, n_segments, x, y);
        return LS_OK;
    }
    if (!class_weights) class_weights = dataset->class_weights;
    if (dataset->whole) return read_part(dataset, class_weights, dtype, segments, n_segments, x, y);
    ls_targets targets = ls_dataset_targets(dataset);
    targets.weighted = dataset->stored.has_weight || class_weights;
    const bool as_stored = targets.n_columns == ls_dataset_target_columns(dataset) && !targets.weighted;
    void *stored = y, *weights = NULL;
    int64_t n_rows = 0;
    ls_status status = LS_OK;
    for (int64_t i = 0; i < n_segments; i++) n_rows += segments[i].n_rows;
    if (y && !as_stored) {
        const size_t size = ls_dtype_size(dtype);
        stored = NULL;
        status = ls_alloc(&stored, (size_t)(n_rows * ls_dataset_target_columns(dataset)), size, "targets");
        if (status == LS_OK && dataset->stored.has_weight)
            status = ls_alloc(&weights, (size_t)n_rows, size, "sample weights");
    }
    if (status == LS_OK && dataset->generated) {
        status = ls_generated_rows_read(dataset->generated, dtype, segments, n_segments, x, stored);
    } else if (status == LS_OK) {
        const ls_value_check check = dataset->kind == LS_TARGET_LABELS ? LS_CHECK_LABELS : LS_CHECK_FINITE;
        status =
            ls_stored_rows_read(&dataset->stored, dtype, check, segments, n_segments, x, stored, weights);
    }
    const ls_target_rows rows = {.kind = dataset->kind,
                                 .n_outputs = dataset->n_outputs,
                                 .targets = targets,
                                 .are_made = ls_dataset_generated_classes(dataset) > 2,
                                 .stored_columns = ls_dataset_target_columns(dataset),
                                 .class_weights = class_weights,
                                 .dtype = dtype,
                                 .segments = segments,
                                 .y_name = ls_dataset_y_name(dataset),
                                 .weight_name = dataset->stored.weight_place.name};
    if (status == LS_OK && y) status = ls_target_rows_check(&rows, n_rows, stored, weights);
    if (status == LS_OK && y && !as_stored) ls_target_rows_join(&rows, n_rows, stored, weights, y);
    if (stored != y) ls_free(stored);
    ls_free(weights);
    return status;
}

void ls_dataset_expect(const ls_dataset *dataset, const ls_segment *segments, int64_t n_segments)
{
    int64_t before = 0;
    for (; dataset->whole && !dataset->held_x; dataset = dataset->whole) before += dataset->first_row;
    if (dataset->generated || dataset->held_x) return;
    for (int64_t i = 0; i < n_segments; i++)
        ls_stored_rows_expect(&dataset->stored, segments[i].first_row + before, segments[i].n_rows);
}

double ls_dataset_reading;

ls_status ls_dataset_read_segments(ls_dataset *dataset, ls_dtype dtype, const ls_segment *segments,
                                   int64_t n_segments, void *x, void *y)
{
    const double begin = ls_now();
    const ls_status status = read_segments(dataset, NULL, dtype, segments, n_segments, x, y);
    ls_dataset_reading += ls_now() - begin;
    return status;
}

ls_status ls_dataset_read_rows(ls_dataset *dataset, ls_dtype dtype, int64_t first_row, int64_t n_rows,
                               void *x, void *y)
{
    const ls_segment segment = {first_row, n_rows};
    return ls_dataset_read_segments(dataset, dtype, &segment, 1, x, y);
}

bool ls_dataset_is_held(const ls_dataset *dataset, ls_dtype dtype)
{
    while (dataset->whole && !dataset->held_x) dataset = dataset->whole;
    return dataset->held_x && dataset->held_dtype == dtype;
}

ls_status ls_dataset_hold(ls_dataset *dataset, ls_dtype dtype, int64_t memory)
{
    const ls_targets targets = ls_dataset_targets(dataset);
    const int64_t n = ls_dataset_n_samples(dataset), n_features = ls_dataset_n_features(dataset),
                  n_values = ls_targets_row_values(&targets);
    const size_t size = ls_dtype_size(dtype);
    if (n > memory / ((n_features + n_values) * (int64_t)size)) return LS_OK;
    if (dataset->held_x && dataset->held_dtype == dtype) return LS_OK;
    char *x = NULL, *y = NULL;
    ls_status status = ls_alloc(&x, (size_t)(n * n_features), size, "rows of a set");
    if (status == LS_OK && ls_dataset_has_y(dataset))
        status = ls_alloc(&y, (size_t)(n * n_values), size, "targets of a set");
    if (status == LS_OK) status = ls_dataset_read_rows(dataset, dtype, 0, n, x, y);
    if (status != LS_OK) {
        ls_free(x);
        ls_free(y);
        return status;
    }
    release_held(dataset);
    dataset->held_x = x;
    dataset->held_y = y;
    dataset->held_dtype = dtype;
    return LS_OK;
}
