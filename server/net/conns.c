/* SPDX-License-Identifier: MIT */
/*
 * The connections of one loop: what they share, who gets a turn, and how they
 * end together.
 */
#include "server/net/conn.h"
#include "server/net/conn_internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/command/parts.h"
#include "server/command/pause.h"
#include "server/net/ticker.h"
#include "server/net/tls.h"

#include <event2/event.h>

#include <assert.h>

/* 'timeout' and the soft limits of output are looked after this often. */
#define SWEEP_INTERVAL_US 1000000

/* A TLS handshake may take this long. */
#define HANDSHAKE_US 10000000

/* A lent output that grew beyond this goes back to the system. */
#define SPARE_OUTPUT_BYTES ((size_t)1 << 20)

static void run_ready(evutil_socket_t fd, short what, void *arg);
static void close_hard(evutil_socket_t fd, short what, void *arg);
static void on_resume(evutil_socket_t fd, short what, void *arg);
static void sweep(void *arg);
static void destroy(void *arg);

struct conns *conns_of(struct loop *loop)
{
    struct conns *conns = loop_attached(loop);
    if (conns != NULL) {
        return conns;
    }
    conns = xcalloc(1, sizeof(*conns));
    conns->loop = loop;
    LIST_INIT(&conns->all);
    TAILQ_INIT(&conns->ready);
    conns->scratch = xmalloc(CONN_READ_BYTES);
    struct event_base *base = loop_base(loop);
    conns->ready_event = event_new(base, -1, 0, run_ready, conns);
    conns->deadline_event = event_new(base, -1, 0, close_hard, conns);
    conns->resume_event = event_new(base, -1, 0, on_resume, conns);
    conns->sweep = loop_every(loop, SWEEP_INTERVAL_US, sweep, conns);
    if (conns->ready_event == NULL || conns->deadline_event == NULL ||
        conns->resume_event == NULL || conns->sweep == NULL) {
        log_error("conn: events cannot be made");
        destroy(conns);
        return NULL;
    }
    loop_attach(loop, conns, destroy);
    return conns;
}

static void destroy(void *arg)
{
    struct conns *conns = arg;
    while (!LIST_EMPTY(&conns->all)) {
        conn_close(LIST_FIRST(&conns->all));
    }
    ticker_cancel(conns->sweep);
    if (conns->ready_event != NULL) {
        event_free(conns->ready_event);
    }
    if (conns->deadline_event != NULL) {
        event_free(conns->deadline_event);
    }
    if (conns->resume_event != NULL) {
        event_free(conns->resume_event);
    }
    buf_destroy(&conns->spare_output);
    free(conns->spare_request);
    free(conns->scratch);
    buf_destroy(&conns->work);
    free(conns);
}

/* ---- turns ---- */

static void enqueue(struct conn *conn)
{
    conn->queued = true;
    TAILQ_INSERT_TAIL(&conn->conns->ready, conn, ready);
}

void conns_work_soon(struct conn *conn)
{
    if (!conn->queued) {
        enqueue(conn);
    }
    event_active(conn->conns->ready_event, EV_READ, 1);
}

void conns_work_later(struct conn *conn)
{
    static const struct timeval now = {0};
    if (!conn->queued) {
        enqueue(conn);
    }
    /* A timer due at once fires after the sockets were polled, while an event
     * activated by hand would keep the loop from polling. */
    event_add(conn->conns->ready_event, &now);
}

static void run_ready(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conns *conns = arg;
    /* Those that come back while we are at it have their turn another time. */
    const struct conn *last = TAILQ_LAST(&conns->ready, ready_list);
    bool more = last != NULL;
    while (more) {
        struct conn *conn = TAILQ_FIRST(&conns->ready);
        more = conn != last;
        TAILQ_REMOVE(&conns->ready, conn, ready);
        conn->queued = false;
        conn_work(conn, SLICE(""));
    }
}

/* ---- CLIENT PAUSE ---- */

static void resume(void *arg)
{
    struct conns *conns = arg;
    struct conn *conn;

    LIST_FOREACH(conn, &conns->all, siblings)
    {
        if (conn->paused) {
            conn->paused = false;
            client_set_flag(&conn->client, CLIENT_PAUSED, false);
            conns_work_soon(conn);
        }
    }
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    resume(arg);
}

static struct timeval time_left(int64_t end_us)
{
    const int64_t left_us = end_us - clock_now_us();

    return left_us <= 0 ? (struct timeval){0}
                        : (struct timeval){.tv_sec = left_us / 1000000,
                                           .tv_usec = left_us % 1000000};
}

