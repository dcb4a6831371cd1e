#include "train/update.h"

#include <math.h>

#include "base/wide.h"

#define REAL       float
#define SQRT       sqrtf
#define RULE(name) ls_update_##name##_float32
#include "train/update_template.h"
#undef REAL
#undef SQRT
#undef RULE

#define REAL       double
#define SQRT       sqrt
#define RULE(name) ls_update_##name##_float64
#include "train/update_template.h"
