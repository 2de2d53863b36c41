/* SPDX-License-Identifier: MIT */
#include "tests/support/witness.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "common/attr.h"
#include "tests/support/stress.h"

#define MS INT64_C(1000000)
#define PADDING_MAX 2000u
#define EXPIRY_MAX_MS 60u
#define FIRST_ID 1000

/* ---- keys ---- */

enum witness_kind witness_kind(uint32_t key)
{
    return (enum witness_kind)(key / WITNESS_EACH);
}

int64_t witness_id(uint32_t key)
{
    return FIRST_ID + (int64_t)key;
}

static bool is_record(uint32_t key, bool second)
{
    switch (witness_kind(key)) {
    case WITNESS_RECORD:
    case WITNESS_TALLY:
    case WITNESS_FOREIGN:
    case WITNESS_SHARED:
        return true;
    case WITNESS_MIXED:
        return second;
    default:
        return false;
    }
}

static bool is_pair(uint32_t key)
{
    return witness_kind(key) == WITNESS_PAIR ||
           witness_kind(key) == WITNESS_MIXED;
}

void witness_name(uint32_t key, bool second, char name[32])
{
    if (is_record(key, second)) {
        snprintf(name, 32, "book:%" PRId64, witness_id(key));
    } else {
        snprintf(name, 32, "key:%u%s", key, second ? ":b" : "");
    }
}

static uint32_t draw(struct witness *w, uint32_t limit)
{
    return stress_random(&w->random, limit);
}

static uint32_t draw_key(struct witness *w)
{
    uint32_t key;

    do {
        key = draw(w, WITNESS_KEYS);
    } while ((w->kinds >> witness_kind(key) & 1) == 0);
    return key;
}

/* ---- values: "NUMBER:xxx…" ---- */

uint64_t witness_number(struct witness *w)
{
    return ++w->n_values * w->n + w->index;
}

static void make_value(struct witness *w, uint64_t number,
                       char value[PADDING_MAX + 32])
{
    const uint32_t padding = 3 + (draw(w, 8) == 0 ? draw(w, PADDING_MAX) : 0);
    const int at = sprintf(value, "%" PRIu64 ":", number);

    memset(value + at, 'x', padding);
    value[(uint32_t)at + padding] = '\0';
}

static uint64_t number_of(const char *value)
{
    char *end;
    const uint64_t number = strtoull(value, &end, 10);

    if (number == 0 || *end != ':' || strspn(end + 1, "x") < 3) {
        log_fatal("bytes that nobody wrote: %s", value);
    }
    return number;
}

/* ---- asking ---- */

/* The next reply, NULL once the server is gone or the store had an error. */
static redisReply *take(struct witness *w)
{
    void *answer = NULL;

    if (w->connection->err != 0 ||
        redisGetReply(w->connection, &answer) != REDIS_OK) {
        return NULL;
    }
    redisReply *reply = answer;
    if (reply->type != REDIS_REPLY_ERROR) {
        return reply;
    }
    if (strncmp(reply->str, "STORE", 5) != 0) {
        log_fatal("an error that is not the store's: %s", reply->str);
    }
    w->n_errors++;
    freeReplyObject(reply);
    return NULL;
}

__attribute__((format(printf, 2, 3))) static redisReply *
ask(struct witness *w, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    redisvAppendCommand(w->connection, format, args);
    va_end(args);
    return take(w);
}

void witness_say(struct witness *w, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    redisvAppendCommand(w->connection, format, args);
    va_end(args);
    freeReplyObject(take(w));
}

/* Takes the replies of MULTI, 'n' commands and EXEC: that of EXEC. */
static redisReply *take_exec(struct witness *w, int n)
{
    redisReply *reply = NULL;

    for (int i = 0; i < n + 2; i++) {
        freeReplyObject(reply);
        reply = take(w);
    }
    for (size_t i = 0; reply != NULL && i < reply->elements; i++) {
        if (reply->element[i]->type == REDIS_REPLY_ERROR) {
            if (strncmp(reply->element[i]->str, "STORE", 5) != 0) {
                log_fatal("in EXEC: %s", reply->element[i]->str);
            }
            freeReplyObject(reply);
            return NULL;
        }
    }
    return reply;
}

/* ---- recording ---- */

static struct linear_op begin(const struct witness *w, uint32_t key,
                              enum linear_kind kind, uint64_t value)
{
    return (struct linear_op){.key = key,
                              .client = w->index,
                              .epoch = w->epoch,
                              .kind = kind,
                              .value = value,
                              .begin_ns = linear_now_ns()};
}

/* A write that was answered ('reply'), or of which nobody knows. */
static void end_write(struct witness *w, struct linear_op *op,
                      const redisReply *reply)
{
    op->unknown = reply == NULL;
    op->end_ns = reply == NULL ? LINEAR_NEVER : linear_now_ns();
    *linear_log_add(&w->log) = *op;
}

