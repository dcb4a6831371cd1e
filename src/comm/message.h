/* What travels in a reduction: real numbers of one dtype (gradient sums), doubles (loss sums), int64 (counts,
 * flags). All functions are local. */
#ifndef LS_COMM_MESSAGE_H
#define LS_COMM_MESSAGE_H

#include <stddef.h>
#include <stdint.h>

#include "lockstep/types.h"

typedef struct ls_message_layout {
    ls_dtype dtype;
    int64_t n_reals;
    int64_t n_doubles;
    int64_t n_ints;
    size_t doubles_at; /* bytes from the start of the message; the reals begin at 0 */
    size_t ints_at;
    size_t size; /* bytes of the whole message, a multiple of 8 */
} ls_message_layout;

/* Fills the offsets and the size. */
void ls_message_layout_init(ls_message_layout *layout, ls_dtype dtype, int64_t n_reals, int64_t n_doubles,
                            int64_t n_ints);

static inline double *ls_message_doubles(const ls_message_layout *layout, void *message)
{
    return (double *)((char *)message + layout->doubles_at);
}

static inline int64_t *ls_message_ints(const ls_message_layout *layout, void *message)
{
    return (int64_t *)((char *)message + layout->ints_at);
}

/* sum += other, element by element. */
void ls_message_add(const ls_message_layout *layout, void *sum, const void *other);

/* sum = a + b for n reals, and for the doubles and integers that begin at doubles_at. sum may be a or b. */
void ls_message_add_reals(const ls_message_layout *layout, int64_t n, void *sum, const void *a,
                          const void *b);
void ls_message_add_rest(const ls_message_layout *layout, void *sum, const void *a, const void *b);

#endif
