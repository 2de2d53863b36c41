/* SPDX-License-Identifier: MIT */
/*
 * The command table, and how a command is found in it and run.
 */
#include "server/command/command.h"

#include "tests/support/fake_client.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static const struct command *end; /* Of the table; set by main(). */

/* ---- the table ---- */

static const struct command *parent_of(const struct command *c)
{
    const char *bar = strchr(c->name, '|');

    return bar == NULL
               ? NULL
               : command_by_name(slice_make(c->name, (size_t)(bar - c->name)));
}

static void test_every_name_is_found_in_any_case(void **state)
{
    (void)state;
    for (const struct command *c = commands; c < end; c++) {
        char upper[64];
        size_t size = 0;
        for (const char *at = c->name; *at != '\0'; at++) {
            assert_false(isupper((unsigned char)*at));
            upper[size++] = (char)toupper((unsigned char)*at);
        }
        assert_ptr_equal(command_by_name(slice_make(upper, size)), c);
        assert_ptr_equal(command_by_name(slice_from_string(c->name)), c);
    }
}

static void test_children_follow_their_parent_in_order(void **state)
{
    (void)state;
    for (const struct command *c = commands; c < end; c++) {
        const struct command *parent = parent_of(c);
        if (strchr(c->name, '|') == NULL) {
            assert_null(parent);
            continue;
        }
        assert_non_null(parent);
        assert_true(command_has_children(parent));
        assert_true(command_is_child(c, parent));
        assert_true(c - 1 == parent || (parent_of(c - 1) == parent &&
                                        strcmp((c - 1)->name, c->name) < 0));
        assert_true(c->arity <= -2 || c->arity >= 2);
        assert_string_equal(c->group, parent->group);
    }
}

static void test_every_command_is_described(void **state)
{
    static const char *const groups[] = {
        "connection", "server", "generic",      "string",  "hash",
        "book",       "pubsub", "transactions", "cluster", "scripting"};

    (void)state;
    for (const struct command *c = commands; c < end; c++) {
        unsigned major, minor, patch;
        bool known = false;
        for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
            known = known || strcmp(c->group, groups[i]) == 0;
        }
        assert_true(known);
        assert_int_equal(sscanf(c->since, "%u.%u.%u", &major, &minor, &patch),
                         3);
        assert_true(isupper((unsigned char)c->summary[0]));
        assert_int_equal(c->summary[strlen(c->summary) - 1], '.');
        assert_non_null(c->run);
    }
}

static void test_a_command_is_either_fast_or_slow(void **state)
{
    (void)state;
    for (const struct command *c = commands; c < end; c++) {
        const bool fast = (c->categories & CAT_FAST) != 0;
        const bool slow = (c->categories & CAT_SLOW) != 0;
        assert_int_equal(fast + slow, 1);
        assert_int_equal(fast, (c->flags & CMD_FAST) != 0);
    }
}

static void test_flags_categories_and_classes_agree(void **state)
{
    (void)state;
    for (const struct command *c = commands; c < end; c++) {
        const bool writes = (c->flags & CMD_WRITE) != 0;
        const bool reads = (c->flags & CMD_READONLY) != 0;
        assert_false(writes && reads);
        assert_int_equal(writes, (c->categories & CAT_WRITE) != 0);
        assert_int_equal(reads, (c->categories & CAT_READ) != 0);
        /* SWAPDB holds what is behind it, which means other keys then. */
        assert_true(writes ? c->class != REQUEST_READ
                           : c->class != REQUEST_WRITE);
        assert_true(!reads || c->class == REQUEST_READ);
        if ((c->flags & CMD_DENYOOM) != 0) {
            assert_true(writes);
        }
        if ((c->flags & CMD_ADMIN) != 0) {
            assert_true((c->categories & CAT_ADMIN) != 0);
        }
        if ((c->categories & CAT_ADMIN) != 0) {
            assert_true((c->categories & CAT_DANGEROUS) != 0);
        }
    }
}

static void test_keys_stand_where_the_arity_has_room(void **state)
{
    (void)state;
    for (const struct command *c = commands; c < end; c++) {
        const int words = c->arity < 0 ? -c->arity : c->arity;
        if (c->first_key == 0) {
            assert_int_equal(c->last_key, 0);
            assert_int_equal(c->key_step, 0);
            continue;
        }
        if ((c->keys & KEY_NOT_KEY) != 0) {
            continue;
        }
        const bool may_be_left_out = c->syntax[0] == '[';
        assert_true(c->first_key < words + may_be_left_out);
        assert_true(c->last_key == -1 || c->last_key >= c->first_key);
        assert_true(c->last_key == -1 ? c->arity < 0 : c->last_key < words);
        assert_true(c->key_step == 1 || c->key_step == 2);
        assert_true(strncmp(c->syntax + may_be_left_out, "key", 3) == 0 ||
                    strncmp(c->syntax, "source", 6) == 0);
    }
}

/* Words that are always there, and whether there may be more. */
static void count_syntax(const char *syntax, int *n_words, bool *more)
{
    int depth = 0;
    bool choice = false;

    *n_words = 0;
    *more = false;
    for (const char *at = syntax; *at != '\0';) {
        const size_t size = strcspn(at, " ");
        const bool optional = depth > 0 || *at == '[';
        for (size_t i = 0; i < size; i++) {
            depth += at[i] == '[' ? 1 : at[i] == ']' ? -1 : 0;
        }
        /* Of "<A x | B y>" one choice counts: up to the bar. */
        choice = choice || *at == '|';
        *more = *more || optional;
        *n_words += !optional && !choice;
        choice = choice && at[size - 1] != '>';
        at += size + (at[size] == ' ');
    }
}

