/* SPDX-License-Identifier: MIT */
/*
 * help: the tables as text for people, wrapped to the terminal.
 */
#include "client/help.h"

#include "client/client.h"
#include "client/nearest.h"
#include "client/print.h"

#include <stdio.h>

#define TEXT_COLUMNS_MAX 80 /* Longer lines are hard to read … */
#define TEXT_COLUMNS_MIN 50 /* … and so are columns of single words. */

#define TOPIC(name, title, text) {name, title, text},
const struct help_topic help_topics[] = {
#include "client/manual.def"
};
const size_t help_n_topics = ARRAY_LEN(help_topics);

#define EXIT(name, code, text) {#code, text},
const struct help_item help_exits[] = {
#include "client/manual.def"
};
const size_t help_n_exits = ARRAY_LEN(help_exits);

#define VARIABLE(name, text) {#name, text},
const struct help_item help_variables[] = {
#include "client/manual.def"
};
const size_t help_n_variables = ARRAY_LEN(help_variables);

/* ---- layout ---- */

static size_t text_columns(void)
{
    const int columns = print_stdout()->columns;

    if (columns < TEXT_COLUMNS_MIN) {
        return TEXT_COLUMNS_MIN;
    }
    return columns > TEXT_COLUMNS_MAX ? TEXT_COLUMNS_MAX : (size_t)columns;
}

/* Appends one paragraph, 'size' bytes of ASCII at 'text', wrapped, each line
 * indented by 'indent'; the first begins at column 'at'. */
static void wrap(struct buf *b, const char *text, size_t size, size_t indent,
                 size_t at)
{
    const size_t columns = text_columns();

    for (size_t i = 0; i < size;) {
        const char *space = memchr(text + i, ' ', size - i);
        const size_t end = space == NULL ? size : (size_t)(space - text);

        if (at > indent && at + 1 + (end - i) > columns) {
            buf_append_char(b, '\n');
            at = 0;
        } else if (at > indent) {
            buf_append_char(b, ' ');
            at++;
        }
        if (at < indent) {
            buf_printf(b, "%*s", (int)(indent - at), "");
            at = indent;
        }
        buf_append(b, text + i, end - i);
        at += end - i;
        i = end + 1;
    }
    buf_append_char(b, '\n');
}

/* Paragraphs, separated by empty lines. */
static void append_paragraphs(struct buf *b, const char *text, size_t indent)
{
    while (*text != '\0') {
        const char *end = strchrnul(text, '\n');
        if (end > text) {
            wrap(b, text, (size_t)(end - text), indent, 0);
        } else {
            buf_append_char(b, '\n');
        }
        text = *end == '\0' ? end : end + 1;
    }
}

/* "  name    text text", the text beginning at column 'indent'. */
static void append_item(struct buf *b, const char *name, const char *text,
                        size_t indent)
{
    const size_t at = strlen(name) + 2;

    buf_printf(b, "  %s", name);
    if (at + 2 > indent) {
        buf_append_char(b, '\n');
        wrap(b, text, strlen(text), indent, 0);
    } else {
        wrap(b, text, strlen(text), indent, at);
    }
}

static void append_heading(struct buf *b, const char *title)
{
    buf_append_char(b, '\n');
    print_styled(b, print_stdout(), STYLE_BOLD, title);
    buf_append_char(b, '\n');
}

static void append_option(struct buf *b, const struct option_info *info)
{
    struct buf name = {0};
    struct buf text = {0};

    if (info->letter != 0) {
        buf_printf(&name, "-%c, ", info->letter);
    } else {
        buf_append_string(&name, "    ");
    }
    buf_printf(&name, "--%s", info->name);
    if (info->argument != NULL) {
        buf_printf(&name, " %s", info->argument);
    }
    buf_append_string(&text, info->summary);
    if (info->standard[0] != '\0') {
        buf_printf(&text, " Default: %s.", info->standard);
    }
    append_item(b, buf_string(&name), buf_string(&text), 28);
    buf_destroy(&text);
    buf_destroy(&name);
}

/* ---- pages ---- */

