/* SPDX-License-Identifier: MIT */
/*
 * What a browser was made to send is not run.
 */
#include "tests/support/fake_client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void expect_closed(const char *const *words)
{
    struct fixture *f = fixture_new(NULL);
    struct fake_client *c = fake_client_new(f, 2);

    assert_string_equal(fake_client_take(c, fake_client_begin(c, words)), "");
    assert_true(c->client.close_after_reply);

    fake_client_free(c);
    fixture_free(f);
}

static void test_a_connection_that_speaks_http_is_closed(void **state)
{
    (void)state;
    expect_closed((const char *const[]){"POST", "/", "HTTP/1.1", NULL});
    expect_closed((const char *const[]){"Host:", "localhost:7379", NULL});
    expect_closed((const char *const[]){"host:", "localhost:7379", NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_connection_that_speaks_http_is_closed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
