#include <stdlib.h>
#include <string.h>

#include "random/permute.h"
#include "random/philox.h"
#include "unit.h"

/* The known answers that Random123 publishes for philox4x32 with 10 rounds. */
static void philox_gives_the_published_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t counter[4], key[2], expected[4];
    } vectors[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
        uint32_t out[4];
        ls_philox4x32(vectors[i].counter, vectors[i].key, out);
        assert_memory_equal(out, vectors[i].expected, sizeof out);
    }
}

static void many_at_a_time_are_the_same(void **state)
{
    (void)state;
    enum { N = 5 * LS_PHILOX_LANES };
    static const uint64_t first[] = {0, 7, UINT32_MAX - 3, UINT64_MAX / 2};
    for (int k = 0; k < 4; k++) {
        uint32_t many[4 * N], one[4];
        ls_philox_many(UINT64_C(0x123456789abcdef0), LS_STREAM_ROWS, 77, first[k], N, many);
        for (uint64_t i = 0; i < N; i++) {
            ls_philox(UINT64_C(0x123456789abcdef0), LS_STREAM_ROWS, 77, first[k] + i, one);
            assert_memory_equal(one, many + 4 * i, sizeof one);
        }
    }
}

static void uniform_numbers_lie_in_the_unit_interval(void **state)
{
    (void)state;
    assert_true(ls_uniform53(0, 0) == 0.0);
    assert_true(ls_uniform53(UINT32_MAX, UINT32_MAX) == 1.0 - 0x1p-53);
}

static void bijections_hit_everything_once_and_invert(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {1, 2, 3, 7, 255, 256, 257, 1000, 65537};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        const uint64_t n = sizes[k];
        ls_bijection bijection;
        ls_bijection_init(&bijection, 42, LS_STREAM_DEAL, (uint32_t)k, n);
        char *seen = calloc(n, 1);
        uint64_t fixed = 0;
        for (uint64_t i = 0; i < n; i++) {
            const uint64_t image = ls_bijection_apply(&bijection, i);
            assert_true(image < n);
            assert_false(seen[image]);
            seen[image] = 1;
            fixed += image == i;
            assert_int_equal(ls_bijection_invert(&bijection, image), i);
        }
        if (n >= 255) assert_true(fixed < 10);
        free(seen);
    }
}

static void bijections_work_on_huge_ranges(void **state)
{
    (void)state;
    ls_bijection bijection;
    const uint64_t n = UINT64_C(3000000000000000000);
    ls_bijection_init(&bijection, 1, LS_STREAM_DEAL, 0, n);
    for (uint64_t i = n - 1000; i < n; i++) {
        const uint64_t image = ls_bijection_apply(&bijection, i);
        assert_true(image < n);
        assert_int_equal(ls_bijection_invert(&bijection, image), i);
    }
}

/* Each of the 24 orders of four items should come up equally often: chi-square with 23 degrees of freedom
 * stays below 49.7 except once in a thousand draws of a seed, and the seeds here are fixed. */
static void permutations_are_uniform(void **state)
{
    (void)state;
    int count[256] = {0};
    const int draws = 24000;
    for (int draw = 0; draw < draws; draw++) {
        uint32_t order[4];
        ls_permutation(7, LS_STREAM_ROWS, (uint32_t)draw, 4, order);
        assert_int_equal(order[0] + order[1] + order[2] + order[3], 6);
        count[order[0] * 64 + order[1] * 16 + order[2] * 4 + order[3]]++;
    }
    double chi_square = 0;
    int orders = 0;
    for (int i = 0; i < 256; i++) {
        if (!count[i]) continue;
        orders++;
        chi_square += (count[i] - draws / 24.0) * (count[i] - draws / 24.0) / (draws / 24.0);
    }
    assert_int_equal(orders, 24);
    assert_true(chi_square < 49.7);
}

/* Those of many numbers hit everything once, leave hardly anything in its place or beside its neighbour, and
 * send every part evenly to every part. */
static void large_permutations_are_permutations(void **state)
{
    (void)state;
    enum { MOST = 100000, PARTS = 16 };
    static uint32_t order[MOST + 1];
    static char seen[MOST];
    static const uint32_t sizes[] = {4095, 4096, 4097, 5000, 8192, 16383, 16384, 16385, 65536, MOST};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (uint32_t instance = 0; instance < 20; instance++) {
            const uint32_t n = sizes[s];
            double count[PARTS * PARTS] = {0}, chi_square = 0;
            int in_place = 0, beside = 0;
            memset(seen, 0, sizeof seen);
            order[n] = 12345;
            ls_permutation(3, LS_STREAM_ROWS, instance, n, order);
            assert_int_equal(order[n], 12345);
            for (uint32_t i = 0; i < n; i++) {
                assert_true(order[i] < n && !seen[order[i]]);
                seen[order[i]] = 1;
                in_place += order[i] == i;
                beside += i > 0 && order[i] == order[i - 1] + 1;
                count[(uint64_t)i * PARTS / n * PARTS + (uint64_t)order[i] * PARTS / n]++;
            }
            assert_true(in_place < 9 && beside < 9); /* on average 1: more once in a million */
            const double expected = (double)n / PARTS / PARTS;
            for (int i = 0; i < PARTS * PARTS; i++)
                chi_square += (count[i] - expected) * (count[i] - expected) / expected;
            /* 225 degrees of freedom, deviation 21.2 */
            assert_true(chi_square > 225 - 5 * 21.2 && chi_square < 225 + 5 * 21.2);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_gives_the_published_answers),
        cmocka_unit_test(many_at_a_time_are_the_same),
        cmocka_unit_test(uniform_numbers_lie_in_the_unit_interval),
        cmocka_unit_test(bijections_hit_everything_once_and_invert),
        cmocka_unit_test(bijections_work_on_huge_ranges),
        cmocka_unit_test(permutations_are_uniform),
        cmocka_unit_test(large_permutations_are_permutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
