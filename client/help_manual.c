/* SPDX-License-Identifier: MIT */
/*
 * The manual page bookctl(1), in the mdoc language.
 * Source: mdoc(7).
 */
#include "client/help.h"

#include "client/args.h"
#include "client/print.h"

#include <stdio.h>

/* ---- the language ---- */

/* Text as roff reads it as text: backslashes and what begins a request are
 * escaped, and ASCII quotes and hyphens stay what they are. */
static void append_text(struct buf *b, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        const bool begins_line = i == 0 || text[i - 1] == '\n';

        switch (text[i]) {
        case '\\':
            buf_append_string(b, "\\e");
            break;
        case '-':
            buf_append_string(b, "\\-");
            break;
        case '\'':
            buf_append_string(b, "\\(aq");
            break;
        case '.':
            buf_append_string(b, begins_line ? "\\&." : ".");
            break;
        default:
            buf_append_char(b, text[i]);
        }
    }
}

static void append_line(struct buf *b, const char *text)
{
    append_text(b, text, strlen(text));
    buf_append_char(b, '\n');
}

/* Paragraphs, a sentence a line, as mdoc asks for. */
static void append_paragraphs(struct buf *b, const char *text)
{
    while (*text != '\0') {
        const char *stop = strchrnul(text, '\n');
        const char *sentence = strstr(text, ". ");

        if (stop == text) {
            buf_append_string(b, ".Pp\n");
            text++;
            continue;
        }
        if (sentence != NULL && sentence < stop) {
            stop = sentence + 1;
        }
        append_text(b, text, (size_t)(stop - text));
        buf_append_char(b, '\n');
        text = *stop == '\0' ? stop : stop + 1;
    }
}

/* "Ar" arguments: words that are in brackets become Op, "..." is kept. */
static void append_arguments(struct buf *b, const char *arguments)
{
    while (*arguments != '\0') {
        const char *end = strchrnul(arguments, ' ');
        size_t size = (size_t)(end - arguments);

        /* "[ARGUMENT...]" or "[-]" and so on. */
        if (arguments[0] == '[' && arguments[size - 1] == ']') {
            buf_append_string(b, " Oo Ar ");
            append_text(b, arguments + 1, size - 2);
            buf_append_string(b, " Oc");
        } else {
            buf_append_string(b, " Ar ");
            append_text(b, arguments, size);
        }
        arguments = *end == '\0' ? end : end + 1;
    }
}

/* ---- the tables ---- */

static void append_option(struct buf *b, const struct option_info *info)
{
    buf_append_string(b, ".It ");
    if (info->letter != 0) {
        buf_printf(b, "Fl %c , ", info->letter);
    }
    buf_append_string(b, "Fl \\-");
    append_text(b, info->name, strlen(info->name));
    if (info->argument != NULL) {
        buf_printf(b, " Ar %s", info->argument);
    }
    buf_append_char(b, '\n');
    append_paragraphs(b, info->summary);
    if (info->standard[0] != '\0') {
        buf_printf(b, "The default is %s.\n", info->standard);
    }
}

static void append_options(struct buf *b, enum subcommand_id id)
{
    bool any = false;

    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (option_is_global(i) || !option_applies(i, id)) {
            continue;
        }
        if (!any) {
            buf_append_string(b, ".Bl -tag -width Ds\n");
            any = true;
        }
        append_option(b, &option_infos[i]);
    }
    if (any) {
        buf_append_string(b, ".El\n");
    }
}

static void append_subcommand(struct buf *b, enum subcommand_id id)
{
    const struct subcommand *s = &subcommands[id];

    buf_printf(b, ".It Cm %s", s->name);
    append_arguments(b, s->arguments);
    buf_append_char(b, '\n');
    append_paragraphs(b, s->summary);
    if (s->details[0] != '\0') {
        append_paragraphs(b, s->details);
    }
    append_options(b, id);
}

static void append_examples(struct buf *b)
{
    buf_append_string(b, ".Sh EXAMPLES\n.Bd -literal -offset indent\n");
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        append_line(b, subcommands[i].examples);
    }
    buf_append_string(b, ".Ed\n");
}

static void append_topic(struct buf *b, const struct help_topic *topic)
{
    buf_append_string(b, ".Sh ");
    for (const char *at = topic->title; *at != '\0'; at++) {
        buf_append_char(b, (char)(*at >= 'a' && *at <= 'z' ? *at - 32 : *at));
    }
    buf_append_char(b, '\n');
    append_paragraphs(b, topic->text);
}

static void append_items(struct buf *b, const char *macro,
                         const struct help_item *items, size_t n)
{
    buf_append_string(b, ".Bl -tag -width BOOKCTL_URI\n");
    for (size_t i = 0; i < n; i++) {
        buf_printf(b, ".It %s %s\n", macro, items[i].name);
        append_paragraphs(b, items[i].text);
    }
    buf_append_string(b, ".El\n");
}

void help_manual(void)
{
    struct buf b = {0};

    buf_append_string(
        &b, ".\\\" SPDX-License-Identifier: MIT\n"
            ".\\\" Made by bookctl --man from the tables in client/*.def.\n"
            ".Dd November 23, 2026\n"
            ".Dt BOOKCTL 1\n"
            ".Os\n"
            ".Sh NAME\n"
            ".Nm bookctl\n"
            ".Nd ask bookd for books\n"
            ".Sh SYNOPSIS\n"
            ".Nm\n"
            ".Op Ar OPTION ...\n"
            ".Ar COMMAND\n"
            ".Op Ar ARGUMENT ...\n"
            ".Sh DESCRIPTION\n"
            ".Nm\n"
            "reads and writes the books that\n"
            ".Xr bookd 8\n"
            "serves, and shows how it is doing.\n"
            "Options may stand before the command, behind it, and between "
            "its arguments; \\-\\- ends them.\n"
            ".Pp\n"
            "These options are for every command:\n"
            ".Bl -tag -width Ds\n");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (option_is_global(i)) {
            append_option(&b, &option_infos[i]);
        }
    }
    buf_append_string(&b, ".El\n.Sh COMMANDS\n.Bl -tag -width Ds\n");
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        append_subcommand(&b, i);
    }
    buf_append_string(&b, ".El\n");
    for (size_t i = 0; i < help_n_topics; i++) {
        append_topic(&b, &help_topics[i]);
    }
    buf_append_string(&b, ".Sh ENVIRONMENT\n");
    append_items(&b, "Ev", help_variables, help_n_variables);
    buf_append_string(&b, ".Sh EXIT STATUS\n");
    append_items(&b, "", help_exits, help_n_exits);
    append_examples(&b);
    buf_append_string(&b, ".Sh SEE ALSO\n"
                          ".Xr redis-cli 1 ,\n"
                          ".Xr bookd.conf 5 ,\n"
                          ".Xr bookd 8\n");
    print_write(stdout, &b);
    buf_destroy(&b);
}
