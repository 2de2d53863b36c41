/* SPDX-License-Identifier: MIT */
/*
 * What a service manager is told: READY=1, STOPPING=1, WATCHDOG=1, in the
 * protocol of sd_notify(3), which is one datagram to the socket that
 * NOTIFY_SOCKET names.
 *
 * Thread-safety: notify_init() before any thread; the rest from any thread.
 */
#ifndef SERVER_NOTIFY_H
#define SERVER_NOTIFY_H

#include "common/attr.h"

#include <stdint.h>

/* Reads NOTIFY_SOCKET and WATCHDOG_USEC, and takes them out of the
 * environment.  Without them the other functions do nothing. */
void notify_init(void);

/* Sends lines of "NAME=value"; does not wait. */
void notify_send(const char *format, ...) PRINTF(1, 2);

/* How often WATCHDOG=1 must be sent at the least; 0: never. */
int64_t notify_watchdog_us(void);

#endif
