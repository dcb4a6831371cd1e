/* The BLAS library that is linked, whichever it is: how it is called, and how many threads it may use. */
#ifndef LS_BASE_BLAS_H
#define LS_BASE_BLAS_H

#include <stddef.h>

/* Its name, version and build options in its own words, "unknown" for a library that we cannot ask. Local. */
const char *ls_blas_config(void);

/* The first two words of that: "OpenBLAS 0.3.21". Local. */
void ls_blas_name(char *text, size_t size);

/* The kernels that it has chosen for this CPU, "SkylakeX"; "unknown" for a library that we cannot ask. Other
 * kernels give other last bits. Local. */
const char *ls_blas_kernels(void);

/* The kernels that OpenBLAS took by itself where ls_blas_choose_kernels gave it others, otherwise NULL.
 * Local. */
const char *ls_blas_rejected_kernels(void);

/* From now on it computes in the calling thread only. Local. */
void ls_blas_one_thread(void);

#endif
