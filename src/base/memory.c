#include "base/memory.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"

enum { ALIGNMENT = 64 }; /* a cache line, and the widest vector */

static _Atomic int64_t live;

ls_status ls_alloc(void *block, size_t count, size_t size, const char *purpose)
{
    void **result = block;
    size_t bytes;
    *result = NULL;
    if (__builtin_mul_overflow(count, size, &bytes) || bytes > (size_t)PTRDIFF_MAX - ALIGNMENT)
        return ls_fail(LS_E_MEMORY, "%s: %zu x %zu bytes cannot be addressed", purpose, count, size);
    bytes = (bytes + ALIGNMENT) / ALIGNMENT * ALIGNMENT;
    void *memory = ls_fault(LS_FAULT_ALLOC) ? NULL : aligned_alloc(ALIGNMENT, bytes);
    if (!memory) return ls_fail(LS_E_MEMORY, "%s: no memory for %zu bytes", purpose, bytes);
    memset(memory, 0, bytes);
    atomic_fetch_add(&live, 1);
    *result = memory;
    return LS_OK;
}

void ls_free(void *block)
{
    if (!block) return;
    atomic_fetch_sub(&live, 1);
    free(block);
}

int64_t ls_alloc_live(void)
{
    return atomic_load(&live);
}
