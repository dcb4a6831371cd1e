/* What an HDF5 file in memory holds, read by someone who does not trust it. All functions are local; after a
 * failure (LS_E_INPUT) the message names file and place. */
#ifndef LS_MODEL_KERAS_H5_OBJECTS_H
#define LS_MODEL_KERAS_H5_OBJECTS_H

#include <hdf5.h>
#include <stdbool.h>

#include "base/fail.h"

/* HDF5 takes the name of a file in memory for that of a file on disk, which must not exist. */
#define LS_H5_NO_FILE "/dev/null/model"

enum { LS_H5_IMAGE_STEP = 1 << 16 }; /* bytes by which HDF5's file in memory grows */

/* Where our own text and a training's best weights lie; Keras passes over groups that it does not know. */
#define LS_H5_OWN_GROUP     "lockstep"
#define LS_H5_OWN_ATTRIBUTE "training_record"
#define LS_H5_OWN_BEST      "best_parameters"

typedef struct ls_h5_reader {
    const char *file; /* for messages */
    size_t size;      /* bytes of the file */
    bool exact;       /* numbers in its texts are as they were given, not rounded by Keras */
} ls_h5_reader;

/* Strings of an attribute. */
typedef struct ls_h5_strings {
    int64_t n;
    char **items; /* n pointers into text */
    char *text;
} ls_h5_strings;

/* Frees the parts and empties the list. */
void ls_h5_free_strings(ls_h5_strings *list);

/* Fails with HDF5's reason; to be called before any other HDF5 function clears it. */
ls_status ls_h5_fail(ls_status status, const char *file, const char *place, const char *what);

/* Whether object has that attribute, group that link; place is for messages. */
ls_status ls_h5_has_attribute(const ls_h5_reader *in, hid_t object, const char *place, const char *name,
                              bool *found);
ls_status ls_h5_has_link(const ls_h5_reader *in, hid_t group, const char *place, const char *name,
                         bool *found);

/* Reads the attribute of object, a string or a list of strings; fills list, whose parts the caller frees even
 * on failure. */
ls_status ls_h5_read_attribute(const ls_h5_reader *in, hid_t object, const char *name, const char *place,
                               ls_h5_strings *list);

/* Reads a list of names that Keras splits over NAME0, NAME1, ... when it is long; absent means empty. */
ls_status ls_h5_read_names(const ls_h5_reader *in, hid_t object, const char *name, const char *place,
                           ls_h5_strings *list);

/* Opens the object at a path below object ("" for itself) through hard links only: other links could lead out
 * of the bytes that were verified, and Keras refuses them as well. The caller closes *result. */
ls_status ls_h5_open_object(const ls_h5_reader *in, hid_t object, const char *path, const char *place,
                            hid_t *result);

/* Checks a dataset of floats of that shape, before any are read: that it is one, and that its values lie in
 * the file. */
ls_status ls_h5_check_values(const ls_h5_reader *in, const char *place, hid_t dataset, int rank,
                             const hsize_t *shape);

#endif
