/* SPDX-License-Identifier: MIT */
/*
 * The watcher over an engine that finds what the test tells it to.
 */
#include "server/store/watcher.h"

#include "common/chan.h"
#include "common/clock.h"
#include "common/lock.h"
#include "common/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#define PATIENCE_US 30000000
#define NOTES_MAX 64

/* ---- what is told, noted in order ---- */

static struct mutex lock;
static struct cond noted;
static char notes[NOTES_MAX][32];
static size_t n_notes;
static int64_t lag_us;

static void note(const char *text)
{
    mutex_lock(&lock);
    if (n_notes < NOTES_MAX) {
        snprintf(notes[n_notes++], sizeof notes[0], "%s", text);
    }
    cond_broadcast(&noted);
    mutex_unlock(&lock);
}

static void changed(void *arg, struct slice key, enum store_change change)
{
    char text[32];

    (void)arg;
    snprintf(text, sizeof text, "%s %.*s",
             change == STORE_ROW_DELETED ? "del" : "set", (int)key.size,
             key.data);
    note(text);
}

static void changed_all(void *arg, const struct mapping *mapping)
{
    char text[32];

    (void)arg;
    snprintf(text, sizeof text, "all %s",
             mapping != NULL ? mapping->table : "of all");
    note(text);
}

static void lag(void *arg, int64_t us)
{
    (void)arg;
    mutex_lock(&lock);
    lag_us = us;
    mutex_unlock(&lock);
    note("lag");
}

static void ask(void *arg)
{
    (void)arg;
    note("ask");
}

static size_t n_seen;

/* Waits for the next note, which must be 'text'. */
static void assert_next(const char *text)
{
    const int64_t deadline_us = clock_real_us() + PATIENCE_US;
    char found[32] = "nothing";

    mutex_lock(&lock);
    while (n_notes == n_seen && cond_wait_until(&noted, &lock, deadline_us)) {
    }
    if (n_notes > n_seen) {
        snprintf(found, sizeof found, "%s", notes[n_seen++]);
    }
    mutex_unlock(&lock);
    assert_string_equal(found, text);
}

/* ---- the engine ---- */

/* Looks that find a file that is being left, when no script is left. */
static _Atomic int n_leaving;

struct look {
    struct engine_sight sight;
    const char *keys[3]; /* That it tells of. */
    enum err err;
};

struct engine_watch {
    int unused;
};

static struct engine_watch the_watch;
static struct chan *script; /* Of struct look. */
static int descriptor;
static bool covers_plain;
static bool covers_books;
static enum err open_err;

static enum err fake_open(struct engine_database *database,
                          struct engine_watch **watchp, struct buf *detail)
{
    (void)database;
    buf_append_string(detail, open_err == ERR_OK ? "" : "as the test wanted");
    *watchp = &the_watch;
    return open_err;
}

static void fake_close(struct engine_watch *watch)
{
    assert_ptr_equal(watch, &the_watch);
}

static enum err fake_look(struct engine_watch *watch,
                          const struct store_observer *observer,
                          struct engine_sight *sight, struct buf *detail)
{
    struct look look = {.err = ERR_OK};
    uint64_t count;

    (void)watch;
    if (descriptor >= 0) {
        (void)!read(descriptor, &count, sizeof count);
    }
    if (chan_try_recv(chan_rx(script), &look) != ERR_OK) {
        look = (struct look){.sight = {.since_us = INT64_MIN}};
        look.sight.leaving = n_leaving > 0 && n_leaving-- > 0;
        look.sight.stirred = look.sight.leaving;
    }
    for (size_t i = 0; i < ARRAY_LEN(look.keys) && look.keys[i] != NULL; i++) {
        observer->changed(observer->arg, slice_from_string(look.keys[i]),
                          STORE_ROW_WRITTEN);
        look.sight.n_told++;
    }
    *sight = look.sight;
    buf_append_string(detail, look.err == ERR_OK ? "" : "as the test wanted");
    if (look.err != ERR_OK) {
        note("failed");
    }
    return look.err;
}

static int fake_descriptor(const struct engine_watch *watch)
{
    (void)watch;
    return descriptor;
}

static bool fake_covers(const struct engine_watch *watch,
                        const struct mapping *mapping)
{
    (void)watch;
    return mapping == NULL ? covers_plain : covers_books;
}

