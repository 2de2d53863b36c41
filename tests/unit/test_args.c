/* SPDX-License-Identifier: MIT */
/*
 * bookctl's command line, durations, addresses, and "did you mean".
 */
#include "client/args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/nearest.h"

#define WORDS_MAX 12

/* Reads the command line 'words', which ends in NULL; 'bookctl' in front of it
 * is added. */
static enum err parse(struct args *args, struct buf *why,
                      const char *const *words)
{
    static const char *argv[WORDS_MAX + 1];
    int argc = 0;

    argv[argc++] = "bookctl";
    while (*words != NULL) {
        argv[argc++] = *words++;
    }
    buf_clear(why);
    return args_parse(args, argc, argv, why);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_without_options_there_are_defaults(void **state)
{
    struct args args;
    struct buf why = {0};
    (void)state;

    assert_int_equal(parse(&args, &why, WORDS("demo")), ERR_OK);

    assert_ptr_equal(args.subcommand, &subcommands[SUBCOMMAND_demo]);
    assert_string_equal(args.options.host, "127.0.0.1");
    assert_int_equal(args.options.port, 7379);
    assert_int_equal(args.options.timeout_us, 10000000);
    assert_int_equal(args.options.ids, 10);
    assert_int_equal(args.options.color, ARGS_COLOR_AUTO);
    assert_false(args.options.json);
    assert_false(args.given[OPTION_ids]);
    args_destroy(&args);
    buf_destroy(&why);
}

static void test_options_may_stand_anywhere(void **state)
{
    static const char *const lines[][8] = {
        {"--limit", "5", "-H", "db", "--json", "list"},
        {"list", "--limit=5", "-Hdb", "--json"},
        {"-H", "db", "list", "-n5", "--json"},
        {"--json", "list", "--host", "db", "-n", "5"}};
    struct buf why = {0};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct args args;

        assert_int_equal(parse(&args, &why, lines[i]), ERR_OK);

        assert_string_equal(args.options.host, "db");
        assert_int_equal(args.options.limit, 5);
        assert_true(args.given[OPTION_limit]);
        assert_true(args.options.json);
        assert_int_equal(args.n_words, 0);
        args_destroy(&args);
    }
    buf_destroy(&why);
}

static void test_arguments_keep_their_order(void **state)
{
    struct args args;
    struct buf why = {0};
    (void)state;

    assert_int_equal(
        parse(&args, &why, WORDS("get", "1", "--json", "--", "-2", "--csv")),
        ERR_OK);

    assert_int_equal(args.n_words, 3);
    assert_string_equal(args.words[0], "1");
    assert_string_equal(args.words[1], "-2");
    assert_string_equal(args.words[2], "--csv");
    assert_false(args.options.csv);
    args_destroy(&args);
    buf_destroy(&why);
}

static void test_everything_behind_a_raw_command_belongs_to_it(void **state)
{
    struct args args;
    struct buf why = {0};
    (void)state;

    assert_int_equal(
        parse(&args, &why, WORDS("raw", "--json", "SET", "k", "--csv", "-x")),
        ERR_OK);

    assert_true(args.options.json);
    assert_int_equal(args.n_words, 4);
    assert_string_equal(args.words[2], "--csv");
    args_destroy(&args);
    buf_destroy(&why);
}

static void test_a_list_takes_an_option_many_times(void **state)
{
    struct args args;
    struct buf why = {0};
    (void)state;

    assert_int_equal(
        parse(&args, &why, WORDS("import", "-", "--map", "id=x", "-mtitle=y")),
        ERR_OK);

    assert_int_equal(args.options.map.count, 2);
    assert_string_equal(args.options.map.items[1], "title=y");
    args_destroy(&args);
    buf_destroy(&why);
}

