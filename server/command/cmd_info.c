/* SPDX-License-Identifier: MIT */
/*
 * INFO: sections of "name:value" lines, under Redis' names where Redis has
 * the figure too.  One section may have to wait for the store, for a short
 * while at most (keyspace.h).
 */
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/info.h"
#include "server/command/keyspace.h"

static void info_cluster(const struct server *server, struct buf *out)
{
    (void)server;
    info_constants("Cluster", out);
}

/* There are none; clients look for the heading. */
static void info_modules(const struct server *server, struct buf *out)
{
    (void)server;
    (void)out;
}

/* In Redis' order. */
static const struct {
    const char *name;
    info_section_fn *print;
    bool by_default; /* Shown when no section is named. */
} sections[] = {
    {"Server", info_server, true},
    {"Clients", info_clients, true},
    {"Memory", info_memory, true},
    {"Persistence", info_persistence, true},
    {"Stats", info_stats, true},
    {"Replication", info_replication, true},
    {"CPU", info_cpu, true},
    {"Modules", info_modules, true},
    {"Commandstats", info_commandstats, false},
    {"Errorstats", info_errorstats, true},
    {"Latencystats", info_latencystats, false},
    {"Cluster", info_cluster, true},
    {"Keyspace", keyspace_print, true},
    {"Cache", info_cache, true},
    {"Lookup", info_lookup, true},
    {"Latency", info_latency, true},
    {"Store", info_store, true},
    {"Exported", info_exported, true},
};

static bool is_asked(const struct request *r, const char *name, bool by_default)
{
    if (r->argc == 1) {
        return by_default;
    }
    for (size_t i = 1; i < r->argc; i++) {
        if (arg_is(r, i, name) || arg_is(r, i, "all") ||
            arg_is(r, i, "everything") ||
            (by_default && arg_is(r, i, "default"))) {
            return true;
        }
    }
    return false;
}

static void reply_sections(struct request *r)
{
    struct buf text = {0};

    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        if (!is_asked(r, sections[i].name, sections[i].by_default)) {
            continue;
        }
        buf_printf(&text, "%s# %s\r\n", text.size > 0 ? "\r\n" : "",
                   sections[i].name);
        sections[i].print(r->client->server, &text);
    }
    reply_verbatim(&r->reply, "txt", buf_slice(&text));
    buf_destroy(&text);
}

static void on_keyspace(struct request *r)
{
    if (r->client != NULL) {
        reply_sections(r);
    }
    request_finish(r);
}

enum command_status cmd_info(struct request *r)
{
    if (is_asked(r, "Keyspace", true) && r->execution == NULL) {
        request_keep_args(r);
        if (!keyspace_refresh(r, on_keyspace)) {
            return COMMAND_PENDING;
        }
    }
    reply_sections(r);
    return COMMAND_DONE;
}
