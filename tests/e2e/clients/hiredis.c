/* SPDX-License-Identifier: MIT */
/*
 * hiredis, synchronous, against a bookd on PORT; lib.sh says what is printed.
 */
#include <hiredis/hiredis.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#include "common/attr.h"

static int port;
static char complaint[300]; /* Of the check under way. */

PRINTF(2, 3)
static void require(bool true_, const char *format, ...)
{
    va_list args;

    if (true_ || complaint[0] != '\0') {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(complaint, sizeof complaint, format, args);
    va_end(args);
}

static redisContext *dial(void)
{
    const struct timeval patience = {.tv_sec = 30};
    redisContext *c = redisConnect("127.0.0.1", port);

    if (c == NULL || c->err != 0 || redisSetTimeout(c, patience) != REDIS_OK) {
        printf("FAILED hello %s\n", c != NULL ? c->errstr : "no memory");
        exit(1);
    }
    return c;
}

/* Runs a command; its reply, as far as it is text or a number, must be this.
 * The format is hiredis' own: %b is bytes and their number. */
static void say(redisContext *c, const char *expected, const char *format, ...)
{
    char number[32];
    va_list args;

    va_start(args, format);
    redisReply *reply = redisvCommand(c, format, args);
    va_end(args);
    if (reply == NULL) {
        require(false, "%s: %s", format, c->errstr);
        return;
    }
    const char *text = reply->str;
    if (reply->type == REDIS_REPLY_INTEGER) {
        (void)snprintf(number, sizeof number, "%lld", reply->integer);
        text = number;
    } else if (reply->type == REDIS_REPLY_ARRAY) {
        (void)snprintf(number, sizeof number, "%zu", reply->elements);
        text = number;
    } else if (reply->type == REDIS_REPLY_NIL) {
        text = "(nil)";
    }
    require(text != NULL && strncmp(text, expected, strlen(expected)) == 0,
            "%s: expected %s, got %s", format, expected,
            text != NULL ? text : "?");
    freeReplyObject(reply);
}

static void try_hello(redisContext *c)
{
    say(c, "PONG", "PING");
    say(c, "OK", "CLIENT SETNAME hiredis");
    say(c, "hiredis", "CLIENT GETNAME");
}

static void try_strings(redisContext *c)
{
    say(c, "OK", "SET s one");
    say(c, "one", "GET s");
    say(c, "(nil)", "GET s:none");
    say(c, "2", "MGET s s:none");
}

static void try_binary(redisContext *c)
{
    char bytes[256];

    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)i;
    }
    say(c, "OK", "SET %b %b", "k\0y", (size_t)3, bytes, sizeof bytes);
    redisReply *reply = redisCommand(c, "GET %b", "k\0y", (size_t)3);
    require(reply != NULL && reply->type == REDIS_REPLY_STRING &&
                reply->len == sizeof bytes &&
                memcmp(reply->str, bytes, sizeof bytes) == 0,
            "other bytes came back");
    freeReplyObject(reply);
}

static void try_large(redisContext *c)
{
    const size_t size = (size_t)8 << 20;
    char *bytes = malloc(size);

    if (bytes == NULL) {
        require(false, "no memory");
        return;
    }
    memset(bytes, 'x', size);
    say(c, "OK", "SET large %b", bytes, size);
    redisReply *reply = redisCommand(c, "GET large");
    require(reply != NULL && reply->len == size &&
                memcmp(reply->str, bytes, size) == 0,
            "other bytes came back");
    freeReplyObject(reply);
    free(bytes);
    say(c, "1", "DEL large");
}

static void try_hashes(redisContext *c)
{
    say(c, "", "DEL h");
    say(c, "2", "HSET h a 1 b two");
    say(c, "4", "HGETALL h");
    say(c, "3", "HINCRBY h a 2");
}

static void try_records(redisContext *c)
{
    say(c, "1859", "HGET book:3 year");
    say(c, "{\"id\":2,", "GET book:2");
}

static void try_expiry(redisContext *c)
{
    say(c, "OK", "SET e 1 EX 9999");
    say(c, "99", "TTL e");
    say(c, "1", "PERSIST e");
    say(c, "-1", "TTL e");
}

