/* Sums among parties that have no memory in common, by messages of MPI: the first ranks of nodes, or all
 * ranks. Each party holds the sums of the maximal subtrees in its range of leaves.
 *
 * The leaves are cut into as many equal blocks, a power of two, as can be owned by different parties. The
 * parties of a block send their sums up the tree to the block's owner; the owners add up by doubling, long
 * messages by halving and doubling, where each owner adds a slice; each owner then has the total sent to the
 * parties of its block. That takes about log2(parties) + 2 rounds for any number of parties. */
#ifndef LS_COMM_EXCHANGE_H
#define LS_COMM_EXCHANGE_H

#include <stdbool.h>

#include "comm/comm.h"
#include "comm/message.h"
#include "comm/subtree.h"

typedef struct ls_exchange ls_exchange;

/* is_party says whether this rank is one. Its leaves are those of the session's ranks from itself to the next
 * party; rank 0 is one. *exchange is NULL for the others. Keeps 4 bytes for each party and one message.
 * Collective; layout and n_leaves must agree. The caller destroys *exchange. */
ls_status ls_exchange_create(ls_session *session, const ls_message_layout *layout, int64_t n_leaves,
                             bool is_party, ls_exchange **exchange);

/* Frees it; NULL is allowed. Local. */
void ls_exchange_destroy(ls_exchange *exchange);

/* messages[i] is the sum of the party's subtree i; a party without leaves gives one message that is not read.
 * Afterwards messages[0] is the sum of all leaves; the others are used up. Collective over the parties.
 * LS_E_MPI. */
ls_status ls_exchange_add(ls_exchange *exchange, void *const *messages);

#endif
