/* SPDX-License-Identifier: MIT */
/*
 * Users: rules in, verdicts and descriptions out.
 */
#include "server/command/user.h"

#include "common/mem.h"
#include "server/command/user_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#define WORDS_MAX 16

/* The words of 'text', which has ';' between them. */
static size_t split(const char *text, struct slice *words)
{
    size_t n = 0;

    while (*text != '\0') {
        const size_t size = strcspn(text, ";");
        assert_true(n < WORDS_MAX);
        words[n++] = slice_make(text, size);
        text += size + (text[size] != '\0');
    }
    return n;
}

/* A user of these rules, which are right. */
static struct user *make(const char *rules)
{
    struct slice words[WORDS_MAX];
    struct rule_failure failure = {0};
    struct user *user = user_new(SLICE("u"), 7, false);

    assert_non_null(user);
    assert_true(user_change(user, words, split(rules, words), false, &failure));
    return user;
}

static enum verdict judge(const struct user *user, const char *command,
                          size_t *place)
{
    struct slice words[WORDS_MAX];
    struct request request = {.argv = words, .argc = split(command, words)};

    request.command = command_of_words(words, request.argc);
    assert_non_null(request.command);
    return user_judge(user, &request, place);
}

static const struct {
    const char *rules;
    const char *command;
    enum verdict verdict;
    size_t place;
} verdicts[] = {
    {"", "GET;a", VERDICT_NO_COMMAND, 0},
    {"", "AUTH;x", VERDICT_ALLOWED, 0},
    {"+get", "GET;a", VERDICT_NO_KEY, 1},
    {"+get;~a", "GET;a", VERDICT_ALLOWED, 0},
    {"+GET;~a", "get;a", VERDICT_ALLOWED, 0},
    {"+get;~a*", "GET;abc", VERDICT_ALLOWED, 0},
    {"+get;~a", "GET;abc", VERDICT_NO_KEY, 1},
    {"+get;~a;resetkeys", "GET;a", VERDICT_NO_KEY, 1},
    {"+get;allkeys", "GET;a", VERDICT_ALLOWED, 0},
    {"+@all;-get;~*", "GET;a", VERDICT_NO_COMMAND, 0},
    {"+@all;-@read;+get;~*", "GET;a", VERDICT_ALLOWED, 0},
    {"+@all;-@read;+get;~*", "STRLEN;a", VERDICT_NO_COMMAND, 0},
    {"+@read;nocommands;~*", "GET;a", VERDICT_NO_COMMAND, 0},
    {"allcommands;~*", "DEL;a", VERDICT_ALLOWED, 0},
    /* Subcommands. */
    {"+config", "CONFIG;GET;x", VERDICT_ALLOWED, 0},
    {"+config;-config|get", "CONFIG;GET;x", VERDICT_NO_COMMAND, 0},
    {"+config;-config|get", "CONFIG;SET;x;y", VERDICT_ALLOWED, 0},
    {"+config|get", "CONFIG;GET;x", VERDICT_ALLOWED, 0},
    {"+config|get", "CONFIG;SET;x;y", VERDICT_NO_COMMAND, 0},
    {"+config|get;-config", "CONFIG;GET;x", VERDICT_NO_COMMAND, 0},
    {"+select|0", "SELECT;0", VERDICT_ALLOWED, 0},
    {"+select|0", "SELECT;1", VERDICT_NO_COMMAND, 0},
    {"+select|0;+select|1", "SELECT;1", VERDICT_ALLOWED, 0},
    {"+select|0;-select", "SELECT;0", VERDICT_NO_COMMAND, 0},
    {"+select|0;-@connection", "SELECT;0", VERDICT_NO_COMMAND, 0},
    /* To read, and to write. */
    {"+@all;%R~a", "GET;a", VERDICT_ALLOWED, 0},
    {"+@all;%R~a", "SET;a;1", VERDICT_NO_KEY, 1},
    {"+@all;%W~a", "SET;a;1", VERDICT_ALLOWED, 0},
    {"+@all;%W~a", "SET;a;1;GET", VERDICT_NO_KEY, 1},
    {"+@all;%W~a", "GET;a", VERDICT_NO_KEY, 1},
    {"+@all;%W~a", "INCR;a", VERDICT_NO_KEY, 1},
    {"+@all;%W~a;%R~a", "INCR;a", VERDICT_ALLOWED, 0},
    {"+@all;%RW~a", "INCR;a", VERDICT_ALLOWED, 0},
    {"+@all;%W~a", "EXISTS;a", VERDICT_ALLOWED, 0},
    {"+@all;%R~a", "EXISTS;a", VERDICT_ALLOWED, 0},
    {"+@all;%R~a;%W~b", "COPY;a;b", VERDICT_ALLOWED, 0},
    {"+@all;%R~a;%W~b", "COPY;b;a", VERDICT_NO_KEY, 1},
    {"+@all;%R~a;%W~b", "RENAME;a;b", VERDICT_NO_KEY, 1},
    {"+@all;~a", "MGET;a;b", VERDICT_NO_KEY, 2},
    {"+@all;~a", "MSET;a;1;b;2", VERDICT_NO_KEY, 3},
    /* Channels. */
    {"+@all", "PUBLISH;c;x", VERDICT_NO_CHANNEL, 1},
    {"+@all;&c*", "PUBLISH;cc;x", VERDICT_ALLOWED, 0},
    {"+@all;&c*", "SUBSCRIBE;cc;d", VERDICT_NO_CHANNEL, 2},
    {"+@all;&c*", "PSUBSCRIBE;cc", VERDICT_NO_CHANNEL, 1},
    {"+@all;&c*", "PSUBSCRIBE;c*", VERDICT_ALLOWED, 0},
    {"+@all;&c*", "UNSUBSCRIBE;x", VERDICT_ALLOWED, 0},
    {"+@all;allchannels", "PSUBSCRIBE;x*", VERDICT_ALLOWED, 0},
    {"+@all;&*;resetchannels", "SSUBSCRIBE;x", VERDICT_NO_CHANNEL, 1},
    /* Selectors: one of them has to allow all of it. */
    {"+get;~a;(+set ~b)", "SET;b;1", VERDICT_ALLOWED, 0},
    {"+get;~a;(+set ~b)", "SET;a;1", VERDICT_NO_KEY, 1},
    {"+get;~a;(+mget ~b)", "MGET;a;b", VERDICT_NO_KEY, 1},
    {"+mget;~a;(+mget ~b)", "MGET;a;b", VERDICT_NO_KEY, 2},
    {"+get;~a;(+set;~b)", "SET;b;1", VERDICT_ALLOWED, 0},
    {"+get;~a;(+set ~b);clearselectors", "SET;b;1", VERDICT_NO_COMMAND, 0},
    {"+get;~a;(+set ~b);reset", "GET;a", VERDICT_NO_COMMAND, 0},
};

