/* A mutator that keeps the structure of a file: most mutations stay inside a few bytes and move nothing, so
 * that HDF5 still finds its objects and the reader gets to see what has changed. */
#ifndef LS_TESTS_HDF5_MUTATOR_H
#define LS_TESTS_HDF5_MUTATOR_H

#include <string.h>

#include "fuzz.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

static inline uint32_t fuzz_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/* Somewhere in a run of printable characters: JSON texts, names of objects. size if there is none. */
static inline size_t fuzz_find_text(const uint8_t *data, size_t size, uint32_t *state)
{
    enum { RUN = 8, TRIES = 64 };
    for (int i = 0; i < TRIES && size > RUN; i++) {
        const size_t at = fuzz_random(state) % (size - RUN);
        size_t length = 0;
        while (length < RUN && data[at + length] >= ' ' && data[at + length] < 0x7f) length++;
        if (length == RUN) return at;
    }
    return size;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    enum { WINDOW = 16 };
    static const uint64_t numbers[] = {0,      1,          2,          0x7f,      0xff,      0x7fff,
                                       0xffff, 0x7fffffff, 0xffffffff, INT64_MAX, UINT64_MAX};
    uint32_t state = seed;
    const uint32_t kind = fuzz_random(&state) % 16;
    if (kind == 0 || size < WINDOW) return LLVMFuzzerMutate(data, size, max_size);
    if (kind == 1) return 1 + fuzz_random(&state) % size; /* cut */
    size_t at = fuzz_random(&state) % (size - WINDOW + 1);
    if (kind < 12) {
        const size_t text = fuzz_find_text(data, size, &state);
        if (text < size && text <= size - WINDOW) at = text;
    }
    if (kind >= 14) { /* a size, an offset, a count */
        const size_t width = (size_t)1 << fuzz_random(&state) % 4;
        const uint64_t number = numbers[fuzz_random(&state) % (sizeof numbers / sizeof numbers[0])];
        memcpy(data + at, &number, width);
        return size;
    }
    uint8_t window[WINDOW];
    memcpy(window, data + at, WINDOW);
    LLVMFuzzerMutate(window, 1 + fuzz_random(&state) % WINDOW, WINDOW);
    memcpy(data + at, window, WINDOW);
    return size;
}

#endif
