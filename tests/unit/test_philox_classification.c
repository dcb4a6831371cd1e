#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "philox_unit.h"
#include "random/philox.h"

#define PI 3.14159265358979323846

static const char *const isas[] = {"portable", "avx2", "avx512"};

/* Narrow, wide, many clusters, many features in a cluster, one of everything. */
static int n_shapes(void)
{
    return 8;
}

static ls_make_classification shape(int which)
{
    ls_make_classification p = defaults();
    p.n_samples = 5000;
    p.flip_y = 0.3;
    switch (which) {
    case 0:
        p.n_features = 2;
        p.n_redundant = 0;
        break;
    case 1:
        break;
    case 2:
        p.n_informative = 13;
        p.n_repeated = 2;
        p.n_classes = 3;
        p.n_clusters_per_class = 5;
        break;
    case 3:
        p.n_features = p.n_informative = 1;
        p.n_redundant = 0;
        p.n_clusters_per_class = 1;
        break;
    case 4:
        p.n_features = 3000; /* blocks of the smallest size */
        p.shuffle = false;
        p.n_samples = 300;
        break;
    case 5:
        p.n_features = 8;
        p.n_informative = 7;
        p.n_redundant = 1;
        p.shift = p.scale = NULL;
        break;
    case 6:
        p.n_samples = (int64_t)1 << 60; /* indices of more than 32 bits, halves of 30 */
        p.n_features = 3;
        p.n_redundant = 0;
        break;
    default:
        p.n_samples = 1;
        p.n_classes = p.n_clusters_per_class = 1;
    }
    return p;
}

static void all_instruction_sets_and_slices_give_the_same_bits(void **state)
{
    (void)state;
    enum { MOST = 5000 };
    for (int which = 0; which < n_shapes(); which++) {
        const ls_make_classification p = shape(which);
        const int64_t n = p.n_samples < MOST ? p.n_samples : MOST, base = p.n_samples - n, m = p.n_features;
        int64_t *y = malloc((size_t)n * sizeof *y), *slice_y = malloc((size_t)n * sizeof *y);
        double *x = rows(&p, base, n, y), *slice = malloc((size_t)(n * m) * sizeof *slice);
        ls_philox_classification *source;
        assert_int_equal(ls_philox_classification_open(&p, LS_FLOAT64, &source), LS_OK);
        for (size_t k = 0; k < sizeof isas / sizeof isas[0]; k++) {
            if (!ls_philox_classification_use(source, isas[k])) continue;
            assert_string_equal(ls_philox_classification_isa(source), isas[k]);
            int64_t first = n;
            for (int64_t length = 1; first > 0; length = length * 3 % 1409 + 1) {
                const int64_t taken = length < first ? length : first;
                first -= taken;
                ls_philox_classification_fill(source, base + first, taken, slice + first * m, LS_FILE_INT64,
                                              slice_y + first);
            }
            assert_memory_equal(slice, x, (size_t)(n * m) * sizeof *x);
            assert_memory_equal(slice_y, y, (size_t)n * sizeof *y);
            memset(slice, 0, (size_t)(n * m) * sizeof *slice);
        }
        assert_false(ls_philox_classification_use(source, "abacus"));
        ls_philox_classification_close(source);
        free(x);
        free(y);
        free(slice);
        free(slice_y);
    }
}

static void other_types_are_the_rounded_values(void **state)
{
    (void)state;
    enum { N = 1000 };
    for (int which = 0; which < 3; which++) {
        const ls_make_classification p = shape(which);
        static int64_t y[N];
        static uint8_t y_byte[N];
        static float y_float[N];
        static double y_double[N];
        const size_t n_values = (size_t)(N * p.n_features);
        double *x = rows(&p, 7, N, y);
        float *narrow = malloc(n_values * sizeof *narrow);
        ls_philox_classification *source;
        assert_int_equal(ls_philox_classification_open(&p, LS_FLOAT32, &source), LS_OK);
        for (size_t k = 0; k < sizeof isas / sizeof isas[0]; k++) {
            if (!ls_philox_classification_use(source, isas[k])) continue;
            ls_philox_classification_fill(source, 7, N, narrow, LS_FILE_UINT8, y_byte);
            for (size_t i = 0; i < n_values; i++) assert_true(narrow[i] == (float)x[i]);
            ls_philox_classification_fill(source, 7, N, narrow, LS_FILE_FLOAT32, y_float);
            ls_philox_classification_fill(source, 7, N, narrow, LS_FILE_FLOAT64, y_double);
            for (int i = 0; i < N; i++)
                assert_true(y_byte[i] == y[i] && y_float[i] == (float)y[i] && y_double[i] == (double)y[i]);
        }
        ls_philox_classification_close(source);
        free(x);
        free(narrow);
    }
}

