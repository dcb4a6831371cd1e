/* What it would bring to send a layer's gradient while those below are computed.
 *   limit_overlap LOCAL_BATCH CHUNKS WIDTH,WIDTH,...
 * Two ranks do the matrix products of a step in chunks of rows, as lockstep does, and exchange their
 * gradients: after all of them, or each as soon as the last chunk has added to it, with a look at the
 * messages between any two products. Prints "AFTER BETWEEN ALONE BARE" in seconds a step: both ways, the
 * exchange alone, the products alone; medians of rounds in which they take turns, of the slower rank. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cblas.h>
#include <mpi.h>

enum { ROUNDS = 15, MAX_LAYERS = 16, WAYS = 4 };

typedef struct network {
    int n, rows, chunks, width[MAX_LAYERS];
    size_t weights[MAX_LAYERS];
    float *x[MAX_LAYERS], *delta[MAX_LAYERS], *kernel[MAX_LAYERS], *gradient[MAX_LAYERS], *other[MAX_LAYERS];
    MPI_Request requests[2 * MAX_LAYERS];
    int n_requests, partner;
} network;

static float *make_floats(size_t n)
{
    float *values = aligned_alloc(64, (n * sizeof *values + 63) / 64 * 64);
    if (!values) MPI_Abort(MPI_COMM_WORLD, 1);
    for (size_t i = 0; i < n; i++) values[i] = (float)(i % 17) * 1e-3f;
    return values;
}

static void look(network *net)
{
    int done;
    MPI_Testall(net->n_requests, net->requests, &done, MPI_STATUSES_IGNORE);
}

static void send(network *net, int l)
{
    MPI_Irecv(net->other[l], (int)net->weights[l], MPI_FLOAT, net->partner, l, MPI_COMM_WORLD,
              &net->requests[net->n_requests++]);
    MPI_Isend(net->gradient[l], (int)net->weights[l], MPI_FLOAT, net->partner, l, MPI_COMM_WORLD,
              &net->requests[net->n_requests++]);
}

/* The sums of both ranks. */
static void receive(network *net)
{
    MPI_Waitall(net->n_requests, net->requests, MPI_STATUSES_IGNORE);
    net->n_requests = 0;
    for (int l = 1; l < net->n; l++)
        for (size_t i = 0; i < net->weights[l]; i++) net->gradient[l][i] += net->other[l][i];
}

static void multiply(network *net, int between)
{
    for (int chunk = 0; chunk < net->chunks; chunk++) {
        const int rows = net->rows;
        for (int l = 1; l < net->n; l++)
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, net->width[l], net->width[l - 1], 1,
                        net->x[l - 1], net->width[l - 1], net->kernel[l], net->width[l], 0, net->x[l],
                        net->width[l]);
        for (int l = net->n - 1; l > 0; l--) {
            cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, net->width[l - 1], net->width[l], rows, 1,
                        net->x[l - 1], net->width[l - 1], net->delta[l], net->width[l], chunk > 0,
                        net->gradient[l], net->width[l]);
            if (between && chunk == net->chunks - 1) send(net, l);
            if (l > 1)
                cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, net->width[l - 1], net->width[l],
                            1, net->delta[l], net->width[l], net->kernel[l], net->width[l], 0,
                            net->delta[l - 1], net->width[l - 1]);
            if (between) look(net);
        }
    }
}

static void send_all(network *net)
{
    for (int l = net->n - 1; l > 0; l--) send(net, l);
    receive(net);
}

static void run(network *net, int way)
{
    if (way == 2) {
        send_all(net);
        return;
    }
    multiply(net, way == 1);
    if (way == 0) send_all(net);
    if (way == 1) receive(net);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    network net = {0};
    int rank, ranks;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    if (argc != 4 || ranks != 2) {
        if (rank == 0) fprintf(stderr, "usage, on two ranks: limit_overlap LOCAL_BATCH CHUNKS WIDTH,...\n");
        MPI_Finalize();
        return 2;
    }
    net.partner = 1 - rank;
    net.chunks = atoi(argv[2]);
    net.rows = atoi(argv[1]) / net.chunks;
    for (char *at = argv[3]; *at && net.n < MAX_LAYERS; at += *at == ',', net.n++) {
        const int l = net.n;
        net.width[l] = (int)strtol(at, &at, 10);
        net.x[l] = make_floats((size_t)net.rows * (size_t)net.width[l]);
        net.delta[l] = make_floats((size_t)net.rows * (size_t)net.width[l]);
        if (l == 0) continue;
        net.weights[l] = (size_t)net.width[l - 1] * (size_t)net.width[l];
        net.kernel[l] = make_floats(net.weights[l]);
        net.gradient[l] = make_floats(net.weights[l]);
        net.other[l] = make_floats(net.weights[l]);
    }
    double seconds[WAYS][ROUNDS];
    for (int round = -1; round < ROUNDS; round++)
        for (int way = 0; way < WAYS; way++) {
            MPI_Barrier(MPI_COMM_WORLD);
            double mine = MPI_Wtime(), slower;
            run(&net, way);
            mine = MPI_Wtime() - mine;
            MPI_Allreduce(&mine, &slower, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
            if (round >= 0) seconds[way][round] = slower;
        }
    for (int way = 0; way < WAYS; way++) {
        qsort(seconds[way], ROUNDS, sizeof(double), compare);
        if (rank == 0) printf("%.6g%c", seconds[way][ROUNDS / 2], way < WAYS - 1 ? ' ' : '\n');
    }
    MPI_Finalize();
    return 0;
}
