/* Made-up classes of Philox for its tests. */
#ifndef LS_TESTS_PHILOX_UNIT_H
#define LS_TESTS_PHILOX_UNIT_H

#include <stdlib.h>

#include "data/make_classification.h"
#include "data/philox_classification.h"
#include "unit.h"

static ls_make_classification defaults(void)
{
    ls_make_classification p;
    ls_make_classification_defaults(&p);
    p.random_state = 12345;
    return p;
}

/* Samples [first, first + n) for the caller to free; y may be NULL. */
static double *rows(const ls_make_classification *p, int64_t first, int64_t n, int64_t *y)
{
    ls_philox_classification *source;
    double *x = malloc((size_t)(n * p->n_features) * sizeof *x);
    int64_t *labels = y ? y : malloc((size_t)n * sizeof *labels);
    assert_int_equal(ls_philox_classification_open(p, LS_FLOAT64, &source), LS_OK);
    ls_philox_classification_fill(source, first, n, x, LS_FILE_INT64, labels);
    ls_philox_classification_close(source);
    if (!y) free(labels);
    return x;
}

#endif
