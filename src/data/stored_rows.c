#include "data/stored_rows.h"

#include <stdio.h>
#include <unistd.h>

#include "data/dataset_glance.h"
#include "data/dataset_sieve.h"

static ls_status open_weights(const ls_dataset_source *source, ls_stored_rows *rows)
{
    if (!source->with_weights) return LS_OK;
    LS_TRY(ls_dataset_place_of_weights(source, &rows->weight_place));
    rows->has_weight = source->sample_weight;
    if (!rows->has_weight && !source->x)
        LS_TRY(ls_dataset_array_exists(&rows->weight_place, &rows->has_weight));
    if (!rows->has_weight) return LS_OK;
    LS_TRY(ls_dataset_array_open(&rows->weight_place, &rows->weight));
    const ls_dataset_array *x = &rows->x, *weight = &rows->weight;
    if (weight->n_columns == 1 && x->n_rows == weight->n_rows) return LS_OK;
    return ls_fail(LS_E_INPUT, "%s is %lld x %lld, but %s has %lld rows: one weight for each is needed",
                   weight->place->name, (long long)weight->n_rows, (long long)weight->n_columns,
                   x->place->name, (long long)x->n_rows);
}

static ls_status open_arrays(const ls_dataset_source *source, ls_stored_rows *rows)
{
    LS_TRY(ls_dataset_place_of_x(source, &rows->x_place));
    LS_TRY(ls_dataset_array_open(&rows->x_place, &rows->x));
    rows->has_y = !source->without_y;
    if (!rows->has_y) return LS_OK;
    LS_TRY(ls_dataset_place_of_y(source, &rows->y_place));
    LS_TRY(ls_dataset_array_open(&rows->y_place, &rows->y));
    const ls_dataset_array *x = &rows->x, *y = &rows->y;
    if (x->n_rows != y->n_rows)
        return ls_fail(LS_E_INPUT,
                       "%s has %lld rows, but %s has %lld: features and labels must have the same number",
                       x->place->name, (long long)x->n_rows, y->place->name, (long long)y->n_rows);
    return open_weights(source, rows);
}

/* A rank on another node may see another file of the same name, or none. */
static ls_status compare_ranks(ls_session *session, const ls_stored_rows *rows)
{
    static const char remedy[] = "use a directory that all nodes share, or bring the copies up to date";
    char text[2 * sizeof rows->x_place.name + 256];
    uint64_t x = 0, y = 0;
    if (ls_session_size(session) == 1) return LS_OK;
    ls_status status = ls_dataset_glance(&rows->x, &x);
    if (status == LS_OK && rows->has_y) status = ls_dataset_glance(&rows->y, &y);
    LS_TRY(ls_session_agree(session, status));
    int length =
        snprintf(text, sizeof text, "%s: %lld x %lld values with the digest %016llx", rows->x_place.name,
                 (long long)rows->x.n_rows, (long long)rows->x.n_columns, (unsigned long long)x);
    if (rows->has_y)
        snprintf(text + length, sizeof text - (size_t)length, "\n%s: %lld labels with the digest %016llx",
                 rows->y_place.name, (long long)rows->y.n_rows, (unsigned long long)y);
    return ls_session_compare(session, text, remedy);
}

/* What rank 0 could open and this rank cannot. */
static ls_status fail_on_this_rank(const ls_session *session, ls_status status)
{
    char host[64] = "";
    gethostname(host, sizeof host - 1);
    return ls_fail(status, "%s (on rank %d, %s; rank 0 can read it: use a directory that all nodes share)",
                   ls_error_message(), ls_session_rank(session), host);
}

ls_status ls_stored_rows_open(ls_session *session, const ls_dataset_source *source, ls_stored_rows *rows)
{
    ls_status status = LS_OK;
    /* Rank 0 first: what is wrong with the file is found once, not by a thousand ranks at a time. */
    if (ls_session_rank(session) == 0) status = open_arrays(source, rows);
    LS_TRY(ls_session_agree(session, status));
    if (ls_session_rank(session) != 0) status = open_arrays(source, rows);
    if (status != LS_OK) status = fail_on_this_rank(session, status);
    LS_TRY(ls_session_agree(session, status));
    return compare_ranks(session, rows);
}

void ls_stored_rows_close(ls_stored_rows *rows)
{
    ls_dataset_array_close(&rows->x);
    ls_dataset_array_close(&rows->y);
    ls_dataset_array_close(&rows->weight);
}

int64_t ls_stored_rows_bytes(const ls_stored_rows *rows)
{
    return (int64_t)H5Dget_storage_size(rows->x.dataset) +
           (rows->has_y ? (int64_t)H5Dget_storage_size(rows->y.dataset) : 0);
}

void ls_stored_rows_expect(const ls_stored_rows *rows, int64_t first_row, int64_t n_rows)
{
    /* Advice looks at every page, which costs as much as reading what is in memory anyway. */
    if (ls_dataset_array_is_there(&rows->x, first_row)) return;
    ls_dataset_array_expect(&rows->x, first_row, n_rows);
    if (rows->has_y) ls_dataset_array_expect(&rows->y, first_row, n_rows);
    if (rows->has_weight) ls_dataset_array_expect(&rows->weight, first_row, n_rows);
}

ls_status ls_stored_rows_read(const ls_stored_rows *rows, ls_dtype dtype, ls_value_check y_check,
                              const ls_segment *segments, int64_t n_segments, void *x, void *y, void *weights)
{
    if (x) LS_TRY(ls_dataset_sieve(&rows->x, dtype, LS_CHECK_FINITE, segments, n_segments, x));
    if (y && !rows->has_y)
        return ls_fail(LS_E_INTERNAL, "%s: labels of a set that was opened without", rows->x_place.name);
    if (y) LS_TRY(ls_dataset_sieve(&rows->y, dtype, y_check, segments, n_segments, y));
    if (!weights) return LS_OK;
    return ls_dataset_sieve(&rows->weight, dtype, LS_CHECK_FINITE, segments, n_segments, weights);
}
