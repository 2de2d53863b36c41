/* SPDX-License-Identifier: MIT */
/*
 * Connections, with commands of the test's own in place of the command table:
 *
 *     READ x, WRITE x, ALONE x   stand at a gate until the test lets them
 *                                finish with "+x"; WRITE and ALONE are of
 *                                those classes
 *     NOW x                      answers "+x" at once
 *     INSIDE x                   is pending, but finishes before it returns
 *     BIG n                      answers n bytes
 *     QUIT                       as everywhere
 *
 * The test talks to the connection over a socket; reads on it have a deadline
 * so that a lost reply fails and does not hang.
 */
#include "server/net/conn.h"

#include "common/clock.h"
#include "common/mem.h"
#include "common/waitgroup.h"
#include "server/admin/config.h"
#include "server/admin/stats.h"
#include "server/command/acl.h"
#include "server/command/client_memory.h"
#include "server/command/clients.h"
#include "server/command/command.h"
#include "server/command/dispatch.h"
#include "server/command/parts.h"
#include "server/command/pause.h"
#include "server/command/pubsub.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_S 20

static struct server server;
static struct loop *loop;
static struct chan *held;      /* struct request *: arrived at the gate. */
static struct chan *cancelled; /* struct request *: its client has gone. */
static struct chan *ran;       /* char: first letter of each NOW's argument. */

/* ---- the commands ---- */

static void on_cancel(struct request *request)
{
    assert_int_equal(chan_send(chan_tx(cancelled), &request), ERR_OK);
}

void command_find(struct request *request)
{
    const struct slice name = request->argv[0];
    request->class = slice_equal(name, SLICE("WRITE"))   ? REQUEST_WRITE
                     : slice_equal(name, SLICE("ALONE")) ? REQUEST_ALONE
                                                         : REQUEST_READ;
}

bool command_is_paused(const struct request *request)
{
    return pause_kind(server.pause) != PAUSE_NONE &&
           !slice_equal(request->argv[0], SLICE("QUIT"));
}

static void answer(struct request *request)
{
    struct buf text = {0};
    buf_append_slice(&text, request->argv[1]);
    reply_simple(&request->reply, buf_string(&text));
    buf_destroy(&text);
}

enum command_status command_run(struct request *request)
{
    const struct slice name = request->argv[0];
    if (slice_equal(name, SLICE("NOW"))) {
        assert_int_equal(chan_send(chan_tx(ran), request->argv[1].data),
                         ERR_OK);
        answer(request);
        return COMMAND_DONE;
    }
    if (slice_equal(name, SLICE("BIG"))) {
        int64_t size;
        assert_true(slice_to_int64(request->argv[1], &size));
        char *bytes = xcalloc(1, (size_t)size);
        assert_int_equal(chan_send(chan_tx(ran), "b"), ERR_OK);
        reply_bulk(&request->reply, slice_make(bytes, (size_t)size));
        free(bytes);
        return COMMAND_DONE;
    }
    if (slice_equal(name, SLICE("QUIT"))) {
        request->client->close_after_reply = true;
        reply_ok(&request->reply);
        return COMMAND_DONE;
    }
    request_keep_args(request);
    if (slice_equal(name, SLICE("INSIDE"))) {
        answer(request);
        request_finish(request);
        return COMMAND_PENDING;
    }
    request->on_cancel = on_cancel;
    assert_int_equal(chan_send(chan_tx(held), &request), ERR_OK);
    return COMMAND_PENDING;
}

/* ---- helpers ---- */

static void do_nothing(void *arg)
{
    wg_done(arg);
}

/* Returns when the loop has done everything it could do when we were called:
 * two rounds, so that turns put off have passed too. */
static void settle(void)
{
    for (int i = 0; i < 2; i++) {
        struct waitgroup wg;
        wg_init(&wg);
        wg_add(&wg, 1);
        assert_true(loop_post(loop, do_nothing, &wg));
        wg_wait(&wg);
        wg_destroy(&wg);
    }
}

static void open_here(void *arg)
{
    const int *fd = arg;
    conn_open(loop, &server, NULL, *fd);
}

