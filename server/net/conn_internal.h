/* SPDX-License-Identifier: MIT */
/*
 * Shared by conn.c (one connection), conn_show.c (what others see of it) and
 * conns.c (the connections of a loop);
 * nobody else includes this.
 *
 * What an idle connection does not need is kept once a loop and lent: the
 * buffer that is read into, the buffer that replies are written to, and the
 * request that a command runs with.  A connection has an input of its own only
 * while a part of a command, or commands that wait, must be kept; an output of
 * its own only while its peer does not take the replies.
 *
 * Thread-safety: everything on the loop's thread.
 */
#ifndef SERVER_NET_CONN_INTERNAL_H
#define SERVER_NET_CONN_INTERNAL_H

#include "server/command/client.h"
#include "server/net/loop.h"
#include "server/net/requests.h"
#include "server/resp/parse.h"

#include <sys/queue.h>

struct event;
struct pause;
struct tls;

/* Most bytes read by one event of one connection; one send of a usual client
 * fits, and others need not wait long. */
#define CONN_READ_BYTES ((size_t)64 * 1024)

struct conn {
    struct client client; /* Commands see only this. */
    struct conns *conns;
    struct tls *tls;        /* NULL: in the clear. */
    struct event *readable; /* Added while 'reading'. */
    struct event *writable; /* Added while 'writing'. */
    bool reading;
    bool writing;     /* The peer is slow; the rest goes when it is ready. */
    bool ended;       /* No more input will be read: end of file, or drain. */
    bool unread;      /* 'input' begins with something not tried yet. */
    bool class_waits; /* … namely a command of 'waiting_class', which may not
                         overlap with what runs. */
    bool queued;      /* In 'ready' of the loop. */
    bool overdrawn;   /* It is owed too much: it must be closed. */
    bool paused;      /* CLIENT PAUSE holds the command that is next. */
    bool was_busy;    /* Something was kept for it when it was shown last. */
    int64_t slow_since_us; /* It is owed more than the soft limit since then;
                              0: it is not. */
    enum request_class waiting_class;
    struct resp_parser parser;
    struct buf input;
    struct buf output;
    struct requests requests; /* Whose replies have not been taken. */
    LIST_ENTRY(conn) siblings;
    TAILQ_ENTRY(conn) ready;
};

/* The connections of one loop. */
struct conns {
    struct loop *loop;
    LIST_HEAD(all_list, conn) all;
    TAILQ_HEAD(ready_list, conn) ready; /* Want conn_work(). */
    struct event *ready_event;
    struct event *deadline_event;
    struct event *resume_event;    /* When CLIENT PAUSE ends. */
    struct ticker *sweep;          /* Looks for idle connections. */
    int64_t now_us;                /* When the conn_work() under way began. */
    char *scratch;                 /* CONN_READ_BYTES, read into by all. */
    struct buf work;               /* The clients' 'scratch', for handlers. */
    struct buf spare_output;       /* Empty; lent while replies are made. */
    struct request *spare_request; /* Lent while a command runs; or NULL. */
    struct request *running;       /* Inside command_run() now; or NULL. */
    bool closing;                  /* conn_close_all() was called. */
    task_fn *done;
    void *done_arg;
};

/* ---- conns.c ---- */

/* The connections of 'loop', made at the first call; NULL when the system
 * refuses. */
struct conns *conns_of(struct loop *loop);
/* Calls conn_work() in this round of the loop, after what is being done. */
void conns_work_soon(struct conn *conn);
/* The same in the next round, after the sockets that are ready by then. */
void conns_work_later(struct conn *conn);
/* CLIENT PAUSE holds a connection: when that is over, all that were held go
 * on. */
void conns_await_resume(struct conns *conns, struct pause *pause);
/* Takes 'conn' out of everything; frees nothing. */
void conns_remove(struct conn *conn);
struct request *conns_lend_request(struct conns *conns);
void conns_lend_output(struct conns *conns, struct buf *output);
/* Takes the storage of an empty output back. */
void conns_return_output(struct conns *conns, struct buf *output);

/* ---- conn_show.c ---- */

/* Lets others see how things stand with 'conn'. */
void conn_show(struct conn *conn);
/* The same of what it costs, which is more than nothing from the beginning. */
void conn_show_memory(struct conn *conn);

/* ---- conn.c ---- */

/* Goes on after something changed: takes finished replies, runs commands of
 * the kept input and of 'fresh', sends, closes.  'conn' may be gone then. */
void conn_work(struct conn *conn, struct slice fresh);
/* Notices whether 'conn' is owed more than client-output-buffer-limit allows;
 * then it is closed, with the next conn_work(). */
void conn_check_owed(struct conn *conn);
/* Closes at once; requests under way are told and live on without client. */
void conn_close(struct conn *conn);

#endif
