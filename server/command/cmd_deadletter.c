/* SPDX-License-Identifier: MIT */
/*
 * BOOK.DEADLETTER: writes that were acknowledged, and that the database will
 * not take; see store/deadletter.h.
 *
 *     RETRY: letter ─► the same update anew ─► done well ─► letter dropped ─► next
 *                                          └─► refused: the letter stays
 */
#include "common/mem.h"
#include "common/task.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"
#include "server/lookup/hash_value.h"
#include "server/lookup/lookup.h"
#include "server/lookup/update.h"
#include "server/store/deadletter.h"

#define LIST_COUNT_DEFAULT 10

/* Letters are shown under a lock, before it is known how many: into
 * request->found. */
struct showing {
    struct reply reply;
    int64_t only; /* The one wanted; 0: any. */
    int64_t last; /* Id of the last shown. */
    size_t n;
};

static struct showing showing_new(struct request *r, int64_t only)
{
    return (struct showing){
        .reply = {.out = &r->found, .protocol = r->reply.protocol},
        .only = only};
}

static void field_slice(struct reply *reply, const char *name,
                        struct slice value)
{
    reply_bulk_string(reply, name);
    reply_bulk(reply, value);
}

static void field_integer(struct reply *reply, const char *name, int64_t value)
{
    reply_bulk_string(reply, name);
    reply_integer(reply, value);
}

/* The five fields that LIST shows, and GET first. */
static void show_head(struct reply *reply, const struct dead_letter *letter)
{
    field_integer(reply, "id", letter->id);
    field_integer(reply, "time-ms", letter->time_ms);
    field_slice(reply, "op", slice_from_string(dead_letter_op(letter->op)));
    field_slice(reply, "key", letter->key);
    field_slice(reply, "error", letter->detail);
}

/* ---- LIST, GET and COUNT ---- */

static void show_brief(void *arg, const struct dead_letter *letter)
{
    struct showing *s = arg;

    reply_map(&s->reply, 5);
    show_head(&s->reply, letter);
    s->last = letter->id;
    s->n++;
}

enum command_status cmd_book_deadletter_list(struct request *r)
{
    struct showing s = showing_new(r, 0);
    int64_t after = 0;
    int64_t count = LIST_COUNT_DEFAULT;
    const size_t option = r->argc > 2 && !arg_is(r, 2, "COUNT") ? 3 : 2;

    if (option == 3 && !arg_integer(r, 2, &after)) {
        return COMMAND_DONE;
    }
    if (r->argc > option) {
        if (!arg_is(r, option, "COUNT") || r->argc != option + 2) {
            return done_syntax_error(r);
        }
        if (!arg_integer(r, option + 1, &count)) {
            return COMMAND_DONE;
        }
        if (count < 1) {
            return done_syntax_error(r);
        }
    }
    (void)store_dead_letters(r->client->server->store, after, (size_t)count,
                             show_brief, &s);
    reply_array(&r->reply, 2);
    reply_bulk_int64(&r->reply, s.n < (size_t)count ? 0 : s.last);
    reply_array(&r->reply, s.n);
    buf_append_slice(r->reply.out, buf_slice(&r->found));
    return COMMAND_DONE;
}

/* The value, and the fields of a row. */
static void show_value(struct reply *reply, const struct dead_letter *letter)
{
    field_slice(reply, "value", letter->value);
    reply_bulk_string(reply, "fields");
    reply_map(reply, letter->n_fields / 2);
    for (size_t i = 0; i + 1 < letter->n_fields; i += 2) {
        reply_bulk(reply, letter->fields[i]);
        if (letter->fields[i + 1].data == NULL) {
            reply_null(reply);
        } else {
            reply_bulk(reply, letter->fields[i + 1]);
        }
    }
}

/* The fields of a hash, which is the value. */
static void show_hash(struct reply *reply, struct slice hash)
{
    struct slice fields = hash_value_fields(hash);
    struct slice name;
    struct slice value;

    field_slice(reply, "value", SLICE(""));
    reply_bulk_string(reply, "fields");
    reply_map(reply, hash_value_count(hash));
    while (hash_value_next(&fields, &name, &value)) {
        reply_bulk(reply, name);
        reply_bulk(reply, value);
    }
}

