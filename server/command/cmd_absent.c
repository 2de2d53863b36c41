/* SPDX-License-Identifier: MIT */
/*
 * What bookd does not have, for clients that ask before they use it, or that
 * turn it off: clusters, replicas, modules and functions.
 */
#include "server/command/args.h"
#include "server/command/handlers.h"

/* ---- clusters: CLUSTER READONLY READWRITE ASKING ---- */

enum command_status cmd_cluster(struct request *r)
{
    reply_error(&r->reply, "ERR This instance has cluster support disabled");
    return COMMAND_DONE;
}

/* ---- replication: REPLICAOF SLAVEOF FAILOVER REPLCONF PSYNC SYNC ---- */

enum command_status cmd_replication(struct request *r)
{
    reply_error(&r->reply,
                "ERR there is no replication: what is written is in the "
                "database, and is copied and shared there");
    return COMMAND_DONE;
}

enum command_status cmd_replicaof(struct request *r)
{
    if (arg_is(r, 1, "NO") && arg_is(r, 2, "ONE")) {
        return done_ok(r);
    }
    return cmd_replication(r);
}

enum command_status cmd_failover(struct request *r)
{
    reply_error(&r->reply, "ERR FAILOVER requires connected replicas.");
    return COMMAND_DONE;
}

/* ---- modules and functions, of which there are none ---- */

enum command_status cmd_module_list(struct request *r)
{
    reply_array(&r->reply, 0);
    return COMMAND_DONE;
}

enum command_status cmd_module_help(struct request *r)
{
    command_reply_help(r, "module");
    return COMMAND_DONE;
}

enum command_status cmd_function_flush(struct request *r)
{
    if (r->argc > 3 ||
        (r->argc == 3 && !arg_is(r, 2, "ASYNC") && !arg_is(r, 2, "SYNC"))) {
        reply_error(&r->reply,
                    "ERR FUNCTION FLUSH only supports SYNC|ASYNC option");
        return COMMAND_DONE;
    }
    return done_ok(r);
}

enum command_status cmd_function_list(struct request *r)
{
    for (size_t i = 2; i < r->argc; i++) {
        if (arg_is(r, i, "LIBRARYNAME") && i + 1 < r->argc) {
            i++;
        } else if (!arg_is(r, i, "WITHCODE")) {
            reply_errorf(&r->reply, "ERR Unknown argument %.*s",
                         shown(r->argv[i]), r->argv[i].data);
            return COMMAND_DONE;
        }
    }
    reply_array(&r->reply, 0);
    return COMMAND_DONE;
}

enum command_status cmd_function_stats(struct request *r)
{
    reply_map(&r->reply, 2);
    reply_bulk_string(&r->reply, "running_script");
    reply_null(&r->reply);
    reply_bulk_string(&r->reply, "engines");
    reply_map(&r->reply, 0);
    return COMMAND_DONE;
}

enum command_status cmd_function_help(struct request *r)
{
    command_reply_help(r, "function");
    return COMMAND_DONE;
}
