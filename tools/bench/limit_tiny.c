/* What a hand-written loop reaches on the network [2,2] with two features, float32: forward, backward,
 * update, and the sum of the losses and the counts that training has. limit_tiny DIRECTORY BATCH SAMPLES
 * EPOCHS RATE reads x.f32, y.f32 and w.f32 in DIRECTORY and prints a line "SECONDS LOSS PRECISION" for each
 * epoch.
 *
 * The build defines LANES, the samples of a vector. Nothing here is general: the widths are in the code, rows
 * are packed before the clock starts, and the sums of a batch stay in registers. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef float vec __attribute__((vector_size(4 * LANES)));
typedef int32_t bits __attribute__((vector_size(4 * LANES)));

#define INLINE static inline __attribute__((always_inline))

enum {
    PARAMETERS = 15,
    ABREAST = 8,    /* vectors that go through the network together, to hide latencies */
    SUMS = 16,      /* a whole number of vectors */
    ROWS = 3,       /* of a packed vector: two features, the label */
    NORMALISE = 64, /* vectors until the product of factors <= 2 is brought back to [1, 2) */
};

typedef struct measures {
    vec product; /* of 1 + exp(-|z|), without its exponent; the loss has its logarithm */
    bits exponent;
    vec linear; /* the rest of the loss, max(z, 0) - zy */
    bits predicted, true_positive;
} measures;

INLINE vec all(float x)
{
    return x - (vec){0};
}

INLINE vec where(bits mask, vec a, vec b)
{
    return (vec)((mask & (bits)a) | (~mask & (bits)b));
}

INLINE vec clamp(vec x, float limit)
{
    x = where(x > all(limit), all(limit), x);
    return where(x < all(-limit), all(-limit), x);
}

/* exp(x) - 1 as 2^n (expm1(r) + 1) - 1 with |r| <= log(2) / 2. */
INLINE vec exp_minus_1(vec x)
{
    const vec magic = all(0x1.8p23f), shifted = x * 0x1.715476p0f + magic, n = shifted - magic;
    const vec r = (x - n * 0x1.62e4p-1f) - n * 0x1.7f7d1cp-20f;
    vec q = r * 0x1.6850e4p-10f + 0x1.123bccp-7f;
    q = q * r + 0x1.555b98p-5f;
    q = q * r + 0x1.55548ep-3f;
    q = q * r + 0x1.fffff8p-2f;
    const vec power = (vec)(((bits)shifted << 23) + (bits)all(1));
    return power * (r * r * q + r) + (power - 1);
}

INLINE vec tanh_of(vec x)
{
    const vec e = exp_minus_1(clamp(x + x, 20));
    return e / (e + 2);
}

#if LANES == 16
#define EVEN_PAIRS  0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30
#define EVEN_BLOCKS 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27
#else
#define EVEN_PAIRS  0, 2, 8, 10, 4, 6, 12, 14
#define EVEN_BLOCKS 0, 1, 2, 3, 8, 9, 10, 11
#endif

/* Sums of neighbours in a, then in b. */
INLINE vec add_pairs(vec a, vec b)
{
    const bits even = {EVEN_PAIRS};
    return __builtin_shuffle(a, b, even) + __builtin_shuffle(a, b, even + 1);
}

/* The same for blocks of four. */
INLINE vec add_blocks(vec a, vec b)
{
    const bits even = {EVEN_BLOCKS};
    return __builtin_shuffle(a, b, even) + __builtin_shuffle(a, b, even + 4);
}

/* parameters -= factor * the sums over all lanes of g. */
INLINE void update(float *parameters, const vec *g, float factor)
{
    vec four[SUMS / 4];
    for (int i = 0; i < SUMS / 4; i++)
        four[i] = add_pairs(add_pairs(g[4 * i], g[4 * i + 1]), add_pairs(g[4 * i + 2], g[4 * i + 3]));
#if LANES == 16
    const vec sums[1] = {add_blocks(add_blocks(four[0], four[1]), add_blocks(four[2], four[3]))};
#else
    const vec sums[2] = {add_blocks(four[0], four[1]), add_blocks(four[2], four[3])};
#endif
    for (int i = 0; i < SUMS / LANES; i++) {
        vec p;
        memcpy(&p, parameters + i * LANES, sizeof p);
        p -= factor * sums[i];
        memcpy(parameters + i * LANES, &p, sizeof p);
    }
}

INLINE void normalise(measures *m)
{
    m->exponent += ((bits)m->product >> 23) - 127;
    m->product = (vec)(((bits)m->product & 0x7fffff) | (bits)all(1));
}

/* Two units of a layer: out = tanh(w in + bias) for n vectors. */
INLINE void forward_layer(int n, const float *w, vec in[2][ABREAST], vec out[2][ABREAST])
{
    for (int j = 0; j < 2; j++)
        for (int k = 0; k < n; k++)
            out[j][k] = tanh_of(in[0][k] * w[3 * j] + (in[1][k] * w[3 * j + 1] + w[3 * j + 2]));
}

/* g += the gradient of two units with these inputs and derivatives. */
INLINE void add_gradient(int n, vec *g, vec in[2][ABREAST], vec delta[2][ABREAST])
{
    for (int j = 0; j < 2; j++)
        for (int k = 0; k < n; k++) {
            g[3 * j] += in[0][k] * delta[j][k];
            g[3 * j + 1] += in[1][k] * delta[j][k];
            g[3 * j + 2] += delta[j][k];
        }
}

