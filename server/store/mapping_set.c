/* SPDX-License-Identifier: MIT */
#include "server/store/mapping_set.h"

#include <assert.h>
#include <stdlib.h>

#include "common/mem.h"
#include "server/admin/config_layout.h"
#include "server/admin/config_tables.h"
#include "server/admin/config_text.h"

static_assert(LAYOUT_KEYS_MAX == MAPPING_KEYS_MAX,
              "what can be configured can be mapped");

/* All strings are owned. */
struct draft {
    char *table;
    char *prefix;
    char *key;     /* The template that 'keys' point into. */
    char *columns; /* "a,b,c"; NULL: all. */
    struct layout_key keys[LAYOUT_KEYS_MAX];
    size_t n_keys;
    bool writable;
    bool is_builtin;
};

struct mapping_set {
    struct draft *drafts; /* Owned. */
    size_t n_drafts;
    size_t n_done;            /* Drafts that were completed or left out. */
    struct mapping *list;     /* Owned, with all they point to but 'table',
                                  'prefix' and texts, which are the drafts'. */
    struct mappings mappings; /* Over 'list'. */
};

/* ---- drafts ---- */

/* Only books have a prefix and a key that need not be said. */
static enum err require_layout(const struct table_entry *entry,
                               struct buf *detail)
{
    const char *prefix = entry->layout[TABLE_PREFIX];
    const char *key = entry->layout[TABLE_KEY];

    if (prefix != NULL && key != NULL) {
        return ERR_OK;
    }
    buf_printf(detail, "table %s: it has no %s; write table ", entry->name,
               prefix != NULL ? "key"
               : key != NULL  ? "prefix"
                              : "prefix and no key");
    config_tables_quote(slice_from_string(entry->name), detail);
    buf_append_string(detail, " prefix ");
    config_tables_quote(slice_from_string(prefix != NULL ? prefix : "PREFIX:"),
                        detail);
    buf_append_string(detail, " key ");
    config_tables_quote(slice_from_string(key != NULL ? key : "COLUMN"),
                        detail);
    buf_append_char(detail, '\n');
    return ERR_INVALID;
}

static char *or_default(const char *text, const char *otherwise)
{
    return xstrdup(text != NULL ? text : otherwise);
}

/* 'entry' is NULL for books that no directive names. */
static enum err fill_draft(struct draft *draft, const struct table_entry *entry,
                           struct buf *detail)
{
    static const struct table_entry books = {.name =
                                                 (char *)(uintptr_t) "books"};
    const bool is_books = entry == NULL || strcmp(entry->name, "books") == 0;
    enum err err = ERR_OK;

    if (entry == NULL) {
        entry = &books;
    }
    if (!is_books) {
        err = require_layout(entry, detail);
    }
    const char *writable = entry->layout[TABLE_WRITABLE];
    *draft = (struct draft){
        .table = xstrdup(entry->name),
        .prefix = or_default(entry->layout[TABLE_PREFIX], "book:"),
        .key = or_default(entry->layout[TABLE_KEY], "id"),
        .columns = entry->layout[TABLE_COLUMNS] == NULL
                       ? NULL
                       : xstrdup(entry->layout[TABLE_COLUMNS]),
        .writable = writable == NULL || strcmp(writable, "yes") == 0,
        .is_builtin = is_books && !config_tables_has_layout(entry),
    };
    /* The configuration was parsed, so this is right. */
    const enum err wrong = layout_parse_key(
        slice_from_string(draft->key), draft->keys, &draft->n_keys, detail);
    return err != ERR_OK ? err : wrong;
}

static bool names(const struct draft *draft, struct slice column)
{
    struct slice rest = slice_from_string(draft->columns);
    struct slice one;

    while (layout_next_column(&rest, &one)) {
        if (slice_equal_nocase(one, column)) {
            return true;
        }
    }
    return false;
}

/* What one draft says of itself and of those before it. */
static enum err check_draft(const struct mapping_set *set, size_t index,
                            struct buf *detail)
{
    const struct draft *draft = &set->drafts[index];
    enum err err = ERR_OK;

