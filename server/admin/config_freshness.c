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

enum err freshness_check(const struct freshness *f, const char *text,
                         struct buf *detail)
{
    enum err err = ERR_OK;
    struct table_entries entries = {0};
    config_tables_apply_own(&entries, text);
    for (size_t i = 0; f->is_known && i < entries.count; i++) {
        if (!is_table(f, entries.list[i].name)) {
            buf_append_string(detail, err == ERR_OK ? "" : "\n");
            complain(f, entries.list[i].name, detail);
            err = ERR_INVALID;
        }
    }
    config_tables_clear(&entries);
    return err;
}

char *freshness_sum(struct freshness *f, const char *now, const char *change,
                    enum config_source source)
{
    struct table_entries entries = {0};
    struct buf text = {0};
    if (source == CONFIG_FROM_ARGS) {
        config_tables_apply_own(&f->pinned, change);
    }
    if (source != CONFIG_FROM_RELOAD) {
        config_tables_apply_own(&entries, now);
    }
    config_tables_apply_own(&entries, change);
    if (source != CONFIG_FROM_CLIENT) {
        config_tables_format(&f->pinned, &text);
        config_tables_apply_own(&entries, buf_string(&text));
        buf_clear(&text);
    }
    config_tables_settle(&entries);
    config_tables_format(&entries, &text);
    char *sum = xslicedup(buf_slice(&text));
    buf_destroy(&text);
    config_tables_clear(&entries);
    return sum;
}

/* The entry for 'name'; NULL if there is none. */
static const struct table_entry *find(const struct table_entries *entries,
                                      const char *name)
{
    for (size_t i = 0; i < entries->count; i++) {
        if (strcmp(entries->list[i].name, name) == 0) {
            return &entries->list[i];
        }
    }
    return NULL;
}

void freshness_apply(const struct freshness *f, const char *text,
                     struct config *c)
{
    struct table_entries entries = {0};
    config_tables_apply_own(&entries, text);
    for (size_t i = 0; i < f->n_names; i++) {
        const struct table_entry *entry = find(&entries, f->names[i]);
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
