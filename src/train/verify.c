#include "train/verify.h"

#include <stdbool.h>
#include <stdio.h>
#include <xxhash.h>

#include "base/memory.h"

static uint32_t digest(const ls_model *model, const ls_optimizer_state *optimizer)
{
    const XXH64_hash_t weights =
        XXH3_64bits(model->parameters, (size_t)model->n_parameters * ls_dtype_size(model->dtype));
    if (!optimizer || optimizer->n_slots == 0) return (uint32_t)weights;
    return (uint32_t)XXH3_64bits_withSeed(optimizer->slots, ls_optimizer_slots_size(optimizer), weights);
}

void ls_verify_digest(const ls_model *model, const ls_optimizer_state *optimizer,
                      int64_t values[LS_VERIFY_INTS])
{
    const uint32_t hash = digest(model, optimizer);
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

/* " 3, 5": the ranks whose digest is not usual, or all of them. */
static void list_ranks(char *text, size_t size, const int64_t *digests, int n, int64_t usual, bool all)
{
    size_t used = 0;
    text[0] = 0;
    for (int i = 0; i < n; i++) {
        if (!all && digests[i] == usual) continue;
        if (used > size - 24) {
            snprintf(text + used, size - used, " and more");
            return;
        }
        used += (size_t)snprintf(text + used, size - used, "%s %d", used ? "," : "", i);
    }
}

static ls_status name_differing(const int64_t *digests, int n, int64_t step)
{
    char ranks[256];
    const int64_t usual = majority(digests, n);
    int n_usual = 0;
    for (int i = 0; i < n; i++) n_usual += digests[i] == usual;
    const bool decided = 2 * n_usual > n;
    list_ranks(ranks, sizeof ranks, digests, n, usual, !decided);
    if (decided)
        return ls_fail(
            LS_E_DIFFER,
            "after step %lld the weights of rank(s)%s differ from those of the other ranks: suspect "
            "the memory or the processor of their node, and resume from the last checkpoint without it",
            (long long)step, ranks);
    return ls_fail(
        LS_E_DIFFER,
        "after step %lld the weights of the ranks%s differ, and there is no majority that would tell "
        "which are right: suspect the memory or the processor of their nodes, and resume from the last "
        "checkpoint on others",
        (long long)step, ranks);
}

ls_status ls_verify_compare(ls_session *session, const ls_model *model, const ls_optimizer_state *optimizer,
                            const int64_t sums[LS_VERIFY_INTS], int64_t step)
{
    bool equal = true;
    for (int i = 0; i < LS_VERIFY_NIBBLES; i++)
        equal = equal && session->size * sums[LS_VERIFY_NIBBLES + i] == sums[i] * sums[i];
    if (equal) return LS_OK;
    const int64_t own = digest(model, optimizer);
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

ls_status ls_verify_now(ls_session *session, const ls_model *model, const ls_optimizer_state *optimizer,
                        int64_t step)
{
    int64_t values[LS_VERIFY_INTS];
    ls_verify_digest(model, optimizer, values);
    LS_TRY(
        ls_mpi_check(MPI_Allreduce(MPI_IN_PLACE, values, LS_VERIFY_INTS, MPI_INT64_T, MPI_SUM, session->comm),
                     "MPI_Allreduce"));
    return ls_verify_compare(session, model, optimizer, values, step);
}
