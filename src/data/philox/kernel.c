#include "data/philox/kernel.h"

#include "data/philox/vector.h"
#include "random/philox.h"

#define LOW_HALF    UINT64_C(0xffffffff)
#define ONE_BITS    UINT64_C(0x3ff0000000000000)
#define SQRT_HALF   0x1.6a09e667f3bcdp-1
#define MAGIC       0x1.8p52 /* added to a small integer puts it into the low bits */
#define LN_2_HIGH   0x1.62e42fefa39efp-1
#define LN_2_LOW    0x1.abc9e3b39803fp-56
#define COUNT_OF(a) ((int)(sizeof(a) / sizeof((a)[0])))

/* Minimax polynomials. For log: in s^2, as in engine/simd. For sin and cos of a quarter turn times g, |g| <=
 * 1/2: in g^2; errors below 5e-18 and 5e-17. */
static const double log_r[] = {0x1.0f6a9a3470da6p-3, 0x1.0f5bf60835854p-3, 0x1.3b20b4deb2efcp-3,
                               0x1.745cddff662ecp-3, 0x1.c71c7259aa3ebp-3, 0x1.249249242aaf5p-2,
                               0x1.9999999999e06p-2, 0x1.5555555555555p-1};
static const double sin_s[] = {0x1.e3f38399551bfp-25, -0x1.e30071afc3e59p-19, 0x1.50782fda12d96p-13,
                               -0x1.32d2cce2e5b19p-8, 0x1.466bc677587f8p-4,   -0x1.4abbce625be41p-1,
                               0x1.921fb54442d18p+0};
static const double cos_c[] = {0x1.f3dbcea61b1a4p-22,
                               -0x1.a6c9c1be9eb49p-16,
                               0x1.e1f4fb60281f6p-11,
                               -0x1.55d3c7dbfd139p-6,
                               0x1.03c1f081b0780p-2,
                               -0x1.3bd3cc9be458bp+0,
                               1.0};

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

INLINE void polynomial(const real x[TOGETHER], const double *c, int n, real p[TOGETHER])
{
    EACH(u) p[u] = all(c[0]);
    for (int i = 1; i < n; i++) EACH(u) p[u] = fma_(p[u], x[u], all(c[i]));
}

/* log(v) for 0 < v < 1, v normal. v = 2^k * (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), s = f / (2 + f),
 * log(1 + f) = 2 atanh(s). */
INLINE void log_(const real v[TOGETHER], real log[TOGETHER])
{
    const bits base = (bits)all(SQRT_HALF);
    real k[TOGETHER], f[TOGETHER], s[TOGETHER], z[TOGETHER], p[TOGETHER];
    EACH(u)
    {
        const bits from_base = (bits)v[u] - base;
        /* k <= 0; 1024 more until it has been shifted down. */
        k[u] = (real)(((from_base + (UINT64_C(1) << 62)) >> 52) + (bits)all(MAGIC - 1024)) - all(MAGIC);
        f[u] = (real)((from_base & ((UINT64_C(1) << 52) - 1)) + base) - all(1);
    }
    EACH(u) s[u] = f[u] / (all(2) + f[u]);
    EACH(u) z[u] = s[u] * s[u];
    polynomial(z, log_r, COUNT_OF(log_r), p);
    EACH(u)
    log[u] = fma_(k[u], all(LN_2_HIGH), f[u] - fma_(k[u], all(-LN_2_LOW), s[u] * (f[u] - z[u] * p[u])));
}

/* Two independent normal numbers from 128 bits by Box and Muller's transform. The first 52 bits choose one of
 * 2^52 numbers (2 m + 1) / 2^53 as the radius' probability, the next 52 and two more the angle. */
INLINE void normal_pairs(bits words[TOGETHER][4], real first[TOGETHER], real second[TOGETHER])
{
    bits angle[TOGETHER];
    real v[TOGETHER], length[TOGETHER], g[TOGETHER], square[TOGETHER], sine[TOGETHER], cosine[TOGETHER];
    EACH(u)
    {
        v[u] = (real)((join(words[u][0], words[u][1]) >> 12) | ONE_BITS) - all(1 - 0x1p-53);
        angle[u] = join(words[u][2], words[u][3]);
        g[u] = (real)((angle[u] >> 12) | ONE_BITS) - all(1.5);
        square[u] = g[u] * g[u];
    }
    log_(v, length);
    EACH(u) length[u] = sqrt_(all(-2) * length[u]);
    polynomial(square, sin_s, COUNT_OF(sin_s), sine);
    polynomial(square, cos_c, COUNT_OF(cos_c), cosine);
    EACH(u)
    {
        /* Whole quarter turns: 1 is (-sin, cos), 2 (-cos, -sin), 3 (sin, -cos). */
        const mask odd = (mask)(0 - (angle[u] & 1));
        const bits sine_sign = (angle[u] >> 1) << 63, cosine_sign = (angle[u] ^ (angle[u] >> 1)) << 63;
        sine[u] = g[u] * sine[u];
        first[u] = length[u] * (real)((bits)where(odd, sine[u], cosine[u]) ^ cosine_sign);
        second[u] = length[u] * (real)((bits)where(odd, cosine[u], sine[u]) ^ sine_sign);
    }
}

