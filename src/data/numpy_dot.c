#include "data/numpy_dot.h"

#include <stdbool.h>
#include <string.h>

#include "base/memory.h"

/* The names below are OpenBLAS' seen from row-major NumPy. "Sequential" means one accumulator that starts at
 * zero and takes one fused multiply-add per term, in the order of k. */
enum {
    PANEL = 8,         /* columns of a that are worked on together, also the width of an AVX-512 vector */
    ROWS = 4,          /* rows of x that are worked on together */
    DEPTH = 384,       /* longest piece of k that the large matrix product takes at once */
    GEMV_BLOCK = 2048, /* longest piece of k in a matrix-vector product */
    MIN_DEPTH_OF_LANES = 16
};

/* The small matrix product is used up to this many multiplications. */
static const double SMALL_PRODUCT = 1e6;

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Eight lanes, lane l summing the terms l, l + 8, ... sequentially, for column c of a panel. */
ALWAYS_INLINE void sum_in_lanes(int64_t k, const double *x, const double *panel, int c, double lanes[PANEL])
{
    for (int l = 0; l < PANEL; l++) lanes[l] = 0.0;
    for (int64_t q = 0; q < k; q++) {
        double *lane = &lanes[q % PANEL];
        *lane = __builtin_fma(x[q], panel[q * PANEL + c], *lane);
    }
}

/* The small matrix product folds lanes by neighbours where it makes four results at once, by halves
 * elsewhere. */
ALWAYS_INLINE double fold_by_neighbours(const double l[PANEL])
{
    return ((l[0] + l[1]) + (l[2] + l[3])) + ((l[4] + l[5]) + (l[6] + l[7]));
}

ALWAYS_INLINE double fold_by_halves(const double l[PANEL])
{
    return ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]));
}

/* n_rows x PANEL results of the terms [first, end), sequentially. */
ALWAYS_INLINE void panel_sums(int n_rows, int64_t first, int64_t end, const double *x, int64_t ldx,
                              const double *panel, double sums[ROWS][PANEL])
{
    for (int r = 0; r < n_rows; r++)
        for (int c = 0; c < PANEL; c++) sums[r][c] = 0.0;
    for (int64_t q = first; q < end; q++) {
        for (int r = 0; r < n_rows; r++)
            for (int c = 0; c < PANEL; c++)
                sums[r][c] = __builtin_fma(x[r * ldx + q], panel[q * PANEL + c], sums[r][c]);
    }
}

/* End of the piece of k that begins at first: a rest of less than two pieces is halved, up to whole tiles. */
ALWAYS_INLINE int64_t end_of_piece(int64_t first, int64_t k)
{
    const int64_t rest = k - first;
    if (rest >= 2 * DEPTH) return first + DEPTH;
    if (rest > DEPTH) return first + (rest / 2 + 15) / 16 * 16;
    return k;
}

/* Matrix times matrix (dgemm), n >= 2, k >= 2, m >= 2. packed holds a in panels of PANEL columns, the last
 * one filled up with zeros; scratch has room for ROWS rows of that width. */
ALWAYS_INLINE void multiply(int64_t n, int64_t k, int64_t m, const double *x, int64_t ldx,
                            const double *packed, double *scratch, double *out, int64_t ldout)
{
    const bool small = (double)m * (double)n * (double)k <= SMALL_PRODUCT;
    const int64_t padded = (m + PANEL - 1) / PANEL * PANEL;
    /* The last columns of a small product, if they are few and k is long, are dot products in eight lanes. */
    const int64_t rest = m % PANEL;
    const bool lanes_at_end = small && rest >= 1 && rest <= 4 && k >= MIN_DEPTH_OF_LANES;
    for (int64_t i = 0; i < n; i += ROWS) {
        const int n_rows = n - i < ROWS ? (int)(n - i) : ROWS;
        const double *rows = x + i * ldx;
        for (int64_t j = 0; j < padded; j += PANEL) {
            const double *panel = packed + j * k;
            double sums[ROWS][PANEL];
            if (lanes_at_end && j + PANEL > m) {
                const bool in_fours = rest == 4 || i + ROWS <= n;
                for (int r = 0; r < n_rows; r++) {
                    for (int c = 0; c < rest; c++) {
                        double lanes[PANEL];
                        sum_in_lanes(k, rows + r * ldx, panel, c, lanes);
                        sums[r][c] = in_fours ? fold_by_neighbours(lanes) : fold_by_halves(lanes);
                    }
                    for (int64_t c = rest; c < PANEL; c++) sums[r][c] = 0.0;
                }
            } else {
                const int64_t end = small ? k : end_of_piece(0, k);
                if (n_rows == ROWS) /* a constant that the compiler unrolls */
                    panel_sums(ROWS, 0, end, rows, ldx, panel, sums);
                else
                    panel_sums(n_rows, 0, end, rows, ldx, panel, sums);
                for (int64_t first = end, next; first < k; first = next) {
                    double more[ROWS][PANEL];
                    next = end_of_piece(first, k);
                    panel_sums(n_rows, first, next, rows, ldx, panel, more);
                    for (int r = 0; r < n_rows; r++)
                        for (int c = 0; c < PANEL; c++) sums[r][c] += more[r][c];
                }
            }
            for (int r = 0; r < n_rows; r++) memcpy(scratch + r * padded + j, sums[r], sizeof sums[r]);
        }
        for (int r = 0; r < n_rows; r++)
            memcpy(out + (i + r) * ldout, scratch + r * padded, (size_t)m * sizeof *out);
    }
}

