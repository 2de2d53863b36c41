/* SPDX-License-Identifier: MIT */
/*
 * Notes of changes on their way to the loops that have perhaps entered the key,
 * and what clients are told.
 *
 * Notes lie one behind the other in the inbox of a hub, and its loop has one
 * task for all of them.  So it is with the keys for a client: those of one
 * batch of notes are one message.
 *
 * A message to be redirected goes to the loop of the client it is for, and
 * comes back: until then no other goes, but what is to be told is collected.
 */
#include "server/command/tracking_internal.h"

#include "common/hash.h"
#include "common/mem.h"
#include "common/task.h"
#include "server/command/clients.h"
#include "server/command/parts.h"
#include "server/store/plain_key.h"

#include <stdlib.h>

/* Notes that wait for a loop; beyond it everything is taken for changed. */
#define INBOX_MAX ((size_t)16 << 20)
/* What one client is told at once, and what is collected while a message is
 * under way; beyond that it is told to drop everything. */
#define PUSH_BYTES ((size_t)64 << 10)
#define COLLECTED_MAX ((size_t)1 << 20)

enum note_kind { NOTE_KEY, NOTE_MAPPING, NOTE_ALL };

/* In the inbox, followed by the key. */
struct note {
    enum note_kind kind;
    size_t size;
    uint64_t hash;
    uint64_t origin;
    const struct mapping *mapping;
};

/* A message that is redirected. */
struct redirected {
    struct hub *hub;         /* Where it comes from, … */
    struct tracker *tracker; /* … and of whom; it stays until this is back. */
    uint64_t target;
    struct buf keys;
    size_t n;
    bool all;
    bool broken; /* The target has left. */
};

/* ---- what a client is told ---- */

/* Would anything reach it? */
static bool can_hear(const struct tracker *t)
{
    return t->client != NULL &&
           (t->options.redirect != 0 || t->client->protocol == 3);
}

static void touch(struct tracker *t)
{
    if (!t->touched) {
        t->touched = true;
        TAILQ_INSERT_TAIL(&t->hub->touched, t, of_touched);
    }
}

static void clear_told(struct tracker *t)
{
    buf_destroy(&t->told);
    t->n_told = 0;
    t->all = false;
}

void tracker_tell_nothing(struct tracker *t)
{
    clear_told(t);
    if (t->touched) {
        t->touched = false;
        TAILQ_REMOVE(&t->hub->touched, t, of_touched);
    }
}

/* Sends 'n' keys, or that all are to be dropped. */
static void push(struct client *client, struct slice keys, size_t n, bool all)
{
    struct buf head = {0};

    if (client->protocol == 3) {
        buf_append_string(&head, ">2\r\n$10\r\ninvalidate\r\n");
    } else if (client_is_subscriber(client)) {
        buf_append_string(&head, "*3\r\n$7\r\nmessage\r\n"
                                 "$20\r\n__redis__:invalidate\r\n");
    } else {
        return; /* It would take it for a reply. */
    }
    if (all) {
        buf_append_string(&head, client->protocol == 3 ? "_\r\n" : "$-1\r\n");
    } else {
        buf_printf(&head, "*%zu\r\n", n);
    }
    const struct slice pieces[] = {buf_slice(&head), all ? SLICE("") : keys};
    client->on_push(client, pieces, ARRAY_LEN(pieces));
    buf_destroy(&head);
}

static void redirect(struct tracker *t);

static void send_told(struct tracker *t)
{
    if (t->client == NULL || (t->n_told == 0 && !t->all)) {
        clear_told(t);
    } else if (t->options.redirect != 0) {
        redirect(t);
    } else {
        push(t->client, buf_slice(&t->told), t->n_told, t->all);
        clear_told(t);
    }
}

void tracker_tell_all(struct tracker *t)
{
    if (can_hear(t)) {
        clear_told(t);
        t->all = true;
        touch(t);
    }
}

/* "$", 20 digits, twice CRLF. */
#define BULK_OVERHEAD_BYTES 25

