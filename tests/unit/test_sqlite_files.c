/* SPDX-License-Identifier: MIT */
#include "server/store/sqlite_files.h"

#include "common/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static char directory[64];
static char path[96];
static struct sqlite_files files;

static const char *beside(const char *suffix)
{
    static char name[128];

    snprintf(name, sizeof name, "%s%s", path, suffix);
    return name;
}

static void append_to(const char *name)
{
    FILE *file = fopen(name, "ab");

    assert_non_null(file);
    assert_int_equal(fputc('x', file), 'x');
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    struct buf reason = {0};

    (void)state;
    snprintf(directory, sizeof directory, "%s/bookd-files-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/books.db", directory);
    append_to(path);
    append_to(beside("-wal"));
    append_to(beside("-shm"));
    sqlite_files_init(&files, path, &reason);
    sqlite_files_follow(&files, -1);
    assert_int_equal(reason.size, 0);
    buf_destroy(&reason);
    (void)sqlite_files_stir(&files);
    return 0;
}

static int tear_down(void **state)
{
    char command[96];

    (void)state;
    sqlite_files_destroy(&files);
    snprintf(command, sizeof command, "rm -rf '%s'", directory);
    return system(command);
}

static void test_each_file_stirs_for_itself(void **state)
{
    (void)state;
    append_to(beside("-wal"));
    struct sqlite_stir stir = sqlite_files_stir(&files);
    assert_true(stir.log && !stir.database && !stir.names);

    append_to(path);
    stir = sqlite_files_stir(&files);
    assert_true(!stir.log && stir.database && !stir.names);

    append_to(beside("-shm"));
    stir = sqlite_files_stir(&files);
    assert_true(!stir.log && !stir.database && !stir.names);
}

static void test_a_name_that_comes_or_goes_stirs(void **state)
{
    (void)state;
    append_to(beside(".other"));
    assert_true(sqlite_files_stir(&files).names);
    append_to(beside(".other")); /* What others write there does not. */
    assert_false(sqlite_files_stir(&files).names);
    assert_int_equal(unlink(beside(".other")), 0);
    assert_true(sqlite_files_stir(&files).names);
}

static void test_many_events_are_all_taken(void **state)
{
    char name[32];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, ".file-%d", i);
        append_to(beside(name));
    }
    append_to(beside("-wal"));
    const struct sqlite_stir stir = sqlite_files_stir(&files);

    assert_true(stir.names);
    assert_true(stir.log);
    assert_false(sqlite_files_stir(&files).names);
}

/* More names come and go than the system keeps events. */
static void overflow(void)
{
    FILE *limit = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    char from[128];
    int n = 0;

    assert_non_null(limit);
    assert_int_equal(fscanf(limit, "%d", &n), 1);
    fclose(limit);
    append_to(beside(".from"));
    snprintf(from, sizeof from, "%s", beside(".from"));
    for (int i = 0; i < n; i += 4) { /* Two events each. */
        assert_int_equal(rename(from, beside(".to")), 0);
        assert_int_equal(rename(beside(".to"), from), 0);
    }
}

static void test_lost_events_do_not_mean_that_the_database_stirred(void **state)
{
    (void)state;
    overflow();
    struct sqlite_stir stir = sqlite_files_stir(&files);
    assert_true(stir.log && stir.names);
    assert_false(stir.database);

    overflow();
    append_to(path); /* Nobody tells. */
    stir = sqlite_files_stir(&files);
    assert_true(stir.database);
    assert_false(sqlite_files_stir(&files).database);
}

/* The watches that the system keeps for us. */
static int count_watches(void)
{
    char name[64];
    char line[256];
    int n = 0;

    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", files.inotify);
    FILE *info = fopen(name, "r");
    assert_non_null(info);
    while (fgets(line, sizeof line, info) != NULL) {
        n += strncmp(line, "inotify wd:", 11) == 0 ? 1 : 0;
    }
    fclose(info);
    return n;
}

static void test_a_file_that_moved_away_is_not_watched_any_more(void **state)
{
    char old[128];

    (void)state;
    assert_int_equal(count_watches(), 3);
    snprintf(old, sizeof old, "%s", beside(".old"));
    assert_int_equal(rename(path, old), 0);
    append_to(path);
    sqlite_files_follow(&files, -1);

    assert_int_equal(count_watches(), 3);
    (void)sqlite_files_stir(&files);
    append_to(old);
    assert_false(sqlite_files_stir(&files).database);
    append_to(path);
    assert_true(sqlite_files_stir(&files).database);
}

static void test_the_file_that_is_open_is_the_one_to_be_there(void **state)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);

    (void)state;
    assert_true(fd >= 0);
    append_to(beside(".new"));
    assert_int_equal(rename(beside(".new"), path), 0);
    sqlite_files_follow(&files, fd);
    assert_int_equal(sqlite_files_fate(&files), FILES_REPLACED);
    assert_true(sqlite_files_is_another(&files));
    assert_int_equal(close(fd), 0);
}

static void set_age(int64_t s)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {0}};

    assert_int_equal(clock_gettime(CLOCK_REALTIME, &times[1]), 0);
    times[1].tv_sec -= s;
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void test_a_file_is_quiet_for_a_while_after_a_write(void **state)
{
    const int64_t hour_us = INT64_C(3600000000);

    (void)state;
    append_to(path);
    assert_false(sqlite_files_is_quiet(&files, hour_us));
    set_age(3601);
    assert_true(sqlite_files_is_quiet(&files, hour_us));
    set_age(-3601); /* Clocks are set. */
    assert_true(sqlite_files_is_quiet(&files, hour_us));
    assert_int_equal(unlink(path), 0);
    assert_true(sqlite_files_is_quiet(&files, hour_us));
}

