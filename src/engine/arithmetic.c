#include "engine/arithmetic.h"

#include <stdio.h>

#ifdef __GLIBC__
#include <gnu/libc-version.h>
#endif

void ls_arithmetic_name(char *text, size_t size)
{
#ifdef __GLIBC__
    const char *version = gnu_get_libc_version();
#else
    const char *version = "unknown";
#endif
#if defined(__x86_64__)
    /* glibc has variants of exp, log and their kin with fused multiply-add, whose last bits differ. */
    const char *variant = __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2") ? "fma" : "no fma";
#else
    const char *variant = "generic";
#endif
    snprintf(text, size, "libm %s, %s", version, variant);
}
