/* Names and versions of what is in use; the whole report is ls_version_text in lockstep/session.h. */
#ifndef LS_COMM_VERSION_H
#define LS_COMM_VERSION_H

#include <stddef.h>

/* The MPI library in one line, "Open MPI v4.1.4". Works before MPI_Init. Local. */
void ls_mpi_name(char *text, size_t size);

/* The HDF5 library, "1.10.8". Local. */
void ls_hdf5_name(char *text, size_t size);

#endif
