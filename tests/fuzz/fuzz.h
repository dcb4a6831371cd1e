/* What the fuzz targets share. */
#ifndef LS_TESTS_FUZZ_H
#define LS_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fail.h"
#include "base/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Larger allocations fail. HDF5 asks for what a damaged file says, and copes; where our own code does, it
 * returns LS_E_MEMORY, which no target accepts: FUZZ_ASSERT_TOLD. What HDF5 leaks over damaged files is not
 * ours. */
const char *__asan_default_options(void);
const char *__lsan_default_suppressions(void);

const char *__asan_default_options(void)
{
    /* A small quarantine: HDF5 takes a megabyte for every file that it opens. */
    return "allocator_may_return_null=1:max_allocation_size_mb=256:quarantine_size_mb=8";
}

const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5\n";
}

/* Stops the run: the input is kept. */
#define FUZZ_ASSERT(condition)                                                                               \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: not true: %s (newest message: %s)\n", __FILE__, __LINE__, #condition,    \
                    ls_error_message());                                                                     \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* A failure must be told by a code that a damaged input can have, with a message. */
#define FUZZ_ASSERT_TOLD(status)                                                                             \
    FUZZ_ASSERT((status) == LS_OK ||                                                                         \
                (((status) == LS_E_INPUT || (status) == LS_E_USAGE) && ls_error_message()[0]))

/* A copy with a 0 behind it; the caller frees it. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    for (size_t i = 0; i < size; i++) text[i] = (char)data[i];
    text[size] = 0;
    return text;
}

#endif
