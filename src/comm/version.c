#include "comm/version.h"

#include <hdf5.h>
#include <mpi.h>
#include <stdio.h>
#include <string.h>

#include "base/blas.h"
#include "base/build.h"
#include "lockstep/session.h"

void ls_mpi_name(char *text, size_t size)
{
    char name[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    MPI_Get_library_version(name, &length);
    /* Open MPI appends build details after a comma, MPICH on further lines. */
    name[strcspn(name, ",\n")] = 0;
    for (char *tab = name; (tab = strchr(tab, '\t')) != NULL;) *tab = ' ';
    snprintf(text, size, "%s", name);
}

void ls_hdf5_name(char *text, size_t size)
{
    unsigned major = 0, minor = 0, release = 0;
    H5get_libversion(&major, &minor, &release);
    snprintf(text, size, "%u.%u.%u", major, minor, release);
}

const char *ls_version_text(void)
{
    static char text[1024];
    char mpi[128], hdf5[32];
    ls_mpi_name(mpi, sizeof mpi);
    ls_hdf5_name(hdf5, sizeof hdf5);
    snprintf(text, sizeof text, "lockstep %s, build %.12s\nMPI:  %s\nHDF5: %s\nBLAS: %s", LOCKSTEP_VERSION,
             ls_build_id(), mpi, hdf5, ls_blas_config());
    const size_t used = strlen(text);
    if (ls_blas_rejected_kernels() && used < sizeof text)
        snprintf(text + used, sizeof text - used, "\n      kernels %s, for OpenBLAS had taken %s",
                 ls_blas_kernels(), ls_blas_rejected_kernels());
    return text;
}