void conns_await_resume(struct conns *conns, struct pause *pause)
{
    const struct timeval left =
        time_left(pause_wait(pause, loop_home(conns->loop), resume, conns));

    event_add(conns->resume_event, &left);
}

/* ---- what is lent ---- */

struct request *conns_lend_request(struct conns *conns)
{
    if (conns->spare_request == NULL) {
        conns->spare_request = xmalloc(sizeof(*conns->spare_request));
    }
    return conns->spare_request;
}

void conns_lend_output(struct conns *conns, struct buf *output)
{
    if (output->storage == NULL) {
        *output = conns->spare_output;
        conns->spare_output = (struct buf){0};
    }
}

void conns_return_output(struct conns *conns, struct buf *output)
{
    assert(output->size == 0);
    if (conns->spare_output.storage == NULL &&
        output->capacity <= SPARE_OUTPUT_BYTES) {
        buf_clear(output);
        conns->spare_output = *output;
        *output = (struct buf){0};
    } else {
        buf_destroy(output);
    }
}

/* ---- the end ---- */

/* Redis' 'timeout': a client that waits for us is not idle, nor is one that
 * waits for messages. */
static bool is_idle(const struct conn *conn, int64_t now_us)
{
    const struct client *client = &conn->client;
    const int64_t timeout_us =
        config_number(client->server->config, CONFIG_timeout);

    return timeout_us > 0 && conn->requests.n_unfinished == 0 &&
           !conn->paused && !client_is_subscriber(client) &&
           !client_has_flag(client, CLIENT_MONITORS) &&
           now_us - atomic_load_explicit(&client->last_active_us,
                                         memory_order_relaxed) >=
               timeout_us;
}

static bool is_no_greeting(const struct conn *conn, int64_t now_us)
{
    return conn->tls != NULL && !tls_is_ready(conn->tls) &&
           now_us - conn->client.created_us >= HANDSHAKE_US;
}

static void sweep(void *arg)
{
    struct conns *conns = arg;
    int64_t now_us = clock_now_us();
    struct conn *conn = LIST_FIRST(&conns->all);
    while (conn != NULL) {
        struct conn *next = LIST_NEXT(conn, siblings);
        conn_check_owed(conn);
        if (is_no_greeting(conn, now_us)) {
            log_notice("conn: closed, its TLS handshake takes too long addr=%s",
                       conn->client.address);
            conn_close(conn);
        } else if (is_idle(conn, now_us)) {
            log_debug("conn: closed, idle addr=%s", conn->client.address);
            conn_close(conn);
        } else if (conn->overdrawn) {
            conns_work_soon(conn);
        }
        conn = next;
    }
}

static void finish_closing(struct conns *conns)
{
    if (conns->closing && conns->done != NULL && LIST_EMPTY(&conns->all)) {
        task_fn *done = conns->done;
        conns->done = NULL;
        event_del(conns->deadline_event);
        if (!loop_post(conns->loop, done, conns->done_arg)) {
            done(conns->done_arg); /* The loop has stopped meanwhile. */
        }
    }
}

void conns_remove(struct conn *conn)
{
    struct conns *conns = conn->conns;
    if (conn->queued) {
        TAILQ_REMOVE(&conns->ready, conn, ready);
    }
    LIST_REMOVE(conn, siblings);
    finish_closing(conns);
}

static void close_hard(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conns *conns = arg;
    size_t n = 0;
    while (!LIST_EMPTY(&conns->all)) {
        conn_close(LIST_FIRST(&conns->all));
        n++;
    }
    log_warn("conn: closed with replies owed, deadline reached n=%zu", n);
}

void conn_close_all(struct loop *loop, int64_t deadline_us, task_fn *done,
                    void *arg)
{
    assert(loop_is_current(loop));
    struct conns *conns = conns_of(loop);
    if (conns == NULL) {
        done(arg); /* Without events there are no connections either. */
        return;
    }
    conns->closing = true;
    conns->done = done;
    conns->done_arg = arg;
    const struct timeval left = time_left(deadline_us);
    event_add(conns->deadline_event, &left);
    struct conn *conn = LIST_FIRST(&conns->all);
    while (conn != NULL) {
        struct conn *next = LIST_NEXT(conn, siblings);
        conn->ended = true; /* As if every client had said its last. */
        conn->paused = false;
        conn_work(conn, SLICE(""));
        conn = next;
    }
    finish_closing(conns);
}
