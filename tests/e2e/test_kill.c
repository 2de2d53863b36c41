/* SPDX-License-Identifier: MIT */
/*
 * bookd is killed while many clients write, again and again over one store,
 * and what it acknowledged must be there when it is back.
 *
 *     test_kill [KILLS [SEED]]      more of them, with a longer
 *                                   behind-interval, or the same again
 *
 * Each writer numbers its writes and makes them one after the other, in turn
 * to keys of its own: two plain keys, a record, a pair of keys in one
 * transaction, a record and a plain key in one.  So what a kill leaves of a
 * writer is told by one number, that of the last write that is there:
 *
 *     acknowledged 17 … 24, under way 25      through: 24 or 25 are there
 *                                             behind:  or fewer, but of the
 *                                             missing none older than
 *                                             behind-interval
 *
 * and every key must have the last of its numbers up to that one: nothing in
 * between is missing, and a pair is there whole or not at all.
 *
 * Some kills come while bookd still starts and repairs what the one before has
 * left.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hiredis/hiredis.h>
#include <sqlite3.h>

#include "common/attr.h"
#include "common/mem.h"
#include "common/thread.h"
#include "tests/support/daemon.h"
#include "tests/support/linear.h"
#include "tests/support/stress.h"

#define WRITERS 32
#define NUMBERS_MAX 100000 /* Of a writer between two kills. */
#define PADDING_MAX 300u
#define FIRST_BOOK 1000
#define MS INT64_C(1000000)

/* The keys that a writer takes turns with; a transaction writes two. */
enum slot { PLAIN, PLAIN_TOO, RECORD, PAIR, MIXED, SLOTS };

/* How a mode of writing is tried, and what it promises. */
struct mode {
    const char *name;
    const char *const *args;
    int64_t loss_ns;  /* What a kill may take; 0: nothing. */
    uint32_t load_ms; /* The longest time between two kills. */
    bool mixed;       /* Transactions of plain keys and records. */
    enum slot slots;  /* Those before this one. */
};

struct writer {
    const struct daemon *d;
    const struct mode *mode;
    unsigned index;
    uint64_t random;
    redisContext *connection;
    struct thread thread;
    uint64_t sent;         /* The last number. */
    uint64_t acknowledged; /* Likewise. */
    uint64_t before;       /* The last number before this start. */
    uint64_t kept[SLOTS];  /* What each slot had at this start. */
    int64_t *ends_ns;      /* When before + i was acknowledged. */
};

static struct writer writers[WRITERS];

/* Found over all kills of a mode. */
static struct {
    uint64_t n_acknowledged, n_lost;
    int64_t oldest_lost_ns;
} found;

/* ---- keys ---- */

static void key_of(const struct writer *w, enum slot slot, bool second,
                   char key[32])
{
    if (slot == RECORD || (slot == MIXED && second)) {
        snprintf(key, 32, "book:%u",
                 FIRST_BOOK + w->index + (slot == MIXED ? WRITERS : 0));
    } else {
        snprintf(key, 32, "writer:%u:%u%s", w->index, (unsigned)slot,
                 second ? "b" : "");
    }
}

static enum slot slot_of(const struct writer *w, uint64_t number)
{
    return (enum slot)(number % w->mode->slots);
}

/* "NUMBER:xxx…" */
static void make_value(struct writer *w, uint64_t number, char *value)
{
    const int at = sprintf(value, "%" PRIu64 ":", number);
    const uint32_t padding = stress_random(&w->random, PADDING_MAX);

    memset(value + at, 'x', padding);
    value[(uint32_t)at + padding] = '\0';
}

/* ---- writing ---- */

static void append_write(struct writer *w, enum slot slot, bool second,
                         const char *value)
{
    char key[32];

    key_of(w, slot, second, key);
    if (strncmp(key, "book:", 5) == 0) {
        redisAppendCommand(w->connection, "HSET %s title %s author %s", key,
                           value, value);
    } else {
        redisAppendCommand(w->connection, "SET %s %s", key, value);
    }
}

/* True if 'reply' and all in it are good; false once the server is gone. */
static bool take_reply(struct writer *w)
{
    void *answer = NULL;

    if (redisGetReply(w->connection, &answer) != REDIS_OK) {
        return false;
    }
    const redisReply *reply = answer;
    if (reply->type == REDIS_REPLY_ERROR) {
        log_fatal("a write was refused: %s", reply->str);
    }
    for (size_t i = 0; i < reply->elements; i++) {
        if (reply->element[i]->type == REDIS_REPLY_ERROR) {
            log_fatal("a write was refused: %s", reply->element[i]->str);
        }
    }
    freeReplyObject(answer);
    return true;
}

