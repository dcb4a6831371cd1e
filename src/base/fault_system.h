/* In a build with LOCKSTEP_FAULTS the system calls of a source that includes this, after the system's own
 * headers, fail when a test's plan says so (fault.h). Otherwise it is empty. */
#ifndef LS_BASE_FAULT_SYSTEM_H
#define LS_BASE_FAULT_SYSTEM_H

#ifdef LOCKSTEP_FAULTS

#include <errno.h>

#include "base/fault.h"

#define open(...)           LS_FALLIBLE(LS_FAULT_OPEN, open(__VA_ARGS__))
#define memfd_create(...)   LS_FALLIBLE(LS_FAULT_OPEN, memfd_create(__VA_ARGS__))
#define mkdir(...)          LS_FALLIBLE(LS_FAULT_OPEN, mkdir(__VA_ARGS__))
#define scandir(...)        LS_FALLIBLE(LS_FAULT_READ, scandir(__VA_ARGS__))
#define fstat(...)          LS_FALLIBLE(LS_FAULT_READ, fstat(__VA_ARGS__))
#define read(...)           LS_FALLIBLE(LS_FAULT_READ, read(__VA_ARGS__))
#define pread(...)          LS_FALLIBLE(LS_FAULT_READ, pread(__VA_ARGS__))
#define lseek(...)          LS_FALLIBLE(LS_FAULT_READ, lseek(__VA_ARGS__))
#define write(...)          LS_FALLIBLE(LS_FAULT_WRITE, write(__VA_ARGS__))
#define pwrite(...)         LS_FALLIBLE(LS_FAULT_WRITE, pwrite(__VA_ARGS__))
#define fsync(...)          LS_FALLIBLE(LS_FAULT_SYNC, fsync(__VA_ARGS__))
#define close(...)          LS_FALLIBLE_AFTER(LS_FAULT_CLOSE, close(__VA_ARGS__))
#define rename(...)         LS_FALLIBLE(LS_FAULT_RENAME, rename(__VA_ARGS__))
#define ftruncate(...)      LS_FALLIBLE(LS_FAULT_RESERVE, ftruncate(__VA_ARGS__))
#define fallocate(...)      LS_FALLIBLE(LS_FAULT_RESERVE, fallocate(__VA_ARGS__))
#define pthread_create(...) (ls_fault(LS_FAULT_THREAD) ? EAGAIN : pthread_create(__VA_ARGS__))

#endif

#endif
