#include "data/dataset_sieve.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/wide.h"

enum {
    TRANSFER_BYTES = 1 << 20,         /* stays in a core's cache between reading and converting */
    CHUNKED_TRANSFER_BYTES = 8 << 20, /* whole chunks, so that few are cut */
    GAP_BYTES = 64 << 10,             /* reading over a smaller gap costs less than another transfer */
    DIRECT_BYTES = 1 << 10,           /* of a segment that is worth a call to the system */
    STAGED_BYTES = 16 << 10,          /* stays in the first cache until it is converted */
    CHECKED_BYTES = 256 << 10         /* stays in the second one until it is checked */
};

/* Rows of the file and where they go. */
typedef struct piece {
    int64_t first_row;
    int64_t n_rows;
    int64_t target_row;
} piece;

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
    [LS_SIEVE_FINITE] =
        {
            [LS_ARRAY_FLOAT32] = {float32_to_float32, float32_to_float64},
            [LS_ARRAY_FLOAT64] = {float64_to_float32, float64_to_float64},
            [LS_ARRAY_INT64] = {int64_to_float32, int64_to_float64},
            [LS_ARRAY_UINT64] = {uint64_to_float32, uint64_to_float64},
            [LS_ARRAY_UINT8] = {uint8_to_float32, uint8_to_float64},
        },
    [LS_SIEVE_LABELS] =
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

