/* Seeded permutations: a whole one by shuffling, and one that gives any single element in constant time. */
#ifndef LS_RANDOM_PERMUTE_H
#define LS_RANDOM_PERMUTE_H

#include <stdint.h>

#include "random/philox.h"

/* Fills order with a random permutation of 0 .. n-1, a function of (seed, stream, instance, n). Of few
 * numbers it is uniformly random (Fisher-Yates with unbiased bounds), of LS_PERMUTATION_MANY to 2^30 that of
 * a Feistel network, which takes a quarter of the time. n < 2^32; order belongs to the caller. Local. */
enum { LS_PERMUTATION_MANY = 4096 };
void ls_permutation(uint64_t seed, ls_stream stream, uint32_t instance, uint32_t n, uint32_t *order);

/* A permutation of [0, n) that is never stored: a Feistel network on the next even power of two, walked along
 * its cycle until it lands inside (Black and Rogaway, "Ciphers with arbitrary finite domains", 2002). */
enum { LS_BIJECTION_ROUNDS = 8 };

typedef struct ls_bijection {
    uint64_t n;
    int half_bits; /* the network works on 2 * half_bits bits */
    uint64_t keys[LS_BIJECTION_ROUNDS];
} ls_bijection;

/* Prepares the permutation of (seed, stream, instance, n), 1 <= n <= 2^62. Local. */
void ls_bijection_init(ls_bijection *bijection, uint64_t seed, ls_stream stream, uint32_t instance,
                       uint64_t n);

/* The image of i, and the number whose image is i; i < n. Local. */
uint64_t ls_bijection_apply(const ls_bijection *bijection, uint64_t i);
uint64_t ls_bijection_invert(const ls_bijection *bijection, uint64_t i);

#endif