static void show_all(void *arg, const struct dead_letter *letter)
{
    struct showing *s = arg;
    struct reply *reply = &s->reply;

    if (letter->id != s->only) {
        return;
    }
    s->n++;
    reply_map(reply, 9);
    show_head(reply, letter);
    field_slice(reply, "table",
                slice_from_string(letter->mapping != NULL
                                      ? letter->mapping->table
                                      : "plain"));
    if (letter->type == PLAIN_HASH && hash_value_is_valid(letter->value)) {
        show_hash(reply, letter->value);
    } else {
        show_value(reply, letter);
    }
    field_integer(reply, "expires-ms", letter->expires_ms);
}

/* Reads argument 'i' as the id of a letter; replies on error. */
static bool letter_id(struct request *r, size_t i, int64_t *id)
{
    if (!slice_to_int64(r->argv[i], id) || *id < 1) {
        reply_error(&r->reply, "ERR a dead letter is named by its number");
        return false;
    }
    return true;
}

enum command_status cmd_book_deadletter_get(struct request *r)
{
    struct showing s = showing_new(r, 0);

    if (!letter_id(r, 2, &s.only)) {
        return COMMAND_DONE;
    }
    (void)store_dead_letters(r->client->server->store, s.only - 1, 1, show_all,
                             &s);
    if (s.n == 0) {
        reply_null(&r->reply);
    } else {
        buf_append_slice(r->reply.out, buf_slice(&r->found));
    }
    return COMMAND_DONE;
}

enum command_status cmd_book_deadletter_count(struct request *r)
{
    reply_integer(&r->reply,
                  (int64_t)store_dead_letter_count(r->client->server->store));
    return COMMAND_DONE;
}

enum command_status cmd_book_deadletter_help(struct request *r)
{
    command_reply_help(r, "book.deadletter");
    return COMMAND_DONE;
}

/* ---- dropping ---- */

/* DROP and RETRY: it lives until both the client and the store are done. */
struct work {
    struct request *request;
    struct chan_tx home;
    struct store *store;
    struct lookup *lookup;
    void (*next)(struct work *work);
    struct dead_letter_drop drop;
    enum err err; /* The first. */
    struct buf detail;
    /* RETRY. */
    size_t left; /* Letters still to be looked at. */
    int64_t id;  /* Of the last one looked at. */
    int64_t n_written;
    struct update update; /* Of letter 'id'; its bytes are in 'bytes'. */
    struct buf bytes;
    struct slice *fields;
};

static struct work *work_new(struct request *r)
{
    struct work *w = xcalloc(1, sizeof *w);

    w->request = r;
    w->home = r->client->home;
    w->store = r->client->server->store;
    w->lookup = r->client->server->lookup;
    return w;
}

static void work_free(struct work *w)
{
    buf_destroy(&w->detail);
    buf_destroy(&w->bytes);
    free(w->fields);
    free(w);
}

static void note_error(struct work *w, enum err err, struct slice detail)
{
    if (err != ERR_OK && w->err == ERR_OK) {
        w->err = err;
        buf_append_slice(&w->detail, detail);
    }
}

/* Replies 'n', or the error if nothing was done, and hands the request back. */
static void finish(struct work *w, int64_t n)
{
    struct request *r = w->request;

    if (r->client == NULL) {
        /* Nobody reads it. */
    } else if (w->err != ERR_OK && n == 0) {
        reply_err(&r->reply, w->err, buf_string(&w->detail));
    } else {
        reply_integer(&r->reply, n);
    }
    work_free(w);
    request_finish(r);
}

static void run_next(void *arg)
{
    struct work *w = arg;

    w->next(w);
}

/* Has 'next' called by the loop. */
static void go_on(struct work *w, void (*next)(struct work *work))
{
    w->next = next;
    if (!task_post(w->home, run_next, w)) {
        work_free(w); /* The loop has stopped, and the request with it. */
    }
}

/* On the writer's thread. */
static void on_dropped(struct dead_letter_drop *drop, enum err err,
                       struct slice detail)
{
    struct work *w = container_of(drop, struct work, drop);

    note_error(w, err, detail);
    go_on(w, w->next);
}

