/* SPDX-License-Identifier: MIT */
/*
 * Rows in a sorted array under one mutex; a transaction is a list of rows that
 * replace others at its commit.  Rows never change: who reads one copies it.
 *
 * Every call of the engine enters and leaves through the same two functions,
 * which count it, hold it and make it fail.
 */
#include "tests/support/fake_store.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/lock.h"
#include "common/log.h"
#include "common/mem.h"

#define COLUMNS_MAX 8
#define KEY_GATES_MAX 8
#define FAILURES_MAX 16
#define WAIT_US (INT64_C(30) * 1000000)

/* What a sorted list holds: something that begins with its key. */
struct item {
    struct slice key; /* Owned. */
};

struct list {
    struct item **items; /* By key. */
    size_t count;
    size_t places;
};

struct value {
    enum column_type type;
    struct slice bytes; /* Owned. */
};

struct row {
    struct item item;
    bool absent;                   /* In a transaction: to be removed. */
    const struct mapping *mapping; /* NULL: a plain key, one value. */
    struct value values[COLUMNS_MAX];
    int64_t expires_ms;
};

struct tally {
    struct item item;
    unsigned count;
};

struct gate {
    bool closed;
    unsigned held;   /* Calls that stand here. */
    unsigned passes; /* Calls that may go through although it is closed. */
};

struct key_gate {
    char *key; /* Owned; NULL: free. */
    enum fake_call call;
    enum fake_moment moment;
};

struct failure {
    unsigned left; /* 0: free. */
    enum fake_call call;
    char *key; /* Owned; NULL: any. */
    enum err err;
};

struct fake_store {
    struct mutex lock; /* Rank LOCK_LEAF. */
    struct cond changed;
    struct list rows GUARDED_BY(lock);
    struct list pending GUARDED_BY(lock); /* Of the transaction. */
    unsigned n_applied GUARDED_BY(lock);
    unsigned group GUARDED_BY(lock);
    unsigned n_open GUARDED_BY(lock); /* Readers and writers. */
    unsigned calls[FAKE_CALLS] GUARDED_BY(lock);
    struct list reads GUARDED_BY(lock); /* Of struct tally. */
    struct gate gates[FAKE_CALLS][2] GUARDED_BY(lock);
    struct key_gate key_gates[KEY_GATES_MAX] GUARDED_BY(lock);
    struct failure failures[FAILURES_MAX] GUARDED_BY(lock);
    bool checkpoint_due GUARDED_BY(lock);
};

struct engine_database {
    struct fake_store *fake;
};

struct engine_reader {
    struct fake_store *fake;
};

struct engine_writer {
    struct fake_store *fake;
};

/* The one there is; set and cleared while no store is open. */
static struct fake_store *current;

/* ---- sorted lists ---- */

static struct slice copy_slice(struct slice s)
{
    return slice_make(xslicedup(s), s.size);
}

static void free_slice(struct slice s)
{
    free((void *)(uintptr_t)s.data);
}

