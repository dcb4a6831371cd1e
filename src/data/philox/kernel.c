#include "data/philox/kernel.h"

#include "data/philox/vector.h"
#include "random/philox.h"

#define LOW_HALF     UINT64_C(0xffffffff)
#define SQRT_HALF    0x1.6a09e6p-1f
#define MINUS_2_LN_2 (-0x1.62e43p+0f)
#define COUNT_OF(a)  ((int)(sizeof(a) / sizeof((a)[0])))

/* Vectors that take each step together: one alone waits for the latency of its multiplications. */
enum { TOGETHER = 4 };
#define EACH(u) for (int u = 0; u < TOGETHER; u++)

/* ls_philox for each index. Each lane of the result holds a word in its low half, anything above. */
INLINE void philox(uint32_t seed, ls_stream stream, uint32_t instance, const bits index[TOGETHER],
                   bits out[TOGETHER][4])
{
    const bits m0 = all_bits(0xD2511F53u), m1 = all_bits(0xCD9E8D57u);
    EACH(u)
    {
        out[u][0] = index[u];
        out[u][1] = index[u] >> 32;
        out[u][2] = all_bits(instance);
        out[u][3] = all_bits(stream);
    }
    uint32_t k0 = seed, k1 = 0;
#pragma GCC unroll 10
    for (int round = 0; round < LS_PHILOX_ROUNDS; round++) {
        bits p0[TOGETHER], p1[TOGETHER];
        EACH(u) p0[u] = multiply(m0, out[u][0]);
        EACH(u) p1[u] = multiply(m1, out[u][2]);
        EACH(u) out[u][0] = (p1[u] >> 32) ^ (out[u][1] ^ all_bits(k0));
        EACH(u) out[u][2] = (p0[u] >> 32) ^ (out[u][3] ^ all_bits(k1));
        EACH(u) out[u][1] = p1[u];
        EACH(u) out[u][3] = p0[u];
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
}

INLINE bits join(bits low, bits high)
{
    return (low & LOW_HALF) | (high << 32);
}

#include "data/philox/deal.h"
#include "data/philox/normals.h"

static void choose_labels(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, uint64_t first,
                          int64_t n)
{
    const uint32_t *clusters = scratch->clusters;
    int32_t *labels = scratch->labels;
    if (mixture->n_classes == 2) { /* clusters take the classes in turn */
        for (int64_t i = 0; i < n; i++) labels[i] = (int32_t)(clusters[i] & 1);
    } else {
        for (int64_t i = 0; i < n; i++) labels[i] = mixture->classes[clusters[i]];
    }
    if (mixture->flip_below == 0) return;
    uint32_t *drawn = scratch->words; /* sample i has word i % 4 of index i / 4 */
    for (int64_t i = 0; i < n; i += TOGETHER * 4 * VL) {
        bits index[TOGETHER], out[TOGETHER][4];
        EACH(u) index[u] = all_bits((first + (uint64_t)i) / 4 + (uint64_t)(u * VL)) + lane_numbers();
        philox(mixture->seed, LS_STREAM_LABELS, 0, index, out);
        EACH(u)
        {
            real pairs[2];
            interleave((real)join(out[u][0], out[u][1]), (real)join(out[u][2], out[u][3]), pairs);
            store(drawn + i + u * 4 * VL, pairs[0]);
            store(drawn + i + u * 4 * VL + 2 * VL, pairs[1]);
        }
    }
    const bits below = all_bits(mixture->flip_below);
    const real class_per_word = all(mixture->class_per_word);
    for (int64_t i = 0; i < n; i += VL) {
        const bits word = load_words(drawn + i);
        const mask redrawn = (mask)(word < below);
        /* Others might leave the range of a class. The bits of 2^52 in front make a word a number. */
        const real value = (real)(((bits)redrawn & word) | (bits)all(0x1p52)) - all(0x1p52);
        const narrow other = __builtin_convertvector(value * class_per_word, narrow);
        const narrow takes = __builtin_convertvector(redrawn, narrow);
        narrow label;
        memcpy(&label, labels + i, sizeof label);
        label = (takes & other) | (~takes & label);
        memcpy(labels + i, &label, sizeof label);
    }
}

static void draw_normals(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, uint64_t first,
                         int64_t n)
{
    const int64_t k = mixture->n_informative, n_normals = k + mixture->n_noise;
    double *noise = scratch->columns + (k + mixture->n_redundant) * scratch->capacity;
    for (int64_t j = 0; j < n_normals; j += 2) {
        double *even = j < k ? scratch->normals + j * scratch->capacity : noise + (j - k) * scratch->capacity;
        double *odd = j + 1 < k ? scratch->normals + (j + 1) * scratch->capacity
                                : noise + (j + 1 - k) * scratch->capacity;
        if (j + 1 == n_normals) odd = even; /* overwritten */
        /* Samples 2 i and 2 i + 1 have two words each of index i. */
        for (int64_t i = 0; i < n; i += TOGETHER * 2 * VL) {
            bits index[TOGETHER], out[TOGETHER][4];
            words radius[TOGETHER], angle[TOGETHER];
            floats cosine[TOGETHER], sine[TOGETHER];
            EACH(u) index[u] = all_bits((first + (uint64_t)i) / 2 + (uint64_t)(u * VL)) + lane_numbers();
            philox(mixture->seed, LS_STREAM_SAMPLES, (uint32_t)(j / 2), index, out);
            EACH(u)
            {
                radius[u] = (words)join(out[u][0], out[u][2]);
                angle[u] = (words)join(out[u][1], out[u][3]);
            }
            normal_pairs(radius, angle, cosine, sine);
            EACH(u) store_doubles(odd + i + u * 2 * VL, sine[u]);
            EACH(u) store_doubles(even + i + u * 2 * VL, cosine[u]);
        }
    }
}

/* Informative columns of few clusters and few features, whose parameters each lane looks up. */
INLINE void mix_few(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, int64_t n, int k)
{
    enum { LANES = LS_PHILOX_FEW_CLUSTERS };
    const double *centroids = mixture->few, *matrices = mixture->few + k * LANES, *normals = scratch->normals;
    const uint32_t *clusters = scratch->clusters;
    const int64_t capacity = scratch->capacity;
    double *columns = scratch->columns;
    for (int64_t i = 0; i < n; i += VL) {
        const bits cluster = load_words(clusters + i);
        for (int j = 0; j < k; j++) {
            real sum = look_up(centroids + j * LANES, cluster);
            for (int l = 0; l < k; l++)
                sum = fma_(load(normals + l * capacity + i), look_up(matrices + (l * k + j) * LANES, cluster),
                           sum);
            store(columns + j * capacity + i, sum);
        }
    }
}

/* The same of any number, sample by sample. */
static void mix_many(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, int64_t n)
{
    const int64_t k = mixture->n_informative;
    double *row = scratch->row;
    for (int64_t i = 0; i < n; i++) {
        const int64_t cluster = (int64_t)scratch->clusters[i];
        const double *matrix = mixture->covariances + cluster * k * k;
        memcpy(row, mixture->centroids + cluster * k, (size_t)k * sizeof *row);
        for (int64_t l = 0; l < k; l++) {
            const real normal = all(scratch->normals[l * scratch->capacity + i]);
            int64_t j = 0;
            for (; j + VL <= k; j += VL)
                store(row + j, fma_(normal, load(matrix + l * k + j), load(row + j)));
            for (; j < k; j++) row[j] = fma(normal[0], matrix[l * k + j], row[j]);
        }
        for (int64_t j = 0; j < k; j++) scratch->columns[j * scratch->capacity + i] = row[j];
    }
}

static void mix(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, int64_t n)
{
    if (!mixture->few) {
        mix_many(mixture, scratch, n);
        return;
    }
    switch (mixture->n_informative) {
    case 1:
        mix_few(mixture, scratch, n, 1);
        break;
    case 2:
        mix_few(mixture, scratch, n, 2);
        break;
    default:
        mix_few(mixture, scratch, n, (int)mixture->n_informative);
    }
}

static void combine(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, int64_t n)
{
    const int64_t k = mixture->n_informative, capacity = scratch->capacity;
    for (int64_t j = 0; j < mixture->n_redundant; j++)
        for (int64_t i = 0; i < n; i += VL) {
            real sum = all(0);
            for (int64_t l = 0; l < k; l++)
                sum = fma_(load(scratch->columns + l * capacity + i),
                           all(mixture->redundant[l * mixture->n_redundant + j]), sum);
            store(scratch->columns + (k + j) * capacity + i, sum);
        }
}

static void make(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, uint64_t first,
                 int64_t n)
{
    choose_clusters(mixture, scratch, first, n);
    choose_labels(mixture, scratch, first, n);
    draw_normals(mixture, scratch, first, n);
    mix(mixture, scratch, n);
    combine(mixture, scratch, n);
}

INLINE const double *column_of(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, int64_t j)
{
    return scratch->columns + mixture->sources[j] * scratch->capacity;
}

/* Features j and j + 1 of samples [skip, skip + n), of which every multiple of VL is put; returns how many.
 */
INLINE int64_t put_pair(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, int64_t skip,
                        int64_t n, int64_t j, bool are_all, ls_dtype dtype, char *x)
{
    const double *const columns[2] = {column_of(mixture, scratch, j) + skip,
                                      column_of(mixture, scratch, j + 1) + skip};
    const real shift[2] = {all(mixture->shift[j]), all(mixture->shift[j + 1])};
    const real scale[2] = {all(mixture->scale[j]), all(mixture->scale[j + 1])};
    const size_t size = dtype == LS_FLOAT32 ? sizeof(float) : sizeof(double);
    const size_t row = (are_all ? 2 : (size_t)mixture->n_features) * size;
    int64_t i = 0;
    for (; i + VL <= n; i += VL) {
        char *to = x + (size_t)i * row + (size_t)j * size;
        char apart[2 * VL * sizeof(double)], *values = are_all ? to : apart;
        real pairs[2];
        interleave((load(columns[0] + i) + shift[0]) * scale[0], (load(columns[1] + i) + shift[1]) * scale[1],
                   pairs);
        for (int half = 0; half < 2; half++) {
            if (dtype == LS_FLOAT32)
                store_float((void *)(values + half * VL * size), pairs[half]);
            else
                store(values + half * VL * size, pairs[half]);
        }
        if (are_all) continue;
        for (int l = 0; l < VL; l++) memcpy(to + (size_t)l * row, apart + 2 * size * l, 2 * size);
    }
    return i;
}

/* Feature j of samples [skip + done, skip + n). */
INLINE void put_column(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, int64_t skip,
                       int64_t done, int64_t n, int64_t j, ls_dtype dtype, char *x)
{
    const int64_t n_features = mixture->n_features;
    const double *column = column_of(mixture, scratch, j) + skip;
    const double shift = mixture->shift[j], scale = mixture->scale[j];
    if (dtype == LS_FLOAT32) {
        float *to = (float *)(void *)x + j;
        for (int64_t i = done; i < n; i++) to[i * n_features] = (float)((column[i] + shift) * scale);
    } else {
        double *to = (double *)(void *)x + j;
        for (int64_t i = done; i < n; i++) to[i * n_features] = (column[i] + shift) * scale;
    }
}

/* Some samples at a time, so that their rows stay near until they are full. */
INLINE void put_x(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, int64_t skip, int64_t n,
                  ls_dtype dtype, char *x)
{
    const int64_t n_features = mixture->n_features;
    const size_t row = (size_t)n_features * (dtype == LS_FLOAT32 ? sizeof(float) : sizeof(double));
    if (n_features == 2) {
        const int64_t done = put_pair(mixture, scratch, skip, n, 0, true, dtype, x);
        for (int64_t j = 0; j < 2; j++) put_column(mixture, scratch, skip, done, n, j, dtype, x);
        return;
    }
    enum { ROWS = 4 * VL };
    for (int64_t i = 0; i < n; i += ROWS) {
        const int64_t taken = n - i < ROWS ? n - i : ROWS;
        char *to = x + (size_t)i * row;
        int64_t j = 0;
        for (; j + 1 < n_features; j += 2) {
            const int64_t done = put_pair(mixture, scratch, skip + i, taken, j, false, dtype, to);
            put_column(mixture, scratch, skip + i, done, taken, j, dtype, to);
            put_column(mixture, scratch, skip + i, done, taken, j + 1, dtype, to);
        }
        if (j < n_features) put_column(mixture, scratch, skip + i, 0, taken, j, dtype, to);
    }
}

static void put(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, int64_t skip, int64_t n,
                ls_dtype dtype, void *x, ls_file_type y_type, void *y)
{
    if (dtype == LS_FLOAT32)
        put_x(mixture, scratch, skip, n, LS_FLOAT32, x);
    else
        put_x(mixture, scratch, skip, n, LS_FLOAT64, x);
    const int32_t *labels = scratch->labels + skip;
#define PUT_LABELS(type)                                                                                     \
    for (int64_t i = 0; i < n; i++) ((type *)y)[i] = (type)labels[i]
    switch (y_type) {
    case LS_FILE_UINT8:
        PUT_LABELS(uint8_t);
        break;
    case LS_FILE_INT64:
        PUT_LABELS(int64_t);
        break;
    case LS_FILE_FLOAT32:
        PUT_LABELS(float);
        break;
    case LS_FILE_FLOAT64:
        PUT_LABELS(double);
        break;
    }
}

extern const ls_philox_kernel LS_PHILOX_SYMBOL;
const ls_philox_kernel LS_PHILOX_SYMBOL = {.name = LS_PHILOX_ISA, .make = make, .put = put};