static void test_wrong_lines_are_refused_with_a_reason(void **state)
{
    static const struct {
        const char *words[6];
        const char *reason; /* Must be in the message. */
    } cases[] = {
        {{NULL}, "a command is missing"},
        {{"stauts"}, "did you mean stat?"},
        {{"xyzzy"}, "there is no command xyzzy"},
        {{"get", "1", "--jsn"}, "did you mean --json?"},
        {{"get", "1", "-x"}, "there is no option -x"},
        {{"get", "-5"}, "behind --"},
        {{"get"}, "get wants ID..."},
        {{"get", "1", "--limit", "3"}, "no meaning with get"},
        {{"rm", "1", "--json"}, "no meaning with rm"},
        {{"list", "5"}, "does not know what to do with 5"},
        {{"list", "--limit"}, "--limit wants its N"},
        {{"list", "--limit", "x"}, "a whole number"},
        {{"list", "--limit", "-1"}, "a whole number"},
        {{"list", "--json=yes"}, "takes no value"},
        {{"list", "--json", "--csv"}, "exclude each other"},
        {{"ping", "--wait", "5"}, "with its unit"},
        {{"ping", "--color", "pink"}, "auto|always|never"},
    };
    struct buf why = {0};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct args args;

        assert_int_equal(parse(&args, &why, cases[i].words), ERR_INVALID);

        if (strstr(buf_string(&why), cases[i].reason) == NULL) {
            fail_msg("'%s' does not say '%s'", buf_string(&why),
                     cases[i].reason);
        }
        args_destroy(&args);
    }
    buf_destroy(&why);
}

static void test_help_asks_for_nothing_else(void **state)
{
    struct args args;
    struct buf why = {0};
    (void)state;

    assert_int_equal(parse(&args, &why, WORDS("get", "--help")), ERR_OK);

    assert_true(args.options.help);
    args_destroy(&args);
    buf_destroy(&why);
}

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        int64_t us; /* -1: refused. */
    } cases[] = {
        {"0", 0},
        {"0s", 0},
        {"250us", 250},
        {"100ms", 100000},
        {"5s", 5000000},
        {"1m", 60000000},
        {"1h", 3600000000},
        {"1d", 86400000000},
        {"", -1},
        {"5", -1},
        {"s", -1},
        {"5 s", -1},
        {"-5s", -1},
        {"1.5s", -1},
        {"5sec", -1},
        {"9999999999999999d", -1},
        {"99999999999999999999s", -1},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t us = -1;
        const bool ok = args_duration(cases[i].text, &us);

        assert_int_equal(ok ? us : -1, cases[i].us);
    }
}

/* ---- addresses ---- */

static void describe(const struct target *target, struct buf *out)
{
    buf_clear(out);
    target_describe(target, out);
    buf_printf(out, " %s %s %d", target->user != NULL ? target->user : "-",
               target->password != NULL ? target->password : "-", target->db);
}

static void test_addresses(void **state)
{
    static const struct {
        const char *uri;
        const char *expected; /* place, user, password, database. */
    } cases[] = {
        {"redis://", "127.0.0.1:7379 - - 0"},
        {"redis://db", "db:7379 - - 0"},
        {"redis://db:1234", "db:1234 - - 0"},
        {"redis://db:1234/", "db:1234 - - 0"},
        {"redis://db/7", "db:7379 - - 7"},
        {"redis://:8000", "127.0.0.1:8000 - - 0"},
        {"redis://[::1]:8000/2", "[::1]:8000 - - 2"},
        {"redis://[::1]", "[::1]:7379 - - 0"},
        {"redis://:secret@db", "db:7379 - secret 0"},
        {"redis://ann:secret@db", "db:7379 ann secret 0"},
        {"redis://ann:p%40ss%3a@db", "db:7379 ann p@ss: 0"},
        {"redis://ann:p@ss@db", "db:7379 ann p@ss 0"},
        {"unix:///run/bookd.sock", "/run/bookd.sock - - 0"},
    };
    struct buf out = {0};
    struct buf why = {0};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct target target;
        target_init(&target);

        assert_int_equal(target_parse(&target, cases[i].uri, &why), ERR_OK);

        describe(&target, &out);
        assert_string_equal(buf_string(&out), cases[i].expected);
        target_destroy(&target);
    }
    buf_destroy(&out);
    buf_destroy(&why);
}

