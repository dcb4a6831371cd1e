#include "base/place.h"

static ls_place own;
ls_place *ls_place_here = &own;

void ls_place_leave(void)
{
    ls_place_here = &own;
}

const char *ls_operation_text(ls_operation operation)
{
    switch (operation) {
#define LS_OPERATION_TEXT(name, waits, text)                                                                 \
    case name:                                                                                               \
        return text;
        LS_OPERATION_LIST(LS_OPERATION_TEXT)
#undef LS_OPERATION_TEXT
    }
    return "in an unknown operation";
}

int ls_operation_waits(ls_operation operation)
{
    switch (operation) {
#define LS_OPERATION_WAITS(name, waits, text)                                                                \
    case name:                                                                                               \
        return waits;
        LS_OPERATION_LIST(LS_OPERATION_WAITS)
#undef LS_OPERATION_WAITS
    }
    return 0;
}
