/* SPDX-License-Identifier: MIT */
/*
 * SCAN KEYS DBSIZE RANDOMKEY: walks over the keys of a database.  They speak of the store, not of what
 * happens to be cached, except that plain keys under 'plain-writes none' are
 * in the cache and nowhere else.
 *
 *     SCAN's cursor:  [ place in the store's walk, or in the cache | 1 bit ]
 *                                                      which of the two ──┘
 *
 * The walk of the store runs on its threads and collects keys; the request is
 * answered back on its loop, whatever became of the client.
 */
#include "common/clock.h"
#include "common/glob.h"
#include "common/mem.h"
#include "common/task.h"
#include "server/admin/config.h"
#include "server/cache/cache.h"
#include "server/command/args.h"
#include "server/command/databases.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"
#include "server/store/store.h"

#include <assert.h>
#include <sys/random.h>

#define SCAN_COUNT_DEFAULT 10 /* As in Redis. */

struct walk;

typedef void walk_reply_fn(struct request *request, struct walk *walk);

struct walk {
    struct store_walk store; /* First asked, unless the cursor is past it. */
    struct request *request;
    struct chan_tx home;
    struct server *server;
    walk_reply_fn *reply;
    /* What is asked; constant. */
    struct slice pattern;
    bool no_records;
    bool no_strings; /* Plain keys. */
    bool no_hashes;  /* Likewise. */
    bool plain_in_cache;
    bool any;          /* One key is enough. */
    unsigned selected; /* The client's database. */
    size_t count;
    /* What was found: keys one after the other, each behind its size. */
    struct buf keys;
    size_t n_keys;
    uint64_t cursor;
    enum err err;
};

static bool is_record(const struct walk *walk, struct slice key)
{
    struct slice id;

    return mapping_find(store_mappings(walk->server->store), key, &id) != NULL;
}

/* Could its client name the key?  One that SWAPDB has brought into database 0
 * stands behind the record of that name. */
static bool is_in_reach(const struct walk *walk, struct slice inner)
{
    const struct slice key = plain_key_shown(inner);

    return plain_key_database(inner) == walk->store.database &&
           (walk->selected != 0 || key.size == inner.size ||
            !is_record(walk, key));
}

/* 'type' is that of a plain key. */
static bool is_left_out(const struct walk *walk, struct slice inner,
                        enum plain_type type)
{
    if (is_record(walk, inner)) {
        return walk->no_records;
    }
    return (type == PLAIN_HASH ? walk->no_hashes : walk->no_strings) ||
           !is_in_reach(walk, inner);
}

static void add_key(struct walk *walk, struct slice inner, enum plain_type type)
{
    /* That of a record begins with no NUL. */
    const struct slice key = plain_key_shown(inner);

    if (is_left_out(walk, inner, type) ||
        !glob_match(walk->pattern, key, false)) {
        return;
    }
    buf_append(&walk->keys, &key.size, sizeof key.size);
    buf_append_slice(&walk->keys, key);
    walk->n_keys++;
}

static void reply_keys(struct reply *reply, const struct walk *walk)
{
    struct slice rest = buf_slice(&walk->keys);

    reply_array(reply, walk->n_keys);
    while (rest.size > 0) {
        size_t size;
        memcpy(&size, rest.data, sizeof size);
        reply_bulk(reply, slice_make(rest.data + sizeof size, size));
        rest = slice_make(rest.data + sizeof size + size,
                          rest.size - sizeof size - size);
    }
}

/* ---- the keys that are in the cache only ---- */

static void visit_copy(void *context, struct slice key, const struct copy *copy)
{
    if (copy->memory_only &&
        (copy->expires_ms == 0 || copy->expires_ms > clock_wall_ms())) {
        add_key(context, key,
                copy->kind == COPY_HASH ? PLAIN_HASH : PLAIN_STRING);
    }
}

static void walk_cache(struct walk *walk, uint64_t *cursor)
{
    do {
        cache_scan(walk->server->cache, cursor,
                   walk->count < 1024 ? walk->count : 1024, visit_copy, walk);
    } while (*cursor != 0 && walk->count == SIZE_MAX);
}

/* ---- the way through the store ---- */

static void walk_free(struct walk *walk)
{
    buf_destroy(&walk->keys);
    free(walk);
}

