/* SPDX-License-Identifier: MIT */
/*
 * Real bookds under everything at once, and every answer judged: each key must
 * have been one register (support/linear.h).
 *
 *     stress_history [ROUNDS [SEED]]     so many, or for STRESS_SECONDS
 *
 * A round is a new store and a bookd with other settings. Witnesses read and
 * write (support/witness.h) while the cache is too small and churned, copies
 * get old, the store is slow or fails, and another program writes to the same
 * file.  Some rounds kill bookd in between, once or twice.  In the end nothing
 * may be missing: the round stops bookd, starts it again, and reads everything
 * once more.
 *
 * 'through': whatever was acknowledged is there after a kill.  'behind': a kill
 * may take the writes of the last behind-interval.  What another program wrote
 * is seen within BOUND_NS.  The seed repeats a round as far as threads allow.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "common/attr.h"
#include "common/thread.h"
#include "tests/support/daemon.h"
#include "tests/support/stress.h"
#include "tests/support/witness.h"

#define MS INT64_C(1000000)
#define WITNESSES 8
#define OUTSIDER WITNESSES /* Their numbers, behind the witnesses'. */
#define JUDGE (WITNESSES + 1)
#define PLAYERS (WITNESSES + 2)
#define EPOCHS_MAX 3
#define EPOCH_MS 300u
#define INTERVAL_MS 50
#define NOISE_KEYS 1000u /* Of 4 KiB each, in a cache of 1 MiB. */

/* Generous: a busy machine with sanitizers; what is never noticed is. */
#define BOUND_NS (1000 * MS)
#define EXPIRY_SLACK_NS (20 * MS)
#define LOSS_NS ((INTERVAL_MS + 400) * MS)

struct round {
    uint64_t random;
    struct daemon daemon;
    const char *args[24];
    size_t n_args;
    bool behind;
    bool feed;    /* Changed rows are known by name. */
    bool cramped; /* The noise does not fit into the cache. */
    unsigned n_epochs;
    _Atomic bool over;  /* Of this epoch. */
    _Atomic bool alone; /* Nobody else writes any more. */
    uint64_t noise;
    int64_t kills_ns[EPOCHS_MAX];
    struct witness witnesses[PLAYERS];
    struct linear_rules rules[WITNESS_KINDS];
};

static uint64_t n_operations, n_kills, n_store_errors;

static uint32_t draw(struct round *r, uint32_t limit)
{
    return stress_random(&r->random, limit);
}

/* ---- settings ---- */

static void set(struct round *r, const char *name, const char *value)
{
    r->args[r->n_args++] = name;
    r->args[r->n_args++] = value;
    r->args[r->n_args] = NULL;
    CHECK(r->n_args < ARRAY_LEN(r->args));
}

static const char *choose(struct round *r, const char *const *choices, size_t n)
{
    return choices[draw(r, (uint32_t)n)];
}

static unsigned bit(enum witness_kind kind)
{
    return 1U << kind;
}

/* The kinds of keys that make sense in this round. */
static unsigned kinds_of(const struct round *r)
{
    unsigned kinds = (1U << WITNESS_KINDS) - 1;

    if (r->behind) {
        /* Who wins, a row of ours that is still to be written or theirs? */
        kinds &= ~bit(WITNESS_SHARED);
    }
    if (r->behind && r->n_epochs > 1) {
        /* What a counter lost it counts again. */
        kinds &= ~(bit(WITNESS_COUNTER) | bit(WITNESS_TALLY));
    }
    return kinds;
}

static void make_rules(struct round *r)
{
    for (int i = 0; i < WITNESS_KINDS; i++) {
        r->rules[i] = (struct linear_rules){.expiry_slack_ns = EXPIRY_SLACK_NS,
                                            .kills_ns = r->kills_ns};
        if (i == WITNESS_FOREIGN || i == WITNESS_SHARED) {
            r->rules[i].stale_ns = BOUND_NS;
        } else if (r->behind) {
            r->rules[i].loss_ns = LOSS_NS;
        }
    }
}

