/* SPDX-License-Identifier: MIT */
/*
 * MSET MSETNX RENAME RENAMENX COPY MOVE: several keys in one step, all or nothing.
 *
 * Each is a group of updates, of which those that come later act on what the
 * earlier ones found.
 */
#include "common/mem.h"
#include "server/command/args.h"
#include "server/command/databases.h"
#include "server/command/decide.h"
#include "server/command/handlers.h"
#include "server/command/write.h"

/* ---- MSET and MSETNX ---- */

struct setting_many {
    struct decision decision;
    bool exists; /* One of the keys, before. */
};

static void found_first(void *context, const struct present *now)
{
    struct setting_many *s = context;

    s->exists = now->kind != COPY_NEGATIVE;
}

static void found_next(void *context, const struct present *now)
{
    struct setting_many *s = context;

    s->exists = s->exists || now->kind != COPY_NEGATIVE;
}

static enum err decide_msetnx(void *context, const struct present *now,
                              struct update *update, struct buf *room,
                              struct buf *detail)
{
    const struct setting_many *s = context;

    (void)now;
    (void)room;
    (void)detail;
    return s->exists ? decision_nothing(update) : ERR_OK;
}

static void answer_mset(struct request *r, const struct update_outcome *outcome)
{
    if (!write_reply_failed(r, outcome)) {
        reply_ok(&r->reply);
    }
}

static void answer_msetnx(struct request *r,
                          const struct update_outcome *outcome)
{
    const struct setting_many *s = r->state;

    if (!write_reply_failed(r, outcome)) {
        reply_integer(&r->reply, !s->exists);
    }
}

static struct update put(const struct request *r, size_t key)
{
    const bool is_record = write_is_record(r, r->argv[key]);

    return (struct update){.op = is_record ? STORE_PUT_ROW : STORE_PUT_PLAIN,
                           .key = r->argv[key],
                           .value = r->argv[key + 1],
                           .event = is_record ? "hset" : "set",
                           .class = is_record ? CHANGE_HASH : CHANGE_STRING};
}

static enum command_status done_no_memory(struct request *r)
{
    reply_err(&r->reply, ERR_NOMEM, NULL);
    return COMMAND_DONE;
}

enum command_status cmd_mset(struct request *r)
{
    const size_t n = r->argc / 2;

    if (r->argc % 2 == 0) {
        return done_wrong_count(r);
    }
    struct update *updates = try_malloc(n * sizeof *updates);
    if (updates == NULL) {
        return done_no_memory(r);
    }
    for (size_t i = 0; i < n; i++) {
        updates[i] = put(r, 1 + 2 * i);
    }
    const enum command_status status =
        write_updates(r, updates, n, answer_mset);
    free(updates);
    return status;
}

enum command_status cmd_msetnx(struct request *r)
{
    const size_t n = r->argc / 2;

    if (r->argc % 2 == 0) {
        return done_wrong_count(r);
    }
    struct setting_many *s = decision_new(r, sizeof *s);
    if (s == NULL) {
        return COMMAND_DONE;
    }
    struct update *updates = try_malloc(2 * n * sizeof *updates);
    if (updates == NULL) {
        return done_no_memory(r);
    }
    for (size_t i = 0; i < n; i++) {
        updates[i] =
            (struct update){.op = STORE_READ,
                            .key = r->argv[1 + 2 * i],
                            .context = s,
                            .found = i == 0 ? found_first : found_next};
        updates[n + i] = put(r, 1 + 2 * i);
        updates[n + i].context = s;
        updates[n + i].decide = decide_msetnx;
    }
    const enum command_status status =
        write_updates(r, updates, 2 * n, answer_msetnx);
    free(updates);
    return status;
}

/* ---- RENAME, RENAMENX, COPY and MOVE ---- */

/* A value on its way from one key to another; request->found has its bytes. */
struct transfer {
    struct decision decision;
    struct slice from, to; /* The keys. */
    const char *from_event, *to_event;
    bool same;    /* RENAME of a key to itself. */
    bool replace; /* What is at the other key. */
    bool removes; /* The value from where it was. */
    bool found;
    bool done;
    bool blocked; /* There is something at the other key. */
    int64_t expires_ms;
    enum plain_type type;
};

/* First, whether there is something at the other key. */
static void found_target(void *context, const struct present *now)
{
    struct transfer *t = context;

    t->blocked = !t->replace && now->kind != COPY_NEGATIVE;
}

/* Then, what there is to take. */
static enum err decide_source(void *context, const struct present *now,
                              struct update *update, struct buf *room,
                              struct buf *detail)
{
    struct transfer *t = context;

    (void)room;
    (void)detail;
    decision_begin(&t->decision);
    t->found = now->kind != COPY_NEGATIVE;
    t->expires_ms = now->expires_ms;
    t->type = decision_type(now);
    t->done = t->found && !t->blocked && !t->same;
    if (!t->done || !decision_keep(&t->decision, update, now->bytes) ||
        !t->removes) {
        return decision_nothing(update);
    }
    return ERR_OK;
}

/* Last, it is put there. */
static enum err decide_target(void *context, const struct present *now,
                              struct update *update, struct buf *room,
                              struct buf *detail)
{
    struct transfer *t = context;

