/* SPDX-License-Identifier: MIT */
/*
 * The permutation as text: how often it was changed, and then the numbers of
 * the databases 0, 1, …, up to the last that has another than its own:
 *
 *     "3 1 0"     after three SWAPDB, 0 and 1 have changed places
 *
 * Who writes it has it computed in the order of writes, from what is there, so
 * of two texts the one with the higher count is the newer, in whatever order
 * they come back from the store.
 *
 * While nobody has ever swapped, a command costs one load here.
 */
#include "server/command/databases.h"

#include "common/mem.h"
#include "common/waitgroup.h"
#include "server/command/args.h"
#include "server/store/store.h"

#include <assert.h>
#include <stdlib.h>

static void set_identity(struct database_order *order)
{
    order->count = 0;
    for (size_t i = 0; i < PLAIN_KEY_DATABASES; i++) {
        order->stored[i] = (unsigned char)i;
    }
}

struct databases *databases_new(size_t n) NO_THREAD_SAFETY_ANALYSIS
{
    struct databases *d = xcalloc(1, sizeof *d);

    assert(n < PLAIN_KEY_DATABASES);
    d->n = n;
    rwlock_init(&d->lock, LOCK_LEAF, "databases");
    set_identity(&d->order);
    return d;
}

void databases_free(struct databases *databases)
{
    if (databases == NULL) {
        return;
    }
    rwlock_destroy(&databases->lock);
    free(databases);
}

unsigned databases_stored(struct databases *databases, unsigned selected)
{
    if (!databases_swapped(databases)) {
        return selected;
    }
    rwlock_rdlock(&databases->lock);
    const unsigned stored = databases->order.stored[selected];
    rwlock_rdunlock(&databases->lock);
    return stored;
}

int databases_selected(struct databases *databases, unsigned stored)
{
    unsigned selected = stored;

    if (databases_swapped(databases)) {
        rwlock_rdlock(&databases->lock);
        for (selected = 0; databases->order.stored[selected] != stored;) {
            selected++;
        }
        rwlock_rdunlock(&databases->lock);
    }
    return selected == PLAIN_KEY_OWN ? -1 : (int)selected;
}

/* ---- the text ---- */

static bool next_number(struct slice *text, uint64_t *number)
{
    size_t size = 0;
    int64_t value;

    while (size < text->size && text->data[size] != ' ') {
        size++;
    }
    const bool good =
        slice_to_int64(slice_make(text->data, size), &value) && value >= 0;
    size += size < text->size ? 1 : 0;
    text->data += size;
    text->size -= size;
    *number = good ? (uint64_t)value : 0;
    return good;
}

/* False if it says no permutation that leaves our own keys alone. */
static bool order_parse(struct slice text, struct database_order *order)
{
    bool taken[PLAIN_KEY_DATABASES] = {false};
    uint64_t stored;

    set_identity(order);
    if (!next_number(&text, &order->count)) {
        return false;
    }
    for (size_t i = 0; text.size > 0; i++) {
        if (i == PLAIN_KEY_OWN || !next_number(&text, &stored) ||
            stored >= PLAIN_KEY_OWN) {
            return false;
        }
        order->stored[i] = (unsigned char)stored;
    }
    for (size_t i = 0; i < PLAIN_KEY_DATABASES; i++) {
        if (taken[order->stored[i]]) {
            return false;
        }
        taken[order->stored[i]] = true;
    }
    return true;
}

static bool is_identity(const struct database_order *order, size_t from)
{
    while (from < PLAIN_KEY_DATABASES && order->stored[from] == from) {
        from++;
    }
    return from == PLAIN_KEY_DATABASES;
}

static void order_print(const struct database_order *order, struct buf *text)
{
    buf_printf(text, "%llu", (unsigned long long)order->count);
    for (size_t i = 0; !is_identity(order, i); i++) {
        buf_printf(text, " %u", order->stored[i]);
    }
}

void databases_swap_text(struct databases *databases, struct slice before,
                         unsigned a, unsigned b, struct buf *text)
{
    struct database_order order;

    if (!order_parse(before, &order)) {
        rwlock_rdlock(&databases->lock);
        order = databases->order;
        rwlock_rdunlock(&databases->lock);
    }
    const unsigned char stored = order.stored[a];
    order.stored[a] = order.stored[b];
    order.stored[b] = stored;
    order.count++;
    order_print(&order, text);
}

void databases_take(struct databases *databases, struct slice text)
{
    struct database_order order;

    if (!order_parse(text, &order)) {
        return;
    }
    rwlock_wrlock(&databases->lock);
    if (order.count > databases->order.count) {
        databases->order = order;
        atomic_store_explicit(&databases->swapped, !is_identity(&order, 0),
                              memory_order_release);
    }
    rwlock_wrunlock(&databases->lock);
}

/* ---- at start ---- */

struct loading {
    struct store_walk walk;   /* Is there anything? */
    struct store_write write; /* Then this reads it. */
    struct waitgroup done;
    bool found;
    struct buf text;
    enum err err;
};

static void on_key(struct store_walk *walk, struct slice key)
{
    struct loading *l = container_of(walk, struct loading, walk);

    l->found = l->found || slice_equal(key, DATABASES_KEY);
}

static void on_walked(struct store_walk *walk, enum err err)
{
    struct loading *l = container_of(walk, struct loading, walk);

    l->err = err;
    wg_done(&l->done);
}