static void end_read(struct witness *w, struct linear_op *op, uint64_t value)
{
    op->value = value;
    op->end_ns = linear_now_ns();
    *linear_log_add(&w->log) = *op;
}

/* ---- reading ---- */

/* {"id":1000,"title":"7:xxx","author":"7:xxx","year":7} */
static uint64_t number_of_json(const char *json)
{
    const char *title = strstr(json, "\"title\":\"");
    const char *author = strstr(json, "\"author\":\"");
    const char *year = strstr(json, "\"year\":");

    if (title == NULL || author == NULL || year == NULL) {
        log_fatal("half a record: %s", json);
    }
    const uint64_t number = strtoull(title + 9, NULL, 10);
    if (number == 0 || strtoull(author + 10, NULL, 10) != number ||
        strtoull(year + 7, NULL, 10) != number) {
        log_fatal("columns of different writes: %s", json);
    }
    return number;
}

/* Of HMGET title author year. */
static uint64_t number_of_columns(const redisReply *reply)
{
    uint64_t numbers[3] = {0};

    CHECK(reply->type == REDIS_REPLY_ARRAY && reply->elements == 3);
    for (size_t i = 0; i < 3; i++) {
        const redisReply *column = reply->element[i];
        if (column->type == REDIS_REPLY_STRING) {
            numbers[i] = i < 2 ? number_of(column->str)
                               : strtoull(column->str, NULL, 10);
        }
    }
    if (numbers[0] != numbers[1] || numbers[1] != numbers[2]) {
        log_fatal("columns of different writes: %" PRIu64 " %" PRIu64
                  " %" PRIu64,
                  numbers[0], numbers[1], numbers[2]);
    }
    return numbers[0];
}

/* The number that a value or a nil says, of a key of any kind. */
static uint64_t number_of_reply(uint32_t key, bool second,
                                const redisReply *reply)
{
    if (reply->type == REDIS_REPLY_NIL) {
        return LINEAR_ABSENT;
    }
    if (reply->type == REDIS_REPLY_ARRAY) {
        return number_of_columns(reply);
    }
    CHECK(reply->type == REDIS_REPLY_STRING);
    if (witness_kind(key) == WITNESS_COUNTER ||
        witness_kind(key) == WITNESS_TALLY) {
        return strtoull(reply->str, NULL, 10);
    }
    return is_record(key, second) ? number_of_json(reply->str)
                                  : number_of(reply->str);
}

static redisReply *ask_value(struct witness *w, uint32_t key, bool second)
{
    char name[32];

    witness_name(key, second, name);
    if (witness_kind(key) == WITNESS_TALLY) {
        return ask(w, "HGET %s year", name);
    }
    if (is_record(key, second) && draw(w, 2) == 0) {
        return ask(w, "HMGET %s title author year", name);
    }
    if (draw(w, 3) > 0) {
        return ask(w, "GET %s", name);
    }
    redisReply *reply = ask(w, "BOOK.GET %s MAXAGE %u", name, draw(w, 30));
    if (reply != NULL) {
        CHECK(reply->type == REDIS_REPLY_ARRAY && reply->elements >= 2);
        redisReply *value = reply->element[1];
        reply->element[1] = NULL; /* Which freeReplyObject() permits. */
        freeReplyObject(reply);
        reply = value;
    }
    return reply;
}

static void read_key(struct witness *w, uint32_t key)
{
    const bool second = is_pair(key) && draw(w, 2) == 0;
    struct linear_op op = begin(w, key, LINEAR_READ, 0);
    redisReply *reply = ask_value(w, key, second);

    if (reply != NULL) {
        end_read(w, &op, number_of_reply(key, second, reply));
        freeReplyObject(reply);
    }
}

/* MGET of this key and another; counts and records would do, too. */
static void read_two(struct witness *w, uint32_t key)
{
    const uint32_t other = draw_key(w);
    char names[2][32];

    if (witness_kind(other) == WITNESS_TALLY ||
        witness_kind(key) == WITNESS_TALLY) {
        return;
    }
    witness_name(key, false, names[0]);
    witness_name(other, false, names[1]);
    struct linear_op a = begin(w, key, LINEAR_READ, 0);
    struct linear_op b = begin(w, other, LINEAR_READ, 0);
    redisReply *reply = ask(w, "MGET %s %s", names[0], names[1]);
    if (reply != NULL) {
        end_read(w, &a, number_of_reply(key, false, reply->element[0]));
        end_read(w, &b, number_of_reply(other, false, reply->element[1]));
        freeReplyObject(reply);
    }
}