void tracker_tell(struct tracker *t, struct slice key)
{
    const struct slice shown = plain_key_shown(key);

    if (!can_hear(t) || t->all) {
        return;
    }
    touch(t);
    if (t->told.size > COLLECTED_MAX ||
        buf_try_reserve(&t->told, shown.size + BULK_OVERHEAD_BYTES) == NULL) {
        tracker_tell_all(t);
        return;
    }
    buf_printf(&t->told, "$%zu\r\n", shown.size);
    buf_append_slice(&t->told, shown);
    buf_append_string(&t->told, "\r\n");
    t->n_told++;
    if (t->told.size >= PUSH_BYTES && t->hub->receiving) {
        send_told(t);
    }
}

static void send_touched(struct hub *hub)
{
    while (!TAILQ_EMPTY(&hub->touched)) {
        struct tracker *t = TAILQ_FIRST(&hub->touched);
        TAILQ_REMOVE(&hub->touched, t, of_touched);
        t->touched = false;
        send_told(t);
    }
}

/* ---- redirected ---- */

static void tell_broken(struct tracker *t)
{
    struct buf text = {0};

    t->broken = true;
    tracker_publish(t);
    if (t->client->protocol == 3) {
        buf_printf(&text, ">2\r\n$21\r\ntracking-redir-broken\r\n:%llu\r\n",
                   (unsigned long long)t->options.redirect);
        const struct slice piece = buf_slice(&text);
        t->client->on_push(t->client, &piece, 1);
        buf_destroy(&text);
    }
}

/* On the loop it came from. */
static void come_back(void *arg)
{
    struct redirected *m = arg;
    struct tracker *t = m->tracker;

    t->under_way = false;
    if (t->client == NULL) {
        tracker_try_free(t);
    } else {
        if (m->broken && m->target == t->options.redirect) {
            tell_broken(t);
        }
        send_told(t);
    }
    free(m);
}

/* On the loop of the client it is for. */
static void arrive(void *arg)
{
    struct redirected *m = arg;
    struct client *client =
        clients_find(m->hub->tracking->server->clients, m->target);

    if (client != NULL) {
        push(client, buf_slice(&m->keys), m->n, m->all);
    }
    buf_destroy(&m->keys);
    m->broken = client == NULL;
    if (!task_post(m->hub->home, come_back, m)) {
        free(m);
    }
}

static void redirect(struct tracker *t)
{
    if (t->under_way) {
        return; /* When that is back. */
    }
    struct redirected *m = xmalloc(sizeof(*m));
    *m = (struct redirected){.hub = t->hub,
                             .tracker = t,
                             .target = t->options.redirect,
                             .keys = t->told,
                             .n = t->n_told,
                             .all = t->all};
    t->told = (struct buf){0};
    clear_told(t);
    t->under_way = true;
    if (!task_post(t->redirect_home, arrive, m)) {
        buf_destroy(&m->keys);
        free(m); /* The server stops. */
    }
}

/* ---- on the loop of the hub ---- */

static void tell_prefixed(struct hub *hub, struct slice key, uint64_t origin)
{
    const struct slice shown = plain_key_shown(key);
    struct tracker *t;

    LIST_FOREACH(t, &hub->broadcast, siblings)
    {
        if (!(t->options.noloop && t->id == origin) &&
            tracker_has_prefix_of(t, shown)) {
            tracker_tell(t, key);
        }
    }
}

static void read_note(struct hub *hub, const struct note *note,
                      struct slice key)
{
    switch (note->kind) {
    case NOTE_KEY:
        hub_changed(hub, key, note->hash, note->origin);
        tell_prefixed(hub, key, note->origin);
        break;
    case NOTE_MAPPING:
        hub_changed_mapping(hub, note->mapping);
        break;
    case NOTE_ALL:
        hub_changed_all(hub);
        break;
    }
}

static void read_notes(struct hub *hub, struct slice notes)
{
    struct note note;

    while (notes.size > 0) {
        memcpy(&note, notes.data, sizeof(note));
        const struct slice key =
            slice_make(notes.data + sizeof(note), note.size);
        read_note(hub, &note, key);
        notes = slice_make(key.data + key.size,
                           notes.size - sizeof(note) - key.size);
    }
}

