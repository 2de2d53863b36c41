/* SPDX-License-Identifier: MIT */
/*
 * One connection.  conn_work() is the whole of it: it is called whenever
 * something changed (bytes came, a reply is finished, the peer takes output
 * again, a turn was put off) and does everything that can be done now, in the
 * same order each time:
 *
 *     take finished replies ─► run commands ─► send ─► over? close
 *                                                 └─► what to wait for next
 */
#include "server/net/conn.h"
#include "server/net/conn_internal.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "server/admin/stats.h"
#include "server/command/acl.h"
#include "server/command/client_memory.h"
#include "server/command/account.h"
#include "server/command/clients.h"
#include "server/command/command.h"
#include "server/command/dispatch.h"
#include "server/command/parts.h"
#include "server/command/pubsub.h"
#include "server/command/tracking.h"
#include "server/net/socket.h"
#include "server/net/tls.h"

#include <event2/event.h>

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* Commands of one connection before others have their turn: about a
 * millisecond of cache hits. */
#define COMMANDS_PER_ROUND 1024

/* Requests of one connection whose replies are not taken yet.  Each costs about
 * half a kilobyte while it waits, so one client can hold half a megabyte; more
 * overlap than this gains little. */
#define REQUESTS_MAX 1024

/* Replies kept for one client that does not read.  Beyond it no command of
 * this client is run and nothing is read until it takes some.  Small enough
 * that a few such clients do no harm, large enough for the pipelines of
 * clients that send everything before they read anything. */
#define OUTPUT_MAX ((size_t)64 << 20)

/* The same for one that has to authenticate first.  Beyond it it is closed. */
#define OUTPUT_STRANGER_MAX ((int64_t)1 << 20)

/* Redis' limits for an inline command or a length, and on arguments. */
#define INLINE_MAX ((size_t)64 * 1024)
#define ARGS_MAX ((size_t)1024 * 1024)

static void on_readable(evutil_socket_t fd, short what, void *arg);
static void on_writable(evutil_socket_t fd, short what, void *arg);
static void on_finish(struct request *request);
static void on_push(struct client *client, const struct slice *pieces,
                    size_t n);
static void on_overrun(struct client *client);
static void on_kill(struct client *client);
static bool on_unblock(struct client *client, bool with_error);

/* ---- open and close ---- */

static void refuse(int fd, const struct tls *tls, const char *error)
{
    stats_count(STATS_rejected_connections);
    /* The buffer of a new socket takes it; if not, the end says enough, as it
     * must to who speaks TLS. */
    if (tls == NULL) {
        (void)!send(fd, error, strlen(error), MSG_NOSIGNAL);
    }
    socket_hang_up(fd);
}

/* May a connection from another machine not be served?  Source: Redis'
 * protected mode. */
static bool is_protected(const struct server *server, int fd)
{
    return config_switch(server->config, CONFIG_protected_mode) &&
           !acl_has_password(server->acl) && !socket_is_local(fd);
}

