/* SPDX-License-Identifier: MIT */
/* The request parser: every form, every refusal, every way to be cut up. */
#include "server/resp/parse.h"

#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const struct resp_limits usual = {
    .max_args = 1024 * 1024,
    .max_bulk_bytes = 512 << 20,
    .max_inline_bytes = 64 * 1024,
    .max_command_bytes = 1 << 30,
};

static const struct resp_limits narrow = {
    .max_args = 3,
    .max_bulk_bytes = 8,
    .max_inline_bytes = 16,
    .max_command_bytes = 40,
};

struct example {
    struct slice input;
    enum resp_status status;
    /* The arguments, each in <>; or the error. */
    const char *text;
};

#define IN(literal)                                    \
    {                                                  \
        .data = (literal), .size = sizeof(literal) - 1 \
    }

/* What a whole input means.  The texts and the quoting are those of
 * redis-server 7.0. */
static const struct example examples[] = {
    /* Multibulk. */
    {IN("*1\r\n$4\r\nPING\r\n"), RESP_COMMAND, "<PING>"},
    {IN("*2\r\n$3\r\nGET\r\n$6\r\nbook:3\r\n"), RESP_COMMAND, "<GET><book:3>"},
    {IN("*2\r\n$0\r\n\r\n$2\r\n\r\n\r\n"), RESP_COMMAND, "<><\r\n>"},
    {IN("*1\r\n$1\r\nAxx"), RESP_COMMAND, "<A>"},
    {IN("*0\r\n"), RESP_NOTHING, ""},
    {IN("*-1\r\n"), RESP_NOTHING, ""},
    {IN("*-9223372036854775808\r\n"), RESP_NOTHING, ""},
    /* Inline. */
    {IN("PING\r\n"), RESP_COMMAND, "<PING>"},
    {IN("PING\n"), RESP_COMMAND, "<PING>"},
    {IN("\r\n"), RESP_NOTHING, ""},
    {IN("\n"), RESP_NOTHING, ""},
    {IN("  \t \r\n"), RESP_NOTHING, ""},
    {IN("  GET \t book:3  \r\n"), RESP_COMMAND, "<GET><book:3>"},
    {IN("a\rb\n"), RESP_COMMAND, "<a><b>"},
    {IN("a\vb \vc\n"), RESP_COMMAND, "<a\vb><c>"},
    {IN("a\0b\n"), RESP_COMMAND, "<a>"},
    {IN("SET \"a b\" 'c d'\n"), RESP_COMMAND, "<SET><a b><c d>"},
    {IN("\"\" ''\n"), RESP_COMMAND, "<><>"},
    {IN("pre\"quoted\" x\n"), RESP_COMMAND, "<prequoted><x>"},
    {IN("\"\\n\\r\\t\\b\\a\\\\\\\"\\q\"\n"), RESP_COMMAND, "<\n\r\t\b\a\\\"q>"},
    {IN("\"\\x41\\xfF\\xg1\\x4\"\n"), RESP_COMMAND, "<A\xffxg1x4>"},
    {IN("'\\n\\'\\ '\n"), RESP_COMMAND, "<\\n'\\ >"},
    {IN("'\\\\'\n"), RESP_ERROR,
     "Protocol error: unbalanced quotes in request"},
    {IN("a\\nb\n"), RESP_COMMAND, "<a\\nb>"},
    {IN("it's'\n"), RESP_COMMAND, "<its>"},
    /* Not whole yet. */
    {IN(""), RESP_INCOMPLETE, ""},
    {IN("*"), RESP_INCOMPLETE, ""},
    {IN("*1"), RESP_INCOMPLETE, ""},
    {IN("*1\r"), RESP_INCOMPLETE, ""},
    {IN("*x"), RESP_INCOMPLETE, ""},
    {IN("*1\r\nPING"), RESP_INCOMPLETE, ""},
    {IN("*1\r\n$4\r\nPING\r"), RESP_INCOMPLETE, ""},
    {IN("*1048576\r\n"), RESP_INCOMPLETE, ""},
    {IN("*1\r\n$536870912\r\n"), RESP_INCOMPLETE, ""},
    {IN("PING\r"), RESP_INCOMPLETE, ""},
    /* Refused. */
    {IN("*\r\n"), RESP_ERROR, "Protocol error: invalid multibulk length"},
    {IN("*x\r\n"), RESP_ERROR, "Protocol error: invalid multibulk length"},
    {IN("*01\r\n"), RESP_ERROR, "Protocol error: invalid multibulk length"},
    {IN("*+1\r\n"), RESP_ERROR, "Protocol error: invalid multibulk length"},
    {IN("* 1\r\n"), RESP_ERROR, "Protocol error: invalid multibulk length"},
    {IN("*1048577\r\n"), RESP_ERROR,
     "Protocol error: invalid multibulk length"},
    {IN("*9223372036854775808\r\n"), RESP_ERROR,
     "Protocol error: invalid multibulk length"},
    {IN("*1\r\n$\r\n"), RESP_ERROR, "Protocol error: invalid bulk length"},
    {IN("*1\r\n$-1\r\n"), RESP_ERROR, "Protocol error: invalid bulk length"},
    {IN("*1\r\n$1x\r\n"), RESP_ERROR, "Protocol error: invalid bulk length"},
    {IN("*1\r\n$536870913\r\n"), RESP_ERROR,
     "Protocol error: invalid bulk length"},
    {IN("*1\r\n$99999999999999999999\r\n"), RESP_ERROR,
     "Protocol error: invalid bulk length"},
    {IN("*1\r\nPING\r\n"), RESP_ERROR, "Protocol error: expected '$', got 'P'"},
    {IN("*1\r\n\r\n"), RESP_ERROR, "Protocol error: expected '$', got ' '"},
    {IN("*1\r\n\n\r\n"), RESP_ERROR, "Protocol error: expected '$', got ' '"},
    {IN("*2\r\n$1\r\na\r\n:1\r\n"), RESP_ERROR,
     "Protocol error: expected '$', got ':'"},
    {IN("GET \"a\n"), RESP_ERROR,
     "Protocol error: unbalanced quotes in request"},
    {IN("GET 'a\n"), RESP_ERROR,
     "Protocol error: unbalanced quotes in request"},
    {IN("GET \"a\"b\n"), RESP_ERROR,
     "Protocol error: unbalanced quotes in request"},
    {IN("GET 'a'b\n"), RESP_ERROR,
     "Protocol error: unbalanced quotes in request"},
    {IN("\"\\\n"), RESP_ERROR, "Protocol error: unbalanced quotes in request"},
};

