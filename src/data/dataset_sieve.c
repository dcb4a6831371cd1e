#include "data/dataset_sieve.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

enum {
    TRANSFER_BYTES = 256 << 10,       /* stays in a core's cache between reading and converting */
    CHUNKED_TRANSFER_BYTES = 1 << 20, /* HDF5 spends more on a call */
    GAP_BYTES = 64 << 10,             /* reading over a smaller gap costs less than another transfer */
    DIRECT_BYTES = 16 << 10,          /* a piece of so many bytes costs less without a copy */
};

/* Rows of the file and where they go. */
typedef struct piece {
    int64_t first_row;
    int64_t n_rows;
    int64_t target_row;
} piece;

static int compare_pieces(const void *left, const void *right)
{
    const piece *a = left, *b = right;
    return (a->first_row > b->first_row) - (a->first_row < b->first_row);
}

/* The segments as pieces in the order of the file. */
static ls_status sort_segments(const ls_dataset_array *array, const ls_segment *segments, int64_t n_segments,
                               piece *pieces)
{
    int64_t target_row = 0;
    bool sorted = true;
    for (int64_t i = 0; i < n_segments; i++) {
        const ls_segment *segment = &segments[i];
        if (segment->first_row < 0 || segment->n_rows < 0 ||
            segment->n_rows > array->n_rows - segment->first_row)
            return ls_fail(LS_E_INTERNAL, "%s: rows %lld + %lld of %lld", array->place->name,
                           (long long)segment->first_row, (long long)segment->n_rows,
                           (long long)array->n_rows);
        pieces[i] = (piece){segment->first_row, segment->n_rows, target_row};
        target_row += segment->n_rows;
        sorted = sorted && (i == 0 || pieces[i - 1].first_row <= segment->first_row);
    }
    if (!sorted) qsort(pieces, (size_t)n_segments, sizeof *pieces, compare_pieces);
    return LS_OK;
}

typedef struct sieve {
    const ls_dataset_array *array;
    ls_dtype dtype;
    ls_value_check check;
    const piece *pieces; /* by first_row */
    int64_t n_pieces;
    int64_t max_rows; /* of a transfer */
    int64_t gap_rows, direct_rows;
    char *staging;   /* max_rows rows of the array's kind */
    char *converted; /* part of their columns as dtype, where chunks have part of the columns */
    char *values;
} sieve;

/* Part of the array. */
typedef struct area {
    int64_t first_row, end_row;
    int64_t first_column, n_columns;
} area;

static int64_t end_of(const piece *wanted)
{
    return wanted->first_row + wanted->n_rows;
}

/* Last row + 1 of the transfer that begins at row start and may go on to row end: it ends with a chunk. */
static int64_t cut_transfer(const sieve *work, int64_t start, int64_t end)
{
    int64_t cut = end - start <= work->max_rows ? end : start + work->max_rows;
    const int64_t chunk_rows = work->array->chunk_rows;
    if (chunk_rows > 0 && cut < end && cut / chunk_rows * chunk_rows > start)
        cut = cut / chunk_rows * chunk_rows;
    return cut;
}

static bool same_type(const sieve *work)
{
    return work->check == LS_CHECK_FINITE &&
           work->array->kind == (work->dtype == LS_FLOAT32 ? LS_ARRAY_FLOAT32 : LS_ARRAY_FLOAT64);
}

/* Copies n_rows rows of n_columns values of value_size bytes into rows of row_values values. */
static void scatter(size_t value_size, const char *source, int64_t n_rows, int64_t n_columns, char *target,
                    int64_t row_values)
{
    if (n_columns == 1 && value_size == sizeof(float)) {
        const float *in = (const float *)(const void *)source;
        float *out = (float *)(void *)target;
        for (int64_t i = 0; i < n_rows; i++) out[i * row_values] = in[i];
    } else if (n_columns == 1) {
        const double *in = (const double *)(const void *)source;
        double *out = (double *)(void *)target;
        for (int64_t i = 0; i < n_rows; i++) out[i * row_values] = in[i];
    } else {
        const size_t n_bytes = (size_t)n_columns * value_size, stride = (size_t)row_values * value_size;
        for (int64_t i = 0; i < n_rows; i++)
            memcpy(target + (size_t)i * stride, source + (size_t)i * n_bytes, n_bytes);
    }
}

