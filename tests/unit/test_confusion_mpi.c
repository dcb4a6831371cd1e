#include <stdlib.h>

#include "base/memory.h"
#include "engine/confusion.h"
#include "unit.h"

static ls_session *session;

/* Number i of the samples of all ranks, with few pairs that are frequent and many that are not. */
static ls_confusion_cell sample(int64_t i, int64_t n_classes)
{
    const uint64_t hash = (uint64_t)(i + 1) * 0x9e3779b97f4a7c15U;
    const int64_t spread = i % 3 == 0 ? n_classes : 2;
    return (ls_confusion_cell){(int64_t)(hash >> 33) % spread, (int64_t)(hash >> 17 & 0xffff) % spread, 1};
}

static void add(ls_confusion *confusion, ls_confusion_cell one)
{
    assert_int_equal(ls_confusion_add(confusion, one.real, one.predicted, one.n_samples), LS_OK);
}

/* Every rank adds its share; rank 0 has what a plain matrix counts. */
static void check(int64_t n_classes, int64_t n_samples)
{
    const int64_t blocks = ls_alloc_live();
    ls_confusion confusion = {0};
    const int64_t begin = ls_split(n_samples, session->size, session->rank),
                  end = ls_split(n_samples, session->size, session->rank + 1);
    for (int64_t i = begin; i < end; i++) add(&confusion, sample(i, n_classes));
    assert_int_equal(ls_confusion_gather(session, &confusion), LS_OK);

    int64_t *matrix = calloc((size_t)(n_classes * n_classes), sizeof *matrix), n = 0;
    for (int64_t i = 0; i < n_samples; i++) {
        const ls_confusion_cell one = sample(i, n_classes);
        matrix[one.real * n_classes + one.predicted]++;
    }
    for (int64_t i = 0; i < n_classes * n_classes && session->rank == 0; i++) {
        if (matrix[i] == 0) continue;
        assert_true(n < confusion.n);
        assert_int_equal(confusion.cells[n].real, i / n_classes);
        assert_int_equal(confusion.cells[n].predicted, i % n_classes);
        assert_int_equal(confusion.cells[n++].n_samples, matrix[i]);
    }
    assert_int_equal(confusion.n, n);
    free(matrix);
    ls_confusion_clear(&confusion);
    assert_int_equal(ls_alloc_live(), blocks);
}

static void counts_as_a_plain_matrix(void **state)
{
    (void)state;
    check(2, 0);
    check(3, 1); /* not every rank has one */
    check(3, 5000);
    check(1000, 60000); /* several messages of a rank */
}

int main(void)
{
    if (ls_session_open(&session) != LS_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts_as_a_plain_matrix)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ls_session_close(session);
    return failed;
}
