/* Known answers of scikit-learn 1.9 on a CPU with AVX-512; the wide comparison is
 * tests/parity/sklearn_data.py. */
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "data/make_classification.h"
#include "unit.h"

static void assert_row_equal(const double *found, const double *expected, size_t n)
{
    assert_memory_equal(found, expected, n * sizeof *found);
}

static void default_parameters_equal_scikit_learn(void **state)
{
    (void)state;
    static const double expected[6][5] = {
        {0x1.b7c74f505e8b8p-2, -0x1.72fee17300c82p+0, 0x1.0ca54093f6eb6p+0, 0x1.e1e4098ca965fp-8,
         0x1.7de055ed3b7ddp-1},
        {0x1.c062012c20ebcp+0, -0x1.ae11f233c35fep+0, -0x1.7c2ff9c490f67p-1, -0x1.8a57f7c48cdf3p-5,
         0x1.16dc3ab209261p-1},
        {-0x1.286060bb9f752p-1, -0x1.5a881835f3a80p+0, 0x1.128d670d0db6cp+0, 0x1.a31f72c2bb485p-5,
         0x1.e4c2c69a8b414p-1},
        {-0x1.5784cc79a0318p+0, 0x1.e287e6c1ad003p-1, -0x1.a6ace3cbb8d52p+0, 0x1.62419edf81328p-5,
         -0x1.b5f18091d43f0p-3},
        {0x1.654adabda6a6cp-1, 0x1.d350dda5f856dp-1, 0x1.1223cbed7a500p-1, -0x1.8c77f3264ca3fp-5,
         -0x1.6f0ca3f390a6ap-1},
        {-0x1.031b4218e3dd8p+0, -0x1.3f5c9563dc4e6p+0, -0x1.aa783e66ab623p-2, 0x1.19beb1b4679b1p-4,
         0x1.fd4da81131d2cp-1},
    };
    static const int64_t labels[6] = {0, 1, 1, 0, 1, 0};
    ls_make_classification parameters;
    ls_make_classification_defaults(&parameters);
    parameters.n_samples = 6;
    parameters.n_features = 5;
    parameters.random_state = 7;
    double x[6][5];
    int64_t y[6];
    assert_int_equal(ls_make_classification_rows(&parameters, NULL, x[0], y), LS_OK);
    for (int i = 0; i < 6; i++) assert_row_equal(x[i], expected[i], 5);
    assert_memory_equal(y, labels, sizeof labels);
}

static void random_shift_scale_and_polytope_equal_scikit_learn(void **state)
{
    (void)state;
    static const double expected[4][5] = {
        {-0x1.bbe74ba6ddd2fp+3, -0x1.08ae1466427aep+6, -0x1.47412694365ddp+1, -0x1.507b22ccfd249p+4,
         0x1.5e92c95760c70p+2},
        {-0x1.9524e4d20d186p+4, -0x1.9824e31b1260dp+2, 0x1.c50ec353da4c8p-1, 0x1.43169c16fe4c6p+3,
         0x1.fec336e9df95bp+3},
        {-0x1.017d31c9c98aep+5, -0x1.1a27c06636a84p+2, 0x1.6e0007788e1cap-2, 0x1.54dd7a76be32cp+2,
         0x1.4479d10e0268dp+3},
        {0x1.b2d30589b3838p+6, 0x1.8f585923596bbp+5, 0x1.26d5fa505eb70p+4, 0x1.5182d5f7c44d0p+7,
         0x1.8b48453814d35p+1},
    };
    static const int64_t labels[4] = {0, 0, 1, 0};
    static const double weights[] = {0.3};
    ls_make_classification parameters;
    ls_make_classification_defaults(&parameters);
    parameters.n_samples = 4;
    parameters.n_features = 5;
    parameters.n_redundant = 1;
    parameters.n_repeated = 1;
    parameters.weights = weights;
    parameters.n_weights = 1;
    parameters.flip_y = 0.5;
    parameters.class_sep = 1.5;
    parameters.hypercube = false;
    parameters.shift = NULL;
    parameters.scale = NULL;
    parameters.shuffle = false;
    parameters.random_state = 3;
    double x[4][5];
    int64_t y[4];
    assert_int_equal(ls_make_classification_rows(&parameters, NULL, x[0], y), LS_OK);
    for (int i = 0; i < 4; i++) assert_row_equal(x[i], expected[i], 5);
    assert_memory_equal(y, labels, sizeof labels);
}