/* Normal number j of a sample by the C library, in double precision. */
static double expected_normal(uint32_t seed, int64_t sample, int64_t j)
{
    uint32_t w[4];
    ls_philox(seed, LS_STREAM_SAMPLES, (uint32_t)(j / 2), (uint64_t)sample / 2, w);
    const uint32_t radius = w[sample % 2 * 2], angle = w[sample % 2 * 2 + 1];
    const double u = ((double)(radius >> 1) + 0.5) * 0x1p-31;
    const double quarters = (double)(angle & 3) + floor((double)(int32_t)angle / 4) * 0x1p-30;
    return sqrt(-2 * log(u)) * (j % 2 ? sin(quarters * PI / 2) : cos(quarters * PI / 2));
}

/* Solves the k + 1 equations a b = right, in place; false if nearly singular. */
static bool solve(int n, double *a, double *right)
{
    for (int i = 0; i < n; i++) {
        int pivot = i;
        for (int r = i; r < n; r++)
            if (fabs(a[r * n + i]) > fabs(a[pivot * n + i])) pivot = r;
        if (fabs(a[pivot * n + i]) < 0.1) return false;
        for (int c = 0; c < n; c++) {
            const double swap = a[i * n + c];
            a[i * n + c] = a[pivot * n + c];
            a[pivot * n + c] = swap;
        }
        const double swap = right[i];
        right[i] = right[pivot];
        right[pivot] = swap;
        for (int r = 0; r < n; r++) {
            if (r == i) continue;
            const double factor = a[r * n + i] / a[i * n + i];
            for (int c = i; c < n; c++) a[r * n + c] -= factor * a[i * n + c];
            right[r] -= factor * right[i];
        }
    }
    for (int i = 0; i < n; i++) right[i] /= a[i * n + i];
    return true;
}

enum { MOST_INPUTS = 8 };

/* Column out of the n samples is weights . inputs + intercept, the same for all; weights in [-1, 1). Returns
 * the intercept. Tolerances are those of inputs in float32, magnified by the solution. */
static double assert_affine(int64_t n, int k, const double *inputs, const double *out, int64_t stride)
{
    double weights[MOST_INPUTS + 1], a[(MOST_INPUTS + 1) * (MOST_INPUTS + 1)];
    int64_t first = 0;
    bool solved = false;
    for (; !solved && first + k < n; first++) {
        for (int i = 0; i <= k; i++) {
            memcpy(a + i * (k + 1), inputs + (first + i) * k, (size_t)k * sizeof *a);
            a[i * (k + 1) + k] = 1;
            weights[i] = out[(first + i) * stride];
        }
        solved = solve(k + 1, a, weights);
    }
    assert_true(solved);
    for (int l = 0; l < k; l++) assert_true(fabs(weights[l]) <= 1 + 1e-4);
    for (int64_t i = 0; i < n; i++) {
        double value = weights[k];
        for (int l = 0; l < k; l++) value += weights[l] * inputs[i * k + l];
        assert_true(fabs(value - out[i * stride]) < 1e-4);
    }
    return weights[k];
}

/* Without shuffling the clusters lie one after the other, so each column can be traced to where it comes
 * from. */
static void columns_are_mixed_as_in_make_classification(void **state)
{
    (void)state;
    enum { PER_CLUSTER = 101 };
    static const int informative[] = {1, 2, 3, 5, 8};
    for (size_t s = 0; s < sizeof informative / sizeof informative[0]; s++) {
        const int k = informative[s], n_clusters = k == 1 ? 2 : k == 8 ? 12 : 4;
        ls_make_classification p = defaults();
        p.shuffle = false;
        p.n_informative = k;
        p.n_clusters_per_class = n_clusters / 2;
        p.n_redundant = 2;
        p.n_repeated = 3;
        p.n_features = k + 2 + 3 + 4;
        p.class_sep = 1.5;
        p.flip_y = 0;
        p.n_samples = PER_CLUSTER * n_clusters;
        const int64_t n = p.n_samples, m = p.n_features;
        int64_t *y = malloc((size_t)n * sizeof *y);
        double *x = rows(&p, 0, n, y), *normals = malloc((size_t)(n * k) * sizeof *normals);
        double *mixed = malloc((size_t)(n * k) * sizeof *mixed);
        for (int64_t i = 0; i < n; i++) {
            for (int j = 0; j < k; j++) {
                normals[i * k + j] = expected_normal(p.random_state, i, j);
                mixed[i * k + j] = x[i * m + j];
            }
            for (int j = 0; j < 4; j++)
                assert_true(fabs(x[i * m + k + 5 + j] - expected_normal(p.random_state, i, k + j)) < 1e-6);
            assert_int_equal(y[i], i / PER_CLUSTER % 2);
        }
        double centroids[12][MOST_INPUTS];
        for (int c = 0; c < n_clusters; c++) {
            const int64_t first = (int64_t)c * PER_CLUSTER;
            for (int j = 0; j < k; j++) {
                centroids[c][j] =
                    rint(1e3 * assert_affine(PER_CLUSTER, k, normals + first * k, x + first * m + j, m)) /
                    1e3;
                assert_true(fabs(centroids[c][j]) == 1.5);
            }
            for (int other = 0; other < c; other++)
                assert_memory_not_equal(centroids[c], centroids[other], (size_t)k * sizeof(double));
        }
        for (int j = k; j < k + 2; j++) assert_true(fabs(assert_affine(n, k, mixed, x + j, m)) < 1e-9);
        for (int j = k + 2; j < k + 5; j++) {
            int same = 0;
            for (int source = 0; source < k + 2; source++) {
                int64_t equal = 0;
                for (int64_t i = 0; i < n; i++) equal += x[i * m + j] == x[i * m + source];
                same += equal == n;
            }
            assert_int_equal(same, 1);
        }
        free(x);
        free(y);
        free(normals);
        free(mixed);
    }
}

