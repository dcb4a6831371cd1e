#include "data/target_rows.h"

#include <math.h>
#include <stdbool.h>

#include "base/values.h"

static int64_t row_in_file(const ls_target_rows *rows, int64_t row)
{
    const ls_segment *segment = rows->segments;
    for (; row >= segment->n_rows; segment++) row -= segment->n_rows;
    return segment->first_row + row;
}

static bool is_class(const ls_target_rows *rows, double value)
{
    return value >= 0 && value < (double)rows->n_outputs && value == floor(value);
}

ls_status ls_target_rows_check(const ls_target_rows *rows, int64_t n_rows, const void *stored,
                               const void *weights)
{
    const bool numbers = rows->kind == LS_TARGET_CLASSES && rows->stored_columns == 1,
               columns = rows->kind == LS_TARGET_CLASSES && rows->stored_columns > 1;
    for (int64_t i = 0; i < n_rows && rows->kind == LS_TARGET_LABELS && rows->are_made; i++)
        if (ls_value_at(rows->dtype, stored, i) > 1)
            return ls_fail(
                LS_E_INPUT, "%s: row %lld (counted from 0): the label is %g: labels must be 0 or 1",
                rows->y_name, (long long)row_in_file(rows, i), ls_value_at(rows->dtype, stored, i));
    for (int64_t i = 0; i < n_rows && numbers; i++)
        if (!is_class(rows, ls_value_at(rows->dtype, stored, i)))
            return ls_fail(
                LS_E_INPUT,
                "%s: row %lld (counted from 0): the class is %g: the model's classes are 0 to %lld",
                rows->y_name, (long long)row_in_file(rows, i), ls_value_at(rows->dtype, stored, i),
                (long long)rows->n_outputs - 1);
    for (int64_t i = 0; i < n_rows * rows->stored_columns && columns; i++)
        if (!(ls_value_at(rows->dtype, stored, i) >= 0))
            return ls_fail(
                LS_E_INPUT,
                "%s: row %lld, column %lld (counted from 0): %g: columns of classes hold 0 and 1, or "
                "probabilities",
                rows->y_name, (long long)row_in_file(rows, i / rows->stored_columns),
                (long long)(i % rows->stored_columns), ls_value_at(rows->dtype, stored, i));
    for (int64_t i = 0; i < n_rows && weights; i++)
        if (!(ls_value_at(rows->dtype, weights, i) >= 0))
            return ls_fail(
                LS_E_INPUT, "%s: row %lld (counted from 0): the weight is %g: weights are numbers from 0 on",
                rows->weight_name, (long long)row_in_file(rows, i), ls_value_at(rows->dtype, weights, i));
    return LS_OK;
}

/* By the class of a row: its number or its greatest column. */
static double class_weight(const ls_target_rows *rows, int64_t row, const void *stored)
{
    const int64_t n = rows->stored_columns;
    if (!rows->class_weights) return 1;
    if (n == 1) return rows->class_weights[(int64_t)ls_value_at(rows->dtype, stored, row)];
    return rows->class_weights[ls_value_greatest(rows->dtype, stored, row * n, n)];
}

void ls_target_rows_join(const ls_target_rows *rows, int64_t n_rows, const void *stored, const void *weights,
                         void *y)
{
    const int64_t n_values = ls_targets_row_values(&rows->targets), n = rows->targets.n_columns;
    for (int64_t row = 0; row < n_rows; row++) {
        for (int64_t i = 0; i < n; i++)
            ls_value_put(
                rows->dtype, y, row * n_values + i,
                ls_value_at(rows->dtype, stored, row * rows->stored_columns + i % rows->stored_columns));
        if (rows->targets.weighted)
            ls_value_put(rows->dtype, y, row * n_values + n,
                         class_weight(rows, row, stored) *
                             (weights ? ls_value_at(rows->dtype, weights, row) : 1));
    }
}