void conn_open(struct loop *loop, struct server *server,
               struct tls_settings *tls, int fd)
{
    assert(loop_is_current(loop));
    stats_count(STATS_total_connections_received);
    struct conns *conns = conns_of(loop);
    if (conns == NULL || conns->closing) {
        close(fd);
        return;
    }
    if (is_protected(server, fd)) {
        refuse(fd, NULL,
               "-DENIED bookd is in protected mode: while it has no "
               "password it serves this machine only. Set requirepass, or "
               "protected-mode no if nobody else can reach it, in its "
               "configuration or by CONFIG SET from this machine.\r\n");
        return;
    }
    struct conn *conn = xcalloc(1, sizeof(*conn));
    struct client *client = &conn->client;
    *client = (struct client){
        .server = server,
        .home = loop_home(loop),
        .scratch = &conns->work,
        .protocol = 2,
        .fd = fd,
        .created_us = clock_now_us(),
        .last_active_us = clock_now_us(),
        .shown_protocol = 2,
        .on_finish = on_finish,
        .on_push = on_push,
        .on_overrun = on_overrun,
        .on_kill = on_kill,
        .on_unblock = on_unblock,
    };
    client_set_flag(client, CLIENT_UNIX, socket_is_unix(fd));
    socket_names(fd, client->address, client->local_address,
                 CLIENT_ADDRESS_SIZE);
    socket_tune(fd, config_number(server->config, CONFIG_tcp_keepalive));
    conn->conns = conns;
    conn->tls = tls != NULL ? tls_new(tls, fd) : NULL;
    resp_parser_init(&conn->parser);
    struct event_base *base = loop_base(loop);
    conn->readable =
        event_new(base, fd, EV_READ | EV_PERSIST, on_readable, conn);
    conn->writable = event_new(base, fd, EV_WRITE, on_writable, conn);
    if (conn->readable == NULL || conn->writable == NULL ||
        (tls != NULL && conn->tls == NULL)) {
        log_error("conn: events cannot be made addr=%s", client->address);
        close(fd);
        goto fail;
    }
    acl_welcome(client);
    /* Last, because from here on other threads see the client. */
    size_t max = (size_t)config_number(server->config, CONFIG_maxclients);
    if (!clients_add(server->clients, client, max)) {
        refuse(fd, conn->tls, "-ERR max number of clients reached\r\n");
        clients_set_user(server->clients, client, NULL);
        goto fail;
    }
    conn->reading = true;
    client_set_flag(client, CLIENT_READS, true);
    conn_show_memory(conn);
    LIST_INSERT_HEAD(&conns->all, conn, siblings);
    if (event_add(conn->readable, NULL) != 0) {
        log_error("conn: the system watches no more sockets addr=%s",
                  client->address);
        conn_close(conn);
    }
    return;

fail:
    tls_free(conn->tls);
    if (conn->readable != NULL) {
        event_free(conn->readable);
    }
    if (conn->writable != NULL) {
        event_free(conn->writable);
    }
    free(conn);
}

void conn_close(struct conn *conn)
{
    struct client *client = &conn->client;
    assert(conn->conns->running == NULL);
    client_memory_leave(client->server->client_memory, client);
    pubsub_leave(client->server->pubsub, client);
    tracking_stop(client);
    event_free(conn->readable);
    event_free(conn->writable);
    tls_free(conn->tls);
    socket_hang_up(client->fd);
    clients_remove(client->server->clients, client);
    requests_detach(&conn->requests);
    resp_parser_destroy(&conn->parser);
    buf_destroy(&conn->input);
    buf_destroy(&conn->output);
    conns_remove(conn);
    free(conn);
}

/* ---- requests ---- */

static size_t owed_bytes(const struct conn *conn)
{
    return conn->output.size + conn->requests.held_bytes;
}

/* No further command may be run before something changes. */
static bool must_wait(const struct conn *conn)
{
    const struct requests *requests = &conn->requests;
    return conn->paused || requests->count >= REQUESTS_MAX ||
           owed_bytes(conn) >= OUTPUT_MAX ||
           (conn->class_waits &&
            !requests_allow(requests, conn->waiting_class));
}

/* Lends the loop's request for one command.  With nothing before it, it writes
 * straight to the output. */
static struct request *lend_request(struct conn *conn)
{
    bool first = conn->requests.first == NULL;
    struct request *request = conns_lend_request(conn->conns);
    *request = (struct request){
        .client = &conn->client,
        .argv = conn->parser.argv,
        .argc = conn->parser.argc,
        .reply.out = first ? &conn->output : &request->own,
        .reply.protocol = conn->client.protocol,
        .start_us = conn->conns->now_us,
    };
    return request;
}

/* The lent request is not done, or must not be answered yet: it stays. */
static void keep_request(struct conn *conn, struct request *request)
{
    conn->conns->spare_request = NULL;
    requests_append(&conn->requests, request);
}

/* The lent request is done. */
static void settle(struct conn *conn, struct request *request)
{
    request->finished = true;
    if (conn->requests.first != NULL) {
        keep_request(conn, request);
    } else {
        request_clear(request);
    }
}

static void on_finish(struct request *request)
{
    struct conn *conn = container_of(request->client, struct conn, client);
    assert(loop_is_current(conn->conns->loop));
    if (request == conn->conns->running) {
        return; /* Before its handler returned: run_command() goes on. */
    }
    requests_count_finished(&conn->requests, request);
    conn_check_owed(conn);
    if (conn->overdrawn || request->is_muted) {
        requests_drop(&conn->requests, request); /* Nobody will read it. */
    }
    conns_work_soon(conn);
}

