/* SPDX-License-Identifier: MIT */
#include "server/net/listener.h"

#include "common/log.h"
#include "common/mem.h"
#include "server/net/address.h"
#include "server/net/conn.h"

#include <event2/event.h>

#include <assert.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

/* Connections accepted by one event, so that a storm of them does not keep
 * the loop from its tasks; the rest is accepted in the next round. */
#define ACCEPTS_PER_ROUND 256

/* Pause after accept4() failed, mostly for want of descriptors.  The connection
 * stays in the kernel's queue, so without a pause the loop would spin. */
#define PAUSE_MS 100

struct listener {
    struct addresses addresses;
    struct event **events; /* One for each address. */
    struct event *resume;  /* Ends a pause. */
    bool starved;          /* A shortage was reported and is not over. */
    struct server *server; /* Borrowed, as the loops. */
    struct loop **io_loops;
    size_t n_io_loops;
    size_t next_loop;         /* Gets the next connection. */
    struct tls_settings *tls; /* Borrowed, or NULL. */
};

/* A connection on its way to its loop. */
struct arrival {
    struct loop *loop;
    struct server *server;
    struct tls_settings *tls; /* NULL: in the clear. */
    int fd;
};

static void arrive(void *arg)
{
    struct arrival *arrival = arg;
    conn_open(arrival->loop, arrival->server, arrival->tls, arrival->fd);
    free(arrival);
}

static void hand_over(struct listener *listener, int fd, bool is_tls)
{
    struct arrival *arrival = xmalloc(sizeof(*arrival));
    *arrival = (struct arrival){
        .loop = listener->io_loops[listener->next_loop],
        .server = listener->server,
        .tls = is_tls ? listener->tls : NULL,
        .fd = fd,
    };
    listener->next_loop = (listener->next_loop + 1) % listener->n_io_loops;
    if (!loop_post(arrival->loop, arrive, arrival)) {
        close(fd); /* We are stopping. */
        free(arrival);
    }
}

/* ---- accepting ---- */

static void accept_again(struct listener *listener)
{
    for (size_t i = 0; i < listener->addresses.n; i++) {
        event_add(listener->events[i], NULL);
    }
}

static void pause_accepting(struct listener *listener, int error)
{
    static const struct timeval pause = {.tv_usec = PAUSE_MS * 1000};
    if (!listener->starved) {
        listener->starved = true;
        log_warn("listener: cannot accept, will try again error=\"%s\"%s",
                 strerror(error),
                 error == EMFILE ? " advice=\"raise LimitNOFILE\"" : "");
    }
    for (size_t i = 0; i < listener->addresses.n; i++) {
        event_del(listener->events[i]);
    }
    event_add(listener->resume, &pause);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    accept_again(arg);
}

static bool speaks_tls(const struct listener *listener, int fd)
{
    const struct addresses *list = &listener->addresses;
    for (size_t i = 0; i < list->n; i++) {
        if (list->items[i].fd == fd) {
            return list->items[i].is_tls;
        }
    }
    return false;
}

static void on_connection(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct listener *listener = arg;
    const bool is_tls = speaks_tls(listener, fd);
    for (int i = 0; i < ACCEPTS_PER_ROUND; i++) {
        int accepted = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (accepted >= 0) {
            hand_over(listener, accepted, is_tls);
            continue;
        }
        switch (errno) {
        case EAGAIN:
            listener->starved = false;
            return;
        case ECONNABORTED:
        case EINTR:
        case EPERM:
        case EPROTO:
            break; /* This connection failed before we took it: the next. */
        default:
            pause_accepting(listener, errno);
            return;
        }
    }
}

/* ---- open and close ---- */

static enum err open_addresses(struct listener *listener,
                               const struct listener_options *options,
                               struct buf *detail)
{
    struct addresses *list = &listener->addresses;
    enum err err = addresses_inherit(list, detail);
    if (err != ERR_OK || list->n > 0) {
        return err;
    }
    if (options->port != 0) {
        err = addresses_open_tcp(list, options->bind, options->port,
                                 options->backlog, detail);
    }
    if (err == ERR_OK && options->tls_port != 0) {
        const size_t before = list->n;
        err = addresses_open_tcp(list, options->bind, options->tls_port,
                                 options->backlog, detail);
        addresses_mark_tls(list, before);
    }
    if (err == ERR_OK && options->unix_path[0] != '\0') {
        err = addresses_open_unix(list, options->unix_path, options->unix_mode,
                                  options->backlog, detail);
    }
    if (err == ERR_OK && list->n == 0) {
        buf_append_string(detail, "nowhere to listen; set 'port', "
                                  "'tls-port' or 'unixsocket'");
        err = ERR_INVALID;
    }
    return err;
}

static enum err make_events(struct listener *listener, struct loop *loop)
{
    struct event_base *base = loop_base(loop);
    listener->resume = event_new(base, -1, 0, on_resume, listener);
    if (listener->resume == NULL) {
        return ERR_SYSTEM;
    }
    listener->events =
        xcalloc(listener->addresses.n, sizeof(*listener->events));
    for (size_t i = 0; i < listener->addresses.n; i++) {
        listener->events[i] =
            event_new(base, listener->addresses.items[i].fd,
                      EV_READ | EV_PERSIST, on_connection, listener);
        if (listener->events[i] == NULL ||
            event_add(listener->events[i], NULL) != 0) {
            return ERR_SYSTEM;
        }
    }
    return ERR_OK;
}

enum err listener_open(struct listener **listenerp,
                       const struct listener_options *options,
                       struct buf *detail)
{
    assert(options->n_io_loops > 0);
    struct listener *listener = xcalloc(1, sizeof(*listener));
    listener->server = options->server;
    listener->tls = options->tls;
    listener->io_loops = options->io_loops;
    listener->n_io_loops = options->n_io_loops;
    enum err err = open_addresses(listener, options, detail);
    if (err == ERR_OK) {
        err = make_events(listener, options->accept_loop);
        if (err != ERR_OK) {
            buf_append_string(detail, "the system has no events to give");
        }
    }
    if (err != ERR_OK) {
        listener_close(listener);
        return err;
    }
    *listenerp = listener;
    return ERR_OK;
}

void listener_close(struct listener *listener)
{
    if (listener == NULL) {
        return;
    }
    for (size_t i = 0; listener->events != NULL && i < listener->addresses.n;
         i++) {
        if (listener->events[i] != NULL) {
            event_free(listener->events[i]);
        }
    }
    if (listener->resume != NULL) {
        event_free(listener->resume);
    }
    free(listener->events);
    addresses_close(&listener->addresses);
    free(listener);
}

int listener_port(const struct listener *listener)
{
    return addresses_port(&listener->addresses);
}
