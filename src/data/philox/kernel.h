/* The part of data/philox_classification that does the work, compiled once for each instruction set. All give
 * the same bits: every operation is correctly rounded, and each lane of a vector is one sample. */
#ifndef LS_DATA_PHILOX_KERNEL_H
#define LS_DATA_PHILOX_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "data/file_type.h"
#include "lockstep/types.h"

enum {
    LS_PHILOX_ROUNDS = 10,
    LS_PHILOX_MOST_DIGITS = 4,
    LS_PHILOX_LARGEST_RADIX = 1 << 15, /* of a digit: twice that fits 16 bits */
    LS_PHILOX_MOST_DEAL_ROUNDS = LS_PHILOX_MOST_DIGITS * (LS_PHILOX_MOST_DIGITS + 1),
    LS_PHILOX_GRAIN = 128,      /* a block begins and ends at multiples of so many samples */
    LS_PHILOX_FEW_CLUSTERS = 8, /* whose parameters fit a vector of doubles ... */
    LS_PHILOX_FEW_FEATURES = 12 /* ... if so few features are informative */
};

/* A number to compare others with (add_if_reached in deal.h): its digits, one added to each but the last. */
typedef struct ls_philox_bound {
    uint16_t digits[LS_PHILOX_MOST_DIGITS];
} ls_philox_bound;

/* The mixture: what all samples share. Derived columns are numbered as make_classification makes them:
 * informative, redundant, then noise; repeated ones are sources of outputs. */
typedef struct ls_philox_mixture {
    uint64_t n_samples;
    uint32_t seed;
    int64_t n_informative, n_redundant, n_noise, n_features, n_clusters, n_classes;

    bool dealt; /* false: samples lie cluster after cluster */
    int deal_digits;
    uint16_t deal_radices[LS_PHILOX_MOST_DIGITS]; /* the last digit counts least */
    uint16_t deal_keys[LS_PHILOX_MOST_DEAL_ROUNDS], deal_factors[LS_PHILOX_MOST_DEAL_ROUNDS];
    ls_philox_bound deal_end, deal_stops[LS_PHILOX_FEW_CLUSTERS]; /* n_samples, and stops if they are few */

    const int64_t *stops;      /* n_clusters: where each cluster ends in the undealt order */
    const int32_t *classes;    /* n_clusters */
    const double *centroids;   /* n_clusters x n_informative */
    const double *covariances; /* n_clusters x n_informative x n_informative */
    const double *redundant;   /* n_informative x n_redundant */
    const double *few; /* centroids, then covariances, with LS_PHILOX_FEW_CLUSTERS innermost; or NULL */

    uint64_t flip_below; /* a class is redrawn where a word lies below, 0 .. 2^32 */
    double class_per_word;

    const int64_t *sources;      /* n_features: derived column that an output shows */
    const double *shift, *scale; /* n_features, of the output's column */
} ls_philox_mixture;

/* Working memory of one block. */
typedef struct ls_philox_scratch {
    int64_t capacity; /* samples, a multiple of LS_PHILOX_GRAIN */
    uint32_t *clusters, *words;
    int32_t *labels;
    double *normals; /* n_informative x capacity */
    double *columns; /* (n_informative + n_redundant + n_noise) x capacity */
    double *row;     /* n_informative */
} ls_philox_scratch;

typedef struct ls_philox_kernel {
    const char *name;
    /* Samples [first, first + n), both multiples of LS_PHILOX_GRAIN, n <= capacity, into the scratch. */
    void (*make)(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, uint64_t first,
                 int64_t n);
    /* Samples [skip, skip + n) of the scratch as rows of x and labels y. */
    void (*put)(const ls_philox_mixture *mixture, const ls_philox_scratch *scratch, int64_t skip, int64_t n,
                ls_dtype dtype, void *x, ls_file_type y_type, void *y);
} ls_philox_kernel;

#endif
