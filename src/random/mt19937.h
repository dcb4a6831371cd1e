/* NumPy's legacy random stream: numpy.random.RandomState(seed), number by number.
 *
 * The Mersenne Twister MT19937 and, on top of it, RandomState's own ways to make doubles, normal deviates,
 * bounded integers and permutations, in the order in which it consumes the stream. It exists to equal
 * scikit-learn; whatever is not bound to that uses the counter-based generator. All functions are local. */
#ifndef LS_RANDOM_MT19937_H
#define LS_RANDOM_MT19937_H

#include <stdbool.h>
#include <stdint.h>

enum { LS_MT19937_WORDS = 624 };

typedef struct ls_mt19937 {
    uint32_t words[LS_MT19937_WORDS];
    int next;           /* the word to hand out next; LS_MT19937_WORDS when the block is used up */
    bool has_normal;    /* normal deviates come in pairs: the second one is waiting */
    double next_normal; /* valid if has_normal */
} ls_mt19937;

/* Puts the generator into the state of RandomState(seed). */
void ls_mt19937_seed(ls_mt19937 *generator, uint32_t seed);

/* The next 32 bits of the stream. */
uint32_t ls_mt19937_bits(ls_mt19937 *generator);

/* random_sample() and uniform(): a double in [0, 1) with 53 random bits, from two words. */
double ls_mt19937_uniform(ls_mt19937 *generator);

/* standard_normal(): Marsaglia's polar method, which keeps the second deviate of a pair for the next call. */
double ls_mt19937_normal(ls_mt19937 *generator);

/* randint(largest + 1) of 64-bit integers, which is also the bounded integer of shuffle: uniform in [0,
 * largest] by rejection under the smallest mask 2^b - 1 >= largest. Takes nothing from the stream when
 * largest is 0. */
uint64_t ls_mt19937_bounded(ls_mt19937 *generator, uint64_t largest);

/* permutation(n), which is arange(n) after shuffle: fills values (n). */
void ls_mt19937_permutation(ls_mt19937 *generator, int64_t n, int64_t *values);

#endif
