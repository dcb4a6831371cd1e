#include "lockstep/interrupt.h"

#include <signal.h>
#include <stddef.h>

static volatile sig_atomic_t pending;

static void remember(int signal_number)
{
    pending = signal_number;
}

void ls_interrupt_catch(void)
{
    static const int signals[] = {SIGUSR1, SIGTERM, SIGINT};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) {
        struct sigaction action = {.sa_handler = remember, .sa_flags = SA_RESTART};
        sigemptyset(&action.sa_mask);
        /* A second Ctrl-C ends the process at once. */
        if (signals[i] == SIGINT) action.sa_flags |= (int)SA_RESETHAND;
        sigaction(signals[i], &action, NULL);
    }
}

int ls_interrupt_pending(void)
{
    return pending;
}