/* A Feistel network over [0, rows) x [0, columns): the halves take turns in being moved round by a hash of
 * the other one. */
INLINE void move(bits half[TOGETHER], const bits other[TOGETHER], uint32_t key, bits n)
{
    bits hash[TOGETHER];
    EACH(u) hash[u] = multiply(other[u] ^ all_bits(key), all_bits(0x9E3779B1u));
    EACH(u) hash[u] ^= hash[u] >> 32;
    EACH(u) hash[u] = multiply(hash[u], all_bits(0x85EBCA6Bu));
    EACH(u) hash[u] = multiply(hash[u], n);
    EACH(u) half[u] = wrap(half[u] + (hash[u] >> 32), n);
}

/* The places of samples (row, column) in the undealt order: walks along the network's cycle until it is below
 * n_samples. The lanes of samples that do not exist come out anyhow. */
INLINE void deal(const ls_philox_mixture *mixture, bits row[TOGETHER], bits column[TOGETHER],
                 const bits sample[TOGETHER], bits place[TOGETHER])
{
    const bits rows = all_bits(mixture->deal_rows), columns = all_bits(mixture->deal_columns);
    const mask n = (mask)all_bits(mixture->n_samples);
    mask pending[TOGETHER], left;
    EACH(u) pending[u] = (mask)sample[u] < n;
    EACH(u) place[u] = sample[u];
    do {
        for (int round = 0; round < LS_PHILOX_DEAL_ROUNDS; round += 2) {
            move(row, column, mixture->deal_keys[round], rows);
            move(column, row, mixture->deal_keys[round + 1], columns);
        }
        left = (mask){0};
        EACH(u)
        {
            const mask reached = (mask)(multiply(row[u], columns) + column[u]);
            place[u] = (bits)((pending[u] & reached) | (~pending[u] & (mask)place[u]));
            pending[u] &= reached >= n;
            left |= pending[u];
        }
    } while (__builtin_expect(any(left), 0));
}

/* Number of stops at or below the place, the last stop left out. */
static uint64_t cluster_at(const ls_philox_mixture *mixture, int64_t place)
{
    int64_t low = 0, high = mixture->n_clusters - 1;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (mixture->stops[middle] <= place)
            low = middle + 1;
        else
            high = middle;
    }
    return (uint64_t)low;
}

INLINE bits clusters_at(const ls_philox_mixture *mixture, bits place)
{
    bits cluster = {0};
    if (mixture->n_clusters <= LS_PHILOX_FEW_CLUSTERS) {
        for (int64_t c = 0; c + 1 < mixture->n_clusters; c++)
            cluster -= (bits)((mask)place >= (mask)all_bits((uint64_t)mixture->stops[c]));
    } else {
        for (int i = 0; i < VL; i++) cluster[i] = cluster_at(mixture, (int64_t)place[i]);
    }
    return cluster;
}

static void choose_clusters(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch,
                            uint64_t first, int64_t n)
{
    const bits lanes = lane_numbers();
    if (!mixture->dealt) {
        for (int64_t i = 0; i < n; i += VL)
            store_bits(scratch->clusters + i, clusters_at(mixture, all_bits(first + (uint64_t)i) + lanes));
        return;
    }
    const uint64_t n_columns = mixture->deal_columns;
    uint64_t row = first / n_columns, column = first % n_columns;
    for (int64_t i = 0; i < n; i += TOGETHER * VL) {
        bits rows[TOGETHER], columns[TOGETHER], samples[TOGETHER], places[TOGETHER];
        EACH(u)
        {
            const bits at = all_bits(column) + lanes;
            const bits next_row =
                (bits)((mask)at >= (mask)all_bits(n_columns)); /* -1 where the row has ended */
            rows[u] = all_bits(row) - next_row;
            columns[u] = at - (next_row & n_columns);
            samples[u] = all_bits(first + (uint64_t)(i + u * VL)) + lanes;
            column += VL;
            if (column >= n_columns) {
                column -= n_columns;
                row++;
            }
        }
        deal(mixture, rows, columns, samples, places);
        EACH(u) store_bits(scratch->clusters + i + u * VL, clusters_at(mixture, places[u]));
    }
}

enum { AT_ONCE = 32 }; /* divides LS_PHILOX_GRAIN */

