/* SPDX-License-Identifier: MIT */
/*
 * The requests of one connection whose replies have not been taken: replies
 * leave in the order of the requests, whenever they finish.
 *
 *     first                                last
 *     [unfinished] ─► [finished] ─► … ─► [unfinished]
 *
 * It begins with an unfinished request or is empty, because finished ones at
 * its front are taken at once; behind it they hold their replies.  All
 * unfinished ones are of one class, because another may only begin when there
 * are none.
 *
 * Thread-safety: everything on the loop's thread.
 */
#ifndef SERVER_NET_REQUESTS_H
#define SERVER_NET_REQUESTS_H

#include "server/command/client.h"

/* Zeroed is empty. */
struct requests {
    struct request *first;
    struct request *last;
    size_t count;
    size_t n_unfinished;
    size_t n_blocked;         /* Of them, those that CLIENT UNBLOCK may end. */
    size_t held_bytes;        /* Of replies that wait for others. */
    enum request_class class; /* Of the unfinished, if any. */
};

/* May a request of 'class' begin now? */
bool requests_allow(const struct requests *list, enum request_class class);

/* Adds one that has begun; its reply goes to its own buffer from now on.
 * Ownership: 'request' is the list's until it is taken or detached. */
void requests_append(struct requests *list, struct request *request);

/* Counts one of the list as finished; call once, after request->finished was
 * set. */
void requests_count_finished(struct requests *list,
                             const struct request *request);

/* Where something is to be put so that it leaves after the replies of all that
 * have begun; its size is added to 'held_bytes' then.  NULL: there are none. */
struct buf *requests_push(struct requests *list);

/* Forgets the reply of a finished request of the list. */
void requests_drop(struct requests *list, struct request *request);

/* Moves the replies at the front that are finished to 'output'. */
void requests_take(struct requests *list, struct buf *output);

/* The client has gone: empties the list.  The unfinished are told and live on
 * without a client; request_finish() frees them. */
void requests_detach(struct requests *list);

#endif
