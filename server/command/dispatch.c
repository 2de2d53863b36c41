/* SPDX-License-Identifier: MIT */
#include "server/command/dispatch.h"

#include "common/log.h"
#include "server/command/account.h"
#include "server/command/acl.h"
#include "server/command/args.h"
#include "server/command/databases.h"
#include "server/command/handlers.h"
#include "server/command/monitor.h"
#include "server/command/pause.h"
#include "server/command/tracking.h"
#include "server/command/transaction.h"

void command_find(struct request *request)
{
    const struct command *found =
        command_of_words(request->argv, request->argc);

    request->command = found;
    request->class = found != NULL ? found->class : REQUEST_ALONE;
}

static void reply_unknown(struct request *request)
{
    const struct slice name = request->argv[0];
    const struct command *parent = command_by_word(name);
    struct buf args = {0};

    if (parent != NULL && request->argc > 1) {
        const struct slice sub = request->argv[1];
        struct buf upper = {0};
        buf_append_upper(&upper, parent->name);
        reply_errorf(&request->reply,
                     "ERR unknown subcommand '%.*s'. Try %s HELP.", shown(sub),
                     sub.data, buf_string(&upper));
        buf_destroy(&upper);
        return;
    }
    for (size_t i = 1; i < request->argc && args.size < SHOWN_BYTES; i++) {
        const size_t room = SHOWN_BYTES - args.size;
        const struct slice arg = request->argv[i];
        buf_printf(&args, "'%.*s' ", (int)(arg.size < room ? arg.size : room),
                   arg.data);
    }
    reply_errorf(&request->reply,
                 "ERR unknown command '%.*s', with args beginning with: %s",
                 shown(name), name.data, buf_string(&args));
    buf_destroy(&args);
}

/* A page in somebody's browser can send bookd commands of its own in the lines
 * of an HTTP request, but not without these before them.  Source: Redis. */
static bool is_http(const struct request *request)
{
    return arg_is(request, 0, "POST") || arg_is(request, 0, "Host:");
}

/* Scratch larger than this is given back after the call. */
#define SCRATCH_KEPT_BYTES ((size_t)64 << 10)

static void empty_scratch(struct buf *scratch)
{
    if (scratch->capacity > SCRATCH_KEPT_BYTES) {
        buf_destroy(scratch);
    }
    buf_clear(scratch);
}

/* What is carried out between MULTI and EXEC instead of being queued. */
static bool ends_queue(const struct command *command)
{
    return command->run == cmd_exec || command->run == cmd_discard ||
           command->run == cmd_multi || command->run == cmd_watch ||
           command->run == cmd_quit || command->run == cmd_reset;
}

/* An EXEC that cannot be carried out ends the transaction, as in Redis. */
static void refuse_exec(struct request *request, const char *why)
{
    transaction_end(request->client);
    reply_errorf(&request->reply,
                 "EXECABORT Transaction discarded because of: %s", why);
}

static enum command_status refuse(struct request *request)
{
    transaction_fail(request->client);
    if (request->command == NULL) {
        reply_unknown(request);
        return COMMAND_DONE;
    }
    if (request->command->run != cmd_exec) {
        return done_wrong_count(request);
    }
    refuse_exec(request, "wrong number of arguments for 'exec' command");
    return COMMAND_DONE;
}

/* May the client's user do this?  If not, it has been answered. */
static bool admit(struct request *request)
{
    struct buf why = {0};
    const enum acl_answer answer = acl_admit(request, &why);

    if (answer == ACL_GONE) {
        request->client->close_after_reply = true;
    } else if (answer == ACL_REFUSED) {
        transaction_fail(request->client);
        if (request->command->run == cmd_exec) {
            refuse_exec(request, buf_string(&why));
        } else {
            reply_error(&request->reply, buf_string(&why));
        }
    }
    buf_destroy(&why);
    return answer == ACL_ADMITTED;
}

static enum command_status queue(struct request *request)
{
    if ((request->command->flags & CMD_NO_MULTI) != 0) {
        transaction_fail(request->client);
        reply_error(&request->reply,
                    "ERR Command not allowed inside a transaction");
        return COMMAND_DONE;
    }
    if (command_writes(request->command)) {
        request->client->transaction->writes = true;
    }
    return transaction_queue(request);
}

/* In RESP2 a message cannot be told from a reply, so that whoever waits for
 * messages may do little else. */
static bool may_subscriber_run(const struct command *command)
{
    return command->run == cmd_subscribe || command->run == cmd_psubscribe ||
           command->run == cmd_ssubscribe || command->run == cmd_unsubscribe ||
           command->run == cmd_punsubscribe ||
           command->run == cmd_sunsubscribe || command->run == cmd_ping ||
           command->run == cmd_quit || command->run == cmd_reset;
}

static enum command_status run_handler(struct request *request)
{
    if (!database_enter(request)) {
        return COMMAND_DONE;
    }
    return tracking_is_on(request->client) ? tracking_run(request)
                                           : request->command->run(request);
}

/* EXEC is shown behind the commands that it runs. */
static enum command_status run_monitored(struct request *request)
{
    if (request->command->run != cmd_exec) {
        monitor_tell(request);
        return run_handler(request);
    }
    const enum command_status status = run_handler(request);
    monitor_tell(request);
    return status;
}

static enum command_status run(struct request *request)
{
    struct client *client = request->client;
    const struct command *command = request->command;

    if (command == NULL && is_http(request)) {
        log_notice("command: closed, it speaks HTTP addr=%s", client->address);
        client->close_after_reply = true;
        return COMMAND_DONE;
    }
    if (command == NULL) {
        return refuse(request);
    }
    atomic_store_explicit(&client->last_command, command, memory_order_relaxed);
    if (!command_arity_fits(command, request->argc)) {
        return refuse(request);
    }
    if (!acl_is_trusted(client) && !admit(request)) {
        return COMMAND_DONE;
    }
    if (transaction_is_open(client) && !ends_queue(command)) {
        return queue(request);
    }
    if (client->protocol == 2 && client_is_subscriber(client) &&
        !may_subscriber_run(command)) {
        reply_errorf(&request->reply,
                     "ERR Can't execute '%s': only (P|S)SUBSCRIBE / "
                     "(P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in "
                     "this context",
                     command->name);
        return COMMAND_DONE;
    }
    const bool is_monitored = monitor_is_on(client->server);
    if (is_monitored && monitor_refuses(request)) {
        return COMMAND_DONE;
    }
    account_begin(request);
    return is_monitored ? run_monitored(request) : run_handler(request);
}

enum command_status command_run(struct request *request)
{
    struct client *client = request->client;
    struct buf *scratch = client->scratch;

    atomic_store_explicit(&client->last_active_us, request->start_us,
                          memory_order_relaxed);
    const enum command_status status = run(request);
    if (status == COMMAND_DONE) {
        account_end(request);
    } else if (!request->finished) {
        account_pending(request);
    }
    empty_scratch(scratch);
    return status;
}

static bool writes(const struct request *request)
{
    const struct client *client = request->client;

    return command_writes(request->command) ||
           (request->command->run == cmd_exec && transaction_is_open(client) &&
            client->transaction->writes);
}

bool command_is_paused(const struct request *request)
{
    const enum pause_kind kind = pause_kind(request->client->server->pause);

    return kind != PAUSE_NONE && request->command != NULL &&
           command_arity_fits(request->command, request->argc) &&
           (kind == PAUSE_ALL || writes(request));
}
