/* SPDX-License-Identifier: MIT */
/*
 * Clients with copies of their own, which they drop when they are told, while
 * everything is written that can be: by other clients in all ways, by another
 * program in SQL, by expiry, eviction and flushes.
 *
 * Claim: after a while of this, when nobody writes any more, every copy that a
 * client has kept is what a read answers.
 *
 * A round is short, so that there are many last writes; a copy that is wrong
 * then stays so, as nobody will ever tell of it.  Each way to write plain keys
 * runs in a process of its own, with the whole server in it; in debug builds
 * once more with a bug: keys are entered after they were looked up, and that
 * must be found.
 */
#include <poll.h>
#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/thread.h"
#include "common/waitgroup.h"
#include "server/admin/config.h"
#include "server/admin/config_tables.h"
#include "server/command/tracking.h"
#include "server/server.h"
#include "server/store/mapping_set.h"
#include "tests/support/stress.h"

#define READERS 6
#define WRITERS 2
#define PLAIN_KEYS 8 /* k0 … */
#define KEYS 16      /* And book:8 … */
#define ROUND_US 30000
#define DEADLINE_US 20000000
#define BUG_DEADLINE_US 2000000

static char dir[200];
static const char *mode;
static _Atomic bool stopping; /* Of the round. */
static int64_t end_us;
static bool has_bug;
static bool has_prefixes; /* Some readers have; then the loops hear of all keys,
                             so that the bug would not show. */

/* ---- connections ---- */

struct conn {
    int fd;
    struct buf in;
    size_t at; /* What was read of 'in'. */
};