static int compare(struct slice a, struct slice b)
{
    const size_t size = a.size < b.size ? a.size : b.size;
    const int order = size == 0 ? 0 : memcmp(a.data, b.data, size);

    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* Where 'key' is, or belongs; '*found' says which. */
static size_t position(const struct list *list, struct slice key, bool *found)
{
    size_t low = 0;
    size_t high = list->count;

    *found = false;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        const int order = compare(list->items[middle]->key, key);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static struct item *list_find(const struct list *list, struct slice key)
{
    bool found;
    const size_t i = position(list, key, &found);

    return found ? list->items[i] : NULL;
}

/* Puts 'item' in; returns what was there under its key, or NULL. */
static struct item *list_put(struct list *list, struct item *item)
{
    bool found;
    const size_t i = position(list, item->key, &found);

    if (found) {
        struct item *old = list->items[i];
        list->items[i] = item;
        return old;
    }
    if (list->count == list->places) {
        list->places = list->places == 0 ? 64 : list->places * 2;
        list->items =
            xrealloc(list->items, list->places * sizeof(*list->items));
    }
    memmove(&list->items[i + 1], &list->items[i],
            (list->count - i) * sizeof(*list->items));
    list->items[i] = item;
    list->count++;
    return NULL;
}

static struct item *list_take(struct list *list, struct slice key)
{
    bool found;
    const size_t i = position(list, key, &found);

    if (!found) {
        return NULL;
    }
    struct item *item = list->items[i];
    list->count--;
    memmove(&list->items[i], &list->items[i + 1],
            (list->count - i) * sizeof(*list->items));
    return item;
}

/* ---- rows ---- */

static struct row *row_new(const struct mapping *mapping, struct slice key)
{
    struct row *row = xcalloc(1, sizeof(*row));

    row->item.key = copy_slice(key);
    row->mapping = mapping;
    return row;
}

static void set_value(struct value *value, enum column_type type,
                      struct slice bytes)
{
    free_slice(value->bytes);
    value->type = type;
    value->bytes =
        type == COLUMN_NULL ? slice_make(NULL, 0) : copy_slice(bytes);
}

static void row_free(struct row *row)
{
    if (row != NULL) {
        for (size_t i = 0; i < COLUMNS_MAX; i++) {
            free_slice(row->values[i].bytes);
        }
        free_slice(row->item.key);
        free(row);
    }
}

static struct row *row_copy(const struct row *row)
{
    struct row *copy = row_new(row->mapping, row->item.key);

    for (size_t i = 0; i < COLUMNS_MAX; i++) {
        set_value(&copy->values[i], row->values[i].type, row->values[i].bytes);
    }
    copy->expires_ms = row->expires_ms;
    return copy;
}

static bool lives(const struct row *row, int64_t now_ms)
{
    return row != NULL && !row->absent &&
           (row->expires_ms == 0 || row->expires_ms > now_ms);
}

/* The committed row, or what the transaction made of it. */
static const struct row *row_of(const struct fake_store *fake, struct slice key,
                                bool in_transaction) REQUIRES(fake->lock)
{
    const struct item *item = NULL;

    if (in_transaction) {
        item = list_find(&fake->pending, key);
    }
    if (item == NULL) {
        item = list_find(&fake->rows, key);
    }
    return (const struct row *)item;
}

static void commit_row(struct fake_store *fake, struct row *row)
    REQUIRES(fake->lock)
{
    if (row->absent) {
        row_free((struct row *)list_take(&fake->rows, row->item.key));
        row_free(row);
    } else {
        row_free((struct row *)list_put(&fake->rows, &row->item));
    }
}

/* Hands 'row' out in the store's terms. */
static struct store_row shown(const struct row *row,
                              struct store_column columns[COLUMNS_MAX])
{
    for (size_t i = 0; i < COLUMNS_MAX; i++) {
        columns[i] = (struct store_column){
            .type = row->values[i].type,
            .bytes = row->values[i].bytes.size == 0 ? SLICE("")
                                                    : row->values[i].bytes,
        };
    }
    return (struct store_row){.mapping = row->mapping,
                              .columns = columns,
                              .expires_ms = row->expires_ms};
}

/* ---- entering and leaving calls ---- */

static bool key_matches(const char *wanted, struct slice key)
{
    return slice_equal(slice_from_string(wanted), key);
}

static bool is_held(const struct fake_store *fake, enum fake_call call,
                    enum fake_moment moment, struct slice key)
    REQUIRES(fake->lock)
{
    if (fake->gates[call][moment].closed) {
        return true;
    }
    for (size_t i = 0; i < KEY_GATES_MAX; i++) {
        const struct key_gate *gate = &fake->key_gates[i];
        if (gate->key != NULL && gate->call == call && gate->moment == moment &&
            key_matches(gate->key, key)) {
            return true;
        }
    }
    return false;
}

static void stand_at(struct fake_store *fake, enum fake_call call,
                     enum fake_moment moment, struct slice key)
    REQUIRES(fake->lock)
{
    struct gate *gate = &fake->gates[call][moment];

    gate->held++;
    cond_broadcast(&fake->changed);
    while (is_held(fake, call, moment, key)) {
        if (gate->passes > 0) {
            gate->passes--;
            break;
        }
        cond_wait(&fake->changed, &fake->lock);
    }
    gate->held--;
    cond_broadcast(&fake->changed);
}

static enum err take_failure(struct fake_store *fake, enum fake_call call,
                             struct slice key) REQUIRES(fake->lock)
{
    for (size_t i = 0; i < FAILURES_MAX; i++) {
        struct failure *failure = &fake->failures[i];
        if (failure->left > 0 && failure->call == call &&
            (failure->key == NULL || key_matches(failure->key, key))) {
            failure->left--;
            if (failure->left == 0) {
                free(failure->key);
                failure->key = NULL;
            }
            return failure->err;
        }
    }
    return ERR_OK;
}

static void count_read(struct fake_store *fake, struct slice key)
    REQUIRES(fake->lock)
{
    struct tally *tally = (struct tally *)list_find(&fake->reads, key);

    if (tally == NULL) {
        tally = xcalloc(1, sizeof(*tally));
        tally->item.key = copy_slice(key);
        list_put(&fake->reads, &tally->item);
    }
    tally->count++;
}

static enum err enter(struct fake_store *fake, enum fake_call call,
                      struct slice key, struct buf *detail) REQUIRES(fake->lock)
{
    fake->calls[call]++;
    if (call == FAKE_READ) {
        count_read(fake, key);
    }
    cond_broadcast(&fake->changed);
    stand_at(fake, call, FAKE_BEFORE, key);
    const enum err err = take_failure(fake, call, key);
    if (err != ERR_OK && detail != NULL) {
        buf_append_string(detail, "as the test wanted");
    }
    return err;
}

/* A call that does nothing but what the test wants. */
static enum err pass_through(struct fake_store *fake, enum fake_call call,
                             struct buf *detail)
{
    mutex_lock(&fake->lock);
    const enum err err = enter(fake, call, SLICE(""), detail);
    if (err == ERR_OK) {
        stand_at(fake, call, FAKE_AFTER, SLICE(""));
    }
    mutex_unlock(&fake->lock);
    return err;
}

static void whole_key(const struct mapping *mapping, struct slice key,
                      struct buf *whole)
{
    if (mapping != NULL) {
        buf_append_slice(whole, mapping->prefix);
    }
    buf_append_slice(whole, key);
}

/* ---- the engine: life ---- */

static enum err fake_open(struct engine_database **databasep,
                          const struct engine_options *options,
                          struct buf *detail)
{
    (void)options;
    if (current == NULL) {
        log_fatal("fake_store: opened before fake_store_new()");
    }
    const enum err err = pass_through(current, FAKE_OPEN, detail);
    if (err == ERR_OK) {
        *databasep = xmalloc(sizeof(**databasep));
        (*databasep)->fake = current;
    }
    return err;
}

static void fake_close(struct engine_database *database)
{
    free(database);
}

static void add_open(struct fake_store *fake, unsigned delta)
{
    mutex_lock(&fake->lock);
    fake->n_open += delta;
    mutex_unlock(&fake->lock);
}

static enum err fake_reader_open(struct engine_database *database,
                                 struct engine_reader **readerp,
                                 struct buf *detail)
{
    struct fake_store *fake = database->fake;
    const enum err err = pass_through(fake, FAKE_READER_OPEN, detail);

    if (err == ERR_OK) {
        add_open(fake, 1);
        *readerp = xmalloc(sizeof(**readerp));
        (*readerp)->fake = fake;
    }
    return err;
}

static void fake_reader_close(struct engine_reader *reader)
{
    add_open(reader->fake, (unsigned)-1);
    free(reader);
}

static enum err fake_writer_open(struct engine_database *database,
                                 struct engine_writer **writerp,
                                 struct buf *detail)
{
    struct fake_store *fake = database->fake;
    const enum err err = pass_through(fake, FAKE_WRITER_OPEN, detail);

    if (err == ERR_OK) {
        add_open(fake, 1);
        *writerp = xmalloc(sizeof(**writerp));
        (*writerp)->fake = fake;
    }
    return err;
}

static void fake_writer_close(struct engine_writer *writer)
{
    add_open(writer->fake, (unsigned)-1);
    free(writer);
}

/* ---- the engine: reads ---- */

static enum err fake_read(struct engine_reader *reader, struct store_read *read,
                          struct buf *detail)
{
    struct fake_store *fake = reader->fake;
    const int64_t now_ms = clock_wall_ms();
    struct buf key = {0};
    struct row *row = NULL;

    whole_key(read->mapping, read->key, &key);
    mutex_lock(&fake->lock);
    const enum err err = enter(fake, FAKE_READ, buf_slice(&key), detail);
    if (err == ERR_OK) {
        const struct row *found = row_of(fake, buf_slice(&key), false);
        row = lives(found, now_ms) ? row_copy(found) : NULL;
        stand_at(fake, FAKE_READ, FAKE_AFTER, buf_slice(&key));
    }
    mutex_unlock(&fake->lock);

    if (row != NULL) {
        struct store_column columns[COLUMNS_MAX];
        const struct store_row answer = shown(row, columns);
        read->row(read, &answer);
    }
    row_free(row);
    buf_destroy(&key);
    return err;
}

static bool is_wanted(const struct store_walk *walk, const struct row *row,
                      int64_t now_ms)
{
    const bool of_table = walk->only != NULL ? row->mapping == walk->only
                          : walk->plain_only ? row->mapping == NULL
                                             : true;
    return of_table && lives(row, now_ms);
}

/* Collects what walk->key() will be told. */
static void collect(struct fake_store *fake, struct store_walk *walk,
                    size_t count, int64_t now_ms, struct list *keys)
    REQUIRES(fake->lock)
{
    size_t i = (size_t)walk->cursor;

    for (; i < fake->rows.count && count > 0; i++, count--) {
        const struct row *row = (const struct row *)fake->rows.items[i];
        if (is_wanted(walk, row, now_ms)) {
            struct item *item = xmalloc(sizeof(*item));
            item->key = copy_slice(row->item.key);
            list_put(keys, item);
        }
    }
    walk->cursor = i < fake->rows.count ? i : 0;
}

static void free_items(struct list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free_slice(list->items[i]->key);
        free(list->items[i]);
    }
    free(list->items);
    *list = (struct list){0};
}

static enum err fake_scan(struct engine_reader *reader, struct store_walk *walk,
                          size_t count, struct buf *detail)
{
    struct fake_store *fake = reader->fake;
    const int64_t now_ms = clock_wall_ms();
    struct list keys = {0};

    mutex_lock(&fake->lock);
    const enum err err = enter(fake, FAKE_SCAN, SLICE(""), detail);
    if (err == ERR_OK) {
        collect(fake, walk, count, now_ms, &keys);
        stand_at(fake, FAKE_SCAN, FAKE_AFTER, SLICE(""));
    }
    mutex_unlock(&fake->lock);

    for (size_t i = 0; i < keys.count; i++) {
        walk->key(walk, keys.items[i]->key);
    }
    free_items(&keys);
    return err;
}

static enum err fake_count(struct engine_reader *reader,
                           struct store_walk *walk, struct buf *detail)
{
    struct fake_store *fake = reader->fake;
    const int64_t now_ms = clock_wall_ms();

    mutex_lock(&fake->lock);
    const enum err err = enter(fake, FAKE_COUNT, SLICE(""), detail);
    if (err == ERR_OK) {
        walk->n_keys = 0;
        for (size_t i = 0; i < fake->rows.count; i++) {
            const struct row *row = (const struct row *)fake->rows.items[i];
            walk->n_keys += is_wanted(walk, row, now_ms) ? 1 : 0;
        }
        stand_at(fake, FAKE_COUNT, FAKE_AFTER, SLICE(""));
    }
    mutex_unlock(&fake->lock);
    return err;
}

/* ---- the engine: writes ---- */

static enum err set_column(struct row *row, size_t column,
                           enum column_type type, struct slice bytes,
                           struct buf *detail)
{
    const char *name = row->mapping->columns[column];
    const bool whole = strcmp(name, "id") == 0 || strcmp(name, "year") == 0;
    int64_t number;

    if (whole && type != COLUMN_NULL) {
        if (!slice_to_int64(bytes, &number)) {
            buf_printf(detail,
                       "cannot store TEXT value in INTEGER column %s.%s",
                       row->mapping->table, name);
            return ERR_CONSTRAINT;
        }
        type = COLUMN_INTEGER;
    }
    set_value(&row->values[column], type, bytes);
    return ERR_OK;
}

static enum err set_named(struct row *row, struct slice name,
                          enum column_type type, struct slice bytes,
                          struct buf *detail)
{
    const size_t column = mapping_column(row->mapping, name);

    if (column == row->mapping->n_columns) {
        buf_printf(detail, "%s has no such column", row->mapping->table);
        return ERR_INVALID;
    }
    return set_column(row, column, type, bytes, detail);
}

/* Cuts the next token off '*text': a string without its quotes, a word or
 * number, or one character.  False at the end. */
static bool next_token(struct slice *text, struct slice *token, bool *string)
{
    size_t i = 0;

    while (i < text->size && strchr(" \t\r\n", text->data[i]) != NULL) {
        i++;
    }
    *text = slice_make(text->data + i, text->size - i);
    if (text->size == 0) {
        return false;
    }
    *string = text->data[0] == '"';
    i = 1;
    if (*string) {
        while (i < text->size && text->data[i] != '"') {
            i++;
        }
        *token = slice_make(text->data + 1, i - 1);
        i += i < text->size ? 1 : 0;
    } else {
        while (strchr("{}:,", text->data[0]) == NULL && i < text->size &&
               strchr(" \t\r\n{}:,", text->data[i]) == NULL) {
            i++;
        }
        *token = slice_make(text->data, i);
    }
    *text = slice_make(text->data + i, text->size - i);
    return true;
}

static enum err put_object(struct row *row, struct slice text,
                           struct buf *detail)
{
    struct slice token;
    struct slice name = {0};
    bool string;
    size_t n_tokens = 0;
    enum err err = ERR_OK;

    if (text.size < 2 || text.data[0] != '{' ||
        text.data[text.size - 1] != '}') {
        buf_append_string(detail, "the value of a record is a JSON object");
        return ERR_INVALID;
    }
    text = slice_make(text.data + 1, text.size - 2);
    /* name : value , name : value */
    while (err == ERR_OK && next_token(&text, &token, &string)) {
        if (n_tokens % 4 == 0) {
            name = token;
        } else if (n_tokens % 4 == 2) {
            const bool null = !string && slice_equal(token, SLICE("null"));
            err = set_named(row, name, null ? COLUMN_NULL : COLUMN_TEXT, token,
                            detail);
        }
        n_tokens++;
    }
    return err;
}

static enum err set_fields(struct row *row, struct store_write *write,
                           struct buf *detail)
{
    enum err err = ERR_OK;

    for (size_t i = 0; i + 1 < write->n_fields && err == ERR_OK; i += 2) {
        const size_t column = mapping_column(row->mapping, write->fields[i]);
        if (column < row->mapping->n_columns &&
            row->values[column].type == COLUMN_NULL) {
            write->n_new_fields++;
        }
        err = set_named(row, write->fields[i], COLUMN_TEXT,
                        write->fields[i + 1], detail);
    }
    return err;
}

static void put_pending(struct fake_store *fake, struct row *row)
    REQUIRES(fake->lock)
{
    row_free((struct row *)list_put(&fake->pending, &row->item));
}

static void put_absent(struct fake_store *fake, struct slice key)
    REQUIRES(fake->lock)
{
    struct row *row = row_new(NULL, key);

    row->absent = true;
    put_pending(fake, row);
}

static enum err put_row(struct fake_store *fake, struct store_write *write,
                        struct slice key, const struct row *old,
                        struct buf *detail) REQUIRES(fake->lock)
{
    struct row *row = write->op == STORE_SET_COLUMNS && old != NULL
                          ? row_copy(old)
                          : row_new(write->mapping, key);
    const size_t title = mapping_column(write->mapping, SLICE("title"));
    enum err err = write->op == STORE_SET_COLUMNS
                       ? set_fields(row, write, detail)
                       : put_object(row, write->value, detail);

    if (err == ERR_OK) {
        err = set_column(row, write->mapping->key_index, COLUMN_INTEGER,
                         write->key, detail);
    }
    if (err == ERR_OK && row->values[title].type == COLUMN_NULL) {
        buf_append_string(detail, "NOT NULL constraint failed: books.title");
        err = ERR_CONSTRAINT;
    }
    if (err != ERR_OK) {
        row_free(row);
        return err;
    }
    put_pending(fake, row);
    return ERR_OK;
}

static void clear_plain(struct fake_store *fake, struct store_write *write)
    REQUIRES(fake->lock)
{
    for (size_t i = 0; i < fake->pending.count; i++) {
        struct row *row = (struct row *)fake->pending.items[i];
        if (row->mapping == NULL && !row->absent) {
            row->absent = true;
            write->n_changed++;
        }
    }
    for (size_t i = 0; i < fake->rows.count; i++) {
        const struct row *row = (const struct row *)fake->rows.items[i];
        if (row->mapping == NULL &&
            list_find(&fake->pending, row->item.key) == NULL) {
            put_absent(fake, row->item.key);
            write->n_changed++;
        }
    }
}

static enum err change(struct fake_store *fake, struct store_write *write,
                       struct slice key, int64_t now_ms, struct buf *detail)
    REQUIRES(fake->lock)
{
    const struct row *old = row_of(fake, key, true);
    enum err err = ERR_OK;
    struct row *row;

    old = lives(old, now_ms) ? old : NULL;
    const bool existed = old != NULL;
    switch (write->op) {
    case STORE_CLEAR_PLAIN:
        clear_plain(fake, write);
        return ERR_OK;
    case STORE_DELETE_PLAIN:
    case STORE_DELETE_ROW:
        put_absent(fake, key);
        write->n_changed = existed ? 1 : 0;
        return ERR_OK;
    case STORE_PUT_PLAIN:
        row = row_new(NULL, key);
        set_value(&row->values[0], COLUMN_BLOB, write->value);
        row->expires_ms = write->expires_ms;
        put_pending(fake, row);
        break;
    case STORE_PUT_ROW:
    case STORE_SET_COLUMNS:
        err = put_row(fake, write, key, old, detail);
        break;
    case STORE_BARRIER:
        return ERR_OK;
    }
    write->n_changed = err == ERR_OK && existed ? 1 : 0;
    write->n_created = err == ERR_OK && !existed ? 1 : 0;
    return err;
}

static enum err fake_apply(struct engine_writer *writer,
                           struct store_write *write, struct buf *detail)
{
    struct fake_store *fake = writer->fake;
    const int64_t now_ms = clock_wall_ms();
    struct buf key = {0};
    struct row *row = NULL;

    whole_key(write->mapping, write->key, &key);
    mutex_lock(&fake->lock);
    enum err err = enter(fake, FAKE_APPLY, buf_slice(&key), detail);
    if (err == ERR_OK) {
        err = change(fake, write, buf_slice(&key), now_ms, detail);
    }
    if (err == ERR_OK) {
        fake->n_applied++;
        const struct row *now = row_of(fake, buf_slice(&key), true);
        row = lives(now, now_ms) ? row_copy(now) : NULL;
        stand_at(fake, FAKE_APPLY, FAKE_AFTER, buf_slice(&key));
    }
    mutex_unlock(&fake->lock);

    if (row != NULL && write->row != NULL) {
        struct store_column columns[COLUMNS_MAX];
        const struct store_row answer = shown(row, columns);
        write->row(write, &answer);
    }
    row_free(row);
    buf_destroy(&key);
    return err;
}

static void drop_pending(struct fake_store *fake) REQUIRES(fake->lock)
{
    for (size_t i = 0; i < fake->pending.count; i++) {
        row_free((struct row *)fake->pending.items[i]);
    }
    fake->pending.count = 0;
    fake->n_applied = 0;
}

static enum err fake_begin(struct engine_writer *writer, struct buf *detail)
{
    return pass_through(writer->fake, FAKE_BEGIN, detail);
}

static enum err fake_commit(struct engine_writer *writer, struct buf *detail)
{
    struct fake_store *fake = writer->fake;

    mutex_lock(&fake->lock);
    const enum err err = enter(fake, FAKE_COMMIT, SLICE(""), detail);
    if (err == ERR_OK) {
        for (size_t i = 0; i < fake->pending.count; i++) {
            commit_row(fake, (struct row *)fake->pending.items[i]);
        }
        fake->pending.count = 0;
        fake->group = fake->n_applied;
        fake->n_applied = 0;
        stand_at(fake, FAKE_COMMIT, FAKE_AFTER, SLICE(""));
    }
    mutex_unlock(&fake->lock);
    return err;
}

static void fake_rollback(struct engine_writer *writer)
{
    struct fake_store *fake = writer->fake;

    mutex_lock(&fake->lock);
    (void)enter(fake, FAKE_ROLLBACK, SLICE(""), NULL);
    drop_pending(fake);
    mutex_unlock(&fake->lock);
}

static bool fake_checkpoint_due(const struct engine_writer *writer)
{
    struct fake_store *fake = writer->fake;

    mutex_lock(&fake->lock);
    const bool due = fake->checkpoint_due;
    mutex_unlock(&fake->lock);
    return due;
}

static enum err fake_checkpoint(struct engine_writer *writer,
                                struct buf *detail)
{
    return pass_through(writer->fake, FAKE_CHECKPOINT, detail);
}

static const struct engine engine_fake = {
    .scheme = "fake",
    .open = fake_open,
    .close = fake_close,
    .reader_open = fake_reader_open,
    .reader_close = fake_reader_close,
    .read = fake_read,
    .scan = fake_scan,
    .count = fake_count,
    .writer_open = fake_writer_open,
    .writer_close = fake_writer_close,
    .begin = fake_begin,
    .apply = fake_apply,
    .commit = fake_commit,
    .rollback = fake_rollback,
    .checkpoint_due = fake_checkpoint_due,
    .checkpoint = fake_checkpoint,
};

/* ---- for the test ---- */

struct fake_store *fake_store_new(void)
{
    if (current != NULL) {
        log_fatal("fake_store: there is one already");
    }
    current = xcalloc(1, sizeof(*current));
    mutex_init(&current->lock, LOCK_LEAF, "fake store");
    cond_init(&current->changed);
    return current;
}

void fake_store_free(struct fake_store *fake)
{
    if (fake == NULL) {
        return;
    }
    mutex_lock(&fake->lock);
    if (fake->n_open != 0) {
        log_fatal("fake_store: freed while a store is open over it");
    }
    drop_pending(fake);
    for (size_t i = 0; i < fake->rows.count; i++) {
        row_free((struct row *)fake->rows.items[i]);
    }
    free(fake->rows.items);
    free(fake->pending.items);
    free_items(&fake->reads);
    for (size_t i = 0; i < KEY_GATES_MAX; i++) {
        free(fake->key_gates[i].key);
    }
    for (size_t i = 0; i < FAILURES_MAX; i++) {
        free(fake->failures[i].key);
    }
    mutex_unlock(&fake->lock);
    cond_destroy(&fake->changed);
    mutex_destroy(&fake->lock);
    free(fake);
    current = NULL;
}

const struct engine *fake_store_engine(struct fake_store *fake)
{
    (void)fake;
    return &engine_fake;
}

void fake_store_set_book(struct fake_store *fake, const char *id,
                         const char *title, const char *author,
                         const char *year)
{
    const struct mapping *books = &mappings_builtin.list[0];
    const char *const texts[] = {id, title, author, year};
    struct buf key = {0};

    whole_key(books, slice_from_string(id), &key);
    struct row *row = row_new(books, buf_slice(&key));
    buf_destroy(&key);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (texts[i] != NULL) {
            set_value(&row->values[i],
                      i == 0 || i == 3 ? COLUMN_INTEGER : COLUMN_TEXT,
                      slice_from_string(texts[i]));
        }
    }
    mutex_lock(&fake->lock);
    commit_row(fake, row);
    mutex_unlock(&fake->lock);
}

