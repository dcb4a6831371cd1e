/* Parts of a training step by themselves, on all ranks at once.
 *   limit_parts gemm LOCAL_BATCH WIDTH,WIDTH,...   the matrix products of a step, without the output layer
 *   limit_parts allreduce BYTES                    MPI_Allreduce of floats
 *   limit_parts triad MEGABYTES                    a = b + s c on three arrays of this size; prints bytes/s
 * of all ranks The others print the seconds of one pass. It is the median of several timings, each that of
 * the slowest rank. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cblas.h>
#include <mpi.h>

enum { TIMINGS = 9, MAX_LAYERS = 16 };

static float *make_floats(size_t n)
{
    float *values = aligned_alloc(64, (n * sizeof *values + 63) / 64 * 64);
    if (!values) MPI_Abort(MPI_COMM_WORLD, 1);
    for (size_t i = 0; i < n; i++) values[i] = (float)(i % 17) * 0.01f + 0.1f;
    return values;
}

typedef struct layers {
    int n, batch, width[MAX_LAYERS];
    float *x[MAX_LAYERS], *delta[MAX_LAYERS], *kernel[MAX_LAYERS], *gradient[MAX_LAYERS];
} layers;

static void make_layers(layers *net, const char *batch, const char *widths)
{
    net->batch = atoi(batch);
    net->n = 0;
    for (char *at = (char *)widths; *at && net->n < MAX_LAYERS; at += *at == ',') {
        net->width[net->n] = (int)strtol(at, &at, 10);
        net->x[net->n] = make_floats((size_t)net->batch * (size_t)net->width[net->n]);
        net->delta[net->n] = make_floats((size_t)net->batch * (size_t)net->width[net->n]);
        if (net->n > 0) {
            const size_t weights = (size_t)net->width[net->n - 1] * (size_t)net->width[net->n];
            net->kernel[net->n] = make_floats(weights);
            net->gradient[net->n] = make_floats(weights);
        }
        net->n++;
    }
}

static void gemms(const layers *net)
{
    const int batch = net->batch;
    for (int l = 1; l < net->n; l++) {
        const int in = net->width[l - 1], out = net->width[l];
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, batch, out, in, 1, net->x[l - 1], in,
                    net->kernel[l], out, 0, net->x[l], out);
    }
    for (int l = net->n - 1; l > 0; l--) {
        const int in = net->width[l - 1], out = net->width[l];
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, in, out, batch, 1, net->x[l - 1], in,
                    net->delta[l], out, 0, net->gradient[l], out);
        if (l > 1)
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, batch, in, out, 1, net->delta[l], out,
                        net->kernel[l], out, 0, net->delta[l - 1], in);
    }
}

typedef struct work {
    layers net;
    int n_floats;
    float *a, *b, *c;
} work;

static void run_gemm(work *w)
{
    gemms(&w->net);
}

static void run_allreduce(work *w)
{
    MPI_Allreduce(w->a, w->b, w->n_floats, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
}

static void run_triad(work *w)
{
    const float *restrict b = w->b, *restrict c = w->c;
    float *restrict a = w->a;
    for (int i = 0; i < w->n_floats; i++) a[i] = b[i] + 0.5f * c[i];
}

/* Seconds of n passes on the slowest rank. */
static double time_passes(void (*run)(work *), work *w, int n)
{
    MPI_Barrier(MPI_COMM_WORLD);
    double begin = MPI_Wtime(), slowest;
    for (int i = 0; i < n; i++) run(w);
    double seconds = MPI_Wtime() - begin;
    MPI_Allreduce(&seconds, &slowest, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
    return slowest;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Every timing takes at least 20 ms. */
static double measure(void (*run)(work *), work *w)
{
    run(w);
    int n = 1;
    while (time_passes(run, w, n) < 0.02) n *= 2;
    double seconds[TIMINGS];
    for (int i = 0; i < TIMINGS; i++) seconds[i] = time_passes(run, w, n) / n;
    qsort(seconds, TIMINGS, sizeof *seconds, compare);
    return seconds[TIMINGS / 2];
}

int main(int argc, char **argv)
{
    MPI_Init(&argc, &argv);
    int rank, ranks;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    work w = {0};
    double result;
    if (argc == 4 && !strcmp(argv[1], "gemm")) {
        make_layers(&w.net, argv[2], argv[3]);
        result = measure(run_gemm, &w);
    } else if (argc == 3 && !strcmp(argv[1], "allreduce")) {
        w.n_floats = atoi(argv[2]) / 4;
        w.a = make_floats((size_t)w.n_floats), w.b = make_floats((size_t)w.n_floats);
        result = measure(run_allreduce, &w);
    } else if (argc == 3 && !strcmp(argv[1], "triad")) {
        w.n_floats = atoi(argv[2]) * (1 << 18);
        w.a = make_floats((size_t)w.n_floats), w.b = make_floats((size_t)w.n_floats);
        w.c = make_floats((size_t)w.n_floats);
        result = 12.0 * w.n_floats * ranks / measure(run_triad, &w);
    } else {
        if (rank == 0)
            fprintf(stderr,
                    "usage: limit_parts gemm LOCAL_BATCH WIDTH,... | allreduce BYTES | triad MEGABYTES\n");
        MPI_Finalize();
        return 2;
    }
    if (rank == 0) printf("%.9g\n", result);
    MPI_Finalize();
    return 0;
}
