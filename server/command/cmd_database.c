/* SPDX-License-Identifier: MIT */
/*
 * SELECT SWAPDB FLUSHALL FLUSHDB: about databases as a whole.
 */
#include "server/command/args.h"
#include "server/command/databases.h"
#include "server/command/handlers.h"
#include "server/command/write.h"
#include "server/lookup/changes.h"
#include "server/lookup/lookup.h"
#include "server/lookup/watch.h"

enum command_status cmd_select(struct request *r)
{
    unsigned database;

    if (!database_arg(r, 1, &database)) {
        return COMMAND_DONE;
    }
    atomic_store_explicit(&r->client->database, (int)database,
                          memory_order_relaxed);
    return done_ok(r);
}

/* ---- SWAPDB ---- */

/* Two databases that change places; request->found is the new order.  Lives with
 * the request. */
struct swap {
    struct request *request;
    struct server *server;
    unsigned databases[2];
    bool starting; /* update_start() has not returned. */
};

static enum err decide_swap(void *context, const struct present *now,
                            struct update *update, struct buf *room,
                            struct buf *detail)
{
    struct swap *s = context;
    struct buf *text = &s->request->found;

    (void)room;
    (void)detail;
    buf_clear(text);
    databases_swap_text(s->server->databases, now->bytes, s->databases[0],
                        s->databases[1], text);
    update->value = buf_slice(text);
    return ERR_OK;
}

/* Whoever watches a key of theirs has watched another one. */
static void touch_both(const struct swap *s)
{
    struct watches *watches = lookup_parts(s->server->lookup)->watches;

    for (size_t i = 0; i < ARRAY_LEN(s->databases); i++) {
        watches_touch_database(
            watches, databases_stored(s->server->databases, s->databases[i]));
    }
}

/* Touched before, so that no EXEC that finds the new order has missed it; and
 * afterwards, for who began to watch by the old one meanwhile. */
static void take_order(const struct swap *s)
{
    const struct changes *changes = lookup_parts(s->server->lookup)->changes;
    const struct change change = {.key = SLICE(""), .class = CHANGE_FLUSHED};

    touch_both(s);
    databases_take(s->server->databases, buf_slice(&s->request->found));
    touch_both(s);
    if (changes != NULL) {
        changes_tell(changes, &change);
    }
}

static void on_swapped(void *arg, const struct update_outcome *outcome)
{
    struct swap *s = arg;
    struct request *r = s->request;

    if (outcome->err == ERR_OK) {
        take_order(s); /* Also when the client has left. */
    }
    if (r->client != NULL && !write_reply_failed(r, outcome)) {
        reply_ok(&r->reply);
    }
    if (!s->starting) {
        request_finish(r);
    }
}

/* Reads argument 'i', or replies that it is none. */
static bool swap_arg(struct request *r, size_t i, const char *error,
                     unsigned *database)
{
    int64_t number;

    if (!slice_to_int64(r->argv[i], &number) || number < INT_MIN ||
        number > INT_MAX) {
        reply_error(&r->reply, error);
        return false;
    }
    *database = (unsigned)number;
    return true;
}

enum command_status cmd_swapdb(struct request *r)
{
    struct server *server = r->client->server;
    unsigned a;
    unsigned b;

    if (!swap_arg(r, 1, "ERR invalid first DB index", &a) ||
        !swap_arg(r, 2, "ERR invalid second DB index", &b)) {
        return COMMAND_DONE;
    }
    if (a >= server->databases->n || b >= server->databases->n) {
        reply_error(&r->reply, "ERR DB index is out of range");
        return COMMAND_DONE;
    }
    if (a == b) {
        return done_ok(r);
    }
    struct swap *s = request_room(r, sizeof *s);
    if (s == NULL) {
        reply_err(&r->reply, ERR_NOMEM, NULL);
        return COMMAND_DONE;
    }
    *s = (struct swap){
        .request = r, .server = server, .databases = {a, b}, .starting = true};
    const struct update update = {.op = STORE_PUT_PLAIN,
                                  .key = DATABASES_KEY,
                                  .context = s,
                                  .decide = decide_swap};
    const struct update_caller caller = {
        .home = r->client->home, .done = on_swapped, .arg = s};
    const bool over = update_start(server->lookup, &update, 1, &caller);
    s->starting = false;
    return over ? COMMAND_DONE : COMMAND_PENDING;
}

/* ---- FLUSHALL and FLUSHDB ---- */

static void on_kept(void *arg, const struct update_outcome *outcome)
{
    (void)arg;
    (void)outcome;
}

/* The order of databases goes with all other plain keys, and is written anew: a
 * command that is under way relies on it. */
static void keep_order(const struct client *client)
{
    struct databases *databases = client->server->databases;
    const struct update_caller caller = {.home = client->home, .done = on_kept};
    struct buf text = {0};

    if (!databases_swapped(databases)) {
        return;
    }
    databases_swap_text(databases, SLICE(""), 0, 0, &text);
    const struct update update = {
        .op = STORE_PUT_PLAIN, .key = DATABASES_KEY, .value = buf_slice(&text)};
    (void)update_start(client->server->lookup, &update, 1, &caller);
    buf_destroy(&text);
}

static bool flush_options(struct request *r)
{
    return r->argc == 1 ||
           (r->argc == 2 && (arg_is(r, 1, "ASYNC") || arg_is(r, 1, "SYNC")));
}

static void answer_flush(struct request *r, const struct update_result *result)
{
    (void)result;
    reply_ok(&r->reply);
}

static void answer_flushall(struct request *r,
                            const struct update_result *result)
{
    if (r->execution != NULL) {
        keep_order(r->client);
    }
    answer_flush(r, result);
}

enum command_status cmd_flushall(struct request *r)
{
    const struct update update = {.op = STORE_CLEAR_PLAIN, .key = SLICE("")};

    if (!flush_options(r)) {
        return done_syntax_error(r);
    }
    const enum command_status status = write_key(r, &update, answer_flushall);
    if (r->execution == NULL) {
        keep_order(r->client); /* Right behind it, whatever comes between. */
    }
    return status;
}

/* What all inner keys of the client's database begin with; false without memory,
 * which is replied. */
static bool database_prefix(struct request *r, struct slice *prefix)
{
    char *bytes = request_room(r, PLAIN_KEY_PREFIX_SIZE);

    if (bytes == NULL) {
        reply_err(&r->reply, ERR_NOMEM, NULL);
        return false;
    }
    bytes[0] = '\0';
    bytes[1] = (char)databases_stored(r->client->server->databases,
                                      client_database(r->client));
    *prefix = slice_make(bytes, PLAIN_KEY_PREFIX_SIZE);
    return true;
}

enum command_status cmd_flushdb(struct request *r)
{
    struct slice every; /* Lives with the request: an EXEC uses it later. */

    if (!flush_options(r)) {
        return done_syntax_error(r);
    }
    if (!database_prefix(r, &every)) {
        return COMMAND_DONE;
    }
    const struct update update = {.op = STORE_CLEAR_PLAIN, .key = every};

    return write_key(r, &update, answer_flush);
}