/* Connects and returns our end. */
static int connect_client(void)
{
    static int theirs;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    setsockopt(ends[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    theirs = ends[1];
    fcntl(theirs, F_SETFL, O_NONBLOCK);
    assert_true(loop_post(loop, open_here, &theirs));
    settle();
    return ends[0];
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void expect(int fd, const char *text)
{
    char got[4096] = "";
    size_t size = strlen(text);
    assert_true(size < sizeof(got));
    (void)!recv(fd, got, size, MSG_WAITALL);
    assert_string_equal(got, text);
}

static void expect_end(int fd)
{
    char c;
    assert_int_equal(recv(fd, &c, 1, 0), 0);
    close(fd);
}

/* Reads what is left. */
static void expect_end_behind_something(int fd)
{
    char bytes[65536];
    ssize_t n;
    do {
        n = recv(fd, bytes, sizeof bytes, 0);
    } while (n > 0);
    assert_true(n == 0 || errno == ECONNRESET);
    close(fd);
    settle(); /* The loop may still be at it. */
}

static struct request *next_of(struct chan *chan)
{
    struct request *request = NULL;
    int64_t deadline_us = clock_now_us() + PATIENCE_S * INT64_C(1000000);
    assert_int_equal(chan_recv_until(chan_rx(chan), &request, deadline_us),
                     ERR_OK);
    return request;
}

/* The next request at the gate, which must be the one about 'what'. */
static struct request *next_held(const char *what)
{
    struct request *request = next_of(held);
    assert_true(slice_equal(request->argv[1], slice_from_string(what)));
    return request;
}

static void finish(void *arg)
{
    struct request *request = arg;
    answer(request);
    request_finish(request);
}

static void release(struct request *request)
{
    assert_true(loop_post(loop, finish, request));
}

static void configure(enum config_id id, const char *value)
{
    struct buf detail = {0};
    assert_int_equal(
        config_set(server.config, id, slice_from_string(value), &detail),
        ERR_OK);
    buf_destroy(&detail);
}

static int setup(void **state)
{
    (void)state;
    server = (struct server){
        .config = config_new(),
        .clients = clients_new(),
        .client_memory = client_memory_new(),
        .pause = pause_new(),
        .pubsub = pubsub_new(),
    };
    server.acl = acl_new(server.config);
    held = chan_new(sizeof(struct request *), CHAN_UNBOUNDED);
    cancelled = chan_new(sizeof(struct request *), CHAN_UNBOUNDED);
    ran = chan_new(1, CHAN_UNBOUNDED);
    assert_int_equal(loop_new(&loop, "test"), ERR_OK);
    assert_int_equal(loop_start(loop), ERR_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    loop_free(loop);
    assert_int_equal(clients_count(server.clients), 0);
    assert_int_equal(chan_len(chan_rx(held)), 0);
    assert_int_equal(chan_len(chan_rx(cancelled)), 0);
    chan_free(held);
    chan_free(cancelled);
    chan_free(ran);
    clients_free(server.clients);
    pause_free(server.pause);
    client_memory_free(server.client_memory);
    acl_free(server.acl);
    pubsub_free(server.pubsub);
    config_free(server.config);
    return 0;
}

/* ---- replies ---- */

static void test_commands_are_answered(void **state)
{
    (void)state;
    int fd = connect_client();

    say(fd, "NOW a\r\n*2\r\n$3\r\nNOW\r\n$1\r\nb\r\n\r\nINSIDE c\r\n");

    expect(fd, "+a\r\n+b\r\n+c\r\n");
    close(fd);
}

static void test_a_command_may_come_byte_by_byte(void **state)
{
    (void)state;
    int fd = connect_client();

    for (const char *c = "*2\r\n$3\r\nNOW\r\n$1\r\nb\r\nNOW x\r\n"; *c != '\0';
         c++) {
        say(fd, (char[]){*c, '\0'});
        settle();
    }

    expect(fd, "+b\r\n+x\r\n");
    close(fd);
}

static void test_replies_keep_the_order_of_the_requests(void **state)
{
    (void)state;
    int fd = connect_client();

    say(fd, "READ a\r\nNOW b\r\nREAD c\r\nINSIDE d\r\nNOW e\r\n");
    struct request *a = next_held("a");
    struct request *c = next_held("c");
    release(c);
    settle();
    release(a);

    expect(fd, "+a\r\n+b\r\n+c\r\n+d\r\n+e\r\n");
    close(fd);
}

static void test_a_first_reply_does_not_wait_for_the_second(void **state)
{
    (void)state;
    int fd = connect_client();

    say(fd, "READ a\r\nREAD b\r\n");
    struct request *a = next_held("a");
    struct request *b = next_held("b");
    release(a);

    expect(fd, "+a\r\n");
    release(b);
    expect(fd, "+b\r\n");
    close(fd);
}

/* ---- who may overlap ---- */

static void test_other_classes_wait_until_those_before_are_done(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second;
    } pairs[] = {
        {"READ", "WRITE"}, {"WRITE", "READ"},  {"READ", "ALONE"},
        {"ALONE", "READ"}, {"ALONE", "ALONE"}, {"WRITE", "ALONE"},
    };
    int fd = connect_client();
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s a\r\n%s b\r\n", pairs[i].first,
                 pairs[i].second);

        say(fd, text);
        struct request *a = next_held("a");
        settle();

        assert_int_equal(chan_len(chan_rx(held)), 0);
        release(a);
        release(next_held("b"));
        expect(fd, "+a\r\n+b\r\n");
    }
    close(fd);
}

static void test_writes_overlap(void **state)
{
    (void)state;
    int fd = connect_client();

    say(fd, "WRITE a\r\nWRITE b\r\n");
    struct request *a = next_held("a");
    release(next_held("b"));
    release(a);

    expect(fd, "+a\r\n+b\r\n");
    close(fd);
}

static void test_what_waits_survives_more_input(void **state)
{
    (void)state;
    int fd = connect_client();

    say(fd, "READ a\r\n*2\r\n$5\r\nWRITE\r\n$1\r\nb\r\nREAD ");
    struct request *a = next_held("a");
    say(fd, "c\r\nNOW d\r\n");
    settle();
    release(a);
    release(next_held("b"));
    release(next_held("c"));

    expect(fd, "+a\r\n+b\r\n+c\r\n+d\r\n");
    close(fd);
}

/* ---- limits ---- */

static void test_pending_requests_are_bounded(void **state)
{
    (void)state;
    enum { SENT = 3000, BOUND = 1024 };
    int fd = connect_client();

    struct buf flood = {0};
    for (int i = 0; i < SENT; i++) {
        buf_append_string(&flood, "READ x\r\n");
    }
    say(fd, buf_string(&flood));
    settle();
    assert_true(chan_len(chan_rx(held)) <= BOUND);
    for (int i = 0; i < SENT; i++) {
        release(next_held("x"));
    }

    for (int i = 0; i < SENT; i++) {
        expect(fd, "+x\r\n");
    }
    buf_destroy(&flood);
    close(fd);
}

static void test_a_client_that_does_not_read_is_not_served_further(void **state)
{
    (void)state;
    enum { SENT = 16, SIZE = 16 << 20, BOUND = 64 << 20 };
    int fd = connect_client();
    char *got = xmalloc(SIZE);

    for (int i = 0; i < SENT; i++) {
        say(fd, "BIG 16777216\r\n");
    }
    settle();
    assert_true(chan_len(chan_rx(ran)) <= BOUND / SIZE + 1);

    for (int i = 0; i < SENT; i++) {
        expect(fd, "$16777216\r\n");
        assert_int_equal(recv(fd, got, SIZE, MSG_WAITALL), SIZE);
        expect(fd, "\r\n");
    }
    free(got);
    close(fd);
}

struct two_clients {
    int busy, other; /* The server's ends. */
};

static void open_both(void *arg)
{
    const struct two_clients *two = arg;
    conn_open(loop, &server, NULL, two->busy);
    conn_open(loop, &server, NULL, two->other);
}

/* A reply of 256 MB whose bytes nobody touches: it takes no memory. */
static void finish_large(void *arg)
{
    struct request *request = arg;
    const size_t size = (size_t)256 << 20;
    (void)buf_reserve(request->reply.out, size);
    buf_commit(request->reply.out, size);
    request_finish(request);
}

static void test_a_client_that_is_owed_too_much_is_closed(void **state)
{
    (void)state;
    int fd = connect_client();

    for (int i = 0; i < 5; i++) {
        say(fd, "READ x\r\n");
    }
    struct request *first = next_held("x");
    for (int i = 1; i <= 3; i++) {
        assert_true(loop_post(loop, finish_large, next_held("x")));
    }
    settle();
    assert_int_equal(clients_count(server.clients), 1);
    assert_true(loop_post(loop, finish_large, next_held("x")));

    expect_end(fd);
    assert_ptr_equal(next_of(cancelled), first);
    release(first);
}

/* ---- pushes ---- */

struct push {
    struct client *client;
    const char *text;
    size_t size;
    size_t times;
    struct waitgroup done;
};

static void push_here(void *arg)
{
    struct push *p = arg;
    const struct slice pieces[] = {slice_make(p->text, 1),
                                   slice_make(p->text + 1, p->size - 1)};
    for (size_t i = 0; i < p->times; i++) {
        p->client->on_push(p->client, pieces, 2);
    }
    wg_done(&p->done);
}

static void push_many(struct client *client, const char *text, size_t size,
                      size_t times)
{
    struct push p = {
        .client = client, .text = text, .size = size, .times = times};
    wg_init(&p.done);
    wg_add(&p.done, 1);
    assert_true(loop_post(loop, push_here, &p));
    wg_wait(&p.done);
    wg_destroy(&p.done);
}

static void push(struct client *client, const char *text)
{
    push_many(client, text, strlen(text), 1);
}

/* The client behind 'fd', which is held up by a request. */
static struct client *client_of(int fd)
{
    say(fd, "READ client\r\n");
    struct request *request = next_held("client");
    struct client *client = request->client;
    release(request);
    expect(fd, "+client\r\n");
    return client;
}

static void subscribe_here(void *arg)
{
    struct client *client = arg;
    assert_true(
        pubsub_subscribe(server.pubsub, client, PUBSUB_CHANNEL, SLICE("c")));
}

static void overrun_here(void *arg)
{
    struct client *client = arg;
    client->on_overrun(client);
}

static void test_a_push_reaches_an_idle_client(void **state)
{
    (void)state;
    int fd = connect_client();
    struct client *client = client_of(fd);

    push(client, ">1\r\n");

    expect(fd, ">1\r\n");
    close(fd);
}

static void test_pushes_come_after_the_replies_owed_and_in_order(void **state)
{
    (void)state;
    int fd = connect_client();
    say(fd, "READ a\r\nREAD b\r\n");
    struct request *a = next_held("a");
    struct request *b = next_held("b");

    push(a->client, ">1\r\n");
    push(a->client, ">2\r\n");
    say(fd, "READ c\r\n");
    struct request *c = next_held("c");
    push(a->client, ">3\r\n");
    release(c);
    release(b);
    release(a);

    expect(fd, "+a\r\n+b\r\n>1\r\n>2\r\n+c\r\n>3\r\n");
    close(fd);
}

static void test_a_push_may_come_before_a_reply_that_lets_it(void **state)
{
    (void)state;
    int fd = connect_client();
    say(fd, "ALONE a\r\n");
    struct request *a = next_held("a");
    a->pushes_first = true; /* The loop is idle. */

    push(a->client, ">1\r\n");
    expect(fd, ">1\r\n");
    release(a);

    expect(fd, "+a\r\n");
    close(fd);
}

static void test_pushes_to_a_client_that_has_gone_are_no_matter(void **state)
{
    (void)state;
    int fd = connect_client();
    say(fd, "READ a\r\n");
    struct request *a = next_held("a");
    push(a->client, ">1\r\n");

    close(fd);
    settle();
    push(a->client, ">2\r\n");

    release(a);
}

static void test_a_subscriber_that_does_not_read_is_closed(void **state)
{
    (void)state;
    static const char text[64 << 10];
    int fd = connect_client();
    struct client *client = client_of(fd);
    assert_true(loop_post(loop, subscribe_here, client));
    configure(CONFIG_client_output_buffer_limit, "pubsub 1mb 0 0");

    push_many(client, text, sizeof text, 15);
    settle();
    assert_int_equal(clients_count(server.clients), 1);
    push_many(client, text, sizeof text, 100);

    expect_end_behind_something(fd);
    assert_int_equal(clients_count(server.clients), 0);
    assert_int_equal(pubsub_count(server.pubsub, PUBSUB_CHANNEL), 0);
}

static void test_a_subscriber_may_be_slow_for_a_while(void **state)
{
    (void)state;
    static const char text[64 << 10];
    int fd = connect_client();
    struct client *client = client_of(fd);
    assert_true(loop_post(loop, subscribe_here, client));
    configure(CONFIG_client_output_buffer_limit, "pubsub 0 512kb 10");
    clock_set_manual(clock_now_us());

    push_many(client, text, sizeof text, 20);
    clock_advance(10 * INT64_C(1000000));
    push_many(client, text, sizeof text, 1);
    settle();
    assert_int_equal(clients_count(server.clients), 1);
    clock_advance(1);
    push_many(client, text, sizeof text, 1);
    clock_set_real();

    expect_end_behind_something(fd);
    assert_int_equal(clients_count(server.clients), 0);
}

static void test_a_client_that_cannot_be_kept_up_with_is_closed(void **state)
{
    (void)state;
    int fd = connect_client();
    struct client *client = client_of(fd);

    assert_true(loop_post(loop, overrun_here, client));

    expect_end(fd);
}

static void make_idle(void *arg)
{
    struct client *client = arg;
    atomic_store(&client->last_active_us, 0);
}

static void test_a_subscriber_is_never_idle(void **state)
{
    (void)state;
    int fd = connect_client();
    struct client *client = client_of(fd);
    assert_true(loop_post(loop, subscribe_here, client));
    int other = connect_client();
    struct client *idle = client_of(other);
    settle();
    assert_true(loop_post(loop, make_idle, client));
    assert_true(loop_post(loop, make_idle, idle));
    configure(CONFIG_timeout, "1s");

    expect_end(other);

    settle();
    assert_int_equal(clients_count(server.clients), 1);
    close(fd);
}

static void test_a_busy_client_does_not_starve_another(void **state)
{
    (void)state;
    enum { COMMANDS = 5000 };
    int busy[2];
    int other[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, busy),
                     0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, other),
                     0);
    struct buf flood = {0};
    for (int i = 0; i < COMMANDS; i++) {
        buf_append_string(&flood, "NOW b\r\n");
    }
    assert_int_equal(write(busy[0], buf_data(&flood), flood.size), flood.size);
    say(other[0], "NOW o\r\n");

    struct two_clients two = {.busy = busy[1], .other = other[1]};
    assert_true(loop_post(loop, open_both, &two));
    size_t before = 0;
    char who = 'b';
    for (; who == 'b'; before++) {
        assert_true(chan_recv(chan_rx(ran), &who));
    }

    assert_true(before < COMMANDS / 2);
    buf_destroy(&flood);
    close(busy[0]);
    close(other[0]);
}