static void test_another_file_in_its_place_is_noticed(void **state)
{
    (void)state;
    assert_int_equal(sqlite_files_fate(&files), FILES_SAME);
    append_to(beside(".new"));
    assert_int_equal(rename(beside(".new"), path), 0);
    assert_int_equal(sqlite_files_fate(&files), FILES_REPLACED);
    assert_true(sqlite_files_is_another(&files));

    sqlite_files_follow(&files, -1);
    assert_int_equal(sqlite_files_fate(&files), FILES_SAME);
    (void)sqlite_files_stir(&files);
    append_to(path);
    assert_true(sqlite_files_stir(&files).database); /* The new one. */
}

static void test_no_file_is_not_another(void **state)
{
    char old[128];

    (void)state;
    snprintf(old, sizeof old, "%s", beside(".old"));
    assert_int_equal(rename(path, old), 0);
    assert_int_equal(sqlite_files_fate(&files), FILES_REPLACED);
    assert_false(sqlite_files_is_another(&files));

    assert_int_equal(rename(old, path), 0);
    assert_int_equal(sqlite_files_fate(&files), FILES_SAME);
}

static void test_a_log_that_is_gone_or_another_is_noticed(void **state)
{
    (void)state;
    assert_int_equal(unlink(beside("-wal")), 0);
    assert_int_equal(sqlite_files_fate(&files), FILES_LOG_LOST);
    append_to(beside("-wal"));
    sqlite_files_follow(&files, -1);
    assert_int_equal(sqlite_files_fate(&files), FILES_SAME);
    assert_int_equal(unlink(beside("-shm")), 0);
    assert_int_equal(sqlite_files_fate(&files), FILES_LOG_LOST);
}

static void test_only_the_log_that_was_known_is_removed(void **state)
{
    struct stat status;

    (void)state;
    append_to(beside(".log"));
    char log[128];
    snprintf(log, sizeof log, "%s", beside("-wal"));
    assert_int_equal(rename(beside(".log"), log), 0);
    sqlite_files_remove_log(&files);

    assert_int_equal(stat(beside("-wal"), &status), 0); /* Another's. */
    assert_int_equal(stat(beside("-shm"), &status), -1);
}

static void test_a_link_leads_to_the_files(void **state)
{
    struct sqlite_files linked;
    struct buf reason = {0};
    char link[128];

    (void)state;
    snprintf(link, sizeof link, "%s/link.db", directory);
    assert_int_equal(symlink(path, link), 0);
    sqlite_files_init(&linked, link, &reason);
    sqlite_files_follow(&linked, -1);
    (void)sqlite_files_stir(&linked);
    append_to(beside("-wal"));
    assert_true(sqlite_files_stir(&linked).log);
    assert_int_equal(sqlite_files_fate(&linked), FILES_SAME);

    append_to(beside(".new"));
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink(beside(".new"), link), 0);
    assert_int_equal(sqlite_files_fate(&linked), FILES_REPLACED);
    /* The log stays with the one that is still there. */
    assert_false(sqlite_files_is_another(&linked));
    sqlite_files_destroy(&linked);
    buf_destroy(&reason);
}

static void test_without_inotify_all_but_waking_works(void **state)
{
    struct sqlite_files blind;
    struct buf reason = {0};
    struct rlimit limit, none;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    sqlite_files_init(&blind, path, &reason);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    sqlite_files_follow(&blind, -1);

    assert_int_equal(blind.inotify, -1);
    assert_true(reason.size > 0);
    append_to(beside("-wal"));
    assert_false(sqlite_files_stir(&blind).log);
    assert_false(sqlite_files_stir(&blind).database);
    append_to(path); /* Larger, whatever the clock says. */
    assert_true(sqlite_files_stir(&blind).database);
    assert_false(sqlite_files_stir(&blind).database);
    assert_int_equal(sqlite_files_fate(&blind), FILES_SAME);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(sqlite_files_fate(&blind), FILES_REPLACED);
    sqlite_files_destroy(&blind);
    buf_destroy(&reason);
}

static void test_when_the_log_was_written_to_is_known(void **state)
{
    (void)state;
    const int64_t before_us = clock_real_us();
    append_to(beside("-wal"));
    const int64_t written_us = sqlite_files_written_us(&files);

    /* The system's clock for files ticks, a hundred times a second at least. */
    assert_true(written_us >= before_us - 20000);
    assert_true(written_us <= clock_real_us());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_each_file_stirs_for_itself),
        TEST(test_a_name_that_comes_or_goes_stirs),
        TEST(test_many_events_are_all_taken),
        TEST(test_lost_events_do_not_mean_that_the_database_stirred),
        TEST(test_a_file_that_moved_away_is_not_watched_any_more),
        TEST(test_the_file_that_is_open_is_the_one_to_be_there),
        TEST(test_a_file_is_quiet_for_a_while_after_a_write),
        TEST(test_another_file_in_its_place_is_noticed),
        TEST(test_no_file_is_not_another),
        TEST(test_a_log_that_is_gone_or_another_is_noticed),
        TEST(test_only_the_log_that_was_known_is_removed),
        TEST(test_a_link_leads_to_the_files),
        TEST(test_without_inotify_all_but_waking_works),
        TEST(test_when_the_log_was_written_to_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
