#include "data/dataset_digest.h"

#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/memory.h"
#include "random/philox.h"

enum { N_BLOCKS = 1024, BLOCK_BYTES = 4096 };

static int by_first_row(const void *a, const void *b)
{
    const int64_t first = ((const ls_segment *)a)->first_row, second = ((const ls_segment *)b)->first_row;
    return (first > second) - (first < second);
}

/* Fills segments with the blocks, by row; returns their number. */
static int64_t choose_blocks(int64_t n_samples, int64_t block_rows, ls_segment segments[N_BLOCKS])
{
    if (n_samples <= N_BLOCKS * block_rows) {
        segments[0] = (ls_segment){0, n_samples};
        return 1;
    }
    for (int64_t i = 0; i < N_BLOCKS; i++) {
        uint32_t words[4];
        ls_philox(0, LS_STREAM_DIGEST, 0, (uint64_t)i, words);
        const double place = ls_uniform53(words[0], words[1]);
        segments[i] = (ls_segment){(int64_t)(place * (double)(n_samples - block_rows)), block_rows};
    }
    qsort(segments, N_BLOCKS, sizeof segments[0], by_first_row);
    return N_BLOCKS;
}

static ls_status digest_blocks(ls_dataset *dataset, ls_dtype dtype, char digest[LS_DATASET_DIGEST_SIZE])
{
    const int64_t shape[2] = {ls_dataset_n_samples(dataset), ls_dataset_n_features(dataset)};
    const int64_t wanted = BLOCK_BYTES / (shape[1] * (int64_t)sizeof(double));
    const int64_t block_rows = wanted < 1 ? 1 : wanted;
    ls_segment segments[N_BLOCKS];
    const int64_t n_segments = choose_blocks(shape[0], block_rows, segments);
    const int64_t rows = n_segments == 1 ? segments[0].n_rows : n_segments * block_rows;
    const ls_targets targets = ls_dataset_targets(dataset);
    const size_t size = ls_dtype_size(dtype), y_size = (size_t)ls_targets_row_values(&targets) * size;
    void *x = NULL, *y = NULL;
    XXH3_state_t *state = NULL;
    ls_status status = ls_alloc(&x, (size_t)(rows * shape[1]), size, "rows for the digest of the data");
    if (status == LS_OK) status = ls_alloc(&y, (size_t)rows, y_size, "labels for the digest of the data");
    if (status == LS_OK && !(state = XXH3_createState()))
        status = ls_fail(LS_E_MEMORY, "digest of the data: no memory");
    if (status == LS_OK) status = ls_dataset_read_segments(dataset, dtype, segments, n_segments, x, y);
    if (status == LS_OK) {
        XXH3_128bits_reset(state);
        XXH3_128bits_update(state, shape, sizeof shape);
        XXH3_128bits_update(state, x, (size_t)(rows * shape[1]) * size);
        XXH3_128bits_update(state, y, (size_t)rows * y_size);
        const XXH128_hash_t hash = XXH3_128bits_digest(state);
        snprintf(digest, LS_DATASET_DIGEST_SIZE, "%016llx%016llx", (unsigned long long)hash.high64,
                 (unsigned long long)hash.low64);
    }
    XXH3_freeState(state);
    ls_free(x);
    ls_free(y);
    return status;
}

ls_status ls_dataset_digest(ls_session *session, ls_dataset *dataset, ls_dtype dtype,
                            char digest[LS_DATASET_DIGEST_SIZE])
{
    LS_TRY(ls_session_agree(session, session->rank == 0 ? digest_blocks(dataset, dtype, digest) : LS_OK));
    return ls_broadcast(session, digest, LS_DATASET_DIGEST_SIZE);
}
