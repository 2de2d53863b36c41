/* SPDX-License-Identifier: MIT */
/*
 * Messages on their way from who publishes to the loops of the subscribers.
 */
#include "server/command/pubsub.h"

#include "common/buf.h"
#include "common/glob.h"
#include "common/hash.h"
#include "common/mem.h"
#include "common/task.h"
#include "server/command/pubsub_internal.h"

#include <stdio.h>

/* Bytes on their way to one loop beyond which publishers wait, and beyond which
 * clients are disconnected: twice what one client may be owed by default. */
#define CROWDED_BYTES ((size_t)4 << 20)
#define OVERRUN_BYTES ((size_t)64 << 20)

/* A message on its way, shared by the loops it goes to. */
struct message {
    _Atomic unsigned refs;
    enum pubsub_kind kind; /* Of the publication. */
    uint64_t number;       /* Of the last subscription before it. */
    size_t size;
    char text[]; /* Channel and message, as bulk strings. */
};

/* What one loop has to do for a message. */
struct delivery {
    struct delivery *next;
    struct hub *hub;
    struct message *message; /* NULL: the clients of the parts are closed. */
    size_t bytes;            /* Counted in the backlog. */
    size_t n;
    size_t room;
    struct part **parts;
};

/* ---- delivering, on the loop of the subscribers ---- */

static void message_unref(struct message *message)
{
    if (message != NULL && atomic_fetch_sub_explicit(
                               &message->refs, 1, memory_order_acq_rel) == 1) {
        free(message);
    }
}

/* It was delivered, or nobody is there. */
static void finish(struct delivery *d)
{
    atomic_fetch_sub_explicit(&d->hub->backlog_bytes, d->bytes,
                              memory_order_relaxed);
    for (size_t i = 0; i < d->n; i++) {
        part_unref(d->parts[i]);
    }
    message_unref(d->message);
    free(d->parts);
    free(d);
}

/* What stands before the channel, as RESP3; RESP2 has another first byte. */
static void append_head(const struct part *part, const struct message *message,
                        struct buf *out)
{
    const struct topic *topic = part->topic;

    if (topic->kind == PUBSUB_MONITOR) {
        return;
    }
    if (topic->kind != PUBSUB_PATTERN) {
        buf_append_string(out, message->kind == PUBSUB_SHARD
                                   ? ">3\r\n$8\r\nsmessage\r\n"
                                   : ">3\r\n$7\r\nmessage\r\n");
        return;
    }
    buf_printf(out, ">4\r\n$8\r\npmessage\r\n$%zu\r\n", topic->name_size);
    buf_append_slice(out, topic_name(topic));
    buf_append_string(out, "\r\n");
}

static void push_to_part(const struct part *part, const struct message *message)
{
    struct buf head = {0};
    struct subscription *s;

    if (LIST_EMPTY(&part->list)) {
        return; /* All have left; the topic may be gone. */
    }
    append_head(part, message, &head);
    LIST_FOREACH(s, &part->list, of_part)
    {
        if (s->number > message->number) {
            continue;
        }
        if (head.size > 0) {
            buf_data(&head)[0] = s->client->protocol == 2 ? '*' : '>';
        }
        const struct slice pieces[] = {
            buf_slice(&head), slice_make(message->text, message->size)};
        s->client->on_push(s->client, pieces, ARRAY_LEN(pieces));
    }
    buf_destroy(&head);
}

static void close_part(struct part *part)
{
    struct subscription *s;

    atomic_store_explicit(&part->overrun, false, memory_order_relaxed);
    LIST_FOREACH(s, &part->list, of_part)
    {
        s->client->on_overrun(s->client);
    }
}

static void deliver(void *arg)
{
    struct delivery *d = arg;

    for (size_t i = 0; i < d->n; i++) {
        if (d->message != NULL) {
            push_to_part(d->parts[i], d->message);
        } else {
            close_part(d->parts[i]);
        }
    }
    finish(d);
}

/* ---- publishing ---- */

/* Adds a part to what its loop gets. */
static void add_part(struct delivery **list, struct part *part)
{
    struct delivery *d = *list;

    while (d != NULL && d->hub != part->hub) {
        d = d->next;
    }
    if (d == NULL) {
        d = xmalloc(sizeof(*d));
        *d = (struct delivery){.next = *list, .hub = part->hub};
        *list = d;
    }
    if (d->n == d->room) {
        d->room = d->room == 0 ? 1 : 2 * d->room;
        d->parts = xrealloc(d->parts, d->room * sizeof(struct part *));
    }
    atomic_fetch_add_explicit(&part->refs, 1, memory_order_relaxed);
    d->parts[d->n++] = part;
}

static size_t add_topic_parts(struct delivery **list, const struct topic *topic)
{
    for (struct part *part = topic->parts; part != NULL; part = part->next) {
        add_part(list, part);
    }
    return topic->n;
}

