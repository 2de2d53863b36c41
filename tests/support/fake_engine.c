/* SPDX-License-Identifier: MIT */
/*
 * The functions of the engine.  A transaction is a list of rows that replace
 * others at its commit.
 */
#include "tests/support/fake_store_internal.h"

#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/store/plain_key.h"

struct engine_database {
    struct fake_store *fake;
};

struct engine_reader {
    struct fake_store *fake;
    bool in_snapshot;
    struct fake_list snapshot; /* Copies of all rows. */
};

struct engine_writer {
    struct fake_store *fake;
    struct fake_list before_group; /* Copies of the pending rows, … */
    unsigned n_before_group;       /* … and how many writes made them. */
};

/* A call that does nothing but what the test wants. */
static enum err pass_through(struct fake_store *fake, enum fake_call call,
                             struct buf *detail)
{
    mutex_lock(&fake->lock);
    const enum err err = fake_enter(fake, call, SLICE(""), detail);
    if (err == ERR_OK) {
        fake_stand_at(fake, call, FAKE_AFTER, SLICE(""));
    }
    mutex_unlock(&fake->lock);
    return err;
}

/* ---- life ---- */

static enum err fake_open(struct engine_database **databasep,
                          const struct engine_options *options,
                          struct buf *detail)
{
    (void)options;
    if (fake_current == NULL) {
        log_fatal("fake_store: opened before fake_store_new()");
    }
    const enum err err = pass_through(fake_current, FAKE_OPEN, detail);
    if (err == ERR_OK) {
        *databasep = xmalloc(sizeof(**databasep));
        (*databasep)->fake = fake_current;
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
        *readerp = xcalloc(1, sizeof(**readerp));
        (*readerp)->fake = fake;
    }
    return err;
}

static void fake_reader_close(struct engine_reader *reader)
{
    add_open(reader->fake, (unsigned)-1);
    free(reader->snapshot.items);
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
        *writerp = xcalloc(1, sizeof(**writerp));
        (*writerp)->fake = fake;
    }
    return err;
}

/* Empties a list of rows. */
static void drop_rows(struct fake_list *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        fake_row_free((struct fake_row *)rows->items[i]);
    }
    rows->count = 0;
}

static void copy_rows(const struct fake_list *from, struct fake_list *to)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct fake_row *row = (const struct fake_row *)from->items[i];
        fake_list_put(to, &fake_row_copy(row)->item);
    }
}

static void fake_writer_close(struct engine_writer *writer)
{
    add_open(writer->fake, (unsigned)-1);
    drop_rows(&writer->before_group);
    free(writer->before_group.items);
    free(writer);
}

/* ---- reads ---- */

static enum err fake_begin_read(struct engine_reader *reader,
                                struct buf *detail)
{
    struct fake_store *fake = reader->fake;

    mutex_lock(&fake->lock);
    const enum err err = fake_enter(fake, FAKE_BEGIN_READ, SLICE(""), detail);
    if (err == ERR_OK) {
        copy_rows(&fake->rows, &reader->snapshot);
        reader->in_snapshot = true;
        fake_stand_at(fake, FAKE_BEGIN_READ, FAKE_AFTER, SLICE(""));
    }
    mutex_unlock(&fake->lock);
    return err;
}

static void fake_end_read(struct engine_reader *reader)
{
    struct fake_store *fake = reader->fake;

    mutex_lock(&fake->lock);
    (void)fake_enter(fake, FAKE_END_READ, SLICE(""), NULL);
    mutex_unlock(&fake->lock);
    drop_rows(&reader->snapshot);
    reader->in_snapshot = false;
}

static const struct fake_row *find_row(const struct fake_store *fake,
                                       const struct engine_reader *reader,
                                       struct slice key) REQUIRES(fake->lock)
{
    return reader->in_snapshot
               ? (const struct fake_row *)fake_list_find(&reader->snapshot, key)
               : fake_row_of(fake, key, false);
}