static void test_rules_make_verdicts(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(verdicts); i++) {
        struct user *user = make(verdicts[i].rules);
        size_t place;
        const enum verdict verdict = judge(user, verdicts[i].command, &place);
        if (verdict != verdicts[i].verdict ||
            (verdict > VERDICT_NO_COMMAND && place != verdicts[i].place)) {
            fail_msg("%s: %s: %d at %zu", verdicts[i].rules,
                     verdicts[i].command, (int)verdict, place);
        }
        user_unref(user);
    }
}

static const struct {
    const char *rules;
    const char *printed;
} descriptions[] = {
    {"", "off resetchannels -@all"},
    {"on;nopass;~*;&*;+@all", "on nopass ~* &* +@all"},
    {"reset", "off sanitize-payload resetchannels -@all"},
    {"skip-sanitize-payload", "off skip-sanitize-payload resetchannels -@all"},
    {"+get;+get", "off resetchannels -@all +get"},
    {"+get;-get", "off resetchannels -@all -get"},
    {"+@read;-get;+@read", "off resetchannels -@all -get +@read"},
    {"+config|get;+config", "off resetchannels -@all +config"},
    {"+Config|Get;+GET", "off resetchannels -@all +config|get +get"},
    {"+get;+@all;-set", "off resetchannels +@all -set"},
    {"+select|0;+select|0", "off resetchannels -@all +select|0"},
    {"~a;%R~b;%W~c;%R~c", "off ~a %R~b ~c resetchannels -@all"},
    {"%R~*;%W~*;~a", "off %RW~* ~a resetchannels -@all"},
    {"~a;~a;&b;&b;&c", "off ~a resetchannels &b &c -@all"},
    {"(+get ~a);( )", "off resetchannels -@all (~a resetchannels -@all +get) "
                      "(resetchannels -@all)"},
    {">abc", "off #ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f"
             "20015ad resetchannels -@all"},
    {">abc;>abc;<abc", "off resetchannels -@all"},
    {">abc;nopass", "off nopass resetchannels -@all"},
};

static void print(const struct user *user, struct buf *out)
{
    buf_clear(out);
    user_print(user, out);
    (void)buf_string(out);
}

static void test_rules_are_printed_and_read_back(void **state)
{
    struct buf text = {0};
    struct buf again = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(descriptions); i++) {
        struct user *user = make(descriptions[i].rules);
        print(user, &text);
        assert_string_equal(buf_string(&text), descriptions[i].printed);
        user_unref(user);
        for (char *p = buf_data(&text); *p != '\0'; p++) {
            *p = *p == ' ' ? ';' : *p;
        }
        user = make(buf_string(&text));
        print(user, &again);
        assert_string_equal(buf_string(&again), descriptions[i].printed);
        user_unref(user);
    }
    buf_destroy(&text);
    buf_destroy(&again);
}