static size_t add_patterns(const struct pubsub *ps, size_t first,
                           struct slice channel, struct delivery **list)
    REQUIRES_SHARED(ps->lock)
{
    const struct topic *topic;
    size_t n = 0;

    LIST_FOREACH(topic, &ps->patterns[first], siblings)
    {
        if (glob_match(topic_name(topic), channel, false)) {
            n += add_topic_parts(list, topic);
        }
    }
    return n;
}

/* Finds who gets what is published on 'channel'; returns how many. */
static size_t match(const struct pubsub *ps, enum pubsub_kind kind,
                    struct slice channel, struct delivery **list)
    REQUIRES_SHARED(ps->lock)
{
    const struct topic *topic =
        pubsub_topic(ps, kind, channel, hash_bytes(channel));
    size_t n = topic == NULL ? 0 : add_topic_parts(list, topic);

    if (kind == PUBSUB_CHANNEL) {
        if (channel.size > 0) {
            n +=
                add_patterns(ps, (unsigned char)channel.data[0], channel, list);
        }
        n += add_patterns(ps, PUBSUB_ANY_BYTE, channel, list);
    }
    return n;
}

/* "$", 20 digits, twice CRLF, and the NUL of sprintf(). */
#define BULK_OVERHEAD_BYTES 26

static char *put_bulk(char *to, struct slice s)
{
    to += sprintf(to, "$%zu\r\n", s.size);
    if (s.size > 0) {
        memcpy(to, s.data, s.size);
    }
    to += s.size;
    memcpy(to, "\r\n", 2);
    return to + 2;
}

static size_t put_text(char *to, enum pubsub_kind kind, struct slice channel,
                       struct slice text)
{
    if (kind == PUBSUB_MONITOR) {
        memcpy(to, text.data, text.size);
        return text.size;
    }
    return (size_t)(put_bulk(put_bulk(to, channel), text) - to);
}

/* NULL: out of memory. */
static struct message *message_new(enum pubsub_kind kind, uint64_t number,
                                   struct slice channel, struct slice text)
{
    struct message *m = try_malloc(sizeof(*m) + channel.size + text.size +
                                   2 * BULK_OVERHEAD_BYTES);

    if (m != NULL) {
        *m = (struct message){.refs = 1, .kind = kind, .number = number};
        m->size = put_text(m->text, kind, channel, text);
    }
    return m;
}

/* Leaves those parts of which this was not known yet. */
static void keep_newly_overrun(struct delivery *d)
{
    size_t n = 0;

    for (size_t i = 0; i < d->n; i++) {
        struct part *part = d->parts[i];
        if (atomic_exchange_explicit(&part->overrun, true,
                                     memory_order_relaxed)) {
            part_unref(part);
        } else {
            d->parts[n++] = part;
        }
    }
    d->n = n;
}

/* Sends 'd' to its loop, or closes those whom it is for: there is no memory for
 * the message, or the loop is too far behind. */
static void post(struct delivery *d, struct message *message)
{
    struct hub *hub = d->hub;
    const size_t backlog =
        atomic_load_explicit(&hub->backlog_bytes, memory_order_relaxed);

    d->bytes = sizeof(*d) + (message == NULL ? 0 : message->size);
    if (message != NULL &&
        (backlog == 0 || backlog + d->bytes <= OVERRUN_BYTES)) {
        atomic_fetch_add_explicit(&message->refs, 1, memory_order_relaxed);
        d->message = message;
    } else {
        keep_newly_overrun(d);
    }
    atomic_fetch_add_explicit(&hub->backlog_bytes, d->bytes,
                              memory_order_relaxed);
    if (d->n == 0 || !task_post(hub->home, deliver, d)) {
        finish(d);
    }
}

size_t pubsub_publish(struct pubsub *ps, enum pubsub_kind kind,
                      struct slice channel, struct slice text,
                      struct chan_tx *crowded)
{
    struct delivery *list = NULL;

    if (crowded != NULL) {
        crowded->chan = NULL;
    }
    if (pubsub_count(ps, kind) == 0 &&
        (kind != PUBSUB_CHANNEL || pubsub_count(ps, PUBSUB_PATTERN) == 0)) {
        return 0;
    }
    rwlock_rdlock(&ps->lock);
    const size_t n = match(ps, kind, channel, &list);
    const uint64_t number = ps->last_number;
    rwlock_rdunlock(&ps->lock);
    if (n == 0) {
        return 0;
    }
    struct message *message = message_new(kind, number, channel, text);
    while (list != NULL) {
        struct delivery *d = list;
        struct hub *hub = d->hub;
        list = d->next;
        post(d, message);
        if (crowded != NULL &&
            atomic_load_explicit(&hub->backlog_bytes, memory_order_relaxed) >
                CROWDED_BYTES) {
            *crowded = hub->home;
        }
    }
    message_unref(message);
    return n;
}