static struct conn conn_open_to(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    struct conn conn = {.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const int64_t deadline_us = clock_real_us() + DEADLINE_US;

    CHECK(snprintf(to.sun_path, sizeof to.sun_path, "%s/s", dir) <
          (int)sizeof to.sun_path);
    while (connect(conn.fd, (struct sockaddr *)&to, sizeof to) != 0) {
        CHECK(clock_real_us() < deadline_us);
        (void)poll(NULL, 0, 5); /* The server starts. */
    }
    return conn;
}

static void conn_end(struct conn *conn)
{
    close(conn->fd);
    buf_destroy(&conn->in);
}

static void say(struct conn *conn, const char *format, ...) PRINTF(2, 3);
static void say(struct conn *conn, const char *format, ...)
{
    struct buf text = {0};
    va_list args;

    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    CHECK(send(conn->fd, buf_data(&text), text.size, MSG_NOSIGNAL) ==
          (ssize_t)text.size);
    buf_destroy(&text);
}

/* Waits for more; false if none comes within 'wait_ms'. */
static bool fill(struct conn *conn, int wait_ms)
{
    struct pollfd on = {.fd = conn->fd, .events = POLLIN};

    if (poll(&on, 1, wait_ms) == 0) {
        return false;
    }
    buf_consume(&conn->in, conn->at);
    conn->at = 0;
    const ssize_t n = recv(conn->fd, buf_reserve(&conn->in, 65536), 65536, 0);
    CHECK(n > 0);
    buf_commit(&conn->in, (size_t)n);
    return true;
}

/* The next line, without its end; valid until the next. */
static const char *line(struct conn *conn)
{
    static _Thread_local char text[256];
    const char *end = NULL;

    while (conn->in.size == conn->at ||
           (end = memchr(buf_data(&conn->in) + conn->at, '\n',
                         conn->in.size - conn->at)) == NULL) {
        CHECK(fill(conn, 60000));
    }
    const char *from = buf_data(&conn->in) + conn->at;
    const size_t size = (size_t)(end - from);
    CHECK(size > 0 && size < sizeof text);
    memcpy(text, from, size - 1);
    text[size - 1] = '\0';
    conn->at += size + 1;
    return text;
}

/* A bulk string of which the header was read. */
static struct slice bulk(struct conn *conn, const char *header)
{
    const size_t size = strtoul(header + 1, NULL, 10);

    while (conn->in.size - conn->at < size + 2) {
        CHECK(fill(conn, 60000));
    }
    const struct slice bytes = slice_make(buf_data(&conn->in) + conn->at, size);
    conn->at += size + 2;
    return bytes;
}

/* Reads a reply, whatever it is. */
static void skip(struct conn *conn)
{
    const char *header = line(conn);
    const long n = strtol(header + 1, NULL, 10);

    if (header[0] == '$' && n >= 0) {
        (void)bulk(conn, header);
    } else if (strchr("*%~>", header[0]) != NULL) {
        for (long left = header[0] == '%' ? 2 * n : n; left > 0; left--) {
            skip(conn);
        }
    }
}

static const char *key_name(size_t key, char name[16])
{
    snprintf(name, 16, key < PLAIN_KEYS ? "k%zu" : "book:%zu", key);
    return name;
}

/* ---- readers ---- */

/* What is known of a key. */
struct known {
    bool is_known;
    bool is_there;
    struct buf value;
};

struct reader {
    struct conn conn;
    const char *options; /* Of CLIENT TRACKING. */
    bool writes;
    uint64_t random;
    struct known known[KEYS];
    uint64_t n_told;
};

static struct reader readers[READERS];

static void learn(struct known *known, const struct slice *value)
{
    known->is_known = true;
    known->is_there = value != NULL;
    buf_clear(&known->value);
    if (value != NULL) {
        buf_append_slice(&known->value, *value);
    }
}

static void forget(struct reader *r, struct slice name)
{
    char text[16];

    for (size_t key = 0; key < KEYS; key++) {
        if (slice_equal(name, slice_from_string(key_name(key, text)))) {
            r->known[key].is_known = false;
        }
    }
}

/* Behind the header of a push. */
static void take_push(struct reader *r)
{
    const struct slice what = bulk(&r->conn, line(&r->conn));
    CHECK(slice_equal(what, SLICE("invalidate")));
    const char *header = line(&r->conn);

    r->n_told++;
    if (header[0] == '_') {
        for (size_t key = 0; key < KEYS; key++) {
            r->known[key].is_known = false;
        }
        return;
    }
    for (long n = strtol(header + 1, NULL, 10); n > 0; n--) {
        forget(r, bulk(&r->conn, line(&r->conn)));
    }
}

/* Takes pushes until a reply begins: its header. */
static const char *reply_header(struct reader *r)
{
    const char *header = line(&r->conn);

    while (header[0] == '>') {
        take_push(r);
        header = line(&r->conn);
    }
    return header;
}

static void take_value(struct reader *r, size_t key)
{
    const char *header = reply_header(r);

    if (header[0] == '$') {
        const struct slice value = bulk(&r->conn, header);
        learn(&r->known[key], &value);
    } else if (header[0] == '_') {
        learn(&r->known[key], NULL);
    } else {
        CHECK(header[0] == '-'); /* WRONGTYPE, or the store is busy. */
    }
}

/* What has come of its own accord. */
static void take_pushes(struct reader *r, int wait_ms)
{
    while (r->conn.at < r->conn.in.size || fill(&r->conn, wait_ms)) {
        CHECK(line(&r->conn)[0] == '>');
        take_push(r);
        wait_ms = 0;
    }
}

static void read_some(struct reader *r)
{
    size_t keys[3];
    size_t n = 0;
    char name[16];
    struct buf text = {0};

    while (n < ARRAY_LEN(keys)) {
        keys[n] = stress_random(&r->random, KEYS);
        if (!r->known[keys[n]].is_known || stress_random(&r->random, 16) == 0) {
            buf_printf(&text, "GET %s\r\n", key_name(keys[n], name));
        }
        n++;
        if (stress_random(&r->random, 2) == 0) {
            break;
        }
    }
    /* Which were asked for is known by the text. */
    if (text.size > 0) {
        const char *at = buf_string(&text);
        say(&r->conn, "%s", at);
        for (size_t i = 0; i < n && *at != '\0'; i++) {
            char wanted[32];
            snprintf(wanted, sizeof wanted, "GET %s\r\n",
                     key_name(keys[i], name));
            if (strncmp(at, wanted, strlen(wanted)) == 0) {
                at += strlen(wanted);
                take_value(r, keys[i]);
            }
        }
    }
    buf_destroy(&text);
}

/* It is not told of its own write, and drops what it knows. */
static void write_one(struct reader *r)
{
    const size_t key = stress_random(&r->random, PLAIN_KEYS);
    char name[16];

    say(&r->conn, "SET %s own%u\r\n", key_name(key, name),
        stress_random(&r->random, 1000000));
    CHECK(reply_header(r)[0] == '+');
    r->known[key].is_known = false;
}

static void run_reader(void *arg)
{
    struct reader *r = arg;

    while (!stopping) {
        take_pushes(r, 0);
        if (r->writes && stress_random(&r->random, 8) == 0) {
            write_one(r);
        } else {
            read_some(r);
        }
    }
}

/* ---- writers ---- */

static void write_something(struct conn *conn, uint64_t *random)
{
    const unsigned a = stress_random(random, PLAIN_KEYS);
    const unsigned b = stress_random(random, PLAIN_KEYS);
    const unsigned book = 8 + stress_random(random, 8);
    const unsigned n = stress_random(random, 1000000);
    unsigned replies = 1;

    switch (stress_random(random, 20)) {
    case 0:
        say(conn, "SET k%u x%u PX %u\r\n", a, n, 1 + n % 60);
        break;
    case 1:
        say(conn, "DEL k%u k%u\r\n", a, b);
        break;
    case 2:
        say(conn, "MSET k%u m%u k%u m%u\r\n", a, n, b, n);
        break;
    case 3:
        say(conn, "MULTI\r\nSET k%u t%u\r\nINCR k%u\r\nGET k%u\r\nEXEC\r\n", a,
            n, b, a);
        replies = 5;
        break;
    case 4:
        say(conn, "INCR k%u\r\n", a);
        break;
    case 5:
        say(conn, "PEXPIRE k%u %u\r\n", a, 1 + n % 60);
        break;
    case 6:
        say(conn, "GETDEL k%u\r\n", a);
        break;
    case 7:
        say(conn, "HSET book:%u title h%u\r\n", book, n);
        break;
    case 8:
        say(conn, "DEL book:%u\r\n", book);
        break;
    case 9:
        say(conn, "RENAME k%u k%u\r\n", a, b);
        break;
    case 10:
        say(conn, n % 50 == 0 ? "FLUSHALL\r\n" : "PERSIST k1\r\n");
        break;
    case 11: /* So that keys of memory alone are evicted. */
        say(conn, "SET fill:%u %04000u\r\n", n % 1000, n);
        break;
    case 12:
        say(conn, "BOOK.EVICT k%u book:%u\r\n", a, book);
        break;
    default:
        say(conn, "SET k%u v%u\r\n", a, n);
        break;
    }
    while (replies-- > 0) {
        skip(conn);
    }
}

static uint64_t writers_random[WRITERS] = {1001, 1002};

static void run_writer(void *arg)
{
    uint64_t *random = arg;
    struct conn conn = conn_open_to();

    while (!stopping) {
        write_something(&conn, random);
    }
    conn_end(&conn);
}

static void run_outside(void *arg)
{
    static uint64_t random = 77;
    char path[256];
    char sql[256];
    sqlite3 *db;

    (void)arg;
    snprintf(path, sizeof path, "%s/bookd.db", dir);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    sqlite3_busy_timeout(db, 20000);
    while (!stopping) {
        const unsigned id = 8 + stress_random(&random, 8);
        const unsigned n = stress_random(&random, 1000000);
        switch (stress_random(&random, 4)) {
        case 0:
            snprintf(sql, sizeof sql, "DELETE FROM books WHERE id = %u", id);
            break;
        case 1:
            snprintf(sql, sizeof sql,
                     "INSERT OR REPLACE INTO books (id, title) "
                     "VALUES (%u, 'i%u')",
                     id, n);
            break;
        default:
            snprintf(sql, sizeof sql,
                     "UPDATE books SET title = 'u%u' WHERE id = %u", n, id);
            break;
        }
        CHECK(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK);
        (void)poll(NULL, 0, 1);
    }
    sqlite3_close(db);
}

/* ---- the truth ---- */

/* What the file says of the title of a book, or of its absence. */
static bool is_in_file(sqlite3_stmt *title, size_t id,
                       const struct known *answer)
{
    char wanted[64];

    CHECK(sqlite3_reset(title) == SQLITE_OK);
    CHECK(sqlite3_bind_int64(title, 1, (int64_t)id) == SQLITE_OK);
    if (sqlite3_step(title) != SQLITE_ROW) {
        return !answer->is_there;
    }
    snprintf(wanted, sizeof wanted, "\"title\":\"%s\"",
             (const char *)sqlite3_column_text(title, 0));
    struct buf text = {0};
    buf_append_slice(&text, buf_slice(&answer->value));
    const bool is_so =
        answer->is_there && strstr(buf_string(&text), wanted) != NULL;
    buf_destroy(&text);
    return is_so;
}

/* Asks for a key; true if books are as the file has them. */
static bool ask(struct conn *conn, sqlite3_stmt *title, size_t key,
                struct known *answer)
{
    char name[16];

    say(conn, "GET %s\r\n", key_name(key, name));
    const char *header = line(conn);
    if (header[0] == '$' && header[1] != '-') {
        const struct slice value = bulk(conn, header);
        learn(answer, &value);
    } else {
        CHECK(header[0] == '$');
        learn(answer, NULL);
    }
    return key < PLAIN_KEYS || is_in_file(title, key, answer);
}

static bool agrees(const struct known *copy, const struct known *truth)
{
    return !copy->is_known ||
           (copy->is_there == truth->is_there &&
            (!copy->is_there ||
             slice_equal(buf_slice(&copy->value), buf_slice(&truth->value))));
}

static bool all_agree(struct conn *conn, sqlite3_stmt *title,
                      struct known *truth, char wrong[128])
{
    for (size_t key = 0; key < KEYS; key++) {
        char name[16];
        if (!ask(conn, title, key, truth)) {
            snprintf(wrong, 128, "%s is not as in the file",
                     key_name(key, name));
            return false;
        }
        for (size_t i = 0; i < READERS; i++) {
            const struct known *copy = &readers[i].known[key];
            if (!agrees(copy, truth)) {
                snprintf(
                    wrong, 128, "reader %zu (%s) has %s: %.30s for %.30s", i,
                    readers[i].options, key_name(key, name),
                    copy->is_there ? buf_string(&readers[i].known[key].value)
                                   : "nothing",
                    truth->is_there ? buf_string(&truth->value) : "nothing");
                return false;
            }
        }
    }
    return true;
}

/* Waits until all copies are right; false if they never are. */
static bool comes_to_rest(struct conn *conn, sqlite3 *db, char wrong[128])
{
    const int64_t deadline_us =
        clock_real_us() + (has_bug ? BUG_DEADLINE_US : DEADLINE_US);
    struct known truth = {0};
    sqlite3_stmt *title;
    bool agree;

    CHECK(sqlite3_prepare_v2(db, "SELECT title FROM books WHERE id = ?", -1,
                             &title, NULL) == SQLITE_OK);
    while (!(agree = all_agree(conn, title, &truth, wrong)) &&
           clock_real_us() < deadline_us) {
        for (size_t i = 0; i < READERS; i++) {
            take_pushes(&readers[i], 1);
        }
    }
    sqlite3_finalize(title);
    buf_destroy(&truth.value);
    return agree;
}

/* ---- rounds ---- */

static void open_readers(void)
{
    static const char *const options[READERS] = {
        "", "", "NOLOOP", "BCAST", "BCAST PREFIX k PREFIX book:", "OPTOUT"};

    for (size_t i = 0; i < READERS; i++) {
        struct reader *r = &readers[i];
        const bool by_prefix = strncmp(options[i], "BCAST", 5) == 0;
        *r = (struct reader){.conn = conn_open_to(),
                             .options =
                                 by_prefix && !has_prefixes ? "" : options[i],
                             .writes = i == 2,
                             .random = i + 1};
        say(&r->conn, "HELLO 3\r\nCLIENT TRACKING ON %s\r\n", r->options);
        skip(&r->conn);
        CHECK(strcmp(line(&r->conn), "+OK") == 0);
    }
}

static void close_readers(uint64_t *n_told)
{
    for (size_t i = 0; i < READERS; i++) {
        *n_told += readers[i].n_told;
        conn_end(&readers[i].conn);
        for (size_t key = 0; key < KEYS; key++) {
            buf_destroy(&readers[i].known[key].value);
        }
    }
}

static void run_round(void)
{
    struct thread threads[READERS + WRITERS + 1];
    size_t n = 0;

    stopping = false;
    for (size_t i = 0; i < READERS; i++) {
        CHECK(thread_start(&threads[n++], "reader", run_reader, &readers[i]) ==
              ERR_OK);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        CHECK(thread_start(&threads[n++], "writer", run_writer,
                           &writers_random[i]) == ERR_OK);
    }
    CHECK(thread_start(&threads[n++], "outside", run_outside, NULL) == ERR_OK);
    const int64_t until_us = clock_real_us() + ROUND_US;
    while (clock_real_us() < until_us) {
        (void)poll(NULL, 0, (int)((until_us - clock_real_us()) / 1000) + 1);
    }
    stopping = true;
    for (size_t i = 0; i < n; i++) {
        thread_join(&threads[i]);
    }
}

/* Rounds until the end, or until a copy is wrong. */
static void drive(void *arg)
{
    struct conn conn = conn_open_to();
    char wrong[128] = "";
    char path[256];
    uint64_t n_told = 0;
    unsigned n = 0;
    bool good = true;
    sqlite3 *db;

    (void)arg;
    snprintf(path, sizeof path, "%s/bookd.db", dir);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    sqlite3_busy_timeout(db, 20000);
    open_readers();
    do {
        run_round();
        good = comes_to_rest(&conn, db, wrong);
        n++;
    } while (good && clock_real_us() < end_us);
    close_readers(&n_told);
    sqlite3_close(db);
    if (has_bug ? good : !good) {
        log_fatal("%s, round %u: %s", mode, n,
                  good ? "the bug was not found" : wrong);
    }
    printf("%s%s: %u rounds, %llu messages%s%s\n", mode,
           has_bug ? " with the bug" : "", n, (unsigned long long)n_told,
           has_bug ? ", found: " : "", has_bug ? wrong : "");
    fflush(stdout);
    say(&conn, "SHUTDOWN\r\n");
    conn_end(&conn);
}

/* ---- the server ---- */

static void serve(void)
{
    char socket_path[256];
    char *args[] = {"bookd",
                    "--dir",
                    dir,
                    "--port",
                    "0",
                    "--unixsocket",
                    socket_path,
                    "--io-threads",
                    "2",
                    "--plain-writes",
                    (char *)(uintptr_t)mode,
                    "--record-writes",
                    strcmp(mode, "through") == 0 ? "through" : "behind",
                    "--maxmemory",
                    "2mb",
                    "--max-age",
                    "1h",
                    "--loglevel",
                    "error"};
    struct config *config = config_new();
    struct table_entries entries = {0};
    struct mapping_set *tables;
    struct buf detail = {0};
    struct thread driver;

    snprintf(socket_path, sizeof socket_path, "%s/s", dir);
    CHECK(config_load_args(config, (int)ARRAY_LEN(args) - 1, args + 1,
                           &detail) == ERR_OK);
    config_tables_apply_own(&entries, "");
    CHECK(mapping_set_new(&tables, &entries, &detail) == ERR_OK);
    config_tables_clear(&entries);
    CHECK(thread_start(&driver, "driver", drive, NULL) == ERR_OK);
    CHECK(server_run(config, tables, NULL, &detail) == ERR_OK);
    thread_join(&driver);
    mapping_set_free(tables);
    config_free(config);
    buf_destroy(&detail);
}

static void remove_dir(void)
{
    char command[256];

    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    CHECK(system(command) == 0);
}

/* In a process of its own, as a server is. */
static void run_mode(const char *name, bool with_bug, bool with_prefixes,
                     double seconds)
{
    const char *base = getenv("TMPDIR");
    int status;

    snprintf(dir, sizeof dir, "%s/tracking-XXXXXX",
             base == NULL ? "/tmp" : base);
    CHECK(mkdtemp(dir) != NULL);
    const pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        mode = name;
        has_bug = with_bug;
        has_prefixes = with_prefixes;
        end_us = clock_real_us() + (int64_t)(seconds * 1e6);
#ifndef NDEBUG
        tracking_test_late(with_bug);
#endif
        serve();
        exit(EXIT_SUCCESS);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    remove_dir();
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
    static const char *const modes[] = {"through", "behind", "none"};
    const double seconds = (double)(stress_end_us() - clock_real_us()) / 1e6;

    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        run_mode(modes[i], false, true, seconds / 6);
        run_mode(modes[i], false, false, seconds / 6);
    }
#ifndef NDEBUG
    run_mode("none", true, false, 60);
#endif
    return 0;
}