static void test_one_client_too_many_is_told(void **state)
{
    (void)state;
    configure(CONFIG_maxclients, "1");
    int first = connect_client();
    int second = connect_client();

    expect(second, "-ERR max number of clients reached\r\n");
    expect_end(second);
    say(first, "NOW a\r\n");
    expect(first, "+a\r\n");
    close(first);
}

/* ---- ends ---- */

static void test_a_protocol_error_is_answered_in_its_turn(void **state)
{
    (void)state;
    int64_t before = stats_sum(STATS_protocol_errors);
    int fd = connect_client();

    say(fd, "READ a\r\n*1\r\nNOW\r\nNOW b\r\n");
    release(next_held("a"));

    expect(fd, "+a\r\n-ERR Protocol error: expected '$', got 'N'\r\n");
    expect_end(fd);
    assert_int_equal(stats_sum(STATS_protocol_errors), before + 1);
}

static void test_quit_closes_after_its_reply(void **state)
{
    (void)state;
    int fd = connect_client();

    say(fd, "READ a\r\nQUIT\r\nNOW b\r\n");
    release(next_held("a"));

    expect(fd, "+a\r\n+OK\r\n");
    expect_end(fd);
    assert_int_equal(chan_len(chan_rx(ran)), 0);
}

static void test_a_client_may_stop_sending_and_still_read(void **state)
{
    (void)state;
    int fd = connect_client();

    say(fd, "READ a\r\nWRITE b\r\nNOW c\r\nNOW");
    shutdown(fd, SHUT_WR);
    settle();
    release(next_held("a"));
    release(next_held("b"));

    expect(fd, "+a\r\n+b\r\n+c\r\n");
    expect_end(fd);
}

