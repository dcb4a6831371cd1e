/* The text at the head of our HDF5 files that tells whether any byte of them has changed.
 *
 * The first 512 bytes of a file are an HDF5 user block, which HDF5, h5py and Keras skip. It holds
 *
 *     lockstep model 1
 *     bytes 15368
 *     xxh3-128 9c1e0c3f7d6a4b0f8a52d3f1b5e6c7a8
 *     (two lines of explanation, spaces, a newline as byte 512)
 *
 * that is, the length of the whole file and the XXH3-128 digest of all bytes after the block. The block is a
 * function of these two numbers alone, down to its padding, and is compared as a whole: a change of any byte,
 * in the block or behind it, is found before HDF5 sees the file. */
#ifndef LS_MODEL_FILE_DIGEST_H
#define LS_MODEL_FILE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/fail.h"

/* Bytes of the head, the smallest user block that HDF5 allows. */
enum { LS_FILE_HEAD_SIZE = 512 };

/* Fills the first LS_FILE_HEAD_SIZE bytes of file, a complete HDF5 file of size bytes with such a user block.
 * Local. */
void ls_file_digest_stamp(void *file, size_t size);

/* Looks at a file of size bytes that was read from path. *ours tells whether it has a head of ours, which is
 * then right; a file without one must begin with HDF5's signature. LS_E_INPUT says what is wrong: damaged,
 * cut, another format. Local. */
ls_status ls_file_digest_check(const char *path, const void *file, size_t size, bool *ours);

#endif
