#include "data/dataset.h"

#include "base/memory.h"
#include "data/dataset_array.h"
#include "data/dataset_sieve.h"

struct ls_dataset {
    ls_dataset_place x_place;
    ls_dataset_place y_place;
    ls_dataset_array x;
    ls_dataset_array y;
    bool has_y;
};

static ls_status open_arrays(const ls_dataset_source *source, ls_dataset *dataset)
{
    LS_TRY(ls_dataset_place_of_x(source, &dataset->x_place));
    LS_TRY(ls_dataset_array_open(&dataset->x_place, &dataset->x));
    dataset->has_y = !source->without_y;
    if (!dataset->has_y) return LS_OK;
    LS_TRY(ls_dataset_place_of_y(source, &dataset->y_place));
    LS_TRY(ls_dataset_array_open(&dataset->y_place, &dataset->y));
    const ls_dataset_array *x = &dataset->x, *y = &dataset->y;
    if (y->n_columns != 1)
        return ls_fail(LS_E_INPUT, "%s: has %lld columns: labels must be a vector or a single column",
                       y->place->name, (long long)y->n_columns);
    if (x->n_rows != y->n_rows)
        return ls_fail(LS_E_INPUT,
                       "%s has %lld rows, but %s has %lld: features and labels must have the same number",
                       x->place->name, (long long)x->n_rows, y->place->name, (long long)y->n_rows);
    return LS_OK;
}

/* A rank on another node may see another file of the same name. */
static ls_status compare_with_rank_0(const ls_session *session, const ls_dataset *dataset,
                                     const int64_t *shape)
{
    if (dataset->x.n_rows == shape[0] && dataset->x.n_columns == shape[1]) return LS_OK;
    return ls_fail(LS_E_INPUT,
                   "%s: rank %d sees %lld x %lld values, rank 0 %lld x %lld: use a directory that all "
                   "nodes share",
                   dataset->x_place.name, ls_session_rank(session), (long long)dataset->x.n_rows,
                   (long long)dataset->x.n_columns, (long long)shape[0], (long long)shape[1]);
}

ls_status ls_dataset_open(ls_session *session, const ls_dataset_source *source, ls_dataset **result)
{
    *result = NULL;
    ls_dataset *dataset;
    ls_status status = ls_session_agree(session, ls_alloc(&dataset, 1, sizeof *dataset, "dataset"));
    /* Rank 0 first: what is wrong with the file is found once, not by a thousand ranks at a time. */
    if (status == LS_OK && ls_session_rank(session) == 0) status = open_arrays(source, dataset);
    status = ls_session_agree(session, status);
    if (status == LS_OK) {
        int64_t shape[2] = {dataset->x.n_rows, dataset->x.n_columns};
        status = ls_broadcast(session, shape, sizeof shape);
        if (status == LS_OK && ls_session_rank(session) != 0) {
            status = open_arrays(source, dataset);
            if (status == LS_OK) status = compare_with_rank_0(session, dataset, shape);
        }
        status = ls_session_agree(session, status);
    }
    if (status != LS_OK) {
        ls_dataset_close(dataset);
        return status;
    }
    *result = dataset;
    return LS_OK;
}

void ls_dataset_close(ls_dataset *dataset)
{
    if (!dataset) return;
    ls_dataset_array_close(&dataset->x);
    ls_dataset_array_close(&dataset->y);
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
    return dataset->x.n_rows;
}

int64_t ls_dataset_n_features(const ls_dataset *dataset)
{
    return dataset->x.n_columns;
}

bool ls_dataset_has_y(const ls_dataset *dataset)
{
    return dataset->has_y;
}

const char *ls_dataset_x_name(const ls_dataset *dataset)
{
    return dataset->x_place.name;
}

const char *ls_dataset_y_name(const ls_dataset *dataset)
{
    return dataset->y_place.name;
}

ls_status ls_dataset_read_segments(ls_dataset *dataset, ls_dtype dtype, const ls_segment *segments,
                                   int64_t n_segments, void *x, void *y)
{
    LS_TRY(ls_dataset_sieve(&dataset->x, dtype, LS_SIEVE_FINITE, segments, n_segments, x));
    if (!y) return LS_OK;
    if (!dataset->has_y)
        return ls_fail(LS_E_INTERNAL, "%s: labels of a set that was opened without", dataset->x_place.name);
    return ls_dataset_sieve(&dataset->y, dtype, LS_SIEVE_LABELS, segments, n_segments, y);
}

ls_status ls_dataset_read_rows(ls_dataset *dataset, ls_dtype dtype, int64_t first_row, int64_t n_rows,
                               void *x, void *y)
{
    const ls_segment segment = {first_row, n_rows};
    return ls_dataset_read_segments(dataset, dtype, &segment, 1, x, y);
}
