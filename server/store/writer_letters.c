/* SPDX-License-Identifier: MIT */
/*
 * The writer's side of dead letters.  A letter goes into its table in the
 * transaction that would have written what it says; so it is there if and only
 * if the write ended with an error.
 */
#include "server/store/writer_internal.h"

#include <assert.h>

#include "common/clock.h"
#include "common/log.h"

/* 'write' as a letter; its whole key is made in 'key'. */
static struct dead_letter letter_of(const struct store_write *write,
                                    const char *why, struct buf *key)
{
    if (write->mapping != NULL) {
        buf_append_slice(key, write->mapping->prefix);
    }
    buf_append_slice(key, write->key);
    return (struct dead_letter){.id = write->letter,
                                .time_ms = clock_wall_ms(),
                                .op = write->op,
                                .mapping = write->mapping,
                                .key = buf_slice(key),
                                .value = write->value,
                                .fields = write->fields,
                                .n_fields = write->n_fields,
                                .expires_ms = write->expires_ms,
                                .type = write->type,
                                .detail = slice_from_string(why)};
}

static enum err put(struct store_writer *w, struct store_write *write,
                    const char *why)
{
    const struct engine *engine = w->with.engine;
    const int64_t first = dead_letters_first_id(w->letters);
    enum err err = ERR_OK;
    struct buf key = {0};

    if (write->op == STORE_READ) {
        return ERR_OK;
    }
    write->letter = dead_letters_next_id(w->letters);
    if (engine->letter_put != NULL) {
        const struct dead_letter letter = letter_of(write, why, &key);
        err = engine->letter_put(w->connection, &letter, &w->detail);
    }
    if (err == ERR_OK && engine->letter_drop != NULL && first > 1) {
        /* Those for which there was no room any more. */
        err = engine->letter_drop(w->connection, 0, first - 1, &w->detail);
    }
    buf_destroy(&key);
    return err;
}

enum err writer_set_aside(struct store_writer *w, struct store_write *write)
{
    enum err err = ERR_OK;

    if (write->op != STORE_GROUP) {
        return put(w, write, write->error_text);
    }
    for (size_t i = 0; i < write->n_group && err == ERR_OK; i++) {
        err = put(w, write->group[i], write->error_text);
    }
    return err;
}

static void show(struct store_writer *w, const struct store_write *write,
                 const char *why)
{
    struct buf key = {0};

    if (write->letter != 0) {
        const struct dead_letter letter = letter_of(write, why, &key);
        dead_letters_add(w->letters, &letter);
        log_error("store: acknowledged write set aside id=%lld op=%s "
                  "detail=\"%s\"",
                  (long long)write->letter, dead_letter_op(write->op), why);
    }
    buf_destroy(&key);
}

void writer_show_aside(struct store_writer *w, struct store_write *write)
{
    show(w, write, write->error_text);
    for (size_t i = 0; i < write->n_group; i++) {
        show(w, write->group[i], write->error_text);
    }
}

/* ---- life ---- */

static void take_letter(void *arg, const struct dead_letter *letter)
{
    dead_letters_add(arg, letter);
}

enum err writer_letters_follow(struct store_writer *w, struct buf *detail)
{
    const struct engine *engine = w->with.engine;

    (void)dead_letters_remove(w->letters, 0, INT64_MAX);
    return engine->letters_read == NULL
               ? ERR_OK
               : engine->letters_read(w->connection, take_letter, w->letters,
                                      detail);
}

enum err writer_letters_open(struct store_writer *w, struct buf *detail)
{
    w->letters = dead_letters_new();
    return writer_letters_follow(w, detail);
}

/* ---- dropping ---- */

/* In the transaction, in place of a group's decide(). */
static enum err drop_rows(struct store_write *write,
                          const struct store_row *now, struct buf *detail)
{
    struct dead_letter_drop *drop =
        container_of(write, struct dead_letter_drop, write);
    struct store_writer *w = drop->writer;
    const int64_t first = drop->id == 0 ? 1 : drop->id;

    (void)now;
    drop->last = drop->id == 0 ? dead_letters_last_id(w->letters) : drop->id;
    return w->with.engine->letter_drop == NULL
               ? ERR_OK
               : w->with.engine->letter_drop(w->connection, first, drop->last,
                                             detail);
}

static void drop_copies(struct store_write *write, enum err err,
                        struct slice detail)
{
    struct dead_letter_drop *drop =
        container_of(write, struct dead_letter_drop, write);

    if (err == ERR_OK) {
        drop->n_dropped = dead_letters_remove(
            drop->writer->letters, drop->id == 0 ? 1 : drop->id, drop->last);
    }
    drop->done(drop, err, detail);
}

enum err store_writer_drop_letters(struct store_writer *writer,
                                   struct dead_letter_drop *drop)
{
    assert(drop->id >= 0);
    drop->n_dropped = 0;
    drop->writer = writer;
    /* A group without members: its decide() runs in the transaction, and its
     * error ends nothing but this. */
    drop->write = (struct store_write){
        .op = STORE_GROUP, .decide = drop_rows, .done = drop_copies};
    return store_writer_start(writer, &drop->write);
}

struct dead_letters *store_writer_letters(struct store_writer *writer)
{
    return writer->letters;
}
