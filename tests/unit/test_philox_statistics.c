/* Seeds are fixed: bounds of statistics are 5 standard deviations, which the values either keep or not. */
#include <math.h>
#include <stdlib.h>

#include "philox_unit.h"

static void assert_near(double found, double expected, double deviation)
{
    if (fabs(found - expected) > 5 * deviation)
        fail_msg("%.9g instead of %.9g +- %.3g", found, expected, deviation);
}

static void a_share_of_the_labels_is_redrawn(void **state)
{
    (void)state;
    enum { N = 200000, CLASSES = 3 };
    static const double rates[] = {1e-3, 0.01, 0.4, 1};
    static int64_t before[N], after[N];
    ls_make_classification p = defaults();
    p.n_samples = N;
    p.n_features = p.n_informative = 3;
    p.n_redundant = 0;
    p.n_classes = CLASSES;
    p.flip_y = 0;
    double *x = rows(&p, 0, N, before);
    for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++) {
        p.flip_y = rates[r];
        double *flipped_x = rows(&p, 0, N, after);
        assert_memory_equal(x, flipped_x, sizeof(double[N][3]));
        double count[CLASSES][CLASSES] = {{0}}, total[CLASSES] = {0};
        for (int i = 0; i < N; i++) {
            count[before[i]][after[i]]++;
            total[before[i]]++;
        }
        for (int from = 0; from < CLASSES; from++)
            for (int to = 0; to < CLASSES; to++) {
                if (from == to) continue;
                const double rate = p.flip_y / CLASSES;
                assert_near(count[from][to] / total[from], rate, sqrt(rate * (1 - rate) / total[from]));
            }
        free(flipped_x);
    }
    free(x);
}

static void normal_numbers_are_independent_and_normal(void **state)
{
    (void)state;
    enum { N = 400000, M = 5, LAGS = 5 };
    ls_make_classification p = defaults();
    p.n_samples = N;
    p.n_features = M + 1;
    p.n_informative = 1;
    p.n_redundant = 0;
    p.n_clusters_per_class = 1;
    p.shuffle = false;
    double *x = rows(&p, 0, N, NULL);
    for (int a = 1; a <= M; a++) {
        double moment[5] = {0};
        int64_t beyond[3] = {0};
        static const double tails[3] = {0.31731050786291410, 2.6997960632601891e-3, 6.3342483666239957e-5};
        for (int64_t i = 0; i < N; i++) {
            const double z = x[i * (M + 1) + a];
            for (int order = 1; order < 5; order++) moment[order] += pow(z, order) / N;
            beyond[0] += fabs(z) > 1;
            beyond[1] += fabs(z) > 3;
            beyond[2] += fabs(z) > 4;
        }
        assert_near(moment[1], 0, 1 / sqrt(N));
        assert_near(moment[2], 1, sqrt(2.0 / N));
        assert_near(moment[3], 0, sqrt(15.0 / N));
        assert_near(moment[4], 3, sqrt(96.0 / N));
        for (int t = 0; t < 3; t++) assert_near((double)beyond[t] / N, tails[t], sqrt(tails[t] / N));
        for (int b = 1; b <= M; b++)
            for (int lag = 0; lag < LAGS; lag++) {
                double product = 0, squares = 0;
                if (lag == 0 && b == a) continue;
                for (int64_t i = 0; i + lag < N; i++) {
                    const double z = x[i * (M + 1) + a], other = x[(i + lag) * (M + 1) + b];
                    product += z * other / N;
                    squares += (z * z - 1) * (other * other - 1) / N;
                }
                assert_near(product, 0, 1 / sqrt(N));
                assert_near(squares, 0, 2 / sqrt(N));
            }
    }
    free(x);
}

/* Clusters follow each other as in a random permutation: no correlation at any small lag, and counts in
 * blocks as scattered as draws without replacement. */
static void clusters_are_dealt_evenly(void **state)
{
    (void)state;
    enum { MOST = 1000000, PART = 200000 };
    /* The last three have digits of their own in the bijection: a part of the samples. */
    static const int64_t sizes[] = {
        1000, 4096, 65536, 100000, 1000000, (int64_t)3 << 31, (int64_t)1 << 46, (int64_t)1 << 60};
    static const int64_t lengths[] = {10, 64, 100, 316, 1000, 4096};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        const int64_t n = sizes[s] <= MOST ? sizes[s] : PART;
        ls_make_classification p = defaults();
        p.n_samples = sizes[s];
        p.n_features = 2;
        p.n_redundant = 0;
        p.flip_y = 0;
        p.n_clusters_per_class = 1;
        int64_t *y = malloc((size_t)n * sizeof *y);
        free(rows(&p, 0, n, y));
        for (int64_t lag = 1; lag < 1100 && lag < n / 2; lag += lag < 40 ? 1 : 53) {
            int64_t agree = 0;
            for (int64_t i = 0; i + lag < n; i++) agree += y[i] == y[i + lag] ? 1 : -1;
            assert_near((double)agree / (double)(n - lag), -1.0 / (double)sizes[s],
                        1 / sqrt((double)(n - lag)));
        }
        for (size_t l = 0; l < sizeof lengths / sizeof lengths[0]; l++) {
            const int64_t length = lengths[l], n_blocks = n / length;
            if (n_blocks < 16) continue;
            const double share = (double)length / (double)sizes[s],
                         variance = (double)length / 4 * (1 - share);
            double chi_square = 0;
            for (int64_t b = 0; b < n_blocks; b++) {
                int64_t ones = 0;
                for (int64_t i = b * length; i < (b + 1) * length; i++) ones += y[i];
                const double off = (double)ones - (double)length / 2;
                chi_square += off * off / variance;
            }
            assert_near(chi_square / (double)n_blocks, 1, sqrt(2.0 / (double)n_blocks));
        }
        free(y);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_of_the_labels_is_redrawn),
        cmocka_unit_test(normal_numbers_are_independent_and_normal),
        cmocka_unit_test(clusters_are_dealt_evenly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
