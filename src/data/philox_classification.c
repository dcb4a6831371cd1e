#include "data/philox_classification.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "data/make_classification.h"
#include "data/philox/kernel.h"
#include "random/permute.h"

#define MAX_SAMPLES ((int64_t)1 << 60) /* what the digits of the bijection hold */
/* Of the radius' smallest probability, 2^-32: sqrt(2 * 32 * log 2), rounded up. */
#define LARGEST_NORMAL 6.661

enum {
    HYPERCUBE_BITS = 30,
    BLOCK = 512,            /* samples of narrow data at a time */
    BLOCK_VALUES = 1 << 15, /* values of wide data at a time */
    SMALLEST_RADIX = 32,    /* of the bijection: below, few hashes differ; a vector's lanes are no more */
};

/* Instances of LS_STREAM_MIXTURE. The numbers are part of what a seed means. */
enum {
    DRAW_DEAL,
    DRAW_CORNERS,
    DRAW_CORNER_REST,
    DRAW_CLUSTER_FACTORS,
    DRAW_FEATURE_FACTORS,
    DRAW_COVARIANCES,
    DRAW_REDUNDANT,
    DRAW_REPEATED,
    DRAW_SHIFT,
    DRAW_SCALE,
    DRAW_COLUMNS
};

struct ls_philox_classification {
    ls_philox_mixture mixture;
    ls_philox_scratch scratch;
    const ls_philox_kernel *kernel;
    ls_dtype dtype;
    /* Where the mixture's tables lie. */
    int64_t *stops, *sources;
    int32_t *classes;
    double *centroids, *covariances, *redundant, *few, *shift, *scale;
};

extern const ls_philox_kernel ls_philox_kernel_portable;
#if LOCKSTEP_X86_KERNELS
extern const ls_philox_kernel ls_philox_kernel_avx2, ls_philox_kernel_avx512;
#endif

static const ls_philox_kernel *find_kernel(const char *name)
{
#if LOCKSTEP_X86_KERNELS
    const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        (!name || !strcmp(name, ls_philox_kernel_avx512.name)))
        return &ls_philox_kernel_avx512;
    if (avx2 && (!name || !strcmp(name, ls_philox_kernel_avx2.name))) return &ls_philox_kernel_avx2;
#endif
    return !name || !strcmp(name, ls_philox_kernel_portable.name) ? &ls_philox_kernel_portable : NULL;
}

static double uniform(uint32_t seed, uint32_t instance, int64_t index)
{
    uint32_t words[4];
    ls_philox(seed, LS_STREAM_MIXTURE, instance, (uint64_t)index, words);
    return ls_uniform53(words[0], words[1]);
}

/* A number in [-1, 1). */
static double uniform_around_0(uint32_t seed, uint32_t instance, int64_t index)
{
    return 2.0 * uniform(seed, instance, index) - 1.0;
}

static ls_status check(const ls_make_classification *p)
{
    LS_TRY(ls_make_classification_check(p));
    if (p->n_samples > MAX_SAMPLES)
        return ls_fail(LS_E_USAGE, "n_samples: %lld given: at most %lld are supported",
                       (long long)p->n_samples, (long long)MAX_SAMPLES);
    if (p->n_features > INT32_MAX || p->n_classes > INT32_MAX)
        return ls_fail(LS_E_USAGE, "n_features=%lld, n_classes=%lld: at most %d of each are supported",
                       (long long)p->n_features, (long long)p->n_classes, INT32_MAX);
    int64_t n_matrix;
    if (__builtin_mul_overflow(p->n_informative, p->n_informative, &n_matrix) ||
        n_matrix > LS_GENERATE_MAX_VALUES / (p->n_classes * p->n_clusters_per_class) ||
        p->n_redundant > LS_GENERATE_MAX_VALUES / p->n_informative)
        return ls_fail(LS_E_USAGE,
                       "n_informative=%lld, n_redundant=%lld, n_classes=%lld, n_clusters_per_class=%lld: the "
                       "matrices that mix the features have more than %lld elements: use fewer",
                       (long long)p->n_informative, (long long)p->n_redundant, (long long)p->n_classes,
                       (long long)p->n_clusters_per_class, (long long)LS_GENERATE_MAX_VALUES);
    for (int64_t k = 0; p->weights && k < p->n_classes; k++) {
        const double share = ls_make_classification_share(p, k);
        if (share < 0)
            return ls_fail(LS_E_USAGE,
                           "weights: class %lld has the share %g: with the generator philox it must not be "
                           "negative",
                           (long long)k, share);
    }
    return LS_OK;
}