static void draw_settings(struct round *r)
{
    static const char *const races[] = {"never", "stale", "always"};
    static const char *const ages[] = {"2ms", "50ms", "1h"};

    r->behind = draw(r, 2) == 0;
    r->feed = draw(r, 2) == 0;
    r->n_epochs = 1 + draw(r, EPOCHS_MAX);
    set(r, "--plain-writes", r->behind ? "behind" : "through");
    set(r, "--record-writes", r->behind ? "behind" : "through");
    set(r, "--behind-interval", "50ms");
    set(r, "--race", choose(r, races, ARRAY_LEN(races)));
    set(r, "--max-age", choose(r, ages, ARRAY_LEN(ages)));
    set(r, "--negative-max-age", choose(r, ages, ARRAY_LEN(ages)));
    /* A copy that nobody can vouch for any more answers if the store fails. */
    set(r, "--stale-if-error", r->feed ? "1h" : "0s");
    r->cramped = draw(r, 2) == 0;
    set(r, "--maxmemory", r->cramped ? "1mb" : "64mb");
    set(r, "--seed-books", "no");
    set(r, "--enable-simulate-command", "yes");
    make_rules(r);
}

/* ---- players ---- */

static void play(void *arg)
{
    struct witness *w = arg;

    while (witness_act(w)) {
    }
}

/* Keeps the cache full of other things. */
static void make_noise(void *arg)
{
    struct round *r = arg;
    struct witness w = {.random = r->noise};
    char value[4096];

    memset(value, 'n', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    witness_connect(&w, &r->daemon);
    while (!r->over) {
        const uint32_t n = stress_random(&w.random, 2 * NOISE_KEYS);
        if (n < NOISE_KEYS) {
            witness_say(&w, "GET noise:%u", n);
        } else {
            witness_say(&w, "SET noise:%u %s", n - NOISE_KEYS, value);
        }
    }
    witness_disconnect(&w);
}

/* ---- the other program ---- */

static void run_sql(sqlite3 *db, const char *sql)
{
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
        log_fatal("%s: %s", sql, sqlite3_errmsg(db));
    }
}

static sqlite3 *open_file(const struct daemon *d)
{
    char path[512];
    sqlite3 *db;

    daemon_path(d, "bookd.db", path, sizeof path);
    CHECK(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK);
    sqlite3_busy_timeout(db, 30000);
    /* bookd makes the checkpoints, as long as it lives. */
    run_sql(db, "PRAGMA wal_autocheckpoint = 0");
    return db;
}

/* Writes or deletes one row; two, if it is of a mind to. */
static void write_outside(struct witness *w, sqlite3 *db)
{
    const bool shared = (w->kinds & bit(WITNESS_SHARED)) != 0 &&
                        stress_random(&w->random, 3) == 0;
    const uint32_t key =
        (shared ? WITNESS_SHARED : WITNESS_FOREIGN) * WITNESS_EACH +
        stress_random(&w->random, WITNESS_EACH);
    const bool delete = stress_random(&w->random, 5) == 0;
    struct linear_op op = {.key = key,
                           .client = w->index,
                           .epoch = w->epoch,
                           .kind = delete ? LINEAR_DELETE : LINEAR_WRITE,
                           .value = delete ? 0 : witness_number(w),
                           .begin_ns = linear_now_ns()};
    char sql[512];

    if (delete) {
        snprintf(sql, sizeof sql,
                 "BEGIN IMMEDIATE; DELETE FROM books WHERE id = %" PRId64
                 "; COMMIT",
                 witness_id(key));
    } else {
        snprintf(sql, sizeof sql,
                 "BEGIN IMMEDIATE; INSERT INTO books(id, title, author, year) "
                 "VALUES(%" PRId64 ", '%" PRIu64 ":xxx', '%" PRIu64
                 ":xxx', %" PRIu64 ") ON CONFLICT(id) DO UPDATE SET "
                 "title = excluded.title, author = excluded.author, "
                 "year = excluded.year; COMMIT",
                 witness_id(key), op.value, op.value, op.value);
    }
    run_sql(db, sql);
    op.end_ns = linear_now_ns();
    *linear_log_add(&w->log) = op;
}

