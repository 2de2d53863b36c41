/* SPDX-License-Identifier: MIT */
/*
 * The text of a 'table', word by word.
 */
#include "server/admin/config_layout.h"
#include "server/admin/config_scalar.h"
#include "server/admin/config_tables.h"
#include "server/admin/config_text.h"
#include "server/admin/config_value.h"

/* Longest name of a table; databases have few beyond 63. */
#define NAME_MAX_BYTES 128

const char *const table_layout_names[TABLE_LAYOUTS] = {"prefix", "key",
                                                       "columns", "writable"};

const enum config_id table_option_ids[CONFIG_FRESHNESS_OPTIONS] = {
    CONFIG_max_age,
    CONFIG_stale_while_revalidate,
    CONFIG_stale_if_error,
    CONFIG_negative_max_age,
};

/* The words of a value, one after the other. */
struct reader {
    const char *rest;
    struct buf word;   /* Owned. */
    const char *wrong; /* What is wrong with the word, or NULL. */
};

/* Takes the next word of an entry; false at its end, or if it is wrong. */
static bool take_word(struct reader *r)
{
    buf_clear(&r->word);
    while (config_text_is_space(*r->rest)) {
        r->rest++;
    }
    if (*r->rest == '"') {
        r->rest++;
        r->wrong = config_text_unquote(&r->rest, &r->word);
        if (r->wrong == NULL && *r->rest != '\0' && *r->rest != ';' &&
            !config_text_is_space(*r->rest)) {
            r->wrong = "a space is missing behind a closing quote";
        }
        return r->wrong == NULL;
    }
    const char *begin = r->rest;
    while (*r->rest != '\0' && *r->rest != ';' &&
           !config_text_is_space(*r->rest)) {
        r->rest++;
    }
    buf_append(&r->word, begin, (size_t)(r->rest - begin));
    return r->word.size > 0;
}

/* The place of the option called 'name'; CONFIG_FRESHNESS_OPTIONS if there is
 * none. */
static size_t find_option(struct slice name)
{
    size_t i = 0;
    while (i < CONFIG_FRESHNESS_OPTIONS &&
           !slice_equal_nocase(
               name, slice_from_string(
                         config_directives[table_option_ids[i]].name))) {
        i++;
    }
    return i;
}

/* The place of the layout word 'name'; TABLE_LAYOUTS if it is none. */
static size_t find_layout(struct slice name)
{
    size_t i = 0;

    while (
        i < TABLE_LAYOUTS &&
        !slice_equal_nocase(name, slice_from_string(table_layout_names[i]))) {
        i++;
    }
    return i;
}

static bool is_keyword(struct slice word)
{
    return find_option(word) < CONFIG_FRESHNESS_OPTIONS ||
           find_layout(word) < TABLE_LAYOUTS;
}

static bool is_name(struct slice word)
{
    bool good = word.size > 0 && word.size <= NAME_MAX_BYTES;

    for (size_t i = 0; good && i < word.size; i++) {
        const unsigned char c = (unsigned char)word.data[i];
        good = c >= ' ' && c != 0x7f;
    }
    return good;
}

static enum err refuse_name(struct slice name, struct buf *detail)
{
    buf_append_string(detail, "table: ");
    if (is_keyword(name)) {
        buf_printf(detail, "the table's name is missing in front of %.*s",
                   (int)name.size, name.data);
    } else {
        config_text_show(name, detail);
        buf_append_string(detail, " is no name of a table");
    }
    return ERR_INVALID;
}

static enum err refuse_word(const char *table, struct slice word,
                            struct buf *detail)
{
    buf_printf(detail, "table %s: there is no option ", table);
    config_text_show(word, detail);
    buf_append_string(detail, "; the options are");
    for (size_t i = 0; i < TABLE_LAYOUTS; i++) {
        buf_printf(detail, "%s %s", i == 0 ? "" : ",", table_layout_names[i]);
    }
    for (size_t i = 0; i < CONFIG_FRESHNESS_OPTIONS; i++) {
        buf_printf(detail, ", %s", config_directives[table_option_ids[i]].name);
    }
    return ERR_INVALID;
}

/* Takes the word behind another; ERR_INVALID, with the beginning of a sentence
 * in 'detail', if there is none. */
static enum err take_value(struct reader *r, const char *table,
                           const char *option, struct buf *detail)
{
    if (take_word(r)) {
        return ERR_OK;
    }
    buf_printf(detail, "table %s: %s: %s", table, option,
               r->wrong != NULL ? r->wrong : "the value is missing");
    return ERR_INVALID;
}

static enum err check_layout(size_t i, struct slice value, struct buf *why)
{
    struct layout_key keys[LAYOUT_KEYS_MAX];
    size_t n_keys;