/* Both of a pair, in a transaction: they must be of the same write. */
static void read_pair(struct witness *w, uint32_t key)
{
    char names[2][32];
    uint64_t numbers[2];

    witness_name(key, false, names[0]);
    witness_name(key, true, names[1]);
    struct linear_op op = begin(w, key, LINEAR_READ, 0);
    redisAppendCommand(w->connection, "MULTI");
    redisAppendCommand(w->connection, "GET %s", names[0]);
    redisAppendCommand(w->connection, "GET %s", names[1]);
    redisAppendCommand(w->connection, "EXEC");
    redisReply *reply = take_exec(w, 2);
    if (reply == NULL) {
        return;
    }
    CHECK(reply->type == REDIS_REPLY_ARRAY && reply->elements == 2);
    for (int i = 0; i < 2; i++) {
        numbers[i] = number_of_reply(key, i == 1, reply->element[i]);
    }
    if (numbers[0] != numbers[1]) {
        log_fatal("half a transaction: %s has %" PRIu64 ", %s has %" PRIu64,
                  names[0], numbers[0], names[1], numbers[1]);
    }
    end_read(w, &op, numbers[0]);
    freeReplyObject(reply);
}

static void evict(struct witness *w, uint32_t key)
{
    char name[32];

    witness_name(key, is_pair(key) && draw(w, 2) == 0, name);
    witness_say(w, "BOOK.EVICT %s", name);
}

/* ---- writing ---- */

/* A delete, which tells whether there was something. */
static void delete_key(struct witness *w, uint32_t key)
{
    char name[32];

    witness_name(key, false, name);
    struct linear_op op = begin(w, key, LINEAR_DELETE, 0);
    redisReply *reply = ask(w, "DEL %s", name);
    if (reply != NULL && reply->integer == 0) {
        op.kind = LINEAR_READ;
    }
    end_write(w, &op, reply);
    freeReplyObject(reply);
}

static void set_expiring(struct witness *w, uint32_t key)
{
    const int64_t ms = 1 + draw(w, EXPIRY_MAX_MS);
    char value[PADDING_MAX + 32];
    char name[32];

    witness_name(key, false, name);
    struct linear_op op = begin(w, key, LINEAR_WRITE, witness_number(w));
    make_value(w, op.value, value);
    op.expires_ns = op.begin_ns + ms * MS;
    redisReply *reply = ask(w, "SET %s %s PXAT %lld", name, value,
                            (long long)clock_wall_ms() + ms);
    end_write(w, &op, reply);
    freeReplyObject(reply);
}

static void create(struct witness *w, uint32_t key)
{
    char value[PADDING_MAX + 32];
    char name[32];

    witness_name(key, false, name);
    struct linear_op op = begin(w, key, LINEAR_CREATE, witness_number(w));
    make_value(w, op.value, value);
    redisReply *reply = ask(w, "SET %s %s NX", name, value);
    if (reply == NULL || reply->type != REDIS_REPLY_NIL) {
        end_write(w, &op, reply);
    }
    freeReplyObject(reply);
}

static void append_write(struct witness *w, uint32_t key, bool second,
                         uint64_t number)
{
    const unsigned long long n = number;
    char value[PADDING_MAX + 32];
    char name[32];

    witness_name(key, second, name);
    make_value(w, number, value);
    if (!is_record(key, second)) {
        redisAppendCommand(w->connection, "SET %s %s", name, value);
    } else if (draw(w, 2) == 0) {
        redisAppendCommand(w->connection,
                           "HSET %s title %s author %s year %llu", name, value,
                           value, n);
    } else {
        char json[2 * PADDING_MAX + 200];
        snprintf(json, sizeof json,
                 "{\"title\":\"%s\",\"author\":\"%s\",\"year\":%llu}", value,
                 value, n);
        redisAppendCommand(w->connection, "SET %s %s", name, json);
    }
}

static void write_key(struct witness *w, uint32_t key)
{
    struct linear_op op = begin(w, key, LINEAR_WRITE, witness_number(w));

    append_write(w, key, false, op.value);
    redisReply *reply = take(w);
    end_write(w, &op, reply);
    freeReplyObject(reply);
}

static void write_pair(struct witness *w, uint32_t key)
{
    struct linear_op op = begin(w, key, LINEAR_WRITE, witness_number(w));
    redisReply *reply;

    if (witness_kind(key) == WITNESS_PAIR && draw(w, 3) == 0) {
        char names[2][32];
        char value[PADDING_MAX + 32];
        witness_name(key, false, names[0]);
        witness_name(key, true, names[1]);
        make_value(w, op.value, value);
        reply = ask(w, "MSET %s %s %s %s", names[0], value, names[1], value);
    } else {
        redisAppendCommand(w->connection, "MULTI");
        append_write(w, key, false, op.value);
        append_write(w, key, true, op.value);
        redisAppendCommand(w->connection, "EXEC");
        reply = take_exec(w, 2);
    }
    end_write(w, &op, reply);
    freeReplyObject(reply);
}

