#include "model/heap_check.h"

#include <stdint.h>
#include <string.h>

/* HDF5 File Format Specification 3.0, II.A and III.E. All numbers are little-endian. */
enum {
    SUPERBLOCK_VERSION = 8,
    LENGTHS_OLD = 14, /* where versions 0 and 1 of the superblock say how many bytes a length has, */
    LENGTHS_NEW = 10, /* and where the later ones do */
    SUPERBLOCK_LEAST = 16,
    ALIGNMENT = 8,
    HEAP_HEADER = 16, /* "GCOL", version, 3 reserved, length */
    HEAP_LEAST = 4096,
    OBJECT_HEADER = 16, /* number, references, 4 reserved, length */
};

static const unsigned char heap_begin[5] = {'G', 'C', 'O', 'L', 1};

static uint64_t read_number(const unsigned char *at, int n_bytes)
{
    uint64_t number = 0;
    for (int i = n_bytes - 1; i >= 0; i--) number = number << 8 | at[i];
    return number;
}

/* Object 0 is the free space behind the others and counts its own header. */
static int is_heap_sound(const unsigned char *heap, uint64_t size)
{
    uint64_t at = HEAP_HEADER;
    while (size - at >= OBJECT_HEADER) {
        const uint64_t number = read_number(heap + at, 2), length = read_number(heap + at + 8, 8);
        if (length > size - at) return 0;
        const uint64_t needed =
            number == 0 ? length : OBJECT_HEADER + (length + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        if (needed < OBJECT_HEADER || needed > size - at) return 0;
        at += needed;
    }
    return 1;
}

ls_status ls_heap_check(const char *file, const void *image, size_t size)
{
    const unsigned char *bytes = image;
    if (size < SUPERBLOCK_LEAST) return LS_OK; /* HDF5 refuses it */
    const int length_size = bytes[bytes[SUPERBLOCK_VERSION] < 2 ? LENGTHS_OLD : LENGTHS_NEW];
    if (length_size != sizeof(uint64_t))
        return ls_fail(
            LS_E_INPUT,
            "%s: lengths of %d bytes: not written by Keras, or the file is damaged: use another copy", file,
            length_size);
    for (size_t at = 0; at + HEAP_LEAST <= size; at += ALIGNMENT) {
        if (memcmp(bytes + at, heap_begin, sizeof heap_begin) != 0) continue;
        const uint64_t heap_size = read_number(bytes + at + 8, 8);
        /* Weights that look like a heap by chance do not have such a length; HDF5 refuses heaps that do not.
         */
        if (heap_size < HEAP_LEAST || heap_size > size - at) continue;
        if (!is_heap_sound(bytes + at, heap_size))
            return ls_fail(
                LS_E_INPUT,
                "%s: the file is damaged: the strings at byte %zu do not fit together: use another "
                "copy",
                file, at);
    }
    return LS_OK;
}