static void test_requests_outlive_their_client(void **state)
{
    (void)state;
    int fd = connect_client();

    say(fd, "READ a\r\nREAD b\r\nREAD c\r\n");
    struct request *a = next_held("a");
    struct request *b = next_held("b");
    struct request *c = next_held("c");
    release(b);
    settle();
    close(fd);
    release(a); /* Its reply meets a socket that nobody reads. */

    assert_ptr_equal(next_of(cancelled), c);
    assert_null(c->client);
    release(c);
    settle();
}

static void test_a_reset_cancels_at_once(void **state)
{
    (void)state;
    int fd = connect_client();

    say(fd, "NOW x\r\nREAD a\r\n");
    struct request *a = next_held("a");
    settle();
    close(fd); /* With "+x" unread: the other end sees a reset. */

    assert_ptr_equal(next_of(cancelled), a);
    release(a);
    settle();
}

static void test_an_idle_client_is_closed(void **state)
{
    (void)state;
    configure(CONFIG_timeout, "1us");
    int idle = connect_client();
    int waiting = connect_client();

    say(waiting, "READ a\r\n");
    struct request *a = next_held("a");

    expect_end(idle);
    configure(CONFIG_timeout, "0s");
    release(a);
    expect(waiting, "+a\r\n");
    close(waiting);
}

