/* SPDX-License-Identifier: MIT */
/*
 * Groups are seen whole or not at all, whatever goes on beside them.
 *
 * Each pair of keys is written by one writer, both to the same number, which
 * grows.  A reader asks for one key, and when that has said 5, for the other:
 * it must not say less.  Nor may either say less than what was acknowledged
 * before it was asked for.  Meanwhile copies are evicted, commits fail, single
 * writes come between, and memory is short or not.
 *
 * Rounds: plain keys through, behind, through the log, in memory only; and
 * pairs of a plain key and a record.
 */
#include "common/clock.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/task.h"
#include "common/thread.h"
#include "common/waitgroup.h"
#include "server/lookup/record.h"
#include "tests/support/lookup_fixture.h"
#include "tests/support/stress.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define PAIRS 6
#define READERS 2
#define ROUND_US 300000

static const struct kind {
    const char *name;
    const char *plain_writes;
    const char *record_writes;
    bool logged;
    bool records;
    bool refuses; /* What the database refuses was not acknowledged. */
    bool evicts;  /* What is evicted is in the store. */
} kinds[] = {
    {.name = "through",
     .plain_writes = "plain-writes through",
     .record_writes = "record-writes through",
     .refuses = true,
     .evicts = true},
    {.name = "behind",
     .plain_writes = "plain-writes behind",
     .record_writes = "record-writes behind",
     .evicts = true},
    {.name = "log",
     .plain_writes = "plain-writes through",
     .record_writes = "record-writes through",
     .logged = true,
     .evicts = true},
    {.name = "none",
     .plain_writes = "plain-writes none",
     .record_writes = "record-writes through"},
    {.name = "records",
     .plain_writes = "plain-writes through",
     .record_writes = "record-writes through",
     .logged = true,
     .records = true,
     .refuses = true,
     .evicts = true},
    {.name = "mixed",
     .plain_writes = "plain-writes behind",
     .record_writes = "record-writes behind",
     .records = true,
     .evicts = true},
};

struct pair {
    char keys[2][16];
    bool record; /* The second key. */
    _Atomic uint64_t acknowledged;
};

struct round {
    const struct kind *kind;
    struct fixture *f;
    struct pair pairs[PAIRS];
    _Atomic bool over;
};

/* A thread with a loop of its own. */
struct player {
    struct round *round;
    struct chan *home;
    uint64_t random;
    bool done; /* What it waits for has come. */
    enum err err;
    uint64_t number; /* What a lookup answered. */
    uint64_t count;
};

static uint32_t draw(struct player *p, uint32_t n)
{
    p->random = p->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(p->random >> 33) % n;
}

static void run_until_done(struct player *p)
{
    struct task task;

    while (!p->done) {
        CHECK(chan_recv(chan_rx(p->home), &task));
        task.run(task.arg);
    }
}

/* ---- writers ---- */

static void on_written(void *arg, const struct update_outcome *outcome)
{
    struct player *p = arg;

    p->done = true;
    p->err = outcome->err;
    for (size_t i = 0; i < outcome->n && p->err == ERR_OK; i++) {
        p->err = outcome->results[i].err;
    }
}

/* Sees that the numbers of a pair are one. */
struct look {
    uint64_t number;
    bool seen;
};

static uint64_t number_in(const struct present *now)
{
    struct slice text = now->bytes;
    enum column_type type;
    int64_t number = 0;

    if (now->kind == COPY_NEGATIVE) {
        return 0;
    }
    if (now->mapping != NULL) {
        text = record_column(now->bytes, 3, &type);
    }
    CHECK(slice_to_int64(text, &number));
    return (uint64_t)number;
}

/* decide() of both members: the next number, in the place of the last. */
static enum err add_one(void *context, const struct present *now,
                        struct update *update, struct buf *room,
                        struct buf *detail)
{
    struct look *look = context;
    const uint64_t number = number_in(now);