static ls_status allocate(ls_philox_classification *s)
{
    const ls_philox_mixture *m = &s->mixture;
    const size_t k = (size_t)m->n_informative, n_clusters = (size_t)m->n_clusters;
    LS_TRY(ls_alloc(&s->stops, n_clusters, sizeof *s->stops, "sizes of clusters"));
    LS_TRY(ls_alloc(&s->classes, n_clusters, sizeof *s->classes, "classes of clusters"));
    LS_TRY(ls_alloc(&s->centroids, n_clusters * k, sizeof *s->centroids, "cluster centres"));
    LS_TRY(ls_alloc(&s->covariances, n_clusters * k * k, sizeof *s->covariances, "covariances"));
    LS_TRY(ls_alloc(&s->redundant, k * (size_t)m->n_redundant, sizeof *s->redundant,
                    "matrix of the redundant features"));
    LS_TRY(ls_alloc(&s->sources, (size_t)m->n_features, sizeof *s->sources, "order of the features"));
    LS_TRY(ls_alloc(&s->shift, (size_t)m->n_features, sizeof *s->shift, "shifts of the features"));
    LS_TRY(ls_alloc(&s->scale, (size_t)m->n_features, sizeof *s->scale, "scales of the features"));
    if (m->n_clusters <= LS_PHILOX_FEW_CLUSTERS && m->n_informative <= LS_PHILOX_FEW_FEATURES)
        LS_TRY(
            ls_alloc(&s->few, (k + k * k) * LS_PHILOX_FEW_CLUSTERS, sizeof *s->few, "clusters side by side"));

    ls_philox_scratch *scratch = &s->scratch;
    const int64_t n_derived = m->n_informative + m->n_redundant + m->n_noise;
    scratch->capacity = BLOCK_VALUES / (n_derived + m->n_informative) / LS_PHILOX_GRAIN * LS_PHILOX_GRAIN;
    if (scratch->capacity < LS_PHILOX_GRAIN) scratch->capacity = LS_PHILOX_GRAIN;
    if (scratch->capacity > BLOCK) scratch->capacity = BLOCK;
    const size_t n = (size_t)scratch->capacity;
    LS_TRY(ls_alloc(&scratch->clusters, n, sizeof *scratch->clusters, "clusters of a block"));
    LS_TRY(ls_alloc(&scratch->words, n, sizeof *scratch->words, "random words of a block"));
    LS_TRY(ls_alloc(&scratch->labels, n, sizeof *scratch->labels, "classes of a block"));
    LS_TRY(ls_alloc(&scratch->normals, n * k, sizeof *scratch->normals, "normal numbers of a block"));
    LS_TRY(
        ls_alloc(&scratch->columns, n * (size_t)n_derived, sizeof *scratch->columns, "columns of a block"));
    return ls_alloc(&scratch->row, k, sizeof *scratch->row, "a sample");
}

static uint64_t power(uint64_t base, int exponent)
{
    return exponent == 0 ? 1 : base * power(base, exponent - 1);
}

/* The digits of number, which are at most the radices, as a bound. */
static ls_philox_bound bound_of(const ls_philox_mixture *m, uint64_t number)
{
    ls_philox_bound bound = {0};
    for (int k = m->deal_digits - 1; k > 0; k--, number /= m->deal_radices[k + 1])
        bound.digits[k] = (uint16_t)(number % m->deal_radices[k] + (k < m->deal_digits - 1));
    bound.digits[0] = (uint16_t)(number + 1);
    return bound;
}

/* As few digits as can be, with radices as alike as can be: then barely more numbers than samples have them.
 */
