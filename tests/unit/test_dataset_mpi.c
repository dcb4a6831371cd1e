#include <float.h>
#include <hdf5.h>
#include <math.h>
#include <sys/stat.h>

#include "data/dataset.h"
#include "data/train_test_split.h"
#include "dataset_unit.h"

enum { ROWS = 3001, COLUMNS = 5 };

/* How an array of a test file is stored. */
typedef struct layout {
    hid_t type;
    hsize_t chunk_rows; /* 0: contiguous */
    hsize_t chunk_columns;
    int filters; /* shuffle, deflate, fletcher32 */
} layout;

/* Adds an array of doubles to a file, converted to the type of the layout; groups are made. */
static void add_array(hid_t file, const char *path, layout how, int rank, const hsize_t *extent,
                      const double *values)
{
    const hid_t space = H5Screate_simple(rank, extent, NULL), links = H5Pcreate(H5P_LINK_CREATE);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk[3] = {how.chunk_rows, how.chunk_columns, 1};
    H5Pset_create_intermediate_group(links, 1);
    if (how.chunk_rows > 0) H5Pset_chunk(creation, rank, chunk);
    if (how.filters) {
        H5Pset_shuffle(creation);
        H5Pset_deflate(creation, 1);
        H5Pset_fletcher32(creation);
    }
    const hid_t dataset = H5Dcreate2(file, path, how.type, space, links, creation, H5P_DEFAULT);
    assert_true(dataset >= 0);
    if (values) assert_true(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(dataset);
    H5Pclose(creation);
    H5Pclose(links);
    H5Sclose(space);
}

static hid_t new_file(const char *name)
{
    const hid_t file = H5Fcreate(path_of(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

static double value_at(int64_t row, int64_t column)
{
    return (double)((row * 7 + column * 3) % 120);
}

/* The arrays of value_at and of labels row % 2, at GROUP/X and GROUP/y. */
static void add_set(hid_t file, const char *group, layout how)
{
    double *x = malloc(sizeof(double[ROWS * COLUMNS])), *y = malloc(sizeof(double[ROWS]));
    for (int64_t i = 0; i < ROWS; i++) {
        for (int64_t j = 0; j < COLUMNS; j++) x[i * COLUMNS + j] = value_at(i, j);
        y[i] = (double)(i % 2);
    }
    char path[64];
    snprintf(path, sizeof path, "%s/X", group);
    add_array(file, path, how, 2, (const hsize_t[]){ROWS, COLUMNS}, x);
    snprintf(path, sizeof path, "%s/y", group);
    add_array(file, path, how, 1, (const hsize_t[]){ROWS}, y);
    free(x);
    free(y);
}

static double get(ls_dtype dtype, const void *values, int64_t i)
{
    return dtype == LS_FLOAT32 ? (double)((const float *)values)[i] : ((const double *)values)[i];
}

/* Reads the segments and compares with value_at. */
static void check_segments(ls_dataset *dataset, ls_dtype dtype, const ls_segment *segments, int64_t n)
{
    int64_t n_rows = 0;
    for (int64_t i = 0; i < n; i++) n_rows += segments[i].n_rows;
    char *x = malloc((size_t)n_rows * COLUMNS * ls_dtype_size(dtype) + 1);
    char *y = malloc((size_t)n_rows * ls_dtype_size(dtype) + 1);
    x[(size_t)n_rows * COLUMNS * ls_dtype_size(dtype)] = 'x';
    y[(size_t)n_rows * ls_dtype_size(dtype)] = 'y';
    const ls_status status = ls_dataset_read_segments(dataset, dtype, segments, n, x, y);
    if (status != LS_OK) fail_msg("%s", ls_error_message());
    for (int64_t i = 0, at = 0; i < n; i++)
        for (int64_t row = segments[i].first_row; row < segments[i].first_row + segments[i].n_rows;
             row++, at++) {
            for (int64_t j = 0; j < COLUMNS; j++)
                assert_true(get(dtype, x, at * COLUMNS + j) == value_at(row, j));
            assert_true(get(dtype, y, at) == (double)(row % 2));
        }
    assert_int_equal(x[(size_t)n_rows * COLUMNS * ls_dtype_size(dtype)], 'x');
    assert_int_equal(y[(size_t)n_rows * ls_dtype_size(dtype)], 'y');
    free(x);
    free(y);
}

static ls_dataset *open_or_fail(const ls_dataset_source *source)
{
    ls_dataset *dataset;
    if (ls_dataset_open(session, source, &dataset) != LS_OK) fail_msg("%s", ls_error_message());
    return dataset;
}

/* NumPy's float16. */
static hid_t half_type(void)
{
    const hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, 15, 10, 5, 0, 10);
    H5Tset_size(type, 2);
    H5Tset_ebias(type, 15);
    return type;
}

static void every_number_type_is_read(void **state)
{
    (void)state;
    const hid_t half = half_type();
    const struct {
        const char *group;
        hid_t type;
    } types[] = {
        {"/i1", H5T_STD_I8LE},   {"/i2", H5T_STD_I16LE},
        {"/i4", H5T_STD_I32BE},  {"/i8", H5T_STD_I64LE},
        {"/u1", H5T_STD_U8LE},   {"/u2", H5T_STD_U16BE},
        {"/u4", H5T_STD_U32LE},  {"/u8", H5T_STD_U64BE},
        {"/f4", H5T_IEEE_F32LE}, {"/f4b", H5T_IEEE_F32BE},
        {"/f8", H5T_IEEE_F64LE}, {"/f8b", H5T_IEEE_F64BE},
        {"/f2", half},           {"/f16", H5T_NATIVE_LDOUBLE},
    };
    const char *path = path_of("types.h5");
    if (session->rank == 0) {
        const hid_t file = new_file("types.h5");
        for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
            add_set(file, types[i].group, (layout){.type = types[i].type});
        H5Fclose(file);
    }
    barrier();
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        ls_dataset *dataset = open_or_fail(&(ls_dataset_source){.file = path, .set = types[i].group + 1});
        const ls_segment all = {0, ROWS};
        check_segments(dataset, LS_FLOAT32, &all, 1);
        check_segments(dataset, LS_FLOAT64, &all, 1);
        ls_dataset_close(dataset);
    }
    H5Tclose(half);
}

static void integers_beyond_53_bits_are_rounded_once(void **state)
{
    (void)state;
    const char *path = path_of("wide.h5");
    /* Halfway between two floats but for the last bit, which a detour over double would lose. */
    const int64_t values[2] = {((int64_t)1 << 60) + ((int64_t)1 << 36) + 1, -3};
    if (session->rank == 0) {
        const hid_t file = new_file("wide.h5"), space = H5Screate_simple(1, (const hsize_t[]){2}, NULL);
        const hid_t dataset =
            H5Dcreate2(file, "/X", H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        H5Dwrite(dataset, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
        H5Dclose(dataset);
        H5Sclose(space);
        H5Fclose(file);
    }
    barrier();
    ls_dataset *dataset = open_or_fail(&(ls_dataset_source){.file = path, .without_y = true});
    assert_false(ls_dataset_has_y(dataset));
    assert_int_equal(ls_dataset_n_features(dataset), 1);
    float x[2];
    assert_int_equal(ls_dataset_read_rows(dataset, LS_FLOAT32, 0, 2, x, NULL), LS_OK);
    assert_true(x[0] == (float)values[0] && x[0] != (float)(double)values[0]);
    assert_true(x[1] == -3);
    ls_dataset_close(dataset);
}

/* A small generator of its own, so that the test does not change with the C library. */
static int64_t draw(uint64_t *state, int64_t limit)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((*state >> 33) % (uint64_t)limit);
}

static void segments_come_in_the_order_given(void **state)
{
    (void)state;
    const layout layouts[] = {
        {.type = H5T_IEEE_F64LE},
        {.type = H5T_IEEE_F32LE},
        {.type = H5T_STD_I16LE},
        {.type = H5T_IEEE_F64LE, .chunk_rows = 100, .chunk_columns = 5, .filters = 1},
        {.type = H5T_IEEE_F32LE, .chunk_rows = 7, .chunk_columns = 2, .filters = 1},
        {.type = H5T_IEEE_F64LE, .chunk_rows = 3001, .chunk_columns = 1},
    };
    const char *path = path_of("layouts.h5");
    char set[8];
    if (session->rank == 0) {
        const hid_t file = new_file("layouts.h5");
        for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
            snprintf(set, sizeof set, "/%zu", i);
            add_set(file, set, layouts[i]);
        }
        H5Fclose(file);
    }
    barrier();
    uint64_t seed = (uint64_t)session->rank;
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++) {
        snprintf(set, sizeof set, "%zu", i);
        ls_dataset *dataset = open_or_fail(&(ls_dataset_source){.file = path, .set = set});
        assert_int_equal(ls_dataset_n_samples(dataset), ROWS);
        assert_int_equal(ls_dataset_n_features(dataset), COLUMNS);
        check_segments(dataset, LS_FLOAT64, NULL, 0);
        for (int round = 0; round < 60; round++) {
            ls_segment segments[40];
            const int64_t n = 1 + draw(&seed, 40), longest = round % 2 ? 3 : 500;
            for (int64_t k = 0; k < n; k++) {
                segments[k].n_rows = draw(&seed, longest);
                segments[k].first_row = draw(&seed, ROWS - segments[k].n_rows + 1);
            }
            check_segments(dataset, round % 3 ? LS_FLOAT32 : LS_FLOAT64, segments, n);
        }
        const ls_segment outside[] = {{ROWS, 1}, {-1, 1}, {1, ROWS}, {0, -1}};
        double sink[COLUMNS];
        for (size_t k = 0; k < 4; k++)
            assert_int_equal(ls_dataset_read_segments(dataset, LS_FLOAT64, &outside[k], 1, sink, NULL),
                             LS_E_INTERNAL);
        ls_dataset_close(dataset);
    }
}

/* Wide rows: one needs a transfer of its own, gaps are larger than what is read over. */
static void rows_larger_than_a_transfer_are_read(void **state)
{
    (void)state;
    enum { WIDE = 300000, FEW = 6 };
    const char *path = path_of("wide.h5");
    double *x = malloc(sizeof(double[FEW]) * WIDE);
    if (session->rank == 0) {
        for (int64_t i = 0; i < FEW * WIDE; i++) x[i] = (double)i;
        const hid_t file = new_file("wide.h5");
        add_array(file, "/X", (layout){.type = H5T_IEEE_F64LE}, 2, (const hsize_t[]){FEW, WIDE}, x);
        H5Fclose(file);
    }
    barrier();
    ls_dataset *dataset = open_or_fail(&(ls_dataset_source){.file = path, .without_y = true});
    const ls_segment segments[] = {{4, 2}, {0, 1}, {2, 1}};
    const int64_t rows[] = {4, 5, 0, 2};
    float *singles = malloc(sizeof(float[4]) * WIDE);
    assert_int_equal(ls_dataset_read_segments(dataset, LS_FLOAT64, segments, 3, x, NULL), LS_OK);
    assert_int_equal(ls_dataset_read_segments(dataset, LS_FLOAT32, segments, 3, singles, NULL), LS_OK);
    for (int64_t i = 0; i < 4; i++)
        for (int64_t j = 0; j < WIDE; j++) {
            assert_true(x[i * WIDE + j] == (double)(rows[i] * WIDE + j));
            assert_true(singles[i * WIDE + j] == (float)(rows[i] * WIDE + j));
        }
    free(singles);
    free(x);
    ls_dataset_close(dataset);
}

typedef struct record {
    int64_t index;
    double features[COLUMNS];
    unsigned char label;
} record;

/* A table as PyTables makes it: a compound type with an array field. */
static void add_table(hid_t file, const char *path)
{
    const hid_t type = H5Tcreate(H5T_COMPOUND, sizeof(record));
    const hid_t features = H5Tarray_create2(H5T_NATIVE_DOUBLE, 1, (const hsize_t[]){COLUMNS});
    H5Tinsert(type, "index", HOFFSET(record, index), H5T_NATIVE_INT64);
    H5Tinsert(type, "values_block_0", HOFFSET(record, features), features);
    H5Tinsert(type, "label", HOFFSET(record, label), H5T_NATIVE_B8);
    record *records = calloc(ROWS, sizeof *records);
    for (int64_t i = 0; i < ROWS; i++) {
        records[i].index = i;
        for (int64_t j = 0; j < COLUMNS; j++) records[i].features[j] = value_at(i, j);
        records[i].label = (unsigned char)(i % 2);
    }
    const hid_t space = H5Screate_simple(1, (const hsize_t[]){ROWS}, NULL);
    const hid_t dataset = H5Dcreate2(file, path, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, records) >= 0);
    free(records);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Tclose(features);
    H5Tclose(type);
}