static enum err fake_read(struct engine_reader *reader, struct store_read *read,
                          struct buf *detail)
{
    struct fake_store *fake = reader->fake;
    const int64_t now_ms = clock_wall_ms();
    struct buf key = {0};
    struct fake_row *row = NULL;

    fake_whole_key(read->mapping, read->key, &key);
    mutex_lock(&fake->lock);
    const enum err err = fake_enter(fake, FAKE_READ, buf_slice(&key), detail);
    if (err == ERR_OK) {
        const struct fake_row *found = find_row(fake, reader, buf_slice(&key));
        row = fake_row_lives(found, now_ms) ? fake_row_copy(found) : NULL;
        fake_stand_at(fake, FAKE_READ, FAKE_AFTER, buf_slice(&key));
    }
    mutex_unlock(&fake->lock);

    if (row != NULL) {
        struct store_column columns[FAKE_COLUMNS_MAX];
        const struct store_row answer = fake_row_show(row, columns);
        read->row(read, &answer);
    }
    fake_row_free(row);
    buf_destroy(&key);
    return err;
}

static bool is_wanted(const struct store_walk *walk, const struct fake_row *row,
                      int64_t now_ms)
{
    const bool of_table = walk->only != NULL ? row->mapping == walk->only
                          : walk->plain_only ? row->mapping == NULL
                                             : true;
    return of_table && (row->mapping != NULL || !walk->records_only) &&
           plain_key_database(row->item.key) == walk->database &&
           fake_row_lives(row, now_ms);
}

/* Collects what walk->key() will be told. */
static void collect(struct fake_store *fake, struct store_walk *walk,
                    size_t count, int64_t now_ms, struct fake_list *keys)
    REQUIRES(fake->lock)
{
    size_t i = (size_t)walk->cursor;

    for (; i < fake->rows.count && count > 0; i++, count--) {
        const struct fake_row *row =
            (const struct fake_row *)fake->rows.items[i];
        if (is_wanted(walk, row, now_ms)) {
            struct fake_item *item = xmalloc(sizeof(*item));
            item->key = fake_copy_slice(row->item.key);
            fake_list_put(keys, item);
        }
    }
    walk->cursor = i < fake->rows.count ? i : 0;
}

static enum plain_type type_of(struct fake_store *fake, struct slice key)
{
    mutex_lock(&fake->lock);
    const struct fake_row *row = fake_row_of(fake, key, false);
    const enum plain_type type = row != NULL ? row->type : PLAIN_STRING;
    mutex_unlock(&fake->lock);
    return type;
}

static enum err fake_scan(struct engine_reader *reader, struct store_walk *walk,
                          size_t count, struct buf *detail)
{
    struct fake_store *fake = reader->fake;
    const int64_t now_ms = clock_wall_ms();
    struct fake_list keys = {0};

    mutex_lock(&fake->lock);
    const enum err err = fake_enter(fake, FAKE_SCAN, SLICE(""), detail);
    if (err == ERR_OK) {
        collect(fake, walk, count, now_ms, &keys);
        fake_stand_at(fake, FAKE_SCAN, FAKE_AFTER, SLICE(""));
    }
    mutex_unlock(&fake->lock);

    for (size_t i = 0; i < keys.count; i++) {
        walk->type = type_of(fake, keys.items[i]->key);
        walk->key(walk, keys.items[i]->key);
    }
    fake_list_free(&keys);
    return err;
}

static enum err fake_count(struct engine_reader *reader,
                           struct store_walk *walk, struct buf *detail)
{
    struct fake_store *fake = reader->fake;
    const int64_t now_ms = clock_wall_ms();

    mutex_lock(&fake->lock);
    const enum err err = fake_enter(fake, FAKE_COUNT, SLICE(""), detail);
    if (err == ERR_OK) {
        walk->n_keys = 0;
        for (size_t i = 0; i < fake->rows.count; i++) {
            const struct fake_row *row =
                (const struct fake_row *)fake->rows.items[i];
            walk->n_keys += is_wanted(walk, row, now_ms) ? 1 : 0;
        }
        fake_stand_at(fake, FAKE_COUNT, FAKE_AFTER, SLICE(""));
    }
    mutex_unlock(&fake->lock);
    return err;
}