static void more_than_30_informative_features_equal_scikit_learn(void **state)
{
    (void)state;
    static const int columns[4] = {0, 32, 33, 34};
    static const double expected[3][4] = {
        {-0x1.91db63e0d3e84p-2, 0x1.3b6257ad993a4p+1, 0x1.91ef3670ad16ep+2, 0x1.42b6384378ccep-1},
        {0x1.c32b17d2b4783p+1, 0x1.a3e6b645b9be2p+0, 0x1.d598b49fd7572p+1, 0x1.a530dbb159308p-1},
        {-0x1.634e5a9ce278cp+1, -0x1.107977a30f7b2p+2, -0x1.a22633927e9a1p+0, -0x1.1e1b7d974ba00p+0},
    };
    ls_make_classification parameters;
    ls_make_classification_defaults(&parameters);
    parameters.n_samples = 3;
    parameters.n_features = 35;
    parameters.n_informative = 33;
    parameters.n_redundant = 1;
    parameters.n_classes = 3;
    parameters.n_clusters_per_class = 1;
    parameters.shuffle = false;
    parameters.random_state = 5;
    double x[3][35];
    int64_t y[3];
    assert_int_equal(ls_make_classification_rows(&parameters, NULL, x[0], y), LS_OK);
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 4; j++) assert_row_equal(&x[i][columns[j]], &expected[i][j], 1);
        assert_int_equal(y[i], i);
    }
}

static void features_are_what_the_parameters_say(void **state)
{
    (void)state;
    enum { ROWS = 500, COLUMNS = 8 };
    ls_make_classification parameters;
    ls_make_classification_defaults(&parameters);
    static const double scale[COLUMNS] = {1, 1, 1, 1, 1, 1, 1, -4};
    parameters.n_samples = ROWS;
    parameters.n_features = COLUMNS;
    parameters.n_informative = 3;
    parameters.n_redundant = 2;
    parameters.n_repeated = 2;
    parameters.n_classes = 4;
    parameters.n_clusters_per_class = 1;
    parameters.flip_y = 0;
    parameters.scale = scale;
    parameters.n_scale = COLUMNS;
    parameters.shuffle = false;
    static double x[ROWS][COLUMNS], unscaled[ROWS][COLUMNS];
    static int64_t y[ROWS];
    assert_int_equal(ls_make_classification_rows(&parameters, NULL, x[0], y), LS_OK);
    for (int repeated = 5; repeated < 7; repeated++) {
        int source = 0;
        while (source < 5 && x[0][source] != x[0][repeated]) source++;
        assert_in_range(source, 0, 4);
        for (int i = 0; i < ROWS; i++) assert_true(x[i][source] == x[i][repeated]);
    }
    for (int i = 0; i < ROWS; i++) assert_int_equal(y[i], i / (ROWS / 4));
    ls_make_classification_defaults(&parameters);
    parameters.n_samples = ROWS;
    parameters.n_features = COLUMNS;
    parameters.n_informative = 3;
    parameters.n_repeated = 2;
    parameters.n_classes = 4;
    parameters.n_clusters_per_class = 1;
    parameters.flip_y = 0;
    parameters.shuffle = false;
    assert_int_equal(ls_make_classification_rows(&parameters, NULL, unscaled[0], y), LS_OK);
    for (int i = 0; i < ROWS; i++) assert_true(x[i][7] == -4 * unscaled[i][7] && x[i][6] == unscaled[i][6]);
}

/* One wrong parameter at a time; the message has to name it. */
#define ASSERT_REFUSED(name, ...)                                                                            \
    do {                                                                                                     \
        ls_make_classification parameters;                                                                   \
        ls_make_classification_defaults(&parameters);                                                        \
        __VA_ARGS__;                                                                                         \
        double x_;                                                                                           \
        int64_t y_;                                                                                          \
        assert_int_equal(ls_make_classification_rows(&parameters, NULL, &x_, &y_), LS_E_USAGE);              \
        assert_non_null(strstr(ls_error_message(), name));                                                   \
    } while (0)

