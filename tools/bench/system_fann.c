/* FANN: plain gradient descent by batches, one sample after the other.
 *   system_fann DIRECTORY FEATURES UNITS,UNITS,... BATCH SAMPLES EPOCHS RATE
 * reads x.f32, y.f32 and w.f32 in DIRECTORY and prints a line "SECONDS LOSS" for each epoch.
 *
 * The calls are those of FANN's own fann_train_epoch_batch. Two things differ from the other systems: FANN
 * knows only the squared error, so its output error is replaced by that of the cross-entropy; and its
 * derivative of tanh is never below 0.04. */
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <floatfann.h>
/* Not part of fann.h, but installed with it. */
#include <fann_internal.h>

enum { MAX_LAYERS = 32 };

static float *read_floats(const char *directory, const char *name, size_t n)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    float *values = malloc(n * sizeof *values);
    FILE *file = fopen(path, "rb");
    if (!values || !file || fread(values, sizeof *values, n, file) != n) {
        fprintf(stderr, "system_fann: cannot read %zu numbers of %s\n", n, path);
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

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: system_fann DIRECTORY FEATURES UNITS,... BATCH SAMPLES EPOCHS RATE\n");
        return 2;
    }
    const size_t features = strtoul(argv[2], NULL, 10), batch = strtoul(argv[4], NULL, 10);
    const size_t samples = strtoul(argv[5], NULL, 10), epochs = strtoul(argv[6], NULL, 10);
    unsigned int layers[MAX_LAYERS] = {(unsigned int)features}, n_layers = 1;
    for (char *at = argv[3]; *at && n_layers < MAX_LAYERS - 1; at += *at == ',')
        layers[n_layers++] = (unsigned int)strtoul(at, &at, 10);
    layers[n_layers++] = 1;

    struct fann *net = fann_create_standard_array(n_layers, layers);
    if (!net) return 1;
    fann_set_activation_function_hidden(net, FANN_SIGMOID_SYMMETRIC); /* tanh(steepness x) */
    fann_set_activation_steepness_hidden(net, 1);
    fann_set_activation_function_output(net, FANN_SIGMOID); /* 1 / (1 + exp(-2 steepness x)) */
    fann_set_activation_steepness_output(net, 0.5f);
    fann_set_learning_rate(net, strtof(argv[7], NULL));
    const unsigned int n_weights = fann_get_total_connections(net);
    float *x = read_floats(argv[1], "x.f32", samples * features), *y = read_floats(argv[1], "y.f32", samples);
    float *weights = read_floats(argv[1], "w.f32", n_weights);
    for (unsigned int i = 0; i < n_weights; i++) net->weights[i] = weights[i];
    const ptrdiff_t output = (net->last_layer - 1)->first_neuron - net->first_layer->first_neuron;

    for (size_t epoch = 0; epoch < epochs; epoch++) {
        const double begin = now();
        double loss = 0;
        for (size_t first = 0; first < samples; first += batch) {
            for (size_t i = first; i < first + batch; i++) {
                const float p = *fann_run(net, x + i * features);
                fann_compute_MSE(net, y + i);
                net->train_errors[output] = y[i] - p;
                fann_backpropagate_MSE(net);
                fann_update_slopes_batch(net, net->first_layer + 1, net->last_layer - 1);
                loss -= (double)logf(fmaxf(y[i] > 0 ? p : 1 - p, 1e-7f));
            }
            fann_update_weights_batch(net, (unsigned int)batch, 0, n_weights);
        }
        const double seconds = now() - begin;
        printf("%.9f %.9f\n", seconds, loss / (double)samples);
    }
    fann_destroy(net);
    free(x);
    free(y);
    free(weights);
    return 0;
}
