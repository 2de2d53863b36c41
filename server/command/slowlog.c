/* SPDX-License-Identifier: MIT */
#include "server/command/slowlog.h"

#include "common/clock.h"
#include "common/lock.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/command/databases.h"
#include "server/command/parts.h"
#include "server/command/redact.h"

#include <stdio.h>
#include <sys/queue.h>

/* What is shown of a command.  Source: Redis, slowlog.h. */
#define ARGS_SHOWN 32
#define ARG_BYTES_SHOWN 128

struct entry {
    TAILQ_ENTRY(entry) next;
    int64_t id;
    int64_t at_s; /* Wall clock. */
    int64_t took_us;
    char *client_name; /* Owned. */
    char address[CLIENT_ADDRESS_SIZE];
    size_t args_size;
    char args[]; /* An array of bulk strings, as both protocols have it. */
};

struct slowlog {
    struct mutex lock; /* Rank LOCK_LEAF; held for one reply at most. */
    TAILQ_HEAD(entries, entry) entries GUARDED_BY(lock); /* The newest first. */
    size_t n GUARDED_BY(lock);
    int64_t next_id GUARDED_BY(lock);
};

struct slowlog *slowlog_new(void)
{
    struct slowlog *log = xcalloc(1, sizeof *log);

    mutex_init(&log->lock, LOCK_LEAF, "slowlog");
    TAILQ_INIT(&log->entries);
    return log;
}

void slowlog_free(struct slowlog *log)
{
    if (log != NULL) {
        slowlog_trim(log, 0);
        mutex_destroy(&log->lock);
        free(log);
    }
}

/* ---- arguments ---- */

/* Room for a number and the words around it. */
#define NOTE_BYTES 48

/* Headers of the array or of one argument, with all that reply.c reserves for
 * them. */
#define HEADER_BYTES 64

static bool is_cut(const struct request *r)
{
    return r->argc > ARGS_SHOWN;
}

/* How many arguments are shown, one of them perhaps a note. */
static size_t n_shown(const struct request *r)
{
    return is_cut(r) ? ARGS_SHOWN : r->argc;
}

static void print_arg(const struct request *r, size_t i, struct reply *reply)
{
    const struct slice arg = database_shown_arg(r, i);
    char cut[ARG_BYTES_SHOWN + NOTE_BYTES];

    if (redact_is_secret(r, i)) {
        reply_bulk_string(reply, REDACTED);
    } else if (arg.size > ARG_BYTES_SHOWN) {
        memcpy(cut, arg.data, ARG_BYTES_SHOWN);
        const int n =
            snprintf(cut + ARG_BYTES_SHOWN, NOTE_BYTES, "... (%zu more bytes)",
                     arg.size - ARG_BYTES_SHOWN);
        reply_bulk(reply, slice_make(cut, ARG_BYTES_SHOWN + (size_t)n));
    } else {
        reply_bulk(reply, arg);
    }
}

/* False: there is no memory for it. */
static bool print_args(const struct request *r, struct buf *out)
{
    struct reply reply = {.out = out, .protocol = 2};
    const size_t n = n_shown(r);
    char note[NOTE_BYTES];
    size_t room = HEADER_BYTES;

    for (size_t i = 0; i < n; i++) {
        const size_t size = r->argv[i].size;
        room += HEADER_BYTES + NOTE_BYTES +
                (size < ARG_BYTES_SHOWN ? size : ARG_BYTES_SHOWN);
    }
    if (buf_try_reserve(out, room) == NULL) {
        return false;
    }
    reply_array(&reply, n);
    for (size_t i = 0; i < n - is_cut(r); i++) {
        print_arg(r, i, &reply);
    }
    if (is_cut(r)) {
        (void)snprintf(note, sizeof note, "... (%zu more arguments)",
                       r->argc - n + 1);
        reply_bulk_string(&reply, note);
    }
    return true;
}

void slowlog_keep_args(struct request *r)
{
    struct buf args = {0};

    if (print_args(r, &args)) {
        char *kept = request_room(r, args.size);
        if (kept != NULL) {
            memcpy(kept, buf_data(&args), args.size);
            r->slow_args = slice_make(kept, args.size);
        }
    }
    buf_destroy(&args);
}

/* ---- entries ---- */

static struct entry *entry_new(const struct request *r, struct slice args,
                               int64_t took_us)
{
    const struct client *client = r->client;
    struct entry *e = xmalloc(sizeof *e + args.size);

    *e = (struct entry){.at_s = clock_wall_ms() / 1000,
                        .took_us = took_us,
                        /* Only this client's own loop changes the name. */
                        .client_name =
                            xstrdup(client->name != NULL ? client->name : ""),
                        .args_size = args.size};
    memcpy(e->address, client->address, sizeof e->address);
    memcpy(e->args, args.data, args.size);
    return e;
}

void slowlog_add(struct slowlog *log, const struct request *r, int64_t took_us)
{
    const struct config *config = r->client->server->config;
    struct slice args = r->slow_args;
    struct buf text = {0};

    if (args.size == 0 && r->pending && r->kept_args == NULL) {
        return; /* They went unseen: the log was off, or no memory left. */
    }
    if (args.size == 0) {
        if (!print_args(r, &text)) {
            return;
        }
        args = buf_slice(&text);
    }
    struct entry *e = entry_new(r, args, took_us);
    buf_destroy(&text);
    mutex_lock(&log->lock);
    e->id = log->next_id++;
    TAILQ_INSERT_HEAD(&log->entries, e, next);
    log->n++;
    mutex_unlock(&log->lock);
    slowlog_trim(log, (size_t)config_number(config, CONFIG_slowlog_max_len));
}

static void entry_free(struct entry *e)
{
    free(e->client_name);
    free(e);
}

void slowlog_trim(struct slowlog *log, size_t max)
{
    mutex_lock(&log->lock);
    while (log->n > max) {
        struct entry *e = TAILQ_LAST(&log->entries, entries);
        TAILQ_REMOVE(&log->entries, e, next);
        log->n--;
        entry_free(e);
    }
    mutex_unlock(&log->lock);
}

size_t slowlog_len(struct slowlog *log)
{
    mutex_lock(&log->lock);
    const size_t n = log->n;
    mutex_unlock(&log->lock);
    return n;
}

static void reply_entry(struct reply *reply, const struct entry *e)
{
    reply_array(reply, 6);
    reply_integer(reply, e->id);
    reply_integer(reply, e->at_s);
    reply_integer(reply, e->took_us);
    buf_append(reply->out, e->args, e->args_size);
    reply_bulk_string(reply, e->address);
    reply_bulk_string(reply, e->client_name);
}

void slowlog_reply(struct slowlog *log, size_t max, struct reply *reply)
{
    const struct entry *e;

    mutex_lock(&log->lock);
    size_t n = log->n < max ? log->n : max;
    reply_array(reply, n);
    for (e = TAILQ_FIRST(&log->entries); n > 0; n--) {
        reply_entry(reply, e);
        e = TAILQ_NEXT(e, next);
    }
    mutex_unlock(&log->lock);
}
