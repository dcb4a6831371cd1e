#include "comm/subtree.h"

int ls_subtrees_of(int64_t n_leaves, int64_t begin, int64_t end, ls_subtree subtrees[LS_MAX_SUBTREES])
{
    int n = 0;
    while (begin < end) {
        int64_t count = begin ? begin & -begin : n_leaves;
        while (begin + count > end) count /= 2;
        subtrees[n++] = (ls_subtree){begin, count};
        begin += count;
    }
    return n;
}