static void write_outside_all(void *arg)
{
    struct round *r = arg;
    struct witness *w = &r->witnesses[OUTSIDER];
    sqlite3 *db = open_file(&r->daemon);

    while (!r->alone) {
        write_outside(w, db);
        usleep(stress_random(&w->random, 4000));
    }
    CHECK(sqlite3_close(db) == SQLITE_OK);
}

/* The number in the row of 'key', LINEAR_ABSENT without one. */
static uint64_t number_in_file(sqlite3 *db, uint32_t key)
{
    sqlite3_stmt *statement;
    uint64_t number = LINEAR_ABSENT;

    CHECK(sqlite3_prepare_v2(db, "SELECT year FROM books WHERE id = ?", -1,
                             &statement, NULL) == SQLITE_OK);
    CHECK(sqlite3_bind_int64(statement, 1, witness_id(key)) == SQLITE_OK);
    if (sqlite3_step(statement) == SQLITE_ROW) {
        number = (uint64_t)sqlite3_column_int64(statement, 0);
    }
    CHECK(sqlite3_finalize(statement) == SQLITE_OK);
    return number;
}

/* Now that the other program is still, bookd comes to say what it wrote,
 * however long copies are fresh. */
static void await_outside(struct round *r)
{
    const int64_t patience_ns = linear_now_ns() + 30 * 1000 * MS;
    struct witness w = {.random = 1, .kinds = bit(WITNESS_FOREIGN)};
    sqlite3 *db = open_file(&r->daemon);

    witness_connect(&w, &r->daemon);
    for (uint32_t i = 0; i < WITNESS_EACH; i++) {
        const uint32_t key = WITNESS_FOREIGN * WITNESS_EACH + i;
        const uint64_t number = number_in_file(db, key);
        while (witness_read(&w, key) != number) {
            if (linear_now_ns() > patience_ns) {
                log_fatal("%s: row %" PRId64 " is never seen", __FILE__,
                          witness_id(key));
            }
        }
    }
    witness_disconnect(&w);
    witness_destroy(&w);
    CHECK(sqlite3_close(db) == SQLITE_OK);
}

/* ---- faults ---- */

/* Until the epoch is over, at 'end_ns'. */
static void disturb(struct round *r, int64_t end_ns)
{
    static const char *const faults[][2] = {{"store-delay", "3ms"},
                                            {"store-error-rate", "20%"},
                                            {"store-outage-for", "1h"},
                                            {"store-hang", "yes"}};
    struct witness w = {.random = 1};

    witness_connect(&w, &r->daemon);
    while (linear_now_ns() < end_ns) {
        const size_t i = draw(r, ARRAY_LEN(faults));
        witness_say(&w, "CONFIG SET %s %s", faults[i][0], faults[i][1]);
        usleep(draw(r, 20000));
        witness_say(&w, "BOOK.SIMULATE off");
        usleep(draw(r, 40000));
    }
    witness_disconnect(&w);
}

/* ---- epochs ---- */

/* After a kill nothing that it cut short can happen any more. */
static void end_unknown(struct linear_log *log)
{
    const int64_t now_ns = linear_now_ns();

    for (size_t i = log->n; i-- > 0;) {
        if (log->ops[i].end_ns == LINEAR_NEVER) {
            log->ops[i].end_ns = now_ns;
        }
    }
}

static void read_everything(struct round *r, unsigned epoch)
{
    struct witness *judge = &r->witnesses[JUDGE];

    judge->epoch = (uint16_t)epoch;
    witness_connect(judge, &r->daemon);
    witness_read_all(judge);
    witness_disconnect(judge);
}

