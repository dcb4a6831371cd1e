#include <hdf5.h>
#include <math.h>

#include "data/make_classification.h"
#include "data/philox_classification.h"
#include "data/train_test_split.h"
#include "dataset_unit.h"
#include "lockstep/generate.h"

static ls_generate_options default_options(void)
{
    ls_generate_options options = {.dtype = LS_FLOAT64};
    ls_make_classification_defaults(&options.data);
    options.data.random_state = 11;
    return options;
}

static void read_array(const char *path, const char *name, hid_t type, hsize_t n_rows, hsize_t n_columns,
                       void *values)
{
    const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), array = H5Dopen2(file, name, H5P_DEFAULT);
    const hid_t space = H5Dget_space(array);
    hsize_t shape[2] = {0, 0};
    assert_true(array >= 0);
    assert_int_equal(H5Sget_simple_extent_dims(space, shape, NULL), n_columns > 0 ? 2 : 1);
    assert_int_equal(shape[0], n_rows);
    assert_int_equal(shape[1], n_columns);
    const hid_t stored = H5Dget_type(array);
    assert_true(H5Tequal(stored, type) > 0);
    assert_true(H5Dread(array, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Tclose(stored);
    H5Sclose(space);
    H5Dclose(array);
    H5Fclose(file);
}

static void the_split_rows_are_in_the_file(void **state)
{
    (void)state;
    /* Wide enough for several blocks of rows in a write. */
    enum { ROWS = 30001, COLUMNS = 50, TRAIN = 24000, TEST = ROWS - TRAIN };
    ls_generate_options options = default_options();
    options.data.n_samples = ROWS;
    options.data.n_features = COLUMNS;
    options.train_size = 0.8;
    options.split_random_state = 3;
    assert_int_equal(ls_generate(session, &options, path_of("data.h5")), LS_OK);
    if (session->rank == 0) {
        double *x = malloc(sizeof(double[ROWS][COLUMNS])), *found = malloc(sizeof(double[TRAIN][COLUMNS]));
        int64_t *y = malloc(ROWS * sizeof *y), *rows = malloc(ROWS * sizeof *rows);
        unsigned char *labels = malloc(TRAIN);
        assert_int_equal(ls_make_classification_rows(&options.data, NULL, x, y), LS_OK);
        assert_int_equal(ls_train_test_split(ROWS, TRAIN, TEST, 3, rows, rows + TRAIN), LS_OK);
        for (int s = 0; s < 2; s++) {
            const int n = s ? TEST : TRAIN;
            const int64_t *set_rows = s ? rows + TRAIN : rows;
            read_array(path_of("data.h5"), s ? "/test/X" : "/train/X", H5T_IEEE_F64LE, (hsize_t)n, COLUMNS,
                       found);
            read_array(path_of("data.h5"), s ? "/test/y" : "/train/y", H5T_STD_U8LE, (hsize_t)n, 0, labels);
            for (int i = 0; i < n; i++) {
                assert_memory_equal(found + (size_t)i * COLUMNS, x + set_rows[i] * COLUMNS,
                                    sizeof(double[COLUMNS]));
                assert_int_equal(labels[i], y[set_rows[i]]);
            }
        }
        free(x);
        free(found);
        free(y);
        free(rows);
        free(labels);
    }
}

static void without_a_split_all_rows_are_for_training(void **state)
{
    (void)state;
    enum { ROWS = 57, COLUMNS = 20 };
    ls_generate_options options = default_options();
    options.data.n_samples = ROWS;
    options.dtype = LS_FLOAT32;
    assert_int_equal(ls_generate(session, &options, path_of("data.h5")), LS_OK);
    if (session->rank == 0) {
        static double x[ROWS][COLUMNS];
        static float found[ROWS][COLUMNS];
        static int64_t y[ROWS];
        static unsigned char labels[ROWS];
        assert_int_equal(ls_make_classification_rows(&options.data, NULL, x[0], y), LS_OK);
        read_array(path_of("data.h5"), "/train/X", H5T_IEEE_F32LE, ROWS, COLUMNS, found);
        read_array(path_of("data.h5"), "/train/y", H5T_STD_U8LE, ROWS, 0, labels);
        for (int i = 0; i < ROWS; i++) {
            for (int j = 0; j < COLUMNS; j++) assert_true(found[i][j] == (float)x[i][j]);
            assert_int_equal(labels[i], y[i]);
        }
        const hid_t file = H5Fopen(path_of("data.h5"), H5F_ACC_RDONLY, H5P_DEFAULT);
        assert_int_equal(H5Lexists(file, "/test", H5P_DEFAULT), 0);
        H5Fclose(file);
    }
}

static void more_classes_than_a_byte_holds_are_kept(void **state)
{
    (void)state;
    enum { ROWS = 3000 };
    ls_generate_options options = default_options();
    options.data.n_samples = ROWS;
    options.data.n_informative = 9;
    options.data.n_classes = 257;
    options.data.n_clusters_per_class = 1;
    assert_int_equal(ls_generate(session, &options, path_of("data.h5")), LS_OK);
    if (session->rank == 0) {
        static int64_t labels[ROWS];
        int64_t largest = 0;
        read_array(path_of("data.h5"), "/train/y", H5T_STD_I64LE, ROWS, 0, labels);
        for (int i = 0; i < ROWS; i++) largest = labels[i] > largest ? labels[i] : largest;
        assert_int_equal(largest, 256);
    }
}

static void bytes_do_not_depend_on_the_number_of_ranks_or_the_name(void **state)
{
    (void)state;
    ls_generate_options options = default_options();
    options.train_size = 70;
    options.data.shift = NULL;
    assert_int_equal(ls_generate(session, &options, path_of("all.h5")), LS_OK);
    if (session->rank == 0) {
        ls_session alone = {.comm = MPI_COMM_SELF, .rank = 0, .size = 1};
        assert_int_equal(ls_generate(&alone, &options, path_of("one.h5")), LS_OK);
        assert_same_files(path_of("all.h5"), path_of("one.h5"));
    }
}

static void philox_gives_the_same_bytes_on_any_number_of_ranks(void **state)
{
    (void)state;
    /* More pieces of whole pages than ranks and fewer, whole ones and not. */
    static const int64_t sizes[][2] = {{30001, 24000}, {32768, 0}, {4097, 4096}, {3, 1}};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        ls_generate_options options = default_options();
        options.rng = LS_RNG_PHILOX;
        options.dtype = s % 2 ? LS_FLOAT32 : LS_FLOAT64;
        options.data.n_samples = sizes[s][0];
        options.train_size = (double)sizes[s][1];
        assert_int_equal(ls_generate(session, &options, path_of("all.h5")), LS_OK);
        if (session->rank == 0) {
            ls_session alone = {.comm = MPI_COMM_SELF, .rank = 0, .size = 1};
            assert_int_equal(ls_generate(&alone, &options, path_of("one.h5")), LS_OK);
            assert_same_files(path_of("all.h5"), path_of("one.h5"));
        }
        barrier();
    }
}

