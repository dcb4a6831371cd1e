/* Rows to validate on: read once where they fit the memory, with the same measures in any case. */
#include <fcntl.h>
#include <math.h>

#include "dataset_files_unit.h"
#include "lockstep/train.h"

/* RANK_ROWS are more than the few MB that are kept anyway. */
enum { N_TRAIN = 600, RANK_ROWS = 20000, N_FEATURES = 64, EPOCHS = 3 };

static haddr_t validation_at; /* where /validation/X begins in the file */

static void write_set(hid_t file, const char *x_path, const char *y_path, int64_t n)
{
    double *x = malloc((size_t)n * sizeof(double[N_FEATURES])), *y = malloc((size_t)n * sizeof *y);
    for (int64_t i = 0; i < n * N_FEATURES; i++) x[i] = (double)(i * 2654435761 % 1000) / 500 - 1;
    for (int64_t i = 0; i < n; i++) y[i] = x[i * N_FEATURES] > 0;
    const layout floats = {.type = H5T_IEEE_F32LE}, bytes = {.type = H5T_STD_U8LE};
    add_array(file, x_path, floats, 2, (const hsize_t[]){(hsize_t)n, N_FEATURES}, x);
    add_array(file, y_path, bytes, 1, (const hsize_t[]){(hsize_t)n}, y);
    free(x);
    free(y);
}

static void write_file(void)
{
    if (session->rank == 0) {
        const hid_t file = new_file("data.h5");
        write_set(file, "/train/X", "/train/y", N_TRAIN);
        write_set(file, "/validation/X", "/validation/y", RANK_ROWS * session->size);
        const hid_t x = H5Dopen2(file, "/validation/X", H5P_DEFAULT);
        validation_at = H5Dget_offset(x);
        H5Dclose(x);
        H5Fclose(file);
    }
    barrier();
}

/* After the first epoch the file has other rows, while the ranks wait for this one's next step. */
static void change_rows(void *context, const ls_train_progress *progress)
{
    const float row[N_FEATURES] = {3, -2, 1};
    if (progress->step < progress->n_steps || progress->epoch > 0) return;
    const int file = open(context, O_WRONLY);
    for (int64_t i = 0; i < RANK_ROWS * session->size; i++)
        assert_int_equal(pwrite(file, row, sizeof row, (off_t)validation_at + i * (off_t)sizeof row),
                         sizeof row);
    close(file);
}

/* The loss of the validation data after each epoch. */
static void train(int64_t memory, bool changes, double losses[EPOCHS])
{
    const int64_t hidden[] = {3};
    ls_dataset *sets[2];
    ls_model *model;
    ls_train_options options;
    ls_history history = {0};
    char path[512];
    snprintf(path, sizeof path, "%s", path_of("data.h5"));
    const ls_train_observer observer = {.context = path, .progress = changes ? change_rows : NULL};
    sets[0] = open_or_fail(&(ls_dataset_source){.file = path, .set = "train"});
    sets[1] = open_or_fail(&(ls_dataset_source){.file = path, .set = "validation"});
    assert_int_equal(ls_model_create(LS_FLOAT32, N_FEATURES, hidden, 1, LS_TANH, &model), LS_OK);
    ls_model_init_glorot_uniform(model, 1);
    ls_train_defaults(&options);
    options.epochs = EPOCHS;
    options.memory = memory;
    options.validation = sets[1];
    if (ls_train(session, model, sets[0], &options, &observer, &history) != LS_OK)
        fail_msg("%s", ls_error_message());
    for (int i = 0; i < EPOCHS; i++) losses[i] = history.epochs[i].validation.loss_sum;
    ls_history_clear(&history);
    ls_model_free(model);
    ls_dataset_close(sets[0]);
    ls_dataset_close(sets[1]);
}

static void rows_that_fit_are_read_once_and_others_again(void **state)
{
    const int64_t all = 64 << 20, none = 0;
    double wanted[EPOCHS], found[EPOCHS];
    write_file();
    train(all, false, wanted);
    train(none, false, found);
    assert_memory_equal(found, wanted, sizeof wanted);
    train(all, true, found);
    assert_memory_equal(found, wanted, sizeof wanted);
    begin_test(state);
    write_file();
    train(none, true, found);
    assert_memory_equal(found, wanted, sizeof wanted[0]);
    assert_true(found[1] != wanted[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(rows_that_fit_are_read_once_and_others_again, begin_test)};
    return run_dataset_tests(tests, 1);
}
