/* SPDX-License-Identifier: MIT */
/*
 * A parser by recursive descent.  A sequence is first read as a plain list,
 * and then folded: repetitions into what they repeat, values into the tokens
 * before them.
 */
#include "server/command/syntax.h"

#include <assert.h>
#include <ctype.h>

#define REPEATED SLICE(" ...")

static struct syntax_node *node_new(struct syntax *s, enum syntax_kind kind)
{
    assert(s->n_nodes < SYNTAX_NODES_MAX);
    struct syntax_node *node = &s->nodes[s->n_nodes++];
    *node = (struct syntax_node){.kind = kind};
    return node;
}

static size_t count(const struct syntax_node *first)
{
    size_t n = 0;

    for (; first != NULL; first = first->next) {
        n++;
    }
    return n;
}

/* The only node of a list, or a block of them. */
static struct syntax_node *one_of_list(struct syntax *s,
                                       struct syntax_node *first)
{
    if (count(first) == 1) {
        return first;
    }
    struct syntax_node *block = node_new(s, SYNTAX_BLOCK);
    block->children = first;
    return block;
}

static bool is_token(struct slice word)
{
    for (size_t i = 0; i < word.size; i++) {
        if (islower((unsigned char)word.data[i])) {
            return false;
        }
    }
    return word.size > 0;
}

static struct slice cut_tail(struct slice text, struct slice tail)
{
    if (text.size >= tail.size &&
        slice_equal(slice_make(text.data + text.size - tail.size, tail.size),
                    tail)) {
        text.size -= tail.size;
    }
    return text;
}

/* ---- folding ---- */

/* From the text of 'from' to that of 'to'. */
static struct slice span(const struct syntax_node *from,
                         const struct syntax_node *to)
{
    return slice_make(from->text.data,
                      (size_t)(to->text.data - from->text.data) +
                          to->text.size);
}

/* Makes of "x y [x y ...]" a node that may be repeated: 'again' is the part in
 * brackets, 'last' what stands before it.  False if it repeats nothing. */
static bool fold_repetition(struct syntax *s, struct syntax_node **list,
                            struct syntax_node *last, struct syntax_node *again)
{
    const struct slice inner =
        slice_make(again->text.data + 1, again->text.size - 2);
    const struct slice what = cut_tail(inner, REPEATED);

    if (what.size == inner.size) {
        return false;
    }
    for (struct syntax_node **from = list; *from != again;
         from = &(*from)->next) {
        if (!slice_equal(span(*from, last), what)) {
            continue;
        }
        const struct slice text = span(*from, again);
        last->next = NULL;
        struct syntax_node *all = one_of_list(s, *from);
        all->multiple = true;
        all->text = text;
        all->next = again->next;
        *from = all;
        return true;
    }
    return false;
}

/* Gives each token the values that follow it. */
static void fold_tokens(struct syntax *s, struct syntax_node *node)
{
    for (; node != NULL; node = node->next) {
        struct syntax_node *last = node;

        if (node->kind != SYNTAX_TOKEN) {
            continue;
        }
        while (last->next != NULL && last->next->kind != SYNTAX_TOKEN &&
               !last->next->optional) {
            last = last->next;
        }
        if (last == node) {
            continue;
        }
        struct syntax_node *rest = last->next;
        last->next = NULL;
        const struct slice token = node->token;
        const struct slice text = span(node, last);
        *node = *one_of_list(s, node->next);
        node->token = token;
        node->text = text;
        node->next = rest;
    }
}

/* ---- parsing ---- */

static struct syntax_node *alternatives(struct syntax *s, const char **p);

/* Reads what stands in brackets, with those. */
static struct syntax_node *bracketed(struct syntax *s, const char **p)
{
    const char *begin = *p;
    const bool optional = **p == '[';

    (*p)++;
    struct syntax_node *node = alternatives(s, p);
    assert(**p == (optional ? ']' : '>'));
    (*p)++;
    node->text = slice_make(begin, (size_t)(*p - begin));
    node->optional = optional;
    return node;
}

static struct syntax_node *word(struct syntax *s, const char **p)
{
    const struct slice text = slice_make(*p, strcspn(*p, " []<>"));
    struct syntax_node *node =
        node_new(s, is_token(text) ? SYNTAX_TOKEN : SYNTAX_VALUE);

    *(node->kind == SYNTAX_TOKEN ? &node->token : &node->name) = text;
    node->text = text;
    *p += text.size;
    return node;
}

/* Reads up to a bar, or to the end of what it stands in. */
static struct syntax_node *sequence(struct syntax *s, const char **p)
{
    struct syntax_node *first = NULL;
    struct syntax_node **link = &first;
    struct syntax_node *last = NULL;

    while (**p != '\0' && **p != '|' && **p != ']' && **p != '>') {
        if (**p == ' ') {
            (*p)++;
            continue;
        }
        if (strncmp(*p, "...", 3) == 0) { /* "[x ...]": see there. */
            *p += 3;
            assert(last != NULL);
            last->multiple = true;
            continue;
        }
        struct syntax_node *node =
            **p == '[' || **p == '<' ? bracketed(s, p) : word(s, p);
        *link = node;
        if (last != NULL && node->optional &&
            fold_repetition(s, &first, last, node)) {
            for (link = &first; (*link)->next != NULL; link = &(*link)->next) {
            }
            last = *link;
            link = &last->next;
            continue;
        }
        last = node;
        link = &node->next;
    }
    /* "PREFIX x [PREFIX x ...]": the block repeats its token. */
    for (struct syntax_node *n = first; n != NULL; n = n->next) {
        if (n->kind == SYNTAX_BLOCK && n->multiple) {
            fold_tokens(s, n->children);
            if (count(n->children) == 1) {
                struct syntax_node *next = n->next;
                *n = *n->children;
                n->next = next;
                n->multiple = true;
                n->token_repeated = n->token.size > 0;
            }
        }
    }
    fold_tokens(s, first);
    return first;
}

static struct syntax_node *alternatives(struct syntax *s, const char **p)
{
    struct syntax_node *first = one_of_list(s, sequence(s, p));
    struct syntax_node *last = first;

    if (**p != '|') {
        return first;
    }
    while (**p == '|') {
        (*p)++;
        last->next = one_of_list(s, sequence(s, p));
        last = last->next;
    }
    struct syntax_node *choice = node_new(s, SYNTAX_ONEOF);
    choice->children = first;
    return choice;
}

void syntax_parse(struct syntax *syntax, const char *text)
{
    *syntax = (struct syntax){0};
    syntax->first = sequence(syntax, &text);
    assert(*text == '\0');
}
