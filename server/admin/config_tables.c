/* SPDX-License-Identifier: MIT */
/*
 * A value is parsed into entries of its own first, and these are laid over
 * the others only if all of it was good.
 */
#include "server/admin/config_tables.h"

#include "common/mem.h"
#include "server/admin/config_layout.h"
#include "server/admin/config_scalar.h"
#include "server/admin/config_text.h"
#include "server/admin/config_value.h"

#include <assert.h>
#include <stdlib.h>

static void clear_entry(struct table_entry *entry)
{
    free(entry->name);
    for (size_t i = 0; i < TABLE_LAYOUTS; i++) {
        free(entry->layout[i]);
    }
}

void config_tables_clear(struct table_entries *all)
{
    for (size_t i = 0; i < all->count; i++) {
        clear_entry(&all->list[i]);
    }
    free(all->list);
    *all = (struct table_entries){0};
}

static struct table_entry *find(const struct table_entries *all,
                                struct slice name)
{
    for (size_t i = 0; i < all->count; i++) {
        if (slice_equal(slice_from_string(all->list[i].name), name)) {
            return &all->list[i];
        }
    }
    return NULL;
}

const struct table_entry *config_tables_find(const struct table_entries *all,
                                             const char *name)
{
    return find(all, slice_from_string(name));
}

struct table_entry *config_tables_entry(struct table_entries *all,
                                        struct slice name)
{
    struct table_entry *entry = find(all, name);

    if (entry != NULL) {
        return entry;
    }
    all->list = xrealloc(all->list, (all->count + 1) * sizeof(*all->list));
    entry = &all->list[all->count++];
    *entry = (struct table_entry){.name = xslicedup(name)};
    for (size_t i = 0; i < CONFIG_FRESHNESS_OPTIONS; i++) {
        entry->options[i] = TABLE_OPTION_UNSAID;
    }
    return entry;
}

void config_tables_set_layout(struct table_entry *entry, size_t i,
                              struct slice value)
{
    free(entry->layout[i]);
    entry->layout[i] = xslicedup(value);
}

/* Lays what 'change' says over 'to'. */
static void apply_entry(struct table_entry *to,
                        const struct table_entry *change)
{
    for (size_t k = 0; k < TABLE_LAYOUTS; k++) {
        if (change->layout[k] != NULL) {
            config_tables_set_layout(to, k,
                                     slice_from_string(change->layout[k]));
        }
    }
    for (size_t k = 0; k < CONFIG_FRESHNESS_OPTIONS; k++) {
        if (change->options[k] != TABLE_OPTION_UNSAID) {
            to->options[k] = change->options[k];
        }
    }
}

enum err config_tables_apply(struct table_entries *all, struct slice text,
                             struct buf *detail)
{
    struct table_entries changes = {0};
    char *copy = xslicedup(text);
    const enum err err = config_tables_parse(&changes, copy, detail);

    for (size_t i = 0; err == ERR_OK && i < changes.count; i++) {
        const struct table_entry *change = &changes.list[i];
        apply_entry(config_tables_entry(all, slice_from_string(change->name)),
                    change);
    }
    free(copy);
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

/* ---- layouts ---- */

bool config_tables_has_layout(const struct table_entry *entry)
{
    for (size_t k = 0; k < TABLE_LAYOUTS; k++) {
        if (entry->layout[k] != NULL) {
            return true;
        }
    }
    return false;
}

bool config_tables_keeps_layout(const struct table_entry *change,
                                const struct table_entry *now)
{
    for (size_t k = 0; k < TABLE_LAYOUTS; k++) {
        const char *is = now == NULL ? NULL : now->layout[k];
        if (change->layout[k] != NULL &&
            (is == NULL || strcmp(change->layout[k], is) != 0)) {
            return false;
        }
    }
    return true;
}

void config_tables_copy_layout(struct table_entries *all,
                               const struct table_entries *from)
{
    for (size_t i = 0; i < all->count; i++) {
        for (size_t k = 0; k < TABLE_LAYOUTS; k++) {
            free(all->list[i].layout[k]);
            all->list[i].layout[k] = NULL;
        }
    }
    for (size_t i = 0; i < from->count; i++) {
        const struct table_entry *entry = &from->list[i];
        for (size_t k = 0; k < TABLE_LAYOUTS; k++) {
            if (entry->layout[k] != NULL) {
                config_tables_set_layout(
                    config_tables_entry(all, slice_from_string(entry->name)), k,
                    slice_from_string(entry->layout[k]));
            }
        }
    }
}

/* ---- settling and formatting ---- */

void config_tables_settle(struct table_entries *all)
{
    size_t kept = 0;

    for (size_t i = 0; i < all->count; i++) {
        struct table_entry *entry = &all->list[i];
        bool is_empty = !config_tables_has_layout(entry);
        for (size_t k = 0; k < CONFIG_FRESHNESS_OPTIONS; k++) {
            if (entry->options[k] == CONFIG_FRESHNESS_GLOBAL) {
                entry->options[k] = TABLE_OPTION_UNSAID;
            }
            is_empty = is_empty && entry->options[k] == TABLE_OPTION_UNSAID;
        }
        if (is_empty) {
            clear_entry(entry);
        } else {
            all->list[kept++] = *entry;
        }
    }
    all->count = kept;
}

void config_tables_quote(struct slice s, struct buf *out)
{
    bool plain = s.size > 0;

    for (size_t i = 0; plain && i < s.size; i++) {
        const unsigned char c = (unsigned char)s.data[i];
        plain = c > ' ' && c != 0x7f && strchr(";\"\\", c) == NULL;
    }
    if (plain) {
        buf_append_slice(out, s);
    } else {
        config_text_append_quoted(s, out);
    }
}

void config_tables_format_layout(const struct table_entry *entry,
                                 struct buf *out)
{
    for (size_t k = 0; k < TABLE_LAYOUTS; k++) {
        if (entry->layout[k] != NULL) {
            buf_printf(out, " %s ", table_layout_names[k]);
            config_tables_quote(slice_from_string(entry->layout[k]), out);
        }
    }
}

void config_tables_format_entry(const struct table_entry *entry,
                                struct buf *out)
{
    config_tables_quote(slice_from_string(entry->name), out);
    config_tables_format_layout(entry, out);
    for (size_t i = 0; i < CONFIG_FRESHNESS_OPTIONS; i++) {
        const struct config_directive *d =
            &config_directives[table_option_ids[i]];
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