/* ---- what it is owed ---- */

void conn_check_owed(struct conn *conn)
{
    const struct config_limit limit = config_output_limit(
        conn->client.server->config,
        client_is_subscriber(&conn->client) ||
                client_has_flag(&conn->client, CLIENT_MONITORS)
            ? CONFIG_LIMITS_PUBSUB
            : CONFIG_LIMITS_NORMAL);
    const int64_t owed = (int64_t)owed_bytes(conn);

    if (owed >= OUTPUT_STRANGER_MAX && acl_awaits_login(&conn->client)) {
        conn->overdrawn = true;
    }
    if (limit.hard_bytes != 0 && owed >= limit.hard_bytes) {
        conn->overdrawn = true;
    }
    if (limit.soft_bytes == 0 || owed < limit.soft_bytes) {
        conn->slow_since_us = 0;
        return;
    }
    const int64_t now_us = clock_now_us();
    if (conn->slow_since_us == 0) {
        conn->slow_since_us = now_us;
    } else if (now_us - conn->slow_since_us > limit.soft_us) {
        conn->overdrawn = true;
    }
}

static void on_overrun(struct client *client)
{
    struct conn *conn = container_of(client, struct conn, client);
    conn->overdrawn = true;
    conns_work_soon(conn);
}

static void on_kill(struct client *client)
{
    struct conn *conn = container_of(client, struct conn, client);
    log_notice("conn: closed by another client addr=%s", client->address);
    conn_close(conn);
}

static bool on_unblock(struct client *client, bool with_error)
{
    const struct conn *conn = container_of(client, struct conn, client);
    struct request *request = conn->requests.first;
    while (request != NULL &&
           (request->finished || request->on_unblock == NULL)) {
        request = request->next;
    }
    if (request == NULL) {
        return false;
    }
    request->on_unblock(request, with_error);
    return true;
}

static bool append_all(struct buf *out, const struct slice *pieces, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!buf_try_append_slice(out, pieces[i])) {
            return false;
        }
    }
    return true;
}

static void on_push(struct client *client, const struct slice *pieces, size_t n)
{
    struct conn *conn = container_of(client, struct conn, client);
    assert(loop_is_current(conn->conns->loop));
    assert(conn->conns->running == NULL);
    if (conn->overdrawn) {
        return;
    }
    struct buf *held = requests_push(&conn->requests);
    struct buf *out = held != NULL ? held : &conn->output;
    const size_t before = out->size;
    if (!append_all(out, pieces, n)) {
        conn->overdrawn = true;
    }
    if (held != NULL) {
        conn->requests.held_bytes += out->size - before;
    }
    conn_check_owed(conn);
    conns_work_soon(conn);
}

/* ---- commands ---- */

/* True: CLIENT PAUSE holds it. */
static bool is_held(struct conn *conn, const struct request *request)
{
    if (!command_is_paused(request) || conn->conns->closing) {
        return false;
    }
    conn->paused = true;
    client_set_flag(&conn->client, CLIENT_PAUSED, true);
    atomic_store_explicit(&conn->client.last_command, request->command,
                          memory_order_relaxed);
    conns_await_resume(conn->conns, conn->client.server->pause);
    return true;
}

/* Is the reply to the command that just ran dropped?  Source: Redis' CLIENT
 * REPLY; SKIP is about the command behind it. */
static bool is_muted(struct client *client)
{
    switch (client->replies) {
    case REPLIES_SENT:
        return false;
    case REPLIES_SKIP_NEXT:
        client->replies = REPLIES_SKIP;
        return false;
    case REPLIES_SKIP:
        client->replies = REPLIES_SENT;
        return true;
    case REPLIES_DROPPED:
        return true;
    }
    return false;
}

/* Takes the reply back, of which 'before' bytes were there already; or later,
 * if there is none yet. */
static void mute(struct conn *conn, struct request *request, size_t before)
{
    if (!is_muted(&conn->client) || request->is_pushing) {
        return;
    }
    request->is_muted = true;
    buf_truncate(request->reply.out, before);
}

/* False: it may not overlap with what runs, or not run now, and must be parsed
 * again. */
