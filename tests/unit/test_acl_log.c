/* SPDX-License-Identifier: MIT */
/*
 * What ACL LOG keeps.
 */
#include "server/command/acl_log.h"

#include "common/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define MAX 5

static void add(struct acl_log *log, const char *object, int64_t at_ms)
{
    const struct acl_log_entry entry = {.reason = DENIED_KEY,
                                        .object = slice_from_string(object),
                                        .user = SLICE("u"),
                                        .client = SLICE("id=1"),
                                        .at_ms = at_ms};

    acl_log_add(log, &entry, MAX);
}

static void begin(void *arg, size_t n)
{
    buf_printf(arg, "%zu:", n);
}

static void tell(void *arg, const struct acl_log_entry *entry)
{
    buf_printf(arg, " %.*s*%d", (int)entry->object.size, entry->object.data,
               (int)entry->count);
}

static void assert_told(struct acl_log *log, size_t n, const char *expected)
{
    struct buf text = {0};

    acl_log_tell(log, n, begin, tell, &text);
    assert_string_equal(buf_string(&text), expected);
    buf_destroy(&text);
}

static void test_the_newest_come_first_and_the_oldest_go(void **state)
{
    struct acl_log *log = acl_log_new();

    (void)state;
    assert_told(log, 10, "0:");
    for (int i = 0; i < 7; i++) {
        add(log, (const char[]){(char)('a' + i), '\0'}, i);
    }
    assert_told(log, 10, "5: g*1 f*1 e*1 d*1 c*1");
    assert_told(log, 2, "2: g*1 f*1");
    assert_told(log, 0, "0:");
    acl_log_reset(log);
    assert_told(log, 10, "0:");
    acl_log_free(log);
}

static void test_the_same_within_a_minute_is_counted(void **state)
{
    struct acl_log *log = acl_log_new();

    (void)state;
    add(log, "a", 0);
    add(log, "b", 1000);
    add(log, "a", 60000);
    assert_told(log, 10, "2: a*2 b*1");
    add(log, "a", 120000); /* A minute after the last. */
    assert_told(log, 10, "2: a*3 b*1");
    add(log, "a", 180001);
    assert_told(log, 10, "3: a*1 a*3 b*1");
    acl_log_free(log);
}

static void test_another_reason_user_or_context_is_another_entry(void **state)
{
    struct acl_log *log = acl_log_new();
    struct acl_log_entry entry = {.reason = DENIED_KEY,
                                  .object = SLICE("a"),
                                  .user = SLICE("u"),
                                  .client = SLICE("")};

    (void)state;
    acl_log_add(log, &entry, MAX);
    entry.reason = DENIED_CHANNEL;
    acl_log_add(log, &entry, MAX);
    entry.user = SLICE("v");
    acl_log_add(log, &entry, MAX);
    entry.in_multi = true;
    acl_log_add(log, &entry, MAX);
    assert_told(log, 10, "4: a*1 a*1 a*1 a*1");
    acl_log_add(log, &entry, 0);
    assert_told(log, 10, "0:");
    acl_log_free(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_newest_come_first_and_the_oldest_go),
        cmocka_unit_test(test_the_same_within_a_minute_is_counted),
        cmocka_unit_test(test_another_reason_user_or_context_is_another_entry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
