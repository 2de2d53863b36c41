/* SPDX-License-Identifier: MIT */
/*
 * The texts for people name everything that the tables do, and fit.
 */
#include "server/manual.h"

#include "server/admin/config.h"
#include "server/admin/stats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

/* A '-' that is to be typed is written "\\-" in a manual page. */
static void append_typed(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        buf_append_string(out, *text == '-' ? "\\" : "");
        buf_append_char(out, *text);
    }
}

static void test_every_directive_is_in_the_help_and_the_manual(void **state)
{
    struct buf help = {0};
    struct buf manual = {0};

    (void)state;
    manual_help(&help);
    manual_config(&manual);

    for (size_t id = 0; id < CONFIG_COUNT; id++) {
        assert_non_null(strstr(buf_string(&help), config_directives[id].name));
        struct buf item = {0};
        buf_append_string(&item, ".It Ic ");
        append_typed(&item, config_directives[id].name);
        assert_non_null(strstr(buf_string(&manual), buf_string(&item)));
        buf_destroy(&item);
    }
    buf_destroy(&help);
    buf_destroy(&manual);
}

static void test_every_counter_is_in_the_table(void **state)
{
    struct buf table = {0};

    (void)state;
    manual_counters(&table);

    for (size_t id = 0; id < STATS_COUNT; id++) {
        assert_non_null(strstr(buf_string(&table), stats_counters[id].summary));
    }
    buf_destroy(&table);
}

static void test_help_fits_a_terminal(void **state)
{
    struct buf help = {0};

    (void)state;
    manual_help(&help);

    for (const char *line = buf_string(&help); *line != '\0';) {
        const size_t size = strcspn(line, "\n");
        assert_in_range(size, 0, 80);
        line += size + (line[size] == '\n');
    }
    buf_destroy(&help);
}

/* In mdoc a line that begins with a dot is a request; text that does would be
 * taken for one. */
static void test_manual_pages_have_only_known_requests(void **state)
{
    static const char known[] = " Dd Dt Os Sh Ss Nm Nd Op Ar Fl Ic Pp Bl It El "
                                "Dl Bd Ed Sy Sq Dq Dv Ev Xr "
                                "Ql Li Em Cm Pa No Ns \\\" ";
    struct buf page = {0};

    (void)state;
    manual_bookd(&page);
    manual_config(&page);

    for (const char *line = buf_string(&page); *line != '\0';) {
        const size_t size = strcspn(line, "\n");
        if (line[0] == '.') {
            const char request[] = {' ', line[1], line[2], ' ', '\0'};
            assert_non_null(strstr(known, request));
        }
        line += size + (line[size] == '\n');
    }
    buf_destroy(&page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_directive_is_in_the_help_and_the_manual),
        cmocka_unit_test(test_every_counter_is_in_the_table),
        cmocka_unit_test(test_help_fits_a_terminal),
        cmocka_unit_test(test_manual_pages_have_only_known_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