static const struct engine engine_scripted = {
    .scheme = "scripted",
    .watch_open = fake_open,
    .watch_close = fake_close,
    .watch_look = fake_look,
    .watch_descriptor = fake_descriptor,
    .watch_covers = fake_covers,
};

/* ---- the bed ---- */

static struct watcher *watcher;

/* The next look finds this. */
static void find(struct look look)
{
    if (look.sight.since_us == 0) {
        look.sight.since_us = INT64_MIN;
    }
    assert_int_equal(chan_try_send(chan_tx(script), &look), ERR_OK);
}

static void wake(void)
{
    const uint64_t one = 1;

    assert_int_equal(write(descriptor, &one, sizeof one), sizeof one);
}

static enum err open_watcher(struct buf *detail)
{
    const struct watcher_options options = {
        .engine = &engine_scripted,
        .mappings = &mappings_builtin,
        .observer = {.changed = changed,
                     .changed_all = changed_all,
                     .lag = lag},
        .ask = ask,
    };

    return watcher_open(&watcher, &options, detail);
}

static int set_up(void **state)
{
    struct buf detail = {0};

    (void)state;
    mutex_init(&lock, LOCK_LEAF, "notes");
    cond_init(&noted);
    n_notes = 0;
    n_seen = 0;
    script = chan_new(sizeof(struct look), CHAN_UNBOUNDED);
    descriptor = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    covers_plain = true;
    covers_books = true;
    open_err = ERR_OK;
    n_leaving = 0;
    const enum err err = open_watcher(&detail);
    buf_destroy(&detail);
    return err == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    watcher_close(watcher);
    watcher = NULL;
    if (descriptor >= 0) {
        close(descriptor);
    }
    chan_free(script);
    cond_destroy(&noted);
    mutex_destroy(&lock);
    return 0;
}

static void assert_state(const char *line)
{
    struct buf text = {0};

    watcher_describe(watcher, &text);
    assert_non_null(strstr(buf_string(&text), line));
    buf_destroy(&text);
}

/* ---- tests ---- */

static void test_rows_are_told_one_by_one(void **state)
{
    (void)state;
    find((struct look){.sight = {.changed = true},
                       .keys = {"book:3", "book:4"}});
    wake();

    assert_next("set book:3");
    assert_next("set book:4");
    assert_next("lag");
    assert_state("feed:ok\r\n");
}

static void test_the_lag_counts_from_when_it_can_have_been_seen(void **state)
{
    (void)state;
    find((struct look){
        .sight = {.changed = true, .since_us = clock_real_us() + 10000000},
        .keys = {"book:3"}});
    wake();
    assert_next("set book:3");
    assert_next("lag");

    mutex_lock(&lock);
    assert_int_equal(lag_us, 0); /* As late as the engine said. */
    mutex_unlock(&lock);
}

static void test_another_database_makes_all_out_of_date(void **state)
{
    (void)state;
    find((struct look){.sight = {.anew = true}});
    wake();

    assert_next("all of all");
    assert_next("lag");
}

static void test_what_is_left_is_looked_for_at_once(void **state)
{
    (void)state;
    find((struct look){.sight = {.more = true}, .keys = {"a"}});
    find((struct look){.sight = {.more = true}, .keys = {"b"}});
    find((struct look){.keys = {"c"}});
    wake();

    assert_next("set a");
    assert_next("lag");
    assert_next("set b");
    assert_next("lag");
    assert_next("set c");
    assert_next("lag");
}

static void test_who_has_too_much_to_tell_gives_up_all_copies(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        find((struct look){.sight = {.more = true}, .keys = {"a"}});
    }
    find((struct look){.keys = {"z"}});
    wake();

    for (int i = 0; i < 8; i++) {
        assert_next("set a");
        assert_next("lag");
    }
    assert_next("all books");
    assert_next("set z"); /* Told all the same, to those who listen. */
    assert_next("lag");
}

static void test_only_the_writer_knows_whose_a_commit_was(void **state)
{
    (void)state;
    covers_books = false;
    find((struct look){.sight = {.changed = true, .ask = true}});
    wake();

    assert_next("ask"); /* And nothing more: it was our own. */
    find((struct look){.sight = {.changed = true, .ask = true}});
    wake();
    assert_next("ask");
    watcher_foreign_commit(watcher);
    assert_next("all books");
    assert_next("lag");
}

