/* SPDX-License-Identifier: MIT */
/*
 * The syntax column of the command table, taken apart: what COMMAND DOCS tells
 * clients, so that they can show what comes next.
 *
 *     key [NX | XX] [EX seconds | KEEPTTL] [value ...]
 *
 *     word            a value that the caller chooses, called so
 *     WORD            a token; one with values behind it introduces them
 *     [ … ]           may be left out
 *     < … | … >       one of several
 *     x [x ...]       x once or more; [x ...]: any number
 *
 * Thread-safety: functions of their arguments.
 */
#ifndef SERVER_COMMAND_SYNTAX_H
#define SERVER_COMMAND_SYNTAX_H

#include "common/slice.h"

#include <stdbool.h>
#include <stddef.h>

/* More than any syntax has; checked by a test over the whole table. */
#define SYNTAX_NODES_MAX 64

enum syntax_kind {
    SYNTAX_VALUE, /* 'name' is what it is called. */
    SYNTAX_TOKEN, /* 'token' alone. */
    SYNTAX_BLOCK, /* The children, in order. */
    SYNTAX_ONEOF  /* One of the children. */
};

/* One argument, or several. */
struct syntax_node {
    enum syntax_kind kind;
    struct slice name;   /* SYNTAX_VALUE. */
    struct slice token;  /* What stands before it; empty: nothing. */
    bool optional;       /* May be left out. */
    bool multiple;       /* May be repeated, … */
    bool token_repeated; /* … with its token each time. */
    struct syntax_node *children, *next;
    struct slice text; /* Private: where it stands in the syntax. */
};

struct syntax {
    struct syntax_node *first; /* NULL: no arguments. */
    struct syntax_node nodes[SYNTAX_NODES_MAX];
    size_t n_nodes;
};

/* Takes 'text' apart, which outlives 'syntax'. */
void syntax_parse(struct syntax *syntax, const char *text);

#endif