/* One row of matrix times vector (dgemv, transposed). taken is the number of rows that are worked on
 * together: most go in fours with fused operations, a pair and a single one at the end with separate ones. */
ALWAYS_INLINE double row_times_vector(int64_t k, const double *x, const double *a, int taken)
{
    const int64_t whole = k & ~(int64_t)3;
    double y = 0.0;
    for (int64_t first = 0; first < whole; first += GEMV_BLOCK) {
        const int64_t end = whole - first < GEMV_BLOCK ? whole : first + GEMV_BLOCK;
        double l[4] = {0.0, 0.0, 0.0, 0.0};
        if (taken == 4) {
            for (int64_t q = first; q < end; q += 4)
                for (int c = 0; c < 4; c++) l[c] = __builtin_fma(x[q + c], a[q + c], l[c]);
            y += (l[0] + l[2]) + (l[1] + l[3]);
        } else if (taken == 2) {
            for (int64_t q = first; q < end; q++) l[q % 2] += x[q] * a[q];
            y += l[0] + l[1];
        } else {
            for (int64_t q = first; q < end; q++) l[q % 4] += x[q] * a[q];
            y += (l[0] + l[2]) + (l[1] + l[3]);
        }
    }
    const double *xr = x + whole, *ar = a + whole;
    switch (k - whole) {
    case 3:
        return y + __builtin_fma(xr[2], ar[2], __builtin_fma(xr[0], ar[0], xr[1] * ar[1]));
    case 2:
        return y + __builtin_fma(xr[0], ar[0], xr[1] * ar[1]);
    case 1:
        return __builtin_fma(xr[0], ar[0], y);
    default:
        return y;
    }
}

ALWAYS_INLINE void multiply_by_vector(int64_t n, int64_t k, const double *x, int64_t ldx, const double *a,
                                      double *out, int64_t ldout)
{
    for (int64_t i = 0; i < n; i++) {
        const int taken = i < (n & ~(int64_t)3) ? 4 : (n & 2) && i - (n & ~(int64_t)3) < 2 ? 2 : 1;
        out[i * ldout] = row_times_vector(k, x + i * ldx, a, taken);
    }
}

/* Column j of one row times matrix (dgemv, not transposed), m >= 2. */
ALWAYS_INLINE double vector_times_column(int64_t k, int64_t m, int64_t j, const double *x, const double *a)
{
    const double *column = a + j;
    double y = 0.0;
    int64_t q = 0;
    if (j < (m & ~(int64_t)3)) {
        for (; q + 4 <= k; q += 4) {
            double sum = x[q + 1] * column[(q + 1) * m];
            sum = __builtin_fma(x[q], column[q * m], sum);
            sum = __builtin_fma(x[q + 2], column[(q + 2) * m], sum);
            y += __builtin_fma(x[q + 3], column[(q + 3) * m], sum);
        }
        if (q + 2 <= k) {
            y += __builtin_fma(x[q], column[q * m], x[q + 1] * column[(q + 1) * m]);
            q += 2;
        }
        if (q < k) y += x[q] * column[q * m];
        return y;
    }
    /* The columns that do not fill a vector; matrices of two or three columns take the terms in pairs. */
    if (m < 4)
        for (; q < (k & ~(int64_t)3); q += 2)
            y += __builtin_fma(x[q], column[q * m], x[q + 1] * column[(q + 1) * m]);
    for (; q < k; q++) y = __builtin_fma(x[q], column[q * m], y);
    return y;
}

