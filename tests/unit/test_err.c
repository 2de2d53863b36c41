/* SPDX-License-Identifier: MIT */
/*
 * Errors: each has words of its own.
 */
#include "common/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_success_is_zero(void **state)
{
    (void)state;

    assert_int_equal(ERR_OK, 0);
}

static void test_every_error_has_words_of_its_own(void **state)
{
    (void)state;

    for (int i = 0; i < ERR_COUNT; i++) {
        assert_true(strlen(err_str((enum err)i)) > 0);
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(err_str((enum err)i), err_str((enum err)j));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_success_is_zero),
        cmocka_unit_test(test_every_error_has_words_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
