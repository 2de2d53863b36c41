/* SPDX-License-Identifier: MIT */
/*
 * Many keys in one command: its memory is bounded, whatever it names.
 */
#include "server/command/read.h"

#include "common/mem.h"
#include "tests/support/fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define VALUE_BYTES ((size_t)16 << 20)
#define TWICE(x) x, x
#define SIXTEEN_TIMES(x) TWICE(TWICE(TWICE(TWICE(x))))

/* A client of a cache that holds the large value of "k". */
static int set_up(void **state)
{
    static const char *const directives[] = {"plain-writes none",
                                             "maxmemory 64mb", NULL};
    struct fixture *f = fixture_new(directives);
    struct fake_client *c = fake_client_new(f, 2);
    char *value = xmalloc(VALUE_BYTES + 1);

    memset(value, 'x', VALUE_BYTES);
    value[VALUE_BYTES] = '\0';
    assert_string_equal(CALL(c, "SET", "k", value), "+OK\r\n");
    free(value);
    *state = c;
    return 0;
}

static int tear_down(void **state)
{
    struct fake_client *c = *state;
    struct fixture *f = c->f;

    fake_client_free(c);
    fixture_free(f);
    return 0;
}

static void test_values_that_are_too_much_are_refused(void **state)
{
    struct fake_client *c = *state;

    assert_string_equal(CALL(c, "MGET", SIXTEEN_TIMES("k"), "k"),
                        "-ERR the value is larger than the server accepts: ask "
                        "for fewer keys at once\r\n");
    assert_memory_equal(CALL(c, "MGET", "k", "none"), "*2\r\n$16777216\r\nxx",
                        17);
}

static void test_keys_are_counted_however_large_their_values(void **state)
{
    assert_string_equal(CALL(*state, "EXISTS", SIXTEEN_TIMES("k"), "k", "none"),
                        ":17\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_that_are_too_much_are_refused),
        cmocka_unit_test(test_keys_are_counted_however_large_their_values),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
