#include <hdf5.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "lockstep/session.h"

/* BLAS libraries tell their version each in their own way; weak, because only one of them is linked. */
extern char *openblas_get_config(void) __attribute__((weak));
extern const char *bli_info_get_version_str(void) __attribute__((weak));

const char *ls_version_text(void)
{
    static char text[MPI_MAX_LIBRARY_VERSION_STRING + 512];
    char mpi[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    unsigned major = 0, minor = 0, release = 0;
    MPI_Get_library_version(mpi, &length);
    /* Open MPI appends build details after a comma, MPICH on further lines. */
    mpi[strcspn(mpi, ",\n")] = 0;
    for (char *tab = mpi; (tab = strchr(tab, '\t')) != NULL;) *tab = ' ';
    H5get_libversion(&major, &minor, &release);
    const char *blas = openblas_get_config        ? openblas_get_config()
                       : bli_info_get_version_str ? bli_info_get_version_str()
                                                  : "unknown";
    snprintf(text, sizeof text, "lockstep %s\nMPI:  %s\nHDF5: %u.%u.%u\nBLAS: %s", LOCKSTEP_VERSION, mpi,
             major, minor, release, blas);
    return text;
}