static enum err fake_keyspace(struct engine_reader *reader,
                              struct store_walk *walk, struct buf *detail)
{
    struct fake_store *fake = reader->fake;
    const int64_t now_ms = clock_wall_ms();

    mutex_lock(&fake->lock);
    const enum err err = fake_enter(fake, FAKE_COUNT, SLICE(""), detail);
    walk->n_keys = 0;
    for (size_t i = 0; err == ERR_OK && i < fake->rows.count; i++) {
        const struct fake_row *row =
            (const struct fake_row *)fake->rows.items[i];
        struct store_figures *f =
            &walk->figures[plain_key_database(row->item.key)];
        if (!fake_row_lives(row, now_ms)) {
            continue;
        }
        if (row->mapping != NULL) {
            walk->n_keys++;
            continue;
        }
        f->n_keys++;
        f->n_expiring += row->expires_ms != 0 ? 1 : 0;
        f->sum_ttl_ms += row->expires_ms != 0 ? row->expires_ms - now_ms : 0;
    }
    mutex_unlock(&fake->lock);
    return err;
}

/* The first is as good as any. */
static enum err fake_random(struct engine_reader *reader,
                            struct store_walk *walk, struct buf *detail)
{
    struct fake_store *fake = reader->fake;
    const int64_t now_ms = clock_wall_ms();
    struct slice key = {0};

    mutex_lock(&fake->lock);
    const enum err err = fake_enter(fake, FAKE_SCAN, SLICE(""), detail);
    for (size_t i = 0;
         err == ERR_OK && key.data == NULL && i < fake->rows.count; i++) {
        const struct fake_row *row =
            (const struct fake_row *)fake->rows.items[i];
        if (is_wanted(walk, row, now_ms)) {
            key = fake_copy_slice(row->item.key);
        }
    }
    mutex_unlock(&fake->lock);

    walk->n_keys = key.data != NULL ? 1 : 0;
    if (key.data != NULL) {
        walk->key(walk, key);
        free((void *)(uintptr_t)key.data);
    }
    return err;
}

/* ---- writes ---- */

static void put_pending(struct fake_store *fake, struct fake_row *row)
    REQUIRES(fake->lock)
{
    fake_row_free((struct fake_row *)fake_list_put(&fake->pending, &row->item));
}

static void put_absent(struct fake_store *fake, struct slice key)
    REQUIRES(fake->lock)
{
    struct fake_row *row = fake_row_new(NULL, key);

    row->absent = true;
    put_pending(fake, row);
}

static enum err put_row(struct fake_store *fake, struct store_write *write,
                        struct slice key, const struct fake_row *old,
                        struct buf *detail) REQUIRES(fake->lock)
{
    struct fake_row *row = write->op == STORE_SET_COLUMNS && old != NULL
                               ? fake_row_copy(old)
                               : fake_row_new(write->mapping, key);
    const size_t title = mapping_column(write->mapping, SLICE("title"));
    const size_t id = write->mapping->keys[0].column;
    enum err err = ERR_OK;

    if (!mapping_id_valid(write->mapping, write->key)) {
        buf_printf(detail, "%s has whole numbers for keys",
                   write->mapping->table);
        err = ERR_INVALID;
    }
    if (err == ERR_OK) {
        err = write->op == STORE_SET_COLUMNS
                  ? fake_row_set_fields(row, write, detail)
                  : fake_row_set_object(row, write->value, detail);
    }
    fake_row_set(&row->values[id], COLUMN_INTEGER, write->key);
    if (err == ERR_OK && row->values[title].type == COLUMN_NULL) {
        buf_append_string(detail, "NOT NULL constraint failed: books.title");
        err = ERR_CONSTRAINT;
    }
    if (err != ERR_OK) {
        fake_row_free(row);
        return err;
    }
    put_pending(fake, row);
    return ERR_OK;
}

