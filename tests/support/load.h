/* SPDX-License-Identifier: MIT */
/*
 * Load for a bookd, as measurements need it: many connections, requests sent
 * at moments of the caller's choosing whether or not earlier ones were
 * answered, and the time each answer took.
 *
 * Replies are cut apart and not looked into: one line, one bulk string, or an
 * array of such.
 * What goes wrong ends the program.
 *
 * Thread-safety: one thread.
 */
#ifndef TESTS_SUPPORT_LOAD_H
#define TESTS_SUPPORT_LOAD_H

#include <stddef.h>
#include <stdint.h>

#include "common/slice.h"
#include "tests/support/daemon.h"

#define LOAD_DEPTH 1024 /* Requests of a connection that wait for a reply. */

struct load_conn {
    int fd;
    size_t n_asked;
    size_t n_answered;
    int64_t asked_us[LOAD_DEPTH]; /* Ring: when what is not answered was. */
    size_t size;                  /* Of 'bytes': a reply that is not whole. */
    char bytes[65536];
};

/* One reply, "+OK", "-ERR …", ":1", or a bulk string or an array with its
 * length line; it is gone when this returns. */
typedef void load_reply_fn(struct load_conn *conn, struct slice reply,
                           int64_t took_us, void *arg);

/* 'n' connections to 'd', each known to be with its loop. */
struct load_conn *load_open(const struct daemon *d, size_t n);
void load_close(struct load_conn *conns, size_t n);
/* Ends a connection the way of a client that was killed, and opens it anew. */
void load_kill(struct load_conn *conn, const struct daemon *d);

/* Sends an inline command, without its CRLF, and notes the time. */
void load_ask(struct load_conn *conn, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Sends bytes that are 'n' commands. */
void load_send(struct load_conn *conn, const char *bytes, size_t size,
               size_t n);

/* Takes replies until 'end_us' on clock_real_us(). */
void load_wait(struct load_conn *conns, size_t n, int64_t end_us,
               load_reply_fn *fn, void *arg);
/* Takes replies until there is one for each request, or until 'end_us'. */
void load_finish(struct load_conn *conns, size_t n, int64_t end_us,
                 load_reply_fn *fn, void *arg);
/* Requests that wait for their replies. */
size_t load_owed(const struct load_conn *conns, size_t n);

/* Gives a bookd that does not run yet a store of 'n' books, ids from 1. */
void load_fill_books(struct daemon *d, int n);

/* Asks one command and takes its answer, which must not be an error. */
void load_command(const struct daemon *d, const char *command);

/* Prints how busy other programs keep the machine. */
void load_print_machine(void);

#endif