    (void)now;
    (void)room;
    (void)detail;
    if (!t->done || t->decision.error != NULL) {
        return decision_nothing(update);
    }
    update->value = buf_slice(&t->decision.request->found);
    update->expires_ms = t->expires_ms;
    update->type = t->type;
    return ERR_OK;
}

static enum command_status begin(struct request *r, struct transfer *t,
                                 write_outcome_fn *on_outcome)
{
    const struct update updates[] = {
        {.op = STORE_READ, .key = t->to, .context = t, .found = found_target},
        {.op = t->removes ? STORE_DELETE_PLAIN : STORE_READ,
         .key = t->from,
         .event = t->from_event,
         .class = CHANGE_GENERIC,
         .context = t,
         .decide = decide_source},
        {.op = STORE_PUT_PLAIN,
         .key = t->to,
         .event = t->to_event,
         .class = CHANGE_GENERIC,
         .context = t,
         .decide = decide_target},
    };

    t->same = slice_equal(t->from, t->to);
    return write_updates(r, updates, ARRAY_LEN(updates), on_outcome);
}

/* The context of a command from key 1 to the key 'to', or NULL, which is
 * replied. */
static struct transfer *transfer_new(struct request *r, struct slice to)
{
    if (write_is_record(r, r->argv[1]) || write_is_record(r, to)) {
        reply_error(&r->reply, "ERR a record cannot be renamed, copied or "
                               "moved: its key is that of a row; SET and DEL "
                               "write rows");
        return NULL;
    }
    struct transfer *t = decision_new(r, sizeof *t);
    if (t != NULL) {
        t->from = r->argv[1];
        t->to = to;
        t->from_event = "rename_from";
        t->to_event = "rename_to";
    }
    return t;
}

static bool failed(struct request *r, const struct transfer *t,
                   const struct update_outcome *outcome)
{
    return write_reply_failed(r, outcome) || decision_failed(&t->decision);
}

static bool failed_rename(struct request *r, const struct transfer *t,
                          const struct update_outcome *outcome)
{
    if (failed(r, t, outcome)) {
        return true;
    }
    if (!t->found) {
        reply_error(&r->reply, "ERR no such key");
    }
    return !t->found;
}

static void answer_rename(struct request *r,
                          const struct update_outcome *outcome)
{
    if (!failed_rename(r, r->state, outcome)) {
        reply_ok(&r->reply);
    }
}

static void answer_renamenx(struct request *r,
                            const struct update_outcome *outcome)
{
    const struct transfer *t = r->state;

    if (!failed_rename(r, t, outcome)) {
        reply_integer(&r->reply, t->done);
    }
}

static enum command_status done_same(struct request *r)
{
    reply_error(&r->reply, "ERR source and destination objects are the same");
    return COMMAND_DONE;
}

/* Of COPY and of MOVE. */
static void answer_copy(struct request *r, const struct update_outcome *outcome)
{
    const struct transfer *t = r->state;

    if (!failed(r, t, outcome)) {
        reply_integer(&r->reply, t->done);
    }
}

enum command_status cmd_rename(struct request *r)
{
    struct transfer *t = transfer_new(r, r->argv[2]);

    if (t == NULL) {
        return COMMAND_DONE;
    }
    t->removes = true;
    t->replace = true;
    return begin(r, t, answer_rename);
}

enum command_status cmd_renamenx(struct request *r)
{
    struct transfer *t = transfer_new(r, r->argv[2]);

    if (t == NULL) {
        return COMMAND_DONE;
    }
    t->removes = true;
    return begin(r, t, answer_renamenx);
}

enum command_status cmd_copy(struct request *r)
{
    unsigned database = client_database(r->client);
    struct slice to = r->argv[2];
    bool replace = false;

    for (size_t i = 3; i < r->argc; i++) {
        if (arg_is(r, i, "REPLACE")) {
            replace = true;
        } else if (arg_is(r, i, "DB") && i + 1 < r->argc) {
            if (!database_arg(r, ++i, &database)) {
                return COMMAND_DONE;
            }
        } else {
            return done_syntax_error(r);
        }
    }
    if (database != client_database(r->client) &&
        !database_key(r, database, plain_key_shown(to), &to)) {
        return COMMAND_DONE;
    }
    struct transfer *t = transfer_new(r, to);
    if (t == NULL) {
        return COMMAND_DONE;
    }
    if (slice_equal(t->from, t->to)) {
        return done_same(r);
    }
    t->to_event = "copy_to";
    t->replace = replace;
    return begin(r, t, answer_copy);
}

enum command_status cmd_move(struct request *r)
{
    unsigned database;
    struct slice to;

    if (!database_arg(r, 2, &database)) {
        return COMMAND_DONE;
    }
    if (database == client_database(r->client)) {
        return done_same(r);
    }
    if (!database_key(r, database, plain_key_shown(r->argv[1]), &to)) {
        return COMMAND_DONE;
    }
    struct transfer *t = transfer_new(r, to);
    if (t == NULL) {
        return COMMAND_DONE;
    }
    t->from_event = "move_from";
    t->to_event = "move_to";
    t->removes = true;
    return begin(r, t, answer_copy);
}