static void philox_rows_in_the_file_are_the_samples(void **state)
{
    (void)state;
    enum { ROWS = 30001, COLUMNS = 7, TRAIN = 24000, TEST = ROWS - TRAIN };
    ls_generate_options options = default_options();
    options.rng = LS_RNG_PHILOX;
    options.data.n_samples = ROWS;
    options.data.n_features = COLUMNS;
    options.train_size = 0.8;
    assert_int_equal(ls_generate(session, &options, path_of("data.h5")), LS_OK);
    if (session->rank == 0) {
        double *x = malloc(sizeof(double[ROWS][COLUMNS])), *found = malloc(sizeof(double[TRAIN][COLUMNS]));
        uint8_t *y = malloc(ROWS), *labels = malloc(TRAIN);
        ls_philox_classification *source;
        assert_int_equal(ls_philox_classification_open(&options.data, LS_FLOAT64, &source), LS_OK);
        ls_philox_classification_fill(source, 0, ROWS, x, LS_FILE_UINT8, y);
        ls_philox_classification_close(source);
        for (int s = 0; s < 2; s++) {
            const hsize_t n = s ? TEST : TRAIN;
            const size_t first = s ? TRAIN : 0;
            read_array(path_of("data.h5"), s ? "/test/X" : "/train/X", H5T_IEEE_F64LE, n, COLUMNS, found);
            read_array(path_of("data.h5"), s ? "/test/y" : "/train/y", H5T_STD_U8LE, n, 0, labels);
            assert_memory_equal(found, x + first * COLUMNS, n * COLUMNS * sizeof *found);
            assert_memory_equal(labels, y + first, n);
        }
        free(x);
        free(found);
        free(y);
        free(labels);
    }
}

/* Every rank gets the code and a message with the words; no file is left. */
static void assert_refused(const ls_generate_options *options, const char *name, ls_status status,
                           const char *words)
{
    assert_int_equal(ls_generate(session, options, path_of(name)), status);
    assert_non_null(strstr(ls_error_message(), words));
    barrier();
    assert_int_equal(count_files(), 0);
    barrier();
}

