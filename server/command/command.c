/* SPDX-License-Identifier: MIT */
#include "server/command/command.h"

#include "common/log.h"
#include "server/admin/stats.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/transaction.h"

#include <assert.h>
#include <ctype.h>

const struct command commands[] = {
#define COMMAND(name_, handler, arity_, flags_, first, last, step, class_, \
                categories_, group_, since_, syntax_, summary_)            \
    {.name = name_,                                                        \
     .run = cmd_##handler,                                                 \
     .arity = arity_,                                                      \
     .flags = flags_,                                                      \
     .first_key = first,                                                   \
     .last_key = last,                                                     \
     .key_step = step,                                                     \
     .class = class_,                                                      \
     .categories = categories_,                                            \
     .group = group_,                                                      \
     .since = since_,                                                      \
     .syntax = syntax_,                                                    \
     .summary = summary_},
#include "server/command/commands.def"
#undef COMMAND
};

const size_t n_commands = ARRAY_LEN(commands);

/* An open-addressed index of names: a power of two, at most a quarter full. */
#define INDEX_SIZE 1024
#define NAME_SIZE_MAX 64 /* Longer than every name in the table. */

static const struct command *name_index[INDEX_SIZE];

_Static_assert(ARRAY_LEN(commands) <= INDEX_SIZE / 4, "INDEX_SIZE too small");

/* Source: FNV-1a, by Fowler, Noll and Vo; over the lower-case name.  Chosen
 * keys are harmless here: the table is ours. */
static size_t name_hash(struct slice name)
{
    uint32_t hash = 2166136261U;

    for (size_t i = 0; i < name.size; i++) {
        hash =
            (hash ^ (uint32_t)tolower((unsigned char)name.data[i])) * 16777619U;
    }
    return hash;
}

static const struct command **slot_of(struct slice name)
{
    size_t i = name_hash(name) % INDEX_SIZE;

    while (name_index[i] != NULL &&
           !slice_equal_nocase(slice_from_string(name_index[i]->name), name)) {
        i = (i + 1) % INDEX_SIZE;
    }
    return &name_index[i];
}

void command_init(void)
{
    for (size_t i = 0; i < n_commands; i++) {
        assert(strlen(commands[i].name) < NAME_SIZE_MAX);
        *slot_of(slice_from_string(commands[i].name)) = &commands[i];
    }
}

const struct command *command_by_name(struct slice name)
{
    return name.size < NAME_SIZE_MAX ? *slot_of(name) : NULL;
}

bool command_is_child(const struct command *command,
                      const struct command *parent)
{
    const size_t size = strlen(parent->name);

    return strncmp(command->name, parent->name, size) == 0 &&
           command->name[size] == '|';
}

size_t command_n_children(const struct command *command)
{
    const struct command *next = command + 1;

    while (next < commands + n_commands && command_is_child(next, command)) {
        next++;
    }
    return (size_t)(next - command - 1);
}

bool command_has_children(const struct command *command)
{
    /* Children follow their parent. */
    return command + 1 < commands + n_commands &&
           command_is_child(command + 1, command);
}

/* The child of 'parent' called 'name', or NULL. */
static const struct command *child(const struct command *parent,
                                   struct slice name)
{
    char full[2 * NAME_SIZE_MAX];
    const size_t size = strlen(parent->name);

    if (name.size >= NAME_SIZE_MAX) {
        return NULL;
    }
    memcpy(full, parent->name, size);
    full[size] = '|';
    memcpy(full + size + 1, name.data, name.size);
    return command_by_name(slice_make(full, size + 1 + name.size));
}

/* The command that is called by this one word: "client|list" is none. */
static const struct command *command_of_word(struct slice word)
{
    return memchr(word.data, '|', word.size) != NULL ? NULL
                                                     : command_by_name(word);
}

