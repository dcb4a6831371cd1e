#include "random/permute.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/wide.h"

enum { WORDS = 1024, LEAST_WORDS = 4 * LS_PHILOX_LANES }; /* random ones made at a time */
enum { ROUNDS = 6, LANES = 128 };                         /* of the network, numbers at a time */

/* Fisher and Yates' shuffle. */
static void shuffle(uint64_t seed, ls_stream stream, uint32_t instance, uint32_t n, uint32_t *order)
{
    uint32_t words[WORDS];
    uint32_t used = 0, there = 0;
    uint64_t block = 0;
    for (uint32_t i = 0; i < n; i++) order[i] = i;
    for (uint32_t i = n; i > 1; i--) {
        /* Lemire's bounded draw: the high half of word * i, redrawn where i does not divide 2^32 evenly. */
        uint64_t product;
        do {
            if (used == there) {
                there = i < WORDS ? (i + LEAST_WORDS - 1) / LEAST_WORDS * LEAST_WORDS : WORDS;
                ls_philox_many(seed, stream, instance, block, there / 4, words);
                block += there / 4;
                used = 0;
            }
            product = (uint64_t)words[used++] * i;
        } while ((uint32_t)product < i && (uint32_t)product < -i % i);
        const uint32_t j = (uint32_t)(product >> 32), last = order[i - 1];
        order[i - 1] = order[j];
        order[j] = last;
    }
}

/* What a Feistel network over [0, rows) x [0, columns) makes of each number in turn, those from n on left
 * out. The halves take turns in being moved round by a hash of the other one, in 16 bits, of which a vector
 * holds most. */
LS_WIDE static void permute_many(const uint32_t keys[ROUNDS], const uint16_t sizes[2], uint32_t n,
                                 uint32_t *order)
{
    const bool exact = (uint32_t)sizes[0] * sizes[1] == n;
    uint32_t used = 0;
    for (uint32_t row = 0; row < sizes[0]; row++)
        for (uint32_t column = 0; column < sizes[1]; column += LANES) {
            uint16_t halves[2][LANES];
            for (uint32_t l = 0; l < LANES; l++) {
                halves[0][l] = (uint16_t)row;
                halves[1][l] = (uint16_t)(column + l);
            }
            for (int round = 0; round < ROUNDS; round++) {
                uint16_t *moved = halves[round % 2];
                const uint16_t *by = halves[1 - round % 2], key = (uint16_t)keys[round];
                const uint16_t factor = (uint16_t)(keys[round] >> 16 | 1), size = sizes[round % 2];
                for (int l = 0; l < LANES; l++) {
                    uint16_t hash = (uint16_t)((uint32_t)(by[l] ^ key) * factor);
                    hash ^= (uint16_t)(hash >> 7);
                    hash = (uint16_t)(hash * 0x9E37u);
                    hash = (uint16_t)((uint32_t)hash * size >> 16);
                    const uint16_t sum = (uint16_t)(moved[l] + hash), less = (uint16_t)(sum - size);
                    moved[l] = less < sum ? less : sum; /* modulo size, which is at most 2^15 */
                }
            }
            uint32_t images[LANES];
            for (int l = 0; l < LANES; l++) images[l] = (uint32_t)halves[0][l] * sizes[1] + halves[1][l];
            if (exact) {
                memcpy(order + used, images, sizeof images);
                used += LANES;
            } else {
                for (int l = 0; l < LANES; l++)
                    if (images[l] < n) order[used++] = images[l];
            }
        }
}

void ls_permutation(uint64_t seed, ls_stream stream, uint32_t instance, uint32_t n, uint32_t *order)
{
    if (n < LS_PERMUTATION_MANY || n > UINT32_C(1) << 30) {
        shuffle(seed, stream, instance, n, order);
        return;
    }
    uint32_t keys[ROUNDS];
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t words[4];
        ls_philox(seed, stream, instance, (uint64_t)round, words);
        keys[round] = words[0];
    }
    const uint32_t columns = ((uint32_t)ceil(sqrt(n)) + LANES - 1) / LANES * LANES,
                   rows = (n - 1) / columns + 1;
    permute_many(keys, (uint16_t[]){(uint16_t)rows, (uint16_t)columns}, n, order);
}

void ls_bijection_init(ls_bijection *bijection, uint64_t seed, ls_stream stream, uint32_t instance,
                       uint64_t n)
{
    bijection->n = n;
    /* At least 8 bits: a network over fewer mixes badly. */
    bijection->half_bits = 4;
    while (bijection->half_bits < 31 && (UINT64_C(1) << (2 * bijection->half_bits)) < n)
        bijection->half_bits++;
    for (int round = 0; round < LS_BIJECTION_ROUNDS; round++) {
        uint32_t words[4];
        ls_philox(seed, stream, instance, (uint64_t)round, words);
        bijection->keys[round] = ((uint64_t)words[0] << 32) | words[1];
    }
}

/* Mixes one half with a round key: the finalizer of MurmurHash3, whose output bits all depend on all input
 * bits. */
static uint64_t mix(uint64_t value, uint64_t key)
{
    value = (value ^ key) * UINT64_C(0xff51afd7ed558ccd);
    value = (value ^ (value >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return value ^ (value >> 33);
}

uint64_t ls_bijection_apply(const ls_bijection *bijection, uint64_t i)
{
    const int bits = bijection->half_bits;
    const uint64_t mask = (UINT64_C(1) << bits) - 1;
    do {
        uint64_t left = i >> bits, right = i & mask;
        for (int round = 0; round < LS_BIJECTION_ROUNDS; round++) {
            const uint64_t next = left ^ (mix(right, bijection->keys[round]) & mask);
            left = right;
            right = next;
        }
        i = (left << bits) | right;
    } while (i >= bijection->n);
    return i;
}

uint64_t ls_bijection_invert(const ls_bijection *bijection, uint64_t i)
{
    const int bits = bijection->half_bits;
    const uint64_t mask = (UINT64_C(1) << bits) - 1;
    do {
        uint64_t left = i >> bits, right = i & mask;
        for (int round = LS_BIJECTION_ROUNDS - 1; round >= 0; round--) {
            const uint64_t previous = right ^ (mix(left, bijection->keys[round]) & mask);
            right = left;
            left = previous;
        }
        i = (left << bits) | right;
    } while (i >= bijection->n);
    return i;
}
