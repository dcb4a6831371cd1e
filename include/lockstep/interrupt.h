/* Signals that ask a run to stop in good order. */
#ifndef LOCKSTEP_INTERRUPT_H
#define LOCKSTEP_INTERRUPT_H

/* From now on SIGUSR1, SIGTERM and the first SIGINT only leave a mark. ls_train sees the mark of any rank at
 * its next step; all ranks write a checkpoint of the same step and return LS_E_INTERRUPTED. Call it first
 * thing in main, before anything slow. Local. */
void ls_interrupt_catch(void);

/* The newest such signal's number, 0 if none came. Local. */
int ls_interrupt_pending(void);

#endif
