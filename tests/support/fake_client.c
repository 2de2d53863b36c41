/* SPDX-License-Identifier: MIT */
#include "tests/support/fake_client.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/command/acl.h"
#include "server/command/clients.h"
#include "server/command/databases.h"
#include "server/command/dispatch.h"
#include "server/command/slowlog.h"
#include "server/command/pause.h"
#include "server/command/tracking.h"
#include "server/command/keyspace.h"

#include <stdlib.h>

/* Replies of tests fit, so that none grows while a test has an allocation
 * fail. */
#define REPLY_ROOM ((size_t)64 << 10)

static void on_finish(struct request *request)
{
    (void)request; /* Whoever waits looks at request->finished. */
}

static void on_push(struct client *client, const struct slice *pieces, size_t n)
{
    struct fake_client *c = container_of(client, struct fake_client, client);

    for (size_t i = 0; i < n; i++) {
        buf_append_slice(&c->pushed, pieces[i]);
    }
}

static void on_overrun(struct client *client)
{
    (void)client; /* No test publishes so much. */
}

static void on_kill(struct client *client)
{
    container_of(client, struct fake_client, client)->killed = true;
}

static bool on_unblock(struct client *client, bool with_error)
{
    struct fake_client *c = container_of(client, struct fake_client, client);

    for (size_t i = 0; i < FAKE_CLIENT_REQUESTS; i++) {
        struct request *r = c->requests[i];
        if (r != NULL && !r->finished && r->on_unblock != NULL) {
            r->on_unblock(r, with_error);
            return true;
        }
    }
    return false;
}

static void stop(struct server *server)
{
    container_of(server, struct fake_client, server)->stopped = true;
}

struct fake_client *fake_client_new(struct fixture *f, int protocol)
{
    struct fake_client *c = xcalloc(1, sizeof *c);

    command_init();
    (void)buf_reserve(&c->room, REPLY_ROOM);
    (void)buf_reserve(&c->text, REPLY_ROOM);
    c->f = f;
    c->server = (struct server){.timers = f->timers,
                                .config = f->config,
                                .store = f->store,
                                .cache = f->cache,
                                .lookup = f->lookup,
                                .clients = clients_new(),
                                .acl = acl_new(f->config),
                                .databases = databases_new(16),
                                .keyspace = keyspace_new(&c->server),
                                .pubsub = pubsub_new(),
                                .slowlog = slowlog_new(),
                                .pause = pause_new(),
                                .tracking = tracking_new(&c->server),
                                .config_path = "",
                                .started_us = clock_now_us(),
                                .port = 7379,
                                .run_id = "0123456789",
                                .stop = stop};
    c->client = (struct client){.server = &c->server,
                                .home = chan_tx(f->home),
                                .protocol = protocol,
                                .fd = 7,
                                .created_us = clock_now_us(),
                                .address = "192.0.2.1:1234",
                                .local_address = "192.0.2.2:7379",
                                .scratch = &c->scratch,
                                .shown_protocol = protocol,
                                .on_finish = on_finish,
                                .on_push = on_push,
                                .on_overrun = on_overrun,
                                .on_kill = on_kill,
                                .on_unblock = on_unblock};
    acl_welcome(&c->client);
    if (!clients_add(c->server.clients, &c->client, 1)) {
        log_fatal("fake_client: refused");
    }
    return c;
}

/* The place of 'request', NULL for a free one. */
static struct request **place_of(struct fake_client *c,
                                 const struct request *request)
{
    for (size_t i = 0; i < FAKE_CLIENT_REQUESTS; i++) {
        if (c->requests[i] == request) {
            return &c->requests[i];
        }
    }
    log_fatal("fake_client: too many requests, or one of another client");
}

void fake_client_leave(struct fake_client *c)
{
    for (size_t i = 0; i < FAKE_CLIENT_REQUESTS; i++) {
        struct request *request = c->requests[i];
        c->requests[i] = NULL;
        if (request != NULL && request->finished) {
            request_free(request);
        } else if (request != NULL) {
            request->client = NULL;
            if (request->on_cancel != NULL) {
                request->on_cancel(request);
            }
        }
    }
}

void fake_client_free(struct fake_client *c)
{
    fake_client_leave(c);
    pubsub_leave(c->server.pubsub, &c->client);
    tracking_stop(&c->client);
    fixture_run_ready(c->f); /* As a loop does when it is closed. */
    clients_remove(c->server.clients, &c->client);
    clients_free(c->server.clients);
    pause_free(c->server.pause);
    acl_free(c->server.acl);
    keyspace_free(c->server.keyspace);
    databases_free(c->server.databases);
    pubsub_free(c->server.pubsub);
    slowlog_free(c->server.slowlog);
    tracking_free(c->server.tracking);
    buf_destroy(&c->scratch);
    buf_destroy(&c->pushed);
    buf_destroy(&c->room);
    buf_destroy(&c->text);
    free(c);
}

int fake_client_tear_down(void **state)
{
    struct fake_client *c = *state;
    struct fixture *f = c->f;

    fake_client_free(c);
    fixture_free(f);
    clock_set_real();
    return 0;
}

struct request *fake_client_begin(struct fake_client *c,
                                  const char *const *words)
{
    struct request *request;
    struct slice *args;
    size_t n = 0;

    while (words[n] != NULL) {
        n++;
    }
    args = xcalloc(n, sizeof *args);
    for (size_t i = 0; i < n; i++) {
        args[i] = slice_from_string(words[i]);
    }
    request = fake_client_begin_args(c, args, n);
    free(args);
    return request;
}

struct request *fake_client_begin_args(struct fake_client *c,
                                       const struct slice *args, size_t argc)
{
    struct request *request = xcalloc(1, sizeof *request);
    struct slice *argv = xcalloc(argc, sizeof *argv);

    for (size_t i = 0; i < argc; i++) {
        /* Not a byte more, so that AddressSanitizer sees a read behind it. */
        char *arg = xmalloc(args[i].size > 0 ? args[i].size : 1);
        memcpy(arg, args[i].data, args[i].size);
        argv[i] = slice_make(arg, args[i].size);
    }
    *place_of(c, NULL) = request;
    *request = (struct request){
        .client = &c->client,
        .argv = argv,
        .argc = argc,
        .reply = {.out = &request->own, .protocol = c->client.protocol},
        .start_us = clock_now_us()};
    request->own = c->room;
    c->room = (struct buf){0};
    command_find(request);
    if (command_run(request) == COMMAND_DONE) {
        request->finished = true;
    } else {
        request->pending = true;
    }
    /* As a connection's input, the words are gone when the handler returns;
     * who keeps using them is caught by AddressSanitizer. */
    for (size_t i = 0; i < argc; i++) {
        free((void *)(uintptr_t)argv[i].data);
    }
    free(argv);
    return request;
}

const char *fake_client_take(struct fake_client *c, struct request *request)
{
    while (!request->finished) {
        fixture_run_one(c->f);
    }
    *place_of(c, request) = NULL;
    buf_clear(&c->text);
    buf_append_slice(&c->text, buf_slice(&request->own));
    buf_destroy(&c->room);
    c->room = request->own;
    buf_clear(&c->room);
    request->own = (struct buf){0};
    request_free(request);
    return buf_string(&c->text);
}