/* One write, from begin to acknowledgement. */
static bool write_number(struct writer *w, uint64_t number)
{
    const enum slot slot = slot_of(w, number);
    char value[PADDING_MAX + 32];
    int n_replies = 1;

    make_value(w, number, value);
    if (slot == PAIR || slot == MIXED) {
        redisAppendCommand(w->connection, "MULTI");
        append_write(w, slot, false, value);
        append_write(w, slot, slot == PAIR || w->mode->mixed, value);
        redisAppendCommand(w->connection, "EXEC");
        n_replies = 4;
    } else {
        append_write(w, slot, false, value);
    }
    while (n_replies > 0 && take_reply(w)) {
        n_replies--;
    }
    return n_replies == 0;
}

/* Until the server is gone. */
static void write_all(void *arg)
{
    struct writer *w = arg;

    do {
        w->sent++;
        if (w->sent - w->before >= NUMBERS_MAX) {
            log_fatal("more writes than this test has room for");
        }
        if (!write_number(w, w->sent)) {
            return;
        }
        w->acknowledged = w->sent;
        w->ends_ns[w->sent - w->before] = linear_now_ns();
    } while (true);
}

static redisContext *connect_to(const struct daemon *d)
{
    redisContext *connection = redisConnectFd(daemon_connect(d));

    CHECK(connection != NULL);
    return connection;
}

/* ---- what is left ---- */

/* The number that a key has, 0 if it is not there. */
static uint64_t read_number(redisContext *connection, const char *key)
{
    const bool record = strncmp(key, "book:", 5) == 0;
    redisReply *reply = record ? redisCommand(connection, "HGET %s title", key)
                               : redisCommand(connection, "GET %s", key);
    uint64_t number = 0;

    CHECK(reply != NULL);
    if (reply->type == REDIS_REPLY_STRING) {
        number = strtoull(reply->str, NULL, 10);
        CHECK(number > 0);
    } else if (reply->type != REDIS_REPLY_NIL) {
        log_fatal("%s is lost: %s", key, reply->str);
    }
    freeReplyObject(reply);
    return number;
}

/* The number that a slot has; of a pair, both. */
static uint64_t read_slot(redisContext *connection, const struct writer *w,
                          enum slot slot)
{
    char key[32];

    key_of(w, slot, false, key);
    const uint64_t number = read_number(connection, key);
    key_of(w, slot, slot == PAIR || (slot == MIXED && w->mode->mixed), key);
    const uint64_t second = read_number(connection, key);
    if (number != second) {
        log_fatal("half a transaction is left: writer %u slot %u has %" PRIu64
                  " and %" PRIu64,
                  w->index, (unsigned)slot, number, second);
    }
    return number;
}

/* The last number up to 'last' that was for 'slot', or what that had before. */
static uint64_t expected(const struct writer *w, enum slot slot, uint64_t last)
{
    for (uint64_t n = last; n > w->before; n--) {
        if (slot_of(w, n) == slot) {
            return n;
        }
    }
    return w->kept[slot];
}

/* What was acknowledged after number 'last' is lost. */
static void check_loss(const struct writer *w, uint64_t last, int64_t kill_ns)
{
    for (uint64_t n = last + 1; n <= w->acknowledged; n++) {
        const int64_t age_ns = kill_ns - w->ends_ns[n - w->before];
        if (age_ns > w->mode->loss_ns || w->mode->loss_ns == 0) {
            log_fatal("writer %u lost number %" PRIu64 ", acknowledged %" PRId64
                      " us before the kill; the last left is %" PRIu64,
                      w->index, n, age_ns / 1000, last);
        }
        found.n_lost++;
        if (age_ns > found.oldest_lost_ns) {
            found.oldest_lost_ns = age_ns;
        }
    }
}

static void check_writer(struct writer *w, redisContext *connection,
                         int64_t kill_ns)
{
    uint64_t slots[SLOTS];
    uint64_t last = w->before;

    for (int i = 0; i < SLOTS; i++) {
        slots[i] = read_slot(connection, w, (enum slot)i);
        last = slots[i] > last ? slots[i] : last;
    }
    CHECK(last <= w->sent);
    for (int i = 0; i < SLOTS; i++) {
        const uint64_t wanted = expected(w, (enum slot)i, last);
        if (slots[i] != wanted) {
            log_fatal("writer %u slot %d has %" PRIu64 ", not %" PRIu64
                      ", though number %" PRIu64 " is there",
                      w->index, i, slots[i], wanted, last);
        }
        w->kept[i] = slots[i];
    }
    check_loss(w, last, kill_ns);
    found.n_acknowledged += w->acknowledged - w->before;
    w->acknowledged = w->before = w->sent;
}