static void draw_deal(ls_philox_mixture *m, const int64_t *stops)
{
    m->deal_digits = 2;
    while (power(LS_PHILOX_LARGEST_RADIX, m->deal_digits) < m->n_samples) m->deal_digits++;
    uint64_t radix = 0;
    for (uint64_t bit = LS_PHILOX_LARGEST_RADIX / 2; bit > 0; bit /= 2)
        if (power(radix + bit, m->deal_digits) < m->n_samples) radix += bit;
    radix++;
    if (radix < SMALLEST_RADIX) radix = SMALLEST_RADIX;
    const uint64_t others = power(radix, m->deal_digits - 1), first = (m->n_samples - 1) / others + 1;
    for (int k = 1; k < m->deal_digits; k++) m->deal_radices[k] = (uint16_t)radix;
    m->deal_radices[0] = (uint16_t)(first < SMALLEST_RADIX ? SMALLEST_RADIX : first);
    for (int round = 0; round < m->deal_digits * (m->deal_digits + 1); round++) {
        uint32_t words[4];
        ls_philox(m->seed, LS_STREAM_MIXTURE, DRAW_DEAL, (uint64_t)round, words);
        m->deal_keys[round] = (uint16_t)words[0];
        m->deal_factors[round] = (uint16_t)(words[1] | 1);
    }
    m->deal_end = bound_of(m, m->n_samples);
    for (int64_t c = 0; c < m->n_clusters && c < LS_PHILOX_FEW_CLUSTERS; c++) {
        const uint64_t stop = stops[c] < 0 ? 0 : (uint64_t)stops[c];
        m->deal_stops[c] = bound_of(m, stop < m->n_samples ? stop : m->n_samples);
    }
}

/* Different corners of the hypercube, then as in make_classification. A bijection over the first 30 bits
 * makes the corners different; those beyond are free. */
static void draw_centroids(ls_philox_classification *s, const ls_make_classification *p)
{
    const int64_t k = p->n_informative, n_clusters = s->mixture.n_clusters;
    const int64_t n_bits = k < HYPERCUBE_BITS ? k : HYPERCUBE_BITS;
    const uint32_t seed = p->random_state;
    ls_bijection corners;
    ls_bijection_init(&corners, seed, LS_STREAM_MIXTURE, DRAW_CORNERS, (uint64_t)1 << n_bits);
    for (int64_t i = 0; i < n_clusters; i++) {
        const uint64_t corner = ls_bijection_apply(&corners, (uint64_t)i);
        const double factor = p->hypercube ? 1.0 : uniform(seed, DRAW_CLUSTER_FACTORS, i);
        for (int64_t j = 0; j < k; j++) {
            const double at = j < n_bits ? (double)(corner >> j & 1)
                                         : (double)(uniform(seed, DRAW_CORNER_REST, i * k + j) >= 0.5);
            s->centroids[i * k + j] = (at * (2.0 * p->class_sep) - p->class_sep) * factor;
        }
    }
    for (int64_t j = 0; !p->hypercube && j < k; j++) {
        const double factor = uniform(seed, DRAW_FEATURE_FACTORS, j);
        for (int64_t i = 0; i < n_clusters; i++) s->centroids[i * k + j] *= factor;
    }
}

static void draw_matrices(ls_philox_classification *s, const ls_make_classification *p)
{
    enum { LANES = LS_PHILOX_FEW_CLUSTERS };
    const int64_t k = p->n_informative, n_clusters = s->mixture.n_clusters;
    for (int64_t i = 0; i < n_clusters * k * k; i++)
        s->covariances[i] = uniform_around_0(p->random_state, DRAW_COVARIANCES, i);
    for (int64_t i = 0; i < k * p->n_redundant; i++)
        s->redundant[i] = uniform_around_0(p->random_state, DRAW_REDUNDANT, i);
    for (int64_t c = 0; s->few && c < n_clusters; c++) {
        for (int64_t j = 0; j < k; j++) s->few[j * LANES + c] = s->centroids[c * k + j];
        for (int64_t j = 0; j < k * k; j++) s->few[(k + j) * LANES + c] = s->covariances[c * k * k + j];
    }
}

