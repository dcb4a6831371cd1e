/* From what the user wrote (ls_dataset_source) to the file, path and field of each array. */
#ifndef LS_DATA_DATASET_SOURCE_H
#define LS_DATA_DATASET_SOURCE_H

#include "base/fail.h"
#include "lockstep/dataset.h"

enum { LS_PLACE_FILE_SIZE = 4096, LS_PLACE_PATH_SIZE = 1024, LS_PLACE_FIELD_SIZE = 256 };

/* Where one array lies. */
typedef struct ls_dataset_place {
    char file[LS_PLACE_FILE_SIZE];
    char path[LS_PLACE_PATH_SIZE];   /* absolute, "/train/X" */
    char field[LS_PLACE_FIELD_SIZE]; /* of a compound dataset, "" for none */
    char name[LS_PLACE_FILE_SIZE + LS_PLACE_PATH_SIZE +
              LS_PLACE_FIELD_SIZE]; /* FILE:/PATH[:FIELD], for messages */
} ls_dataset_place;

/* The place of the features. LS_E_USAGE if the source names no file or something is too long. Local. */
ls_status ls_dataset_place_of_x(const ls_dataset_source *source, ls_dataset_place *place);

/* The place of the labels; without a file of its own it lies in source->file, or else beside the features.
 * Local. */
ls_status ls_dataset_place_of_y(const ls_dataset_source *source, ls_dataset_place *place);

/* The place of the weights, beside the features. Local. */
ls_status ls_dataset_place_of_weights(const ls_dataset_source *source, ls_dataset_place *place);

#endif
