/* Users' data files: finding the arrays, their types and layouts, and reading rows. */
#include <fcntl.h>
#include <hdf5.h>
#include <unistd.h>

#include "data/dataset.h"
#include "hdf5_mutator.h"

enum { ROWS = 32, MAX_VALUES = 1 << 20 };

static char path[4096];

static void remove_file(void)
{
    unlink(path);
}

static void write_file(const uint8_t *data, size_t size)
{
    if (!path[0]) {
        /* In memory, or where fuzz.py removes what a crash leaves. */
        const char *parent = getenv("TMPDIR");
        if (!parent) parent = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        snprintf(path, sizeof path, "%s/lockstep-fuzz-XXXXXX", parent);
        const int made = mkstemp(path);
        FUZZ_ASSERT(made >= 0);
        close(made);
        atexit(remove_file);
    }
    const int file = open(path, O_WRONLY | O_TRUNC);
    FUZZ_ASSERT(file >= 0 && write(file, data, size) == (ssize_t)size);
    close(file);
}

/* Some rows from both ends, backwards, so that they are sorted, fetched together and handed out. */
static void read_some(ls_dataset *dataset, ls_dtype dtype)
{
    const int64_t n = ls_dataset_n_samples(dataset), columns = ls_dataset_n_features(dataset);
    FUZZ_ASSERT(n >= 1 && columns >= 1);
    const int64_t rows = n < ROWS ? n : ROWS;
    if (rows * columns > MAX_VALUES) return;
    const ls_segment segments[] = {{n - rows, rows}, {0, rows}};
    const ls_targets targets = ls_dataset_targets(dataset);
    if (rows * ls_targets_row_values(&targets) > MAX_VALUES) return;
    void *x = malloc((size_t)(2 * rows * columns) * sizeof(double));
    void *y = malloc((size_t)(2 * rows * ls_targets_row_values(&targets)) * sizeof(double));
    const ls_status status =
        ls_dataset_read_segments(dataset, dtype, segments, 2, x, ls_dataset_has_y(dataset) ? y : NULL);
    FUZZ_ASSERT_TOLD(status);
    free(x);
    free(y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ls_session session = {.size = 1};
    const int64_t live = ls_alloc_live();
    write_file(data, size);
    const ls_dataset_source sources[] = {
        {.file = path, .set = "train"},
        {.file = path},
        {.file = path, .x = "/table:x", .y = "/table:label"},
        {.file = path, .set = "test", .without_y = true},
    };
    /* The first one that is there, or the last. */
    ls_status status = LS_OK;
    bool exists = false;
    size_t i = 0;
    for (; status == LS_OK && i < sizeof sources / sizeof sources[0]; i++) {
        status = ls_dataset_exists(&session, &sources[i], &exists);
        FUZZ_ASSERT_TOLD(status);
        if (exists) break;
    }
    if (status == LS_OK) {
        const size_t last = sizeof sources / sizeof sources[0] - 1;
        ls_dataset *dataset;
        status = ls_dataset_open(&session, &sources[i < last ? i : last], &dataset);
        FUZZ_ASSERT_TOLD(status);
        FUZZ_ASSERT((status == LS_OK) == (dataset != NULL));
        if (status == LS_OK) {
            read_some(dataset, LS_FLOAT64);
            read_some(dataset, LS_FLOAT32);
        }
        ls_dataset_close(dataset);
    }
    FUZZ_ASSERT(ls_alloc_live() == live);
    FUZZ_ASSERT(H5Fget_obj_count((hid_t)H5F_OBJ_ALL, H5F_OBJ_ALL) == 0);
    return 0;
}