void help_overview(void)
{
    struct buf b = {0};

    buf_append_string(&b, "Usage: bookctl [OPTION...] COMMAND "
                          "[ARGUMENT...]\n\n"
                          "Asks bookd for books.\n");
    append_heading(&b, "Commands");
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        append_item(&b, subcommands[i].name, subcommands[i].summary, 12);
    }
    append_heading(&b, "Options");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (option_is_global(i)) {
            append_option(&b, &option_infos[i]);
        }
    }
    append_heading(&b, "Exit status");
    for (size_t i = 0; i < help_n_exits; i++) {
        append_item(&b, help_exits[i].name, help_exits[i].text, 12);
    }
    append_heading(&b, "Environment");
    for (size_t i = 0; i < help_n_variables; i++) {
        append_item(&b, help_variables[i].name, help_variables[i].text, 16);
    }
    append_heading(&b, "More");
    append_item(&b, "bookctl help COMMAND",
                "explains a command, with its options and examples.", 28);
    for (size_t i = 0; i < help_n_topics; i++) {
        struct buf name = {0};
        buf_printf(&name, "bookctl help %s", help_topics[i].name);
        append_item(&b, buf_string(&name), help_topics[i].title, 28);
        buf_destroy(&name);
    }
    print_write(stdout, &b);
    buf_destroy(&b);
}

static void append_examples(struct buf *b, const char *examples)
{
    while (*examples != '\0') {
        const char *end = strchrnul(examples, '\n');
        buf_append_string(b, "  ");
        buf_append(b, examples, (size_t)(end - examples));
        buf_append_char(b, '\n');
        examples = *end == '\0' ? end : end + 1;
    }
}

void help_subcommand(const struct subcommand *subcommand)
{
    const enum subcommand_id id =
        (enum subcommand_id)(subcommand - subcommands);
    bool heading = false;
    struct buf b = {0};

    buf_printf(&b, "Usage: bookctl [OPTION...] %s%s%s\n\n", subcommand->name,
               subcommand->arguments[0] != '\0' ? " " : "",
               subcommand->arguments);
    append_paragraphs(&b, subcommand->summary, 0);
    if (subcommand->details[0] != '\0') {
        buf_append_char(&b, '\n');
        append_paragraphs(&b, subcommand->details, 0);
    }
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        if (option_applies(i, id) && !option_is_global(i)) {
            if (!heading) {
                append_heading(&b, "Options");
            }
            heading = true;
            append_option(&b, &option_infos[i]);
        }
    }
    append_heading(&b, "Examples");
    append_examples(&b, subcommand->examples);
    buf_append_string(&b, "\nOptions for every command: bookctl help\n");
    print_write(stdout, &b);
    buf_destroy(&b);
}

static void show_topic(const struct help_topic *topic)
{
    struct buf b = {0};

    print_styled(&b, print_stdout(), STYLE_BOLD, topic->title);
    buf_append_string(&b, "\n\n");
    append_paragraphs(&b, topic->text, 0);
    print_write(stdout, &b);
    buf_destroy(&b);
}

enum status command_help(struct client *client)
{
    const struct args *args = client->args;
    const struct subcommand *subcommand;
    const char *names[SUBCOMMAND_COUNT];
    const char *nearest;

    if (args->n_words == 0) {
        help_overview();
        return STATUS_OK;
    }
    subcommand = args_find_subcommand(args->words[0]);
    if (subcommand != NULL) {
        help_subcommand(subcommand);
        return STATUS_OK;
    }
    for (size_t i = 0; i < help_n_topics; i++) {
        if (strcmp(help_topics[i].name, args->words[0]) == 0) {
            show_topic(&help_topics[i]);
            return STATUS_OK;
        }
    }
    for (size_t i = 0; i < SUBCOMMAND_COUNT; i++) {
        names[i] = subcommands[i].name;
    }
    nearest = nearest_name(args->words[0], names, SUBCOMMAND_COUNT);
    complain("there is no help about %s%s%s%s", args->words[0],
             nearest != NULL ? "; did you mean " : "",
             nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
    return STATUS_USAGE;
}