void fake_store_set_plain(struct fake_store *fake, const char *key,
                          const char *value, int64_t expires_ms)
{
    struct row *row = row_new(NULL, slice_from_string(key));

    set_value(&row->values[0], COLUMN_BLOB, slice_from_string(value));
    row->expires_ms = expires_ms;
    mutex_lock(&fake->lock);
    commit_row(fake, row);
    mutex_unlock(&fake->lock);
}

bool fake_store_remove(struct fake_store *fake, const char *key)
{
    mutex_lock(&fake->lock);
    struct row *row =
        (struct row *)list_take(&fake->rows, slice_from_string(key));
    mutex_unlock(&fake->lock);
    row_free(row);
    return row != NULL;
}

bool fake_store_has(struct fake_store *fake, const char *key)
{
    mutex_lock(&fake->lock);
    const bool has = row_of(fake, slice_from_string(key), false) != NULL;
    mutex_unlock(&fake->lock);
    return has;
}

bool fake_store_get(struct fake_store *fake, const char *key,
                    const char *column, struct buf *out)
{
    bool found = false;

    mutex_lock(&fake->lock);
    const struct row *row = row_of(fake, slice_from_string(key), false);
    if (row != NULL) {
        const size_t i =
            column == NULL
                ? 0
                : mapping_column(row->mapping, slice_from_string(column));
        found = row->values[i].type != COLUMN_NULL;
        buf_append_slice(out, row->values[i].bytes);
    }
    mutex_unlock(&fake->lock);
    return found;
}