/* One row times one column (ddot). */
ALWAYS_INLINE double dot(int64_t k, const double *x, const double *a)
{
    double sums[4][8] = {{0.0}};
    int64_t q = 0;
    for (; q + 32 <= k; q += 32)
        for (int c = 0; c < 32; c++)
            sums[c / 8][c % 8] = __builtin_fma(x[q + c], a[q + c], sums[c / 8][c % 8]);
    for (int s = 0; s < 4; s++)
        for (int c = 0; c < 4; c++) sums[s][c] += sums[s][c + 4];
    if (q + 16 <= k) {
        for (int c = 0; c < 16; c++)
            sums[c / 4][c % 4] = __builtin_fma(x[q + c], a[q + c], sums[c / 4][c % 4]);
        q += 16;
    }
    double l[4];
    for (int c = 0; c < 4; c++) l[c] = ((sums[0][c] + sums[1][c]) + sums[2][c]) + sums[3][c];
    double result = (l[0] + l[2]) + (l[1] + l[3]);
    for (; q < k; q++) result = __builtin_fma(x[q], a[q], result);
    return result;
}

/* All shapes. scratch holds ROWS rows of a padded result and, after them, a in panels. */
ALWAYS_INLINE void product(int64_t n, int64_t k, int64_t m, const double *x, int64_t ldx, const double *a,
                           double *scratch, double *out, int64_t ldout)
{
    const int64_t padded = (m + PANEL - 1) / PANEL * PANEL;
    if (k == 1) {
        for (int64_t i = 0; i < n; i++) {
            const double value = x[i * ldx];
            for (int64_t j = 0; j < m; j++) out[i * ldout + j] = value * a[j];
        }
    } else if (m == 1 && n == 1) {
        out[0] = dot(k, x, a);
    } else if (m == 1) {
        multiply_by_vector(n, k, x, ldx, a, out, ldout);
    } else if (n == 1) {
        for (int64_t j = 0; j < m; j++) scratch[j] = vector_times_column(k, m, j, x, a);
        memcpy(out, scratch, (size_t)m * sizeof *out);
    } else {
        double *packed = scratch + ROWS * padded;
        for (int64_t q = 0; q < k; q++)
            for (int64_t j = 0; j < m; j++)
                packed[j / PANEL * PANEL * k + q * PANEL + j % PANEL] = a[q * m + j];
        multiply(n, k, m, x, ldx, packed, scratch, out, ldout);
    }
}

typedef void product_function(int64_t n, int64_t k, int64_t m, const double *x, int64_t ldx, const double *a,
                              double *scratch, double *out, int64_t ldout);

static void product_portable(int64_t n, int64_t k, int64_t m, const double *x, int64_t ldx, const double *a,
                             double *scratch, double *out, int64_t ldout)
{
    product(n, k, m, x, ldx, a, scratch, out, ldout);
}

#if defined(__x86_64__)
__attribute__((target("avx2,fma"))) static void product_fma(int64_t n, int64_t k, int64_t m, const double *x,
                                                            int64_t ldx, const double *a, double *scratch,
                                                            double *out, int64_t ldout)
{
    product(n, k, m, x, ldx, a, scratch, out, ldout);
}

static product_function *best_product(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? product_fma : product_portable;
}
#else
static product_function *best_product(void)
{
    return product_portable; /* where the target has the instruction, the compiler uses it there */
}
#endif

static ls_status with_scratch(product_function *function, int64_t n, int64_t k, int64_t m, const double *x,
                              int64_t ldx, const double *a, double *out, int64_t ldout)
{
    if (n <= 0) return LS_OK;
    const int64_t padded = (m + PANEL - 1) / PANEL * PANEL;
    double *scratch = NULL;
    LS_TRY(ls_alloc(&scratch, (size_t)(k + ROWS) * (size_t)padded, sizeof *scratch, "matrix product"));
    function(n, k, m, x, ldx, a, scratch, out, ldout);
    ls_free(scratch);
    return LS_OK;
}

ls_status ls_numpy_dot(int64_t n, int64_t k, int64_t m, const double *x, int64_t ldx, const double *a,
                       double *out, int64_t ldout)
{
    return with_scratch(best_product(), n, k, m, x, ldx, a, out, ldout);
}

ls_status ls_numpy_dot_portable(int64_t n, int64_t k, int64_t m, const double *x, int64_t ldx,
                                const double *a, double *out, int64_t ldout)
{
    return with_scratch(product_portable, n, k, m, x, ldx, a, out, ldout);
}
