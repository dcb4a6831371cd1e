#include "lockstep/model.h"

#include <float.h>
#include <string.h>

#include "base/memory.h"
#include "model/model.h"
#include "unit.h"

static void layers_are_views_into_one_block(void **state)
{
    (void)state;
    const int64_t hidden[] = {7, 5};
    ls_model *model;
    assert_int_equal(ls_model_create(LS_FLOAT64, 9, hidden, 2, LS_TANH, &model), LS_OK);
    assert_int_equal(model->n_layers, 3);
    assert_int_equal(model->n_features, 9);
    const struct {
        const char *name;
        int64_t n_inputs, units, kernel, bias;
        ls_activation activation;
    } expected[] = {{"dense", 9, 7, 0, 63, LS_TANH},
                    {"dense_1", 7, 5, 70, 105, LS_TANH},
                    {"dense_2", 5, 1, 110, 115, LS_SIGMOID}};
    for (int i = 0; i < 3; i++) {
        const ls_layer *layer = &model->layers[i];
        assert_string_equal(layer->name, expected[i].name);
        assert_int_equal(layer->n_inputs, expected[i].n_inputs);
        assert_int_equal(layer->units, expected[i].units);
        assert_int_equal(layer->kernel_offset, expected[i].kernel);
        assert_int_equal(layer->bias_offset, expected[i].bias);
        assert_int_equal(layer->activation, expected[i].activation);
    }
    assert_int_equal(model->n_parameters, 116);
    const double *parameters = model->parameters;
    for (int i = 0; i < 116; i++) assert_true(parameters[i] == 0);
    ls_model_free(model);
    assert_int_equal(ls_alloc_live(), 0);
}

static void no_hidden_layer_is_logistic_regression(void **state)
{
    (void)state;
    ls_model *model;
    assert_int_equal(ls_model_create(LS_FLOAT32, 2, NULL, 0, LS_RELU, &model), LS_OK);
    assert_int_equal(model->n_layers, 1);
    assert_int_equal(model->n_parameters, 3);
    assert_int_equal(model->layers[0].activation, LS_SIGMOID);
    ls_model_free(model);
}

static void wrong_sizes_are_refused_without_leaks(void **state)
{
    (void)state;
    const struct {
        int64_t n_features, n_hidden, hidden[3];
    } wrong[] = {{0, 0, {0}},         {-3, 0, {0}},        {2, -1, {0}},
                 {2, INT64_MAX, {0}}, {2, 1, {0}},         {2, 2, {4, -1}},
                 {INT64_MAX, 0, {0}}, {2, 1, {INT64_MAX}}, {2, 3, {INT32_MAX, INT32_MAX, INT32_MAX}}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ls_model *model = (ls_model *)state;
        const ls_status status = ls_model_create(LS_FLOAT32, wrong[i].n_features, wrong[i].hidden,
                                                 wrong[i].n_hidden, LS_TANH, &model);
        assert_int_equal(status, LS_E_USAGE);
        assert_null(model);
        assert_true(strlen(ls_error_message()) > 10);
        assert_int_equal(ls_alloc_live(), 0);
    }
}

static void activations_have_keras_names(void **state)
{
    (void)state;
    const char *const names[] = {"linear", "tanh", "relu",     "sigmoid",    "elu",
                                 "selu",   "gelu", "softplus", "leaky_relu", "softmax"};
    for (int i = 0; i < 10; i++) {
        ls_activation activation = (ls_activation)((i + 1) % 10);
        assert_int_equal(ls_activation_parse(names[i], &activation), LS_OK);
        assert_int_equal(activation, i);
        assert_string_equal(ls_activation_name(activation), names[i]);
    }
    ls_activation activation = LS_RELU;
    assert_int_equal(ls_activation_parse("swish", &activation), LS_E_USAGE);
    assert_string_equal(
        ls_error_message(),
        "activation 'swish' is unknown: choose one of linear, tanh, relu, sigmoid, elu, selu, "
        "gelu, softplus, leaky_relu, softmax");
    assert_int_equal(activation, LS_RELU);
    assert_int_equal(ls_activation_parse("", &activation), LS_E_USAGE);
}

static void conversion_widens_exactly_and_rounds_back(void **state)
{
    (void)state;
    const int64_t hidden[] = {3};
    ls_model *model;
    assert_int_equal(ls_model_create(LS_FLOAT32, 2, hidden, 1, LS_TANH, &model), LS_OK);
    float original[13];
    for (int i = 0; i < 13; i++) original[i] = (float)(i - 6) / 7.0f;
    memcpy(model->parameters, original, sizeof original);

    assert_int_equal(ls_model_convert(model, LS_FLOAT64), LS_OK);
    assert_int_equal(model->dtype, LS_FLOAT64);
    double *wide = model->parameters;
    for (int i = 0; i < 13; i++) assert_true(wide[i] == (double)original[i]);
    wide[4] += 1e-12; /* less than half a float32 step: rounds to the same value */
    assert_int_equal(ls_model_convert(model, LS_FLOAT32), LS_OK);
    assert_memory_equal(model->parameters, original, sizeof original);
    assert_int_equal(ls_model_convert(model, LS_FLOAT32), LS_OK);
    assert_memory_equal(model->parameters, original, sizeof original);
    ls_model_free(model);
}

static void conversion_names_the_value_that_does_not_fit(void **state)
{
    (void)state;
    const struct {
        int64_t index;
        const char *place;
    } cases[] = {{5, "dense: kernel[1][2]: "},
                 {8, "dense: bias[2]: "},
                 {10, "dense_1: kernel[1][0]: "},
                 {12, "dense_1: bias[0]: "}};
    const int64_t hidden[] = {3};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ls_model *model;
        assert_int_equal(ls_model_create(LS_FLOAT64, 2, hidden, 1, LS_TANH, &model), LS_OK);
        ((double *)model->parameters)[cases[i].index] = -4.0 * FLT_MAX;
        assert_int_equal(ls_model_convert(model, LS_FLOAT32), LS_E_INPUT);
        assert_memory_equal(ls_error_message(), cases[i].place, strlen(cases[i].place));
        assert_int_equal(model->dtype, LS_FLOAT64);
        assert_true(((double *)model->parameters)[cases[i].index] == -4.0 * FLT_MAX);
        ls_model_free(model);
    }
    assert_int_equal(ls_alloc_live(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_are_views_into_one_block),
        cmocka_unit_test(no_hidden_layer_is_logistic_regression),
        cmocka_unit_test(wrong_sizes_are_refused_without_leaks),
        cmocka_unit_test(activations_have_keras_names),
        cmocka_unit_test(conversion_widens_exactly_and_rounds_back),
        cmocka_unit_test(conversion_names_the_value_that_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
