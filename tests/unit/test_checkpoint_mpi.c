#include <dirent.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "comm/comm.h"
#include "model/model_file.h"
#include "model/whole_file.h"
#include "train/checkpoint.h"
#include "unit.h"

static ls_session *session;
static char directory[64];
static int lock;

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

static const char *in_directory(const char *name)
{
    static char path[4][512];
    static int next;
    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", directory, name);
    return path[next];
}

static const char *checkpoint_path(int64_t iterations)
{
    char name[64];
    snprintf(name, sizeof name, "checkpoint-%012lld.weights.h5", (long long)iterations);
    return in_directory(name);
}

/* Does it exist? The same answer on all ranks. */
static bool exists(const char *path)
{
    int found = session->rank == 0 && access(path, F_OK) == 0;
    MPI_Bcast(&found, 1, MPI_INT, 0, session->comm);
    return found;
}

static int make_directory(void **state)
{
    (void)state;
    if (session->rank == 0) {
        strcpy(directory, "/tmp/lockstep-test-XXXXXX");
        if (!mkdtemp(directory)) return -1;
    }
    return ls_broadcast(session, directory, sizeof directory) == LS_OK &&
                   ls_checkpoint_prepare(session, directory, true, &lock) == LS_OK
               ? 0
               : -1;
}

static int remove_directory(void **state)
{
    (void)state;
    ls_checkpoint_release(lock);
    MPI_Barrier(session->comm);
    if (session->rank != 0) return 0;
    DIR *listing = opendir(directory);
    for (struct dirent *entry; listing && (entry = readdir(listing));) unlink(in_directory(entry->d_name));
    if (listing) closedir(listing);
    return rmdir(directory);
}

/* A model whose every parameter is value. */
static ls_model *make_model(double value)
{
    const int64_t hidden[] = {4, 3};
    ls_model *model;
    assert_int_equal(ls_model_create(LS_FLOAT64, 2, hidden, 2, LS_TANH, &model), LS_OK);
    for (int64_t i = 0; i < model->n_parameters; i++) ((double *)model->parameters)[i] = value;
    return model;
}

static void write_checkpoint(int64_t iterations, int64_t keep)
{
    char record[64];
    ls_model *model = make_model((double)iterations);
    snprintf(record, sizeof record, "{\"record of\": %lld}", (long long)iterations);
    const ls_training_config config = {.learning_rate = 0.25, .iterations = iterations};
    assert_int_equal(ls_checkpoint_write(session, directory, keep, model, &config, iterations, record),
                     LS_OK);
    ls_model_free(model);
}

static void damage(int64_t iterations)
{
    if (session->rank == 0) {
        FILE *file = fopen(checkpoint_path(iterations), "r+b");
        assert_non_null(file);
        fseek(file, 3000, SEEK_SET);
        const int byte = fgetc(file);
        fseek(file, 3000, SEEK_SET);
        fputc(byte ^ 4, file);
        assert_int_equal(fclose(file), 0);
    }
    MPI_Barrier(session->comm);
}

static int n_notices;
static char last_notice[2048];

static void keep_notice(void *context, const char *text)
{
    (void)context;
    n_notices++;
    snprintf(last_notice, sizeof last_notice, "%s", text);
}

/* The newest complete one is that of iterations, after so many damaged ones. */
static void assert_newest(int64_t iterations, int n_damaged)
{
    const ls_train_observer observer = {.notice = keep_notice};
    ls_model *model = make_model(-1);
    char *text, name[512], expected[64];
    n_notices = 0;
    assert_int_equal(
        ls_checkpoint_read_newest(session, directory, model, NULL, &observer, &text, name, sizeof name),
        LS_OK);
    assert_string_equal(name, checkpoint_path(iterations));
    snprintf(expected, sizeof expected, "{\"record of\": %lld}", (long long)iterations);
    assert_string_equal(text, expected);
    for (int64_t i = 0; i < model->n_parameters; i++)
        assert_true(((double *)model->parameters)[i] == (double)iterations);
    if (session->rank == 0) assert_int_equal(n_notices, n_damaged);
    ls_free(text);
    ls_model_free(model);
}

static void the_newest_stay(void **state)
{
    (void)state;
    for (int64_t i = 1; i <= 6; i++) {
        write_checkpoint(10 * i, 3);
        for (int64_t j = 1; j <= 6; j++)
            assert_int_equal(exists(checkpoint_path(10 * j)), j <= i && j > i - 3);
    }
    assert_newest(60, 0);
    write_checkpoint(60, 3); /* the same step again */
    assert_newest(60, 0);
    write_checkpoint(70, INT64_MAX);
    assert_true(exists(checkpoint_path(40)) && exists(checkpoint_path(70)));
}

static void a_damaged_newest_is_named_and_passed_over(void **state)
{
    (void)state;
    for (int64_t i = 1; i <= 3; i++) write_checkpoint(i, 3);
    damage(3);
    assert_newest(2, 1);
    if (session->rank == 0) {
        assert_non_null(strstr(last_notice, checkpoint_path(3)));
        assert_non_null(strstr(last_notice, "damaged"));
    }
    damage(2);
    assert_newest(1, 2);
    damage(1);
    ls_model *model = make_model(-1);
    char *text, name[512];
    assert_int_equal(
        ls_checkpoint_read_newest(session, directory, model, NULL, NULL, &text, name, sizeof name),
        LS_E_INPUT);
    assert_null(text);
    assert_true(((double *)model->parameters)[0] == -1);
    ls_model_free(model);
}