    for (size_t i = 0; i < index; i++) {
        if (strcmp(set->drafts[i].prefix, draft->prefix) == 0) {
            buf_printf(detail, "table %s: prefix ", draft->table);
            config_text_show(slice_from_string(draft->prefix), detail);
            buf_printf(detail, " is that of table %s too\n",
                       set->drafts[i].table);
            err = ERR_INVALID;
        }
    }
    for (size_t k = 0; draft->columns != NULL && k < draft->n_keys; k++) {
        if (!names(draft, draft->keys[k].column)) {
            const struct slice column = draft->keys[k].column;
            buf_printf(detail,
                       "table %s: columns leaves out %.*s, which is of the "
                       "key; write columns %.*s,%s\n",
                       draft->table, (int)column.size, column.data,
                       (int)column.size, column.data, draft->columns);
            err = ERR_INVALID;
        }
    }
    return err;
}

static enum err add_draft(struct mapping_set *set,
                          const struct table_entry *entry, struct buf *detail)
{
    const size_t index = set->n_drafts++;
    const enum err err = fill_draft(&set->drafts[index], entry, detail);

    return err == ERR_OK ? check_draft(set, index, detail) : err;
}

enum err mapping_set_new(struct mapping_set **setp,
                         const struct table_entries *entries,
                         struct buf *detail)
{
    struct mapping_set *set = xmalloc(sizeof(*set));
    /* Books come first, whatever is said of them. */
    const struct table_entry *books = config_tables_find(entries, "books");

    *set = (struct mapping_set){
        .drafts = xcalloc(entries->count + 1, sizeof(*set->drafts)),
        .list = xcalloc(entries->count + 1, sizeof(*set->list)),
    };
    set->mappings.list = set->list;
    enum err err = add_draft(set, books, detail);
    for (size_t i = 0; i < entries->count; i++) {
        if (&entries->list[i] != books) {
            const enum err wrong = add_draft(set, &entries->list[i], detail);
            err = err == ERR_OK ? wrong : err;
        }
    }
    if (err == ERR_OK && set->n_drafts > CONFIG_TABLES_MAX) {
        buf_printf(detail, "there are %zu tables; there can be %d\n",
                   set->n_drafts, CONFIG_TABLES_MAX);
        err = ERR_INVALID;
    }
    if (err == ERR_OK) {
        *setp = set;
    } else {
        mapping_set_free(set);
    }
    return err;
}

static void free_names(const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free((char *)(uintptr_t)names[i]);
    }
    free((void *)(uintptr_t)names);
}

void mapping_set_free(struct mapping_set *set)
{
    if (set == NULL) {
        return;
    }
    for (size_t i = 0; i < set->mappings.count; i++) {
        const struct mapping *mapping = &set->list[i];
        free_names(mapping->columns, mapping->n_columns);
        free((void *)(uintptr_t)mapping->affinities);
        free((void *)(uintptr_t)mapping->generated);
        free((void *)(uintptr_t)mapping->keys);
    }
    for (size_t i = 0; i < set->n_drafts; i++) {
        free(set->drafts[i].table);
        free(set->drafts[i].prefix);
        free(set->drafts[i].key);
        free(set->drafts[i].columns);
    }
    free(set->drafts);
    free(set->list);
    free(set);
}

size_t mapping_set_count(const struct mapping_set *set)
{
    return set->n_drafts;
}

struct mapping_draft mapping_set_draft(const struct mapping_set *set,
                                       size_t index)
{
    return (struct mapping_draft){
        .table = set->drafts[index].table,
        .key = set->drafts[index].key,
        .is_builtin = set->drafts[index].is_builtin,
    };
}

/* ---- completing ---- */

/* A mapping in the making. */
struct making {
    const struct draft *draft;
    const struct table_shape *shape;
    const char **names;
    enum column_affinity *affinities;
    bool *generated;
    struct mapping_key *keys;
    size_t n_columns;
    bool integer_key;
};

