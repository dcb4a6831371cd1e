#include "random/mt19937.h"

#include <math.h>

enum { SHIFT_WORDS = 397 };

void ls_mt19937_seed(ls_mt19937 *generator, uint32_t seed)
{
    /* An integer seed takes Knuth's linear recurrence, not the seeding by an array that other libraries use.
     */
    for (uint32_t i = 0; i < LS_MT19937_WORDS; i++) {
        generator->words[i] = seed;
        seed = 1812433253u * (seed ^ (seed >> 30)) + i + 1;
    }
    generator->next = LS_MT19937_WORDS;
    generator->has_normal = false;
    generator->next_normal = 0.0;
}

/* One step of the recurrence: the top bit of one word and the other bits of the one after it. */
static inline uint32_t twist(uint32_t word, uint32_t following, uint32_t shifted)
{
    const uint32_t mixed = (word & 0x80000000u) | (following & 0x7fffffffu);
    return shifted ^ (mixed >> 1) ^ (-(mixed & 1u) & 0x9908b0dfu);
}

static void refill(ls_mt19937 *generator)
{
    uint32_t *words = generator->words;
    int i = 0;
    for (; i < LS_MT19937_WORDS - SHIFT_WORDS; i++)
        words[i] = twist(words[i], words[i + 1], words[i + SHIFT_WORDS]);
    for (; i < LS_MT19937_WORDS - 1; i++)
        words[i] = twist(words[i], words[i + 1], words[i + SHIFT_WORDS - LS_MT19937_WORDS]);
    words[i] = twist(words[i], words[0], words[SHIFT_WORDS - 1]);
    generator->next = 0;
}

uint32_t ls_mt19937_bits(ls_mt19937 *generator)
{
    if (generator->next == LS_MT19937_WORDS) refill(generator);
    uint32_t word = generator->words[generator->next++];
    word ^= word >> 11;
    word ^= (word << 7) & 0x9d2c5680u;
    word ^= (word << 15) & 0xefc60000u;
    return word ^ (word >> 18);
}

double ls_mt19937_uniform(ls_mt19937 *generator)
{
    const double high = (double)(ls_mt19937_bits(generator) >> 5); /* 27 bits */
    const double low = (double)(ls_mt19937_bits(generator) >> 6);  /* 26 bits */
    return (high * 0x1p26 + low) / 0x1p53;
}

double ls_mt19937_normal(ls_mt19937 *generator)
{
    if (generator->has_normal) {
        generator->has_normal = false;
        return generator->next_normal;
    }
    double x, y, square;
    do {
        x = 2.0 * ls_mt19937_uniform(generator) - 1.0;
        y = 2.0 * ls_mt19937_uniform(generator) - 1.0;
        square = x * x + y * y;
    } while (square >= 1.0 || square == 0.0);
    const double factor = sqrt(-2.0 * log(square) / square);
    generator->next_normal = factor * x;
    generator->has_normal = true;
    return factor * y;
}

uint64_t ls_mt19937_bounded(ls_mt19937 *generator, uint64_t largest)
{
    if (largest == 0) return 0;
    const uint64_t mask = UINT64_MAX >> __builtin_clzll(largest);
    uint64_t value;
    do {
        value = ls_mt19937_bits(generator);
        if (largest > UINT32_MAX) value = value << 32 | ls_mt19937_bits(generator);
        value &= mask;
    } while (value > largest);
    return value;
}

void ls_mt19937_permutation(ls_mt19937 *generator, int64_t n, int64_t *values)
{
    for (int64_t i = 0; i < n; i++) values[i] = i;
    for (int64_t i = n - 1; i > 0; i--) {
        const int64_t j = (int64_t)ls_mt19937_bounded(generator, (uint64_t)i);
        const int64_t value = values[i];
        values[i] = values[j];
        values[j] = value;
    }
}
