/* What decides the last bits of results beside our own code. */
#ifndef LS_ENGINE_ARITHMETIC_H
#define LS_ENGINE_ARITHMETIC_H

#include <stddef.h>

/* A name for the mathematical functions that the reference engine takes from the C library: its version, and
 * which variant it picks on this CPU. Equal names give equal bits. Local. */
void ls_arithmetic_name(char *text, size_t size);

#endif
