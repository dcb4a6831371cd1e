/* Files for the tests of datasets, written by HDF5 itself. */
#ifndef LS_TESTS_DATASET_FILES_UNIT_H
#define LS_TESTS_DATASET_FILES_UNIT_H

#include <hdf5.h>

#include "data/dataset.h"
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
static inline void add_array(hid_t file, const char *path, layout how, int rank, const hsize_t *extent,
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

static inline hid_t new_file(const char *name)
{
    const hid_t file = H5Fcreate(path_of(name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

static inline double value_at(int64_t row, int64_t column)
{
    return (double)((row * 7 + column * 3) % 120);
}

/* The arrays of value_at and of labels row % 2, at GROUP/X and GROUP/y. */
static inline void add_set(hid_t file, const char *group, layout how)
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

static inline ls_dataset *open_or_fail(const ls_dataset_source *source)
{
    ls_dataset *dataset;
    if (ls_dataset_open(session, source, &dataset) != LS_OK) fail_msg("%s", ls_error_message());
    return dataset;
}

typedef struct record {
    int64_t index;
    double features[COLUMNS];
    unsigned char label;
} record;

/* A table as PyTables makes it: a compound type with an array field. */
static inline void add_table(hid_t file, const char *path)
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

static inline void assert_words(const char *words)
{
    if (!strstr(ls_error_message(), words)) fail_msg("\"%s\" lacks \"%s\"", ls_error_message(), words);
}

#endif
