#include "base/blas.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lockstep/session.h"

/* Each library tells in its own way; weak, because only one of them is linked. */
extern char *openblas_get_config(void) __attribute__((weak));
extern char *openblas_get_corename(void) __attribute__((weak));
extern void openblas_set_num_threads(int n) __attribute__((weak));
extern const char *bli_info_get_version_str(void) __attribute__((weak));
extern int bli_arch_query_id(void) __attribute__((weak));
extern const char *bli_arch_string(int id) __attribute__((weak));
extern void bli_thread_set_num_threads(long n) __attribute__((weak));

const char *ls_blas_config(void)
{
    if (openblas_get_config) return openblas_get_config();
    if (bli_info_get_version_str) return bli_info_get_version_str();
    return "unknown";
}

void ls_blas_name(char *text, size_t size)
{
    const char *config = ls_blas_config();
    size_t length = strcspn(config, " ");
    if (config[length]) length += 1 + strcspn(config + length + 1, " ");
    snprintf(text, size, "%.*s", (int)length, config);
}

const char *ls_blas_kernels(void)
{
    if (openblas_get_corename) return openblas_get_corename();
    if (bli_arch_query_id && bli_arch_string) return bli_arch_string(bli_arch_query_id());
    return "unknown";
}

void ls_blas_one_thread(void)
{
    if (openblas_set_num_threads) openblas_set_num_threads(1);
    if (bli_thread_set_num_threads) bli_thread_set_num_threads(1);
}

static const char core_variable[] = "OPENBLAS_CORETYPE", rejected_variable[] = "LOCKSTEP_REJECTED_KERNELS";

const char *ls_blas_rejected_kernels(void)
{
    return getenv(rejected_variable);
}

/* The kernels for this CPU's vectors, if OpenBLAS has kernels without any of them: it does not know the CPU,
 * and computes at a fifth of its speed. NULL if all is well or cannot be told. */
static const char *better_kernels(void)
{
#if defined(__x86_64__)
    static const char *const with_vectors[] = {"Haswell", "Zen", "SkylakeX", "Cooperlake", "Sapphirerapids"};
    if (!openblas_get_corename || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return NULL;
    for (size_t i = 0; i < sizeof with_vectors / sizeof with_vectors[0]; i++)
        if (!strcasecmp(openblas_get_corename(), with_vectors[i])) return NULL;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
                   __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")
               ? "SkylakeX"
               : "Haswell";
#else
    return NULL;
#endif
}

void ls_blas_choose_kernels(char *const argv[])
{
    const char *kernels = better_kernels();
    if (!kernels || getenv(core_variable)) return;
    setenv(rejected_variable, openblas_get_corename(), 1);
    setenv(core_variable, kernels, 1);
    execv("/proc/self/exe", argv);
    /* It could not be started again: go on with what there is. */
    unsetenv(core_variable);
    unsetenv(rejected_variable);
}