static void answer(struct walk *walk)
{
    struct request *request = walk->request;

    if (walk->err != ERR_OK) {
        reply_err(&request->reply, walk->err, NULL);
    } else {
        walk->reply(request, walk);
    }
    walk_free(walk);
}

/* What the store does not have, behind what it has. */
static void finish_in_cache(struct walk *walk)
{
    uint64_t cursor = 0;

    if (!(walk->no_strings && walk->no_hashes) && !walk->any) {
        walk_cache(walk, &cursor);
        walk->cursor = cursor == 0 ? 0 : cursor << 1 | 1;
    }
}

/* On the loop: the store's part is over. */
static void finish(void *arg)
{
    struct walk *walk = arg;
    struct request *request = walk->request;

    if (request->client == NULL) { /* Nobody reads it; the store may be gone. */
        walk_free(walk);
        request_finish(request);
        return;
    }
    walk->cursor = walk->store.cursor << 1;
    if (walk->err == ERR_OK && walk->store.cursor == 0 &&
        walk->plain_in_cache) {
        finish_in_cache(walk);
    }
    answer(walk);
    request_finish(request);
}

static void on_key(struct store_walk *store, struct slice key)
{
    add_key(container_of(store, struct walk, store), key, store->type);
}

static void on_done(struct store_walk *store, enum err err)
{
    struct walk *walk = container_of(store, struct walk, store);

    walk->err = err;
    if (!task_post(walk->home, finish, walk)) {
        walk_free(walk); /* The loop has stopped, and the request with it. */
    }
}

static struct walk *walk_new(struct request *r, walk_reply_fn *reply)
{
    struct walk *walk = xcalloc(1, sizeof *walk);
    struct server *server = r->client->server;

    walk->request = r;
    walk->home = r->client->home;
    walk->server = server;
    walk->reply = reply;
    walk->pattern = SLICE("*");
    walk->count = SIZE_MAX;
    walk->plain_in_cache =
        config_number(server->config, CONFIG_plain_writes) == WRITES_NONE;
    walk->store.kind = STORE_SCAN;
    walk->selected = client_database(r->client);
    walk->store.database = databases_stored(server->databases, walk->selected);
    walk->no_records = walk->selected != 0;
    walk->store.plain_only = walk->selected != 0;
    /* There may be plain keys in it from another way to write them. */
    walk->store.records_only = walk->plain_in_cache;
    walk->store.key = on_key;
    walk->store.done = on_done;
    return walk;
}

static enum command_status start(struct walk *walk)
{
    struct request *r = walk->request;

    if (walk->store.plain_only && walk->store.records_only) {
        finish_in_cache(walk); /* There is nothing to ask the store. */
        answer(walk);
        return COMMAND_DONE;
    }
    walk->store.count = walk->count;
    request_keep_args(r); /* The pattern is one of them. */
    const enum err err = store_walk_start(walk->server->store, &walk->store);
    if (err != ERR_OK) {
        walk->err = err;
        answer(walk);
        return COMMAND_DONE;
    }
    return COMMAND_PENDING;
}

/* ---- KEYS and DBSIZE ---- */

static void answer_keys(struct request *r, struct walk *walk)
{
    reply_keys(&r->reply, walk);
}

enum command_status cmd_keys(struct request *r)
{
    struct walk *walk = walk_new(r, answer_keys);

    request_keep_args(r);
    walk->pattern = r->argv[1];
    return start(walk);
}

static void answer_dbsize(struct request *r, struct walk *walk)
{
    reply_integer(&r->reply, walk->store.kind == STORE_COUNT
                                 ? walk->store.n_keys
                                 : (int64_t)walk->n_keys);
}

enum command_status cmd_dbsize(struct request *r)
{
    struct walk *walk = walk_new(r, answer_dbsize);

    if (!walk->plain_in_cache) {
        walk->store.kind = STORE_COUNT;
    }
    return start(walk);
}

/* ---- SCAN ---- */

static void answer_scan(struct request *r, struct walk *walk)
{
    reply_array(&r->reply, 2);
    reply_bulkf(&r->reply, "%llu", (unsigned long long)walk->cursor);
    reply_keys(&r->reply, walk);
}

