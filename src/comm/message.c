#include "comm/message.h"

#include "base/wide.h"

void ls_message_layout_init(ls_message_layout *layout, ls_dtype dtype, int64_t n_reals, int64_t n_doubles,
                            int64_t n_ints)
{
    layout->dtype = dtype;
    layout->n_reals = n_reals;
    layout->n_doubles = n_doubles;
    layout->n_ints = n_ints;
    layout->doubles_at = ((size_t)n_reals * ls_dtype_size(dtype) + 7) / 8 * 8;
    layout->ints_at = layout->doubles_at + (size_t)n_doubles * sizeof(double);
    layout->size = layout->ints_at + (size_t)n_ints * sizeof(int64_t);
}

LS_WIDE void ls_message_add_reals(const ls_message_layout *layout, int64_t n, void *sum, const void *a,
                                  const void *b)
{
    if (layout->dtype == LS_FLOAT32) {
        float *to = sum;
        const float *x = a, *y = b;
        for (int64_t i = 0; i < n; i++) to[i] = x[i] + y[i];
    } else {
        double *to = sum;
        const double *x = a, *y = b;
        for (int64_t i = 0; i < n; i++) to[i] = x[i] + y[i];
    }
}

void ls_message_add_rest(const ls_message_layout *layout, void *sum, const void *a, const void *b)
{
    double *to = sum;
    const double *x = a, *y = b;
    for (int64_t i = 0; i < layout->n_doubles; i++) to[i] = x[i] + y[i];
    /* Unsigned, so that digests may wrap. */
    uint64_t *n = (uint64_t *)(to + layout->n_doubles);
    const uint64_t *k = (const uint64_t *)(x + layout->n_doubles),
                   *m = (const uint64_t *)(y + layout->n_doubles);
    for (int64_t i = 0; i < layout->n_ints; i++) n[i] = k[i] + m[i];
}

void ls_message_add(const ls_message_layout *layout, void *sum, const void *other)
{
    void *rest = (char *)sum + layout->doubles_at;
    ls_message_add_reals(layout, layout->n_reals, sum, sum, other);
    ls_message_add_rest(layout, rest, rest, (const char *)other + layout->doubles_at);
}
