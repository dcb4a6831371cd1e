/* Aligned, counted memory: every block the library holds comes from here, so that a test can ask for leaks.
 */
#ifndef LS_BASE_MEMORY_H
#define LS_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/fail.h"

/* Allocates count * size zeroed bytes, aligned to 64, into *block. Size 0 gives a valid block. The caller
 * frees it with ls_free. LS_E_MEMORY on failure or overflow, naming purpose ("rows of the training set").
 * Local. */
ls_status ls_alloc(void *block, size_t count, size_t size, const char *purpose);

/* Frees a block of ls_alloc; NULL is allowed. Local. */
void ls_free(void *block);

/* Number of blocks allocated and not yet freed in this process. Local. */
int64_t ls_alloc_live(void);

/* Bytes of these. Local. */
int64_t ls_alloc_live_bytes(void);

#endif