void command_find(struct request *request)
{
    const struct command *found = command_of_word(request->argv[0]);

    if (found != NULL && request->argc > 1 && command_has_children(found)) {
        found = child(found, request->argv[1]);
    }
    request->command = found;
    request->class = found != NULL ? found->class : REQUEST_ALONE;
}

/* ---- running ---- */

static void append_upper(struct buf *out, const char *name)
{
    for (; *name != '\0'; name++) {
        buf_append_char(out, (char)toupper((unsigned char)*name));
    }
}

static void reply_unknown(struct request *request)
{
    const struct slice name = request->argv[0];
    const struct command *parent = command_of_word(name);
    struct buf args = {0};

    if (parent != NULL && request->argc > 1) {
        const struct slice sub = request->argv[1];
        struct buf upper = {0};
        append_upper(&upper, parent->name);
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

static bool arity_fits(const struct command *command, size_t argc)
{
    return command->arity >= 0 ? argc == (size_t)command->arity
                               : argc >= (size_t)-command->arity;
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
    /* As in Redis, even this ends the transaction. */
    transaction_end(request->client);
    reply_error(&request->reply,
                "EXECABORT Transaction discarded because of: wrong number of "
                "arguments for 'exec' command");
    return COMMAND_DONE;
}

static enum command_status queue(struct request *request)
{
    if ((request->command->flags & CMD_NO_MULTI) != 0) {
        transaction_fail(request->client);
        reply_error(&request->reply,
                    "ERR Command not allowed inside a transaction");
        return COMMAND_DONE;
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
    if (!arity_fits(command, request->argc)) {
        return refuse(request);
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
    return command->run(request);
}

enum command_status command_run(struct request *request)
{
    struct client *client = request->client;
    struct buf *scratch = client->scratch;

    stats_count(STATS_total_commands_processed);
    atomic_store_explicit(&client->last_active_us, request->start_us,
                          memory_order_relaxed);
    const enum command_status status = run(request);
    if (status == COMMAND_DONE) {
        stats_add(STATS_total_error_replies, request->reply.n_errors);
    }
    empty_scratch(scratch);
    return status;
}

enum command_status cmd_container(struct request *request)
{
    /* Reached only without a subcommand, which the arity refuses. */
    return done_wrong_count(request);
}

/* ---- the table as text ---- */

void command_reply_help(struct request *request, const char *parent)
{
    struct reply *reply = &request->reply;
    const struct command *top = command_by_name(slice_from_string(parent));
    const size_t n = command_n_children(top);

    reply_array(reply, 1 + 2 * n);
    reply_bulkf(reply,
                "%s <subcommand> [<arg> [value] [opt] ...]. "
                "Subcommands are:",
                parent);
    for (const struct command *c = top + 1; c <= top + n; c++) {
        struct buf line = {0};
        append_upper(&line, strchr(c->name, '|') + 1);
        if (c->syntax[0] != '\0') {
            buf_printf(&line, " %s", c->syntax);
        }
        reply_bulk(reply, buf_slice(&line));
        reply_bulkf(reply, "    %s", c->summary);
        buf_destroy(&line);
    }
}

void command_print_docs(struct buf *out)
{
    buf_append_string(out, "| command | arguments | what it does |\n"
                           "|---|---|---|\n");
    for (const struct command *c = commands; c < commands + n_commands; c++) {
        if (command_has_children(c) && c->run == cmd_container) {
            continue;
        }
        buf_append_string(out, "| ");
        for (const char *p = c->name; *p != '\0'; p++) {
            buf_append_char(out, *p == '|' ? ' ' : (char)toupper(*p));
        }
        buf_append_string(out, c->syntax[0] == '\0' ? " | " : " | `");
        for (const char *p = c->syntax; *p != '\0'; p++) {
            buf_append_string(out, *p == '|' ? "\\|" : (char[]){*p, '\0'});
        }
        buf_append_string(out, c->syntax[0] == '\0' ? "" : "`");
        buf_printf(out, " | %s |\n", c->summary);
    }
}