/* Which derived column each output shows, with what shift and scale. */
static ls_status draw_columns(ls_philox_classification *s, const ls_make_classification *p)
{
    const uint32_t seed = p->random_state;
    const int64_t n = p->n_features, n_sources = p->n_informative + p->n_redundant;
    uint32_t *order = NULL;
    LS_TRY(ls_alloc(&order, (size_t)n, sizeof *order, "order of the features"));
    if (p->shuffle) {
        ls_permutation(seed, LS_STREAM_MIXTURE, DRAW_COLUMNS, (uint32_t)n, order);
    } else {
        for (int64_t j = 0; j < n; j++) order[j] = (uint32_t)j;
    }
    for (int64_t j = 0; j < n; j++) {
        const int64_t from = order[j], repeated = from - n_sources;
        if (repeated < 0)
            s->sources[j] = from;
        else if (repeated < p->n_repeated)
            s->sources[j] = (int64_t)((double)(n_sources - 1) * uniform(seed, DRAW_REPEATED, repeated) + 0.5);
        else
            s->sources[j] = from - p->n_repeated;
        s->shift[j] = p->shift ? p->shift[p->n_shift == 1 ? 0 : from]
                               : uniform_around_0(seed, DRAW_SHIFT, from) * p->class_sep;
        s->scale[j] =
            p->scale ? p->scale[p->n_scale == 1 ? 0 : from] : 1.0 + 100.0 * uniform(seed, DRAW_SCALE, from);
    }
    ls_free(order);
    return LS_OK;
}

/* Bounds every value instead of looking at each: bounds (one per derived column) is filled in. */
static ls_status bound_values(const ls_philox_classification *s, ls_dtype dtype, double *bounds)
{
    const ls_philox_mixture *m = &s->mixture;
    const int64_t k = m->n_informative, n_derived = k + m->n_redundant + m->n_noise;
    for (int64_t i = 0; i < m->n_clusters; i++)
        for (int64_t j = 0; j < k; j++) {
            double bound = fabs(s->centroids[i * k + j]);
            for (int64_t l = 0; l < k; l++)
                bound += LARGEST_NORMAL * fabs(s->covariances[(i * k + l) * k + j]);
            bounds[j] = fmax(bounds[j], bound);
        }
    for (int64_t j = 0; j < m->n_redundant; j++)
        for (int64_t l = 0; l < k; l++)
            bounds[k + j] += bounds[l] * fabs(s->redundant[l * m->n_redundant + j]);
    for (int64_t j = k + m->n_redundant; j < n_derived; j++) bounds[j] = LARGEST_NORMAL;
    for (int64_t j = 0; j < m->n_features; j++) {
        const double bound = (bounds[s->sources[j]] + fabs(s->shift[j])) * fabs(s->scale[j]);
        if (!(bound < (dtype == LS_FLOAT32 ? FLT_MAX : DBL_MAX)))
            return ls_fail(LS_E_USAGE,
                           "class_sep, shift, scale: values up to %g of feature %lld need not be finite as "
                           "%s: use smaller factors",
                           bound, (long long)j, ls_dtype_name(dtype));
    }
    return LS_OK;
}

static ls_status check_range(const ls_philox_classification *s, ls_dtype dtype)
{
    const ls_philox_mixture *m = &s->mixture;
    double *bounds = NULL;
    LS_TRY(ls_alloc(&bounds, (size_t)(m->n_informative + m->n_redundant + m->n_noise), sizeof *bounds,
                    "bounds of the features"));
    const ls_status status = bound_values(s, dtype, bounds);
    ls_free(bounds);
    return status;
}

static ls_status draw(ls_philox_classification *s, const ls_make_classification *p)
{
    ls_philox_mixture *m = &s->mixture;
    ls_make_classification_stops(p, s->stops);
    for (int64_t c = 0; c < m->n_clusters; c++) s->classes[c] = (int32_t)(c % p->n_classes);
    draw_deal(m, s->stops);
    draw_centroids(s, p);
    draw_matrices(s, p);
    LS_TRY(draw_columns(s, p));
    m->stops = s->stops;
    m->classes = s->classes;
    m->centroids = s->centroids;
    m->covariances = s->covariances;
    m->redundant = s->redundant;
    m->few = s->few;
    m->sources = s->sources;
    m->shift = s->shift;
    m->scale = s->scale;
    return check_range(s, s->dtype);
}

