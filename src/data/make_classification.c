#include "data/make_classification.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "data/numpy_dot.h"
#include "random/mt19937.h"

/* The steps below stand in scikit-learn's order, because each takes its share of one random stream, and every
 * floating-point expression has NumPy's operations in NumPy's order. */

enum {
    HYPERCUBE_BITS = 30,        /* vertices of a longer hypercube get their other coordinates one by one */
    ROWS_OF_A_REPORT = 1 << 14, /* of progress */
};

static ls_status at_least(const char *name, int64_t value, int64_t least)
{
    if (value >= least) return LS_OK;
    return ls_fail(LS_E_USAGE, "%s: %lld given: it must be an integer in the range [%lld, inf)", name,
                   (long long)value, (long long)least);
}

/* shift and scale: one value for all features, or one for each; NULL is scikit-learn's None. */
static ls_status check_per_feature(const char *name, const double *values, int64_t n_values,
                                   int64_t n_features, bool positive)
{
    if (!values) return LS_OK;
    if (n_values != 1 && n_values != n_features)
        return ls_fail(LS_E_USAGE,
                       "%s: %lld values given: give one, one for each of the %lld features, or none", name,
                       (long long)n_values, (long long)n_features);
    for (int64_t i = 0; i < n_values; i++) {
        if (!isfinite(values[i]))
            return ls_fail(LS_E_USAGE, "%s: %g given for feature %lld: it must be finite", name, values[i],
                           (long long)i);
    }
    if (positive && n_values == 1 && !(values[0] > 0))
        return ls_fail(LS_E_USAGE, "%s: %.17g given: it must be a float in the range (0, inf)", name,
                       values[0]);
    return LS_OK;
}

/* Plain summation from left to right, as NumPy scalars are summed (Python 3.12 sums a plain list of floats
 * with compensation). */
double ls_make_classification_share(const ls_make_classification *p, int64_t k)
{
    if (!p->weights) return 1.0 / (double)p->n_classes;
    if (k < p->n_weights) return p->weights[k];
    double sum = 0.0;
    for (int64_t i = 0; i < p->n_weights; i++) sum += p->weights[i];
    return 1.0 - sum;
}

static ls_status check_weights(const ls_make_classification *p)
{
    if (!p->weights) return LS_OK;
    if (p->n_weights != p->n_classes && p->n_weights != p->n_classes - 1)
        return ls_fail(LS_E_USAGE, "weights: %lld given: there must be n_classes=%lld of them, or one fewer",
                       (long long)p->n_weights, (long long)p->n_classes);
    for (int64_t k = 0; k < p->n_classes; k++) {
        const double share = ls_make_classification_share(p, k);
        /* The bound keeps sums of cluster sizes within 64 bits. */
        if (!(fabs(share) * (double)p->n_samples <= 0x1p62 / (double)p->n_classes))
            return ls_fail(LS_E_USAGE,
                           "weights: class %lld has the share %g: it must be a finite share of the samples",
                           (long long)k, share);
    }
    return LS_OK;
}

