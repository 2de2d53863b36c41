/* SPDX-License-Identifier: MIT */
/*
 * A store that dies at any write or sync of its disk has, when it is opened
 * again, everything that it acknowledged: logged, in the table, in between.
 *
 * The writer of the test lives in a child process and notes in shared memory
 * what it has begun and what was acknowledged.  Its values are versions that
 * grow; so what is found must lie between the two.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/attr.h"
#include "common/log.h"
#include "tests/support/faulty_vfs.h"
#include "tests/support/store_calls.h"

#define KEYS 6
#define ROUNDS 24
#define VERSIONS (ROUNDS * KEYS * 2 + 1)
#define CRASHED 77

/* Survives the child. */
struct notes {
    _Atomic int begun[KEYS];
    _Atomic int acknowledged[KEYS];
    bool deletes[VERSIONS];
    int with[VERSIONS]; /* The other key of its group, or -1. */
};

static struct notes *notes;
static struct store_bed bed;

static const char *const names[KEYS] = {"a", "b", "c", "d", "e", "f"};

/* ---- the child ---- */

struct step {
    struct store_write write;
    struct waitgroup acknowledged;
    bool was_logged;
    int key;
    int version;
    char value[16];
};

static void acknowledge(struct step *s)
{
    notes->acknowledged[s->key] = s->version;
    wg_done(&s->acknowledged);
}

static bool on_logged(struct store_write *write)
{
    struct step *s = container_of(write, struct step, write);

    s->was_logged = true;
    acknowledge(s);
    return true;
}

static void on_done(struct store_write *write, enum err err,
                    struct slice detail)
{
    struct step *s = container_of(write, struct step, write);

    (void)err;
    (void)detail;
    if (!s->was_logged) {
        acknowledge(s);
    }
}

static void init_step(struct step *s, int key, int version, bool deletes)
{
    *s = (struct step){.key = key, .version = version};
    (void)snprintf(s->value, sizeof(s->value), "%d", version);
    wg_init(&s->acknowledged);
    wg_add(&s->acknowledged, 1);
    s->write = (struct store_write){.op = deletes ? STORE_DELETE_PLAIN
                                                  : STORE_PUT_PLAIN,
                                    .key = slice_from_string(names[key]),
                                    .value = slice_from_string(s->value),
                                    .logged = on_logged,
                                    .done = on_done};
    notes->deletes[version] = deletes;
    notes->with[version] = -1;
    notes->begun[key] = version;
}

static void start(struct store_write *write)
{
    if (store_write_start(bed.store, write) != ERR_OK) {
        _exit(1);
    }
}

/* Two steps as one group, which acknowledges both. */
struct pair {
    struct store_write group;
    struct store_write *members[2];
    struct step *steps;
    bool was_logged;
};

static bool on_pair_logged(struct store_write *write)
{
    struct pair *p = container_of(write, struct pair, group);

    p->was_logged = true;
    acknowledge(&p->steps[0]);
    acknowledge(&p->steps[1]);
    return true;
}

static void on_pair_done(struct store_write *write, enum err err,
                         struct slice detail)
{
    struct pair *p = container_of(write, struct pair, group);

    (void)err;
    (void)detail;
    if (!p->was_logged) {
        acknowledge(&p->steps[0]);
        acknowledge(&p->steps[1]);
    }
}

static void start_pair(struct pair *p, struct step *steps)
{
    *p = (struct pair){.members = {&steps[0].write, &steps[1].write},
                       .steps = steps};
    p->group = (struct store_write){.op = STORE_GROUP,
                                    .group = p->members,
                                    .n_group = 2,
                                    .logged = on_pair_logged,
                                    .done = on_pair_done};
    notes->with[steps[0].version] = steps[1].key;
    notes->with[steps[1].version] = steps[0].key;
    start(&p->group);
}

