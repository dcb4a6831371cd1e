/* Synthetic data: scikit-learn's make_classification and train_test_split, element by element; or the same
 * model of data from a generator without limits. */
#ifndef LOCKSTEP_GENERATE_H
#define LOCKSTEP_GENERATE_H

#include <stdbool.h>

#include "lockstep/progress.h"
#include "lockstep/session.h"
#include "lockstep/types.h"

/* Parameters of sklearn.datasets.make_classification, with its names and meaning. */
typedef struct ls_make_classification {
    int64_t n_samples;            /* 100 */
    int64_t n_features;           /* 20 */
    int64_t n_informative;        /* 2 */
    int64_t n_redundant;          /* 2 */
    int64_t n_repeated;           /* 0 */
    int64_t n_classes;            /* 2 */
    int64_t n_clusters_per_class; /* 2 */
    const double *weights;        /* n_weights shares of the classes, or NULL for equal ones; borrowed */
    int64_t n_weights;            /* n_classes, or n_classes - 1 */
    double flip_y;                /* 0.01 */
    double class_sep;             /* 1.0 */
    bool hypercube;               /* true */
    const double *shift;   /* 1 or n_features values; NULL means shift=None (drawn at random); borrowed */
    int64_t n_shift;       /* default one value, 0.0 */
    const double *scale;   /* 1 or n_features values; NULL means scale=None (drawn at random); borrowed */
    int64_t n_scale;       /* default one value, 1.0 */
    bool shuffle;          /* true */
    uint32_t random_state; /* seed of NumPy's RandomState */
} ls_make_classification;

/* scikit-learn's defaults, random_state 0. Local. */
void ls_make_classification_defaults(ls_make_classification *parameters);

/* Where the random numbers come from. */
typedef enum ls_rng {
    LS_RNG_MT19937, /* NumPy's RandomState: scikit-learn's numbers, made one after the other */
    LS_RNG_PHILOX   /* Philox4x32-10: sample i is a function of the parameters and i alone */
} ls_rng;

/* "mt19937" or "philox". Local. */
const char *ls_rng_name(ls_rng rng);

/* Largest n_samples * n_features that ls_generate makes with scikit-learn's sequential generator. */
#define LS_GENERATE_MAX_VALUES ((int64_t)1 << 29)

typedef struct ls_generate_options {
    ls_make_classification data;
    double train_size;           /* 0: no split; below 1: share of the rows; otherwise number of rows */
    uint32_t split_random_state; /* seed of train_test_split; not used with LS_RNG_PHILOX */
    ls_dtype dtype;              /* storage type of X, LS_FLOAT64 by default */
    ls_rng rng;                  /* LS_RNG_MT19937 by default */
    const ls_progress *progress; /* or NULL; borrowed; need not agree */
} ls_generate_options;

/* Makes the data and writes /train/X, /train/y and, with a split, /test/X, /test/y; all parameters and
 * versions become attributes of the root group, under scikit-learn's names. y is uint8 (int64 with more than
 * 256 classes). The bytes depend on the options only.
 *
 * With LS_RNG_MT19937 rank 0 makes and writes. With LS_RNG_PHILOX every rank makes and writes its share, in
 * memory that does not depend on n_samples; /train takes the first samples, /test the rest: they are shuffled
 * already (with data.shuffle off they lie cluster after cluster).
 *
 * Collective; arguments must agree on all ranks. LS_E_USAGE for parameters that scikit-learn rejects (named
 * as scikit-learn names them) and with LS_RNG_MT19937 above LS_GENERATE_MAX_VALUES, LS_E_OUTPUT when the file
 * cannot be written; then no file is left. */
ls_status ls_generate(ls_session *session, const ls_generate_options *options, const char *output);

#endif
