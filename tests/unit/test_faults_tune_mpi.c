/* Searches in which something fails on purpose on one rank: memory, a file, HDF5. All ranks return the same,
 * no memory is left, and gone on with, the search ends with the tables of one in which nothing fails. */
#include <signal.h>
#include <xxhash.h>

#include "base/fault.h"
#include "dataset_unit.h"
#include "lockstep/lockstep.h"
#include "random/philox.h"

enum { SEEDS = 40, HANG_SECONDS = 120 };

static ls_dataset *train_set, *test_set;
static const char space[] = "{\"hidden\": [[], [2]], \"learning_rate\": [0.1, 0.5]}";

static void report_hang(int signal_number)
{
    (void)signal_number;
    fprintf(stderr, "rank %d hangs: %s\n", session->rank, ls_error_message());
    _exit(1);
}

static ls_status search(bool resume)
{
    static const ls_tune_observer observer;
    ls_tune_options options;
    ls_tune_result result;
    ls_tune_defaults(&options);
    options.space = path_of("space.json");
    options.directory = path_of("search");
    options.search = LS_SEARCH_HALVING;
    options.trials = 4;
    options.factor = 2;
    options.resume = resume;
    options.train.epochs = 4;
    options.train.batch_size = 8;
    options.train.output = path_of("best.h5");
    alarm(HANG_SECONDS);
    const ls_status status = ls_tune(session, train_set, test_set, &options, &observer, &result);
    alarm(0);
    ls_fault_plan(LS_FAULT_SITES, 0, 0);
    if (status == LS_OK) assert_non_null(result.best);
    ls_tune_result_clear(&result);
    return status;
}

static void clear(void)
{
    barrier();
    if (session->rank == 0) {
        char command[600];
        snprintf(command, sizeof command, "rm -rf '%s' '%s'", path_of("search"), path_of("best.h5"));
        assert_int_equal(system(command), 0);
    }
    barrier();
}

/* Digest of the tables; *rows_failed: one of them is of a training that had no memory. */
static uint64_t digest(bool *rows_failed)
{
    uint64_t hash[2] = {0, 0};
    if (session->rank == 0) {
        char *bytes;
        const size_t size = read_whole_file(path_of("search/results.json"), &bytes);
        hash[0] = XXH3_64bits(bytes, size);
        hash[1] = memmem(bytes, size, "\"failed\"", 8) != NULL;
        free(bytes);
    }
    MPI_Bcast(hash, 2, MPI_UINT64_T, 0, session->comm);
    *rows_failed = hash[1];
    return hash[0];
}

/* The ranks' outcomes are the same. */
static void compare(ls_status status, int64_t seed)
{
    uint64_t mine[2] = {(uint64_t)status,
                        status == LS_OK ? 0 : XXH3_64bits(ls_error_message(), strlen(ls_error_message()))};
    uint64_t first[2] = {mine[0], mine[1]};
    MPI_Bcast(first, 2, MPI_UINT64_T, 0, session->comm);
    if (memcmp(mine, first, sizeof mine) != 0)
        fail_msg("seed %lld: rank %d returns %d (%s), rank 0 %d", (long long)seed, session->rank, (int)status,
                 ls_error_message(), (int)first[0]);
}

static void searches_end_in_good_order(void **state)
{
    (void)state;
    bool rows_failed;
    int n_failed = 0, n_rows_failed = 0;
    clear();
    ls_fault_plan(LS_FAULT_SITES, 0, 0);
    assert_int_equal(search(false), LS_OK); /* which holds the rows from now on */
    clear();
    ls_fault_plan(LS_FAULT_SITES, 0, 0);
    alarm(HANG_SECONDS);
    assert_int_equal(search(false), LS_OK);
    const uint64_t expected = digest(&rows_failed);
    assert_false(rows_failed);
    const int64_t live = ls_alloc_live();
    for (int64_t seed = 1; seed <= SEEDS; seed++) {
        uint32_t words[4];
        ls_philox((uint64_t)seed, LS_STREAM_DIGEST, 0, 0, words);
        const int rank = (int)(words[0] % (uint32_t)session->size);
        /* Some are more than a rank asks: then nothing fails. */
        const int64_t first = 1 + words[1] % (session->size == 1 ? 700 : 400);
        clear();
        ls_fault_plan(LS_FAULT_SITES, first, session->rank == rank ? 1 + words[2] % 3 : 0);
        const ls_status status = search(words[3] % 2);
        compare(status, seed);
        if (ls_alloc_live() != live) {
            fprintf(stderr, "seed %lld, rank %d, code %d, %s: %lld blocks are left\n", (long long)seed,
                    session->rank, (int)status, ls_error_message(), (long long)(ls_alloc_live() - live));
            abort();
        }
        if (status != LS_OK) {
            n_failed++;
            assert_true(strlen(ls_error_message()) > 0);
            if (search(true) != LS_OK)
                fail_msg("seed %lld: does not go on: %s", (long long)seed, ls_error_message());
        }
        if (digest(&rows_failed) != expected && !rows_failed)
            fail_msg("seed %lld: other tables", (long long)seed);
        n_rows_failed += rows_failed;
    }
    /* The test itself works. */
    assert_true(n_failed > SEEDS / 10);
    assert_true(n_rows_failed > 0);
}

static int begin_group(void **state)
{
    (void)state;
    ls_generate_options options = {.train_size = 0.5, .dtype = LS_FLOAT32};
    ls_make_classification_defaults(&options.data);
    options.data.n_samples = 80;
    options.data.n_features = 3;
    options.data.n_informative = 3;
    options.data.n_redundant = 0;
    barrier();
    if (session->rank == 0) {
        remove_files();
        FILE *file = fopen(path_of("space.json"), "w");
        assert_non_null(file);
        fputs(space, file);
        fclose(file);
    }
    assert_int_equal(ls_generate(session, &options, path_of("data.h5")), LS_OK);
    ls_dataset_source source = {.file = path_of("data.h5"), .set = "train"};
    assert_int_equal(ls_dataset_open(session, &source, &train_set), LS_OK);
    source.set = "test";
    assert_int_equal(ls_dataset_open(session, &source, &test_set), LS_OK);
    signal(SIGALRM, report_hang);
    return 0;
}

static int end_group(void **state)
{
    (void)state;
    ls_dataset_close(train_set);
    ls_dataset_close(test_set);
    clear();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(searches_end_in_good_order, begin_group, end_group),
    };
    /* Many syncs: in memory, unless told otherwise. */
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0);
    return run_dataset_tests(tests, sizeof tests / sizeof tests[0]);
}
