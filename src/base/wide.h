/* LS_WIDE before a function: loops in it over plain arithmetic are compiled for wider vectors as well, and
 * the loader picks what the CPU has. The bits are the same, for nothing is fused or reordered. Not with
 * sanitizers, which dislike being called by the loader. */
#ifndef LS_BASE_WIDE_H
#define LS_BASE_WIDE_H

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && defined(__gnu_linux__) &&             \
    !defined(__SANITIZE_ADDRESS__)
#define LS_WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define LS_WIDE
#endif

#endif
