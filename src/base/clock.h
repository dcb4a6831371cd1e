/* The clock by which everything is timed. */
#ifndef LS_BASE_CLOCK_H
#define LS_BASE_CLOCK_H

/* The monotonic clock, in seconds. Local. */
double ls_now(void);

#endif