/* A run that passed over a damaged file writes files of earlier steps: the damaged one is none of the newest.
 */
static void a_damaged_later_one_never_costs_the_valid_ones(void **state)
{
    (void)state;
    for (int64_t keep = 1; keep <= 2; keep++) {
        write_checkpoint(900, keep);
        write_checkpoint(1000, 2);
        damage(1000);
        assert_newest(900, 1);
        for (int64_t i = 910; i <= 930; i += 10) {
            write_checkpoint(i, keep);
            assert_newest(i, 1);
            assert_int_equal(exists(checkpoint_path(i - 10)), keep > 1);
        }
        write_checkpoint(1000, keep); /* takes its place */
        assert_newest(1000, 0);
    }
}

static void other_files_are_left_alone_and_leftovers_go(void **state)
{
    (void)state;
    const struct {
        const char *name;
        bool stays;
    } files[] = {{".checkpoint-000000001000.weights.h5.tmp-4711", false},
                 {".checkpoint-000000001000.weights.h5.tmp-4711-2", false},
                 {".checkpoint-00000000100x.weights.h5.tmp-4711", true},
                 {"checkpoint-1.weights.h5", true},
                 {"checkpoint-0000000001000.weights.h5", true},
                 {"checkpoint-000000001000.weights.h5.old", true},
                 {"model.h5", true}};
    const int n = sizeof files / sizeof files[0];
    write_checkpoint(5, 1);
    for (int i = 0; i < n && session->rank == 0; i++) {
        FILE *file = fopen(in_directory(files[i].name), "w");
        assert_non_null(file);
        fclose(file);
    }
    int second;
    ls_checkpoint_release(lock);
    assert_int_equal(ls_checkpoint_prepare(session, directory, true, &second), LS_E_USAGE);
    assert_non_null(strstr(ls_error_message(), "holds 1 checkpoints of an earlier run"));
    assert_int_equal(second, -1);
    assert_int_equal(ls_checkpoint_prepare(session, directory, false, &lock), LS_OK);
    write_checkpoint(6, 1);
    for (int i = 0; i < n; i++) assert_int_equal(exists(in_directory(files[i].name)), files[i].stays);
    assert_false(exists(checkpoint_path(5)));
    assert_newest(6, 0);
}

/* Changed bits and cuts, everywhere in the head and at every seventh byte behind it, through the reader that
 * a resumed run uses. The work is dealt to the ranks; reading is local. */
static void every_damage_is_refused(void **state)
{
    (void)state;
    write_checkpoint(1000, 1);
    unsigned char *bytes;
    size_t size;
    assert_int_equal(ls_whole_file_read(checkpoint_path(1000), (void **)&bytes, &size), LS_OK);
    char name[64], path[512];
    snprintf(name, sizeof name, "damaged-%d.h5", session->rank);
    snprintf(path, sizeof path, "%s", in_directory(name));
    int64_t counts[2] = {0, 0};
    int64_t expected = 0;
    for (size_t i = 0, deal = 0; i < size; i += i < 512 ? 1 : 7, deal++) {
        expected++;
        if (deal % (size_t)session->size != (size_t)session->rank) continue;
        for (int cut = 0; cut < 2; cut++) {
            const unsigned char mask = (unsigned char)(1 << (i * 5 % 8));
            ls_model *model;
            char *record;
            FILE *file = fopen(path, "wb");
            assert_non_null(file);
            if (!cut) bytes[i] ^= mask;
            assert_int_equal(fwrite(bytes, 1, cut ? i : size, file), cut ? i : size);
            if (!cut) bytes[i] ^= mask;
            assert_int_equal(fclose(file), 0);
            if (ls_model_file_read(path, &model, NULL, &record) != LS_E_INPUT)
                fail_msg("%s %zu: accepted", cut ? "cut to" : "changed byte", i);
            assert_null(model);
            assert_null(record);
            /* By the digest, not by HDF5. */
            if (!strstr(ls_error_message(), "the file is damaged") &&
                !strstr(ls_error_message(), "the head of the file is damaged") &&
                !strstr(ls_error_message(), "the file is cut") &&
                !strstr(ls_error_message(), "the file is empty"))
                fail_msg("%s %zu: %s", cut ? "cut to" : "changed byte", i, ls_error_message());
            counts[cut]++;
        }
    }
    ls_free(bytes);
    MPI_Allreduce(MPI_IN_PLACE, counts, 2, MPI_INT64_T, MPI_SUM, session->comm);
    assert_int_equal(counts[0], expected);
    assert_int_equal(counts[1], expected);
    if (session->rank == 0)
        print_message("a checkpoint of %zu bytes: %lld changed bytes and %lld cuts refused by the digest\n",
                      size, (long long)counts[0], (long long)counts[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_newest_stay, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(a_damaged_newest_is_named_and_passed_over, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(a_damaged_later_one_never_costs_the_valid_ones, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(other_files_are_left_alone_and_leftovers_go, make_directory,
                                        remove_directory),
        cmocka_unit_test_setup_teardown(every_damage_is_refused, make_directory, remove_directory),
    };
    return cmocka_run_group_tests(tests, open_session, close_session);
}
