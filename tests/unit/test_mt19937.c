/* Known answers of numpy.random.RandomState (NumPy 2.4). */
#include <string.h>

#include "random/mt19937.h"
#include "unit.h"

static void assert_bits_equal(double found, double expected)
{
    assert_memory_equal(&found, &expected, sizeof found);
}

static void integer_seeds_give_the_stream_of_random_state(void **state)
{
    (void)state;
    static const struct {
        uint32_t seed;
        uint32_t words[3];
    } streams[] = {
        {0, {0x8c7f0aac, 0x97c4aa2f, 0xb716a675}},
        {7, {0x1388f0af, 0x3a32e4c4, 0xc7a8c219}},
        {UINT32_MAX, {0x18fe69a3, 0x1c924122, 0xe991ec0c}},
    };
    ls_mt19937 generator;
    for (size_t s = 0; s < sizeof streams / sizeof *streams; s++) {
        ls_mt19937_seed(&generator, streams[s].seed);
        for (int i = 0; i < 3; i++) assert_int_equal(ls_mt19937_bits(&generator), streams[s].words[i]);
    }
    /* Far into the stream, past several blocks. */
    uint32_t word = 0;
    ls_mt19937_seed(&generator, 7);
    for (int i = 0; i < 10000; i++) word = ls_mt19937_bits(&generator);
    assert_int_equal(word, 588343604);
    /* The reference value of the inventors: the 10000th number of seed 5489. */
    ls_mt19937_seed(&generator, 5489);
    for (int i = 0; i < 10000; i++) word = ls_mt19937_bits(&generator);
    assert_int_equal(word, 4123659995);
}

static void uniform_numbers_equal_numpy(void **state)
{
    (void)state;
    ls_mt19937 generator;
    ls_mt19937_seed(&generator, 7);
    assert_bits_equal(ls_mt19937_uniform(&generator), 0x1.388f0a7465c98p-4);
    assert_bits_equal(ls_mt19937_uniform(&generator), 0x1.8f5184146a0a7p-1);
    assert_bits_equal(ls_mt19937_uniform(&generator), 0x1.c0ee597d36686p-2);
}

static void the_second_normal_of_a_pair_waits_for_the_next_call(void **state)
{
    (void)state;
    ls_mt19937 generator;
    ls_mt19937_seed(&generator, 7);
    assert_bits_equal(ls_mt19937_normal(&generator), 0x1.b0c64ae2deb29p+0);
    assert_bits_equal(ls_mt19937_normal(&generator), -0x1.dd1eafa1d414dp-2);
    assert_bits_equal(ls_mt19937_normal(&generator), 0x1.0cdcdf34c3aedp-5);
    assert_bits_equal(ls_mt19937_uniform(&generator), 0x1.0092dc858d345p-1);
    assert_bits_equal(ls_mt19937_normal(&generator), 0x1.a14bf2d03adc9p-2);
    /* A new seed forgets a waiting number. */
    ls_mt19937_seed(&generator, 7);
    ls_mt19937_normal(&generator);
    ls_mt19937_seed(&generator, 7);
    assert_bits_equal(ls_mt19937_normal(&generator), 0x1.b0c64ae2deb29p+0);
}

static void bounded_integers_equal_randint(void **state)
{
    (void)state;
    static const uint64_t below_3[] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 2, 2, 0};
    static const uint64_t below_million[] = {543911, 759782, 132164};
    static const uint64_t wide[] = {283194443, 29676478227};
    ls_mt19937 generator;
    ls_mt19937_seed(&generator, 7);
    for (int i = 0; i < 12; i++) assert_int_equal(ls_mt19937_bounded(&generator, 2), below_3[i]);
    for (int i = 0; i < 3; i++) assert_int_equal(ls_mt19937_bounded(&generator, 999999), below_million[i]);
    for (int i = 0; i < 2; i++) assert_int_equal(ls_mt19937_bounded(&generator, (uint64_t)1 << 40), wide[i]);
    /* One possible value takes nothing from the stream. */
    assert_int_equal(ls_mt19937_bounded(&generator, 0), 0);
    assert_int_equal(ls_mt19937_bounded(&generator, 4), 4);
}

static void permutations_equal_numpy(void **state)
{
    (void)state;
    static const int64_t of_12[] = {7, 10, 2, 5, 0, 1, 11, 8, 3, 6, 9, 4}, of_5[] = {1, 3, 4, 0, 2};
    int64_t values[12];
    ls_mt19937 generator;
    ls_mt19937_seed(&generator, 7);
    ls_mt19937_permutation(&generator, 12, values);
    assert_memory_equal(values, of_12, sizeof of_12);
    ls_mt19937_permutation(&generator, 5, values);
    assert_memory_equal(values, of_5, sizeof of_5);
    ls_mt19937_permutation(&generator, 1, values);
    assert_int_equal(values[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integer_seeds_give_the_stream_of_random_state),
        cmocka_unit_test(uniform_numbers_equal_numpy),
        cmocka_unit_test(the_second_normal_of_a_pair_waits_for_the_next_call),
        cmocka_unit_test(bounded_integers_equal_randint),
        cmocka_unit_test(permutations_equal_numpy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