static void try_pipeline(redisContext *c)
{
    enum { N = 1000 };

    for (int i = 0; i < N; i++) {
        redisAppendCommand(c, "SET p:%d %d", i, i);
        redisAppendCommand(c, "GET p:%d", i);
    }
    for (int i = 0; i < 2 * N; i++) {
        void *reply = NULL;
        if (redisGetReply(c, &reply) != REDIS_OK) {
            require(false, "reply %d: %s", i, c->errstr);
            return;
        }
        const redisReply *r = reply;
        require(i % 2 == 0
                    ? r->type == REDIS_REPLY_STATUS
                    : r->type == REDIS_REPLY_STRING && atoi(r->str) == i / 2,
                "reply %d is %s", i, r->str != NULL ? r->str : "?");
        freeReplyObject(reply);
    }
}

static void try_transaction(redisContext *c)
{
    say(c, "OK", "MULTI");
    say(c, "QUEUED", "SET t 1");
    say(c, "QUEUED", "INCR t");
    say(c, "2", "EXEC");
    say(c, "2", "GET t");
}

static void try_errors(redisContext *c)
{
    say(c, "ERR unknown command 'LPUSH'", "LPUSH l 1");
    say(c, "OK", "SET text x");
    say(c, "ERR value is not an integer", "INCR text");
    say(c, "WRONGTYPE", "HGET text f");
    say(c, "PONG", "PING");
}

static void try_databases(redisContext *c)
{
    say(c, "OK", "SELECT 2");
    say(c, "OK", "SET only here");
    say(c, "OK", "SELECT 0");
    say(c, "(nil)", "GET only");
}

static void try_auth(redisContext *c)
{
    redisContext *app = dial();

    say(c, "OK", "ACL SETUSER app on >secret ~app:* +@all");
    say(app, "WRONGPASS", "AUTH app wrong");
    say(app, "OK", "AUTH app secret");
    say(app, "OK", "SET app:1 x");
    say(app, "NOPERM", "SET other x");
    redisFree(app);
}

static void try_pubsub(redisContext *c)
{
    redisContext *other = dial();
    void *reply = NULL;

    say(other, "3", "SUBSCRIBE news");
    say(c, "1", "PUBLISH news hi");
    require(redisGetReply(other, &reply) == REDIS_OK &&
                strcmp(((redisReply *)reply)->element[2]->str, "hi") == 0,
            "no message");
    freeReplyObject(reply);
    redisFree(other);
}

static void try_reconnect(redisContext *c)
{
    redisContext *one = dial();
    redisReply *id = redisCommand(one, "CLIENT ID");

    require(id != NULL, "no id");
    say(c, "1", "CLIENT KILL ID %lld", id != NULL ? id->integer : 0);
    freeReplyObject(id);
    require(redisCommand(one, "PING") == NULL, "it is still there");
    require(redisReconnect(one) == REDIS_OK, "%s", one->errstr);
    say(one, "PONG", "PING");
    redisFree(one);
}

static const struct {
    const char *name;
    void (*run)(redisContext *c);
} checks[] = {
    {"hello", try_hello},
    {"strings", try_strings},
    {"binary", try_binary},
    {"large", try_large},
    {"hashes", try_hashes},
    {"records", try_records},
    {"expiry", try_expiry},
    {"pipeline", try_pipeline},
    {"transaction", try_transaction},
    {"errors", try_errors},
    {"databases", try_databases},
    {"auth", try_auth},
    {"pubsub", try_pubsub},
    {"reconnect", try_reconnect},
};

int main(void)
{
    bool failed = false;

    port = atoi(getenv("PORT"));
    for (size_t i = 0; i < ARRAY_LEN(checks); i++) {
        redisContext *c = dial();
        complaint[0] = '\0';
        checks[i].run(c);
        redisFree(c);
        if (complaint[0] != '\0') {
            printf("FAILED %s %s\n", checks[i].name, complaint);
            failed = true;
        } else {
            printf("ok %s\n", checks[i].name);
        }
    }
    return failed;
}
