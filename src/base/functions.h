/* Elementary functions made of plain arithmetic: the same bits on every processor, while those of a C library
 * are chosen by the processor. Within a few units in the last place. Local. */
#ifndef LS_BASE_FUNCTIONS_H
#define LS_BASE_FUNCTIONS_H

/* exp(x) for -700 <= x <= 700; beyond that as at these ends. */
double ls_exp(double x);

/* The natural logarithm of a normal number above 0. */
double ls_log(double x);

/* cos(pi x) for 0 <= x <= 1. */
double ls_cos_pi(double x);

#endif
