/* SPDX-License-Identifier: MIT */
/*
 * Digests of passwords.
 */
#include "server/admin/digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

/* Source: FIPS 180-2, appendix B. */
static const struct {
    const char *text;
    const char *digest;
} examples[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void test_digests_are_those_of_the_standard(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        char digest[DIGEST_LEN];
        digest_of(slice_from_string(examples[i].text), digest);
        assert_memory_equal(digest, examples[i].digest, DIGEST_LEN);
        assert_true(digest_is_valid(slice_make(digest, DIGEST_LEN)));
    }
}

static void test_what_is_no_digest_is_seen(void **state)
{
    char text[DIGEST_LEN];

    (void)state;
    memcpy(text, examples[1].digest, DIGEST_LEN);
    assert_false(digest_is_valid(slice_make(text, DIGEST_LEN - 1)));
    for (size_t i = 0; i < 5; i++) {
        text[20] = "AFg/\0"[i];
        assert_false(digest_is_valid(slice_make(text, DIGEST_LEN)));
    }
}

static void test_one_character_makes_a_difference(void **state)
{
    char text[DIGEST_LEN];

    (void)state;
    memcpy(text, examples[1].digest, DIGEST_LEN);
    assert_true(digest_equal(text, examples[1].digest));
    for (size_t i = 0; i < DIGEST_LEN; i++) {
        text[i] ^= 1;
        assert_false(digest_equal(text, examples[1].digest));
        text[i] ^= 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digests_are_those_of_the_standard),
        cmocka_unit_test(test_what_is_no_digest_is_seen),
        cmocka_unit_test(test_one_character_makes_a_difference),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