static void on_value(struct store_write *write, const struct store_row *row)
{
    struct loading *l = container_of(write, struct loading, write);

    buf_clear(&l->text);
    buf_append_slice(&l->text, row->columns[0].bytes);
}

static void on_read(struct store_write *write, enum err err,
                    struct slice detail)
{
    struct loading *l = container_of(write, struct loading, write);

    (void)detail; /* The store has logged it. */
    l->err = err;
    wg_done(&l->done);
}

/* The walk is no lookup, which 'store-delay' and its like would slow down; and
 * the writer, whom another program may keep waiting, is only asked by those who
 * have swapped. */
enum err databases_load(struct databases *databases, struct store *store)
{
    struct loading l = {.walk = {.kind = STORE_SCAN,
                                 .count = SIZE_MAX,
                                 .plain_only = true,
                                 .database = PLAIN_KEY_OWN,
                                 .key = on_key,
                                 .done = on_walked},
                        .write = {.op = STORE_READ,
                                  .key = DATABASES_KEY,
                                  .row = on_value,
                                  .done = on_read}};

    wg_init(&l.done);
    wg_add(&l.done, 1);
    enum err err = store_walk_start(store, &l.walk);
    if (err == ERR_OK) {
        wg_wait(&l.done);
        err = l.err;
    } else {
        wg_done(&l.done);
    }
    if (err == ERR_OK && l.found) {
        wg_add(&l.done, 1);
        err = store_write_start(store, &l.write);
        if (err == ERR_OK) {
            wg_wait(&l.done);
            err = l.err;
        } else {
            wg_done(&l.done);
        }
        databases_take(databases, buf_slice(&l.text));
    }
    wg_destroy(&l.done);
    buf_destroy(&l.text);
    return err;
}

/* ---- keys of clients ---- */

bool database_arg(struct request *r, size_t i, unsigned *database)
{
    int number;

    if (!arg_int(r, i, &number)) {
        return false;
    }
    if (number < 0 || (size_t)number >= r->client->server->databases->n) {
        reply_error(&r->reply, "ERR DB index is out of range");
        return false;
    }
    *database = (unsigned)number;
    return true;
}

/* The size of the prefix that 'key' gets, with it in 'prefix'. */
static size_t prefix_of(const struct server *server, unsigned selected,
                        struct slice key, char prefix[PLAIN_KEY_PREFIX_SIZE])
{
    const unsigned stored = databases_stored(server->databases, selected);
    const bool has_nul = key.size > 0 && key.data[0] == '\0';
    struct slice id;

    prefix[0] = '\0';
    prefix[1] = (char)stored;
    if (selected == 0 && stored == 0) {
        return has_nul ? PLAIN_KEY_PREFIX_SIZE : 0;
    }
    /* One that looks like a record's is a record in database 0, and must not
     * become one elsewhere. */
    const bool looks_like_record =
        mapping_find(store_mappings(server->store), key, &id) != NULL;
    if (selected == 0 && looks_like_record) {
        return 0;
    }
    return stored == 0 && !has_nul && !looks_like_record
               ? 0
               : PLAIN_KEY_PREFIX_SIZE;
}

/* Writes 'key' as it is inside behind '*to', which moves on. */
static struct slice put_key(const struct server *server, unsigned selected,
                            struct slice key, char **to)
{
    const size_t size = prefix_of(server, selected, key, *to);
    const struct slice inner = slice_make(*to, size + key.size);

    if (key.size > 0) {
        memcpy(*to + size, key.data, key.size);
    }
    *to += inner.size;
    return inner;
}

bool database_key(struct request *r, unsigned selected, struct slice key,
                  struct slice *inner)
{
    char *room = request_room(r, PLAIN_KEY_PREFIX_SIZE + key.size);

    if (room == NULL) {
        reply_err(&r->reply, ERR_NOMEM, NULL);
        return false;
    }
    *inner = put_key(r->client->server, selected, key, &room);
    return true;
}

bool database_translate(struct request *r)
{
    const struct server *server = r->client->server;
    const unsigned selected = client_database(r->client);
    const struct key_places keys = command_keys(r);
    size_t bytes = r->argc * sizeof r->argv[0];

    assert(!r->translated);
    for (size_t i = keys.first; i < keys.end; i += keys.step) {
        bytes += PLAIN_KEY_PREFIX_SIZE + r->argv[i].size;
    }
    struct slice *argv = request_room(r, bytes);
    if (argv == NULL) {
        reply_err(&r->reply, ERR_NOMEM, NULL);
        return false;
    }
    char *to = (char *)(argv + r->argc);
    memcpy(argv, r->argv, r->argc * sizeof argv[0]);
    for (size_t i = keys.first; i < keys.end; i += keys.step) {
        argv[i] = put_key(server, selected, r->argv[i], &to);
    }
    r->argv = argv;
    r->translated = true;
    return true;
}

struct slice database_shown_arg(const struct request *r, size_t i)
{
    const struct key_places keys =
        r->command != NULL ? command_keys(r) : (struct key_places){.step = 1};
    const bool is_key =
        i >= keys.first && i < keys.end && (i - keys.first) % keys.step == 0;

    return r->translated && is_key ? plain_key_shown(r->argv[i]) : r->argv[i];
}
