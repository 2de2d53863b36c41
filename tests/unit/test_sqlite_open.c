/* SPDX-License-Identifier: MIT */
/* What bookd finds where its store file should be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "common/attr.h"
#include "common/buf.h"
#include "common/log.h"
#include "server/admin/config.h"
#include "server/store/engine.h"
#include "tests/support/faulty_vfs.h"

/* "nobody" on every Linux. */
#define NOBODY 65534

static char directory[] = "/tmp/store-open-XXXXXX";
static char path[64]; /* The store file, in 'directory'. */
static struct buf detail;

static int enter_directory(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/store-open-XXXXXX");
    if (mkdtemp(directory) == NULL) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/books.db", directory);
    return 0;
}

static int leave_directory(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
        char name[96];
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        (void)remove(name);
    }
    buf_destroy(&detail);
    return rmdir(directory);
}

static enum err open_at(const char *location)
{
    const struct engine_options options = {.location = location,
                                           .mappings = &mappings_builtin,
                                           .seed_books = true,
                                           .durability = DURABILITY_FULL};
    struct engine_database *database = NULL;

    buf_clear(&detail);
    const enum err err = engine_sqlite.open(&database, &options, &detail);
    if (err == ERR_OK) {
        engine_sqlite.close(database);
    }
    return err;
}

/* Opening 'path' fails with 'err' and says which file, and 'why'. */
static void assert_refused(enum err err, const char *why)
{
    assert_int_equal(open_at(path), err);
    assert_non_null(strstr(buf_string(&detail), path));
    if (strstr(buf_string(&detail), why) == NULL) {
        fail_msg("'%s' does not say '%s'", buf_string(&detail), why);
    }
}

static void write_file(const void *bytes, size_t size, off_t offset)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, offset), size);
    close(fd);
}

static void run_sql(const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static int64_t query(const char *sql)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    const int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

/* ---- what is used ---- */

static void test_a_file_that_is_not_there_is_created(void **state)
{
    (void)state;
    assert_int_equal(open_at(path), ERR_OK);
    assert_int_equal(query("SELECT count(*) FROM books"), 10);
    assert_int_equal(query("SELECT value FROM bookd_meta "
                           "WHERE name = 'schema_version'"),
                     3);
    assert_int_equal(query("SELECT count(*) FROM pragma_journal_mode "
                           "WHERE journal_mode = 'wal'"),
                     1);
    assert_int_equal(query("PRAGMA application_id"), 0x626f6f6b);
}

static void test_an_empty_file_is_filled(void **state)
{
    (void)state;
    write_file("", 0, 0);
    assert_int_equal(open_at(path), ERR_OK);
    assert_int_equal(query("SELECT count(*) FROM books"), 10);
}

static void test_an_empty_database_is_filled(void **state)
{
    (void)state;
    run_sql("CREATE TABLE t(x); DROP TABLE t");
    assert_int_equal(open_at(path), ERR_OK);
    assert_int_equal(query("SELECT count(*) FROM books"), 10);
}

static void test_opening_again_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(open_at(path), ERR_OK);
    run_sql("DELETE FROM books WHERE id > 3");
    assert_int_equal(open_at(path), ERR_OK);
    assert_int_equal(query("SELECT count(*) FROM books"), 3);
}

static void test_names_that_mean_more_to_sqlite_are_file_names(void **state)
{
    static const char *const names[] = {":memory:", "file:x?mode=memory"};
    char old[256];

    (void)state;
    assert_non_null(getcwd(old, sizeof(old)));
    assert_int_equal(chdir(directory), 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        assert_int_equal(open_at(names[i]), ERR_OK);
        assert_int_equal(unlink(names[i]), 0);
    }
    assert_int_equal(chdir(old), 0);
}

/* ---- what is refused ---- */

static void test_no_name_is_invalid(void **state)
{
    (void)state;
    assert_int_equal(open_at(""), ERR_INVALID);
    assert_non_null(strstr(buf_string(&detail), "sqlite:PATH"));
}

static void test_a_directory_that_is_not_there_is_named(void **state)
{
    char location[96];

    (void)state;
    snprintf(location, sizeof(location), "%s/none/books.db", directory);
    assert_int_equal(open_at(location), ERR_NOT_FOUND);
    assert_non_null(strstr(buf_string(&detail), "/none'"));
    assert_non_null(strstr(buf_string(&detail), "create it"));
}

static void test_a_file_in_place_of_the_directory_is_not_found(void **state)
{
    char location[96];

    (void)state;
    write_file("", 0, 0);
    snprintf(location, sizeof(location), "%s/books.db", path);
    assert_int_equal(open_at(location), ERR_NOT_FOUND);
}