static bool is_cleared(const struct fake_row *row,
                       const struct store_write *clear)
{
    return row->mapping == NULL &&
           (clear->key.size == 0 || plain_key_database(row->item.key) ==
                                        plain_key_database(clear->key));
}

static void clear_plain(struct fake_store *fake, struct store_write *write)
    REQUIRES(fake->lock)
{
    for (size_t i = 0; i < fake->pending.count; i++) {
        struct fake_row *row = (struct fake_row *)fake->pending.items[i];
        if (is_cleared(row, write) && !row->absent) {
            row->absent = true;
            write->n_changed++;
        }
    }
    for (size_t i = 0; i < fake->rows.count; i++) {
        const struct fake_row *row =
            (const struct fake_row *)fake->rows.items[i];
        if (is_cleared(row, write) &&
            fake_list_find(&fake->pending, row->item.key) == NULL) {
            put_absent(fake, row->item.key);
            write->n_changed++;
        }
    }
}

static enum err change(struct fake_store *fake, struct store_write *write,
                       struct slice key, int64_t now_ms, struct buf *detail)
    REQUIRES(fake->lock)
{
    const struct fake_row *old = fake_row_of(fake, key, true);
    enum err err = ERR_OK;
    struct fake_row *row;

    old = fake_row_lives(old, now_ms) ? old : NULL;
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
        row = fake_row_new(NULL, key);
        fake_row_set(&row->values[0], COLUMN_BLOB, write->value);
        row->expires_ms = write->expires_ms;
        row->type = write->type;
        put_pending(fake, row);
        break;
    case STORE_PUT_ROW:
    case STORE_SET_COLUMNS:
        err = put_row(fake, write, key, old, detail);
        break;
    case STORE_READ:
    case STORE_GROUP:
    case STORE_BARRIER:
        return ERR_OK;
    }
    write->n_changed = err == ERR_OK && existed ? 1 : 0;
    write->n_created = err == ERR_OK && !existed ? 1 : 0;
    return err;
}

/* What lives under 'key' in the transaction, copied; NULL if nothing does. */
static struct fake_row *copy_living(struct fake_store *fake, struct slice key,
                                    int64_t now_ms) REQUIRES(fake->lock)
{
    const struct fake_row *row = fake_row_of(fake, key, true);

    return fake_row_lives(row, now_ms) ? fake_row_copy(row) : NULL;
}

/* Tells the write what there is, without the lock. */
static enum err decide(struct store_write *write, const struct fake_row *row,
                       struct buf *detail)
{
    struct store_column columns[FAKE_COLUMNS_MAX];
    struct store_row now;

    if (write->decide == NULL) {
        return ERR_OK;
    }
    if (row != NULL) {
        now = fake_row_show(row, columns);
    }
    return write->decide(write, row == NULL ? NULL : &now, detail);
}

/* Tells the write what came of it, without the lock. */
static void tell(struct store_write *write, const struct fake_row *row)
{
    struct store_column columns[FAKE_COLUMNS_MAX];

    if (row != NULL && write->row != NULL) {
        const struct store_row now = fake_row_show(row, columns);
        write->row(write, &now);
    }
    if (write->applied != NULL && write->n_changed + write->n_created > 0) {
        write->applied(write);
    }
}

static enum err fake_apply(struct engine_writer *writer,
                           struct store_write *write, struct buf *detail)
{
    struct fake_store *fake = writer->fake;
    const int64_t now_ms = clock_wall_ms();
    struct buf key = {0};
    struct fake_row *row = NULL;

    write->n_changed = 0;
    write->n_created = 0;
    write->n_new_fields = 0;
    fake_whole_key(write->mapping, write->key, &key);
    mutex_lock(&fake->lock);
    enum err err = fake_enter(fake, FAKE_APPLY, buf_slice(&key), detail);
    if (err == ERR_OK) {
        row = copy_living(fake, buf_slice(&key), now_ms);
    }
    mutex_unlock(&fake->lock);