/* ---- all at once ---- */

struct closing {
    int64_t deadline_us;
    struct waitgroup done;
};

static void all_closed(void *arg)
{
    struct closing *closing = arg;
    wg_done(&closing->done);
}

static void close_all(void *arg)
{
    struct closing *closing = arg;
    conn_close_all(loop, closing->deadline_us, all_closed, closing);
}

static void begin_closing(struct closing *closing, int64_t after_us)
{
    *closing = (struct closing){.deadline_us = clock_now_us() + after_us};
    wg_init(&closing->done);
    wg_add(&closing->done, 1);
    assert_true(loop_post(loop, close_all, closing));
}

static void test_closing_all_lets_requests_finish(void **state)
{
    (void)state;
    int idle = connect_client();
    int fd = connect_client();
    say(fd, "READ a\r\nWRITE b\r\n");
    struct request *a = next_held("a");

    struct closing closing;
    begin_closing(&closing, PATIENCE_S * INT64_C(1000000));
    expect_end(idle);
    release(a);
    release(next_held("b"));

    expect(fd, "+a\r\n+b\r\n");
    expect_end(fd);
    wg_wait(&closing.done);
    wg_destroy(&closing.done);
    expect_end(connect_client()); /* The door is shut. */
}

static void test_closing_all_ends_at_its_deadline(void **state)
{
    (void)state;
    int fd = connect_client();
    say(fd, "READ a\r\n");
    struct request *a = next_held("a");

    struct closing closing;
    begin_closing(&closing, 1000);
    wg_wait(&closing.done);

    wg_destroy(&closing.done);
    expect_end(fd);
    assert_ptr_equal(next_of(cancelled), a);
    release(a);
}

