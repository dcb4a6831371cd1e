/* What every unit test includes, in the order that CMocka wants. */
#ifndef LS_TESTS_UNIT_H
#define LS_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