/* Hands rows [first, last) of the columns, n_values read ones at source, to the piece that wants them. */
static ls_status deliver(const sieve *work, const area *where, const piece *wanted, int64_t first,
                         int64_t last, const char *source)
{
    const ls_dataset_array *array = work->array;
    const size_t value_size = ls_dtype_size(work->dtype);
    const int64_t n = (last - first) * where->n_columns;
    const int64_t target_value =
        (wanted->target_row + first - wanted->first_row) * array->n_columns + where->first_column;
    char *const target = work->values + (size_t)target_value * value_size;
    const bool whole_rows = where->n_columns == array->n_columns;
    if (!ls_dataset_convert(array->kind, work->dtype, work->check, source,
                            whole_rows ? target : work->converted, n))
        return ls_dataset_fail_value(array, work->dtype, work->check, first, where->first_column,
                                     where->n_columns, source, n);
    if (!whole_rows)
        scatter(value_size, work->converted, last - first, where->n_columns, target, array->n_columns);
    return LS_OK;
}

/* Fetches rows of the array that one piece wants to where they go, without conversion. */
static ls_status transfer_directly(const sieve *work, const area *where, const piece *wanted)
{
    const ls_dataset_array *array = work->array;
    const int64_t n_rows = where->end_row - where->first_row, n = n_rows * array->n_columns;
    const int64_t target_row = wanted->target_row + where->first_row - wanted->first_row;
    char *const target = work->values + (size_t)(target_row * array->n_columns) * ls_dtype_size(work->dtype);
    LS_TRY(ls_dataset_array_read(array, where->first_row, n_rows, 0, array->n_columns, target));
    if (ls_dataset_all_finite(work->dtype, target, n)) return LS_OK;
    return ls_dataset_fail_value(array, work->dtype, work->check, where->first_row, 0, array->n_columns,
                                 target, n);
}

/* Fetches the area of the file and hands it to the pieces that want it. */
static ls_status transfer(const sieve *work, area where, const piece *pieces, int64_t n_pieces)
{
    const ls_dataset_array *array = work->array;
    if (n_pieces == 1) {
        /* A cut may have left only the gap before or behind the piece. */
        if (where.first_row < pieces->first_row) where.first_row = pieces->first_row;
        if (where.end_row > end_of(pieces)) where.end_row = end_of(pieces);
        if (where.first_row >= where.end_row) return LS_OK;
        if (same_type(work) && where.n_columns == array->n_columns)
            return transfer_directly(work, &where, pieces);
    }
    LS_TRY(ls_dataset_array_read(array, where.first_row, where.end_row - where.first_row, where.first_column,
                                 where.n_columns, work->staging));
    const size_t row_bytes = (size_t)where.n_columns * array->value_size;
    for (int64_t i = 0; i < n_pieces; i++) {
        const piece *wanted = &pieces[i];
        const int64_t first = wanted->first_row > where.first_row ? wanted->first_row : where.first_row;
        const int64_t last = end_of(wanted) < where.end_row ? end_of(wanted) : where.end_row;
        if (first < last)
            LS_TRY(deliver(work, &where, wanted, first, last,
                           work->staging + (size_t)(first - where.first_row) * row_bytes));
    }
    return LS_OK;
}

/* Whether a piece is worth a transfer of its own, straight to its place. */
static bool goes_directly(const sieve *work, const piece *wanted)
{
    return work->array->descriptor >= 0 && same_type(work) && wanted->n_rows >= work->direct_rows;
}

/* Whether the next piece belongs to the run that begins with the first one and ends at row run_end. */
static bool is_near(const sieve *work, int64_t run_end, const piece *first, const piece *next)
{
    return next->first_row - run_end <= work->gap_rows && !goes_directly(work, first) &&
           !goes_directly(work, next);
}

/* Reads what pieces from number begin on want of the area; a run of near ones is fetched in transfers of
 * bounded size. */
static ls_status read_area(const sieve *work, const area *where, int64_t begin)
{
    const piece *pieces = work->pieces;
    while (begin < work->n_pieces && pieces[begin].first_row < where->end_row) {
        if (end_of(&pieces[begin]) <= where->first_row) {
            begin++;
            continue;
        }
        int64_t run_end = end_of(&pieces[begin]), after = begin + 1;
        for (; after < work->n_pieces && is_near(work, run_end, &pieces[begin], &pieces[after]); after++)
            if (end_of(&pieces[after]) > run_end) run_end = end_of(&pieces[after]);
        if (run_end > where->end_row) run_end = where->end_row;
        area part = *where;
        if (part.first_row < pieces[begin].first_row) part.first_row = pieces[begin].first_row;
        for (int64_t first_piece = begin; part.first_row < run_end; part.first_row = part.end_row) {
            part.end_row = cut_transfer(work, part.first_row, run_end);
            /* Pieces may overlap, so the first open one need not be followed by open ones only. */
            while (first_piece < after && end_of(&pieces[first_piece]) <= part.first_row) first_piece++;
            int64_t last_piece = first_piece;
            while (last_piece < after && pieces[last_piece].first_row < part.end_row) last_piece++;
            if (last_piece > first_piece)
                LS_TRY(transfer(work, part, pieces + first_piece, last_piece - first_piece));
        }
        begin = after;
    }
    return LS_OK;
}

