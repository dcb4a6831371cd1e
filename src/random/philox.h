/* Philox4x32-10, the counter-based generator of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as
 * easy as 1, 2, 3" (SC 2011): 128 random bits as a pure function of a 64-bit key and a 128-bit counter. */
#ifndef LS_RANDOM_PHILOX_H
#define LS_RANDOM_PHILOX_H

#include <stdint.h>

/* What the random numbers are for: different purposes never share a counter. The numbers are part of what a
 * seed means, so they are never reused or renumbered. */
typedef enum ls_stream {
    LS_STREAM_WEIGHTS = 1, /* initial weights: index = parameter */
    LS_STREAM_DEAL = 2,    /* which block of rows goes where: index = round of the bijection */
    LS_STREAM_WINDOWS = 3, /* order of a shard's windows in an epoch */
    LS_STREAM_ROWS = 4,    /* order of the rows inside a window in an epoch */
    LS_STREAM_DIGEST = 5,  /* which rows the fingerprint of a dataset looks at */
    LS_STREAM_MIXTURE = 6, /* what synthetic samples share: instance = which of it, index = element */
    LS_STREAM_SAMPLES = 7, /* pairs of normal numbers: instance = which, index = sample / 2, two words each */
    LS_STREAM_LABELS = 8,  /* redrawn classes of synthetic samples: index = sample / 4, a word each */
    LS_STREAM_DROPOUT =
        9, /* dropped outputs: instance = units, four together, index = sample since training began */
    LS_STREAM_TRIALS = 20 /* settings of a search's trials: instance = which setting, index = which draw */
} ls_stream;

/* The bare function: 10 rounds over counter with key, into out. Local. */
void ls_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* 128 bits for (seed, stream, instance, index); instance tells apart several sequences of one stream (an
 * epoch's, a shard's) and lies below 2^32. Local. */
void ls_philox(uint64_t seed, ls_stream stream, uint32_t instance, uint64_t index, uint32_t out[4]);

/* Those of the indices [index, index + n), n a multiple of LS_PHILOX_LANES, one after the other into 4 n
 * words: many at a time cost a fraction. Local. */
enum { LS_PHILOX_LANES = 16 };
void ls_philox_many(uint64_t seed, ls_stream stream, uint32_t instance, uint64_t index, int64_t n,
                    uint32_t *out);

/* A uniform number in [0, 1) with 53 random bits from two words. Local. */
static inline double ls_uniform53(uint32_t high, uint32_t low)
{
    return (double)((((uint64_t)high << 32) | low) >> 11) * 0x1p-53;
}

#endif