ls_status ls_make_classification_check(const ls_make_classification *p)
{
    LS_TRY(at_least("n_samples", p->n_samples, 1));
    LS_TRY(at_least("n_features", p->n_features, 1));
    LS_TRY(at_least("n_informative", p->n_informative, 1));
    LS_TRY(at_least("n_redundant", p->n_redundant, 0));
    LS_TRY(at_least("n_repeated", p->n_repeated, 0));
    LS_TRY(at_least("n_classes", p->n_classes, 1));
    LS_TRY(at_least("n_clusters_per_class", p->n_clusters_per_class, 1));
    if (!(p->flip_y >= 0 && p->flip_y <= 1))
        return ls_fail(LS_E_USAGE, "flip_y: %.17g given: it must be a float in the range [0, 1]", p->flip_y);
    if (!(p->class_sep > 0 && isfinite(p->class_sep)))
        return ls_fail(LS_E_USAGE, "class_sep: %.17g given: it must be a float in the range (0, inf)",
                       p->class_sep);
    int64_t n_used;
    if (__builtin_add_overflow(p->n_informative, p->n_redundant, &n_used) ||
        __builtin_add_overflow(n_used, p->n_repeated, &n_used) || n_used > p->n_features)
        return ls_fail(LS_E_USAGE,
                       "n_informative=%lld, n_redundant=%lld, n_repeated=%lld: together they must not exceed "
                       "n_features=%lld",
                       (long long)p->n_informative, (long long)p->n_redundant, (long long)p->n_repeated,
                       (long long)p->n_features);
    int64_t n_clusters;
    if (__builtin_mul_overflow(p->n_classes, p->n_clusters_per_class, &n_clusters) ||
        (double)p->n_informative < log2((double)n_clusters))
        return ls_fail(LS_E_USAGE,
                       "n_classes=%lld, n_clusters_per_class=%lld: their product must be smaller or equal "
                       "2**n_informative=2**%lld",
                       (long long)p->n_classes, (long long)p->n_clusters_per_class,
                       (long long)p->n_informative);
    if (n_clusters > LS_GENERATE_MAX_VALUES / p->n_informative)
        return ls_fail(
            LS_E_USAGE,
            "n_classes=%lld, n_clusters_per_class=%lld: the centres of the clusters have more than the %lld "
            "coordinates that are supported: use fewer clusters",
            (long long)p->n_classes, (long long)p->n_clusters_per_class, (long long)LS_GENERATE_MAX_VALUES);
    LS_TRY(check_weights(p));
    LS_TRY(check_per_feature("shift", p->shift, p->n_shift, p->n_features, false));
    return check_per_feature("scale", p->scale, p->n_scale, p->n_features, true);
}

/* Draws numbers below n_population until n different ones have come; a hash table tells which have. */
static ls_status sample_by_tracking(ls_mt19937 *generator, int64_t n_population, int64_t n, int64_t *sample)
{
    int64_t n_slots = 16;
    while (n_slots < 2 * n) n_slots *= 2;
    int64_t *slots = NULL; /* a number + 1, or 0 */
    LS_TRY(ls_alloc(&slots, (size_t)n_slots, sizeof *slots, "corners of the hypercube"));
    for (int64_t i = 0; i < n;) {
        const int64_t value = (int64_t)ls_mt19937_bounded(generator, (uint64_t)n_population - 1);
        uint64_t slot = (uint64_t)value * 0x9e3779b97f4a7c15u;
        slot = (slot ^ (slot >> 32)) & (uint64_t)(n_slots - 1);
        while (slots[slot] != 0 && slots[slot] != value + 1) slot = (slot + 1) & (uint64_t)(n_slots - 1);
        if (slots[slot] != 0) continue;
        slots[slot] = value + 1;
        sample[i++] = value;
    }
    ls_free(slots);
    return LS_OK;
}

/* sklearn.utils.random.sample_without_replacement: n different numbers in [0, n_population), by a method that
 * depends on the share that is asked for. */
static ls_status sample_without_replacement(ls_mt19937 *generator, int64_t n_population, int64_t n,
                                            int64_t *sample)
{
    const double ratio = (double)n / (double)n_population;
    if (ratio > 0.01 && ratio < 0.99) {
        int64_t *all = NULL;
        LS_TRY(ls_alloc(&all, (size_t)n_population, sizeof *all, "corners of the hypercube"));
        ls_mt19937_permutation(generator, n_population, all);
        memcpy(sample, all, (size_t)n * sizeof *sample);
        ls_free(all);
        return LS_OK;
    }
    if (ratio < 0.2) return sample_by_tracking(generator, n_population, n, sample);
    for (int64_t i = 0; i < n; i++) sample[i] = i;
    for (int64_t i = n; i < n_population; i++) {
        const int64_t j = (int64_t)ls_mt19937_bounded(generator, (uint64_t)i);
        if (j < n) sample[j] = i;
    }
    return LS_OK;
}

