/* SPDX-License-Identifier: MIT */
/*
 * The parts of a running server, as commands and connections reach them.
 *
 * Thread-safety: filled before the first connection is accepted, constant
 * until the last has gone.
 */
#ifndef SERVER_COMMAND_PARTS_H
#define SERVER_COMMAND_PARTS_H

#include "common/attr.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct acl;
struct cache;
struct client_memory;
struct clients;
struct config;
struct databases;
struct keyspace;
struct lookup;
struct pause;
struct pubsub;
struct slowlog;
struct store;
struct timers;
struct tracking;

struct server {
    struct timers *timers;
    struct config *config;
    struct store *store;
    struct cache *cache;
    struct lookup *lookup;
    struct clients *clients;
    struct client_memory *client_memory;
    struct pause *pause; /* CLIENT PAUSE. */
    struct acl *acl;
    struct databases *databases;
    struct keyspace *keyspace;
    struct pubsub *pubsub;
    struct tracking *tracking;
    struct slowlog *slowlog;
    const char *config_path;      /* Absolute; "" when there is no file. */
    int64_t started_us;           /* clock_now_us(). */
    _Atomic size_t startup_bytes; /* Of memory, when all parts were built;
                                     relaxed: set while clients may come. */
    int port;                     /* TCP port really bound. */
    char run_id[41];              /* 40 hex digits, drawn at start. */
    _Atomic bool keeps_expired;   /* DEBUG SET-ACTIVE-EXPIRE 0.  Relaxed. */
    /* Begins an orderly stop; returns at once.  Thread: any. */
    void (*stop)(struct server *server);
};

#endif