static void failures_are_shared_and_leave_no_file(void **state)
{
    (void)state;
    ls_generate_options options = default_options();
    options.data.n_classes = 3;
    assert_refused(&options, "data.h5", LS_E_USAGE, "n_classes");
    options = default_options();
    options.train_size = 100;
    assert_refused(&options, "data.h5", LS_E_USAGE, "train_size");
    options = default_options();
    options.train_size = NAN;
    assert_refused(&options, "data.h5", LS_E_USAGE, "train_size");
    assert_refused(&(ls_generate_options){.data = default_options().data}, "missing/data.h5", LS_E_OUTPUT,
                   "missing");
}

static void too_many_values_are_refused_with_the_remedy(void **state)
{
    (void)state;
    ls_generate_options options = default_options();
    options.data.n_samples = LS_GENERATE_MAX_VALUES / options.data.n_features + 1;
    assert_refused(&options, "data.h5", LS_E_USAGE, "--rng philox");
    options.data.n_samples = INT64_MAX;
    assert_refused(&options, "data.h5", LS_E_USAGE, "536870912");
}

static void values_that_do_not_fit_the_file_are_refused(void **state)
{
    (void)state;
    const double huge = 1e39, largest = 1e308;
    ls_generate_options options = default_options();
    options.data.scale = &huge;
    assert_int_equal(ls_generate(session, &options, path_of("data.h5")), LS_OK);
    barrier();
    if (session->rank == 0) remove_files();
    barrier();
    options.dtype = LS_FLOAT32;
    assert_refused(&options, "data.h5", LS_E_USAGE, "float32");
    options.dtype = LS_FLOAT64;
    options.data.scale = &largest;
    assert_refused(&options, "data.h5", LS_E_USAGE, "float64");
}

typedef struct seen {
    int calls;
    int64_t n_done, n_samples;
} seen;

static void see(void *context, int64_t n_done, int64_t n_samples)
{
    seen *s = context;
    assert_in_range(n_done, s->n_done, n_samples);
    assert_true(s->n_done < n_samples); /* the end comes once */
    *s = (seen){s->calls + 1, n_done, n_samples};
}

static void progress_goes_up_to_the_end(void **state)
{
    (void)state;
    /* The third: a test set that is another rank's. */
    static const double train_sizes[] = {0, 0.5, 49990, 0.5};
    for (size_t i = 0; i < sizeof train_sizes / sizeof train_sizes[0]; i++) {
        seen s = {0};
        const ls_progress progress = {&s, see};
        ls_generate_options options = default_options();
        options.rng = i < 3 ? LS_RNG_PHILOX : LS_RNG_MT19937;
        options.data.n_samples = 50000;
        options.train_size = train_sizes[i];
        options.progress = &progress;
        assert_int_equal(ls_generate(session, &options, path_of("data.h5")), LS_OK);
        if (session->rank == 0) {
            assert_true(s.calls >= 2);
            assert_int_equal(s.n_done, 50000);
            assert_int_equal(s.n_samples, 50000);
        } else {
            assert_int_equal(s.calls, 0);
        }
    }
}

static void philox_has_no_limit_of_values(void **state)
{
    (void)state;
    ls_generate_options options = default_options();
    options.rng = LS_RNG_PHILOX;
    options.data.n_samples = INT64_MAX;
    assert_refused(&options, "data.h5", LS_E_USAGE, "n_samples");
    options.data.n_samples = (int64_t)1 << 60; /* the file system says no */
    options.data.n_features = 2;
    options.data.n_redundant = 0;
    assert_refused(&options, "data.h5", LS_E_OUTPUT, "data.h5");
    options.data.n_classes = 5;
    assert_refused(&options, "data.h5", LS_E_USAGE, "n_classes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_split_rows_are_in_the_file, begin_test),
        cmocka_unit_test_setup(without_a_split_all_rows_are_for_training, begin_test),
        cmocka_unit_test_setup(more_classes_than_a_byte_holds_are_kept, begin_test),
        cmocka_unit_test_setup(bytes_do_not_depend_on_the_number_of_ranks_or_the_name, begin_test),
        cmocka_unit_test_setup(philox_gives_the_same_bytes_on_any_number_of_ranks, begin_test),
        cmocka_unit_test_setup(philox_rows_in_the_file_are_the_samples, begin_test),
        cmocka_unit_test_setup(progress_goes_up_to_the_end, begin_test),
        cmocka_unit_test_setup(philox_has_no_limit_of_values, begin_test),
        cmocka_unit_test_setup(failures_are_shared_and_leave_no_file, begin_test),
        cmocka_unit_test_setup(too_many_values_are_refused_with_the_remedy, begin_test),
        cmocka_unit_test_setup(values_that_do_not_fit_the_file_are_refused, begin_test),
    };
    return run_dataset_tests(tests, sizeof tests / sizeof tests[0]);
}