/* The same under the narrow limits. */
static const struct example limited[] = {
    {IN("*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n"), RESP_COMMAND, "<a><b><c>"},
    {IN("*4\r\n"), RESP_ERROR, "Protocol error: invalid multibulk length"},
    {IN("*1\r\n$8\r\n12345678\r\n"), RESP_COMMAND, "<12345678>"},
    {IN("*1\r\n$9\r\n"), RESP_ERROR, "Protocol error: invalid bulk length"},
    {IN("*3\r\n$8\r\n12345678\r\n$8\r\n12345678\r\n$8\r\n"), RESP_ERROR,
     "Protocol error: too big request"},
    {IN("*111111111111111"), RESP_INCOMPLETE, ""},
    {IN("*1111111111111111"), RESP_ERROR,
     "Protocol error: too big mbulk count string"},
    {IN("*1\r\n$1111111111111111"), RESP_ERROR,
     "Protocol error: too big bulk count string"},
    {IN("1234567890123456"), RESP_INCOMPLETE, ""},
    {IN("12345678901234567"), RESP_ERROR,
     "Protocol error: too big inline request"},
};

static void show(const struct resp_parser *p, enum resp_status status,
                 struct buf *out)
{
    if (status == RESP_ERROR) {
        buf_append_string(out, p->error);
    }
    for (size_t i = 0; status == RESP_COMMAND && i < p->argc; i++) {
        buf_append_char(out, '<');
        buf_append_slice(out, p->argv[i]);
        buf_append_char(out, '>');
    }
}

/* Gives the parser the input 'step' bytes at a time, each time in memory of
 * exactly that size somewhere else, so that a sanitizer sees a stray look. */
static enum resp_status parse_in_steps(struct resp_parser *p,
                                       const struct resp_limits *limits,
                                       struct slice input, size_t step,
                                       struct buf *out)
{
    enum resp_status status = RESP_INCOMPLETE;
    size_t size = 0;
    do {
        size = input.size - size < step ? input.size : size + step;
        char *copy = xmalloc(size > 0 ? size : 1);
        memcpy(copy, input.data, size);
        status = resp_parse(p, limits, slice_make(copy, size));
        if (status != RESP_INCOMPLETE) {
            show(p, status, out);
        }
        free(copy);
    } while (status == RESP_INCOMPLETE && size < input.size);
    return status;
}

