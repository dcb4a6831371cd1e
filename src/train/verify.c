#include "train/verify.h"

#include <stdbool.h>
#include <stdio.h>
#include <xxhash.h>

#include "base/memory.h"

static uint32_t digest(const ls_model *model)
{
    return (uint32_t)XXH3_64bits(model->parameters,
                                 (size_t)model->n_parameters * ls_dtype_size(model->dtype));
}

void ls_verify_digest(const ls_model *model, int64_t values[LS_VERIFY_INTS])
{
    const uint32_t hash = digest(model);
    for (int i = 0; i < LS_VERIFY_NIBBLES; i++) {
        values[i] = hash >> (4 * i) & 0xf;
        values[LS_VERIFY_NIBBLES + i] = values[i] * values[i];
    }
}

/* Most ranks' digest, by Boyer and Moore's vote. */
static int64_t majority(const int64_t *digests, int n)
{
    int64_t candidate = digests[0];
    int votes = 0;
    for (int i = 0; i < n; i++) {
        if (votes == 0) candidate = digests[i];
        votes += digests[i] == candidate ? 1 : -1;
    }
    return candidate;
}

static ls_status name_differing(const int64_t *digests, int n, int64_t step)
{
    char ranks[256] = "";
    size_t used = 0;
    const int64_t usual = majority(digests, n);
    for (int i = 0; i < n && used < sizeof ranks - 16; i++)
        if (digests[i] != usual) used += (size_t)snprintf(ranks + used, sizeof ranks - used, " %d", i);
    return ls_fail(
        LS_E_DIFFER,
        "before step %lld the weights of rank(s)%s differ from those of the other ranks: suspect the memory "
        "or the processor of their node, and resume from the last checkpoint without it",
        (long long)step + 1, ranks);
}

ls_status ls_verify_compare(ls_session *session, const ls_model *model, const int64_t sums[LS_VERIFY_INTS],
                            int64_t step)
{
    bool equal = true;
    for (int i = 0; i < LS_VERIFY_NIBBLES; i++)
        equal = equal && session->size * sums[LS_VERIFY_NIBBLES + i] == sums[i] * sums[i];
    if (equal) return LS_OK;
    const int64_t own = digest(model);
    int64_t *digests;
    ls_status status = ls_session_agree(
        session, ls_alloc(&digests, (size_t)session->size, sizeof *digests, "digests of the ranks"));
    if (status == LS_OK)
        status = ls_mpi_check(MPI_Allgather(&own, 1, MPI_INT64_T, digests, 1, MPI_INT64_T, session->comm),
                              "MPI_Allgather");
    if (status == LS_OK) status = name_differing(digests, session->size, step);
    ls_free(digests);
    return status;
}
