/* SPDX-License-Identifier: MIT */
/*
 * A client and its requests, as commands see them: who asks, in which
 * protocol, where the reply goes.  The connection behind it is net/conn's.
 *
 *     conn parses ──► command_run(request) ──► done at once: reply is written
 *                                          └─► pending: the handler keeps the
 *                     request and calls request_finish() later, on the loop
 *
 * Order: replies leave in the order of the requests, whenever they finish.
 * Requests of one class (reads, or writes) may be under way together; a
 * request of another class waits until those before it have finished, so that
 * a read never overtakes an earlier write nor the other way round.
 *
 * Thread-safety: clients and requests belong to the thread of their loop,
 * except the fields marked _Atomic, which CLIENT LIST reads from anywhere.
 */
#ifndef SERVER_COMMAND_CLIENT_H
#define SERVER_COMMAND_CLIENT_H

#include "common/attr.h"
#include "common/chan.h"
#include "common/slice.h"
#include "common/table.h"
#include "server/command/pubsub.h"
#include "server/resp/reply.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/queue.h>

struct command;
struct execution;
struct hub;
struct request;
struct server;
struct tracker;
struct transaction;
struct user;

/* Room for "[v6]:port", or for the path of a unix socket. */
#define CLIENT_ADDRESS_SIZE 128

/* What a client is at, or asked for: letters of CLIENT LIST, in this order. */
enum client_flag {
    CLIENT_MONITORS = 1 << 0, /* O: MONITOR. */
    CLIENT_PAUSED = 1 << 1,   /* b: CLIENT PAUSE holds its next command. */
    CLIENT_CLOSES = 1 << 2,   /* c: after the replies it is owed. */
    CLIENT_UNIX = 1 << 3,     /* U: over a unix socket. */
    CLIENT_NO_EVICT = 1 << 4, /* e: CLIENT NO-EVICT. */
    CLIENT_NO_TOUCH = 1 << 5, /* T: CLIENT NO-TOUCH. */
    CLIENT_TRACKS = 1 << 6,   /* t: CLIENT TRACKING. */
    CLIENT_BROKEN = 1 << 7,   /* R: it redirects to who is gone. */
    CLIENT_BCASTS = 1 << 8,   /* B: CLIENT TRACKING … BCAST. */
    /* Shown apart from the others: */
    CLIENT_READS = 1 << 9,  /* Its socket is watched for input, */
    CLIENT_WRITES = 1 << 10 /* and for room for output. */
};

/* CLIENT REPLY: what becomes of replies. */
enum client_replies {
    REPLIES_SENT,
    REPLIES_SKIP_NEXT, /* SKIP was said: the next one is dropped, */
    REPLIES_SKIP,      /* namely this one. */
    REPLIES_DROPPED
};

struct client {
    struct server *server; /* Borrowed: the parts that commands work on. */
    struct chan_tx home;   /* Tasks sent here run on the client's loop. */
    uint64_t id;           /* Unique since start, from 1. */
    int protocol;          /* 2 or 3. */
    int fd;                /* For CLIENT LIST only. */
    int64_t created_us;    /* clock_now_us(). */
    char address[CLIENT_ADDRESS_SIZE];       /* Of the peer. */
    char local_address[CLIENT_ADDRESS_SIZE]; /* Ours. */

    bool close_after_reply; /* Set by QUIT and by errors that end it. */
    enum client_replies replies;
    struct buf *scratch; /* Of the loop: room for a handler during one
                               call; emptied by command_run(). */
    struct transaction *transaction; /* Of MULTI and WATCH, transaction.h;
                                        NULL: neither. */

    struct tracker *tracker; /* Of CLIENT TRACKING, tracking.h; NULL: off. */

    /* Who it is, and what was found of that when (a generation of acl.h). */
    bool authenticated;  /* It gave a password, or needed none. */
    uint64_t trusted_in; /* It may do everything; 0: it may not. */
    uint64_t looked_in;  /* 'user' was up to date; 0: never. */