/* Different corners of the hypercube, coordinates 0 or 1: centroids is n x dimensions. */
static ls_status draw_corners(ls_mt19937 *generator, int64_t n, int64_t dimensions, double *centroids)
{
    const int64_t n_bits = dimensions < HYPERCUBE_BITS ? dimensions : HYPERCUBE_BITS;
    const int64_t n_single = dimensions - n_bits;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n_single; j++)
            centroids[i * dimensions + j] = (double)ls_mt19937_bounded(generator, 1);
    int64_t *sample = NULL;
    LS_TRY(ls_alloc(&sample, (size_t)n, sizeof *sample, "corners of the hypercube"));
    const ls_status status = sample_without_replacement(generator, (int64_t)1 << n_bits, n, sample);
    for (int64_t i = 0; status == LS_OK && i < n; i++)
        for (int64_t j = 0; j < n_bits; j++)
            centroids[i * dimensions + n_single + j] = (double)(sample[i] >> (n_bits - 1 - j) & 1);
    ls_free(sample);
    return status;
}

static ls_status draw_centroids(ls_mt19937 *generator, const ls_make_classification *p, int64_t n_clusters,
                                double *centroids)
{
    const int64_t k = p->n_informative;
    LS_TRY(draw_corners(generator, n_clusters, k, centroids));
    const double side = 2.0 * p->class_sep;
    for (int64_t i = 0; i < n_clusters * k; i++) centroids[i] = centroids[i] * side - p->class_sep;
    if (p->hypercube) return LS_OK;
    for (int64_t i = 0; i < n_clusters; i++) {
        const double factor = ls_mt19937_uniform(generator);
        for (int64_t j = 0; j < k; j++) centroids[i * k + j] *= factor;
    }
    for (int64_t j = 0; j < k; j++) {
        const double factor = ls_mt19937_uniform(generator);
        for (int64_t i = 0; i < n_clusters; i++) centroids[i * k + j] *= factor;
    }
    return LS_OK;
}

/* n random numbers in [-1, 1). */
static void draw_mixing_matrix(ls_mt19937 *generator, int64_t n, double *matrix)
{
    for (int64_t i = 0; i < n; i++) matrix[i] = 2.0 * ls_mt19937_uniform(generator) - 1.0;
}

/* Fills n_columns columns of x, after n_before others; the greater part of the work. */
static void draw_normal_columns(ls_mt19937 *generator, const ls_make_classification *p, int64_t n_before,
                                int64_t n_columns, const ls_progress_part *progress, double *x)
{
    const int64_t n_all = p->n_features - p->n_redundant - p->n_repeated;
    for (int64_t i = 0; i < p->n_samples; i++) {
        for (int64_t j = 0; j < n_columns; j++) x[i * p->n_features + j] = ls_mt19937_normal(generator);
        if (progress && i % ROWS_OF_A_REPORT == ROWS_OF_A_REPORT - 1)
            ls_progress_report(progress, n_before * p->n_samples + (i + 1) * n_columns, n_all * p->n_samples);
    }
}

/* An end of a Python slice: negative positions count from the end, and all are clipped. */
static int64_t slice_position(int64_t position, int64_t n)
{
    if (position < 0) position += n;
    return position < 0 ? 0 : position > n ? n : position;
}

void ls_make_classification_stops(const ls_make_classification *p, int64_t *stops)
{
    const int64_t n = p->n_samples, n_clusters = p->n_classes * p->n_clusters_per_class;
    int64_t total = 0;
    for (int64_t cluster = 0; cluster < n_clusters; cluster++) {
        const double share = ls_make_classification_share(p, cluster % p->n_classes);
        stops[cluster] = (int64_t)((double)n * share / (double)p->n_clusters_per_class);
        total += stops[cluster];
    }
    const int64_t missing = n > total ? n - total : 0;
    int64_t stop = 0;
    for (int64_t cluster = 0; cluster < n_clusters; cluster++) {
        stop += stops[cluster] + missing / n_clusters + (cluster < missing % n_clusters);
        stops[cluster] = stop;
    }
}

/* Gives each cluster's rows their class, covariance and centre. Shares that exceed 1 or are negative make
 * slices that are cut off, empty or overlapping, exactly as in scikit-learn. */