    (void)detail;
    look->number = number + 1;
    if (now->mapping != NULL) {
        return ERR_OK; /* Its fields were given. */
    }
    buf_append_int64(room, (int64_t)number + 1);
    update->value = buf_slice(room);
    return ERR_OK;
}

static void write_pair(struct player *p, struct pair *pair, uint64_t number)
{
    char text[32];
    struct look looks[2] = {{0}};
    struct slice fields[2] = {SLICE("year"), {0}};
    const bool blind = draw(p, 2) == 0;
    struct update updates[2];
    const struct update_caller caller = {
        .home = chan_tx(p->home), .done = on_written, .arg = p};

    snprintf(text, sizeof text, "%" PRIu64, number);
    fields[1] = slice_from_string(text);
    for (size_t i = 0; i < 2; i++) {
        const bool record = i == 1 && pair->record;
        updates[i] =
            (struct update){.op = record ? STORE_SET_COLUMNS : STORE_PUT_PLAIN,
                            .key = slice_from_string(pair->keys[i]),
                            .value = slice_from_string(text),
                            .fields = fields,
                            .n_fields = record ? 2 : 0,
                            .context = &looks[i],
                            .decide = blind ? NULL : add_one};
    }
    p->done = false;
    (void)update_start(p->round->f->lookup, updates, 2, &caller);
    run_until_done(p);
    if (p->err == ERR_OK) {
        CHECK(blind ||
              (looks[0].number == number && looks[1].number == number));
        atomic_store_explicit(&pair->acknowledged, number,
                              memory_order_release);
        p->count++;
    }
}

static void disturb(struct player *p)
{
    struct fixture *f = p->round->f;
    struct pair *pair = &p->round->pairs[draw(p, PAIRS)];

    switch (draw(p, 12)) {
    case 0:
        fake_store_fail(f->fake, FAKE_COMMIT, NULL, 1, ERR_STORE_DOWN);
        break;
    case 1:
        if (p->round->kind->refuses) {
            fake_store_fail(f->fake, FAKE_APPLY, pair->keys[draw(p, 2)], 1,
                            ERR_CONSTRAINT);
        }
        break;
    case 2:
        fake_store_forgive(f->fake);
        break;
    case 3:
        if (p->round->kind->evicts) {
            cache_set_max_bytes(f->cache, (size_t)4096 << draw(p, 9));
        }
        break;
    default:
        (void)lookup_evict(f->lookup,
                           slice_from_string(pair->keys[draw(p, 2)]));
        break;
    }
}

static void write_all(void *arg)
{
    struct player *p = arg;
    uint64_t next[PAIRS];

    for (size_t i = 0; i < PAIRS; i++) {
        next[i] = 1;
    }
    while (!atomic_load_explicit(&p->round->over, memory_order_relaxed)) {
        const size_t i = draw(p, PAIRS);
        write_pair(p, &p->round->pairs[i], next[i]);
        next[i] += p->err == ERR_OK ? 1 : 0;
        if (draw(p, 4) == 0) {
            disturb(p);
        }
    }
}

/* ---- readers ---- */

static void take(struct player *p, const struct answer *answer)
{
    const struct present now = {
        .mapping = answer->mapping,
        .kind = answer->outcome == LOOKUP_FOUND ? COPY_STRING : COPY_NEGATIVE,
        .bytes = answer->bytes};

    p->done = true;
    p->err = answer->outcome == LOOKUP_FAILED ? answer->err : ERR_OK;
    p->number = p->err == ERR_OK ? number_in(&now) : 0;
}

static void on_answer(void *arg, const struct answer *answer)
{
    take(arg, answer);
}

static void read_key(struct player *p, const char *key)
{
    const struct lookup_caller caller = {.home = chan_tx(p->home),
                                         .done = on_answer,
                                         .arg = p,
                                         .start_us = clock_now_us()};
    struct buf scratch = {0};
    struct answer answer;

    p->done = false;
    if (lookup_get(p->round->f->lookup, slice_from_string(key), NULL, &caller,
                   &scratch, &answer) == NULL) {
        take(p, &answer);
    }
    run_until_done(p);
    buf_destroy(&scratch);
}

