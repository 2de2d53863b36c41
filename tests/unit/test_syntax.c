/* SPDX-License-Identifier: MIT */
/*
 * The syntax of commands is taken apart as a reader would.
 */
#include "server/command/syntax.h"

#include "common/buf.h"
#include "server/command/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Writes a tree: TOKEN, TOKEN:value, (block), {one/of}; behind it ? for
 * optional, + for multiple, * for multiple with its token. */
static void show(const struct syntax_node *node, struct buf *out)
{
    const char *separator = "";

    for (; node != NULL; node = node->next) {
        const bool is_list = node->children != NULL;
        const bool is_choice = node->kind == SYNTAX_ONEOF;

        buf_append_string(out, separator);
        buf_append_slice(out, node->token);
        if (node->token.size > 0 && node->kind != SYNTAX_TOKEN) {
            buf_append_char(out, ':');
        }
        buf_append_slice(out, node->name);
        if (is_list) {
            buf_append_char(out, is_choice ? '{' : '(');
            show(node->children, out);
            buf_append_char(out, is_choice ? '}' : ')');
        }
        buf_append_string(out, node->optional ? "?" : "");
        buf_append_string(out, node->token_repeated ? "*"
                               : node->multiple     ? "+"
                                                    : "");
        separator = " ";
    }
}

static void test_each_form_is_understood(void **state)
{
    static const struct {
        const char *syntax;
        const char *tree;
    } rows[] = {
        {"", ""},
        {"key", "key"},
        {"key value", "key value"},
        {"key [key ...]", "key+"},
        {"key value [key value ...]", "(key value)+"},
        {"key field [field ...]", "key field+"},
        {"[key [key ...]]", "key?+"},
        {"[name ...]", "name?+"},
        {"[NX | XX]", "{NX XX}?"},
        {"[REPLACE]", "REPLACE?"},
        {"cursor [MATCH pattern] [COUNT count]",
         "cursor MATCH:pattern? COUNT:count?"},
        {"key [EX seconds | KEEPTTL] [GET]", "key {EX:seconds KEEPTTL}? GET?"},
        {"<LIB-NAME libname | LIB-VER libver>",
         "{LIB-NAME:libname LIB-VER:libver}"},
        {"[LIMIT offset count]", "LIMIT:(offset count)?"},
        {"<ON | OFF> [PREFIX prefix [PREFIX prefix ...]] [BCAST]",
         "{ON OFF} PREFIX:prefix?* BCAST?"},
        {"[ID client-id [client-id ...]]", "ID:client-id?+"},
        {"[count [WITHVALUES]]", "(count WITHVALUES?)?"},
        {"[protover [AUTH username password] [SETNAME clientname]]",
         "(protover AUTH:(username password)? SETNAME:clientname?)?"},
        {"[TYPE <NORMAL | PUBSUB>]", "TYPE:{NORMAL PUBSUB}?"},
        {"<host port | NO ONE>", "{(host port) (NO ONE)}"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct syntax syntax;
        struct buf tree = {0};

        syntax_parse(&syntax, rows[i].syntax);
        show(syntax.first, &tree);
        assert_string_equal(buf_string(&tree), rows[i].tree);
        buf_destroy(&tree);
    }
}

static void test_every_command_has_room(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_commands; i++) {
        struct syntax syntax;

        syntax_parse(&syntax, commands[i].syntax);
        assert_true(syntax.n_nodes <= SYNTAX_NODES_MAX);
        assert_int_equal(syntax.first != NULL, commands[i].syntax[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_form_is_understood),
        cmocka_unit_test(test_every_command_has_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
