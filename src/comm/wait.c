#include "comm/wait.h"

#include <unistd.h>

#include "base/clock.h"

enum {
    LOOKS = 1000,             /* some 0.1 ms */
    LOOKS_OVERSUBSCRIBED = 20 /* the partner probably waits for a core: but it may just be writing */
};

int64_t ls_wait_looks(const ls_session *session)
{
    return session->ranks_of_node > sysconf(_SC_NPROCESSORS_ONLN) ? LOOKS_OVERSUBSCRIBED : LOOKS;
}

ls_wait_watch ls_wait_here;

double ls_wait_clock(void)
{
    return ls_wait_here.on ? ls_now() : 0;
}
