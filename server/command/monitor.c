/* SPDX-License-Identifier: MIT */
#include "server/command/monitor.h"

#include "common/clock.h"
#include "common/log.h"
#include "server/command/databases.h"
#include "server/command/args.h"
#include "server/command/command.h"
#include "server/command/handlers.h"
#include "server/command/redact.h"

/* The name of the one topic there is. */
#define TOPIC SLICE("")

enum command_status cmd_monitor(struct request *r)
{
    struct client *client = r->client;

    if (r->execution != NULL) {
        reply_error(&r->reply,
                    "ERR MONITOR isn't allowed for DENY BLOCKING client");
        return COMMAND_DONE;
    }
    if (!pubsub_subscribe(client->server->pubsub, client, PUBSUB_MONITOR,
                          TOPIC)) {
        reply_err(&r->reply, ERR_NOMEM, NULL);
        return COMMAND_DONE;
    }
    client_set_flag(client, CLIENT_MONITORS, true);
    return done_ok(r);
}

void monitor_end(struct client *client)
{
    struct subscription *s = pubsub_find(client, PUBSUB_MONITOR, TOPIC);

    if (s != NULL) {
        pubsub_end(client->server->pubsub, s);
    }
    client_set_flag(client, CLIENT_MONITORS, false);
}

bool monitor_refuses(struct request *r)
{
    if (!client_has_flag(r->client, CLIENT_MONITORS) ||
        (r->command->flags & (CMD_READONLY | CMD_WRITE)) == 0) {
        return false;
    }
    reply_error(&r->reply, "ERR Replica can't interact with the keyspace");
    return true;
}

/* ---- a line ---- */

/* Room for the longest form of a byte. */
#define ESCAPED_SIZE 4

static char *put_escaped(char *to, unsigned char byte)
{
    static const char digits[] = "0123456789abcdef";
    static const char plain[] = "\"\\\n\r\t\a\b";
    static const char letters[] = "\"\\nrtab";
    const char *found = byte != '\0' ? strchr(plain, byte) : NULL;

    if (found != NULL) {
        *to++ = '\\';
        *to++ = letters[found - plain];
    } else if (byte >= ' ' && byte <= '~') {
        *to++ = (char)byte;
    } else {
        *to++ = '\\';
        *to++ = 'x';
        *to++ = digits[byte >> 4];
        *to++ = digits[byte & 15];
    }
    return to;
}

/* False: out of memory. */
static bool append_argument(struct buf *line, struct slice arg)
{
    char *room = NULL;

    if (arg.size < SIZE_MAX / ESCAPED_SIZE - 1) {
        room = buf_try_reserve(line, ESCAPED_SIZE * arg.size + 3);
    }
    if (room == NULL) {
        return false;
    }
    char *to = room;
    *to++ = ' ';
    *to++ = '"';
    for (size_t i = 0; i < arg.size; i++) {
        to = put_escaped(to, (unsigned char)arg.data[i]);
    }
    *to++ = '"';
    buf_commit(line, (size_t)(to - room));
    return true;
}

static void append_head(const struct client *client, struct buf *line)
{
    const int64_t now_us = clock_wall_us();
    const size_t size = strlen(client->address);

    buf_printf(line, "+%lld.%06lld [%d ", (long long)(now_us / 1000000),
               (long long)(now_us % 1000000), (int)client_database(client));
    if (client_has_flag(client, CLIENT_UNIX)) {
        /* "path:0" */
        buf_append_string(line, "unix:");
        buf_append(line, client->address, size - 2);
    } else {
        buf_append(line, client->address, size);
    }
    buf_append_char(line, ']');
}

static bool append_arguments(const struct request *r, struct buf *line)
{
    for (size_t i = 0; i < r->argc; i++) {
        if (!append_argument(line, redact_is_secret(r, i)
                                       ? SLICE(REDACTED)
                                       : database_shown_arg(r, i))) {
            return false;
        }
    }
    return true;
}

void monitor_tell(const struct request *r)
{
    struct buf line = {0};

    if ((r->command->flags & (CMD_ADMIN | CMD_SKIP_MONITOR)) != 0) {
        return;
    }
    append_head(r->client, &line);
    if (append_arguments(r, &line) &&
        buf_try_append_slice(&line, SLICE("\r\n"))) {
        (void)pubsub_publish(r->client->server->pubsub, PUBSUB_MONITOR, TOPIC,
                             buf_slice(&line), NULL);
    } else {
        log_warn("monitor: no memory, a command is not shown addr=%s",
                 r->client->address);
    }
    buf_destroy(&line);
}
