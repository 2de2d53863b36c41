/* SPDX-License-Identifier: MIT */
/*
 * A client without a connection, over a fixture: commands go in as words, and
 * the bytes of the reply come out.
 *
 *     struct fake_client *c = fake_client_new(f, 3);
 *     CALL(c, "GET", "book:3")              the whole reply, as a string
 *     struct request *r = BEGIN(c, …)       only begun; r->finished tells
 *     fake_client_leave(c)                  as if the connection had closed
 *
 * The test thread is the loop: it runs the tasks of the fixture's home.
 *
 * Thread-safety: the test thread.
 */
#ifndef TESTS_SUPPORT_FAKE_CLIENT_H
#define TESTS_SUPPORT_FAKE_CLIENT_H

#include "server/command/client.h"
#include "server/command/command.h"
#include "server/command/parts.h"
#include "tests/support/lookup_fixture.h"

#define FAKE_CLIENT_REQUESTS 8

struct fake_client {
    struct client client;
    struct server server; /* Made of the fixture's parts. */
    struct fixture *f;
    struct buf scratch;
    struct buf text;   /* Of the last CALL(). */
    struct buf room;   /* For the next reply. */
    struct buf pushed; /* What came of its own accord. */
    bool stopped;      /* SHUTDOWN was asked for. */
    bool killed;       /* Its connection would be closed. */
    /* Begun and not taken, in no order; NULL: free. */
    struct request *requests[FAKE_CLIENT_REQUESTS];
};

/* A client of 'protocol' 2 or 3, in a list of clients of its own. */
struct fake_client *fake_client_new(struct fixture *f, int protocol);
/* Requests still pending are cancelled. */
void fake_client_free(struct fake_client *c);

/* For cmocka, where '*state' is a fake client: it goes, with its fixture, and
 * the clock is the real one again. */
int fake_client_tear_down(void **state);

/* Begins a command of the words up to a NULL.  The request is the client's;
 * its reply is in request->own once it is finished. */
struct request *fake_client_begin(struct fake_client *c,
                                  const char *const *words);
/* The same of any bytes. */
struct request *fake_client_begin_args(struct fake_client *c,
                                       const struct slice *args, size_t argc);
#define BEGIN(c, ...) \
    fake_client_begin(c, (const char *const[]){__VA_ARGS__, NULL})

/* Runs tasks until 'request' is finished, frees it, and returns its reply;
 * valid until the next. */
const char *fake_client_take(struct fake_client *c, struct request *request);

/* Begins and takes. */
#define CALL(c, ...) fake_client_take(c, BEGIN(c, __VA_ARGS__))

/* The connection closes: what is pending lives on without a client. */
void fake_client_leave(struct fake_client *c);

#endif
