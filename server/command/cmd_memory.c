/* SPDX-License-Identifier: MIT */
/*
 * MEMORY: what keys cost, and what the process takes in all.
 */
#include "common/hash.h"
#include "server/admin/memory.h"
#include "server/cache/cache.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/info.h"
#include "server/command/read.h"

/* ---- USAGE ---- */

/* The key exists: by now it usually has a copy. */
static void answer_usage(struct request *r, const struct answer *answer)
{
    const struct slice key = r->argv[2];

    if (answer->outcome != LOOKUP_FOUND) {
        reply_null(&r->reply);
        return;
    }
    const size_t bytes =
        cache_entry_bytes(r->client->server->cache, key, hash_bytes(key));
    reply_integer(
        &r->reply,
        (int64_t)(bytes != 0 ? bytes : key.size + answer->bytes.size));
}

/* Options are as in Redis, and all words count: a value is one piece here,
 * there is nothing to sample. */
enum command_status cmd_memory_usage(struct request *r)
{
    for (size_t i = 3; i < r->argc; i += 2) {
        int64_t samples;
        if (!arg_is(r, i, "SAMPLES") || i + 1 == r->argc) {
            return done_syntax_error(r);
        }
        if (!arg_integer(r, i + 1, &samples)) {
            return COMMAND_DONE;
        }
        if (samples < 0) {
            return done_syntax_error(r);
        }
    }
    return read_key(r, r->argv[2], answer_usage);
}

/* ---- STATS ---- */

static void pair(struct reply *reply, const char *name, int64_t value)
{
    reply_bulk_string(reply, name);
    reply_integer(reply, value);
}

static void pair_double(struct reply *reply, const char *name, double value)
{
    reply_bulk_string(reply, name);
    reply_double(reply, value);
}

static void pair_size(struct reply *reply, const char *name, size_t bytes)
{
    pair(reply, name, (int64_t)bytes);
}

#define STATS_PAIRS 27

enum command_status cmd_memory_stats(struct request *r)
{
    const struct memory_figures m = memory_figures(r->client->server);
    struct reply *reply = &r->reply;

    reply_map(reply, STATS_PAIRS);
    pair_size(reply, "peak.allocated", m.used_peak);
    pair_size(reply, "total.allocated", m.used);
    pair_size(reply, "startup.allocated", m.startup);
    /* What Redis has and bookd has not: info.def says why. */
    pair(reply, "replication.backlog", 0);
    pair(reply, "clients.slaves", 0);
    pair_size(reply, "clients.normal", m.clients);
    pair(reply, "cluster.links", 0);
    pair(reply, "aof.buffer", 0);
    pair(reply, "lua.caches", 0);
    pair(reply, "functions.caches", 0);
    pair_size(reply, "overhead.total", m.overhead);
    pair_size(reply, "keys.count", m.entries);
    pair_size(reply, "keys.bytes-per-key",
              m.entries == 0 ? 0 : m.dataset / m.entries);
    pair_size(reply, "dataset.bytes", m.dataset);
    pair_double(
        reply, "dataset.percentage",
        percent_of(m.dataset, m.used > m.startup ? m.used - m.startup : 0));
    pair_double(reply, "peak.percentage", percent_of(m.used, m.used_peak));
    pair_size(reply, "allocator.allocated", m.used);
    pair_size(reply, "allocator.active", m.active);
    pair_size(reply, "allocator.resident", m.resident);
    pair_double(reply, "allocator-fragmentation.ratio",
                ratio_of(m.active, m.used));
    pair_size(reply, "allocator-fragmentation.bytes", m.active - m.used);
    pair_double(reply, "allocator-rss.ratio", ratio_of(m.resident, m.active));
    pair_size(reply, "allocator-rss.bytes", m.resident - m.active);
    pair_double(reply, "rss-overhead.ratio", ratio_of(m.rss, m.resident));
    pair(reply, "rss-overhead.bytes", (int64_t)m.rss - (int64_t)m.resident);
    pair_double(reply, "fragmentation", ratio_of(m.rss, m.used));
    pair(reply, "fragmentation.bytes", (int64_t)m.rss - (int64_t)m.used);
    return COMMAND_DONE;
}

/* ---- DOCTOR ---- */

/* Below this there is nothing worth a word. */
#define DOCTOR_BYTES ((size_t)5 << 20)

static void diagnose(const struct memory_figures *m, size_t evictions,
                     size_t n_dirty, struct buf *out)
{
    if (m->used_peak > m->used + m->used / 2) {
        buf_printf(out,
                   "- Peak: at its peak bookd used %zu bytes, now %zu. The "
                   "allocator gives the rest back only in part; MEMORY PURGE "
                   "asks for more of it.\n",
                   m->used_peak, m->used);
    }
    if (m->rss > m->used + m->used / 2) {
        buf_printf(out,
                   "- Fragmentation: %zu bytes are resident for %zu in use. "
                   "MEMORY PURGE may help; if the figure comes back, values "
                   "of very different sizes follow each other.\n",
                   m->rss, m->used);
    }
    if (m->clients > m->dataset / 4 && m->clients > DOCTOR_BYTES) {
        buf_printf(out,
                   "- Clients: their buffers take %zu bytes. CLIENT LIST "
                   "shows whose; client-output-buffer-limit bounds each.\n",
                   m->clients);
    }
    if (evictions > 0 && m->dataset > m->max / 10 * 9) {
        buf_printf(out,
                   "- Limit: copies take %zu of maxmemory's %zu bytes, and "
                   "%zu were evicted. What is evicted costs a read of the "
                   "store when it is asked for again.\n",
                   m->dataset, m->max, evictions);
    }
    if (n_dirty > m->entries / 2 && n_dirty > 1000) {
        buf_printf(out,
                   "- Writes: %zu of %zu copies are not in the store yet and "
                   "cannot be evicted. LATENCY DOCTOR tells whether the store "
                   "is slow to commit.\n",
                   n_dirty, m->entries);
    }
}

enum command_status cmd_memory_doctor(struct request *r)
{
    const struct memory_figures m = memory_figures(r->client->server);
    struct cache_usage cache;
    struct buf text = {0};

    cache_usage(r->client->server->cache, &cache);
    if (m.used > DOCTOR_BYTES) {
        diagnose(&m, cache.evictions, cache.dirty_entries, &text);
    }
    if (text.size == 0) {
        buf_printf(&text,
                   "Nothing is out of order: %zu bytes in use, %zu resident, "
                   "%zu of them cached copies.\n",
                   m.used, m.rss, m.dataset);
    }
    reply_verbatim(&r->reply, "txt", buf_slice(&text));
    buf_destroy(&text);
    return COMMAND_DONE;
}

/* ---- the allocator ---- */

enum command_status cmd_memory_purge(struct request *r)
{
    memory_purge();
    return done_ok(r);
}

enum command_status cmd_memory_malloc_stats(struct request *r)
{
    struct buf text = {0};

    if (!memory_report(&text)) {
        buf_append_string(&text,
                          "Stats not supported for the current allocator");
    }
    reply_verbatim(&r->reply, "txt", buf_slice(&text));
    buf_destroy(&text);
    return COMMAND_DONE;
}

enum command_status cmd_memory_help(struct request *r)
{
    command_reply_help(r, "memory");
    return COMMAND_DONE;
}
