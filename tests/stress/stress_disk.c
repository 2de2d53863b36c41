/* SPDX-License-Identifier: MIT */
/*
 * A store over SQLite on a disk that fails, and on one that loses power.
 *
 *     stress_disk [all [SEED]]       at each call, or at ever fewer of them
 *
 * The same few writes and reads, transactions and a checkpoint among them, are
 * made again and again.  First each call to the disk fails in its turn, once,
 * and then from there on.  Then the power is cut at each write and each sync,
 * and what was not synced is lost in part.
 *
 * The process never dies of it; what was acknowledged is there when the store
 * is opened again on a good disk, and no read ever tells of "no such key" that
 * is there, or of an old value; transactions are whole; integrity_check is ok.
 * A write that was answered with an error may be there or not.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "common/attr.h"
#include "common/hash.h"
#include "tests/support/faulty_vfs.h"
#include "tests/support/linear.h"
#include "tests/support/store_calls.h"
#include "tests/support/stress.h"

#define PADDING 3000 /* So that a few writes fill pages. */
#define ROUNDS 3
#define OPS_MAX 512
#define CRASHED 77

/* A key, and one written only together with another, as one register. */
static const char *const keys[] = {"one", "book:20", "pair", "mixed"};
static const char *const partners[] = {NULL, NULL, "pair:b", "book:21"};
#define KEYS ((uint32_t)ARRAY_LEN(keys))

/* What happened, where a process that dies leaves it to its parent. */
struct story {
    struct linear_op ops[OPS_MAX];
    size_t n;
    int64_t now; /* Counts operations. */
    uint64_t n_values;
    bool opened;
};
static struct story *story;

static bool tries_all;

static struct linear_op *tell(uint32_t key, enum linear_kind kind,
                              uint64_t value)
{
    struct linear_op *op = &story->ops[story->n];

    CHECK(story->n < OPS_MAX - 1);
    *op = (struct linear_op){.key = key,
                             .kind = kind,
                             .value = value,
                             .unknown = kind != LINEAR_READ,
                             .begin_ns = ++story->now,
                             .end_ns = LINEAR_NEVER};
    return op;
}

/* ---- writes ---- */

static void make_value(struct buf *out, const char *key, uint64_t number)
{
    const bool record = strncmp(key, "book:", 5) == 0;

    buf_printf(out, record ? "{\"title\":\"%" PRIu64 ":" : "%" PRIu64 ":",
               number);
    memset(buf_reserve(out, PADDING), 'x', PADDING);
    buf_commit(out, PADDING);
    buf_append_string(out, record ? "\"}" : "");
}

static void init_write(struct written *w, const char *key, uint64_t number)
{
    struct buf value = {0};

    if (number == LINEAR_ABSENT) {
        written_init(w, key, NULL);
    } else {
        make_value(&value, key, number);
        written_init(w, key, buf_string(&value));
    }
    buf_destroy(&value);
}

/* Of both keys of a pair, in a transaction. */
static enum err write_pair(struct store *store, uint32_t key, uint64_t number)
{
    struct written first, second, group;
    struct store_write *const members[] = {&first.write, &second.write};

    init_write(&first, keys[key], number);
    init_write(&second, partners[key], number);
    written_init(&group, "group", "");
    group.write.op = STORE_GROUP;
    group.write.row = NULL;
    group.write.group = members;
    group.write.n_group = ARRAY_LEN(members);
    enum err err = written_start(store, &group);
    written_wait(&group);
    err = err == ERR_OK ? group.err : err;
    written_destroy(&group);
    written_destroy(&second);
    written_destroy(&first);
    return err;
}

static enum err write_one(struct store *store, uint32_t key, uint64_t number)
{
    struct written w;

    init_write(&w, keys[key], number);
    enum err err = written_start(store, &w);
    written_wait(&w);
    err = err == ERR_OK ? w.err : err;
    written_destroy(&w);
    return err;
}