    /* Shown by CLIENT LIST; written on the loop, read anywhere, relaxed. */
    _Atomic unsigned flags; /* CLIENT_…; client_set_flag(). */
    _Atomic int64_t last_active_us;
    _Atomic(const struct command *) last_command;
    _Atomic size_t input_bytes; /* Unparsed input. */
    _Atomic size_t input_capacity;
    _Atomic size_t output_bytes; /* Unsent output, */
    _Atomic size_t output_capacity;
    _Atomic size_t output_peak;
    _Atomic size_t held_replies; /* and what waits for earlier replies. */
    _Atomic size_t held_bytes;
    _Atomic size_t pending_requests;
    _Atomic size_t blocked_requests; /* Of them, as CLIENT UNBLOCK may end. */
    _Atomic size_t memory_bytes;     /* All of the connection's, but for what is
                                    queued behind MULTI. */
    _Atomic int database;            /* As SELECT chose it. */
    _Atomic int shown_protocol;      /* Copy of 'protocol'. */
    _Atomic size_t queued_bytes;     /* Of commands between MULTI and EXEC. */
    _Atomic int queued_commands;     /* Plus 1; 0: there was no MULTI. */
    _Atomic size_t watched_keys;
    _Atomic size_t n_subscriptions[PUBSUB_KINDS];
    _Atomic int64_t shown_redirect; /* CLIENT TRACKING REDIRECT; 0: none. */

    /* What it has subscribed to; command/pubsub's. */
    struct hub *hub; /* NULL: it never has. */
    LIST_HEAD(, subscription) subscriptions;

    /* maxmemory-clients, client_memory.c: written on the loop, relaxed, */
    _Atomic size_t charged_bytes;
    /* and guarded by its lock. */
    unsigned size_class; /* 0: in no list. */
    bool is_sent_away;
    size_t sent_away_bytes;
    LIST_ENTRY(client) same_size;

    /* Guarded by the lock of clients.c. */
    struct user *user;  /* A reference; read on the loop without the lock. */
    char *name;         /* Owned; NULL: none. */
    char *library_name; /* CLIENT SETINFO lib-name. */
    char *library_version;
    struct client *next, *previous; /* The list of all clients. */
    struct table_node by_id;

    /* Called on the loop by request_finish(); set by net/conn. */
    void (*on_finish)(struct request *request);
    /* Set by net/conn, called on the loop: sends 'pieces', together one value
     * in the client's protocol, after all the client is owed already: behind
     * the replies of the requests that have begun.  (One exception:
     * request->pushes_first.)  Never frees the client. */
    void (*on_push)(struct client *client, const struct slice *pieces,
                    size_t n);
    /* Likewise: more was pushed than could be kept for it; it is closed
     * soon. */
    void (*on_overrun)(struct client *client);
    /* Likewise: closes it, and frees it before this returns.  Not while one of
     * its commands runs. */
    void (*on_kill)(struct client *client);
    /* Likewise: ends the waiting of a command that CLIENT UNBLOCK may end, as
     * if its time were over or with an error.  False: there is none. */
    bool (*on_unblock)(struct client *client, bool with_error);
};

static inline bool client_has_flag(const struct client *client,
                                   enum client_flag flag)
{
    return (atomic_load_explicit(&client->flags, memory_order_relaxed) &
            flag) != 0;
}

/* Thread: the loop, which alone writes the flags. */
static inline void client_set_flag(struct client *client, enum client_flag flag,
                                   bool on)
{
    const unsigned now =
        atomic_load_explicit(&client->flags, memory_order_relaxed);

    atomic_store_explicit(&client->flags, on ? now | flag : now & ~flag,
                          memory_order_relaxed);
}

