#include <hdf5.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "comm/comm.h"
#include "lockstep/train.h"
#include "train/verify.h"
#include "unit.h"

static ls_session *session;
static char path[64];

enum { ROWS = 64, FEATURES = 3 };

static int open_session(void **state)
{
    (void)state;
    return ls_session_open(&session) == LS_OK ? 0 : -1;
}

static int close_session(void **state)
{
    (void)state;
    ls_session_close(session);
    return 0;
}

/* A data file of a few rows, the same on all ranks. */
static void make_data(void)
{
    if (session->rank == 0) {
        double x[ROWS][FEATURES];
        unsigned char y[ROWS];
        for (int i = 0; i < ROWS; i++) {
            for (int j = 0; j < FEATURES; j++) x[i][j] = (i * 7 + j * 3) % 11 - 5;
            y[i] = i % 3 == 0;
        }
        strcpy(path, "/tmp/lockstep-test-XXXXXX");
        const int descriptor = mkstemp(path);
        assert_true(descriptor >= 0);
        close(descriptor);
        const hsize_t shape[2] = {ROWS, FEATURES};
        const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        const hid_t group = H5Gcreate2(file, "train", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        for (int k = 0; k < 2; k++) {
            const hid_t space = H5Screate_simple(k == 0 ? 2 : 1, shape, NULL);
            const hid_t dataset =
                H5Dcreate2(group, k == 0 ? "X" : "y", k == 0 ? H5T_IEEE_F64LE : H5T_STD_U8LE, space,
                           H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
            assert_true(H5Dwrite(dataset, k == 0 ? H5T_NATIVE_DOUBLE : H5T_NATIVE_UCHAR, H5S_ALL, H5S_ALL,
                                 H5P_DEFAULT, k == 0 ? (const void *)x : y) >= 0);
            H5Dclose(dataset);
            H5Sclose(space);
        }
        H5Gclose(group);
        assert_true(H5Fclose(file) >= 0);
    }
    assert_int_equal(ls_broadcast(session, path, sizeof path), LS_OK);
}

static ls_model *make_model(ls_dtype dtype)
{
    const int64_t hidden[] = {5, 2};
    ls_model *model;
    assert_int_equal(ls_model_create(dtype, FEATURES, hidden, 2, LS_TANH, &model), LS_OK);
    ls_model_init_glorot_uniform(model, 1);
    return model;
}

static void flip(ls_model *model, int64_t bit)
{
    ((unsigned char *)model->parameters)[bit / 8] ^= (unsigned char)(1 << bit % 8);
}

/* What the message must say of one wrong rank: it, when there is a majority; else that there is none. */
static void assert_named(int wrong)
{
    char expected[64];
    if (session->size > 2)
        snprintf(expected, sizeof expected, "the weights of rank(s) %d differ", wrong);
    else
        snprintf(expected, sizeof expected, "the weights of the ranks 0, 1 differ, and there is no majority");
    if (!strstr(ls_error_message(), expected)) fail_msg("\"%s\" is not in: %s", expected, ls_error_message());
}

static void every_flipped_bit_of_any_rank_is_found(void **state)
{
    (void)state;
    int64_t n = 0;
    for (int d = 0; d < 2; d++) {
        ls_model *model = make_model(d ? LS_FLOAT64 : LS_FLOAT32);
        const int64_t bits = 8 * model->n_parameters * (int64_t)ls_dtype_size(model->dtype);
        assert_int_equal(ls_verify_now(session, model, NULL, 0), LS_OK);
        for (int64_t bit = 0; bit < bits; bit += 5) {
            const int wrong = (int)(bit % session->size);
            if (session->rank == wrong) flip(model, bit);
            const ls_status status = ls_verify_now(session, model, NULL, 7);
            if (session->rank == wrong) flip(model, bit);
            assert_int_equal(status, session->size > 1 ? LS_E_DIFFER : LS_OK);
            if (session->size > 1) assert_named(wrong);
            n++;
        }
        assert_int_equal(ls_verify_now(session, model, NULL, 0), LS_OK);
        ls_model_free(model);
    }
    if (session->rank == 0) print_message("%lld flipped bits on %d ranks\n", (long long)n, session->size);
}

static void all_ranks_but_one_wrong_in_their_own_way_leaves_no_majority(void **state)
{
    (void)state;
    ls_model *model = make_model(LS_FLOAT32);
    if (session->rank > 0) flip(model, session->rank);
    const ls_status status = ls_verify_now(session, model, NULL, 7);
    assert_int_equal(status, session->size > 1 ? LS_E_DIFFER : LS_OK);
    if (session->size > 1) assert_non_null(strstr(ls_error_message(), "no majority"));
    ls_model_free(model);
}

/* The sums in float32, as the plain reduction carries them, for a number of ranks that no test can start: the
 * exact verdict must survive. */
static void sums_of_many_ranks_are_exact_in_float32(void **state)
{
    (void)state;
    enum { RANKS = 70000 };
    ls_model *model = make_model(LS_FLOAT32);
    int64_t values[LS_VERIFY_INTS];
    ls_verify_digest(model, NULL, values);
    for (int i = 0; i < LS_VERIFY_INTS; i++) {
        float sum = 0;
        for (int r = 0; r < RANKS; r++) sum += (float)values[i];
        assert_true((int64_t)sum == RANKS * values[i]);
    }
    ls_model_free(model);
}

/* Stands for a cosmic ray: changes the model at the end of an epoch, on rank 0, where observers are called.
 */
typedef struct ray {
    ls_model *model;
    int64_t epoch;
    int hits;
} ray;

static void strike(void *context, const ls_train_progress *progress)
{
    ray *r = context;
    if (progress->epoch != r->epoch || progress->step != progress->n_steps || r->hits++) return;
    flip(r->model, 77);
}

static void training_stops_on_all_ranks_and_names_the_struck_one(void **state)
{
    (void)state;
    make_data();
    const ls_dataset_source source = {.file = path, .set = "train"};
    ls_dataset *dataset;
    assert_int_equal(ls_dataset_open(session, &source, &dataset), LS_OK);
    for (int plain = 0; plain < 2; plain++) {
        for (int64_t every = 0; every < 4; every++) {
            ls_train_options options;
            ls_train_defaults(&options);
            options.epochs = 5;
            options.batch_size = 8;
            options.verify_every = every;
            options.reduction = plain ? LS_REDUCTION_MPI : LS_REDUCTION_TREE;
            ray r = {.model = make_model(LS_FLOAT32), .epoch = 2};
            const ls_train_observer observer = {.context = &r, .progress = strike};
            ls_history history = {0};
            const ls_status status = ls_train(session, r.model, dataset, &options, &observer, &history);
            if (session->rank == 0) assert_int_equal(r.hits, 1);
            if (session->size > 1 && every > 0) {
                assert_int_equal(status, LS_E_DIFFER);
                assert_named(0);
                /* 24 steps before it; the comparison before step 25 finds it, or the next one. */
                long long step = 0;
                assert_int_equal(sscanf(ls_error_message(), "after step %lld", &step), 1);
                assert_int_equal(step, (24 + every - 1) / every * every);
                assert_int_equal(history.n_epochs, 3);
            } else {
                assert_int_equal(status, LS_OK); /* nobody looked */
                assert_int_equal(history.n_epochs, 5);
            }
            ls_history_clear(&history);
            ls_model_free(r.model);
        }
    }
    ls_dataset_close(dataset);
    MPI_Barrier(session->comm);
    if (session->rank == 0) assert_int_equal(unlink(path), 0);
}

/* A run that compares weights must not write wrong ones, not even when the comparison is not due. */
static void wrong_weights_are_not_written(void **state)
{
    (void)state;
    make_data();
    char output[96];
    snprintf(output, sizeof output, "%s.model", path);
    const ls_dataset_source source = {.file = path, .set = "train"};
    ls_dataset *dataset;
    assert_int_equal(ls_dataset_open(session, &source, &dataset), LS_OK);
    ls_train_options options;
    ls_train_defaults(&options);
    options.epochs = 3;
    options.verify_every = 1000;
    options.output = output;
    ray r = {.model = make_model(LS_FLOAT64), .epoch = 2};
    const ls_train_observer observer = {.context = &r, .progress = strike};
    ls_history history = {0};
    const ls_status status = ls_train(session, r.model, dataset, &options, &observer, &history);
    assert_int_equal(status, session->size > 1 ? LS_E_DIFFER : LS_OK);
    MPI_Barrier(session->comm);
    if (session->rank == 0) {
        assert_int_equal(access(output, F_OK) == 0, session->size == 1);
        unlink(output);
        assert_int_equal(unlink(path), 0);
    }
    ls_history_clear(&history);
    ls_model_free(r.model);
    ls_dataset_close(dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_flipped_bit_of_any_rank_is_found),
        cmocka_unit_test(all_ranks_but_one_wrong_in_their_own_way_leaves_no_majority),
        cmocka_unit_test(sums_of_many_ranks_are_exact_in_float32),
        cmocka_unit_test(training_stops_on_all_ranks_and_names_the_struck_one),
        cmocka_unit_test(wrong_weights_are_not_written),
    };
    return cmocka_run_group_tests(tests, open_session, close_session);
}