    if (err == ERR_OK) {
        err = decide(write, row, detail);
    }
    fake_row_free(row);
    row = NULL;

    mutex_lock(&fake->lock);
    if (err == ERR_OK) {
        err = change(fake, write, buf_slice(&key), now_ms, detail);
    }
    if (err == ERR_OK) {
        fake->n_applied++;
        row = copy_living(fake, buf_slice(&key), now_ms);
        fake_stand_at(fake, FAKE_APPLY, FAKE_AFTER, buf_slice(&key));
    }
    mutex_unlock(&fake->lock);

    if (err == ERR_OK) {
        tell(write, row);
    }
    fake_row_free(row);
    buf_destroy(&key);
    return err;
}

static enum err fake_begin_group(struct engine_writer *writer,
                                 struct buf *detail)
{
    struct fake_store *fake = writer->fake;

    mutex_lock(&fake->lock);
    const enum err err = fake_enter(fake, FAKE_BEGIN_GROUP, SLICE(""), detail);
    if (err == ERR_OK) {
        drop_rows(&writer->before_group);
        copy_rows(&fake->pending, &writer->before_group);
        writer->n_before_group = fake->n_applied;
        fake_stand_at(fake, FAKE_BEGIN_GROUP, FAKE_AFTER, SLICE(""));
    }
    mutex_unlock(&fake->lock);
    return err;
}

static enum err fake_end_group(struct engine_writer *writer, bool keep,
                               struct buf *detail)
{
    struct fake_store *fake = writer->fake;

    mutex_lock(&fake->lock);
    const enum err err = fake_enter(fake, FAKE_END_GROUP, SLICE(""), detail);
    if (err == ERR_OK && !keep) {
        drop_rows(&fake->pending);
        copy_rows(&writer->before_group, &fake->pending);
        fake->n_applied = writer->n_before_group;
    }
    if (err == ERR_OK) {
        drop_rows(&writer->before_group);
        fake_stand_at(fake, FAKE_END_GROUP, FAKE_AFTER, SLICE(""));
    }
    mutex_unlock(&fake->lock);
    return err;
}

static enum err fake_begin(struct engine_writer *writer, struct buf *detail)
{
    return pass_through(writer->fake, FAKE_BEGIN, detail);
}

static enum err fake_commit(struct engine_writer *writer, struct buf *detail)
{
    struct fake_store *fake = writer->fake;

    mutex_lock(&fake->lock);
    const enum err err = fake_enter(fake, FAKE_COMMIT, SLICE(""), detail);
    if (err == ERR_OK) {
        for (size_t i = 0; i < fake->pending.count; i++) {
            fake_commit_row(fake, (struct fake_row *)fake->pending.items[i]);
        }
        fake->pending.count = 0;
        fake->group = fake->n_applied;
        fake->n_applied = 0;
        fake_stand_at(fake, FAKE_COMMIT, FAKE_AFTER, SLICE(""));
    }
    mutex_unlock(&fake->lock);
    return err;
}

static void fake_rollback(struct engine_writer *writer)
{
    struct fake_store *fake = writer->fake;

    mutex_lock(&fake->lock);
    (void)fake_enter(fake, FAKE_ROLLBACK, SLICE(""), NULL);
    fake_drop_pending(fake);
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

const struct engine engine_fake = {
    .scheme = "fake",
    .open = fake_open,
    .close = fake_close,
    .reader_open = fake_reader_open,
    .reader_close = fake_reader_close,
    .begin_read = fake_begin_read,
    .end_read = fake_end_read,
    .read = fake_read,
    .scan = fake_scan,
    .count = fake_count,
    .keyspace = fake_keyspace,
    .random = fake_random,
    .writer_open = fake_writer_open,
    .writer_close = fake_writer_close,
    .begin = fake_begin,
    .apply = fake_apply,
    .begin_group = fake_begin_group,
    .end_group = fake_end_group,
    .commit = fake_commit,
    .rollback = fake_rollback,
    .checkpoint_due = fake_checkpoint_due,
    .checkpoint = fake_checkpoint,
};
