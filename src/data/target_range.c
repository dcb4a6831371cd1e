#include <math.h>

#include "base/memory.h"
#include "base/wide.h"
#include "data/dataset.h"

enum { PIECE_ROWS = 1 << 14, LANES = 8 };

/* What the ranks add up: each quantity such that the greatest of all ranks is that of the whole set. */
enum { NEGATIVE_MINIMUM, MAXIMUM, HAS_FRACTIONS, HAS_OTHER_SUMS, N_EXTREMES };

/* n values, behind which there is room for LANES more, with vectors: each lane has its own extremes. */
LS_WIDE static void take_values(double *values, int64_t n, double extremes[N_EXTREMES])
{
    double least[LANES], most[LANES];
    uint64_t fractions[LANES] = {0};
    for (int k = 0; k < LANES; k++) least[k] = most[k] = values[n + k] = values[n - 1];
    for (int64_t i = 0; i < n; i += LANES)
        for (int k = 0; k < LANES; k++) {
            const double v = values[i + k];
            least[k] = v < least[k] ? v : least[k];
            most[k] = v > most[k] ? v : most[k];
            fractions[k] |= v != floor(v) ? 1 : 0;
        }
    for (int k = 0; k < LANES; k++) {
        if (-least[k] > extremes[NEGATIVE_MINIMUM]) extremes[NEGATIVE_MINIMUM] = -least[k];
        if (most[k] > extremes[MAXIMUM]) extremes[MAXIMUM] = most[k];
        if (fractions[k]) extremes[HAS_FRACTIONS] = 1;
    }
}

/* Whether the columns of any row add up to something else than 1. */
static bool has_other_sums(const double *values, int64_t n_rows, int64_t n_columns)
{
    for (int64_t row = 0; row < n_rows; row++, values += n_columns) {
        double sum = 0;
        for (int64_t i = 0; i < n_columns; i++) sum += values[i];
        if (sum != 1) return true;
    }
    return false;
}

static ls_status scan_own_rows(ls_session *session, ls_dataset *dataset, int64_t n_columns,
                               double extremes[N_EXTREMES])
{
    const int64_t n = ls_dataset_n_samples(dataset), begin = ls_split(n, session->size, session->rank),
                  end = ls_split(n, session->size, session->rank + 1);
    double *values;
    LS_TRY(ls_alloc(&values, (size_t)(PIECE_ROWS * n_columns + LANES), sizeof *values, "targets"));
    ls_status status = LS_OK;
    for (int64_t row = begin; row < end; row += PIECE_ROWS) {
        const int64_t rows = end - row < PIECE_ROWS ? end - row : PIECE_ROWS;
        status = ls_dataset_read_targets(dataset, row, rows, values);
        if (status != LS_OK) break;
        take_values(values, rows * n_columns, extremes);
        if (extremes[HAS_OTHER_SUMS] == 0) extremes[HAS_OTHER_SUMS] = has_other_sums(values, rows, n_columns);
    }
    ls_free(values);
    return status;
}

ls_status ls_dataset_scan_targets(ls_session *session, ls_dataset *dataset, ls_target_range *range)
{
    double extremes[N_EXTREMES] = {-INFINITY, -INFINITY};
    *range = (ls_target_range){.n_columns = ls_dataset_target_columns(dataset),
                               .is_integer = ls_dataset_targets_are_integers(dataset)};
    const int64_t n_classes = ls_dataset_generated_classes(dataset);
    if (n_classes > 0) {
        range->maximum = (double)(n_classes - 1);
        range->is_whole = true;
        return LS_OK;
    }
    LS_TRY(ls_session_agree(session, scan_own_rows(session, dataset, range->n_columns, extremes)));
    LS_TRY(ls_session_greatest(session, extremes, N_EXTREMES));
    range->minimum = -extremes[NEGATIVE_MINIMUM];
    range->maximum = extremes[MAXIMUM];
    range->is_whole = extremes[HAS_FRACTIONS] == 0;
    range->is_one_hot =
        range->is_whole && range->minimum >= 0 && range->maximum <= 1 && extremes[HAS_OTHER_SUMS] == 0;
    return LS_OK;
}