static bool run_command(struct conn *conn)
{
    struct request *request = lend_request(conn);
    command_find(request);
    conn->class_waits = !requests_allow(&conn->requests, request->class);
    if (conn->class_waits) {
        conn->waiting_class = request->class;
        return false;
    }
    if (is_held(conn, request)) {
        return false;
    }
    const size_t before = request->reply.out->size;
    conn->conns->running = request;
    enum command_status status = command_run(request);
    conn->conns->running = NULL;
    if (conn->client.replies != REPLIES_SENT) {
        mute(conn, request, before);
    }
    if (status == COMMAND_PENDING && !request->finished) {
        keep_request(conn, request);
    } else {
        settle(conn, request);
    }
    return true;
}

/* Answers what is no command, in its turn, and then closes. */
static void protocol_error(struct conn *conn)
{
    struct request *request = lend_request(conn);
    stats_count(STATS_protocol_errors);
    log_notice("conn: protocol error addr=%s text=\"%s\"", conn->client.address,
               conn->parser.error);
    const size_t before = request->reply.out->size;
    reply_errorf(&request->reply, "ERR %s", conn->parser.error);
    account_end(request);
    mute(conn, request, before);
    settle(conn, request);
    conn->client.close_after_reply = true;
}

/* Runs what may be run of 'todo' and returns how many bytes of it are done
 * with. */
static size_t run_commands(struct conn *conn, struct slice todo)
{
    const struct config *config = conn->client.server->config;
    struct resp_limits limits = {
        .max_args = ARGS_MAX,
        .max_bulk_bytes =
            (size_t)config_number(config, CONFIG_proto_max_bulk_len),
        .max_inline_bytes = INLINE_MAX,
        .max_command_bytes =
            (size_t)config_number(config, CONFIG_client_query_buffer_limit),
    };
    size_t used = 0;
    conn->unread = false;
    for (int n = 0; used < todo.size; n++) {
        if (conn->client.close_after_reply) {
            return todo.size;
        }
        if (n == COMMANDS_PER_ROUND || must_wait(conn)) {
            conn->unread = true;
            return used;
        }
        limits.is_stranger = acl_awaits_login(&conn->client);
        switch (resp_parse(&conn->parser, &limits,
                           slice_make(todo.data + used, todo.size - used))) {
        case RESP_COMMAND:
            if (!run_command(conn)) {
                conn->unread = true;
                return used;
            }
            break;
        case RESP_NOTHING:
            break;
        case RESP_INCOMPLETE:
            return used;
        case RESP_ERROR:
            protocol_error(conn);
            return todo.size;
        }
        used += conn->parser.used_bytes;
    }
    return used;
}

static bool keep(struct conn *conn, struct slice bytes)
{
    if (buf_try_append_slice(&conn->input, bytes)) {
        return true;
    }
    log_warn("conn: closed, no memory for its input addr=%s input_bytes=%zu",
             conn->client.address, conn->input.size);
    return false;
}

/* Usually the commands are whole and run from where they were read to; only
 * what remains is copied.  False: there is no memory for it. */
static bool run_input(struct conn *conn, struct slice fresh)
{
    if (conn->input.size == 0) {
        size_t used = run_commands(conn, fresh);
        return keep(conn, slice_make(fresh.data + used, fresh.size - used));
    }
    if (!keep(conn, fresh)) {
        return false;
    }
    buf_consume(&conn->input, run_commands(conn, buf_slice(&conn->input)));
    if (conn->input.size == 0) {
        buf_destroy(&conn->input);
    }
    return true;
}

/* ---- output ---- */

static ssize_t transmit(struct conn *conn)
{
    const char *bytes = buf_data(&conn->output);
    return conn->tls == NULL
               ? send(conn->client.fd, bytes, conn->output.size, MSG_NOSIGNAL)
               : tls_write(conn->tls, bytes, conn->output.size);
}

static bool await_room(struct conn *conn)
{
    conn->writing = event_add(conn->writable, NULL) == 0;
    client_set_flag(&conn->client, CLIENT_WRITES, conn->writing);
    return conn->writing;
}

/* Sends once; what the kernel does not take goes when it can.  False: the
 * peer is gone, or cannot be waited for. */