static void receive(void *arg)
{
    struct hub *hub = arg;

    mutex_lock(&hub->lock);
    struct buf notes = hub->inbox;
    const bool lost = hub->lost;
    hub->inbox = (struct buf){0};
    hub->lost = false;
    hub->posted = false;
    mutex_unlock(&hub->lock);

    hub->receiving = true;
    if (lost) {
        hub_changed_all(hub);
    }
    read_notes(hub, buf_slice(&notes));
    buf_destroy(&notes);
    const bool more = hub_tidy(hub);
    send_touched(hub);
    hub->receiving = false;
    if (more) {
        hub_wake(hub);
    }
}

/* ---- any thread ---- */

static void post(struct hub *hub)
{
    /* If it is refused, the loop has stopped, and its clients have left. */
    (void)task_post(hub->home, receive, hub);
}

void hub_wake(struct hub *hub)
{
    mutex_lock(&hub->lock);
    const bool first = !hub->posted;
    hub->posted = true;
    mutex_unlock(&hub->lock);
    if (first) {
        post(hub);
    }
}

/* What was noted before does not matter any more. */
static void lose(struct hub *hub) REQUIRES(hub->lock)
{
    buf_destroy(&hub->inbox);
    hub->lost = true;
}

static void append(struct hub *hub, const struct note *note, struct slice key)
    REQUIRES(hub->lock)
{
    const size_t size = sizeof(*note) + key.size;

    if (hub->lost) {
        return;
    }
    if (hub->inbox.size + size > INBOX_MAX ||
        buf_try_reserve(&hub->inbox, size) == NULL) {
        lose(hub);
        return;
    }
    buf_append(&hub->inbox, note, sizeof(*note));
    buf_append_slice(&hub->inbox, key);
}

static void leave_note(struct hub *hub, const struct note *note,
                       struct slice key)
{
    mutex_lock(&hub->lock);
    append(hub, note, key);
    const bool first = !hub->posted;
    hub->posted = true;
    mutex_unlock(&hub->lock);
    if (first) {
        post(hub);
    }
}

/* Whoever has read the key, or has such a prefix, was counted before he looked
 * it up; and if he saw it as it was before, then before this change was put
 * into the cache, whose lock orders the two. */
static bool may_concern(const struct hub *hub, struct slice key, uint64_t hash)
{
    const struct slice shown = plain_key_shown(key);

    return READ(hub->n_seen[hash % FILTER_SLOTS]) > 0 ||
           READ(hub->n_prefixed[ANY_BYTE]) > 0 ||
           (shown.size > 0 &&
            READ(hub->n_prefixed[(unsigned char)shown.data[0]]) > 0);
}

static void hear_of_many(struct tracking *tracking, const struct change *change)
{
    const struct note note = {.kind = change->mapping != NULL ? NOTE_MAPPING
                                                              : NOTE_ALL,
                              .mapping = change->mapping};

    /* No lock of the cache orders this and a client who begins to track: he is
     * seen here, or sees there that copies are out of date. */
    mutex_lock(&tracking->lock);
    struct hub *hub = first_hub(tracking);
    mutex_unlock(&tracking->lock);
    for (; hub != NULL; hub = hub->next) {
        if (READ(hub->n_trackers) > 0) {
            leave_note(hub, &note, SLICE(""));
        }
    }
}

/* The first loop with clients that track, from 'hub' on. */
static struct hub *next_in_use(struct hub *hub)
{
    while (hub != NULL && READ(hub->n_trackers) == 0) {
        hub = hub->next;
    }
    return hub;
}

void tracking_hear(void *arg, const struct change *change)
{
    struct tracking *tracking = arg;
    struct hub *hub = next_in_use(first_hub(tracking));

    if (change_is_of_many(change)) {
        hear_of_many(tracking, change);
        return;
    }
    if (hub == NULL) {
        return; /* Nobody tracks. */
    }
    const struct note note = {.kind = NOTE_KEY,
                              .size = change->key.size,
                              .hash = hash_bytes(change->key),
                              .origin = change->origin};
    for (; hub != NULL; hub = next_in_use(hub->next)) {
        if (may_concern(hub, change->key, note.hash)) {
            leave_note(hub, &note, change->key);
        }
    }
}