static void test_what_is_surely_foreign_needs_no_question(void **state)
{
    (void)state;
    covers_books = false;
    find((struct look){.sight = {.changed = true, .foreign = true}});
    wake();

    assert_next("all books");
    assert_next("lag");
}

static void test_without_a_feed_plain_keys_are_out_of_date_too(void **state)
{
    (void)state;
    covers_books = false;
    covers_plain = false;
    watcher_foreign_commit(watcher);

    assert_next("all of all");
    assert_next("lag");
}

static void test_with_a_feed_for_all_a_foreign_commit_is_no_news(void **state)
{
    (void)state;
    watcher_foreign_commit(watcher);
    find((struct look){.keys = {"book:3"}});
    wake();

    assert_next("set book:3");
    assert_next("lag");
}

static void test_a_failure_is_shown_and_ends(void **state)
{
    (void)state;
    find((struct look){.err = ERR_STORE_DOWN});
    find((struct look){.err = ERR_STORE_DOWN});
    find((struct look){.keys = {"book:3"}});
    wake();

    assert_next("failed");
    assert_next("failed");
    assert_next("set book:3"); /* It was tried again without being woken. */
    assert_next("lag");
    find((struct look){.keys = {"book:4"}});
    wake();
    assert_next("set book:4");
    assert_state("feed:ok\r\n");
}

static void test_where_nothing_wakes_it_it_looks_by_itself(void **state)
{
    struct buf detail = {0};

    (void)state;
    watcher_close(watcher);
    close(descriptor);
    descriptor = -1;
    assert_int_equal(open_watcher(&detail), ERR_OK);
    buf_destroy(&detail);
    find((struct look){.keys = {"book:3"}});
    assert_next("set book:3");
    assert_next("lag");
    find((struct look){.keys = {"book:4"}});
    assert_next("set book:4");

    assert_state("feed:polling\r\n");
}

static void test_a_watch_that_does_not_open_says_why(void **state)
{
    struct buf detail = {0};

    (void)state;
    watcher_close(watcher);
    open_err = ERR_STORE_DOWN;
    assert_int_equal(open_watcher(&detail), ERR_STORE_DOWN);
    assert_string_equal(buf_string(&detail), "as the test wanted");

    buf_clear(&detail);
    open_err = ERR_OK;
    assert_int_equal(open_watcher(&detail), ERR_OK);
    buf_destroy(&detail);
}

static void test_nothing_is_told_after_the_stop(void **state)
{
    (void)state;
    watcher_stop(watcher);
    watcher_stop(watcher);
    find((struct look){.keys = {"book:3"}});
    wake();
    watcher_foreign_commit(watcher);

    assert_int_equal(n_notes, 0);
}

static void test_a_last_look_is_after_the_stop(void **state)
{
    (void)state;
    find((struct look){.keys = {"book:3"}});
    watcher_stop(watcher);

    assert_int_equal(n_notes, 2);
    assert_next("set book:3");
}

static void test_a_file_is_left_before_the_stop_is_done(void **state)
{
    (void)state;
    n_leaving = 100;
    watcher_stop(watcher);

    assert_int_equal(n_leaving, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rows_are_told_one_by_one),
        TEST(test_the_lag_counts_from_when_it_can_have_been_seen),
        TEST(test_another_database_makes_all_out_of_date),
        TEST(test_what_is_left_is_looked_for_at_once),
        TEST(test_who_has_too_much_to_tell_gives_up_all_copies),
        TEST(test_only_the_writer_knows_whose_a_commit_was),
        TEST(test_what_is_surely_foreign_needs_no_question),
        TEST(test_without_a_feed_plain_keys_are_out_of_date_too),
        TEST(test_with_a_feed_for_all_a_foreign_commit_is_no_news),
        TEST(test_a_failure_is_shown_and_ends),
        TEST(test_where_nothing_wakes_it_it_looks_by_itself),
        TEST(test_a_watch_that_does_not_open_says_why),
        TEST(test_nothing_is_told_after_the_stop),
        TEST(test_a_last_look_is_after_the_stop),
        TEST(test_a_file_is_left_before_the_stop_is_done),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