static bool flush(struct conn *conn)
{
    if (conn->output.size == 0 || conn->writing) {
        return true;
    }
    ssize_t n = transmit(conn);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        return false;
    }
    if (n > 0) {
        stats_count(STATS_total_writes_processed);
        stats_add(STATS_total_net_output_bytes, n);
        buf_consume(&conn->output, (size_t)n);
    }
    if (conn->output.size > 0) {
        return await_room(conn);
    }
    return true;
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    struct conn *conn = arg;
    conn->writing = false;
    client_set_flag(&conn->client, CLIENT_WRITES, false);
    if (conn->tls != NULL && tls_wants_to_write(conn->tls)) {
        event_active(conn->readable, EV_READ, 0); /* It goes on there. */
    }
    conn_work(conn, SLICE(""));
}

/* ---- the whole ---- */

/* The same as recv() over TLS. */
static ssize_t receive(struct conn *conn, char *to)
{
    const ssize_t n = tls_read(conn->tls, to, CONN_READ_BYTES);
    const int error = errno;
    if (n < 0 && *tls_error(conn->tls) != '\0') {
        log_notice("conn: TLS handshake failed addr=%s reason=\"%s\"",
                   conn->client.address, tls_error(conn->tls));
    } else if (n < 0 && tls_wants_to_write(conn->tls) && !conn->writing) {
        (void)await_room(conn);
    } else if (n > 0 && tls_has_more(conn->tls)) {
        event_active(conn->readable, EV_READ, 0);
    }
    errno = error;
    return n;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct conn *conn = arg;
    char *scratch = conn->conns->scratch;
    ssize_t n = conn->tls == NULL ? recv(fd, scratch, CONN_READ_BYTES, 0)
                                  : receive(conn, scratch);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            conn_close(conn);
        }
        return;
    }
    if (n == 0 && conn->paused) {
        conn_close(conn); /* What it asked for has not begun. */
        return;
    }
    if (n == 0) {
        conn->ended = true; /* It may still read what we owe it. */
    }
    stats_count(STATS_total_reads_processed);
    stats_add(STATS_total_net_input_bytes, n);
    conn_work(conn, slice_make(scratch, (size_t)n));
}

/* No command will follow, and every reply is on its way. */
static bool is_over(const struct conn *conn)
{
    return (conn->client.close_after_reply || (conn->ended && !conn->unread)) &&
           conn->requests.first == NULL && conn->output.size == 0;
}

static void read_on(struct conn *conn, bool reading)
{
    if (reading != conn->reading) {
        conn->reading = reading;
        client_set_flag(&conn->client, CLIENT_READS, reading);
        if (reading) {
            event_add(conn->readable, NULL);
            if (conn->tls != NULL && tls_has_more(conn->tls)) {
                event_active(conn->readable, EV_READ, 0);
            }
        } else {
            event_del(conn->readable);
        }
    }
}

static bool wants_input(struct conn *conn)
{
    if (conn->client.close_after_reply) {
        client_set_flag(&conn->client, CLIENT_CLOSES, true);
        return false;
    }
    if (conn->paused) { /* So that its end is noticed. */
        return !conn->ended && conn->input.size < CONN_READ_BYTES;
    }
    return !conn->ended && !conn->unread && !must_wait(conn);
}

static void close_overdrawn(struct conn *conn)
{
    stats_count(STATS_client_output_buffer_limit_disconnections);
    log_warn("conn: closed, it reads too slowly for what it is owed "
             "addr=%s owed_bytes=%zu",
             conn->client.address, owed_bytes(conn));
    conn_close(conn);
}

void conn_work(struct conn *conn, struct slice fresh)
{
    if (conn->overdrawn) {
        close_overdrawn(conn);
        return;
    }
    conn->conns->now_us = clock_now_us();
    if (conn->ended) {
        (void)on_unblock(&conn->client, false); /* Else it might never end. */
    }
    conns_lend_output(conn->conns, &conn->output);
    requests_take(&conn->requests, &conn->output);
    if (!run_input(conn, fresh) || !flush(conn) || is_over(conn)) {
        conn_close(conn);
        return;
    }
    if (conn->output.size == 0) {
        conns_return_output(conn->conns, &conn->output);
    } else {
        conn_check_owed(conn);
        if (conn->overdrawn) {
            close_overdrawn(conn);
            return;
        }
    }
    conn_show(conn);
    read_on(conn, wants_input(conn));
    if (conn->unread && !must_wait(conn)) {
        conns_work_later(conn);
    }
}
