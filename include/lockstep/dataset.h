/* Labelled data in HDF5 files: which arrays, and how they are read by many ranks. */
#ifndef LOCKSTEP_DATASET_H
#define LOCKSTEP_DATASET_H

#include <stdbool.h>

#include "lockstep/generate.h"
#include "lockstep/progress.h"
#include "lockstep/session.h"
#include "lockstep/types.h"

/* Where a set lies. Strings are borrowed for the call only.
 *   file "data.h5", set "train", x NULL, y NULL   /train/X and /train/y
 *   file "data.h5", set NULL                      /X and /y
 *   file "data.h5:/a/b", set "train"              /a/b/train/X and /a/b/train/y
 *   x "/df/features", y "other.h5:/labels"        those arrays, the first in file
 *   x "/table:values_block_0"                     one field of a compound (table) dataset
 * A name without a leading slash lies in the group of the set. file may be NULL if x names its file; y then
 * lies in the same one unless it names another. */
typedef struct ls_dataset_source {
    const char *file;          /* FILE or FILE:/GROUP */
    const char *set;           /* "train", "test", ... or NULL */
    const char *x;             /* array of the features, or NULL for X of the set */
    const char *y;             /* array of the labels, or NULL for y of the set */
    bool without_y;            /* do not look for labels (predict) */
    const char *sample_weight; /* array of the samples' weights, or NULL for sample_weight of the set if it
                                  has one, and if: */
    bool with_weights;         /* look for it */
} ls_dataset_source;

/* A set whose header has been read: cheap, holds no rows. */
typedef struct ls_dataset ls_dataset;

/* Opens a set: rank 0 reads and checks the headers, then every rank does, read-only. X
 * must be n_samples x n_features (a vector counts as one feature) of an integer, boolean or float type, y
 * must be (n_samples) or (n_samples, n_targets). Collective; source must agree. LS_E_INPUT names the file,
 * the array and what was found, LS_E_DIFFER the ranks that see other contents than rank 0 under that name (by
 * the shape and some rows). The caller closes *dataset. */
ls_status ls_dataset_open(ls_session *session, const ls_dataset_source *source, ls_dataset **dataset);

/* The set that ls_generate with LS_RNG_PHILOX would write to /train, made row by row whenever it is read: the
 * same values, in memory that does not depend on n_samples. rng, dtype, split_random_state and observer of
 * the options are not used. Collective; options must agree. LS_E_USAGE for parameters that ls_generate
 * refuses, LS_E_DIFFER. The caller closes *dataset. */
ls_status ls_dataset_open_generated(ls_session *session, const ls_generate_options *options,
                                    ls_dataset **dataset);

/* Rows [first_row, first_row + n_rows) of whole as a set of their own: what is left after some were put aside
 * for validation. Nothing is read; whole is borrowed until the part is closed. LS_E_USAGE unless they are at
 * least one and in whole. Local. The caller closes *part. */
ls_status ls_dataset_open_part(ls_dataset *whole, int64_t first_row, int64_t n_rows, ls_dataset **part);

/* Frees it; NULL is allowed. Local. */
void ls_dataset_close(ls_dataset *dataset);

/* What the targets of a set are, as far as its values tell. */
typedef struct ls_target_range {
    int64_t n_columns;
    bool is_integer; /* by its type in the file: integers and booleans */
    bool is_whole;   /* every value is a whole number */
    bool is_one_hot; /* each row has a 1 and otherwise 0 */
    double minimum, maximum;
} ls_target_range;

/* Reads all targets once, a share on each rank. Collective. LS_E_INPUT where a value is not finite. */
ls_status ls_dataset_scan_targets(ls_session *session, ls_dataset *dataset, ls_target_range *range);

/* Has samples of class i count weights[i] times, n_classes of them: Keras' class_weight. Together with sample
 * weights it is their product. Those of a part (ls_dataset_open_part) are its own: the rest of the whole set
 * counts as before. weights is copied; NULL takes them away again. LS_E_USAGE for numbers below 0. Local. */
ls_status ls_dataset_set_class_weights(ls_dataset *dataset, const double *weights, int64_t n_classes);

/* Whether samples have weights, of their own or by class. Local. */
bool ls_dataset_has_weights(const ls_dataset *dataset);

/* Whether the set exists (its X does), for example to find out which of train and test a file has.
 * Collective; source must agree. LS_E_INPUT if the file itself cannot be read. */
ls_status ls_dataset_exists(ls_session *session, const ls_dataset_source *source, bool *exists);

/* Shape, and the place in words ("data.h5:/train/X"). Local. */
int64_t ls_dataset_n_samples(const ls_dataset *dataset);
int64_t ls_dataset_n_features(const ls_dataset *dataset);
bool ls_dataset_has_y(const ls_dataset *dataset);
const char *ls_dataset_x_name(const ls_dataset *dataset);
const char *ls_dataset_y_name(const ls_dataset *dataset);

/* Bytes that the arrays take in their files, compressed if they are; 0 for rows that are made, and where HDF5
 * does not tell. Local. */
int64_t ls_dataset_stored_bytes(const ls_dataset *dataset);

/* scikit-learn's train_test_split of a user's own set into the file at output (/train/X /train/y /test/X
 * /test/y): the same rows in the same order as train_test_split(X, y, train_size=..., random_state=...).
 * train_size below 1 is a share, otherwise a number of rows. dtype is the type of X in the output. progress:
 * or NULL; borrowed. Collective; arguments must agree. */
ls_status ls_dataset_split(ls_session *session, const ls_dataset_source *source, double train_size,
                           uint32_t random_state, ls_dtype dtype, const ls_progress *progress,
                           const char *output);

#endif
