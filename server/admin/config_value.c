/* SPDX-License-Identifier: MIT */
/*
 * Strings are judged here, numbers in config_scalar.c; a refusal is one
 * sentence, made from the directive's row of the table.
 */
#include "server/admin/config_value.h"

#include "common/mem.h"
#include "server/admin/config_limits.h"
#include "server/admin/config_scalar.h"
#include "server/admin/config_tables.h"
#include "server/admin/config_text.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>

void config_value_destroy(struct config_value *value)
{
    free(value->text);
    value->text = NULL;
}

bool config_value_is_text(const struct config_directive *d)
{
    return d->kind == CONFIG_STRING || d->kind == CONFIG_WORDS ||
           d->kind == CONFIG_PERCENTILES || d->kind == CONFIG_TABLES ||
           d->kind == CONFIG_LIMITS || d->kind == CONFIG_USERS;
}

bool config_value_equal(const struct config_value *a,
                        const struct config_value *b)
{
    if (a->text == NULL || b->text == NULL) {
        return a->text == b->text && a->number == b->number;
    }
    return strcmp(a->text, b->text) == 0;
}

/* What a value of the wrong form should have looked like. */
static const char *example(const struct config_directive *d)
{
    switch (d->kind) {
    case CONFIG_DURATION:
        return ", as in 250us 100ms 5s 1m 1h 1d";
    case CONFIG_SIZE:
        return ", as in 64kb 256mb 2gb";
    case CONFIG_PERCENT:
        return ", as in 5% 0.1%";
    default:
        return "";
    }
}

/* Appends "name: "text" is not …". */
static void refuse(const struct config_directive *d, struct slice text,
                   enum err err, struct buf *detail)
{
    buf_printf(detail, "%s: ", d->name);
    config_text_show(text, detail);
    buf_append_string(detail, " is not ");
    config_text_describe(d, detail);
    if (err == ERR_INVALID) {
        buf_append_string(detail, example(d));
    }
}

/* One space between words, none around them. */
static char *normalise_words(struct slice text)
{
    struct buf words = {0};
    bool space = false;
    for (size_t i = 0; i < text.size; i++) {
        if (memchr(" \t\r\n", text.data[i], 4) != NULL) {
            space = words.size > 0;
            continue;
        }
        if (space) {
            buf_append_char(&words, ' ');
            space = false;
        }
        buf_append_char(&words, text.data[i]);
    }
    char *copy = xslicedup(buf_slice(&words));
    buf_destroy(&words);
    return copy;
}

/* Each word is a number from 0 to 100. */
static bool are_percentiles(const char *words)
{
    const char *p = words;

    while (*p != '\0') {
        char *end;
        const double value = strtod(p, &end);
        /* Written so that it is false for what is no number. */
        if (!isdigit((unsigned char)*p) || !(value >= 0 && value <= 100) ||
            (*end != ' ' && *end != '\0')) {
            return false;
        }
        p = end + strspn(end, " ");
    }
    return true;
}

static enum err parse_text(const struct config_directive *d, struct slice text,
                           char **copy)
{
    /* Measured first: nobody makes us copy more than a directive may hold. */
    if ((int64_t)text.size > d->max) {
        return ERR_RANGE;
    }
    if (text.size > 0 && memchr(text.data, '\0', text.size) != NULL) {
        return ERR_INVALID;
    }
    char *words = d->kind == CONFIG_WORDS || d->kind == CONFIG_PERCENTILES ||
                          d->kind == CONFIG_LIMITS
                      ? normalise_words(text)
                      : xslicedup(text);
    if ((int64_t)strlen(words) < d->min) {
        free(words);
        return ERR_RANGE;
    }
    if (d->kind == CONFIG_PERCENTILES && !are_percentiles(words)) {
        free(words);
        return ERR_INVALID;
    }
    *copy = words;
    return ERR_OK;
}

/* Checks the text of a 'table' and makes it what its entries print as. */
static enum err normalise_tables(char **text, struct buf *detail)
{
    struct table_entries entries = {0};
    const enum err err =
        config_tables_apply(&entries, slice_from_string(*text), detail);
    if (err == ERR_OK) {
        struct buf formatted = {0};
        config_tables_format(&entries, &formatted);
        free(*text);
        *text = xslicedup(buf_slice(&formatted));
        buf_destroy(&formatted);
    }
    config_tables_clear(&entries);
    return err;
}

/* The same of client-output-buffer-limit. */
static enum err normalise_limits(char **text, struct buf *detail)
{
    struct config_limits limits = {0};
    const enum err err = config_limits_apply(&limits, *text, detail);
    if (err == ERR_OK) {
        struct buf formatted = {0};
        config_limits_format(&limits, &formatted);
        free(*text);
        *text = xslicedup(buf_slice(&formatted));
        buf_destroy(&formatted);
    }
    return err;
}

enum err config_value_parse(const struct config_directive *d, struct slice text,
                            struct config_value *value, struct buf *detail)
{
    struct config_value parsed = {0};
    enum err err = config_value_is_text(d)
                       ? parse_text(d, text, &parsed.text)
                       : config_scalar_parse(d, text, &parsed.number);
    if (err != ERR_OK) {
        refuse(d, text, err, detail);
        return err;
    }
    if (d->kind == CONFIG_TABLES) {
        err = normalise_tables(&parsed.text, detail);
    } else if (d->kind == CONFIG_LIMITS) {
        err = normalise_limits(&parsed.text, detail);
    }
    if (err != ERR_OK) {
        config_value_destroy(&parsed);
        return err;
    }
    *value = parsed;
    return ERR_OK;
}

struct config_value config_value_default(const struct config_directive *d)
{
    struct config_value value = {0};
    struct buf detail = {0};
    const enum err err = config_value_parse(
        d, slice_from_string(d->default_text), &value, &detail);
    buf_destroy(&detail);
    assert(err == ERR_OK); /* A test tries every row of the table. */
    (void)err;
    return value;
}

void config_value_format(const struct config_directive *d,
                         const struct config_value *value, struct buf *out)
{
    if (config_value_is_text(d)) {
        buf_append_string(out, value->text);
    } else if (value->number == config_value_default(d).number) {
        buf_append_string(out, d->default_text);
    } else {
        config_scalar_format(d, value->number, out);
    }
}

void config_value_format_redis(const struct config_directive *d,
                               const struct config_value *value,
                               struct buf *out)
{
    if (d->kind == CONFIG_LIMITS) {
        struct config_limits limits = {0};
        config_limits_apply_own(&limits, value->text);
        config_limits_format_redis(&limits, out);
    } else if (d->kind == CONFIG_EVENTS) {
        config_scalar_format(d, value->number, out);
    } else if (d->bare != 0 && value->number >= 0 &&
               value->number % d->bare == 0) {
        buf_append_int64(out, value->number / d->bare);
    } else {
        config_value_format(d, value, out);
    }
}