static int see_ok(void *n_lines, int n, char **columns, char **names)
{
    (void)names;
    if (n != 1 || strcmp(columns[0], "ok") != 0) {
        log_fatal("integrity_check: %s", columns[0]);
    }
    ++*(int *)n_lines;
    return 0;
}

static void check_integrity(const struct daemon *d)
{
    char path[512];
    sqlite3 *db;
    int n_lines = 0;

    daemon_path(d, "bookd.db", path, sizeof path);
    CHECK(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK);
    CHECK(sqlite3_exec(db, "PRAGMA integrity_check", see_ok, &n_lines, NULL) ==
          SQLITE_OK);
    CHECK(n_lines == 1);
    CHECK(sqlite3_close(db) == SQLITE_OK);
}

/* ---- kills ---- */

/* Starts bookd, has all write, and kills it after a while. */
static int64_t load_and_kill(struct daemon *d, const struct mode *mode,
                             uint64_t *random)
{
    const bool at_once = stress_random(random, 5) == 0;
    const uint32_t load_us =
        stress_random(random, at_once ? 20000 : mode->load_ms * 1000);

    daemon_start(d, mode->args);
    for (size_t i = 0; i < WRITERS; i++) {
        struct writer *w = &writers[i];
        w->connection = connect_to(d);
        CHECK(thread_start(&w->thread, "writer", write_all, w) == ERR_OK);
    }
    if (!at_once) {
        redisContext *first = connect_to(d);
        freeReplyObject(redisCommand(first, "PING"));
        redisFree(first);
    }
    usleep(load_us);
    const int64_t kill_ns = linear_now_ns();
    daemon_kill(d);
    for (size_t i = 0; i < WRITERS; i++) {
        thread_join(&writers[i].thread);
        redisFree(writers[i].connection);
    }
    return kill_ns;
}

static void check_all(struct daemon *d, const struct mode *mode,
                      int64_t kill_ns)
{
    daemon_start(d, mode->args);
    redisContext *connection = connect_to(d);
    for (size_t i = 0; i < WRITERS; i++) {
        check_writer(&writers[i], connection, kill_ns);
    }
    redisFree(connection);
    check_integrity(d);
}

static void try_mode(const struct mode *mode, unsigned n_kills, uint64_t seed)
{
    struct daemon d = {0};
    uint64_t random = seed;

    memset(&found, 0, sizeof found);
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){
            .d = &d,
            .mode = mode,
            .index = i,
            .random = seed + i + 1,
            .ends_ns = xcalloc(NUMBERS_MAX, sizeof *writers[i].ends_ns)};
    }
    for (unsigned i = 0; i < n_kills; i++) {
        const int64_t kill_ns = load_and_kill(&d, mode, &random);
        check_all(&d, mode, kill_ns);
        if (stress_random(&random, 2) == 0) {
            daemon_kill(&d);
        } else {
            daemon_stop(&d);
        }
    }
    daemon_remove(&d);
    for (size_t i = 0; i < WRITERS; i++) {
        free(writers[i].ends_ns);
    }
    printf("%s: %u kills, %" PRIu64 " writes acknowledged, %" PRIu64
           " lost, the oldest %" PRId64 " ms old\n",
           mode->name, n_kills, found.n_acknowledged, found.n_lost,
           found.oldest_lost_ns / MS);
}

int main(int argc, char **argv)
{
    static const char *const through[] = {"--plain-writes", "through",
                                          "--record-writes", "through", NULL};
    /* Half of the interval is for the commit, which takes longer on a busy
     * machine, and under a sanitizer. */
    const uint32_t interval_ms = 2000;
    const char *const behind[] = {"--plain-writes",
                                  "behind",
                                  "--record-writes",
                                  "behind",
                                  "--behind-interval",
                                  "2s",
                                  NULL};
    const struct mode modes[] = {
        {.name = "through",
         .args = through,
         .load_ms = 150,
         .mixed = true,
         .slots = SLOTS},
        {.name = "behind",
         .args = behind,
         .load_ms = interval_ms,
         .mixed = true,
         .slots = SLOTS,
         .loss_ns = interval_ms * MS},
        /* A transaction may have all that was before it committed. */
        {.name = "behind, without transactions",
         .args = behind,
         .load_ms = interval_ms,
         .slots = PAIR,
         .loss_ns = interval_ms * MS},
    };
    const unsigned n_kills = argc > 1 ? (unsigned)atoi(argv[1]) : 10;
    const uint64_t seed =
        argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)linear_now_ns();

    printf("seed %" PRIu64 "\n", seed);
    fflush(stdout);
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        try_mode(&modes[i], n_kills, seed);
    }
    return 0;
}