static void write_key(struct store *store, uint32_t key, bool delete)
{
    const uint64_t number = delete ? LINEAR_ABSENT : ++story->n_values;
    struct linear_op *op =
        tell(key, delete ? LINEAR_DELETE : LINEAR_WRITE, number);

    story->n++; /* It may be the last thing this process does. */
    const enum err err = partners[key] != NULL ? write_pair(store, key, number)
                                               : write_one(store, key, number);
    if (err == ERR_OK) {
        op->end_ns = ++story->now;
        op->unknown = false;
    }
}

/* ---- reads ---- */

/* The number in "20|7:xxx|NULL|NULL" or "7:xxx". */
static uint64_t number_of(struct asked *a)
{
    const char *row = buf_string(&a->row);
    const char *bar = strchr(row, '|');

    return strtoull(bar == NULL ? row : bar + 1, NULL, 10);
}

/* False if the store failed, as it may. */
static bool read_number(struct store *store, const char *key, uint64_t *number)
{
    struct asked a;
    const enum store_start start = ask(store, &a, key);

    asked_wait(&a);
    const bool good =
        (start == STORE_STARTED || start == STORE_QUEUED) && a.err == ERR_OK;
    if (good) {
        *number = a.n_rows > 0 ? number_of(&a) : LINEAR_ABSENT;
    }
    asked_destroy(&a);
    return good;
}

static void read_key(struct store *store, uint32_t key)
{
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? keys[key] : partners[key];
        struct linear_op *op = tell(key, LINEAR_READ, 0);
        if (name != NULL && read_number(store, name, &op->value)) {
            op->end_ns = ++story->now;
            story->n++;
        }
    }
}

/* ---- the scene ---- */

/* Makes anew all of a bed but the path it may have. */
static void prepare(struct store_bed *bed)
{
    const struct store_bed before = *bed;

    store_bed_init(bed);
    bed->path = before.path;
    memcpy(bed->directory, before.directory, sizeof bed->directory);
    store_bed_set(bed, "store-timeout", "20ms");
    store_bed_set(bed, "breaker-failures", "0");
    store_bed_set(bed, "store-threads", "1");
    (void)store_bed_path(bed);
}

static void play(struct store_bed *bed)
{
    if (store_bed_open_sqlite(bed) != ERR_OK) {
        CHECK(bed->detail.size > 0); /* It says why. */
        return;
    }
    story->opened = true;
    for (int round = 0; round < ROUNDS; round++) {
        for (uint32_t key = 0; key < KEYS; key++) {
            write_key(bed->store, key, round == 1 && partners[key] == NULL);
            read_key(bed->store, key);
        }
    }
    store_bed_close(bed);
}

static int see_ok(void *arg, int n, char **columns, char **names)
{
    (void)arg;
    (void)n;
    (void)names;
    if (strcmp(columns[0], "ok") != 0) {
        log_fatal("integrity_check: %s", columns[0]);
    }
    return 0;
}

/* On a good disk, everything is as it should be. */
static void check(struct store_bed *bed, const char *what, int n)
{
    static const struct linear_rules strict = {0};
    sqlite3 *db;
    struct buf why = {0};

    if (store_bed_open_sqlite(bed) != ERR_OK) {
        log_fatal("%s %d: the store does not open again: %s", what, n,
                  buf_string(&bed->detail));
    }
    for (uint32_t key = 0; key < KEYS; key++) {
        const size_t before = story->n;
        read_key(bed->store, key);
        CHECK(story->n == before + (partners[key] == NULL ? 1 : 2));
    }
    store_bed_close(bed);
    CHECK(sqlite3_open(store_bed_path(bed), &db) == SQLITE_OK);
    CHECK(sqlite3_exec(db, "PRAGMA integrity_check", see_ok, NULL, NULL) ==
          SQLITE_OK);
    CHECK(sqlite3_close(db) == SQLITE_OK);

    for (uint32_t key = 0; key < KEYS; key++) {
        struct linear_log log = {0};
        for (size_t i = 0; i < story->n; i++) {
            if (story->ops[i].key == key) {
                *linear_log_add(&log) = story->ops[i];
            }
        }
        if (!linear_check(log.ops, log.n, &strict, &why)) {
            log_fatal("%s %d: %s: %s", what, n, keys[key], buf_string(&why));
        }
        linear_log_destroy(&log);
    }
    buf_destroy(&why);
}

