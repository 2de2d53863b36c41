/* SPDX-License-Identifier: MIT */
/*
 * A session: one connection to bookd, on which commands are sent and replies
 * received, in order.  The one place that knows hiredis.
 *
 *     send send send … receive receive receive     a pipeline
 *     ask                                           one of each
 *
 * Each wait has the timeout the session was opened with.  After a failure to
 * reach the server a session is of no more use but to be closed.
 *
 * Thread-safety: none; one thread at a time.
 */
#ifndef CLIENT_SESSION_H
#define CLIENT_SESSION_H

#include "client/status.h"
#include "client/target.h"
#include "common/attr.h"
#include "common/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reply; /* What the server answered; see below. */
struct session;

/* Connects to 'target', authenticates and selects the database as it says.  A
 * 'timeout_us' of 0 waits for ever.
 * Errors: STATUS_CONNECTION or STATUS_SERVER, with a sentence in 'why'. */
NODISCARD
enum status session_open(struct session **sessionp, const struct target *target,
                         int64_t timeout_us, struct buf *why);
/* session_close(NULL) is fine. */
void session_close(struct session *session);

/* Adds a command of 'count' words to what is to be sent. */
void session_send(struct session *session, const struct slice *words,
                  size_t count);

/* Sends what is waiting and receives the next reply; NULL when the server
 * cannot be reached, see session_error().
 * Ownership: the caller releases it with reply_free(). */
NODISCARD
struct reply *session_receive(struct session *session);

enum session_event {
    SESSION_REPLY,
    SESSION_WOKEN, /* 'wake_fd' is readable. */
    SESSION_QUIET, /* Nothing came in time. */
    SESSION_LOST   /* The server cannot be reached, see session_error(). */
};

/* Sends what is waiting, then waits for something that the server sends of its
 * own accord, as to who has subscribed: stores it in '*replyp'.  A 'timeout_us'
 * of 0 waits for ever. */
NODISCARD
enum session_event session_await(struct session *session, int wake_fd,
                                 int64_t timeout_us, struct reply **replyp);

/* Sends a command and receives its reply; the words are C strings, the last
 * argument NULL. */
NODISCARD
struct reply *session_ask(struct session *session, const char *word, ...)
    __attribute__((sentinel));

/* Why session_receive() returned NULL: one sentence; and whether it was
 * because the server closed the connection. */
const char *session_error(const struct session *session);
bool session_was_closed(const struct session *session);

/* The address, for people. */
const char *session_place(const struct session *session);

/* Says on standard error what is wrong, if 'reply' is NULL or an error.
 * Returns STATUS_OK, STATUS_CONNECTION or STATUS_SERVER. */
enum status session_check(const struct session *session,
                          const struct reply *reply);

/* ---- replies ---- */

enum reply_kind {
    REPLY_NIL,
    REPLY_STRING,
    REPLY_STATUS, /* "+OK" */
    REPLY_ERROR,
    REPLY_INTEGER,
    REPLY_ARRAY
};

enum reply_kind reply_kind(const struct reply *reply);
/* The bytes of a string, status or error; of others, none. */
struct slice reply_text(const struct reply *reply);
/* The value of an integer; of others, 0. */
int64_t reply_integer(const struct reply *reply);
/* How many elements an array has, and the one at 'index'; of others, 0. */
size_t reply_count(const struct reply *reply);
const struct reply *reply_at(const struct reply *reply, size_t index);
/* Of an array of names and values, the value of 'name', or NULL. */
const struct reply *reply_field(const struct reply *reply, const char *name);
/* reply_free(NULL) is fine. */
void reply_free(struct reply *reply);

#endif