static void read_all(void *arg)
{
    struct player *p = arg;

    while (!atomic_load_explicit(&p->round->over, memory_order_relaxed)) {
        struct pair *pair = &p->round->pairs[draw(p, PAIRS)];
        const size_t first = draw(p, 2);
        uint64_t least =
            atomic_load_explicit(&pair->acknowledged, memory_order_acquire);
        for (size_t i = 0; i < 2; i++) {
            read_key(p, pair->keys[(first + i) % 2]);
            if (p->err != ERR_OK) {
                break;
            }
            if (p->number < least) {
                log_error("group: \"%s\" said %" PRIu64 ", not %" PRIu64,
                          pair->keys[(first + i) % 2], p->number, least);
                abort();
            }
            least = p->number;
            p->count++;
        }
    }
}

/* ---- rounds ---- */

static void open_round(struct round *round, const struct kind *kind)
{
    const char *const directives[] = {kind->plain_writes,
                                      kind->record_writes,
                                      "behind-interval 5ms",
                                      "stale-if-error 0s",
                                      "breaker-failures 0",
                                      "store-threads 4",
                                      NULL};

    memset(round, 0, sizeof *round);
    round->kind = kind;
    round->f =
        kind->logged ? fixture_new_logged(directives) : fixture_new(directives);
    for (size_t i = 0; i < PAIRS; i++) {
        struct pair *pair = &round->pairs[i];
        snprintf(pair->keys[0], sizeof pair->keys[0], "a%zu", i);
        snprintf(pair->keys[1], sizeof pair->keys[1],
                 kind->records ? "book:%zu" : "b%zu", i + 1);
        pair->record = kind->records;
        if (kind->records) {
            fake_store_set_book(round->f->fake, pair->keys[1] + 5, "x", NULL,
                                "0");
        }
    }
}

static uint64_t play_round(const struct kind *kind, uint64_t seed,
                           uint64_t *n_reads)
{
    static struct round round;
    struct player players[READERS + 1];
    struct waitgroup playing;
    struct chan *never = chan_new(1, 0);
    char nothing;

    open_round(&round, kind);
    wg_init(&playing);
    for (size_t i = 0; i < ARRAY_LEN(players); i++) {
        players[i] = (struct player){
            .round = &round,
            .home = chan_new(sizeof(struct task), CHAN_UNBOUNDED),
            .random = seed * 31 + i};
        CHECK(wg_go(&playing, "player", i == 0 ? write_all : read_all,
                    &players[i]) == ERR_OK);
    }
    CHECK(chan_recv_until(chan_rx(never), &nothing,
                          clock_real_us() + ROUND_US) == ERR_TIMEOUT);
    atomic_store_explicit(&round.over, true, memory_order_relaxed);
    wg_wait(&playing);
    wg_destroy(&playing);
    chan_free(never);
    fake_store_forgive(round.f->fake);
    store_close(round.f->store);
    round.f->store = NULL;
    fixture_free(round.f);
    for (size_t i = 0; i < ARRAY_LEN(players); i++) {
        *n_reads += i > 0 ? players[i].count : 0;
        chan_free(players[i].home);
    }
    return players[0].count;
}

int main(void)
{
    const int64_t end_us = stress_end_us();
    uint64_t n_reads = 0;
    uint64_t n_groups[ARRAY_LEN(kinds)] = {0};
    uint64_t round = 0;

    log_init();
    log_set_level(LOG_LEVEL_ERROR);
    hash_init();
    while (round < ARRAY_LEN(kinds) || clock_real_us() < end_us) {
        const size_t kind = round % ARRAY_LEN(kinds);
        n_groups[kind] += play_round(&kinds[kind], round, &n_reads);
        round++;
    }
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        printf("%s: %" PRIu64 " groups\n", kinds[i].name, n_groups[i]);
    }
    printf("%" PRIu64 " rounds, %" PRIu64 " reads, none saw half a group\n",
           round, n_reads);
    return 0;
}
