/* SPDX-License-Identifier: MIT */
/*
 * The hash of keys: known answers, and a secret that stays the same.
 */
#include "common/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/attr.h"

/* The key 00 01 … 0f of the reference vectors, as two words. */
#define K0 UINT64_C(0x0706050403020100)
#define K1 UINT64_C(0x0f0e0d0c0b0a0908)

/* Inputs are the bytes 00 01 02 …; the answers are those of SipHash-1-3 in the
 * standard library of Rust. */
static void test_known_answers_under_the_reference_key(void **state)
{
    static const uint64_t answers[] = {
        UINT64_C(0xabac0158050fc4dc),
        UINT64_C(0xc9f49bf37d57ca93),
        UINT64_C(0x82cb9b024dc7d44d),
        UINT64_C(0x8bf80ab8e7ddf7fb),
    };
    char bytes[8];
    (void)state;

    for (size_t size = 0; size < ARRAY_LEN(answers); size++) {
        bytes[size] = (char)size;
        assert_true(hash_bytes_keyed(slice_make(bytes, size), K0, K1) ==
                    answers[size]);
    }
}

/* What CPython 3.11 computes as hash(bytes) with PYTHONHASHSEED=0; lengths on
 * both sides of a whole word. */
static void test_known_answers_under_the_zero_key(void **state)
{
    static const struct {
        const char *text;
        int64_t answer;
    } cases[] = {
        {"a", INT64_C(4644417185603328019)},
        {"book:3", INT64_C(5012465081385436264)},
        {"book:42", INT64_C(-345227924587361691)},
        {"book:100", INT64_C(-2393146132266407616)},
        {"book:1000", INT64_C(-8836719652239140019)},
        {"the key of a record", INT64_C(-7010328857761928145)},
        {"0123456789abcdef", INT64_C(2108444454683020324)},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct slice text = slice_from_string(cases[i].text);

        assert_true((int64_t)hash_bytes_keyed(text, 0, 0) == cases[i].answer);
    }
}

static void test_every_byte_and_the_length_count(void **state)
{
    char zeros[64] = {0};
    uint64_t seen[ARRAY_LEN(zeros) * 2];
    size_t n_seen = 0;
    (void)state;

    for (size_t size = 0; size < sizeof(zeros); size++) {
        seen[n_seen++] = hash_bytes_keyed(slice_make(zeros, size), K0, K1);
    }
    for (size_t i = 0; i < sizeof(zeros); i++) {
        zeros[i] = 1;
        seen[n_seen++] = hash_bytes_keyed(slice_make(zeros, 64), K0, K1);
        zeros[i] = 0;
    }

    for (size_t i = 0; i < n_seen; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_true(seen[i] != seen[j]);
        }
    }
}

static void test_the_secret_is_drawn_once_and_kept(void **state)
{
    (void)state;

    hash_init();
    const uint64_t once = hash_bytes(SLICE("book:3"));
    const uint64_t again = hash_bytes(SLICE("book:3"));
    hash_init();
    const uint64_t other_secret = hash_bytes(SLICE("book:3"));

    assert_true(once == again);
    assert_true(once != other_secret);
    assert_true(once != hash_bytes_keyed(SLICE("book:3"), 0, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers_under_the_reference_key),
        cmocka_unit_test(test_known_answers_under_the_zero_key),
        cmocka_unit_test(test_every_byte_and_the_length_count),
        cmocka_unit_test(test_the_secret_is_drawn_once_and_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