/* Drops letter 'id' (0: all) and goes on with 'next'. */
static void drop(struct work *w, int64_t id, void (*next)(struct work *work))
{
    w->next = next;
    w->drop = (struct dead_letter_drop){.id = id, .done = on_dropped};
    const enum err err = store_dead_letter_drop(w->store, &w->drop);
    if (err != ERR_OK) {
        note_error(w, err, SLICE(""));
        next(w);
    }
}

static void answer_drop(struct work *w)
{
    finish(w, (int64_t)w->drop.n_dropped);
}

enum command_status cmd_book_deadletter_drop(struct request *r)
{
    int64_t id = 0;

    if (!arg_is(r, 2, "ALL") && !letter_id(r, 2, &id)) {
        return COMMAND_DONE;
    }
    drop(work_new(r), id, answer_drop);
    return COMMAND_PENDING;
}

/* ---- RETRY ---- */

static void retry_next(struct work *w);

static struct slice keep(struct work *w, struct slice s)
{
    const size_t at = w->bytes.size;

    if (s.data == NULL) {
        return s; /* A NULL. */
    }
    buf_append_slice(&w->bytes, s);
    return slice_make(buf_data(&w->bytes) + at, s.size);
}

/* Takes a copy of the first letter behind w->id as an update. */
static void take(void *arg, const struct dead_letter *letter)
{
    struct work *w = arg;
    const bool is_hash = letter->mapping != NULL || letter->type == PLAIN_HASH;
    const bool deletes =
        letter->op == STORE_DELETE_PLAIN || letter->op == STORE_DELETE_ROW;
    size_t bytes = letter->key.size + letter->value.size;

    for (size_t i = 0; i < letter->n_fields; i++) {
        bytes += letter->fields[i].size;
    }
    w->id = letter->id;
    buf_clear(&w->bytes);
    (void)buf_reserve(&w->bytes, bytes); /* From here on it does not move. */
    w->fields =
        xrealloc(w->fields, (letter->n_fields + 1) * sizeof w->fields[0]);
    for (size_t i = 0; i < letter->n_fields; i++) {
        w->fields[i] = keep(w, letter->fields[i]);
    }
    w->update = (struct update){.op = letter->op,
                                .key = keep(w, letter->key),
                                .value = keep(w, letter->value),
                                .fields = w->fields,
                                .n_fields = letter->n_fields,
                                .expires_ms = letter->expires_ms,
                                .type = letter->type,
                                .event = deletes   ? "del"
                                         : is_hash ? "hset"
                                                   : "set",
                                .class = deletes   ? CHANGE_GENERIC
                                         : is_hash ? CHANGE_HASH
                                                   : CHANGE_STRING};
}

static void on_retried(void *arg, const struct update_outcome *outcome)
{
    struct work *w = arg;
    enum err err = outcome->err;
    struct slice detail = outcome->detail;

    if (err == ERR_OK && outcome->n > 0) {
        err = outcome->results[0].err;
        detail = outcome->results[0].detail;
    }
    note_error(w, err, detail);
    if (err == ERR_OK) {
        w->n_written++;
        drop(w, w->id, retry_next);
    } else {
        go_on(w, retry_next); /* The letter stays. */
    }
}

static void retry_next(struct work *w)
{
    const struct update_caller caller = {
        .home = w->home, .done = on_retried, .arg = w};

    if (w->left == 0 || w->err == ERR_SHUTTING_DOWN ||
        store_dead_letters(w->store, w->id, 1, take, w) == 0) {
        finish(w, w->n_written);
        return;
    }
    w->left--;
    (void)update_start(w->lookup, &w->update, 1, &caller);
}

enum command_status cmd_book_deadletter_retry(struct request *r)
{
    struct store *store = r->client->server->store;
    int64_t id = 1;
    struct showing s = showing_new(r, 0);

    if (!arg_is(r, 2, "ALL")) {
        if (!letter_id(r, 2, &id)) {
            return COMMAND_DONE;
        }
        s.only = id;
        (void)store_dead_letters(store, id - 1, 1, show_all, &s);
        if (s.n == 0) {
            reply_integer(&r->reply, 0);
            return COMMAND_DONE;
        }
    }
    struct work *w = work_new(r);
    /* No more than there are: a letter that is refused again may come back as
     * another one. */
    w->left = s.only != 0 ? 1 : store_dead_letter_count(store);
    w->id = id - 1;
    retry_next(w);
    return COMMAND_PENDING;
}
