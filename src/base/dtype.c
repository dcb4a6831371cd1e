#include "lockstep/types.h"

const char *ls_dtype_name(ls_dtype dtype)
{
    return dtype == LS_FLOAT32 ? "float32" : "float64";
}

size_t ls_dtype_size(ls_dtype dtype)
{
    return dtype == LS_FLOAT32 ? sizeof(float) : sizeof(double);
}