/* Subscriptions of 'kind'.  Thread: any. */
static inline size_t client_subscriptions(const struct client *client,
                                          enum pubsub_kind kind)
{
    return atomic_load_explicit(&client->n_subscriptions[kind],
                                memory_order_relaxed);
}

/* Has it subscribed to any channel?  Thread: the loop. */
static inline bool client_is_subscriber(const struct client *client)
{
    return !LIST_EMPTY(&client->subscriptions) &&
           client_subscriptions(client, PUBSUB_CHANNEL) +
                   client_subscriptions(client, PUBSUB_PATTERN) +
                   client_subscriptions(client, PUBSUB_SHARD) >
               0;
}

struct answer;
struct room;
typedef void request_answer_fn(struct request *request,
                               const struct answer *answer);

/* What a request may overlap with on its connection. */
enum request_class {
    REQUEST_READ,  /* Overlaps with reads. */
    REQUEST_WRITE, /* Overlaps with writes; they keep their order. */
    REQUEST_ALONE  /* Runs when all before it finished; holds all behind it. */
};

/* One command under way.  net/conn makes it, and frees it when its reply was
 * taken.  argv points into the connection's input and is valid during the
 * handler's call only: a handler that goes on later calls
 * request_keep_args() first. */
struct request {
    struct client *client; /* NULL once the connection is gone. */
    const struct command *command;
    struct slice *argv;
    size_t argc;
    struct reply reply;           /* Where the handler writes. */
    int64_t start_us;             /* clock_now_us() when its batch was read. */
    int64_t begun_us;             /* When its handler was called, … */
    int64_t ended_us;             /* … and when it was done, if somebody has
                                     looked at the clock; 0: nobody has. */
    bool begun;                   /* Its handler was called. */
    void *state;                  /* The handler's own, between the calls. */
    request_answer_fn *on_answer; /* Likewise; see command/read.h. */
    struct buf found; /* What was found for the reply, on whatever thread; freed
                         with the request. */
    struct execution *execution; /* The EXEC that this is a part of; NULL. */
    /* Called once, on the loop, when the client went away while the request
     * was pending; may be NULL.  request_finish() must still be called. */
    void (*on_cancel)(struct request *request);
    /* Set before it becomes pending: what is pushed meanwhile leaves before
     * its reply.  For one of REQUEST_ALONE only, whose reply does not depend on
     * what is pushed. */
    bool pushes_first;
    /* What it answers are pushes, which CLIENT REPLY does not stop. */
    bool is_pushing;
    /* Set by a handler whose waiting CLIENT UNBLOCK may end: replies, and hands
     * the request back.  NULL: it may not. */
    void (*on_unblock)(struct request *request, bool with_error);
    bool translated; /* Its keys are not as the client wrote them any more;
                        databases.h. */

    /* Private to net/conn and request_keep_args(). */
    struct request *next;
    struct buf own;         /* The reply while others go first. */
    char *kept_args;        /* Owned copy behind argv, or NULL. */
    struct room *rooms;     /* Of request_room(). */
    struct slice slow_args; /* Of slowlog_keep_args(); in a room. */
    enum request_class class;
    bool pending;
    bool finished;
    bool is_muted; /* Its reply does not leave: CLIENT REPLY. */
    bool is_push;  /* No request: what was pushed between two. */
};

/* Copies the arguments, so that argv stays valid until the request is freed. */
void request_keep_args(struct request *request);

/* Zeroed room of 'size' bytes for the handler's own, freed with the request:
 * for what must live until a write was carried out.  NULL when memory is
 * exhausted. */
NODISCARD
void *request_room(struct request *request, size_t size);

/* The reply of a pending request has been written: hands the request back.
 * Thread: the loop of its client.  Do not touch 'request' afterwards. */
void request_finish(struct request *request);

/* Frees what a request owns that is not pending any more, but for its reply. */
void request_clear(struct request *request);

/* Frees a request that is not pending any more, with all it owns. */
void request_free(struct request *request);

#endif
