/* SPDX-License-Identifier: MIT */
/*
 * Reads, withdrawals, refreshes, writes and walks from several threads, and
 * then a close in the middle of it, round after round, over the fake engine
 * (with failures) and over SQLite.
 *
 * The store hangs and is down at random, and its breaker opens.
 *
 * Claims: every read ends exactly once, or was withdrawn or refused and never
 * ends; every write accepted ends exactly once, in the order of its thread;
 * what is in the store afterwards is the last write that said it succeeded.
 */
#include <stdatomic.h>
#include <stdio.h>

#include "common/attr.h"
#include "common/mem.h"
#include "server/admin/config.h"
#include "tests/support/store_calls.h"
#include "tests/support/stress.h"

#define WORKERS 3
#define OPS 200 /* Of a worker in a round. */

struct op {
    struct store_read read;
    struct store_write write;
    struct store_walk walk;
    char key[32];
    char value[16];
    bool expected;       /* It will end. */
    _Atomic int n_ended; /* How often it did. */
    _Atomic int n_rows;
    enum err err;       /* Once ended. */
    long order;         /* Of writes: how many had ended before. */
    struct op *chained; /* A read to be started when this one ends. */
};

struct worker {
    uint64_t random;
    int index;
    struct op ops[OPS];
    struct op chained[OPS];
};

static struct store_bed bed;
static _Atomic long n_writes_ended; /* Only the writer's thread adds. */
static struct worker workers[WORKERS];

/* ---- callbacks ---- */

static void on_row(struct store_read *read, const struct store_row *row)
{
    struct op *op = container_of(read, struct op, read);

    CHECK(op->n_ended == 0);
    CHECK(row->columns[0].bytes.size > 0);
    op->n_rows++;
}

static void start_read(struct op *op, bool refresh);

static void on_read_done(struct store_read *read, enum err err)
{
    struct op *op = container_of(read, struct op, read);

    op->err = err;
    if (op->chained != NULL) {
        start_read(op->chained, false);
    }
    op->n_ended++;
}

static void on_written(struct store_write *write, enum err err,
                       struct slice detail)
{
    struct op *op = container_of(write, struct op, write);

    (void)detail;
    op->err = err;
    op->order = n_writes_ended++;
    op->n_ended++;
}

static void on_key(struct store_walk *walk, struct slice key)
{
    (void)walk;
    CHECK(key.size > 0);
}

static void on_walked(struct store_walk *walk, enum err err)
{
    struct op *op = container_of(walk, struct op, walk);

    op->err = err;
    op->n_ended++;
}

/* ---- operations ---- */

static void start_read(struct op *op, bool refresh)
{
    struct slice id = slice_from_string(op->key);
    const struct mapping *mapping = mapping_find(&mappings_builtin, id, &id);

    op->read = (struct store_read){.mapping = mapping,
                                   .key = id,
                                   .refresh = refresh,
                                   .row = on_row,
                                   .done = on_read_done};
    op->expected = true; /* It may end before start returns. */
    const enum store_start started = store_read_start(bed.store, &op->read);
    if (started == STORE_REFUSED || started == STORE_BROKEN) {
        op->expected = false;
    }
}

static void start_write(struct op *op, int worker, int number, bool deferred)
{
    snprintf(op->key, sizeof(op->key), "plain:%d", worker);
    snprintf(op->value, sizeof(op->value), "%d", number);
    op->write = (struct store_write){.op = STORE_PUT_PLAIN,
                                     .key = slice_from_string(op->key),
                                     .value = slice_from_string(op->value),
                                     .deferred = deferred,
                                     .done = on_written};
    op->expected = store_write_start(bed.store, &op->write) == ERR_OK;
    CHECK(op->expected);
}

static void start_walk(struct worker *w, struct op *op)
{
    op->walk = (struct store_walk){
        .kind = stress_random(&w->random, 2) == 0 ? STORE_SCAN : STORE_COUNT,
        .cursor = stress_random(&w->random, 20),
        .count = stress_random(&w->random, 30),
        .key = on_key,
        .done = on_walked};
    op->expected = store_walk_start(bed.store, &op->walk) == ERR_OK;
    CHECK(op->expected);
}

/* Makes the store hang, or be down, or ends it, while reads are under way. */
static void disturb(struct worker *w)
{
    static const char *const outages[] = {"0s", "1ms", "3ms"};

    if (stress_random(&w->random, 2) == 0) {
        store_bed_set(&bed, "store-hang",
                      stress_random(&w->random, 2) == 0 ? "yes" : "no");
    } else {
        store_bed_set(&bed, "store-outage-for",
                      outages[stress_random(&w->random, 3)]);
    }
}

static void work(void *arg)
{
    struct worker *w = arg;

    for (int i = 0; i < OPS; i++) {
        struct op *op = &w->ops[i];
        if (stress_random(&w->random, 50) == 0) {
            disturb(w);
        }
        const uint32_t what = stress_random(&w->random, 20);
        if (what < 3) {
            start_write(op, w->index, i, what > 0);
        } else if (what == 3) {
            start_walk(w, op);
        } else {
            snprintf(op->key, sizeof(op->key), "book:%u",
                     stress_random(&w->random, 12));
            snprintf(w->chained[i].key, sizeof(op->key), "plain:%d", w->index);
            op->chained = what < 8 ? &w->chained[i] : NULL;
            start_read(op, what == 19);
        }
        const uint32_t back = stress_random(&w->random, 8);
        if (back < (uint32_t)i) { /* One of the last few: may be a read. */
            struct op *old = &w->ops[(uint32_t)i - back];
            if (old->read.done != NULL && old->expected && old->n_ended == 0 &&
                old->chained == NULL && back % 2 == 0 &&
                store_read_withdraw(bed.store, &old->read)) {
                old->expected = false;
            }
        }
    }
}