/* Load on a bookd that runs; in the end it is killed or stopped. */
static void run_epoch(struct round *r, unsigned epoch, bool kill)
{
    struct thread threads[PLAYERS];
    struct thread noise;

    r->over = r->alone = false;
    r->noise = draw(r, UINT32_MAX) + 1;
    for (unsigned i = 0; i < WITNESSES; i++) {
        struct witness *w = &r->witnesses[i];
        w->epoch = (uint16_t)epoch;
        witness_connect(w, &r->daemon);
        CHECK(thread_start(&threads[i], "witness", play, w) == ERR_OK);
    }
    r->witnesses[OUTSIDER].epoch = (uint16_t)epoch;
    CHECK(thread_start(&threads[OUTSIDER], "outsider", write_outside_all, r) ==
          ERR_OK);
    CHECK(thread_start(&noise, "noise", make_noise, r) == ERR_OK);
    disturb(r, linear_now_ns() + (50 + draw(r, EPOCH_MS)) * MS);
    r->alone = true;
    thread_join(&threads[OUTSIDER]);
    await_outside(r);

    if (kill) {
        r->kills_ns[epoch] = linear_now_ns();
        daemon_kill(&r->daemon);
        n_kills++;
    } else {
        daemon_stop(&r->daemon);
    }
    r->over = true;
    for (unsigned i = 0; i < WITNESSES; i++) {
        thread_join(&threads[i]);
        end_unknown(&r->witnesses[i].log);
    }
    thread_join(&noise);
    for (unsigned i = 0; i < WITNESSES; i++) {
        witness_disconnect(&r->witnesses[i]);
    }
}

static void run_epochs(struct round *r)
{
    struct witness w = {.random = 1};

    daemon_start(&r->daemon, r->args);
    witness_connect(&w, &r->daemon); /* The file is there when it answers. */
    witness_prepare(&w);
    witness_disconnect(&w);
    if (!r->feed) { /* A store that bookd makes has one. */
        daemon_stop(&r->daemon);
        daemon_run(&r->daemon, "--remove-change-feed", r->args);
        daemon_start(&r->daemon, r->args);
    }
    for (unsigned epoch = 0; epoch < r->n_epochs; epoch++) {
        const bool last = epoch + 1 == r->n_epochs;
        run_epoch(r, epoch, !last);
        daemon_start(&r->daemon, r->args);
        read_everything(r, last ? epoch : epoch + 1);
    }
    daemon_stop(&r->daemon);
}

/* ---- rounds ---- */

static const struct linear_rules *rules_of(void *arg, uint32_t key)
{
    const struct round *r = arg;

    return &r->rules[witness_kind(key)];
}

static void judge(struct round *r, uint64_t seed)
{
    struct linear_log all = {0};
    struct buf why = {0};

    for (size_t i = 0; i < PLAYERS; i++) {
        linear_log_append(&all, &r->witnesses[i].log);
        n_store_errors += r->witnesses[i].n_errors;
    }
    n_operations += all.n;
    if (linear_log_check(&all, rules_of, r, &why) > 0) {
        fprintf(stderr, "settings:");
        for (size_t i = 0; i < r->n_args; i++) {
            fprintf(stderr, " %s", r->args[i]);
        }
        log_fatal("stress_history: seed %" PRIu64 " feed %d epochs %u\n%s",
                  seed, r->feed, r->n_epochs, buf_string(&why));
    }
    linear_log_destroy(&all);
    buf_destroy(&why);
}

static void run_round(uint64_t seed)
{
    static struct round r;

    r = (struct round){.random = seed};
    draw_settings(&r);
    for (uint16_t i = 0; i < PLAYERS; i++) {
        r.witnesses[i] = (struct witness){.index = i,
                                          .n = PLAYERS,
                                          .random = seed + i + 1,
                                          .kinds = kinds_of(&r)};
    }
    run_epochs(&r);
    judge(&r, seed);
    for (size_t i = 0; i < PLAYERS; i++) {
        witness_destroy(&r.witnesses[i]);
    }
    daemon_remove(&r.daemon);
}

int main(int argc, char **argv)
{
    const unsigned n_rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
    const uint64_t seed =
        argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)linear_now_ns();
    const int64_t end_us = stress_end_us();
    unsigned n = 0;

    printf("seed %" PRIu64 "\n", seed);
    fflush(stdout);
    do {
        run_round(seed + 1000 * n++);
    } while (n_rounds > 0 ? n < n_rounds : clock_real_us() < end_us);
    printf("%u rounds, %" PRIu64 " kills, %" PRIu64 " operations, %" PRIu64
           " errors of the store\n",
           n, n_kills, n_operations, n_store_errors);
    return 0;
}
