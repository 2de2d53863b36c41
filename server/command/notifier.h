/* SPDX-License-Identifier: MIT */
/*
 * Notifications: every change of a key is published on two channels.
 *
 *     hset book:3 ──► __keyspace@0__:book:3    "hset"
 *                └──► __keyevent@0__:hset      "book:3"
 *
 * Which of them, and for which classes of events, is notify-keyspace-events.
 * When anything may have changed and nobody knows what, as by a commit of
 * another program while no change feed is installed, subscribers are told so:
 *
 *     __keyevent@0__:resync    "*", or what the change says of its keys
 *
 * Thread-safety: any thread; see lookup/changes.h for what may be held.
 */
#ifndef SERVER_COMMAND_NOTIFIER_H
#define SERVER_COMMAND_NOTIFIER_H

#include "server/lookup/changes.h"

/* A change_fn for changes_listen(); 'arg' is a struct server, whose 'config'
 * and 'pubsub' live as long as changes are told. */
void notifier_hear(void *arg, const struct change *change);

#endif
