/* Sums among parties that have no memory in common, by messages of MPI: the first ranks of nodes, or all
 * ranks. Each party holds the sums of the maximal subtrees in its range of leaves. */
#ifndef LS_COMM_EXCHANGE_H
#define LS_COMM_EXCHANGE_H

#include <stdbool.h>

#include "comm/comm.h"
#include "comm/message.h"
#include "comm/subtree.h"

typedef struct ls_exchange ls_exchange;

/* is_party says whether this rank is one, whose leaves begin at begin; those of the next party follow.
 * *exchange is NULL for the others. Collective; layout and n_leaves must agree. The caller destroys
 * *exchange. */
ls_status ls_exchange_create(ls_session *session, const ls_message_layout *layout, int64_t n_leaves,
                             bool is_party, int64_t begin, ls_exchange **exchange);

/* Frees it; NULL is allowed. Collective over the parties. */
void ls_exchange_destroy(ls_exchange *exchange);

/* messages[i] is the sum of the party's subtree i; a party without leaves gives one message that is not read.
 * Afterwards messages[0] is the sum of all leaves; the others are used up. Collective over the parties.
 * LS_E_MPI. */
ls_status ls_exchange_add(ls_exchange *exchange, void *const *messages);

#endif