static void test_the_syntax_says_what_the_arity_does(void **state)
{
    (void)state;
    for (const struct command *c = commands; c < end; c++) {
        const int n_names = parent_of(c) == NULL ? 1 : 2;
        int n_words;
        bool more;
        if (command_has_children(c) || strcmp(c->name, "quit") == 0) {
            continue; /* QUIT takes whatever follows, as in Redis. */
        }
        count_syntax(c->syntax, &n_words, &more);
        assert_int_equal(c->arity < 0 ? -c->arity : c->arity,
                         n_names + n_words);
        assert_int_equal(c->arity < 0, more);
    }
}

/* ---- running ---- */

static int set_up(void **state)
{
    struct fixture *f = fixture_new(NULL);

    *state = fake_client_new(f, 2);
    return 0;
}

static void test_an_unknown_command_is_told_in_redis_words(void **state)
{
    struct fake_client *c = *state;

    assert_string_equal(
        CALL(c, "nosuch"),
        "-ERR unknown command 'nosuch', with args beginning with: \r\n");
    assert_string_equal(CALL(c, "nosuch", "a", "b c"),
                        "-ERR unknown command 'nosuch', with args beginning "
                        "with: 'a' 'b c' \r\n");
    assert_string_equal(CALL(c, "client", "nosuch"),
                        "-ERR unknown subcommand 'nosuch'. Try CLIENT HELP."
                        "\r\n");
}

static void test_an_error_never_breaks_its_line(void **state)
{
    struct fake_client *c = *state;

    assert_string_equal(CALL(c, "no\r\n+OK", "x\r\n:1\r\n"),
                        "-ERR unknown command 'no  +OK', with args beginning "
                        "with: 'x  :1  ' \r\n");
}

static void test_a_long_name_and_many_arguments_are_cut(void **state)
{
    struct fake_client *c = *state;
    char name[1001];

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    const char *reply = CALL(c, name, name, name, name);

    assert_in_range(strlen(reply), 200, 500);
}

static void test_the_argument_count_is_checked_first(void **state)
{
    static const char error[] =
        "-ERR wrong number of arguments for '%s' command\r\n";
    struct fake_client *c = *state;

    for (const struct command *command = commands; command < end; command++) {
        const char *words[8] = {0};
        char name[64];
        char sub[64] = "";
        char expected[128];
        size_t n = 0;
        const int least = command->arity < 0 ? -command->arity : command->arity;
        if (command_has_children(command)) {
            continue;
        }
        /* One word too few; or one too many, if its number is fixed. */
        const size_t wanted =
            (size_t)(command->arity > 0 ? least + 1 : least - 1);
        (void)sscanf(command->name, "%63[^|]|%63s", name, sub);
        words[n++] = name;
        if (sub[0] != '\0') {
            words[n++] = sub;
        }
        if (wanted < n || strcmp(name, "exec") == 0) {
            continue; /* EXEC has words of its own: test_multi.c. */
        }
        while (n < wanted) {
            words[n++] = "x";
        }
        (void)snprintf(expected, sizeof expected, error, command->name);
        assert_string_equal(fake_client_take(c, fake_client_begin(c, words)),
                            expected);
    }
}

static void test_a_container_alone_has_too_few_words(void **state)
{
    struct fake_client *c = *state;

    assert_string_equal(
        CALL(c, "client"),
        "-ERR wrong number of arguments for 'client' command\r\n");
    assert_string_equal(
        CALL(c, "config"),
        "-ERR wrong number of arguments for 'config' command\r\n");
}

static void test_a_subcommand_in_one_word_is_no_command(void **state)
{
    struct fake_client *c = *state;

    assert_string_equal(CALL(c, "client|id"),
                        "-ERR unknown command 'client|id', with args "
                        "beginning with: \r\n");
}

static void test_help_lists_every_subcommand_once(void **state)
{
    struct fake_client *c = *state;

    for (const struct command *parent = commands; parent < end; parent++) {
        if (!command_has_children(parent)) {
            continue;
        }
        const char *reply = CALL(c, parent->name, "help");
        assert_int_equal(reply[0], '*');
        for (const struct command *sub = parent + 1;
             sub < end && command_is_child(sub, parent); sub++) {
            assert_non_null(strstr(reply, sub->summary));
        }
    }
}

static void test_the_documentation_names_every_command(void **state)
{
    struct buf docs = {0};

    (void)state;
    command_print_docs(&docs);
    for (const struct command *c = commands; c < end; c++) {
        /* A container that does nothing itself is in its children. */
        assert_true(strstr(buf_string(&docs), c->summary) != NULL ||
                    (command_has_children(c) && c->arity == -2));
    }
    buf_destroy(&docs);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up, fake_client_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_name_is_found_in_any_case),
        TEST(test_children_follow_their_parent_in_order),
        TEST(test_every_command_is_described),
        TEST(test_a_command_is_either_fast_or_slow),
        TEST(test_flags_categories_and_classes_agree),
        TEST(test_keys_stand_where_the_arity_has_room),
        TEST(test_the_syntax_says_what_the_arity_does),
        TEST(test_an_unknown_command_is_told_in_redis_words),
        TEST(test_an_error_never_breaks_its_line),
        TEST(test_a_long_name_and_many_arguments_are_cut),
        TEST(test_the_argument_count_is_checked_first),
        TEST(test_a_container_alone_has_too_few_words),
        TEST(test_a_subcommand_in_one_word_is_no_command),
        TEST(test_help_lists_every_subcommand_once),
        TEST(test_the_documentation_names_every_command),
    };

    end = commands + n_commands;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
