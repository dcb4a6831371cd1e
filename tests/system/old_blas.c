/* Stands in for an OpenBLAS that does not know the CPU: says that it took old kernels unless it was told
 * which to take. Loaded before the program by rollcall.py. */
#include <stdlib.h>

char *openblas_get_corename(void);

char *openblas_get_corename(void)
{
    const char *told = getenv("OPENBLAS_CORETYPE");
    return told ? (char *)told : "Prescott";
}
