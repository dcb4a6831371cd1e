#include "comm/comm.h"
#include "unit.h"

static void parts_cover_everything_once(void **state)
{
    (void)state;
    for (int64_t n = 0; n < 50; n++) {
        for (int64_t parts = 1; parts < 20; parts++) {
            assert_int_equal(ls_split(n, parts, 0), 0);
            assert_int_equal(ls_split(n, parts, parts), n);
            for (int64_t p = 0; p <= parts; p++) assert_int_equal(ls_split(n, parts, p), p * n / parts);
        }
    }
}

static void products_beyond_64_bits_are_exact(void **state)
{
    (void)state;
    const int64_t n = INT64_MAX, parts = 1000003;
    for (int64_t p = 0; p <= parts; p += 997)
        assert_int_equal(ls_split(n, parts, p), (int64_t)((__int128)n * p / parts));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_cover_everything_once),
        cmocka_unit_test(products_beyond_64_bits_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