/* ---- rounds ---- */

static void set_number(const char *directive, uint32_t number, const char *unit)
{
    char text[32];

    snprintf(text, sizeof(text), "%u%s", number, unit);
    store_bed_set(&bed, directive, text);
}

static void check_reads_and_walks(const struct worker *w)
{
    for (int i = 0; i < OPS; i++) {
        const struct op *op = &w->ops[i];
        const struct op *chained = &w->chained[i];
        CHECK(op->n_ended == (op->expected ? 1 : 0));
        CHECK(op->n_rows <= 1);
        CHECK(chained->n_ended == (chained->expected ? 1 : 0));
    }
}

/* Returns the number of the worker's last write that succeeded, or -1. */
static int check_writes(const struct worker *w)
{
    long order = -1;
    int last = -1;

    for (int i = 0; i < OPS; i++) {
        const struct op *op = &w->ops[i];
        if (op->write.done != NULL && op->err == ERR_OK) {
            CHECK(op->order > order);
            order = op->order;
            last = i;
        }
    }
    return last;
}

static void check_value(int worker, int last)
{
    struct asked a;
    char key[32];

    snprintf(key, sizeof(key), "plain:%d", worker);
    CHECK(ask(bed.store, &a, key) < STORE_REFUSED);
    asked_wait(&a);
    CHECK(a.err == ERR_OK);
    if (last >= 0) {
        CHECK(a.n_rows == 1);
        CHECK(atoi(buf_string(&a.row)) == last);
    }
    asked_destroy(&a);
}

static void open_round(uint64_t *random, bool sqlite)
{
    static const char *const rates[] = {"0%", "0%", "20%"};

    set_number("store-concurrency", 1 + stress_random(random, 8), "");
    set_number("store-queue", stress_random(random, 64), "");
    set_number("store-delay", stress_random(random, 3) * 300, "us");
    set_number("store-jitter", stress_random(random, 2) * 200, "us");
    set_number("store-tail-rate", stress_random(random, 3), "%");
    set_number("store-timeout", 1 + stress_random(random, 20), "ms");
    set_number("store-threads", 1 + stress_random(random, 3), "");
    set_number("breaker-failures", stress_random(random, 4), "");
    set_number("breaker-probe-interval", 1 + stress_random(random, 2), "ms");
    set_number("behind-interval", 1 + stress_random(random, 3), "ms");
    store_bed_set(&bed, "store-error-rate", rates[stress_random(random, 3)]);
    CHECK((sqlite ? store_bed_open_sqlite(&bed) : store_bed_open_fake(&bed)) ==
          ERR_OK);
    if (!sqlite && stress_random(random, 2) == 0) {
        fake_store_fail(bed.fake, FAKE_READ, NULL, 5, ERR_STORE_DOWN);
        fake_store_fail(bed.fake, FAKE_BEGIN, NULL, 1, ERR_STORE_LOCKED);
        if (stress_random(random, 10) == 0) { /* Costs a second. */
            fake_store_fail(bed.fake, FAKE_COMMIT, NULL, 1, ERR_STORE_DOWN);
        }
    }
}

static void play_round(uint64_t *random, bool sqlite)
{
    struct waitgroup working;

    open_round(random, sqlite);
    wg_init(&working);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){
            .random = 1 + stress_random(random, 1u << 30), .index = i};
        CHECK(wg_go(&working, "worker", work, &workers[i]) == ERR_OK);
    }
    wg_wait(&working);
    wg_destroy(&working);
    store_bed_close(&bed);

    set_number("store-queue", WORKERS, "");
    store_bed_set(&bed, "store-delay", "0ms");
    store_bed_set(&bed, "store-jitter", "0ms");
    store_bed_set(&bed, "store-error-rate", "0%");
    store_bed_set(&bed, "store-hang", "no");
    store_bed_set(&bed, "store-outage-for", "0s");
    store_bed_set(&bed, "store-timeout", "30s"); /* Nothing is overdue now. */
    CHECK(timers_count(bed.timers) == 0);
    if (!sqlite) {
        fake_store_forgive(bed.fake);
    }
    CHECK((sqlite ? store_bed_open_sqlite(&bed) : store_bed_open_fake(&bed)) ==
          ERR_OK);
    for (int i = 0; i < WORKERS; i++) {
        check_reads_and_walks(&workers[i]);
        check_value(i, check_writes(&workers[i]));
    }
    store_bed_close(&bed);
}

int main(void)
{
    const int64_t end_us = stress_end_us();
    uint64_t random = 88172645463325252u;
    int n_rounds = 0;

    log_init();
    log_set_level(LOG_LEVEL_ERROR);
    store_bed_init(&bed);
    while (n_rounds < 2 || clock_real_us() < end_us) {
        play_round(&random, n_rounds % 2 == 1);
        fake_store_free(bed.fake);
        bed.fake = NULL;
        n_rounds++;
    }
    store_bed_destroy(&bed);
    printf("stress_store: %d rounds\n", n_rounds);
    return 0;
}