/* ---- gates ---- */

void fake_store_hold(struct fake_store *fake, enum fake_call call,
                     enum fake_moment moment)
{
    mutex_lock(&fake->lock);
    fake->gates[call][moment].closed = true;
    mutex_unlock(&fake->lock);
}

void fake_store_hold_key(struct fake_store *fake, enum fake_call call,
                         enum fake_moment moment, const char *key)
{
    size_t i = 0;

    mutex_lock(&fake->lock);
    while (i < KEY_GATES_MAX && fake->key_gates[i].key != NULL) {
        i++;
    }
    if (i == KEY_GATES_MAX) {
        log_fatal("fake_store: too many keys are held");
    }
    fake->key_gates[i] =
        (struct key_gate){.key = xstrdup(key), .call = call, .moment = moment};
    mutex_unlock(&fake->lock);
}

static void open_key_gates(struct fake_store *fake, enum fake_call call,
                           enum fake_moment moment, const char *key)
    REQUIRES(fake->lock)
{
    for (size_t i = 0; i < KEY_GATES_MAX; i++) {
        struct key_gate *gate = &fake->key_gates[i];
        if (gate->key != NULL && gate->call == call && gate->moment == moment &&
            (key == NULL || strcmp(gate->key, key) == 0)) {
            free(gate->key);
            gate->key = NULL;
        }
    }
    cond_broadcast(&fake->changed);
}