static void test_wrong_addresses_leave_the_target_alone(void **state)
{
    static const char *const uris[] = {"",
                                       "db",
                                       "http://db",
                                       "rediss://db",
                                       "redis://db:0",
                                       "redis://db:99999",
                                       "redis://db:x",
                                       "redis://db/x",
                                       "redis://[::1",
                                       "redis://[::1]x",
                                       "redis://a:%zz@db",
                                       "redis://a%2@db",
                                       "redis://a:%00@db",
                                       "unix://"};
    struct target target;
    struct buf out = {0};
    struct buf why = {0};
    (void)state;

    target_init(&target);
    for (size_t i = 0; i < ARRAY_LEN(uris); i++) {
        buf_clear(&why);
        assert_int_equal(target_parse(&target, uris[i], &why), ERR_INVALID);
        assert_true(why.size > 0);
    }
    describe(&target, &out);
    assert_string_equal(buf_string(&out), "127.0.0.1:7379 - - 0");
    target_destroy(&target);
    buf_destroy(&out);
    buf_destroy(&why);
}

static void test_options_win_over_the_environment(void **state)
{
    static const struct {
        const char *words[6];
        const char *env;
        const char *expected; /* NULL: refused. */
    } cases[] = {
        {{"ping"}, NULL, "127.0.0.1:7379 - - 0"},
        {{"ping"}, "", "127.0.0.1:7379 - - 0"},
        {{"ping"}, "redis://:pw@env:1", "env:1 - pw 0"},
        {{"ping", "-p", "2"}, "redis://:pw@env:1", "env:2 - pw 0"},
        {{"ping", "-H", "x"}, "redis://:pw@env:1/3", "x:1 - pw 3"},
        {{"ping", "-u", "redis://u"}, "redis://:pw@env:1", "u:7379 - - 0"},
        {{"ping", "-s", "/s"}, "redis://:pw@env:1", "/s - pw 0"},
        {{"ping", "-p", "2"}, "unix:///s", "127.0.0.1:2 - - 0"},
        {{"ping"}, "nonsense", NULL},
        {{"ping", "-s", "/s", "-p", "2"}, NULL, NULL},
        {{"ping", "-p", "0"}, NULL, NULL},
        {{"ping", "-p", "65536"}, NULL, NULL},
    };
    struct buf out = {0};
    struct buf why = {0};
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct args args;
        struct target target;
        assert_int_equal(parse(&args, &why, cases[i].words), ERR_OK);

        const enum err err = args_target(&args, cases[i].env, &target, &why);

        if (cases[i].expected == NULL) {
            assert_int_equal(err, ERR_INVALID);
            assert_true(why.size > 0);
        } else {
            assert_int_equal(err, ERR_OK);
            describe(&target, &out);
            assert_string_equal(buf_string(&out), cases[i].expected);
            target_destroy(&target);
        }
        args_destroy(&args);
    }
    buf_destroy(&out);
    buf_destroy(&why);
}

static void test_the_nearest_name(void **state)
{
    static const char *const names[] = {"get", "set", "stat", "export",
                                        "import"};
    static const struct {
        const char *word;
        const char *nearest; /* NULL: none is near. */
    } cases[] = {
        {"gte", "get"},
        {"exprot", "export"},
        {"improt", "import"},
        {"exp", "export"},
        {"status", "stat"},
        {"zzz", NULL},
        {"expooort", "export"},
        {"", NULL},
        {"x", NULL},
        {"a word that is longer than any name of ours", NULL},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *nearest =
            nearest_name(cases[i].word, names, ARRAY_LEN(names));

        if (cases[i].nearest == NULL) {
            assert_null(nearest);
        } else {
            assert_non_null(nearest);
            assert_string_equal(nearest, cases[i].nearest);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_options_there_are_defaults),
        cmocka_unit_test(test_options_may_stand_anywhere),
        cmocka_unit_test(test_arguments_keep_their_order),
        cmocka_unit_test(test_everything_behind_a_raw_command_belongs_to_it),
        cmocka_unit_test(test_a_list_takes_an_option_many_times),
        cmocka_unit_test(test_wrong_lines_are_refused_with_a_reason),
        cmocka_unit_test(test_help_asks_for_nothing_else),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_wrong_addresses_leave_the_target_alone),
        cmocka_unit_test(test_options_win_over_the_environment),
        cmocka_unit_test(test_the_nearest_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
