#include <stdlib.h>
#include <string.h>

#include "engine/simd/kernel.h"

#define DECLARE(set)                                                                                         \
    extern const ls_simd_kernel ls_simd_kernel_##set##_float32, ls_simd_kernel_##set##_float64;
DECLARE(portable)
#if LOCKSTEP_X86_KERNELS
DECLARE(avx2)
DECLARE(avx512)
#endif

static bool always(void)
{
    return true;
}

#if LOCKSTEP_X86_KERNELS
static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") && has_avx2();
}
#endif

/* The best ones first. */
static const struct {
    const ls_simd_kernel *kernels[2]; /* by dtype */
    bool (*runs_here)(void);
} variants[] = {
#define VARIANT(set, test)                                                                                   \
    {{[LS_FLOAT32] = &ls_simd_kernel_##set##_float32, [LS_FLOAT64] = &ls_simd_kernel_##set##_float64}, test},
#if LOCKSTEP_X86_KERNELS
    VARIANT(avx512, has_avx512) VARIANT(avx2, has_avx2)
#endif
        VARIANT(portable, always)};

const ls_simd_kernel *ls_simd_kernel_named(ls_dtype dtype, const char *name)
{
    for (size_t i = 0; i < sizeof variants / sizeof variants[0]; i++) {
        const ls_simd_kernel *kernel = variants[i].kernels[dtype];
        if ((!name || !strcmp(name, kernel->name)) && variants[i].runs_here()) return kernel;
    }
    return NULL;
}

const ls_simd_kernel *ls_simd_kernel_for(ls_dtype dtype, int64_t lanes)
{
    const char *wanted = getenv("LOCKSTEP_SIMD");
    if (wanted && wanted[0]) return ls_simd_kernel_named(dtype, wanted);
    const ls_simd_kernel *best = ls_simd_kernel_named(dtype, NULL);
    (void)lanes; /* elsewhere all vectors are short */
#if LOCKSTEP_X86_KERNELS
    const ls_simd_kernel *narrower = ls_simd_kernel_named(dtype, "avx2");
    if (narrower && lanes <= narrower->lanes && narrower->lanes < best->lanes) return narrower;
#endif
    return best;
}
