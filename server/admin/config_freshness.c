/* SPDX-License-Identifier: MIT */
/*
 * The text of 'table' is what counts; the numbers are made from it anew at
 * each change.
 */
#include "server/admin/config_freshness.h"

#include "common/mem.h"
#include "server/admin/config_text.h"

#include <assert.h>
#include <stdlib.h>

void freshness_destroy(struct freshness *f)
{
    for (size_t i = 0; i < f->n_names; i++) {
        free(f->names[i]);
    }
    free(f->names);
    config_tables_clear(&f->pinned);
}

enum err freshness_learn(struct freshness *f, const char *const *names,
                         size_t n, struct buf *detail)
{
    assert(!f->is_known);
    if (n > CONFIG_TABLES_MAX) {
        buf_printf(detail, "there are %zu tables; there can be %d", n,
                   CONFIG_TABLES_MAX);
        return ERR_RANGE;
    }
    f->names = xcalloc(n, sizeof(*f->names));
    for (f->n_names = 0; f->n_names < n; f->n_names++) {
        f->names[f->n_names] = xstrdup(names[f->n_names]);
    }
    f->is_known = true;
    return ERR_OK;
}

static bool is_table(const struct freshness *f, const char *name)
{
    size_t i = 0;
    while (i < f->n_names && strcmp(f->names[i], name) != 0) {
        i++;
    }
    return i < f->n_names;
}

static void complain(const struct freshness *f, const char *name,
                     struct buf *detail)
{
    buf_append_string(detail, "table: there is no table ");
    config_text_show(slice_from_string(name), detail);
    if (f->n_names > 0) {
        buf_append_string(detail, f->n_names == 1 ? "; there is only "
                                                  : "; there are ");
    }
    for (size_t i = 0; i < f->n_names; i++) {
        buf_printf(detail, "%s%s", i == 0 ? "" : ", ", f->names[i]);
    }
}

enum err freshness_check(const struct freshness *f, const char *now,
                         const char *text, bool from_file, struct buf *detail)
{
    enum err err = ERR_OK;
    struct table_entries entries = {0};
    struct table_entries present = {0};

    config_tables_apply_own(&entries, text);
    config_tables_apply_own(&present, now);
    for (size_t i = 0; f->is_known && i < entries.count; i++) {
        const struct table_entry *entry = &entries.list[i];
        const bool is_same = config_tables_keeps_layout(
            entry, config_tables_find(&present, entry->name));
        if (is_same ? is_table(f, entry->name) : from_file) {
            continue;
        }
        buf_append_string(detail, err == ERR_OK ? "" : "\n");
        if (is_same) {
            complain(f, entry->name, detail);
        } else {
            buf_printf(detail,
                       "table %s: prefix, key, columns and writable are set "
                       "only at start",
                       entry->name);
        }
        err = ERR_INVALID;
    }
    config_tables_clear(&present);
    config_tables_clear(&entries);
    return err;
}

/* What 'entry' says of the layout, in words. */
static void describe(const struct table_entry *entry, struct buf *out)
{
    if (entry == NULL || !config_tables_has_layout(entry)) {
        buf_append_string(out, " as if it said nothing of prefix and key");
    } else {
        config_tables_format_layout(entry, out);
    }
}

static void compare(const char *name, const struct table_entry *before,
                    const struct table_entry *after, const char *path,
                    struct buf *detail)
{
    struct buf old = {0};
    struct buf new = {0};

    describe(before, &old);
    describe(after, &new);
    if (!slice_equal(buf_slice(&old), buf_slice(&new))) {
        buf_printf(detail,
                   "%s: table %s stays%s until a restart, which makes it%s\n",
                   path, name, buf_string(&old), buf_string(&new));
    }
    buf_destroy(&old);
    buf_destroy(&new);
}

void freshness_compare(const struct freshness *f, const char *now,
                       const char *text, const char *path, struct buf *detail)
{
    struct table_entries before = {0};
    struct table_entries after = {0};
    struct buf pinned = {0};

    config_tables_format(&f->pinned, &pinned);
    config_tables_apply_own(&before, now);
    config_tables_apply_own(&after, text);
    config_tables_apply_own(&after, buf_string(&pinned));
    for (size_t i = 0; i < before.count; i++) {
        const char *name = before.list[i].name;
        compare(name, &before.list[i], config_tables_find(&after, name), path,
                detail);
    }
    for (size_t i = 0; i < after.count; i++) {
        const char *name = after.list[i].name;
        if (config_tables_find(&before, name) == NULL) {
            compare(name, NULL, &after.list[i], path, detail);
        }
    }
    buf_destroy(&pinned);
    config_tables_clear(&before);
    config_tables_clear(&after);
}

/* Takes the entries out whose tables are unknown. */
static void forget_unknown(const struct freshness *f,
                           struct table_entries *entries)
{
    for (size_t i = 0; i < entries->count; i++) {
        struct table_entry *entry = &entries->list[i];
        if (!is_table(f, entry->name)) {
            for (size_t k = 0; k < CONFIG_FRESHNESS_OPTIONS; k++) {
                entry->options[k] = TABLE_OPTION_UNSAID;
            }
        }
    }
}

char *freshness_sum(struct freshness *f, const char *now, const char *change,
                    enum config_source source)
{
    struct table_entries entries = {0};
    struct table_entries present = {0};
    struct buf text = {0};

    if (source == CONFIG_FROM_ARGS) {
        config_tables_apply_own(&f->pinned, change);
    }
    config_tables_apply_own(&present, now);
    if (source != CONFIG_FROM_RELOAD) {
        config_tables_apply_own(&entries, now);
    }
    config_tables_apply_own(&entries, change);
    if (source != CONFIG_FROM_CLIENT) {
        config_tables_format(&f->pinned, &text);
        config_tables_apply_own(&entries, buf_string(&text));
        buf_clear(&text);
    }
    if (f->is_known) {
        forget_unknown(f, &entries);
        config_tables_copy_layout(&entries, &present);
    }
    config_tables_settle(&entries);
    config_tables_format(&entries, &text);
    char *sum = xslicedup(buf_slice(&text));
    buf_destroy(&text);
    config_tables_clear(&present);
    config_tables_clear(&entries);
    return sum;
}

void freshness_apply(const struct freshness *f, const char *text,
                     struct config *c)
{
    struct table_entries entries = {0};
    config_tables_apply_own(&entries, text);
    for (size_t i = 0; i < f->n_names; i++) {
        const struct table_entry *entry =
            config_tables_find(&entries, f->names[i]);
        for (size_t k = 0; k < CONFIG_FRESHNESS_OPTIONS; k++) {
            const bool is_said =
                entry != NULL && entry->options[k] != TABLE_OPTION_UNSAID;
            atomic_store_explicit(&c->tables[i][k],
                                  is_said ? entry->options[k]
                                          : CONFIG_FRESHNESS_GLOBAL,
                                  memory_order_relaxed);
        }
    }
    config_tables_clear(&entries);
}