/* One write of each key, of all kinds; the last two are a group. */
static void make_round(struct step steps[KEYS], struct pair *pair, int round)
{
    for (int key = 0; key < KEYS; key++) {
        struct step *s = &steps[key];
        const bool in_pair = key >= KEYS - 2;
        init_step(s, key, round * KEYS + key + 1,
                  !in_pair && (round + key) % 5 == 4);
        if ((round + key) % 3 == 2) {
            s->write.logged = NULL; /* Past the log, … */
            s->write.deferred = !in_pair && key % 2 == 0;
        }
        if (!in_pair) {
            start(&s->write);
        }
    }
    start_pair(pair, &steps[KEYS - 2]);
    if (round % 5 == 4) { /* … which a walk has applied. */
        if (count_keys(bed.store) < 0) {
            _exit(1);
        }
    }
    for (int key = 0; key < KEYS; key++) {
        wg_wait(&steps[key].acknowledged);
    }
}

/* Writes until the disk kills it. */
static _Noreturn void write_all(int n_calls)
{
    static struct step steps[ROUNDS][KEYS];
    static struct pair pairs[ROUNDS];

    store_bed_set(&bed, "behind-interval", "1ms");
    if (store_bed_open_sqlite(&bed) != ERR_OK) {
        _exit(1);
    }
    faulty_vfs_crash(n_calls, CRASHED);
    for (int round = 0; round < ROUNDS; round++) {
        make_round(steps[round], &pairs[round], round);
    }
    store_bed_close(&bed);
    _exit(0);
}

/* ---- the parent ---- */

/* The version of 'key' in the table; 0: there is none. */
static int find(int key)
{
    struct asked a;
    int version = 0;

    ask(bed.store, &a, names[key]);
    asked_wait(&a);
    assert_int_equal(a.err, ERR_OK);
    if (a.n_rows > 0) {
        version = atoi(buf_string(&a.row));
    }
    asked_destroy(&a);
    return version;
}

static void assert_between(int key, int found)
{
    const int from = notes->acknowledged[key];
    const int to = notes->begun[key];
    bool possible = found == 0 ? from == 0 : found >= from && found <= to;

    for (int v = from; found == 0 && v > 0 && v <= to && !possible; v++) {
        possible = notes->deletes[v] && v % KEYS == (key + 1) % KEYS;
    }
    if (!possible) {
        print_error("key %s: found %d, acknowledged %d, begun %d\n", names[key],
                    found, from, to);
    }
    assert_true(possible);
}

static void assert_kept(void)
{
    int found[KEYS];

    assert_int_equal(store_bed_open_sqlite(&bed), ERR_OK);
    for (int key = 0; key < KEYS; key++) {
        found[key] = find(key);
        assert_between(key, found[key]);
    }
    /* Of a group all or nothing: they are written by groups only. */
    assert_true(found[KEYS - 1] == 0 ? found[KEYS - 2] == 0
                                     : found[KEYS - 2] == found[KEYS - 1] - 1);
    store_bed_close(&bed);
}

static void test_nothing_acknowledged_is_lost_by_a_crash(void **state)
{
    int status = 0;
    int n_crashes = 0;

    (void)state;
    for (int n = 1;; n += 1 + n / 16) {
        memset(notes, 0, sizeof(*notes));
        store_bed_init(&bed);
        (void)store_bed_path(&bed);
        assert_int_equal(store_bed_open_sqlite(&bed), ERR_OK);
        store_bed_close(&bed);
        timers_stop(bed.timers); /* No thread when the process forks. */

        const pid_t child = fork();
        if (child == 0) {
            timers_free(bed.timers);
            if (timers_start(&bed.timers) != ERR_OK) {
                _exit(1);
            }
            write_all(n);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        timers_free(bed.timers);
        assert_int_equal(timers_start(&bed.timers), ERR_OK);
        assert_kept();
        store_bed_destroy(&bed);
        if (WEXITSTATUS(status) != CRASHED) {
            break;
        }
        n_crashes++;
    }

    assert_int_equal(WEXITSTATUS(status), 0);
    assert_true(n_crashes > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_acknowledged_is_lost_by_a_crash),
    };

    log_init();
    log_set_level(LOG_LEVEL_ERROR);
    faulty_vfs_install();
    notes = mmap(NULL, sizeof(*notes), PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return notes == MAP_FAILED ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