/* With the shuffle each sample keeps its noise, so the columns show where they went. */
static void shuffling_permutes_columns_with_their_shift_and_scale(void **state)
{
    (void)state;
    enum { N = 40, M = 9, NOISE = 7 };
    double shift[M], scale[M];
    for (int j = 0; j < M; j++) {
        shift[j] = j * 0.5 - 1;
        scale[j] = 1 + j;
    }
    ls_make_classification p = defaults();
    p.n_samples = N;
    p.n_features = M;
    p.n_redundant = 0;
    double *plain = rows(&p, 0, N, NULL);
    p.shift = shift;
    p.scale = scale;
    p.n_shift = p.n_scale = M;
    double *shuffled = rows(&p, 0, N, NULL);
    p.shuffle = false;
    double *x = rows(&p, 0, N, NULL);
    int moved = 0;
    for (int j = M - NOISE; j < M; j++) {
        int found = -1;
        for (int to = 0; to < M; to++) {
            int equal = 0;
            for (int i = 0; i < N; i++) equal += shuffled[i * M + to] == x[i * M + j];
            if (equal == N) found = to;
        }
        assert_true(found >= 0);
        moved += found != j;
        for (int i = 0; i < N; i++)
            assert_true(shuffled[i * M + found] == (plain[i * M + found] + shift[j]) * scale[j]);
    }
    assert_true(moved > 2);
    free(plain);
    free(shuffled);
    free(x);
}

static void random_shift_and_scale_keep_their_ranges(void **state)
{
    (void)state;
    enum { N = 4, M = 200 };
    ls_make_classification p = defaults();
    p.n_samples = N;
    p.n_features = M;
    p.shuffle = false;
    p.class_sep = 3;
    double *plain = rows(&p, 0, N, NULL);
    p.shift = p.scale = NULL;
    double *x = rows(&p, 0, N, NULL), least = INFINITY, most = 0, lowest = INFINITY, highest = -INFINITY;
    for (int j = 0; j < M; j++) {
        const double scale = (x[M + j] - x[j]) / (plain[M + j] - plain[j]), shift = x[j] / scale - plain[j];
        assert_true(fabs((x[2 * M + j] / scale - plain[2 * M + j]) - shift) < 1e-9);
        least = fmin(least, scale);
        most = fmax(most, scale);
        lowest = fmin(lowest, shift);
        highest = fmax(highest, shift);
    }
    assert_true(least > 1 - 1e-6 && least < 6 && most > 96 && most < 101 + 1e-6);
    assert_true(lowest > -3 - 1e-6 && lowest < -2.7 && highest > 2.7 && highest < 3 + 1e-6);
    free(plain);
    free(x);
}

/* As many classes as samples: each comes once, so that the dealing is a bijection. */
static void every_place_is_dealt_once(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 3, 8, 15, 16, 17, 100, 255, 256, 257, 1000, 4099, 20000};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (uint32_t seed = 0; seed < 4; seed++) {
            const int64_t n = sizes[s];
            ls_make_classification p = defaults();
            p.random_state = seed;
            p.n_samples = p.n_classes = n;
            p.n_clusters_per_class = 1;
            p.n_features = p.n_informative = 15;
            p.n_redundant = 0;
            p.flip_y = 0;
            int64_t *y = malloc((size_t)n * sizeof *y), fixed = 0;
            char *seen = calloc((size_t)n, 1);
            free(rows(&p, 0, n, y));
            for (int64_t i = 0; i < n; i++) {
                assert_in_range(y[i], 0, n - 1);
                assert_false(seen[y[i]]);
                seen[y[i]] = 1;
                fixed += y[i] == i;
            }
            assert_true(n < 15 || fixed < 8);
            free(y);
            free(seen);
        }
}

