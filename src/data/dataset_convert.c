#include "data/dataset_convert.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/wide.h"

/* A double beyond this rounds to an infinite float. */
static const double float_limit = 0x1.ffffffp127;

/* Copies n values with conversion, returns whether all are good. The condition is on the source, so that its
 * width is the only one in the comparison, and the loop has no exit: both let the compiler use vectors. */
#define DEFINE_COPY(name, from, to, word, is_bad)                                                            \
    LS_WIDE static bool name(const void *restrict source, void *restrict target, int64_t n)                  \
    {                                                                                                        \
        const from *restrict in = source;                                                                    \
        to *restrict out = target;                                                                           \
        word bad = 0;                                                                                        \
        for (int64_t i = 0; i < n; i++) {                                                                    \
            const from value = in[i];                                                                        \
            bad |= (is_bad) ? 1 : 0;                                                                         \
            out[i] = (to)value;                                                                              \
        }                                                                                                    \
        return bad == 0;                                                                                     \
    }

#define NOT_LABEL (!(value == 0 || value == 1))

DEFINE_COPY(float32_to_float32, float, float, uint32_t, !(fabsf(value) <= FLT_MAX))
DEFINE_COPY(float32_to_float64, float, double, uint32_t, !(fabsf(value) <= FLT_MAX))
DEFINE_COPY(float64_to_float32, double, float, uint64_t, !(fabs(value) < float_limit))
DEFINE_COPY(float64_to_float64, double, double, uint64_t, !(fabs(value) <= DBL_MAX))
DEFINE_COPY(int64_to_float32, int64_t, float, uint64_t, false)
DEFINE_COPY(int64_to_float64, int64_t, double, uint64_t, false)
DEFINE_COPY(uint64_to_float32, uint64_t, float, uint64_t, false)
DEFINE_COPY(uint64_to_float64, uint64_t, double, uint64_t, false)
DEFINE_COPY(uint8_to_float32, uint8_t, float, uint32_t, false)
DEFINE_COPY(uint8_to_float64, uint8_t, double, uint32_t, false)
DEFINE_COPY(float32_labels_to_float32, float, float, uint32_t, NOT_LABEL)
DEFINE_COPY(float32_labels_to_float64, float, double, uint32_t, NOT_LABEL)
DEFINE_COPY(float64_labels_to_float32, double, float, uint64_t, NOT_LABEL)
DEFINE_COPY(float64_labels_to_float64, double, double, uint64_t, NOT_LABEL)
DEFINE_COPY(int64_labels_to_float32, int64_t, float, uint64_t, NOT_LABEL)
DEFINE_COPY(int64_labels_to_float64, int64_t, double, uint64_t, NOT_LABEL)
DEFINE_COPY(uint64_labels_to_float32, uint64_t, float, uint64_t, NOT_LABEL)
DEFINE_COPY(uint64_labels_to_float64, uint64_t, double, uint64_t, NOT_LABEL)
DEFINE_COPY(uint8_labels_to_float32, uint8_t, float, uint32_t, NOT_LABEL)
DEFINE_COPY(uint8_labels_to_float64, uint8_t, double, uint32_t, NOT_LABEL)

typedef bool copy_function(const void *restrict source, void *restrict target, int64_t n);

/* By what is checked, the kind in the file and the type in memory. */
static copy_function *const copy_functions[2][5][2] = {
    [LS_CHECK_FINITE] =
        {
            [LS_ARRAY_FLOAT32] = {float32_to_float32, float32_to_float64},
            [LS_ARRAY_FLOAT64] = {float64_to_float32, float64_to_float64},
            [LS_ARRAY_INT64] = {int64_to_float32, int64_to_float64},
            [LS_ARRAY_UINT64] = {uint64_to_float32, uint64_to_float64},
            [LS_ARRAY_UINT8] = {uint8_to_float32, uint8_to_float64},
        },
    [LS_CHECK_LABELS] =
        {
            [LS_ARRAY_FLOAT32] = {float32_labels_to_float32, float32_labels_to_float64},
            [LS_ARRAY_FLOAT64] = {float64_labels_to_float32, float64_labels_to_float64},
            [LS_ARRAY_INT64] = {int64_labels_to_float32, int64_labels_to_float64},
            [LS_ARRAY_UINT64] = {uint64_labels_to_float32, uint64_labels_to_float64},
            [LS_ARRAY_UINT8] = {uint8_labels_to_float32, uint8_labels_to_float64},
        },
};

/* One value as NumPy would print it. */
static void print_value(ls_array_kind kind, const void *value, char *text, size_t size)
{
    float single;
    double number;
    int64_t integer;
    uint64_t natural;
    switch (kind) {
    case LS_ARRAY_FLOAT32:
        memcpy(&single, value, sizeof single);
        snprintf(text, size, "%.9g", (double)single);
        break;
    case LS_ARRAY_FLOAT64:
        memcpy(&number, value, sizeof number);
        snprintf(text, size, "%.17g", number);
        break;
    case LS_ARRAY_INT64:
        memcpy(&integer, value, sizeof integer);
        snprintf(text, size, "%lld", (long long)integer);
        break;
    case LS_ARRAY_UINT64:
        memcpy(&natural, value, sizeof natural);
        snprintf(text, size, "%llu", (unsigned long long)natural);
        break;
    case LS_ARRAY_UINT8:
        snprintf(text, size, "%u", *(const unsigned char *)value);
        break;
    }
}

bool ls_dataset_convert(ls_array_kind kind, ls_dtype dtype, ls_value_check check, const void *source,
                        void *target, int64_t n)
{
    return copy_functions[check][kind][dtype](source, target, n);
}

LS_WIDE bool ls_dataset_all_finite(ls_dtype dtype, const void *values, int64_t n)
{
    if (dtype == LS_FLOAT32) {
        const float *singles = values;
        uint32_t bad = 0;
        for (int64_t i = 0; i < n; i++) bad |= fabsf(singles[i]) <= FLT_MAX ? 0 : 1;
        return bad == 0;
    }
    const double *doubles = values;
    uint64_t bad = 0;
    for (int64_t i = 0; i < n; i++) bad |= fabs(doubles[i]) <= DBL_MAX ? 0 : 1;
    return bad == 0;
}

ls_status ls_dataset_fail_value(const ls_dataset_array *array, ls_dtype dtype, ls_value_check check,
                                int64_t first_row, int64_t first_column, int64_t n_columns,
                                const void *values, int64_t n)
{
    copy_function *const copy = copy_functions[check][array->kind][dtype];
    double converted;
    int64_t i = 0;
    while (i < n - 1 && copy((const char *)values + (size_t)i * array->value_size, &converted, 1)) i++;
    const char *const value = (const char *)values + (size_t)i * array->value_size;
    const long long row = (long long)(first_row + i / n_columns),
                    column = (long long)(first_column + i % n_columns);
    char text[40];
    print_value(array->kind, value, text, sizeof text);
    if (check == LS_CHECK_LABELS)
        return ls_fail(LS_E_INPUT, "%s: row %lld (counted from 0): the label is %s: labels must be 0 or 1",
                       array->place->name, row, text);
    if (dtype == LS_FLOAT32 && copy_functions[check][array->kind][LS_FLOAT64](value, &converted, 1))
        return ls_fail(LS_E_INPUT,
                       "%s: row %lld, column %lld (counted from 0): %s overflows float32: use float64",
                       array->place->name, row, column, text);
    return ls_fail(LS_E_INPUT,
                   "%s: row %lld, column %lld (counted from 0): the value is %s: NaN and Inf cannot be used",
                   array->place->name, row, column, text);
}