static void test_closing_none_is_done(void **state)
{
    (void)state;
    struct closing closing;
    begin_closing(&closing, 0);
    wg_wait(&closing.done);
    wg_destroy(&closing.done);
}

static void test_a_loop_takes_its_connections_along(void **state)
{
    (void)state;
    int fd = connect_client();
    say(fd, "READ a\r\n");
    struct request *a = next_held("a");

    loop_free(loop);
    loop = NULL;

    assert_ptr_equal(next_of(cancelled), a);
    expect_end(fd);
    finish(a);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_commands_are_answered),
        TEST(test_a_command_may_come_byte_by_byte),
        TEST(test_replies_keep_the_order_of_the_requests),
        TEST(test_a_first_reply_does_not_wait_for_the_second),
        TEST(test_other_classes_wait_until_those_before_are_done),
        TEST(test_writes_overlap),
        TEST(test_what_waits_survives_more_input),
        TEST(test_pending_requests_are_bounded),
        TEST(test_a_client_that_does_not_read_is_not_served_further),
        TEST(test_a_client_that_is_owed_too_much_is_closed),
        TEST(test_a_push_reaches_an_idle_client),
        TEST(test_pushes_come_after_the_replies_owed_and_in_order),
        TEST(test_a_push_may_come_before_a_reply_that_lets_it),
        TEST(test_pushes_to_a_client_that_has_gone_are_no_matter),
        TEST(test_a_subscriber_that_does_not_read_is_closed),
        TEST(test_a_subscriber_may_be_slow_for_a_while),
        TEST(test_a_client_that_cannot_be_kept_up_with_is_closed),
        TEST(test_a_subscriber_is_never_idle),
        TEST(test_a_busy_client_does_not_starve_another),
        TEST(test_one_client_too_many_is_told),
        TEST(test_a_protocol_error_is_answered_in_its_turn),
        TEST(test_quit_closes_after_its_reply),
        TEST(test_a_client_may_stop_sending_and_still_read),
        TEST(test_requests_outlive_their_client),
        TEST(test_a_reset_cancels_at_once),
        TEST(test_an_idle_client_is_closed),
        TEST(test_closing_all_lets_requests_finish),
        TEST(test_closing_all_ends_at_its_deadline),
        TEST(test_closing_none_is_done),
        TEST(test_a_loop_takes_its_connections_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
