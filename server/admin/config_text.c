/* SPDX-License-Identifier: MIT */
/*
 * Quoting, and the words for each kind of directive.
 */
#include "server/admin/config_text.h"

#include "server/admin/config_scalar.h"

#include <stdlib.h>

/* Bytes of a value that an error repeats. */
#define SHOWN_MAX 64

/* Has no meaning in a file.  Bytes from 0x80 on are text in UTF-8. */
static bool is_plain(char c)
{
    return (unsigned char)c > ' ' && c != '"' && c != '\\' && c != 0x7f;
}

void config_text_append_quoted(struct slice s, struct buf *out)
{
    buf_append_char(out, '"');
    for (size_t i = 0; i < s.size; i++) {
        const char c = s.data[i];
        if (is_plain(c) || c == ' ') {
            buf_append_char(out, c);
        } else if (c == '"' || c == '\\') {
            buf_printf(out, "\\%c", c);
        } else {
            buf_printf(out, "\\x%02x", (unsigned)(unsigned char)c);
        }
    }
    buf_append_char(out, '"');
}

void config_text_quote(struct slice s, struct buf *out)
{
    bool plain = s.size > 0 && s.data[0] != '#';
    for (size_t i = 0; plain && i < s.size; i++) {
        plain = is_plain(s.data[i]);
    }
    if (plain) {
        buf_append_slice(out, s);
    } else {
        config_text_append_quoted(s, out);
    }
}

bool config_text_is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *p = c == '\0' ? NULL : strchr(digits, c | 0x20);
    return p == NULL ? -1 : (int)(p - digits);
}

/* Reads one escape behind a '\' at '*p'; false if it is none. */
static bool take_escape(const char **p, struct buf *out)
{
    const char c = **p;
    if (c == 'x') {
        const int high = hex_digit((*p)[1]);
        const int low = high < 0 ? -1 : hex_digit((*p)[2]);
        if (low < 0) {
            return false;
        }
        buf_append_char(out, (char)(high << 4 | low));
        *p += 3;
        return true;
    }
    const char *from = "\"\\nrt";
    const char *to = "\"\\\n\r\t";
    const char *found = c == '\0' ? NULL : strchr(from, c);
    if (found == NULL) {
        return false;
    }
    buf_append_char(out, to[found - from]);
    *p += 1;
    return true;
}

const char *config_text_unquote(const char **p, struct buf *out)
{
    while (**p != '"') {
        if (**p == '\0') {
            return "a closing quote is missing";
        }
        if (**p != '\\') {
            buf_append_char(out, *(*p)++);
            continue;
        }
        ++*p;
        if (!take_escape(p, out)) {
            return "a backslash in quotes takes one of \" \\ n r t xHH";
        }
    }
    ++*p;
    return NULL;
}

void config_text_show(struct slice s, struct buf *out)
{
    const bool cut = s.size > SHOWN_MAX;
    config_text_append_quoted(cut ? slice_make(s.data, SHOWN_MAX) : s, out);
    if (cut) {
        buf_append_string(out, "...");
    }
}

/* "one of never, stale, always". */
static void describe_choices(const char *choices, struct buf *out)
{
    if (strchr(choices, ' ') == NULL) {
        buf_printf(out, "%s, the only choice so far", choices);
        return;
    }
    buf_append_string(out, "one of ");
    for (const char *c = choices; *c != '\0'; c++) {
        if (*c == ' ') {
            buf_append_char(out, ',');
        }
        buf_append_char(out, *c);
    }
}

/* "a duration from 1ms to 1d". */
static void describe_range(const char *what, const struct config_directive *d,
                           struct buf *out)
{
    buf_printf(out, "%s from ", what);
    config_scalar_format(d, d->min, out);
    buf_append_string(out, " to ");
    config_scalar_format(d, d->max, out);
}

/* "a text of at most 107 bytes". */
static void describe_length(const char *what, const struct config_directive *d,
                            struct buf *out)
{
    buf_printf(out, "%s of ", what);
    if (d->min == 0) {
        buf_append_string(out, "at most ");
    } else {
        buf_printf(out, "%lld to ", (long long)d->min);
    }
    buf_printf(out, "%lld bytes", (long long)d->max);
}

void config_text_describe(const struct config_directive *d, struct buf *out)
{
    switch (d->kind) {
    case CONFIG_INTEGER:
        if (d->min == d->max) {
            config_scalar_format(d, d->min, out);
            buf_append_string(out, ", the only value so far");
            return;
        }
        describe_range("a whole number", d, out);
        return;
    case CONFIG_DURATION:
        describe_range("a duration", d, out);
        return;
    case CONFIG_SIZE:
        if (d->min < 0) {
            buf_append_string(out, "a percentage up to ");
            config_scalar_format(d, d->min, out);
            buf_append_string(out, ", or a size up to ");
            config_scalar_format(d, d->max, out);
            return;
        }
        describe_range("a size", d, out);
        return;
    case CONFIG_PERCENT:
        describe_range("a percentage", d, out);
        return;
    case CONFIG_SWITCH:
        buf_append_string(out, "yes or no");
        return;
    case CONFIG_CHOICE:
        describe_choices(d->choices, out);
        return;
    case CONFIG_MODE:
        describe_range("an octal number", d, out);
        return;
    case CONFIG_STRING:
        if (d->max == 0) {
            buf_append_string(out, "empty");
        } else {
            describe_length("a text", d, out);
        }
        return;
    case CONFIG_WORDS:
        describe_length("a list of words", d, out);
        return;
    case CONFIG_PERCENTILES:
        buf_append_string(out, "a list of numbers from 0 to 100");
        return;
    case CONFIG_TABLES:
        buf_append_string(out, "a table's name and its options, each with its "
                               "value");
        return;
    case CONFIG_EVENTS:
        buf_append_string(out, "letters out of Ag$lshzxeKEtmdn");
        return;
    case CONFIG_LIMITS:
        buf_append_string(out, "classes of clients (normal, replica, slave, "
                               "pubsub), each with two sizes and a number of "
                               "seconds");
        return;
    case CONFIG_USERS:
        buf_append_string(out, "a user's name and rules, as of ACL SETUSER");
        return;
    }
    abort();
}

/* A choice of more is no short name. */
#define PLACEHOLDER_MAX 48

void config_text_placeholder(const struct config_directive *d, struct buf *out)
{
    switch (d->kind) {
    case CONFIG_INTEGER:
        buf_append_char(out, 'N');
        return;
    case CONFIG_DURATION:
        buf_append_string(out, "DURATION");
        return;
    case CONFIG_SIZE:
        buf_append_string(out, "SIZE");
        return;
    case CONFIG_PERCENT:
        buf_append_string(out, "N%");
        return;
    case CONFIG_SWITCH:
        buf_append_string(out, "yes|no");
        return;
    case CONFIG_CHOICE:
        if (strlen(d->choices) > PLACEHOLDER_MAX) {
            buf_append_string(out, "WORD");
            return;
        }
        for (const char *c = d->choices; *c != '\0'; c++) {
            buf_append_char(out, *c == ' ' ? '|' : *c);
        }
        return;
    case CONFIG_MODE:
        buf_append_string(out, "MODE");
        return;
    case CONFIG_EVENTS:
        buf_append_string(out, "LETTERS");
        return;
    case CONFIG_STRING:
    case CONFIG_WORDS:
    case CONFIG_PERCENTILES:
    case CONFIG_TABLES:
    case CONFIG_LIMITS:
    case CONFIG_USERS:
        buf_append_string(out, d->choices);
        return;
    }
    abort();
}