void fake_store_release(struct fake_store *fake, enum fake_call call,
                        enum fake_moment moment)
{
    mutex_lock(&fake->lock);
    fake->gates[call][moment].closed = false;
    fake->gates[call][moment].passes = 0;
    open_key_gates(fake, call, moment, NULL);
    mutex_unlock(&fake->lock);
}

void fake_store_release_key(struct fake_store *fake, enum fake_call call,
                            enum fake_moment moment, const char *key)
{
    mutex_lock(&fake->lock);
    open_key_gates(fake, call, moment, key);
    mutex_unlock(&fake->lock);
}

void fake_store_pass(struct fake_store *fake, enum fake_call call,
                     enum fake_moment moment, unsigned n)
{
    mutex_lock(&fake->lock);
    fake->gates[call][moment].passes += n;
    cond_broadcast(&fake->changed);
    mutex_unlock(&fake->lock);
}

/* Waits until '*number', which the lock guards, is at least 'n'. */
static void wait_for(struct fake_store *fake, const unsigned *number,
                     unsigned n)
{
    const int64_t deadline_us = clock_real_us() + WAIT_US;

    mutex_lock(&fake->lock);
    while (*number < n) {
        if (!cond_wait_until(&fake->changed, &fake->lock, deadline_us)) {
            log_fatal("fake_store: waited in vain for=%u there=%u", n, *number);
        }
    }
    mutex_unlock(&fake->lock);
}