static ls_status place_clusters(ls_mt19937 *generator, const ls_make_classification *p, const int64_t *stops,
                                const double *centroids, double *covariance, double *x, int64_t *y)
{
    const int64_t n = p->n_samples, k = p->n_informative, n_clusters = p->n_classes * p->n_clusters_per_class;
    for (int64_t cluster = 0; cluster < n_clusters; cluster++) {
        const int64_t first = slice_position(cluster > 0 ? stops[cluster - 1] : 0, n);
        const int64_t end = slice_position(stops[cluster], n);
        draw_mixing_matrix(generator, k * k, covariance);
        if (first >= end) continue;
        double *rows = x + first * p->n_features;
        LS_TRY(ls_numpy_dot(end - first, k, k, rows, p->n_features, covariance, rows, p->n_features));
        for (int64_t i = first; i < end; i++) {
            y[i] = cluster % p->n_classes;
            for (int64_t j = 0; j < k; j++) x[i * p->n_features + j] += centroids[cluster * k + j];
        }
    }
    return LS_OK;
}

static ls_status make_informative(ls_mt19937 *generator, const ls_make_classification *p,
                                  const ls_progress_part *progress, double *x, int64_t *y)
{
    const int64_t k = p->n_informative, n_clusters = p->n_classes * p->n_clusters_per_class;
    double *centroids = NULL, *covariance = NULL;
    int64_t *stops = NULL;
    ls_status status =
        ls_alloc(&centroids, (size_t)n_clusters * (size_t)k, sizeof *centroids, "cluster centres");
    if (status == LS_OK)
        status = ls_alloc(&covariance, (size_t)k * (size_t)k, sizeof *covariance, "covariance");
    if (status == LS_OK) status = ls_alloc(&stops, (size_t)n_clusters, sizeof *stops, "sizes of clusters");
    if (status == LS_OK) status = draw_centroids(generator, p, n_clusters, centroids);
    if (status == LS_OK) {
        draw_normal_columns(generator, p, 0, k, progress, x);
        ls_make_classification_stops(p, stops);
        status = place_clusters(generator, p, stops, centroids, covariance, x, y);
    }
    ls_free(centroids);
    ls_free(covariance);
    ls_free(stops);
    return status;
}

static ls_status make_redundant(ls_mt19937 *generator, const ls_make_classification *p, double *x)
{
    if (p->n_redundant == 0) return LS_OK;
    double *matrix = NULL;
    const int64_t n_values = p->n_informative * p->n_redundant;
    LS_TRY(ls_alloc(&matrix, (size_t)n_values, sizeof *matrix, "matrix of the redundant features"));
    draw_mixing_matrix(generator, n_values, matrix);
    const ls_status status = ls_numpy_dot(p->n_samples, p->n_informative, p->n_redundant, x, p->n_features,
                                          matrix, x + p->n_informative, p->n_features);
    ls_free(matrix);
    return status;
}

static ls_status make_repeated(ls_mt19937 *generator, const ls_make_classification *p, double *x)
{
    if (p->n_repeated == 0) return LS_OK;
    const int64_t n_sources = p->n_informative + p->n_redundant;
    int64_t *sources = NULL;
    LS_TRY(ls_alloc(&sources, (size_t)p->n_repeated, sizeof *sources, "repeated features"));
    for (int64_t j = 0; j < p->n_repeated; j++)
        sources[j] = (int64_t)((double)(n_sources - 1) * ls_mt19937_uniform(generator) + 0.5);
    for (int64_t i = 0; i < p->n_samples; i++) {
        double *row = x + i * p->n_features;
        for (int64_t j = 0; j < p->n_repeated; j++) row[n_sources + j] = row[sources[j]];
    }
    ls_free(sources);
    return LS_OK;
}

