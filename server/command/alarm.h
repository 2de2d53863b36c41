/* SPDX-License-Identifier: MIT */
/*
 * A request that goes on after some time, without a thread that waits.
 *
 *     return alarm_set(request, delay_us, woken);      COMMAND_PENDING
 *     static void woken(struct request *request)       writes the reply
 *
 * Requests of other connections are served meanwhile; of its own, those that
 * may not overlap with it wait.
 *
 * Thread-safety: the loop of the request's client.
 */
#ifndef SERVER_COMMAND_ALARM_H
#define SERVER_COMMAND_ALARM_H

#include "server/command/command.h"

typedef void alarm_fn(struct request *request);

/* Has 'woken(request)' called after 'delay_us', and then finishes the request.
 * Not called if the client leaves first.  Not for a part of EXEC, which cannot
 * wait. */
enum command_status alarm_set(struct request *request, int64_t delay_us,
                              alarm_fn *woken);

/* Wakes a request that sleeps now; 'woken', unless NULL, is called instead of
 * what was given.  False if it is waking already. */
bool alarm_wake(struct request *request, alarm_fn *woken);

#endif
