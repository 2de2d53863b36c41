/* SPDX-License-Identifier: MIT */
/*
 * DEBUG: what the tests of client libraries ask of a server.  Allowed by
 * enable-debug-command only.
 *
 * DEBUG SLEEP does not stop the server as that of Redis does: it holds its own
 * connection, and no thread.
 */
#include "common/clock.h"
#include "common/log.h"
#include "server/admin/config.h"
#include "server/command/alarm.h"
#include "server/command/args.h"
#include "server/command/databases.h"
#include "server/command/encoding.h"
#include "server/command/handlers.h"
#include "server/command/parts.h"
#include "server/command/read.h"

#include <stdio.h>
#include <stdlib.h>

/* On a unix socket, or over the loopback interface. */
static bool is_local(const struct client *client)
{
    return client->address[0] == '/' ||
           strncmp(client->address, "127.", 4) == 0 ||
           strncmp(client->address, "[::1]", 5) == 0;
}

static bool is_allowed(const struct client *client)
{
    switch (
        config_number(client->server->config, CONFIG_enable_debug_command)) {
    case DEBUG_YES:
        return true;
    case DEBUG_LOCAL:
        return is_local(client);
    default:
        return false;
    }
}

/* ---- the subcommands ---- */

/* The clock of Redis' LRU has 24 bits.  Source: Redis 7.0, server.h. */
#define LRU_CLOCK_MAX ((1 << 24) - 1)

static enum command_status debug_change_repl_id(struct request *r)
{
    return done_ok(r); /* There are no replicas that would know it. */
}

static enum command_status debug_error(struct request *r)
{
    const struct slice text = r->argv[2];

    reply_errorf(&r->reply, "%.*s", (int)text.size, text.data);
    return COMMAND_DONE;
}

static enum command_status debug_log(struct request *r)
{
    const struct slice text = r->argv[2];

    log_warn("command: DEBUG LOG: %.*s", (int)text.size, text.data);
    return done_ok(r);
}

static void answer_object(struct request *r, const struct answer *a)
{
    struct buf line = {0};

    if (a->outcome != LOOKUP_FOUND) {
        reply_error(&r->reply, "ERR no such key");
        return;
    }
    /* Where it is, is nobody's business. */
    buf_printf(&line,
               "Value at:0x0 refcount:1 encoding:%s serializedlength:%zu "
               "lru:%lld lru_seconds_idle:%lld",
               encoding_of(r->client->server->config, a), a->bytes.size,
               (long long)((clock_wall_ms() - a->age_us / 1000) / 1000 &
                           LRU_CLOCK_MAX),
               (long long)(a->age_us / 1000000));
    reply_simple(&r->reply, buf_string(&line));
    buf_destroy(&line);
}

static enum command_status debug_object(struct request *r)
{
    struct slice key;

    if (r->execution != NULL) { /* It may have to wait for the store. */
        reply_error(&r->reply, "ERR DEBUG OBJECT is not for transactions");
        return COMMAND_DONE;
    }
    return database_key(r, client_database(r->client), r->argv[2], &key)
               ? read_key(r, key, answer_object)
               : COMMAND_DONE;
}

static enum command_status debug_set_active_expire(struct request *r)
{
    int64_t on = 0;

    /* As in Redis, what is no number is 0. */
    (void)slice_to_int64(r->argv[2], &on);
    atomic_store_explicit(&r->client->server->keeps_expired, on == 0,
                          memory_order_relaxed);
    return done_ok(r);
}

static void woken(struct request *r)
{
    reply_ok(&r->reply);
}

static enum command_status debug_sleep(struct request *r)
{
    /* Long enough for anybody, and short enough for microseconds. */
    static const double seconds_max = 1e9;
    char text[64];

    snprintf(text, sizeof text, "%.*s", shown(r->argv[2]), r->argv[2].data);
    const double seconds = strtod(text, NULL);
    if (r->execution != NULL || !(seconds > 0)) {
        return done_ok(r);
    }
    return alarm_set(
        r, (int64_t)((seconds < seconds_max ? seconds : seconds_max) * 1000000),
        woken);
}

/* ---- DEBUG PROTOCOL ---- */

static void protocol_string(struct reply *reply)
{
    reply_bulk_string(reply, "Hello World");
}

static void protocol_integer(struct reply *reply)
{
    reply_integer(reply, 12345);
}

static void protocol_double(struct reply *reply)
{
    reply_double(reply, 3.141);
}

static void protocol_bignum(struct reply *reply)
{
    reply_big_number(reply, "1234567999999999999999999999999999999");
}

static void protocol_array(struct reply *reply)
{
    reply_array(reply, 3);
    for (int64_t i = 0; i < 3; i++) {
        reply_integer(reply, i);
    }
}

static void protocol_set(struct reply *reply)
{
    reply_set(reply, 3);
    for (int64_t i = 0; i < 3; i++) {
        reply_integer(reply, i);
    }
}

static void protocol_map(struct reply *reply)
{
    reply_map(reply, 3);
    for (int64_t i = 0; i < 3; i++) {
        reply_integer(reply, i);
        reply_bool(reply, i == 1);
    }
}