static void choose_labels(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, uint64_t first,
                          int64_t n)
{
    int32_t *labels = scratch->labels;
    if (mixture->n_classes == 2) { /* clusters take the classes in turn */
        for (int64_t i = 0; i < n; i++) labels[i] = (int32_t)(scratch->clusters[i] & 1);
    } else {
        for (int64_t i = 0; i < n; i++) labels[i] = mixture->classes[scratch->clusters[i]];
    }
    if (mixture->flip_below == 0) return;
    uint32_t *words = scratch->words; /* sample i has word i % 4 of index i / 4 */
    for (int64_t i = 0; i < n; i += TOGETHER * 4 * VL) {
        bits index[TOGETHER], out[TOGETHER][4];
        EACH(u) index[u] = all_bits((first + (uint64_t)i) / 4 + (uint64_t)(u * VL)) + lane_numbers();
        philox(mixture->seed, LS_STREAM_LABELS, 0, index, out);
        EACH(u)
        {
            real pairs[2];
            interleave((real)join(out[u][0], out[u][1]), (real)join(out[u][2], out[u][3]), pairs);
            store(words + i + u * 4 * VL, pairs[0]);
            store(words + i + u * 4 * VL + 2 * VL, pairs[1]);
        }
    }
    const uint32_t last = (uint32_t)(mixture->flip_below - 1);
    const double class_per_word = mixture->class_per_word;
    for (int64_t at = 0; at < n; at += AT_ONCE) {
        uint32_t redrawn = 0;
        for (int64_t i = at; i < at + AT_ONCE; i++) redrawn |= words[i] <= last;
        if (!redrawn) continue; /* few are, usually */
        for (int64_t i = at; i < at + AT_ONCE; i++) {
            const uint32_t word =
                words[i] <= last ? words[i] : 0; /* others might leave the range of a class */
            const int32_t drawn = (int32_t)((double)word * class_per_word);
            labels[i] = words[i] <= last ? drawn : labels[i];
        }
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
        for (int64_t i = 0; i < n; i += TOGETHER * VL) {
            bits index[TOGETHER], words[TOGETHER][4];
            real cosine[TOGETHER], sine[TOGETHER];
            EACH(u) index[u] = all_bits(first + (uint64_t)(i + u * VL)) + lane_numbers();
            philox(mixture->seed, LS_STREAM_SAMPLES, (uint32_t)(j / 2), index, words);
            normal_pairs(words, cosine, sine);
            EACH(u) store(odd + i + u * VL, sine[u]);
            EACH(u) store(even + i + u * VL, cosine[u]);
        }
    }
}

/* Informative columns of few clusters and few features, whose parameters each lane looks up. */
INLINE void mix_few(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, int64_t n, int k)
{
    enum { LANES = LS_PHILOX_FEW_CLUSTERS };
    for (int64_t i = 0; i < n; i += VL) {
        const bits cluster = load_bits(scratch->clusters + i);
        for (int j = 0; j < k; j++) {
            real sum = look_up(mixture->few + j * LANES, cluster);
            for (int l = 0; l < k; l++)
                sum = fma_(load(scratch->normals + l * scratch->capacity + i),
                           look_up(mixture->few + (k + l * k + j) * LANES, cluster), sum);
            store(scratch->columns + j * scratch->capacity + i, sum);
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

/* Two columns side by side, the bulk of them; returns how many rows. */
INLINE int64_t put_pairs(const ls_philox_mixture *mixture, const double *const columns[2], int64_t n,
                         ls_dtype dtype, void *x)
{
    const real shift[2] = {all(mixture->shift[0]), all(mixture->shift[1])};
    const real scale[2] = {all(mixture->scale[0]), all(mixture->scale[1])};
    int64_t i = 0;
    for (; i + VL <= n; i += VL) {
        real pairs[2];
        interleave((load(columns[0] + i) + shift[0]) * scale[0], (load(columns[1] + i) + shift[1]) * scale[1],
                   pairs);
        for (int half = 0; half < 2; half++) {
            if (dtype == LS_FLOAT32)
                store_float((float *)x + 2 * i + half * VL, pairs[half]);
            else
                store((double *)x + 2 * i + half * VL, pairs[half]);
        }
    }
    return i;
}

static void put_x(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, int64_t skip, int64_t n,
                  ls_dtype dtype, void *x)
{
    const int64_t n_features = mixture->n_features;
    int64_t done = 0;
    if (n_features == 2) {
        const double *const columns[2] = {scratch->columns + mixture->sources[0] * scratch->capacity + skip,
                                          scratch->columns + mixture->sources[1] * scratch->capacity + skip};
        done = dtype == LS_FLOAT32 ? put_pairs(mixture, columns, n, LS_FLOAT32, x)
                                   : put_pairs(mixture, columns, n, LS_FLOAT64, x);
    }
    for (int64_t j = 0; j < n_features; j++) {
        const double *column = scratch->columns + mixture->sources[j] * scratch->capacity + skip;
        const double shift = mixture->shift[j], scale = mixture->scale[j];
        if (dtype == LS_FLOAT32) {
            float *to = (float *)x + j;
            for (int64_t i = done; i < n; i++) to[i * n_features] = (float)((column[i] + shift) * scale);
        } else {
            double *to = (double *)x + j;
            for (int64_t i = done; i < n; i++) to[i * n_features] = (column[i] + shift) * scale;
        }
    }
}

static void put(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, int64_t skip, int64_t n,
                ls_dtype dtype, void *x, ls_file_type y_type, void *y)
{
    put_x(mixture, scratch, skip, n, dtype, x);
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