    if (value.size > 0 && memchr(value.data, '\0', value.size) != NULL) {
        buf_printf(why, "%s has a NUL in it", table_layout_names[i]);
        return ERR_INVALID;
    }
    switch ((enum table_layout)i) {
    case TABLE_PREFIX:
        if (value.size > 0) {
            return ERR_OK;
        }
        buf_append_string(why, "prefix is empty, so that every key would be a "
                               "row; write one such as user:");
        return ERR_INVALID;
    case TABLE_KEY:
        return layout_parse_key(value, keys, &n_keys, why);
    case TABLE_COLUMNS:
        return layout_check_columns(value, why);
    case TABLE_WRITABLE:
        if (slice_equal_nocase(value, SLICE("yes")) ||
            slice_equal_nocase(value, SLICE("no"))) {
            return ERR_OK;
        }
        buf_append_string(why, "writable: ");
        config_text_show(value, why);
        buf_append_string(why, " is not yes or no");
        return ERR_INVALID;
    case TABLE_LAYOUTS:
        break;
    }
    return ERR_INVALID;
}

static enum err parse_layout(struct table_entry *entry, size_t i,
                             struct reader *r, struct buf *detail)
{
    struct buf why = {0};
    enum err err = take_value(r, entry->name, table_layout_names[i], detail);

    if (err != ERR_OK) {
        return err;
    }
    const struct slice value = buf_slice(&r->word);
    err = check_layout(i, value, &why);
    if (err == ERR_OK && i == TABLE_WRITABLE) {
        config_tables_set_layout(entry, i,
                                 slice_equal_nocase(value, SLICE("yes"))
                                     ? SLICE("yes")
                                     : SLICE("no"));
    } else if (err == ERR_OK) {
        config_tables_set_layout(entry, i, value);
    } else {
        buf_printf(detail, "table %s: ", entry->name);
        buf_append_slice(detail, buf_slice(&why));
    }
    buf_destroy(&why);
    return err;
}

static enum err parse_option(struct table_entry *entry, size_t i,
                             struct reader *r, struct buf *detail)
{
    const struct config_directive *d = &config_directives[table_option_ids[i]];
    enum err err = take_value(r, entry->name, d->name, detail);

    if (err != ERR_OK) {
        if (r->wrong == NULL) {
            buf_append_string(detail, ": ");
            config_text_describe(d, detail);
            buf_append_string(detail, ", or default");
        }
        return err;
    }
    const struct slice value = buf_slice(&r->word);
    if (slice_equal_nocase(value, SLICE("default"))) {
        entry->options[i] = CONFIG_FRESHNESS_GLOBAL;
        return ERR_OK;
    }
    struct config_value parsed;
    struct buf why = {0};
    err = config_value_parse(d, value, &parsed, &why);
    if (err == ERR_OK) {
        entry->options[i] = parsed.number;
    } else {
        buf_printf(detail, "table %s: ", entry->name);
        buf_append_slice(detail, buf_slice(&why));
    }
    buf_destroy(&why);
    return err;
}

/* The word in the reader and, behind it, its value. */
static enum err parse_word(struct table_entry *entry, struct reader *r,
                           struct buf *detail)
{
    const struct slice word = buf_slice(&r->word);
    const size_t option = find_option(word);
    const size_t layout = find_layout(word);

    if (option < CONFIG_FRESHNESS_OPTIONS) {
        return parse_option(entry, option, r, detail);
    }
    if (layout < TABLE_LAYOUTS) {
        return parse_layout(entry, layout, r, detail);
    }
    return refuse_word(entry->name, word, detail);
}

static enum err parse_entry(struct table_entries *all, struct reader *r,
                            struct buf *detail)
{
    const struct slice name = buf_slice(&r->word);
    enum err err = ERR_OK;

    if (!is_name(name) || is_keyword(name)) {
        return refuse_name(name, detail);
    }
    struct table_entry *entry = config_tables_entry(all, name);
    while (err == ERR_OK && take_word(r)) {
        err = parse_word(entry, r, detail);
    }
    return err;
}

enum err config_tables_parse(struct table_entries *all, const char *text,
                             struct buf *detail)
{
    struct reader r = {.rest = text};
    enum err err = ERR_OK;

    while (err == ERR_OK && r.wrong == NULL && *r.rest != '\0') {
        if (take_word(&r)) {
            err = parse_entry(all, &r, detail);
        } else if (*r.rest == ';') {
            r.rest++;
        }
    }
    if (err == ERR_OK && r.wrong != NULL) {
        buf_printf(detail, "table: %s", r.wrong);
        err = ERR_INVALID;
    }
    buf_destroy(&r.word);
    return err;
}