static const struct table_column *find_column(const struct table_shape *shape,
                                              struct slice name)
{
    for (size_t i = 0; i < shape->n_columns; i++) {
        if (slice_equal_nocase(slice_from_string(shape->columns[i].name),
                               name)) {
            return &shape->columns[i];
        }
    }
    return NULL;
}

static enum err no_column(const struct making *m, struct slice name,
                          struct buf *detail)
{
    buf_printf(detail, "table %s: it has no column ", m->draft->table);
    config_text_show(name, detail);
    buf_append_string(detail, "; its columns are ");
    for (size_t i = 0; i < m->shape->n_columns; i++) {
        buf_printf(detail, "%s%s", i == 0 ? "" : ", ",
                   m->shape->columns[i].name);
    }
    return ERR_STORE_MAPPING;
}

static enum err add_column(struct making *m, struct slice name,
                           struct buf *detail)
{
    const struct table_column *column = find_column(m->shape, name);

    if (column == NULL) {
        return no_column(m, name, detail);
    }
    /* As the database spells it. */
    m->names[m->n_columns] = xstrdup(column->name);
    m->affinities[m->n_columns] = column->affinity;
    m->generated[m->n_columns] = column->generated;
    m->n_columns++;
    return ERR_OK;
}

static enum err add_columns(struct making *m, struct buf *detail)
{
    enum err err = ERR_OK;

    if (m->draft->columns == NULL) {
        for (size_t i = 0; i < m->shape->n_columns && err == ERR_OK; i++) {
            err = add_column(m, slice_from_string(m->shape->columns[i].name),
                             detail);
        }
        return err;
    }
    struct slice rest = slice_from_string(m->draft->columns);
    struct slice name;
    while (err == ERR_OK && layout_next_column(&rest, &name)) {
        err = add_column(m, name, detail);
    }
    return err;
}

static enum err add_keys(struct making *m, struct buf *detail)
{
    for (size_t k = 0; k < m->draft->n_keys; k++) {
        const struct layout_key *key = &m->draft->keys[k];
        const struct table_column *column = find_column(m->shape, key->column);
        size_t i = 0;
        if (column == NULL) {
            return no_column(m, key->column, detail);
        }
        while (strcmp(m->names[i], column->name) != 0) {
            i++; /* check_draft() has seen to its being there. */
        }
        m->keys[k] = (struct mapping_key){.column = i, .after = key->after};
        m->integer_key = m->draft->n_keys == 1 && column->only_integers;
    }
    return ERR_OK;
}

enum err mapping_set_complete(struct mapping_set *set,
                              const struct table_shape *shape,
                              struct buf *detail)
{
    assert(set->n_done < set->n_drafts);
    const struct draft *draft = &set->drafts[set->n_done++];

    if (shape == NULL) {
        return ERR_OK;
    }
    struct making m = {
        .draft = draft,
        .shape = shape,
        .names = xcalloc(shape->n_columns, sizeof(*m.names)),
        .affinities = xcalloc(shape->n_columns, sizeof(*m.affinities)),
        .generated = xcalloc(shape->n_columns, sizeof(*m.generated)),
        .keys = xcalloc(draft->n_keys, sizeof(*m.keys)),
    };
    enum err err = add_columns(&m, detail);
    if (err == ERR_OK) {
        err = add_keys(&m, detail);
    }
    if (err != ERR_OK) {
        free_names(m.names, m.n_columns);
        free(m.affinities);
        free(m.generated);
        free(m.keys);
        return err;
    }
    const size_t index = set->mappings.count++;
    set->list[index] = (struct mapping){
        .table = draft->table,
        .prefix = slice_from_string(draft->prefix),
        .keys = m.keys,
        .n_keys = draft->n_keys,
        .columns = m.names,
        .affinities = m.affinities,
        .generated = m.generated,
        .n_columns = m.n_columns,
        .index = index,
        .writable = draft->writable && !shape->is_view,
        .is_view = shape->is_view,
        .integer_key = m.integer_key,
    };
    return ERR_OK;
}

const struct mappings *mapping_set_mappings(const struct mapping_set *set)
{
    return &set->mappings;
}
