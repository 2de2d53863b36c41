/* SPDX-License-Identifier: MIT */
/*
 * A value is parsed into entries of its own first, and these are laid over
 * the others only if all of it was good.
 */
#include "server/admin/config_tables.h"

#include "common/mem.h"
#include "server/admin/config_scalar.h"
#include "server/admin/config_text.h"
#include "server/admin/config_value.h"

#include <assert.h>
#include <stdlib.h>

/* Longest name of a table; databases have few beyond 63. */
#define NAME_MAX_BYTES 128

/* In the order of config_freshness_option(), and that of printing. */
static const enum config_id option_ids[CONFIG_FRESHNESS_OPTIONS] = {
    CONFIG_max_age,
    CONFIG_stale_while_revalidate,
    CONFIG_stale_if_error,
    CONFIG_negative_max_age,
};

void config_tables_clear(struct table_entries *all)
{
    for (size_t i = 0; i < all->count; i++) {
        free(all->list[i].name);
    }
    free(all->list);
    *all = (struct table_entries){0};
}

/* The entry called 'name', made if there is none. */
static struct table_entry *entry_for(struct table_entries *all,
                                     struct slice name)
{
    for (size_t i = 0; i < all->count; i++) {
        if (slice_equal(slice_from_string(all->list[i].name), name)) {
            return &all->list[i];
        }
    }
    all->list = xrealloc(all->list, (all->count + 1) * sizeof(*all->list));
    struct table_entry *entry = &all->list[all->count++];
    entry->name = xslicedup(name);
    for (size_t i = 0; i < CONFIG_FRESHNESS_OPTIONS; i++) {
        entry->options[i] = TABLE_OPTION_UNSAID;
    }
    return entry;
}

/* ---- parsing ---- */

/* Takes the next word of an entry; false at its end. */
static bool take_word(struct slice *rest, struct slice *word)
{
    size_t begin = 0;
    while (begin < rest->size && memchr(" \t\r\n", rest->data[begin], 4)) {
        begin++;
    }
    size_t end = begin;
    while (end < rest->size && !memchr(" \t\r\n;", rest->data[end], 5)) {
        end++;
    }
    *word = slice_make(rest->data + begin, end - begin);
    *rest = slice_make(rest->data + end, rest->size - end);
    return word->size > 0;
}

/* The place of the option called 'name'; CONFIG_FRESHNESS_OPTIONS if there is
 * none. */
static size_t find_option(struct slice name)
{
    size_t i = 0;
    while (
        i < CONFIG_FRESHNESS_OPTIONS &&
        !slice_equal_nocase(
            name, slice_from_string(config_directives[option_ids[i]].name))) {
        i++;
    }
    return i;
}

static bool is_name(struct slice word)
{
    bool good = word.size <= NAME_MAX_BYTES;
    for (size_t i = 0; good && i < word.size; i++) {
        const unsigned char c = (unsigned char)word.data[i];
        good = c > ' ' && c != 0x7f && c != '"' && c != '\\';
    }
    return good;
}

static enum err refuse_name(struct slice name, struct buf *detail)
{
    buf_append_string(detail, "table: ");
    if (find_option(name) < CONFIG_FRESHNESS_OPTIONS) {
        buf_printf(detail, "the table's name is missing in front of %.*s",
                   (int)name.size, name.data);
    } else {
        config_text_show(name, detail);
        buf_append_string(detail, " is no name of a table");
    }
    return ERR_INVALID;
}

static enum err refuse_option(const char *table, struct slice option,
                              struct buf *detail)
{
    buf_printf(detail, "table %s: there is no option ", table);
    config_text_show(option, detail);
    buf_append_string(detail, "; the options are");
    for (size_t i = 0; i < CONFIG_FRESHNESS_OPTIONS; i++) {
        buf_printf(detail, "%s %s", i == 0 ? "" : ",",
                   config_directives[option_ids[i]].name);
    }
    return ERR_INVALID;
}