static void check(const struct example *example,
                  const struct resp_limits *limits)
{
    for (size_t step = 1; step <= example->input.size + 1; step++) {
        struct resp_parser parser;
        struct buf shown = {0};
        resp_parser_init(&parser);

        enum resp_status status =
            parse_in_steps(&parser, limits, example->input, step, &shown);

        if (status != example->status ||
            strcmp(buf_string(&shown), example->text) != 0) {
            fail_msg("%.*s in steps of %zu: status %d, %s",
                     (int)example->input.size, example->input.data, step,
                     status, buf_string(&shown));
        }
        buf_destroy(&shown);
        resp_parser_destroy(&parser);
    }
}

static void test_inputs_mean_the_same_however_they_are_cut(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(examples); i++) {
        check(&examples[i], &usual);
    }
}

static void test_limits_are_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(limited); i++) {
        check(&limited[i], &narrow);
    }
}

static void test_commands_follow_each_other(void **state)
{
    (void)state;
    const struct slice input =
        SLICE("*1\r\n$1\r\na\r\nb c\r\n*0\r\n\r\n*1\r\n$1\r\nd\r\n*1\r\n$1");
    static const char *const expected[] = {"<a>", "<b><c>", "", "", "<d>"};
    struct resp_parser parser;
    struct buf shown = {0};
    resp_parser_init(&parser);

    size_t used = 0;
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        buf_clear(&shown);
        enum resp_status status = resp_parse(
            &parser, &usual, slice_make(input.data + used, input.size - used));
        show(&parser, status, &shown);
        assert_string_equal(buf_string(&shown), expected[i]);
        used += parser.used_bytes;
    }
    assert_int_equal(
        resp_parse(&parser, &usual,
                   slice_make(input.data + used, input.size - used)),
        RESP_INCOMPLETE);

    buf_destroy(&shown);
    resp_parser_destroy(&parser);
}

static void test_a_command_can_be_read_again(void **state)
{
    (void)state;
    const struct slice input = SLICE("*2\r\n$1\r\na\r\n$2\r\nbc\r\n");
    struct resp_parser parser;
    resp_parser_init(&parser);

    for (int i = 0; i < 2; i++) {
        assert_int_equal(resp_parse(&parser, &usual, input), RESP_COMMAND);
        assert_int_equal(parser.argc, 2);
        assert_int_equal(parser.used_bytes, input.size);
        assert_ptr_equal(parser.argv[1].data, input.data + 15);
    }

    resp_parser_destroy(&parser);
}

static void test_announced_arguments_cost_no_memory(void **state)
{
    (void)state;
    struct resp_parser parser;
    resp_parser_init(&parser);

    assert_int_equal(
        resp_parse(&parser, &usual, SLICE("*1048576\r\n$1\r\na\r\n")),
        RESP_INCOMPLETE);

    assert_true(parser.argv_capacity <= 8);
    resp_parser_destroy(&parser);
}

static void test_many_arguments_are_given_back(void **state)
{
    (void)state;
    struct buf input = {0};
    buf_append_string(&input, "*5000\r\n");
    for (int i = 0; i < 5000; i++) {
        buf_append_string(&input, "$1\r\nx\r\n");
    }
    struct resp_parser parser;
    resp_parser_init(&parser);

    assert_int_equal(resp_parse(&parser, &usual, buf_slice(&input)),
                     RESP_COMMAND);
    assert_int_equal(parser.argc, 5000);
    assert_int_equal(resp_parse(&parser, &usual, SLICE("PING\r\n")),
                     RESP_COMMAND);

    assert_true(parser.argv_capacity < 5000);
    buf_destroy(&input);
    resp_parser_destroy(&parser);
}

static void test_exhausted_memory_is_an_error(void **state)
{
    (void)state;
    struct resp_parser parser;
    resp_parser_init(&parser);

    mem_fail_nth(1);
    assert_int_equal(resp_parse(&parser, &usual, SLICE("*1\r\n$1\r\na\r\n")),
                     RESP_ERROR);

    mem_fail_nth(0);
    assert_string_equal(parser.error, "Protocol error: out of memory");
    resp_parser_destroy(&parser);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inputs_mean_the_same_however_they_are_cut),
        cmocka_unit_test(test_limits_are_kept),
        cmocka_unit_test(test_commands_follow_each_other),
        cmocka_unit_test(test_a_command_can_be_read_again),
        cmocka_unit_test(test_announced_arguments_cost_no_memory),
        cmocka_unit_test(test_many_arguments_are_given_back),
        cmocka_unit_test(test_exhausted_memory_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