static void protocol_attrib(struct reply *reply)
{
    if (reply->protocol >= 3) {
        reply_attribute(reply, 1);
        reply_bulk_string(reply, "key-popularity");
        reply_array(reply, 2);
        reply_bulk_string(reply, "key:123");
        reply_integer(reply, 90);
    }
    reply_bulk_string(reply, "Some real reply following the attribute");
}

static void protocol_push(struct reply *reply)
{
    if (reply->protocol < 3) {
        reply_error(reply, "ERR RESP2 is not supported by this command");
        return;
    }
    reply_push(reply, 2);
    reply_bulk_string(reply, "server-cpu-usage");
    reply_integer(reply, 42);
    reply_bulk_string(reply, "Some real reply following the push reply");
}

static void protocol_verbatim(struct reply *reply)
{
    reply_verbatim(reply, "txt", SLICE("This is a verbatim\nstring"));
}

static void protocol_true(struct reply *reply)
{
    reply_bool(reply, true);
}

static void protocol_false(struct reply *reply)
{
    reply_bool(reply, false);
}

static enum command_status debug_protocol(struct request *r)
{
    static const struct {
        const char *name;
        void (*write)(struct reply *reply);
    } types[] = {{"string", protocol_string},
                 {"integer", protocol_integer},
                 {"double", protocol_double},
                 {"bignum", protocol_bignum},
                 {"null", reply_null},
                 {"array", protocol_array},
                 {"set", protocol_set},
                 {"map", protocol_map},
                 {"attrib", protocol_attrib},
                 {"push", protocol_push},
                 {"verbatim", protocol_verbatim},
                 {"true", protocol_true},
                 {"false", protocol_false}};

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (arg_is(r, 2, types[i].name)) {
            types[i].write(&r->reply);
            return COMMAND_DONE;
        }
    }
    reply_error(
        &r->reply,
        "ERR Wrong protocol type name. Please use one of the following: "
        "string|integer|double|bignum|null|array|set|map|attrib|push|"
        "verbatim|true|false");
    return COMMAND_DONE;
}

/* ---- which of them ---- */

static command_fn debug_help;

static const struct {
    const char *name;
    size_t argc; /* Words in all. */
    command_fn *run;
    const char *help[3];
} subcommands[] = {
    {"CHANGE-REPL-ID",
     2,
     debug_change_repl_id,
     {"CHANGE-REPL-ID", "    Answers OK: there are no replicas."}},
    {"ERROR",
     3,
     debug_error,
     {"ERROR <string>", "    Answers an error of these words."}},
    {"LOG", 3, debug_log, {"LOG <message>", "    Writes it to the log."}},
    {"OBJECT",
     3,
     debug_object,
     {"OBJECT <key>", "    Tells how Redis would keep the value of the key."}},
    {"PROTOCOL",
     3,
     debug_protocol,
     {"PROTOCOL <type>",
      "    Answers a value of the type: string, integer, "
      "double, bignum, null, array,",
      "    set, map, attrib, push, verbatim, true, false."}},
    {"SET-ACTIVE-EXPIRE",
     3,
     debug_set_active_expire,
     {"SET-ACTIVE-EXPIRE <0|1>",
      "    With 0, copies that expired stay until somebody asks for them."}},
    {"SLEEP",
     3,
     debug_sleep,
     {"SLEEP <seconds>",
      "    Answers after so long. Only this connection waits."}},
    {"HELP", 2, debug_help, {"HELP", "    Lists the DEBUG subcommands."}},
};

static enum command_status debug_help(struct request *r)
{
    size_t n = 1;

    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++) {
        n += 2 + (subcommands[i].help[2] != NULL);
    }
    reply_array(&r->reply, n);
    reply_simple(&r->reply, "DEBUG <subcommand> [<arg> [value] [opt] ...]. "
                            "Subcommands are:");
    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++) {
        for (size_t k = 0; k < 3 && subcommands[i].help[k] != NULL; k++) {
            reply_simple(&r->reply, subcommands[i].help[k]);
        }
    }
    return COMMAND_DONE;
}

enum command_status cmd_debug(struct request *r)
{
    if (!is_allowed(r->client)) {
        reply_error(&r->reply,
                    "ERR DEBUG command not allowed. If the "
                    "enable-debug-command option is set to \"local\", you can "
                    "run it from a local connection, otherwise you need to set "
                    "this option in the configuration file, and then restart "
                    "the server.");
        return COMMAND_DONE;
    }
    for (size_t i = 0; i < ARRAY_LEN(subcommands); i++) {
        if (arg_is(r, 1, subcommands[i].name) &&
            r->argc == subcommands[i].argc) {
            return subcommands[i].run(r);
        }
    }
    reply_errorf(&r->reply,
                 "ERR unknown subcommand or wrong number of arguments for "
                 "'%.*s'. Try DEBUG HELP.",
                 shown(r->argv[1]), r->argv[1].data);
    return COMMAND_DONE;
}
