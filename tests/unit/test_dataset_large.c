/* Rows and bytes beyond what 32 bits count, in files that are holes but for a few rows. */
#include <hdf5.h>

#include "data/dataset.h"
#include "dataset_unit.h"

enum { N_PLACES = 6, NEAR = 300 };

/* Adds a contiguous array without writing its values. */
static hid_t add_array(hid_t file, const char *name, hid_t type, hsize_t n_rows, hsize_t n_columns)
{
    const hsize_t extent[2] = {n_rows, n_columns};
    const hid_t space = H5Screate_simple(2, extent, NULL), creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_alloc_time(creation, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER);
    const hid_t dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    assert_true(dataset >= 0);
    H5Pclose(creation);
    H5Sclose(space);
    return dataset;
}

/* Writes values into rows from first_row. */
static void put_rows(hid_t dataset, hsize_t first_row, hsize_t n_rows, hsize_t n_columns,
                     const double *values)
{
    const hsize_t start[2] = {first_row, 0}, count[2] = {n_rows, n_columns};
    const hid_t space = H5Dget_space(dataset), memory = H5Screate_simple(2, count, NULL);
    assert_true(H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0);
    assert_true(H5Dwrite(dataset, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, values) >= 0);
    H5Sclose(memory);
    H5Sclose(space);
}

static void rows_beyond_32_bits_are_read(void **state)
{
    (void)state;
    const struct {
        hid_t x_type, y_type;
        int64_t n_columns;
    } files[] = {{H5T_IEEE_F32LE, H5T_STD_U8LE, 1},
                 {H5T_IEEE_F64LE, H5T_STD_U8LE, 3},
                 {H5T_STD_I16BE, H5T_STD_I8LE, 2}};
    const int64_t n_rows = ((int64_t)1 << 32) + 1000;
    /* Around 2^31 and 2^32 rows, the end, and the beginning, where a count cut to 32 bits would lead. */
    const int64_t places[N_PLACES] = {n_rows - NEAR,          ((int64_t)1 << 31) - 7, 0,
                                      ((int64_t)1 << 32) - 9, (int64_t)1 << 30,       5000};
    for (size_t f = 0; f < sizeof files / sizeof files[0]; f++) {
        const int64_t n_columns = files[f].n_columns;
        double written[NEAR * 3], labels[NEAR];
        const hid_t file = H5Fcreate(path_of("large.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        const hid_t x = add_array(file, "/X", files[f].x_type, (hsize_t)n_rows, (hsize_t)n_columns),
                    y = add_array(file, "/y", files[f].y_type, (hsize_t)n_rows, 1);
        ls_segment segments[N_PLACES];
        for (int64_t i = 0; i < N_PLACES; i++) {
            for (int64_t k = 0; k < NEAR * n_columns; k++) written[k] = (double)(1 + 3000 * i + k);
            for (int64_t k = 0; k < NEAR; k++) labels[k] = (double)((k + i) % 2);
            put_rows(x, (hsize_t)places[i], NEAR, (hsize_t)n_columns, written);
            put_rows(y, (hsize_t)places[i], NEAR, 1, labels);
            segments[i] = (ls_segment){places[i], NEAR};
        }
        H5Dclose(x);
        H5Dclose(y);
        assert_true(H5Fclose(file) >= 0);

        /* Through a small file that says where they are, as well. */
        const hid_t links = H5Fcreate(path_of("links.h5"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        assert_true(H5Lcreate_external("large.h5", "/X", links, "/X", H5P_DEFAULT, H5P_DEFAULT) >= 0);
        assert_true(H5Lcreate_external("large.h5", "/y", links, "/y", H5P_DEFAULT, H5P_DEFAULT) >= 0);
        assert_true(H5Fclose(links) >= 0);
        ls_dataset *dataset;
        const ls_dataset_source source = {.file = path_of(f == 1 ? "links.h5" : "large.h5")};
        if (ls_dataset_open(session, &source, &dataset) != LS_OK) fail_msg("%s", ls_error_message());
        assert_int_equal(ls_dataset_n_samples(dataset), n_rows);
        for (ls_dtype dtype = LS_FLOAT32; dtype <= LS_FLOAT64; dtype++) {
            double values[N_PLACES * NEAR * 3], read_labels[N_PLACES * NEAR];
            assert_int_equal(
                ls_dataset_read_segments(dataset, dtype, segments, N_PLACES, values, read_labels), LS_OK);
            for (int64_t i = 0; i < N_PLACES; i++) {
                for (int64_t k = 0, at = i * NEAR * n_columns; k < NEAR * n_columns; k++, at++)
                    assert_true((dtype == LS_FLOAT32 ? (double)((float *)values)[at] : values[at]) ==
                                (double)(1 + 3000 * i + k));
                for (int64_t k = 0, at = i * NEAR; k < NEAR; k++, at++)
                    assert_true((dtype == LS_FLOAT32 ? (double)((float *)read_labels)[at]
                                                     : read_labels[at]) == (double)((k + i) % 2));
            }
        }
        ls_dataset_close(dataset);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(rows_beyond_32_bits_are_read, begin_test),
    };
    return run_dataset_tests(tests, sizeof tests / sizeof tests[0]);
}