static enum err parse_option(struct table_entry *entry, struct slice option,
                             struct slice *rest, struct buf *detail)
{
    const size_t i = find_option(option);
    if (i == CONFIG_FRESHNESS_OPTIONS) {
        return refuse_option(entry->name, option, detail);
    }
    const struct config_directive *d = &config_directives[option_ids[i]];
    struct slice value;
    if (!take_word(rest, &value)) {
        buf_printf(detail, "table %s: %s: the value is missing: ", entry->name,
                   d->name);
        config_text_describe(d, detail);
        buf_append_string(detail, ", or default");
        return ERR_INVALID;
    }
    if (slice_equal_nocase(value, SLICE("default"))) {
        entry->options[i] = CONFIG_FRESHNESS_GLOBAL;
        return ERR_OK;
    }
    struct config_value parsed;
    struct buf why = {0};
    const enum err err = config_value_parse(d, value, &parsed, &why);
    if (err == ERR_OK) {
        entry->options[i] = parsed.number;
    } else {
        buf_printf(detail, "table %s: ", entry->name);
        buf_append_slice(detail, buf_slice(&why));
    }
    buf_destroy(&why);
    return err;
}

static enum err parse(struct table_entries *all, struct slice text,
                      struct buf *detail)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && text.size > 0) {
        struct slice word;
        if (!take_word(&text, &word)) { /* Before a ';', or at the end. */
            text = text.size == 0 ? text
                                  : slice_make(text.data + 1, text.size - 1);
            continue;
        }
        if (!is_name(word) || find_option(word) < CONFIG_FRESHNESS_OPTIONS) {
            return refuse_name(word, detail);
        }
        struct table_entry *entry = entry_for(all, word);
        while (err == ERR_OK && take_word(&text, &word)) {
            err = parse_option(entry, word, &text, detail);
        }
    }
    return err;
}

enum err config_tables_apply(struct table_entries *all, struct slice text,
                             struct buf *detail)
{
    struct table_entries changes = {0};
    const enum err err = parse(&changes, text, detail);
    for (size_t i = 0; err == ERR_OK && i < changes.count; i++) {
        const struct table_entry *from = &changes.list[i];
        struct table_entry *to = entry_for(all, slice_from_string(from->name));
        for (size_t k = 0; k < CONFIG_FRESHNESS_OPTIONS; k++) {
            if (from->options[k] != TABLE_OPTION_UNSAID) {
                to->options[k] = from->options[k];
            }
        }
    }
    config_tables_clear(&changes);
    return err;
}

void config_tables_apply_own(struct table_entries *all, const char *text)
{
    struct buf detail = {0};
    const enum err err =
        config_tables_apply(all, slice_from_string(text), &detail);
    assert(err == ERR_OK);
    (void)err;
    buf_destroy(&detail);
}

/* ---- settling and formatting ---- */

void config_tables_settle(struct table_entries *all)
{
    size_t kept = 0;
    for (size_t i = 0; i < all->count; i++) {
        struct table_entry *entry = &all->list[i];
        bool is_empty = true;
        for (size_t k = 0; k < CONFIG_FRESHNESS_OPTIONS; k++) {
            if (entry->options[k] == CONFIG_FRESHNESS_GLOBAL) {
                entry->options[k] = TABLE_OPTION_UNSAID;
            }
            is_empty = is_empty && entry->options[k] == TABLE_OPTION_UNSAID;
        }
        if (is_empty) {
            free(entry->name);
        } else {
            all->list[kept++] = *entry;
        }
    }
    all->count = kept;
}

void config_tables_format_entry(const struct table_entry *entry,
                                struct buf *out)
{
    buf_append_string(out, entry->name);
    for (size_t i = 0; i < CONFIG_FRESHNESS_OPTIONS; i++) {
        const struct config_directive *d = &config_directives[option_ids[i]];
        if (entry->options[i] == TABLE_OPTION_UNSAID) {
            continue;
        }
        buf_printf(out, " %s ", d->name);
        if (entry->options[i] == CONFIG_FRESHNESS_GLOBAL) {
            buf_append_string(out, "default");
        } else {
            config_scalar_format(d, entry->options[i], out);
        }
    }
}

void config_tables_format(const struct table_entries *all, struct buf *out)
{
    for (size_t i = 0; i < all->count; i++) {
        buf_append_string(out, i == 0 ? "" : "; ");
        config_tables_format_entry(&all->list[i], out);
    }
}