/* ---- counting ---- */

static void add(struct witness *w, uint32_t key)
{
    char name[32];

    witness_name(key, false, name);
    struct linear_op op = begin(w, key, LINEAR_ADD, 0);
    redisReply *reply = witness_kind(key) == WITNESS_TALLY
                            ? ask(w, "HINCRBY %s year 1", name)
                            : ask(w, "INCR %s", name);
    if (reply != NULL) {
        CHECK(reply->type == REDIS_REPLY_INTEGER);
        op.value = (uint64_t)reply->integer;
    }
    end_write(w, &op, reply);
    freeReplyObject(reply);
}

/* The long way to add one: only if nobody else has meanwhile. */
static void add_watched(struct witness *w, uint32_t key)
{
    char name[32];

    witness_name(key, false, name);
    witness_say(w, "WATCH %s", name);
    redisReply *reply = ask(w, "GET %s", name);
    if (reply == NULL) {
        witness_say(w, "UNWATCH");
        return;
    }
    const uint64_t count = number_of_reply(key, false, reply);
    freeReplyObject(reply);

    struct linear_op op = begin(w, key, LINEAR_ADD, count + 1);
    redisAppendCommand(w->connection, "MULTI");
    redisAppendCommand(w->connection, "SET %s %llu", name,
                       (unsigned long long)count + 1);
    redisAppendCommand(w->connection, "EXEC");
    reply = take_exec(w, 1);
    if (reply == NULL || reply->type != REDIS_REPLY_NIL) {
        end_write(w, &op, reply);
    }
    freeReplyObject(reply);
}

/* ---- one or the other ---- */

static void act_on_counter(struct witness *w, uint32_t key, uint32_t n)
{
    if (n < 5) {
        add(w, key);
    } else if (n < 8 && witness_kind(key) == WITNESS_COUNTER) {
        add_watched(w, key);
    } else {
        read_key(w, key);
    }
}

static void act_on_register(struct witness *w, uint32_t key, uint32_t n)
{
    const bool plain = witness_kind(key) == WITNESS_PLAIN;

    if (n < 6) {
        write_key(w, key);
    } else if (n < 8) {
        delete_key(w, key);
    } else if (n == 8 && plain) {
        set_expiring(w, key);
    } else if (n == 9 && plain) {
        create(w, key);
    } else {
        read_key(w, key);
    }
}

bool witness_act(struct witness *w)
{
    const uint32_t key = draw_key(w);
    const uint32_t n = draw(w, 20);

    if (n == 19) {
        evict(w, key);
    } else if (n == 18) {
        read_two(w, key);
    } else {
        switch (witness_kind(key)) {
        case WITNESS_PLAIN:
        case WITNESS_RECORD:
        case WITNESS_SHARED:
            act_on_register(w, key, n);
            break;
        case WITNESS_COUNTER:
        case WITNESS_TALLY:
            act_on_counter(w, key, n);
            break;
        case WITNESS_PAIR:
        case WITNESS_MIXED:
            (n < 6 ? write_pair : n < 10 ? read_pair : read_key)(w, key);
            break;
        case WITNESS_FOREIGN:
        case WITNESS_KINDS:
            read_key(w, key);
            break;
        }
    }
    return w->connection->err == 0;
}

/* ---- life ---- */

void witness_connect(struct witness *w, const struct daemon *d)
{
    w->connection = redisConnectFd(daemon_connect(d));
    CHECK(w->connection != NULL);
}

void witness_disconnect(struct witness *w)
{
    redisFree(w->connection);
    w->connection = NULL;
}

void witness_destroy(struct witness *w)
{
    linear_log_destroy(&w->log);
}

void witness_prepare(struct witness *w)
{
    for (uint32_t i = 0; i < WITNESS_EACH; i++) {
        const uint32_t key = WITNESS_TALLY * WITNESS_EACH + i;
        char name[32];
        witness_name(key, false, name);
        witness_say(w, "HSET %s title tally year 0", name);
    }
}

uint64_t witness_read(struct witness *w, uint32_t key)
{
    const size_t n_read = w->log.n;

    while (w->log.n == n_read) {
        (is_pair(key) ? read_pair : read_key)(w, key);
        CHECK(w->connection->err == 0);
    }
    return w->log.ops[n_read].value;
}

void witness_read_all(struct witness *w)
{
    for (uint32_t key = 0; key < WITNESS_KEYS; key++) {
        if ((w->kinds >> witness_kind(key) & 1) != 0) {
            (void)witness_read(w, key);
        }
    }
}
