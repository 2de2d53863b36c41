/* SPDX-License-Identifier: MIT */
/*
 * Figures about memory: they move with what is allocated.
 */
#include "server/admin/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/mem.h"

#define BLOCK ((size_t)32 << 20)

static void test_figures_grow_with_what_is_allocated(void **state)
{
    (void)state;
    const size_t used = memory_used_bytes();
    const size_t rss = memory_rss_bytes();

    char *block = xmalloc(BLOCK);
    memset(block, 1, BLOCK);

    assert_true(memory_rss_bytes() >= rss + BLOCK / 2);
    if (used > 0) { /* A sanitizer's allocator does not say. */
        assert_true(memory_used_bytes() >= used + BLOCK);
    }
    free(block);
}

static void test_the_peak_stays(void **state)
{
    (void)state;
    char *block = xmalloc(BLOCK);
    memset(block, 1, BLOCK);
    const size_t at_peak = memory_rss_bytes();

    free(block);

    /* The kernel counts pages in batches of a thread, so roughly. */
    assert_true(memory_peak_bytes() >= at_peak - BLOCK / 2);
    assert_true(memory_peak_bytes() <= memory_system_bytes());
}

static void test_the_allocator_has_a_name_and_a_version(void **state)
{
    (void)state;

    assert_non_null(strchr(memory_allocator(), '-'));
    assert_non_null(strchr(memory_allocator(), '.'));
}

static void test_fragmentation_is_a_ratio_or_unknown(void **state)
{
    (void)state;
    const double ratio = memory_fragmentation();

    assert_true(ratio >= 0);
    assert_true(ratio == 0 || memory_used_bytes() > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_figures_grow_with_what_is_allocated),
        cmocka_unit_test(test_the_peak_stays),
        cmocka_unit_test(test_the_allocator_has_a_name_and_a_version),
        cmocka_unit_test(test_fragmentation_is_a_ratio_or_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
