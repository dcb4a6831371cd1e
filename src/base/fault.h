/* Failures on purpose. In a build with LOCKSTEP_FAULTS the library asks at every place where the system can
 * let it down whether it shall be let down this time, by a test's plan; otherwise nothing of this is compiled
 * in. */
#ifndef LS_BASE_FAULT_H
#define LS_BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* name, word in LOCKSTEP_FAULT_PLAN, errno that a fault leaves */
#define LS_FAULT_LIST(X)                                                                                     \
    X(LS_FAULT_ALLOC, "alloc", ENOMEM)                                                                       \
    X(LS_FAULT_OPEN, "open", EMFILE)                                                                         \
    X(LS_FAULT_READ, "read", EIO)                                                                            \
    X(LS_FAULT_WRITE, "write", ENOSPC)                                                                       \
    X(LS_FAULT_SYNC, "sync", EIO)                                                                            \
    X(LS_FAULT_CLOSE, "close", EIO)                                                                          \
    X(LS_FAULT_RENAME, "rename", EIO)                                                                        \
    X(LS_FAULT_RESERVE, "reserve", ENOSPC)                                                                   \
    X(LS_FAULT_THREAD, "thread", EAGAIN)                                                                     \
    X(LS_FAULT_HDF5, "hdf5", EIO)                                                                            \
    X(LS_FAULT_MPI, "mpi", 0)

typedef enum ls_fault_site {
#define LS_FAULT_ENUM(name, word, error) name,
    LS_FAULT_LIST(LS_FAULT_ENUM)
#undef LS_FAULT_ENUM
        LS_FAULT_SITES
} ls_fault_site;

#ifdef LOCKSTEP_FAULTS

/* Whether this call shall fail; then errno is set. A process begins with the plan of the environment variable
 * LOCKSTEP_FAULT_PLAN, "SITE:FIRST" or "SITE:FIRST:COUNT". Local; not for threads beside the main one. */
bool ls_fault(ls_fault_site site);

/* From now on the questions at site (LS_FAULT_SITES: at any but LS_FAULT_MPI) are counted from 1, and count
 * of them from number first on are answered with yes. count 0 ends it. Local. */
void ls_fault_plan(ls_fault_site site, int64_t first, int64_t count);

/* Questions at site since the last plan. Local. */
int64_t ls_fault_asked(ls_fault_site site);

#else

static inline bool ls_fault(ls_fault_site site)
{
    (void)site;
    return false;
}

#endif

/* The value of call, or -1 without calling if a fault is planned: for what tells its failure so. The second
 * form, for closing, calls in any case. */
#define LS_FALLIBLE(site, call)       (ls_fault(site) ? (__typeof__(call))-1 : (call))
#define LS_FALLIBLE_AFTER(site, call) ((call) < 0 || ls_fault(site) ? -1 : 0)

#endif