/* n vectors from packed on. The parameters lie as in w.f32: for each unit its weights, then its bias. */
INLINE void add_vectors(int n, const vec *packed, const float *w, vec *g, measures *m)
{
    vec x[2][ABREAST], a[2][ABREAST], b[2][ABREAST], da[2][ABREAST], db[2][ABREAST], d[ABREAST];
    for (int k = 0; k < n; k++) x[0][k] = packed[k * ROWS], x[1][k] = packed[k * ROWS + 1];
    forward_layer(n, w, x, a);
    forward_layer(n, w + 6, a, b);
    for (int k = 0; k < n; k++) {
        const vec y = packed[k * ROWS + 2], z = b[0][k] * w[12] + (b[1][k] * w[13] + w[14]);
        /* Both p and the loss come from e = exp(-|z|). */
        const bits positive = z > all(0);
        const vec e_minus_1 = exp_minus_1(-clamp((vec)((bits)z & 0x7fffffff), 80));
        const vec reciprocal = 1 / (e_minus_1 + 2);
        d[k] = where(positive, reciprocal, 1 - reciprocal) - y;
        m->product *= e_minus_1 + 2;
        m->linear += where(positive, z, all(0)) - z * y;
        m->predicted -= positive;
        m->true_positive -= positive & (y > all(0));
    }
    for (int j = 0; j < 2; j++)
        for (int k = 0; k < n; k++) db[j][k] = d[k] * w[12 + j] * (1 - b[j][k] * b[j][k]);
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < n; k++)
            da[i][k] = (db[0][k] * w[6 + i] + db[1][k] * w[9 + i]) * (1 - a[i][k] * a[i][k]);
    add_gradient(n, g, x, da);
    add_gradient(n, g + 6, a, db);
    for (int k = 0; k < n; k++) g[12] += b[0][k] * d[k], g[13] += b[1][k] * d[k], g[14] += d[k];
}

INLINE void step(const vec *packed, int64_t n_vectors, float *w, float factor, measures *m)
{
    vec g[SUMS] = {0};
    int64_t v = 0;
    for (; v + ABREAST <= n_vectors; v += ABREAST) {
        add_vectors(ABREAST, packed + v * ROWS, w, g, m);
        if (v / ABREAST % (NORMALISE / ABREAST) == 0) normalise(m);
    }
    for (; v < n_vectors; v++) add_vectors(1, packed + v * ROWS, w, g, m);
    normalise(m);
    update(w, g, factor);
}

static float *read_floats(const char *directory, const char *name, size_t n)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    float *values = malloc(n * sizeof *values);
    FILE *file = fopen(path, "rb");
    if (!values || !file || fread(values, sizeof *values, n, file) != n) {
        fprintf(stderr, "limit_tiny: cannot read %zu numbers of %s\n", n, path);
        exit(1);
    }
    fclose(file);
    return values;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double total(bits counts)
{
    double sum = 0;
    for (int i = 0; i < LANES; i++) sum += counts[i];
    return sum;
}

/* The sum of the losses so far; begins a new one. */
static double take_loss(measures *m)
{
    double loss = 0;
    for (int i = 0; i < LANES; i++)
        loss += (double)m->linear[i] + log((double)m->product[i]) + m->exponent[i] * log(2);
    m->product = all(1);
    m->linear = all(0);
    m->exponent = (bits){0};
    return loss;
}

static void run(const vec *packed, const float *weights, int64_t batch, int64_t samples, int64_t epochs,
                float rate)
{
    _Alignas(64) float w[SUMS] = {0};
    memcpy(w, weights, PARAMETERS * sizeof *w);
    const int64_t n_vectors = batch / LANES;
    const float factor = rate / (float)batch;
    for (int64_t epoch = 0; epoch < epochs; epoch++) {
        measures m = {.product = all(1)};
        double loss = 0;
        const double begin = now();
        for (int64_t i = 0; i < samples / batch; i++) {
            step(packed + i * n_vectors * ROWS, n_vectors, w, factor, &m);
            if (i % 128 == 127) loss += take_loss(&m); /* before a float sum loses digits */
        }
        const double seconds = now() - begin;
        loss += take_loss(&m);
        printf("%.9f %.9f %.9f\n", seconds, loss / (double)samples,
               total(m.true_positive) / total(m.predicted));
    }
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: limit_tiny DIRECTORY BATCH SAMPLES EPOCHS RATE\n");
        return 2;
    }
    const int64_t batch = atoll(argv[2]), samples = atoll(argv[3]), epochs = atoll(argv[4]);
    if (batch < 1 || batch % LANES || samples % batch) {
        fprintf(stderr, "limit_tiny: whole batches of whole vectors of %d samples only\n", LANES);
        return 2;
    }
    const float *x = read_floats(argv[1], "x.f32", 2 * (size_t)samples),
                *y = read_floats(argv[1], "y.f32", (size_t)samples);
    const float *weights = read_floats(argv[1], "w.f32", PARAMETERS);
    vec *packed = aligned_alloc(64, (size_t)(samples / LANES * ROWS) * sizeof *packed);
    if (!packed) return 1;
    for (int64_t i = 0; i < samples; i++) {
        vec *at = packed + i / LANES * ROWS;
        at[0][i % LANES] = x[2 * i];
        at[1][i % LANES] = x[2 * i + 1];
        at[2][i % LANES] = y[i];
    }
    const float rate = strtof(argv[5], NULL);
    run(packed, weights, batch, samples, epochs, rate);
    return 0;
}
