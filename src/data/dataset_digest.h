/* A fingerprint of a set, to notice that a run goes on with other data than it began with. */
#ifndef LS_DATA_DATASET_DIGEST_H
#define LS_DATA_DATASET_DIGEST_H

#include "data/dataset.h"

enum { LS_DATASET_DIGEST_SIZE = 33 }; /* 32 hexadecimal digits and the end */

/* XXH3-128 of the shape and of 1024 blocks of rows at seeded places (all rows of a small set), as they are in
 * dtype: what a training in dtype sees, however it is stored. Cheap for any size. Rank 0 reads, all ranks get
 * the text. Collective. LS_E_INPUT if a row in a block is unusable. */
ls_status ls_dataset_digest(ls_session *session, ls_dataset *dataset, ls_dtype dtype,
                            char digest[LS_DATASET_DIGEST_SIZE]);

#endif