ls_status ls_philox_classification_set_dtype(ls_philox_classification *s, ls_dtype dtype)
{
    LS_TRY(check_range(s, dtype));
    s->dtype = dtype;
    return LS_OK;
}

ls_status ls_philox_classification_open(const ls_make_classification *p, ls_dtype dtype,
                                        ls_philox_classification **source)
{
    *source = NULL;
    LS_TRY(check(p));
    ls_philox_classification *s = NULL;
    LS_TRY(ls_alloc(&s, 1, sizeof *s, "generator"));
    s->dtype = dtype;
    s->kernel = find_kernel(NULL);
    const uint64_t flip_below = (uint64_t)(p->flip_y * 0x1p32 + 0.5);
    s->mixture = (ls_philox_mixture){
        .n_samples = (uint64_t)p->n_samples,
        .seed = p->random_state,
        .n_informative = p->n_informative,
        .n_redundant = p->n_redundant,
        .n_noise = p->n_features - p->n_informative - p->n_redundant - p->n_repeated,
        .n_features = p->n_features,
        .n_clusters = p->n_classes * p->n_clusters_per_class,
        .n_classes = p->n_classes,
        .dealt = p->shuffle,
        .flip_below = flip_below,
        .class_per_word = flip_below > 0 ? (double)p->n_classes / (double)flip_below : 0.0,
    };
    ls_status status = allocate(s);
    if (status == LS_OK) status = draw(s, p);
    if (status != LS_OK) {
        ls_philox_classification_close(s);
        return status;
    }
    *source = s;
    return LS_OK;
}

void ls_philox_classification_close(ls_philox_classification *s)
{
    if (!s) return;
    ls_free(s->stops);
    ls_free(s->classes);
    ls_free(s->centroids);
    ls_free(s->covariances);
    ls_free(s->redundant);
    ls_free(s->few);
    ls_free(s->sources);
    ls_free(s->shift);
    ls_free(s->scale);
    ls_free(s->scratch.clusters);
    ls_free(s->scratch.words);
    ls_free(s->scratch.labels);
    ls_free(s->scratch.normals);
    ls_free(s->scratch.columns);
    ls_free(s->scratch.row);
    ls_free(s);
}

static size_t label_size(ls_file_type type)
{
    return type == LS_FILE_UINT8 ? 1 : type == LS_FILE_FLOAT32 ? 4 : 8;
}

void ls_philox_classification_fill(ls_philox_classification *s, int64_t first, int64_t n, void *x,
                                   ls_file_type y_type, void *y)
{
    const size_t row_bytes = (size_t)s->mixture.n_features * ls_dtype_size(s->dtype);
    char *to_x = x, *to_y = y;
    while (n > 0) {
        const int64_t skip = first % LS_PHILOX_GRAIN;
        const int64_t room = s->scratch.capacity - skip, taken = n < room ? n : room;
        const int64_t whole = (skip + taken + LS_PHILOX_GRAIN - 1) / LS_PHILOX_GRAIN * LS_PHILOX_GRAIN;
        s->kernel->make(&s->mixture, &s->scratch, (uint64_t)(first - skip), whole);
        s->kernel->put(&s->mixture, &s->scratch, skip, taken, s->dtype, to_x, y_type, to_y);
        first += taken;
        n -= taken;
        to_x += (size_t)taken * row_bytes;
        to_y += (size_t)taken * label_size(y_type);
    }
}

const char *ls_philox_classification_isa(const ls_philox_classification *s)
{
    return s->kernel->name;
}

bool ls_philox_classification_use(ls_philox_classification *s, const char *isa)
{
    const ls_philox_kernel *kernel = find_kernel(isa);
    if (kernel) s->kernel = kernel;
    return kernel != NULL;
}
