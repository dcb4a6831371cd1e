#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/blas.h"
#include "base/build.h"
#include "comm/rollcall.h"
#include "unit.h"

int openblas_get_num_threads(void) __attribute__((weak));
void openblas_set_num_threads(int n) __attribute__((weak));
int bli_thread_get_num_threads(void) __attribute__((weak));

static ls_session *session;
static int rank, size;

static void equal_texts_pass(void **state)
{
    (void)state;
    assert_int_equal(ls_session_compare(session, "", "?"), LS_OK);
    assert_int_equal(ls_session_compare(session, "a\nb\nc\n", "?"), LS_OK);
}

static void a_difference_is_named_on_both_sides(void **state)
{
    (void)state;
    char text[64];
    snprintf(text, sizeof text, "same\nvalue %d\nother %d", rank > 0 ? 7 : 5, rank);
    const ls_status status = ls_session_compare(session, text, "mend it");
    if (size == 1) {
        assert_int_equal(status, LS_OK);
        return;
    }
    assert_int_equal(status, LS_E_DIFFER);
    const char *message = ls_error_message();
    assert_non_null(strstr(message, "'value 7' on rank 1 ("));
    assert_non_null(strstr(message, "'value 5' on rank 0 ("));
    assert_non_null(strstr(message, ": mend it"));
    assert_null(strstr(message, "other"));
    const char *const ranks[] = {"rank 1 differs from rank 0", "ranks 1, 2 differ from",
                                 "ranks 1, 2, 3 differ from"};
    if (size <= 4) assert_non_null(strstr(message, ranks[size - 2]));
}

static void one_odd_rank_is_found(void **state)
{
    (void)state;
    if (size == 1) return;
    char expected[64];
    assert_int_equal(ls_session_compare(session, rank == size - 1 ? "a\n" : "a\nb", "mend it"), LS_E_DIFFER);
    snprintf(expected, sizeof expected, "rank %d differs from rank 0: '' on rank %d", size - 1, size - 1);
    assert_non_null(strstr(ls_error_message(), expected));
}

static void long_lines_are_cut_to_where_they_differ(void **state)
{
    (void)state;
    if (size == 1) return;
    char *text = malloc(100001);
    memset(text, 'x', 100000);
    text[100000] = 0;
    memcpy(text + 70000, rank == 0 ? "zero" : "more", 4);
    assert_int_equal(ls_session_compare(session, text, "mend it"), LS_E_DIFFER);
    free(text);
    assert_non_null(strstr(ls_error_message(), "xxmorexx"));
    assert_non_null(strstr(ls_error_message(), "xxzeroxx"));
    assert_non_null(strstr(ls_error_message(), ": mend it"));
}

static void a_refusal_leaves_the_session_usable(void **state)
{
    (void)state;
    assert_int_equal(ls_session_agree(session, LS_OK), LS_OK);
    assert_int_equal(ls_session_compare(session, "same", "?"), LS_OK);
    assert_int_equal(ls_roll_call_programs(session), LS_OK);
}

static void blas_has_one_thread(void **state)
{
    (void)state;
    if (openblas_get_num_threads) assert_int_equal(openblas_get_num_threads(), 1);
    if (bli_thread_get_num_threads) assert_int_equal(bli_thread_get_num_threads(), 1);
    assert_true(openblas_get_num_threads || bli_thread_get_num_threads);
}

static void names_are_known(void **state)
{
    (void)state;
    char name[64];
    ls_blas_name(name, sizeof name);
    assert_string_not_equal(name, "unknown");
    assert_string_not_equal(ls_blas_kernels(), "unknown");
    assert_null(strstr(name, ls_blas_kernels())); /* they are compared apart */
    assert_int_equal(strlen(ls_build_id()), 40);
    assert_int_equal(strspn(ls_build_id(), "0123456789abcdef"), 40);
}

/* What the launcher of this test has set is put away and brought back. */
static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
enum { N_VARIABLES = sizeof variables / sizeof variables[0] };

static ls_status launched_as(const char *const values[N_VARIABLES], int world_size)
{
    char saved[N_VARIABLES][32];
    for (int i = 0; i < N_VARIABLES; i++) {
        const char *value = getenv(variables[i]);
        snprintf(saved[i], sizeof saved[i], "%s", value ? value : "");
        unsetenv(variables[i]);
        if (values[i]) setenv(variables[i], values[i], 1);
    }
    const ls_status status = ls_roll_call_launcher(world_size);
    for (int i = 0; i < N_VARIABLES; i++) {
        unsetenv(variables[i]);
        if (saved[i][0]) setenv(variables[i], saved[i], 1);
    }
    return status;
}

static void single_ranks_of_many_are_refused(void **state)
{
    (void)state;
    assert_int_equal(launched_as((const char *const[]){NULL, NULL, NULL}, 1), LS_OK);
    for (int i = 0; i < N_VARIABLES; i++) {
        const char *values[N_VARIABLES] = {NULL};
        values[i] = "4";
        assert_int_equal(launched_as(values, 1), LS_E_USAGE);
        assert_non_null(strstr(ls_error_message(), variables[i]));
        assert_int_equal(launched_as(values, 4), LS_OK);
        values[i] = "1";
        assert_int_equal(launched_as(values, 1), LS_OK);
    }
    /* mpirun -n 1 inside a step of srun. */
    assert_int_equal(launched_as((const char *const[]){"1", NULL, "4"}, 1), LS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_texts_pass),
        cmocka_unit_test(a_difference_is_named_on_both_sides),
        cmocka_unit_test(one_odd_rank_is_found),
        cmocka_unit_test(long_lines_are_cut_to_where_they_differ),
        cmocka_unit_test(a_refusal_leaves_the_session_usable),
        cmocka_unit_test(blas_has_one_thread),
        cmocka_unit_test(names_are_known),
        cmocka_unit_test(single_ranks_of_many_are_refused),
    };
    if (openblas_set_num_threads) openblas_set_num_threads(2);
    if (ls_session_open(&session) != LS_OK) return 1;
    rank = ls_session_rank(session);
    size = ls_session_size(session);
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ls_session_close(session);
    return failed;
}
