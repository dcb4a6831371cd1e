#include "base/memory.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fault.h"

enum {
    ALIGNMENT = 64,             /* a cache line, and the widest vector */
    HUGE_PAGE = 2 * 1024 * 1024 /* of x86-64 and of most arm64 */
};

static _Atomic int64_t live, live_bytes;

ls_status ls_alloc(void *block, size_t count, size_t size, const char *purpose)
{
    void **result = block;
    size_t bytes;
    *result = NULL;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > (size_t)PTRDIFF_MAX - HUGE_PAGE)
        return ls_fail(LS_E_MEMORY, "%s: %zu x %zu bytes cannot be addressed", purpose, count, size);
    /* Large blocks on large pages: the weights of a wide network otherwise lie on more pages than the
     * processor remembers. */
    const size_t alignment = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : ALIGNMENT;
    bytes = (bytes + alignment - (bytes > 0)) / alignment * alignment; /* some for size 0, too */
    void *memory = ls_fault(LS_FAULT_ALLOC) ? NULL : aligned_alloc(alignment, bytes);
    if (!memory) return ls_fail(LS_E_MEMORY, "%s: no memory for %zu bytes", purpose, bytes);
#ifdef MADV_HUGEPAGE
    if (alignment == HUGE_PAGE) madvise(memory, bytes, MADV_HUGEPAGE); /* what cannot be had is no loss */
#endif
    memset(memory, 0, bytes);
    atomic_fetch_add(&live, 1);
    atomic_fetch_add(&live_bytes, (int64_t)malloc_usable_size(memory));
    *result = memory;
    return LS_OK;
}

void ls_free(void *block)
{
    if (!block) return;
    atomic_fetch_sub(&live, 1);
    atomic_fetch_sub(&live_bytes, (int64_t)malloc_usable_size(block));
    free(block);
}

int64_t ls_alloc_live(void)
{
    return atomic_load(&live);
}

int64_t ls_alloc_live_bytes(void)
{
    return atomic_load(&live_bytes);
}