/* Places are compared digit by digit where clusters are few, and as numbers where they are many: each of 8
 * clusters is two of 16. */
static void few_and_many_clusters_are_dealt_alike(void **state)
{
    (void)state;
    enum { N = 4000 };
    static const int64_t sizes[] = {4000, 4096, (int64_t)3 << 31, (int64_t)1 << 46, (int64_t)1 << 60};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        int64_t y[2][N];
        for (int many = 0; many < 2; many++) {
            ls_make_classification p = defaults();
            p.n_samples = sizes[s];
            p.n_features = p.n_informative = 4;
            p.n_redundant = 0;
            p.n_classes = many ? 16 : 8;
            p.n_clusters_per_class = 1;
            p.flip_y = 0;
            free(rows(&p, sizes[s] - N, N, y[many]));
        }
        int count[16] = {0};
        for (int i = 0; i < N; i++) {
            assert_int_equal(y[0][i], y[1][i] / 2);
            count[y[1][i]]++;
        }
        for (int c = 0; c < 16; c++) assert_in_range(count[c], N / 16 - 80, N / 16 + 80);
    }
}

static void class_counts_are_those_of_make_classification(void **state)
{
    (void)state;
    enum { CLASSES = 4 };
    static const double weights[][CLASSES] = {
        {0.1, 0.2, 0.3, 0.4}, {0.05, 0.6, 0.3}, {0, 0, 1, 0}, {0.9, 0.9, 0.1, 0.1}, {0, 0, 0, 0}};
    static const int64_t n_weights[] = {4, 3, 4, 4, 4};
    for (int w = -1; w < 5; w++)
        for (int64_t n = 1; n < 3000; n = 2 * n + 3) {
            ls_make_classification p = defaults();
            p.n_samples = n;
            p.n_classes = CLASSES;
            p.n_informative = 4;
            p.n_clusters_per_class = 3;
            p.flip_y = 0;
            if (w >= 0) {
                p.weights = weights[w];
                p.n_weights = n_weights[w];
            }
            int64_t *y = malloc((size_t)n * sizeof *y), count[2][CLASSES] = {{0}};
            double *x = rows(&p, 0, n, y);
            for (int64_t i = 0; i < n; i++) count[0][y[i]]++;
            assert_int_equal(ls_make_classification_rows(&p, NULL, x, y), LS_OK);
            for (int64_t i = 0; i < n; i++) count[1][y[i]]++;
            assert_memory_equal(count[0], count[1], sizeof count[0]);
            free(x);
            free(y);
        }
}

static void assert_refused(ls_make_classification p, ls_dtype dtype, const char *words)
{
    ls_philox_classification *source;
    assert_int_equal(ls_philox_classification_open(&p, dtype, &source), LS_E_USAGE);
    assert_non_null(strstr(ls_error_message(), words));
    assert_null(source);
}

static void what_cannot_be_made_is_refused(void **state)
{
    (void)state;
    static const double negative[] = {-0.1, 1.1}, huge = 1e38, infinite = 1e308;
    ls_make_classification p = defaults();
    p.n_classes = 3;
    assert_refused(p, LS_FLOAT64, "n_classes");
    p = defaults();
    p.n_samples = ((int64_t)1 << 60) + 1;
    assert_refused(p, LS_FLOAT64, "n_samples");
    p = defaults();
    p.weights = negative;
    p.n_weights = 2;
    assert_refused(p, LS_FLOAT64, "negative");
    p = defaults();
    p.n_features = p.n_informative = 20000;
    p.n_redundant = 0;
    assert_refused(p, LS_FLOAT64, "n_informative=20000");
    p = defaults();
    p.scale = &huge;
    assert_refused(p, LS_FLOAT32, "float32");
    free(rows(&p, 0, 10, NULL));
    p.scale = &infinite;
    assert_refused(p, LS_FLOAT64, "float64");
    assert_int_equal(ls_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_instruction_sets_and_slices_give_the_same_bits),
        cmocka_unit_test(other_types_are_the_rounded_values),
        cmocka_unit_test(columns_are_mixed_as_in_make_classification),
        cmocka_unit_test(shuffling_permutes_columns_with_their_shift_and_scale),
        cmocka_unit_test(random_shift_and_scale_keep_their_ranges),
        cmocka_unit_test(every_place_is_dealt_once),
        cmocka_unit_test(few_and_many_clusters_are_dealt_alike),
        cmocka_unit_test(class_counts_are_those_of_make_classification),
        cmocka_unit_test(what_cannot_be_made_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
