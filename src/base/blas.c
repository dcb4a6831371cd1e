#include "base/blas.h"

#include <stdio.h>
#include <string.h>

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