static ls_status flip_labels(ls_mt19937 *generator, const ls_make_classification *p, int64_t *y)
{
    unsigned char *flipped = NULL;
    LS_TRY(ls_alloc(&flipped, (size_t)p->n_samples, sizeof *flipped, "flipped labels"));
    for (int64_t i = 0; i < p->n_samples; i++) flipped[i] = ls_mt19937_uniform(generator) < p->flip_y;
    for (int64_t i = 0; i < p->n_samples; i++)
        if (flipped[i]) y[i] = (int64_t)ls_mt19937_bounded(generator, (uint64_t)p->n_classes - 1);
    ls_free(flipped);
    return LS_OK;
}

static ls_status shift_and_scale(ls_mt19937 *generator, const ls_make_classification *p, double *x)
{
    double *shift = NULL;
    LS_TRY(ls_alloc(&shift, 2 * (size_t)p->n_features, sizeof *shift, "shift and scale"));
    double *scale = shift + p->n_features;
    for (int64_t j = 0; j < p->n_features; j++)
        shift[j] = p->shift ? p->shift[p->n_shift == 1 ? 0 : j]
                            : (2.0 * ls_mt19937_uniform(generator) - 1.0) * p->class_sep;
    for (int64_t j = 0; j < p->n_features; j++)
        scale[j] = p->scale ? p->scale[p->n_scale == 1 ? 0 : j] : 1.0 + 100.0 * ls_mt19937_uniform(generator);
    for (int64_t i = 0; i < p->n_samples; i++) {
        double *row = x + i * p->n_features;
        for (int64_t j = 0; j < p->n_features; j++) row[j] = (row[j] + shift[j]) * scale[j];
    }
    ls_free(shift);
    return LS_OK;
}

/* Row i, column j of the result is row rows[i], column columns[j]. */
static ls_status shuffle_rows_and_columns(ls_mt19937 *generator, const ls_make_classification *p, double *x,
                                          int64_t *y)
{
    const int64_t n = p->n_samples, m = p->n_features;
    double *old_x = NULL;
    int64_t *numbers = NULL; /* rows (n), columns (m), classes before (n) */
    LS_TRY(ls_alloc(&numbers, 2 * (size_t)n + (size_t)m, sizeof *numbers, "shuffled row numbers"));
    const ls_status status =
        ls_alloc(&old_x, (size_t)n * (size_t)m, sizeof *old_x, "rows before the shuffle");
    if (status == LS_OK) {
        int64_t *rows = numbers, *columns = rows + n, *old_y = columns + m;
        memcpy(old_x, x, (size_t)n * (size_t)m * sizeof *x);
        memcpy(old_y, y, (size_t)n * sizeof *y);
        ls_mt19937_permutation(generator, n, rows);
        ls_mt19937_permutation(generator, m, columns);
        for (int64_t i = 0; i < n; i++) {
            const double *old_row = old_x + rows[i] * m;
            double *row = x + i * m;
            for (int64_t j = 0; j < m; j++) row[j] = old_row[columns[j]];
            y[i] = old_y[rows[i]];
        }
    }
    ls_free(old_x);
    ls_free(numbers);
    return status;
}

ls_status ls_make_classification_rows(const ls_make_classification *p, const ls_progress_part *progress,
                                      double *x, int64_t *y)
{
    LS_TRY(ls_make_classification_check(p));
    ls_mt19937 generator;
    ls_mt19937_seed(&generator, p->random_state);
    memset(x, 0, (size_t)p->n_samples * (size_t)p->n_features * sizeof *x);
    memset(y, 0, (size_t)p->n_samples * sizeof *y);
    LS_TRY(make_informative(&generator, p, progress, x, y));
    LS_TRY(make_redundant(&generator, p, x));
    LS_TRY(make_repeated(&generator, p, x));
    const int64_t n_random = p->n_features - p->n_informative - p->n_redundant - p->n_repeated;
    draw_normal_columns(&generator, p, p->n_informative, n_random, progress, x + p->n_features - n_random);
    LS_TRY(flip_labels(&generator, p, y));
    LS_TRY(shift_and_scale(&generator, p, x));
    return p->shuffle ? shuffle_rows_and_columns(&generator, p, x, y) : LS_OK;
}