static void test_what_is_no_file_is_invalid(void **state)
{
    (void)state;
    assert_int_equal(open_at(directory), ERR_INVALID);
    assert_non_null(strstr(buf_string(&detail), "is a directory"));
    assert_int_equal(open_at("/dev/null"), ERR_INVALID);
    assert_non_null(strstr(buf_string(&detail), "not a file"));
}

static void test_text_is_no_database(void **state)
{
    static const char text[] = "id,title\n1,The Hobbit\n";
    char much[8192];

    (void)state;
    write_file(text, sizeof(text) - 1, 0);
    assert_refused(ERR_STORE_FOREIGN, "not a database");
    memset(much, 'x', sizeof(much));
    write_file(much, sizeof(much), 0);
    assert_refused(ERR_STORE_FOREIGN, "not a database");
    assert_non_null(strstr(buf_string(&detail), "name another file"));
}

static void test_a_database_of_another_program_is_left_alone(void **state)
{
    (void)state;
    run_sql("CREATE TABLE books(isbn TEXT)");
    assert_refused(ERR_INVALID, "PRAGMA journal_mode = WAL");
    run_sql("PRAGMA journal_mode = WAL");
    assert_int_equal(open_at(path), ERR_OK);
    assert_int_equal(query("SELECT count(*) FROM sqlite_schema"), 1);
    run_sql("CREATE TABLE bookd_meta(other TEXT)");
    assert_refused(ERR_STORE_FOREIGN, "no such column");
}

static void test_another_version_is_named(void **state)
{
    (void)state;
    assert_int_equal(open_at(path), ERR_OK);
    run_sql("UPDATE bookd_meta SET value = '4' WHERE name = 'schema_version'");
    assert_refused(ERR_STORE_VERSION, "schema version 4");
}

static void test_a_damaged_schema_is_corrupt(void **state)
{
    char noise[3000];

    (void)state;
    assert_int_equal(open_at(path), ERR_OK);
    memset(noise, 0xa5, sizeof(noise));
    write_file(noise, sizeof(noise), 100); /* Behind the header. */
    assert_refused(ERR_STORE_CORRUPT, "malformed");
    assert_non_null(strstr(buf_string(&detail), "backup"));
}

static void
test_a_table_that_is_missing_is_found_by_reader_and_writer(void **state)
{
    const struct engine_options options = {.location = path,
                                           .mappings = &mappings_builtin};
    struct engine_database *database = NULL;
    struct engine_reader *reader = NULL;
    struct engine_writer *writer = NULL;

    (void)state;
    assert_int_equal(open_at(path), ERR_OK);
    run_sql("DROP TABLE books");
    assert_int_equal(engine_sqlite.open(&database, &options, &detail), ERR_OK);
    assert_int_equal(engine_sqlite.reader_open(database, &reader, &detail),
                     ERR_STORE_FOREIGN);
    assert_non_null(strstr(buf_string(&detail), "no such table: books"));
    buf_clear(&detail);
    assert_int_equal(engine_sqlite.writer_open(database, &writer, &detail),
                     ERR_STORE_FOREIGN);
    assert_non_null(strstr(buf_string(&detail), path));
    engine_sqlite.close(database);
}

static void test_a_locked_file_says_so(void **state)
{
    sqlite3 *db = NULL;

    (void)state;
    run_sql("CREATE TABLE t(x)");
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL),
                     SQLITE_OK);
    assert_refused(ERR_STORE_LOCKED, "another program");
    sqlite3_close(db);
}

static void test_a_damaged_page_fails_the_read_that_meets_it(void **state)
{
    const struct engine_options options = {.location = path,
                                           .mappings = &mappings_builtin};
    struct store_read read = {.mapping = &mappings_builtin.list[0],
                              .key = SLICE("3")};
    struct engine_database *database = NULL;
    struct engine_reader *reader = NULL;
    char noise[4096];

    (void)state;
    assert_int_equal(open_at(path), ERR_OK);
    const int64_t page =
        query("SELECT rootpage FROM sqlite_schema WHERE name = 'books'");
    memset(noise, 0xa5, sizeof(noise));
    write_file(noise, sizeof(noise), (off_t)(page - 1) * 4096);
    assert_int_equal(engine_sqlite.open(&database, &options, &detail), ERR_OK);
    assert_int_equal(engine_sqlite.reader_open(database, &reader, &detail),
                     ERR_OK);

    assert_int_equal(engine_sqlite.read(reader, &read, &detail),
                     ERR_STORE_CORRUPT);
    engine_sqlite.reader_close(reader);
    engine_sqlite.close(database);
}

/* ---- rights: asked for by a process that has none of root's ---- */

