/* The clock that times are measured with. */
#ifndef LS_BASE_CLOCK_H
#define LS_BASE_CLOCK_H

/* The monotonic clock, in seconds. Local. */
double ls_now(void);

#endif