/* Finds the first bad one of the values of rows from first_row and tells where it is. */
static ls_status fail_value(const ls_dataset_array *array, ls_dtype dtype, ls_sieve_check check,
                            int64_t first_row, const char *values, int64_t n)
{
    copy_function *const copy = copy_functions[check][array->kind][dtype];
    double converted;
    int64_t i = 0;
    while (i < n - 1 && copy(values + (size_t)i * array->value_size, &converted, 1)) i++;
    const char *const value = values + (size_t)i * array->value_size;
    const long long row = (long long)(first_row + i / array->n_columns),
                    column = (long long)(i % array->n_columns);
    char text[40];
    print_value(array->kind, value, text, sizeof text);
    if (check == LS_SIEVE_LABELS)
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

static int compare_pieces(const void *left, const void *right)
{
    const piece *a = left, *b = right;
    return (a->first_row > b->first_row) - (a->first_row < b->first_row);
}

/* The segments as pieces in the order of the file. */
static void sort_segments(const ls_segment *segments, int64_t n_segments, piece *pieces)
{
    int64_t target_row = 0;
    bool sorted = true;
    for (int64_t i = 0; i < n_segments; i++) {
        const ls_segment *segment = &segments[i];
        pieces[i] = (piece){segment->first_row, segment->n_rows, target_row};
        target_row += segment->n_rows;
        sorted = sorted && (i == 0 || pieces[i - 1].first_row <= segment->first_row);
    }
    if (!sorted) qsort(pieces, (size_t)n_segments, sizeof *pieces, compare_pieces);
}

typedef struct sieve {
    const ls_dataset_array *array;
    ls_dtype dtype;
    ls_sieve_check check;
    int64_t max_rows; /* of a transfer */
    int64_t gap_rows;
    char *staging; /* max_rows rows of the array's kind */
    char *values;
} sieve;

/* Last row + 1 of the transfer that begins at row start and may go on to row end. */
static int64_t cut_transfer(const sieve *work, int64_t start, int64_t end)
{
    if (end - start <= work->max_rows) return end;
    int64_t cut = start + work->max_rows;
    const int64_t chunk_rows = work->array->chunk_rows;
    if (chunk_rows > 0 && cut / chunk_rows * chunk_rows > start) cut = cut / chunk_rows * chunk_rows;
    return cut;
}

static bool same_type(const sieve *work)
{
    return work->check == LS_SIEVE_FINITE &&
           work->array->kind == (work->dtype == LS_FLOAT32 ? LS_ARRAY_FLOAT32 : LS_ARRAY_FLOAT64);
}

LS_WIDE static bool all_finite(ls_dtype dtype, const void *values, int64_t n)
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

/* Fetches rows [start, end) of the file and hands them to the pieces that want them. */
static ls_status transfer(const sieve *work, int64_t start, int64_t end, const piece *pieces,
                          int64_t n_pieces)
{
    const ls_dataset_array *array = work->array;
    const int64_t n_columns = array->n_columns;
    const size_t target_row_bytes = (size_t)n_columns * ls_dtype_size(work->dtype);
    const size_t row_bytes = (size_t)n_columns * array->value_size;

    if (n_pieces == 1) {
        /* A cut may have left only the gap before or behind the piece. */
        const int64_t piece_end = pieces->first_row + pieces->n_rows;
        if (start < pieces->first_row) start = pieces->first_row;
        if (end > piece_end) end = piece_end;
        if (start >= end) return LS_OK;
        if (same_type(work)) {
            const int64_t target_row = pieces->target_row + start - pieces->first_row;
            char *const target = work->values + (size_t)target_row * target_row_bytes;
            LS_TRY(ls_dataset_array_read(array, start, end - start, target));
            const int64_t n = (end - start) * n_columns;
            if (all_finite(work->dtype, target, n)) return LS_OK;
            return fail_value(array, work->dtype, work->check, start, target, n);
        }
    }

    LS_TRY(ls_dataset_array_read(array, start, end - start, work->staging));
    copy_function *const copy = copy_functions[work->check][array->kind][work->dtype];
    for (int64_t i = 0; i < n_pieces; i++) {
        const piece *wanted = &pieces[i];
        const int64_t piece_end = wanted->first_row + wanted->n_rows;
        const int64_t first = wanted->first_row > start ? wanted->first_row : start;
        const int64_t last = piece_end < end ? piece_end : end;
        if (first >= last) continue;
        const char *const source = work->staging + (size_t)(first - start) * row_bytes;
        char *const target =
            work->values + (size_t)(wanted->target_row + first - wanted->first_row) * target_row_bytes;
        const int64_t n = (last - first) * n_columns;
        if (!copy(source, target, n)) return fail_value(array, work->dtype, work->check, first, source, n);
    }
    return LS_OK;
}

/* Walks over the sorted pieces; a run of near ones is fetched in transfers of bounded size. */
static ls_status read_pieces(const sieve *work, const piece *pieces, int64_t n_pieces)
{
    for (int64_t begin = 0; begin < n_pieces;) {
        int64_t run_end = pieces[begin].first_row + pieces[begin].n_rows, after = begin + 1;
        for (; after < n_pieces && pieces[after].first_row - run_end <= work->gap_rows; after++) {
            const int64_t end = pieces[after].first_row + pieces[after].n_rows;
            if (end > run_end) run_end = end;
        }
        int64_t first_piece = begin;
        for (int64_t start = pieces[begin].first_row; start < run_end;) {
            const int64_t end = cut_transfer(work, start, run_end);
            /* Pieces may overlap, so the first open one need not be followed by open ones only. */
            while (first_piece < after && pieces[first_piece].first_row + pieces[first_piece].n_rows <= start)
                first_piece++;
            int64_t last_piece = first_piece;
            while (last_piece < after && pieces[last_piece].first_row < end) last_piece++;
            if (last_piece > first_piece)
                LS_TRY(transfer(work, start, end, pieces + first_piece, last_piece - first_piece));
            start = end;
        }
        begin = after;
    }
    return LS_OK;
}

static ls_status check_segments(const ls_dataset_array *array, const ls_segment *segments, int64_t n_segments)
{
    for (int64_t i = 0; i < n_segments; i++) {
        const ls_segment *segment = &segments[i];
        if (segment->first_row < 0 || segment->n_rows < 0 ||
            segment->n_rows > array->n_rows - segment->first_row)
            return ls_fail(LS_E_INTERNAL, "%s: rows %lld + %lld of %lld", array->place->name,
                           (long long)segment->first_row, (long long)segment->n_rows,
                           (long long)array->n_rows);
    }
    return LS_OK;
}

/* Whether to take each segment for itself, without HDF5 and what lies between. */
static bool is_direct(const sieve *work, int64_t row_bytes, int64_t n_rows, int64_t n_segments)
{
    return work->array->direct.descriptor >= 0 && (same_type(work) || row_bytes <= STAGED_BYTES) &&
           (n_segments == 1 || n_rows >= (DIRECT_BYTES / row_bytes + 1) * n_segments);
}

static ls_status read_directly(const sieve *work, const ls_segment *segments, int64_t n_segments)
{
    const ls_dataset_array *array = work->array;
    copy_function *const copy = copy_functions[work->check][array->kind][work->dtype];
    const int64_t n_columns = array->n_columns, row_bytes = n_columns * (int64_t)array->value_size;
    const size_t target_row_bytes = (size_t)n_columns * ls_dtype_size(work->dtype);
    const bool same = same_type(work);
    int64_t most = (same ? CHECKED_BYTES : STAGED_BYTES) / row_bytes;
    if (most < 1) most = 1;
    _Alignas(64) char staged[STAGED_BYTES];
    char *target = work->values;
    for (int64_t i = 0; i < n_segments; i++) {
        const int64_t end = segments[i].first_row + segments[i].n_rows;
        for (int64_t row = segments[i].first_row, rows; row < end; row += rows) {
            rows = end - row < most ? end - row : most;
            char *const source = same ? target : staged;
            LS_TRY(ls_dataset_array_read(array, row, rows, source));
            if (!(same ? all_finite(work->dtype, target, rows * n_columns)
                       : copy(source, target, rows * n_columns)))
                return fail_value(array, work->dtype, work->check, row, source, rows * n_columns);
            target += (size_t)rows * target_row_bytes;
        }
    }
    return LS_OK;
}

ls_status ls_dataset_sieve(const ls_dataset_array *array, ls_dtype dtype, ls_sieve_check check,
                           const ls_segment *segments, int64_t n_segments, void *values)
{
    const int64_t row_bytes = array->n_columns * (int64_t)array->value_size;
    const int64_t transfer_bytes = array->chunk_rows > 0 ? CHUNKED_TRANSFER_BYTES : TRANSFER_BYTES;
    sieve work = {
        .array = array,
        .dtype = dtype,
        .check = check,
        .max_rows = row_bytes < transfer_bytes ? transfer_bytes / row_bytes : 1,
        .gap_rows = GAP_BYTES / row_bytes,
        .values = values,
    };
    int64_t n_rows = 0;
    LS_TRY(check_segments(array, segments, n_segments));
    for (int64_t i = 0; i < n_segments; i++) n_rows += segments[i].n_rows;
    if (is_direct(&work, row_bytes, n_rows, n_segments)) return read_directly(&work, segments, n_segments);
    piece *pieces;
    LS_TRY(ls_alloc(&pieces, (size_t)n_segments, sizeof *pieces, "list of the rows to read"));
    sort_segments(segments, n_segments, pieces);
    int64_t span = 1;
    for (int64_t i = 0; i < n_segments; i++) {
        const int64_t rows = pieces[i].first_row + pieces[i].n_rows - pieces[0].first_row;
        if (rows > span) span = rows;
    }
    if (span < work.max_rows) work.max_rows = span;
    ls_status status =
        ls_alloc(&work.staging, (size_t)work.max_rows, (size_t)row_bytes, "rows between file and memory");
    if (status == LS_OK) status = read_pieces(&work, pieces, n_segments);
    ls_free(work.staging);
    ls_free(pieces);
    return status;
}