void fake_store_wait_held(struct fake_store *fake, enum fake_call call,
                          enum fake_moment moment, unsigned n)
{
    wait_for(fake, &fake->gates[call][moment].held, n);
}

/* ---- failures and counts ---- */

void fake_store_fail(struct fake_store *fake, enum fake_call call,
                     const char *key, unsigned n, enum err err)
{
    size_t i = 0;

    mutex_lock(&fake->lock);
    while (i < FAILURES_MAX && fake->failures[i].left > 0) {
        i++;
    }
    if (i == FAILURES_MAX) {
        log_fatal("fake_store: too many failures are waiting");
    }
    fake->failures[i] = (struct failure){
        .left = n,
        .call = call,
        .key = key == NULL || n == 0 ? NULL : xstrdup(key),
        .err = err,
    };
    mutex_unlock(&fake->lock);
}

void fake_store_forgive(struct fake_store *fake)
{
    mutex_lock(&fake->lock);
    for (size_t i = 0; i < FAILURES_MAX; i++) {
        free(fake->failures[i].key);
        fake->failures[i] = (struct failure){0};
    }
    mutex_unlock(&fake->lock);
}

void fake_store_set_checkpoint_due(struct fake_store *fake, bool due)
{
    mutex_lock(&fake->lock);
    fake->checkpoint_due = due;
    mutex_unlock(&fake->lock);
}

unsigned fake_store_calls(struct fake_store *fake, enum fake_call call)
{
    mutex_lock(&fake->lock);
    const unsigned calls = fake->calls[call];
    mutex_unlock(&fake->lock);
    return calls;
}

unsigned fake_store_reads(struct fake_store *fake, const char *key)
{
    mutex_lock(&fake->lock);
    const struct tally *tally =
        (const struct tally *)list_find(&fake->reads, slice_from_string(key));
    const unsigned count = tally == NULL ? 0 : tally->count;
    mutex_unlock(&fake->lock);
    return count;
}

void fake_store_wait_calls(struct fake_store *fake, enum fake_call call,
                           unsigned n)
{
    wait_for(fake, &fake->calls[call], n);
}

unsigned fake_store_group(struct fake_store *fake)
{
    mutex_lock(&fake->lock);
    const unsigned group = fake->group;
    mutex_unlock(&fake->lock);
    return group;
}