/* h5py's booleans: an enum over int8. */
static void add_booleans(hid_t file, const char *path)
{
    const hid_t type = H5Tenum_create(H5T_NATIVE_INT8);
    H5Tenum_insert(type, "FALSE", (const int8_t[]){0});
    H5Tenum_insert(type, "TRUE", (const int8_t[]){1});
    int8_t *values = malloc(ROWS);
    for (int64_t i = 0; i < ROWS; i++) values[i] = (int8_t)(i % 2);
    const hid_t space = H5Screate_simple(2, (const hsize_t[]){ROWS, 1}, NULL);
    const hid_t dataset = H5Dcreate2(file, path, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    free(values);
    H5Dclose(dataset);
    H5Sclose(space);
    H5Tclose(type);
}

static void arrays_are_found_wherever_they_lie(void **state)
{
    (void)state;
    char plain[512], other[512], grouped[600], elsewhere[600];
    snprintf(plain, sizeof plain, "%s", path_of("data.h5"));
    snprintf(other, sizeof other, "%s", path_of("other.h5"));
    snprintf(grouped, sizeof grouped, "%s:/a/b/", plain);
    snprintf(elsewhere, sizeof elsewhere, "%s:/bools", other);
    if (session->rank == 0) {
        hid_t file = new_file("data.h5");
        add_set(file, "", (layout){.type = H5T_IEEE_F64LE});
        add_set(file, "/train", (layout){.type = H5T_IEEE_F64LE});
        add_set(file, "/a/b", (layout){.type = H5T_IEEE_F64LE});
        add_set(file, "/a/b/train", (layout){.type = H5T_IEEE_F64LE});
        add_table(file, "/table");
        H5Fclose(file);
        file = new_file("other.h5");
        add_booleans(file, "/bools");
        H5Fclose(file);
    }
    barrier();
    const struct {
        ls_dataset_source source;
        const char *x;
        const char *y;
    } forms[] = {
        {{.file = plain}, "data.h5:/X", "data.h5:/y"},
        {{.file = plain, .set = "train"}, "data.h5:/train/X", "data.h5:/train/y"},
        {{.file = grouped}, "data.h5:/a/b/X", "data.h5:/a/b/y"},
        {{.file = grouped, .set = "train"}, "data.h5:/a/b/train/X", "data.h5:/a/b/train/y"},
        {{.file = plain, .set = "train", .x = "/X", .y = elsewhere}, "data.h5:/X", "other.h5:/bools"},
        {{.file = plain, .x = "/table:values_block_0", .y = "/table:label"},
         "data.h5:/table:values_block_0",
         "data.h5:/table:label"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        ls_dataset *dataset = open_or_fail(&forms[i].source);
        const char *x_name = ls_dataset_x_name(dataset), *y_name = ls_dataset_y_name(dataset);
        assert_string_equal(x_name + strlen(directory) + 1, forms[i].x);
        assert_string_equal(y_name + strlen(directory) + 1, forms[i].y);
        const ls_segment segments[] = {{ROWS - 10, 10}, {0, ROWS}};
        check_segments(dataset, LS_FLOAT64, segments, 2);
        check_segments(dataset, LS_FLOAT32, segments, 2);
        ls_dataset_close(dataset);

        bool exists = false;
        assert_int_equal(ls_dataset_exists(session, &forms[i].source, &exists), LS_OK);
        assert_true(exists);
    }
    bool exists = true;
    assert_int_equal(ls_dataset_exists(session, &(ls_dataset_source){.file = plain, .set = "test"}, &exists),
                     LS_OK);
    assert_false(exists);
    assert_int_equal(ls_dataset_exists(session, &(ls_dataset_source){.file = plain, .set = "X"}, &exists),
                     LS_OK);
    assert_false(exists);
    assert_int_equal(ls_dataset_exists(session, &(ls_dataset_source){.file = path_of("none.h5")}, &exists),
                     LS_E_INPUT);
}

static void assert_words(const char *words)
{
    if (!strstr(ls_error_message(), words)) fail_msg("\"%s\" lacks \"%s\"", ls_error_message(), words);
}

static void write_text(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    fputs(text, file);
    fclose(file);
}

static void add_text_array(hid_t file)
{
    const hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, (const hsize_t[]){4}, NULL);
    H5Tset_size(type, 8);
    H5Dclose(H5Dcreate2(file, "/text", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
    H5Tclose(type);
}

static void add_complex_array(hid_t file)
{
    const hid_t type = H5Tcreate(H5T_COMPOUND, 16), space = H5Screate_simple(1, (const hsize_t[]){4}, NULL);
    H5Tinsert(type, "r", 0, H5T_NATIVE_DOUBLE);
    H5Tinsert(type, "i", 8, H5T_NATIVE_DOUBLE);
    H5Dclose(H5Dcreate2(file, "/complex", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
    H5Tclose(type);
}

/* A filter that is registered for writing only in this test, and gone when the library reads. */
static size_t keep_bytes(unsigned flags, size_t n_values, const unsigned *values, size_t n_bytes,
                         size_t *size, void **buffer)
{
    (void)flags;
    (void)n_values;
    (void)values;
    (void)size;
    (void)buffer;
    return n_bytes;
}

static void add_filtered_array(hid_t file)
{
    const H5Z_class2_t filter = {H5Z_CLASS_T_VERS, 32001, 1, 1, "blosc", NULL, NULL, keep_bytes};
    H5Zregister(&filter);
    const hid_t space = H5Screate_simple(1, (const hsize_t[]){4}, NULL),
                creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, 1, (const hsize_t[]){4});
    H5Pset_filter(creation, 32001, H5Z_FLAG_OPTIONAL, 0, NULL);
    const hid_t dataset =
        H5Dcreate2(file, "/filtered", H5T_IEEE_F64LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    H5Dwrite(dataset, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, (const double[]){1, 2, 3, 4});
    H5Dclose(dataset);
    H5Pclose(creation);
    H5Sclose(space);
    H5Fflush(file, H5F_SCOPE_GLOBAL);
}

static void make_bad_files(void)
{
    const layout doubles = {.type = H5T_IEEE_F64LE};
    const double zeros[64] = {0};
    hid_t file = new_file("bad.h5");
    add_array(file, "/X", doubles, 2, (const hsize_t[]){4, 2}, zeros);
    add_array(file, "/y", doubles, 1, (const hsize_t[]){4}, zeros);
    add_array(file, "/y3", doubles, 1, (const hsize_t[]){3}, zeros);
    add_array(file, "/cube", doubles, 3, (const hsize_t[]){4, 2, 2}, zeros);
    add_array(file, "/scalar", doubles, 0, NULL, zeros);
    add_array(file, "/none", doubles, 2, (const hsize_t[]){0, 2}, NULL);
    add_array(file, "/narrow", doubles, 2, (const hsize_t[]){4, 0}, NULL);
    add_array(file, "/group/inner", doubles, 1, (const hsize_t[]){4}, zeros);
    add_text_array(file);
    add_complex_array(file);
    add_table(file, "/table");
    H5Lcreate_soft("/nowhere", file, "/dangling", H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);

    file = new_file("filtered.h5");
    add_filtered_array(file);
    H5Fclose(file);
    H5Zunregister(32001);

    file = new_file("cut.h5");
    add_set(file, "", doubles);
    H5Fclose(file);
    assert_int_equal(truncate(path_of("cut.h5"), 40000), 0);

    write_text("empty.h5", "");
    write_text("text.h5", "these are no numbers, and there are quite a few of them that are none");
    mkdir(path_of("directory.h5"), 0777);
}

static void bad_files_are_named_with_what_is_wrong(void **state)
{
    (void)state;
    if (session->rank == 0) make_bad_files();
    barrier();
    const struct {
        const char *file;
        const char *set;
        const char *x;
        const char *y;
        const char *words;
        const char *more_words;
    } cases[] = {
        {"missing.h5", NULL, NULL, NULL, "missing.h5", "No such file"},
        {"directory.h5", NULL, NULL, NULL, "directory.h5", "is a directory"},
        {"empty.h5", NULL, NULL, NULL, "empty.h5", "empty"},
        {"text.h5", NULL, NULL, NULL, "text.h5", "not an HDF5 file"},
        {"cut.h5", NULL, NULL, NULL, "cut.h5", "truncated"},
        {"bad.h5", "train", NULL, NULL, "/train/X", "/X (4 x 2 float64)"},
        {"bad.h5", "train", NULL, NULL, "--x FILE:/PATH --y FILE:/PATH", "/y (4 float64)"},
        {"bad.h5", NULL, "/X/deeper", NULL, "/X/deeper", "no such dataset"},
        {"bad.h5", NULL, "/", NULL, "bad.h5:/", "is a group"},
        {"bad.h5", NULL, "/group", NULL, "/group", "is a group"},
        {"bad.h5", NULL, "/dangling", NULL, "/dangling", "leads nowhere"},
        {"bad.h5", NULL, "/cube", NULL, "/cube", "3 dimensions"},
        {"bad.h5", NULL, "/scalar", NULL, "/scalar", "a single value"},
        {"bad.h5", NULL, "/none", NULL, "/none", "no rows"},
        {"bad.h5", NULL, "/narrow", NULL, "/narrow", "no columns"},
        {"bad.h5", NULL, "/text", NULL, "/text", "holds text"},
        {"bad.h5", NULL, "/complex", NULL, "/complex", "complex numbers"},
        {"bad.h5", NULL, "/table", NULL, "/table", "index, values_block_0, label"},
        {"bad.h5", NULL, "/table:vlaues", NULL, "no such field", "index, values_block_0, label"},
        {"bad.h5", NULL, "/X:index", NULL, "/X:index", "is no table"},
        {"bad.h5", NULL, NULL, "/y3", "has 4 rows", "has 3"},
        {"filtered.h5", NULL, "/filtered", NULL, "blosc", "h5repack"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const ls_dataset_source source = {
            .file = path_of(cases[i].file), .set = cases[i].set, .x = cases[i].x, .y = cases[i].y};
        ls_dataset *dataset = NULL;
        assert_int_equal(ls_dataset_open(session, &source, &dataset), LS_E_INPUT);
        assert_null(dataset);
        assert_words(cases[i].words);
        assert_words(cases[i].more_words);
    }
    ls_dataset *dataset;
    const ls_dataset_source two = {.file = path_of("bad.h5"), .y = "/X"};
    assert_int_equal(ls_dataset_open(session, &two, &dataset), LS_OK);
    assert_int_equal(ls_dataset_expect_targets(dataset, LS_TARGET_LABELS, 1), LS_E_INPUT);
    assert_words("has 2 columns");
    assert_int_equal(ls_dataset_expect_targets(dataset, LS_TARGET_CLASSES, 3), LS_E_INPUT);
    assert_words("3 outputs");
    assert_int_equal(ls_dataset_expect_targets(dataset, LS_TARGET_NUMBERS, 2), LS_OK);
    ls_dataset_close(dataset);
    assert_int_equal(ls_dataset_open(session, &(ls_dataset_source){.x = "/X"}, &dataset), LS_E_USAGE);
    assert_int_equal(ls_dataset_open(session, &(ls_dataset_source){.file = "f", .x = "/X:"}, &dataset),
                     LS_E_USAGE);
}

/* The header is whole, the rows at the end are not. */
static void storage_beyond_the_end_of_the_file_is_found_at_open(void **state)
{
    (void)state;
    const char *path = path_of("data.h5");
    if (session->rank == 0) {
        hid_t file = new_file("data.h5");
        add_set(file, "", (layout){.type = H5T_IEEE_F64LE});
        const hid_t dataset = H5Dopen2(file, "/X", H5P_DEFAULT);
        const uint64_t end = H5Dget_offset(dataset) + 1000;
        H5Dclose(dataset);
        H5Fclose(file);
        /* The superblock (version 0) tells the end of the file at byte 40: make it agree with the cut. */
        assert_int_equal(truncate(path, (off_t)end), 0);
        FILE *bytes = fopen(path, "r+b");
        fseek(bytes, 40, SEEK_SET);
        fwrite(&end, sizeof end, 1, bytes);
        fclose(bytes);
    }
    barrier();
    ls_dataset *dataset;
    assert_int_equal(
        ls_dataset_open(session, &(ls_dataset_source){.file = path, .without_y = true}, &dataset),
        LS_E_INPUT);
    assert_words("truncated");
    assert_words("data.h5");
}

static void bad_values_are_named_with_row_and_column(void **state)
{
    (void)state;
    const struct {
        double x; /* at row 1234, column 3 */
        double y; /* at row 1235 */
        hid_t type;
        ls_dtype dtype;
        const char *words;
        const char *more_words;
    } cases[] = {
        {NAN, 0, H5T_IEEE_F64LE, LS_FLOAT64, "/X: row 1234, column 3", "nan"},
        {NAN, 0, H5T_IEEE_F64LE, LS_FLOAT32, "/X: row 1234, column 3", "nan"},
        {INFINITY, 0, H5T_IEEE_F32LE, LS_FLOAT32, "/X: row 1234, column 3", "inf"},
        {-INFINITY, 0, H5T_IEEE_F32LE, LS_FLOAT64, "/X: row 1234, column 3", "-inf"},
        {-1e39, 0, H5T_IEEE_F64LE, LS_FLOAT32, "/X: row 1234, column 3", "overflows float32"},
        {1, 2, H5T_IEEE_F64LE, LS_FLOAT64, "/y: row 1235", "the label is 2"},
        {1, -1, H5T_STD_I8LE, LS_FLOAT32, "/y: row 1235", "the label is -1"},
        {1, 200, H5T_STD_U8LE, LS_FLOAT32, "/y: row 1235", "the label is 200"},
        {1, 1e-60, H5T_IEEE_F64LE, LS_FLOAT32, "/y: row 1235", "the label is 9.9999999999999997e-61"},
        {1, NAN, H5T_IEEE_F32LE, LS_FLOAT32, "/y: row 1235", "the label is nan"},
    };
    const char *path = path_of("values.h5");
    double *x = calloc(ROWS * COLUMNS, sizeof *x), *y = calloc(ROWS, sizeof *y);
    char set[8];
    if (session->rank == 0) {
        const hid_t file = new_file("values.h5");
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            char name[16];
            x[1234 * COLUMNS + 3] = cases[i].x;
            y[1235] = cases[i].y;
            snprintf(name, sizeof name, "/%zu/X", i);
            add_array(file, name, (layout){.type = cases[i].type}, 2, (const hsize_t[]){ROWS, COLUMNS}, x);
            snprintf(name, sizeof name, "/%zu/y", i);
            add_array(file, name, (layout){.type = cases[i].type}, 2, (const hsize_t[]){ROWS, 1}, y);
        }
        H5Fclose(file);
    }
    barrier();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(set, sizeof set, "%zu", i);
        ls_dataset *dataset = open_or_fail(&(ls_dataset_source){.file = path, .set = set});
        assert_int_equal(ls_dataset_read_rows(dataset, cases[i].dtype, 0, ROWS, x, y), LS_E_INPUT);
        assert_words(cases[i].words);
        assert_words(cases[i].more_words);
        assert_words("values.h5");
        /* The rows before and after are good. */
        const ls_segment around[] = {{1236, ROWS - 1236}, {0, 1234}};
        assert_int_equal(ls_dataset_read_segments(dataset, cases[i].dtype, around, 2, x, y), LS_OK);
        ls_dataset_close(dataset);
    }
    free(x);
    free(y);
}

/* The largest double that is a finite float, and the smallest that is not. */
static void overflow_is_where_rounding_reaches_infinity(void **state)
{
    (void)state;
    const double limit = 0x1.ffffffp127;
    const double good[2] = {nextafter(limit, 0), -nextafter(limit, 0)}, bad[2] = {0, -limit};
    const char *path = path_of("limit.h5");
    if (session->rank == 0) {
        const hid_t file = new_file("limit.h5");
        add_array(file, "/good/X", (layout){.type = H5T_IEEE_F64LE}, 1, (const hsize_t[]){2}, good);
        add_array(file, "/bad/X", (layout){.type = H5T_IEEE_F64LE}, 1, (const hsize_t[]){2}, bad);
        H5Fclose(file);
    }
    barrier();
    float x[2];
    ls_dataset *dataset = open_or_fail(&(ls_dataset_source){.file = path, .set = "good", .without_y = true});
    assert_int_equal(ls_dataset_read_rows(dataset, LS_FLOAT32, 0, 2, x, NULL), LS_OK);
    assert_true(x[0] == FLT_MAX && x[1] == -FLT_MAX);
    ls_dataset_close(dataset);
    dataset = open_or_fail(&(ls_dataset_source){.file = path, .set = "bad", .without_y = true});
    assert_int_equal(ls_dataset_read_rows(dataset, LS_FLOAT32, 0, 2, x, NULL), LS_E_INPUT);
    assert_words("row 1, column 0");
    ls_dataset_close(dataset);
}

static void a_split_has_the_rows_of_train_test_split(void **state)
{
    (void)state;
    char input[512], output[512];
    snprintf(input, sizeof input, "%s", path_of("data.h5"));
    snprintf(output, sizeof output, "%s", path_of("split.h5"));
    if (session->rank == 0) {
        const hid_t file = new_file("data.h5");
        add_set(file, "/mine",
                (layout){.type = H5T_STD_I32BE, .chunk_rows = 100, .chunk_columns = 2, .filters = 1});
        H5Fclose(file);
    }
    barrier();
    const ls_dataset_source source = {.file = input, .set = "mine"};
    int64_t n_train, n_test;
    assert_int_equal(ls_train_test_sizes(ROWS, 0.75, &n_train, &n_test), LS_OK);
    int64_t *rows = malloc(sizeof(int64_t[ROWS]));
    assert_int_equal(ls_train_test_split(ROWS, n_train, n_test, 3, rows, rows + n_train), LS_OK);
    for (int dtype = LS_FLOAT32; dtype <= LS_FLOAT64; dtype++) {
        if (ls_dataset_split(session, &source, 0.75, 3, (ls_dtype)dtype, NULL, output) != LS_OK)
            fail_msg("%s", ls_error_message());
        double x[COLUMNS], y;
        for (int part = 0; part < 2; part++) {
            ls_dataset *dataset =
                open_or_fail(&(ls_dataset_source){.file = output, .set = part ? "test" : "train"});
            assert_int_equal(ls_dataset_n_samples(dataset), part ? n_test : n_train);
            for (int64_t i = 0; i < (part ? n_test : n_train); i += 17) {
                const int64_t row = rows[(part ? n_train : 0) + i];
                assert_int_equal(ls_dataset_read_rows(dataset, LS_FLOAT64, i, 1, x, &y), LS_OK);
                for (int64_t j = 0; j < COLUMNS; j++) assert_true(x[j] == value_at(row, j));
                assert_true(y == (double)(row % 2));
            }
            ls_dataset_close(dataset);
        }
        barrier();
    }
    free(rows);
    if (session->rank == 0) assert_int_equal(count_files(), 2);
    barrier();

    /* A failure leaves the old output and nothing else. */
    assert_int_equal(ls_dataset_split(session, &source, 2.0 * ROWS, 3, LS_FLOAT64, NULL, output), LS_E_USAGE);
    assert_int_equal(ls_dataset_split(session, &source, 0.5, 3, LS_FLOAT64, NULL, path_of("none/x.h5")),
                     LS_E_OUTPUT);
    if (session->rank == 0) assert_int_equal(count_files(), 2);
}

static void a_bad_row_on_one_rank_stops_the_split_on_all(void **state)
{
    (void)state;
    char input[512], output[512];
    snprintf(input, sizeof input, "%s", path_of("data.h5"));
    snprintf(output, sizeof output, "%s", path_of("split.h5"));
    if (session->rank == 0) {
        double *x = calloc(ROWS, sizeof *x);
        x[2222] = NAN;
        const hid_t file = new_file("data.h5");
        add_array(file, "/X", (layout){.type = H5T_IEEE_F64LE}, 1, (const hsize_t[]){ROWS}, x);
        x[2222] = 0;
        add_array(file, "/y", (layout){.type = H5T_IEEE_F64LE}, 1, (const hsize_t[]){ROWS}, x);
        H5Fclose(file);
        free(x);
    }
    barrier();
    assert_int_equal(
        ls_dataset_split(session, &(ls_dataset_source){.file = input}, 0.5, 0, LS_FLOAT64, NULL, output),
        LS_E_INPUT);
    assert_words("row 2222, column 0");
    barrier();
    if (session->rank == 0) assert_int_equal(count_files(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_number_type_is_read, begin_test),
        cmocka_unit_test_setup(integers_beyond_53_bits_are_rounded_once, begin_test),
        cmocka_unit_test_setup(segments_come_in_the_order_given, begin_test),
        cmocka_unit_test_setup(rows_larger_than_a_transfer_are_read, begin_test),
        cmocka_unit_test_setup(arrays_are_found_wherever_they_lie, begin_test),
        cmocka_unit_test_setup(bad_files_are_named_with_what_is_wrong, begin_test),
        cmocka_unit_test_setup(storage_beyond_the_end_of_the_file_is_found_at_open, begin_test),
        cmocka_unit_test_setup(bad_values_are_named_with_row_and_column, begin_test),
        cmocka_unit_test_setup(overflow_is_where_rounding_reaches_infinity, begin_test),
        cmocka_unit_test_setup(a_split_has_the_rows_of_train_test_split, begin_test),
        cmocka_unit_test_setup(a_bad_row_on_one_rank_stops_the_split_on_all, begin_test),
    };
    return run_dataset_tests(tests, sizeof tests / sizeof tests[0]);
}