/* Chunks that have part of the columns come one after the other, so that each is decompressed once: from
 * HDF5's cache where it holds a band of them, otherwise each to its end before the next. */
static ls_status read_chunks(const sieve *work)
{
    const ls_dataset_array *array = work->array;
    area where = {0};
    for (int64_t begin = 0; begin < work->n_pieces;) {
        if (end_of(&work->pieces[begin]) <= where.end_row) {
            begin++;
            continue;
        }
        where.first_row = work->pieces[begin].first_row;
        if (where.first_row < where.end_row) where.first_row = where.end_row;
        const int64_t band_end = array->chunk_rows - where.first_row % array->chunk_rows + where.first_row;
        where.end_row = band_end < array->n_rows ? band_end : array->n_rows;
        if (array->keeps_band) where.end_row = cut_transfer(work, where.first_row, array->n_rows);
        for (int64_t column = 0; column < array->n_columns; column += array->chunk_columns) {
            const int64_t left = array->n_columns - column;
            where.first_column = column;
            where.n_columns = left < array->chunk_columns ? left : array->chunk_columns;
            LS_TRY(read_area(work, &where, begin));
        }
    }
    return LS_OK;
}

/* Rows of the longest run of near pieces, at least 1: what is not read together needs no room together.
 * Chunks may be read over any gap. */
static int64_t longest_run(const sieve *work, const piece *pieces, int64_t n_pieces)
{
    int64_t longest = 1, begin = 0, end = 0;
    for (int64_t i = 0; i < n_pieces; i++) {
        const bool gap = pieces[i].first_row - end > work->gap_rows && work->array->chunk_rows == 0;
        if (i == 0 || gap) begin = end = pieces[i].first_row;
        if (end_of(&pieces[i]) > end) end = end_of(&pieces[i]);
        if (end - begin > longest) longest = end - begin;
    }
    return longest;
}

static ls_status read_pieces(sieve *work)
{
    const ls_dataset_array *array = work->array;
    const size_t row_bytes = (size_t)array->n_columns * array->value_size;
    LS_TRY(ls_alloc(&work->staging, (size_t)work->max_rows, row_bytes, "rows between file and memory"));
    if (array->chunk_columns == array->n_columns)
        return read_area(work, &(area){0, array->n_rows, 0, array->n_columns}, 0);
    LS_TRY(ls_alloc(&work->converted, (size_t)(work->max_rows * array->chunk_columns),
                    ls_dtype_size(work->dtype), "rows between file and memory"));
    return read_chunks(work);
}

ls_status ls_dataset_sieve(const ls_dataset_array *array, ls_dtype dtype, ls_value_check check,
                           const ls_segment *segments, int64_t n_segments, void *values)
{
    const int64_t row_bytes = array->n_columns * (int64_t)array->value_size;
    const int64_t transfer_bytes = array->chunk_rows > 0 ? CHUNKED_TRANSFER_BYTES : TRANSFER_BYTES;
    sieve work = {
        .array = array,
        .dtype = dtype,
        .check = check,
        .n_pieces = n_segments,
        .max_rows = row_bytes < transfer_bytes ? transfer_bytes / row_bytes : 1,
        .gap_rows = GAP_BYTES / row_bytes,
        .direct_rows = DIRECT_BYTES / row_bytes,
        .values = values,
    };
    piece *pieces;
    LS_TRY(ls_alloc(&pieces, (size_t)n_segments, sizeof *pieces, "list of the rows to read"));
    ls_status status = sort_segments(array, segments, n_segments, pieces);
    const int64_t longest = status == LS_OK ? longest_run(&work, pieces, n_segments) : 1;
    if (longest < work.max_rows) work.max_rows = longest;
    work.pieces = pieces;
    if (status == LS_OK) status = read_pieces(&work);
    ls_free(work.staging);
    ls_free(work.converted);
    ls_free(pieces);
    return status;
}