/* Reads SCAN's options into 'walk'; replies on error. */
static bool scan_options(struct request *r, struct walk *walk)
{
    walk->count = SCAN_COUNT_DEFAULT;
    for (size_t i = 2; i < r->argc; i += 2) {
        int64_t count;
        if (i + 1 == r->argc) {
            reply_error(&r->reply, "ERR syntax error");
            return false;
        }
        if (arg_is(r, i, "MATCH")) {
            walk->pattern = r->argv[i + 1];
        } else if (arg_is(r, i, "COUNT")) {
            if (!arg_integer(r, i + 1, &count)) {
                return false;
            }
            if (count < 1) {
                reply_error(&r->reply, "ERR syntax error");
                return false;
            }
            walk->count = (size_t)count;
        } else if (arg_is(r, i, "TYPE")) {
            walk->no_hashes = !arg_is(r, i + 1, "hash");
            walk->no_records = walk->no_hashes || walk->selected != 0;
            walk->no_strings = !arg_is(r, i + 1, "string");
        } else {
            reply_error(&r->reply, "ERR syntax error");
            return false;
        }
    }
    return true;
}

enum command_status cmd_scan(struct request *r)
{
    struct walk *walk = walk_new(r, answer_scan);
    uint64_t cursor;

    request_keep_args(r);
    if (!arg_cursor(r, 1, &cursor)) {
        walk_free(walk);
        return COMMAND_DONE;
    }
    if (!scan_options(r, walk)) {
        walk_free(walk);
        return COMMAND_DONE;
    }
    if ((cursor & 1) != 0) {
        uint64_t place = cursor >> 1;
        if (walk->plain_in_cache) {
            walk_cache(walk, &place);
        }
        walk->cursor = place == 0 || !walk->plain_in_cache ? 0 : place << 1 | 1;
        answer(walk);
        return COMMAND_DONE;
    }
    walk->store.cursor = cursor >> 1;
    walk->store.plain_only = walk->no_records;
    return start(walk);
}

/* ---- RANDOMKEY ---- */

static uint64_t draw(uint64_t below)
{
    uint64_t random;

    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        random = (uint64_t)clock_now_us();
    }
    return below == 0 ? 0 : random % below;
}

/* Any one of the keys that were found; false if there is none. */
static bool any_key(const struct walk *walk, struct slice *key)
{
    struct slice rest = buf_slice(&walk->keys);
    const size_t chosen = (size_t)draw(walk->n_keys);

    for (size_t i = 0; i <= chosen && rest.size > 0; i++) {
        size_t size;
        memcpy(&size, rest.data, sizeof size);
        *key = slice_make(rest.data + sizeof size, size);
        rest = slice_make(rest.data + sizeof size + size,
                          rest.size - sizeof size - size);
    }
    return walk->n_keys > 0;
}

/* Finds some keys that are in the cache only, from a random place on, and then
 * from the first. */
static void find_in_cache(struct walk *walk)
{
    const int64_t n_shards =
        config_number(walk->server->config, CONFIG_cache_shards);
    uint64_t cursor = draw((uint64_t)n_shards) << 32 | draw(UINT32_MAX);

    for (int round = 0; round < 2 && walk->n_keys == 0; round++) {
        do {
            cache_scan(walk->server->cache, &cursor, SCAN_COUNT_DEFAULT,
                       visit_copy, walk);
        } while (cursor != 0 && walk->n_keys == 0);
    }
}

/* Lets keys in the cache only take the place of the store's with the chance
 * that is their share. */
static void consider_cache(struct walk *walk)
{
    struct cache_usage usage;
    struct buf of_store = walk->keys;
    const size_t n_of_store = walk->n_keys;

    cache_usage(walk->server->cache, &usage);
    if (n_of_store > 0 &&
        draw((uint64_t)walk->store.n_keys + usage.memory_only_entries) >=
            usage.memory_only_entries) {
        return;
    }
    walk->keys = (struct buf){0};
    walk->n_keys = 0;
    find_in_cache(walk);
    if (walk->n_keys == 0) {
        walk->keys = of_store;
        walk->n_keys = n_of_store;
    } else {
        buf_destroy(&of_store);
    }
}

static void answer_random(struct request *r, struct walk *walk)
{
    struct slice key = {0};

    if (walk->plain_in_cache) {
        consider_cache(walk);
    }
    if (any_key(walk, &key)) {
        reply_bulk(&r->reply, key);
    } else {
        reply_null(&r->reply);
    }
}

enum command_status cmd_randomkey(struct request *r)
{
    struct walk *walk = walk_new(r, answer_random);

    walk->store.kind = STORE_RANDOM;
    walk->any = true;
    return start(walk);
}
