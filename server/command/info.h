/* SPDX-License-Identifier: MIT */
/*
 * The sections of INFO, and what MEMORY shares with them.
 *
 *     cmd_info.c     which sections, and the wait for the keyspace
 *     info_server.c  Server Clients Persistence Replication CPU
 *     info_memory.c  Memory
 *     info_stats.c   Stats Commandstats Errorstats Latencystats
 *     info_book.c    Cache Lookup Latency Store Exported: our own
 *     info.def       fields of Redis that can only say one thing here
 *
 * Thread-safety: any thread; figures of one moment may be off against each
 * other by what happens meanwhile.
 */
#ifndef SERVER_COMMAND_INFO_H
#define SERVER_COMMAND_INFO_H

#include "common/buf.h"
#include "server/command/parts.h"

/* Appends the lines of a section, "name:value\r\n". */
typedef void info_section_fn(const struct server *server, struct buf *out);

info_section_fn info_server, info_clients, info_persistence, info_replication,
    info_cpu;
info_section_fn info_memory;
info_section_fn info_stats, info_commandstats, info_errorstats,
    info_latencystats;
info_section_fn info_cache, info_lookup, info_latency, info_store,
    info_exported;

void info_line(struct buf *out, const char *name, int64_t value);

/* "1.50M", in a line: as Redis writes sizes for people. */
void info_line_human(struct buf *out, const char *name, size_t bytes);

/* The fields of 'section' that info.def has. */
void info_constants(const char *section, struct buf *out);

/* CONFIG RESETSTAT: what is counted elsewhere than in stats.h begins at zero. */
void info_reset(const struct server *server);

/* Wall clock in seconds; when the store has last committed, or the start. */
int64_t info_last_save_s(const struct server *server);

/* Bytes. */
struct memory_figures {
    size_t used;
    size_t used_peak;
    size_t rss;
    size_t startup;  /* In use before the first client came. */
    size_t dataset;  /* Of cached copies, and the index over them. */
    size_t overhead; /* The rest of 'used'. */
    size_t clients;
    size_t active;   /* As in memory.h; at least 'used', */
    size_t resident; /* and at least 'active'. */
    size_t entries;  /* Cached copies: their number. */
    size_t max;      /* For 'dataset'. */
};
struct memory_figures memory_figures(const struct server *server);

/* 100 times 'part' in 'whole', 0 if that is nothing. */
double percent_of(size_t part, size_t whole);
/* 'a' by 'b', 0 if that is nothing. */
double ratio_of(size_t a, size_t b);

/* Table of info.def, for docs/protocol.md. */
void info_print_docs(struct buf *out);

#endif