/* ---- failures ---- */

/* The first calls, at which a store is made and opened, are the same in each
 * scene; of the others, unless it is to be all, a part. */
static int next_call(int n)
{
    return tries_all || n < 8 ? n + 1 : n + 1 + n / 8;
}

static const struct {
    const char *name;
    enum faulty_call call;
    int code;
    bool passes; /* It is waited for, so it had better be over soon. */
} faults[] = {
    {"full at write", FAULTY_WRITE, SQLITE_FULL, false},
    {"error at write", FAULTY_WRITE, SQLITE_IOERR_WRITE, false},
    {"error at sync", FAULTY_SYNC, SQLITE_IOERR_FSYNC, false},
    {"error at read", FAULTY_READ, SQLITE_IOERR_READ, false},
    {"error at truncate", FAULTY_TRUNCATE, SQLITE_IOERR_TRUNCATE, false},
    {"error at lock", FAULTY_LOCK, SQLITE_IOERR_LOCK, false},
    {"busy at lock", FAULTY_LOCK, SQLITE_BUSY, true},
    {"no shared memory", FAULTY_SHM_MAP, SQLITE_IOERR_SHMMAP, false},
    {"error at shm lock", FAULTY_SHM_LOCK, SQLITE_IOERR_SHMLOCK, false},
    {"busy at shm lock", FAULTY_SHM_LOCK, SQLITE_BUSY, true},
    {"cannot open", FAULTY_OPEN, SQLITE_CANTOPEN, false},
};

/* One scene with the n-th call failing; false if there are not so many. */
static bool fail_at(size_t fault, int n, bool for_ever)
{
    struct store_bed bed = {0};

    memset(story, 0, sizeof *story);
    prepare(&bed);
    faulty_vfs_fail_at(faults[fault].call, n, for_ever, faults[fault].code);
    play(&bed);
    const bool happened = faulty_vfs_calls(faults[fault].call) >= n;
    faulty_vfs_forgive();
    check(&bed, faults[fault].name, n);
    store_bed_destroy(&bed);
    return happened;
}

static void fail_everywhere(void)
{
    unsigned n_scenes = 0;

    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        bool happened = true;
        for (int n = 1; happened; n = next_call(n)) {
            happened = fail_at(i, n, false);
            if (!faults[i].passes) {
                happened = fail_at(i, n, true) && happened;
            }
            n_scenes++;
        }
    }
    printf("%u scenes with a failing disk\n", n_scenes);
}

/* ---- power ---- */

/* False if the scene ended before there was an n-th write or sync. */
static bool cut_power_at(int n, uint64_t seed)
{
    struct store_bed bed = {0};
    int status;

    memset(story, 0, sizeof *story);
    (void)store_bed_path(&bed);
    fflush(stdout);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        prepare(&bed);
        faulty_vfs_forget_unsynced(seed + (uint64_t)n);
        faulty_vfs_crash(n, CRASHED);
        play(&bed);
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == CRASHED || WEXITSTATUS(status) == 0);
    prepare(&bed);
    check(&bed, "power cut at write", n);
    store_bed_destroy(&bed);
    return WEXITSTATUS(status) == CRASHED;
}

static void cut_power_everywhere(uint64_t seed)
{
    int n_cuts = 0;

    for (int n = 1; cut_power_at(n, seed); n = next_call(n)) {
        n_cuts++;
    }
    printf("%d power cuts\n", n_cuts);
}

int main(int argc, char **argv)
{
    const uint64_t seed =
        argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)linear_now_ns();

    printf("seed %" PRIu64 "\n", seed);
    fflush(stdout);
    tries_all = argc > 1 && strcmp(argv[1], "all") == 0;
    hash_init();
    story = mmap(NULL, sizeof *story, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(story != MAP_FAILED);
    /* What is said of each failure would fill the screen. */
    log_set_level((enum log_level)(LOG_LEVEL_ERROR + 1));
    faulty_vfs_install();
    cut_power_everywhere(seed);
    fail_everywhere();
    return 0;
}