static void test_a_copy_does_and_prints_the_same(void **state)
{
    struct buf text = {0};
    struct buf copied = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(descriptions); i++) {
        struct user *user = make(descriptions[i].rules);
        struct user *copy = user_copy(user);
        print(user, &text);
        user_unref(user);
        print(copy, &copied);
        assert_string_equal(buf_string(&copied), buf_string(&text));
        assert_int_equal(copy->id, 7);
        user_unref(copy);
    }
    buf_destroy(&text);
    buf_destroy(&copied);
}

static void test_only_who_may_do_everything_is_unrestricted(void **state)
{
    static const struct {
        const char *rules;
        bool unrestricted;
    } cases[] = {
        {"+@all;~*;&*", true},
        {"+@all;~*", false},
        {"+@all;&*", false},
        {"~*;&*", false},
        {"+@all;~*;&*;-get", false},
        {"+@all;~*;&*;-get;+get", false}, /* More may come that is not said. */
        {"(+@all ~* &*)", true},
        {"(+@all ~* &*);clearselectors", false},
        {"+@all;~*;&*;off", true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct user *user = make(cases[i].rules);
        assert_int_equal(user->unrestricted, cases[i].unrestricted);
        user_unref(user);
    }
}

static void test_passwords_are_judged(void **state)
{
    struct user *user = make("on;>one;>two");

    (void)state;
    assert_true(user_admits(user, SLICE("one")));
    assert_true(user_admits(user, SLICE("two")));
    assert_false(user_admits(user, SLICE("three")));
    assert_false(user_admits(user, SLICE("")));
    user_unref(user);
    user = make("on");
    assert_false(user_admits(user, SLICE("")));
    user_unref(user);
    user = make("on;nopass");
    assert_true(user_admits(user, SLICE("any")));
    assert_true(user_set_password(user, SLICE("one")));
    assert_false(user_admits(user, SLICE("any")));
    assert_true(user_set_password(user, SLICE("")));
    assert_true(user_admits(user, SLICE("any")));
    user_unref(user);
    user = make("nopass;off");
    assert_false(user_admits(user, SLICE("any")));
    user_unref(user);
}

/* Whichever allocation fails, it is said, and nothing leaks. */
static void test_without_memory_it_is_said(void **state)
{
    static const char rules[] = "on;>abc;~a;&b;+get;+select|0;(+set ~c &d)";
    struct slice words[WORDS_MAX];
    const size_t n = split(rules, words);
    bool failed = true;

    (void)state;
    for (long nth = 1; failed; nth++) {
        struct rule_failure failure = {0};
        struct user *user = make("");
        mem_fail_nth(nth);
        failed = !user_change(user, words, n, false, &failure);
        mem_fail_nth(0);
        if (failed) {
            assert_int_equal(failure.error, RULE_NO_MEMORY);
        }
        buf_destroy(&failure.rule);
        user_unref(user);
        assert_true(nth < 100);
    }
    struct user *user = make(rules);
    for (long nth = 1; !failed; nth++) {
        mem_fail_nth(nth);
        struct user *copy = user_copy(user);
        mem_fail_nth(0);
        failed = copy != NULL; /* None was left to fail. */
        user_unref(copy);
        assert_true(nth < 100);
    }
    user_unref(user);
}

static void test_a_set_is_in_order_and_replaces(void **state)
{
    static const char *const names[] = {"b", "a", "default", "ab", "", "b"};
    struct user_set set = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct user *user = user_new(slice_from_string(names[i]), i, false);
        assert_true(user_set_put(&set, user));
    }
    assert_int_equal(set.n, 5);
    for (size_t i = 1; i < set.n; i++) {
        assert_true(strcmp(set.list[i - 1]->name, set.list[i]->name) < 0);
    }
    assert_int_equal(user_set_find(&set, SLICE("b"))->id, 5);
    assert_null(user_set_find(&set, SLICE("c")));
    assert_true(user_set_remove(&set, SLICE("ab")));
    assert_false(user_set_remove(&set, SLICE("ab")));
    assert_int_equal(set.n, 4);
    user_set_destroy(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules_make_verdicts),
        cmocka_unit_test(test_rules_are_printed_and_read_back),
        cmocka_unit_test(test_a_copy_does_and_prints_the_same),
        cmocka_unit_test(test_only_who_may_do_everything_is_unrestricted),
        cmocka_unit_test(test_passwords_are_judged),
        cmocka_unit_test(test_without_memory_it_is_said),
        cmocka_unit_test(test_a_set_is_in_order_and_replaces),
    };

    command_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
