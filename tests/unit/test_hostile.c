/* Files that claim what they do not hold. The fuzz targets try the rest. */
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "data/dataset.h"
#include "model/file_digest.h"
#include "model/heap_check.h"
#include "model/keras_h5.h"
#include "train/record.h"
#include "unit.h"

static ls_session session = {.size = 1};
static char path[] = "/tmp/lockstep-hostile-XXXXXX";

static void text_of_files_does_not_reach_the_terminal_raw(void **state)
{
    (void)state;
    assert_int_equal(ls_fail(LS_E_INPUT, "layer %s", "a\x1b[31m\n\x7f\xc3\xa9"), LS_E_INPUT);
    assert_string_equal(ls_error_message(), "layer a?[31m??\xc3\xa9");
}

/* An image behind a head, and where its first heap of strings begins. */
static unsigned char *make_image(size_t *size, size_t *heap)
{
    ls_model *model;
    void *image;
    const int64_t hidden[] = {2};
    const ls_training_config config = {.learning_rate = 0.5};
    assert_int_equal(ls_model_create(LS_FLOAT32, 2, hidden, 1, LS_TANH, &model), LS_OK);
    assert_int_equal(ls_keras_h5_write(model, &config, "{}", &image, size), LS_OK);
    ls_model_free(model);
    unsigned char *bytes = image;
    for (*heap = LS_FILE_HEAD_SIZE; memcmp(bytes + *heap, "GCOL", 4) != 0; *heap += 8)
        assert_true(*heap + 8 < *size);
    return bytes;
}

static ls_status check(const unsigned char *image, size_t size)
{
    return ls_heap_check("model.h5", image + LS_FILE_HEAD_SIZE, size - LS_FILE_HEAD_SIZE);
}

static void damaged_heaps_are_refused_before_hdf5_sees_them(void **state)
{
    (void)state;
    size_t size, heap;
    unsigned char *image = make_image(&size, &heap);
    assert_int_equal(check(image, size), LS_OK);
    /* The length of the first object, byte by byte: too long, or so short that the next one is no object. */
    const size_t length_at = heap + 16 + 8;
    for (size_t i = 0; i < 8; i++) {
        const unsigned char before = image[length_at + i];
        image[length_at + i] = 0xff;
        assert_int_equal(check(image, size), LS_E_INPUT);
        assert_non_null(strstr(ls_error_message(), "strings at byte"));
        image[length_at + i] = before;
    }
    /* An object 0 without length: libhdf5 1.10 would look at it for ever. */
    memset(image + heap + 16, 0, 16);
    assert_int_equal(check(image, size), LS_E_INPUT);
    /* And the reader asks. */
    ls_model *model;
    assert_int_equal(ls_keras_h5_read("model.h5", image, size, true, &model, NULL, NULL), LS_E_INPUT);
    assert_null(model);
    assert_non_null(strstr(ls_error_message(), "strings at byte"));
    ls_free(image);
}

static void odd_superblocks_are_refused(void **state)
{
    (void)state;
    size_t size, heap;
    unsigned char *image = make_image(&size, &heap);
    image[LS_FILE_HEAD_SIZE + 14] = 4;
    assert_int_equal(check(image, size), LS_E_INPUT);
    assert_non_null(strstr(ls_error_message(), "lengths of 4 bytes"));
    ls_free(image);
}

/* A file with /X of that extent and chunk, of which nothing was ever written, and /y. */
static void make_claim(hsize_t rows, hsize_t chunk_rows)
{
    const hsize_t extent[2] = {rows, 2}, most[2] = {H5S_UNLIMITED, 2}, chunk[2] = {chunk_rows, 2};
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(2, extent, most), creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, 2, chunk);
    const hid_t x = H5Dcreate2(file, "X", H5T_IEEE_F64LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    assert_true(x >= 0);
    H5Dclose(x);
    H5Pclose(creation);
    H5Sclose(space);
    H5Fclose(file);
}

static void arrays_cannot_claim_more_than_any_filter_could_hold(void **state)
{
    (void)state;
    const ls_dataset_source source = {.file = path, .without_y = true};
    ls_dataset *dataset;
    make_claim(100, 10);
    assert_int_equal(ls_dataset_open(&session, &source, &dataset), LS_OK);
    ls_dataset_close(dataset);
    const hsize_t claims[][2] = {{(hsize_t)1 << 40, 10}, {100, 1 << 26}};
    for (size_t i = 0; i < 2; i++) {
        make_claim(claims[i][0], claims[i][1]);
        assert_int_equal(ls_dataset_open(&session, &source, &dataset), LS_E_INPUT);
        assert_non_null(strstr(ls_error_message(), ":/X: claims "));
    }
}