static void wrong_parameters_are_named(void **state)
{
    (void)state;
    static const double weights[4] = {0.1, 0.2, 0.3, 0.4}, nan_weights[2] = {NAN, 0.5}, huge[2] = {1e300, 0};
    static const double values[3] = {1, 2, 3}, infinite[20] = {[7] = INFINITY}, nan = NAN, zero = 0,
                        minus = -1;
    ASSERT_REFUSED("n_samples", parameters.n_samples = 0);
    ASSERT_REFUSED("n_features", parameters.n_features = 0);
    ASSERT_REFUSED("n_informative", parameters.n_informative = 0);
    ASSERT_REFUSED("n_redundant", parameters.n_redundant = -1);
    ASSERT_REFUSED("n_repeated", parameters.n_repeated = -1);
    ASSERT_REFUSED("n_classes", parameters.n_classes = 0);
    ASSERT_REFUSED("n_clusters_per_class", parameters.n_clusters_per_class = 0);
    ASSERT_REFUSED("flip_y", parameters.flip_y = -0.1);
    ASSERT_REFUSED("flip_y", parameters.flip_y = 1.1);
    ASSERT_REFUSED("flip_y", parameters.flip_y = NAN);
    ASSERT_REFUSED("class_sep", parameters.class_sep = 0);
    ASSERT_REFUSED("class_sep", parameters.class_sep = INFINITY);
    ASSERT_REFUSED("class_sep", parameters.class_sep = NAN);
    ASSERT_REFUSED("n_repeated", parameters.n_repeated = 17);
    ASSERT_REFUSED("n_redundant", parameters.n_redundant = INT64_MAX);
    ASSERT_REFUSED("n_repeated", parameters.n_repeated = INT64_MAX);
    ASSERT_REFUSED("n_classes", parameters.n_classes = 3);
    ASSERT_REFUSED("n_clusters_per_class", parameters.n_clusters_per_class = 3);
    ASSERT_REFUSED("n_classes", parameters.n_classes = INT64_MAX);
    ASSERT_REFUSED("clusters", {
        parameters.n_features = parameters.n_informative = 40;
        parameters.n_redundant = 0;
        parameters.n_clusters_per_class = (int64_t)1 << 38;
    });
    ASSERT_REFUSED("weights", { parameters.weights = weights, parameters.n_weights = 4; });
    ASSERT_REFUSED("weights", { parameters.weights = weights, parameters.n_weights = 0; });
    ASSERT_REFUSED("weights", { parameters.weights = nan_weights, parameters.n_weights = 2; });
    ASSERT_REFUSED("weights", { parameters.weights = nan_weights, parameters.n_weights = 1; });
    ASSERT_REFUSED("weights", { parameters.weights = huge, parameters.n_weights = 2; });
    ASSERT_REFUSED("shift", { parameters.shift = values, parameters.n_shift = 3; });
    ASSERT_REFUSED("shift", parameters.shift = &nan);
    ASSERT_REFUSED("shift", { parameters.shift = infinite, parameters.n_shift = 20; });
    ASSERT_REFUSED("scale", { parameters.scale = values, parameters.n_scale = 3; });
    ASSERT_REFUSED("scale", parameters.scale = &zero);
    ASSERT_REFUSED("scale", parameters.scale = &minus);
    ASSERT_REFUSED("scale", parameters.scale = &nan);
}

static int no_memory_is_left(void **state)
{
    (void)state;
    return ls_alloc_live() != 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_parameters_equal_scikit_learn),
        cmocka_unit_test(random_shift_scale_and_polytope_equal_scikit_learn),
        cmocka_unit_test(more_than_30_informative_features_equal_scikit_learn),
        cmocka_unit_test(features_are_what_the_parameters_say),
        cmocka_unit_test(wrong_parameters_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, no_memory_is_left);
}
