#include "random/philox.h"

#include "base/wide.h"

void ls_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        const uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u; /* golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void ls_philox(uint64_t seed, ls_stream stream, uint32_t instance, uint64_t index, uint32_t out[4])
{
    const uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), instance, (uint32_t)stream};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    ls_philox4x32(counter, key, out);
}

LS_WIDE void ls_philox_many(uint64_t seed, ls_stream stream, uint32_t instance, uint64_t index, int64_t n,
                            uint32_t *out)
{
    for (int64_t at = 0; at < n; at += LS_PHILOX_LANES, out += 4 * LS_PHILOX_LANES) {
        uint32_t c[4][LS_PHILOX_LANES], k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
        for (int l = 0; l < LS_PHILOX_LANES; l++) {
            const uint64_t i = index + (uint64_t)(at + l);
            c[0][l] = (uint32_t)i;
            c[1][l] = (uint32_t)(i >> 32);
            c[2][l] = instance;
            c[3][l] = (uint32_t)stream;
        }
        for (int round = 0; round < 10; round++) {
            for (int l = 0; l < LS_PHILOX_LANES; l++) {
                const uint64_t p0 = (uint64_t)0xD2511F53u * c[0][l], p1 = (uint64_t)0xCD9E8D57u * c[2][l];
                c[0][l] = (uint32_t)(p1 >> 32) ^ c[1][l] ^ k0;
                c[1][l] = (uint32_t)p1;
                c[2][l] = (uint32_t)(p0 >> 32) ^ c[3][l] ^ k1;
                c[3][l] = (uint32_t)p0;
            }
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
        for (int l = 0; l < LS_PHILOX_LANES; l++)
            for (int i = 0; i < 4; i++) out[4 * l + i] = c[i][l];
    }
}