/* Opens 'path' as nobody; what that said goes to 'detail'. */
/* A child that serves the file until 'hold' ends. */
static pid_t serve_elsewhere(int hold[2])
{
    int ready[2];
    char byte = 0;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(hold), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct engine_options options = {.location = path,
                                               .mappings = &mappings_builtin};
        struct engine_database *database = NULL;
        close(hold[1]);
        if (engine_sqlite.open(&database, &options, &detail) == ERR_OK) {
            (void)!write(ready[1], &byte, 1);
            (void)!read(hold[0], &byte, 1); /* Ends when the parent closes. */
        }
        _exit(0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void test_a_file_that_another_bookd_serves_is_refused(void **state)
{
    int hold[2];

    (void)state;
    const pid_t child = serve_elsewhere(hold);
    assert_refused(ERR_STORE_LOCKED, "another bookd serves this file");
    close(hold[1]);
    close(hold[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);

    assert_int_equal(open_at(path), ERR_OK); /* However the other ended. */
}

static enum err open_as_nobody(void)
{
    int ends[2];
    int status = -1;

    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
        if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) != 0) {
            _exit(ERR_COUNT);
        }
        const enum err err = open_at(path);
        (void)!write(ends[1], buf_string(&detail), detail.size);
        _exit((int)err);
    }
    close(ends[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    buf_clear(&detail);
    char *said = buf_reserve(&detail, 1024);
    const ssize_t size = read(ends[0], said, 1024);
    buf_commit(&detail, size > 0 ? (size_t)size : 0);
    close(ends[0]);
    assert_true(WIFEXITED(status));
    return (enum err)WEXITSTATUS(status);
}

static void assert_not_permitted(const char *why)
{
    assert_int_equal(open_as_nobody(), ERR_PERMISSION);
    assert_non_null(strstr(buf_string(&detail), path));
    assert_non_null(strstr(buf_string(&detail), why));
}

static void test_a_directory_without_rights_is_named(void **state)
{
    (void)state;
    assert_int_equal(chmod(directory, 0555), 0);
    assert_not_permitted("cannot write to the directory");
    assert_int_equal(chmod(directory, 0), 0);
    assert_not_permitted("cannot be reached");
    assert_int_equal(chmod(directory, 0755), 0);
}

static void test_a_file_without_rights_is_refused(void **state)
{
    (void)state;
    assert_int_equal(chmod(directory, 0777), 0);
    write_file("", 0, 0);
    assert_int_equal(chmod(path, 0444), 0);
    assert_not_permitted("cannot be read and written");
}

static void test_a_file_beside_which_no_log_can_be_is_refused(void **state)
{
    (void)state;
    assert_int_equal(open_at(path), ERR_OK);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(chmod(directory, 0555), 0);
    assert_not_permitted("keeps its log beside the file");
    assert_int_equal(chmod(directory, 0755), 0);
}

/* ---- creating is all or nothing ---- */

static void test_a_crash_while_creating_does_no_harm(void **state)
{
    const int crashed = ERR_COUNT + 1;
    int n_writes = 0;
    int status;

    (void)state;
    do {
        n_writes++;
        const pid_t child = fork();
        if (child == 0) {
            faulty_vfs_install();
            faulty_vfs_crash(n_writes, crashed);
            _exit((int)open_at(path));
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));

        assert_int_equal(open_at(path), ERR_OK);
        assert_int_equal(query("SELECT count(*) FROM books"), 10);
        assert_int_equal(unlink(path), 0);
    } while (WEXITSTATUS(status) == crashed);

    assert_int_equal(WEXITSTATUS(status), ERR_OK);
    assert_true(n_writes > 5); /* It did crash, at several places. */
}

#define CASE(test) \
    cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_file_that_another_bookd_serves_is_refused),
        CASE(test_a_file_that_is_not_there_is_created),
        CASE(test_an_empty_file_is_filled),
        CASE(test_an_empty_database_is_filled),
        CASE(test_opening_again_changes_nothing),
        CASE(test_names_that_mean_more_to_sqlite_are_file_names),
        CASE(test_no_name_is_invalid),
        CASE(test_a_directory_that_is_not_there_is_named),
        CASE(test_a_file_in_place_of_the_directory_is_not_found),
        CASE(test_what_is_no_file_is_invalid),
        CASE(test_text_is_no_database),
        CASE(test_a_database_of_another_program_is_left_alone),
        CASE(test_another_version_is_named),
        CASE(test_a_damaged_schema_is_corrupt),
        CASE(test_a_table_that_is_missing_is_found_by_reader_and_writer),
        CASE(test_a_locked_file_says_so),
        CASE(test_a_damaged_page_fails_the_read_that_meets_it),
        CASE(test_a_directory_without_rights_is_named),
        CASE(test_a_file_without_rights_is_refused),
        CASE(test_a_file_beside_which_no_log_can_be_is_refused),
        CASE(test_a_crash_while_creating_does_no_harm),
    };

    log_set_level(LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