/* A record after one epoch, but for the parts that are given. */
#define RECORD(epoch, metrics, history, validation, rates, monitor)                                          \
    "{\"format\":2,\"settings\":{},\"epoch\":" epoch ",\"step\":0,\"metrics\":" metrics                      \
    ",\"history\":" history ",\"validation\":" validation ",\"learning_rates\":" rates                       \
    ",\"monitor\":" monitor "}"
#define NOTHING "[0.0,0,0,0,0,0,0,0.0,0.0,0.0]"
#define EPOCH   "[1.5,4,1,1,1,1,0,1.5,0.0,0.0]"
#define MONITOR(stopping, cooldown, reduction)                                                               \
    "{\"stopping\":" stopping ",\"plateau\":[],\"saved\":[],\"stopped\":false,\"cooldown\":" cooldown        \
    ",\"reduction\":" reduction "}"
#define FRESH MONITOR("[]", "0", "1.0")

static void records_must_add_up(void **state)
{
    (void)state;
    const struct {
        const char *text;
        ls_status status;
    } cases[] = {
        {RECORD("1", NOTHING, "[" EPOCH "]", "[]", "[]", FRESH), LS_OK},
        {RECORD("1", NOTHING, "[" EPOCH "]", "[" EPOCH "]", "[0.5]", MONITOR("[0.5,0,0]", "3", "0.5")),
         LS_OK},
        {RECORD("1", NOTHING, "[[1.5,5,1,1,1,1,0,1.5,0.0,0.0]]", "[]", "[]", FRESH), LS_E_INPUT},
        {RECORD("0", "[0.0,9223372036854775807,9223372036854775807,9223372036854775807,1,1,0,0.0,0.0,0.0]",
                "[]", "[]", "[]", FRESH),
         LS_E_INPUT},
        {RECORD("1", NOTHING, "[[1.5,4,0,0,0,0,5,1.5,0.0,0.0]]", "[]", "[]", FRESH), LS_E_INPUT},
        {RECORD("2", NOTHING, "[" EPOCH "]", "[]", "[]", FRESH), LS_E_INPUT},
        {RECORD("1", NOTHING, "[" EPOCH "]", "[" EPOCH "," EPOCH "]", "[]", FRESH), LS_E_INPUT},
        {RECORD("1", NOTHING, "[" EPOCH "]", "[[1.5,5,1,1,1,1,0,1.5,0.0,0.0]]", "[]", FRESH), LS_E_INPUT},
        {RECORD("1", NOTHING, "[" EPOCH "]", "{}", "[]", FRESH), LS_E_INPUT},
        {RECORD("1", NOTHING, "[" EPOCH "]", "[]", "[0.5,0.5]", FRESH), LS_E_INPUT},
        {RECORD("1", NOTHING, "[" EPOCH "]", "[]", "[\"fast\"]", FRESH), LS_E_INPUT},
        {RECORD("1", NOTHING, "[" EPOCH "]", "[]", "[]", "{}"), LS_E_INPUT},
        {RECORD("1", NOTHING, "[" EPOCH "]", "[]", "[]", MONITOR("[0.5,1,0]", "0", "1.0")), LS_E_INPUT},
        {RECORD("1", NOTHING, "[" EPOCH "]", "[]", "[]", MONITOR("[0.5,0,-1]", "0", "1.0")), LS_E_INPUT},
        {RECORD("1", NOTHING, "[" EPOCH "]", "[]", "[]", MONITOR("[]", "-1", "1.0")), LS_E_INPUT},
        {RECORD("1", NOTHING, "[" EPOCH "]", "[]", "[]", MONITOR("[]", "0", "1.5")), LS_E_INPUT},
    };
    json_t *settings = json_object();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ls_position position;
        ls_history history = {0};
        assert_int_equal(ls_record_parse("file", cases[i].text, settings, &position, &history),
                         cases[i].status);
        ls_history_clear(&history);
    }
    json_decref(settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_files_does_not_reach_the_terminal_raw),
        cmocka_unit_test(damaged_heaps_are_refused_before_hdf5_sees_them),
        cmocka_unit_test(odd_superblocks_are_refused),
        cmocka_unit_test(arrays_cannot_claim_more_than_any_filter_could_hold),
        cmocka_unit_test(records_must_add_up),
    };
    const int made = mkstemp(path);
    if (made < 0) return 1;
    close(made);
    const int failures = cmocka_run_group_tests_name("hostile", tests, NULL, NULL);
    unlink(path);
    if (ls_alloc_live() != 0) {
        fprintf(stderr, "%lld blocks of memory are left\n", (long long)ls_alloc_live());
        return failures + 1;
    }
    return failures;
}
