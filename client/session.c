/* SPDX-License-Identifier: MIT */
/*
 * On hiredis 0.14, which speaks RESP2 and blocks.  A struct reply is a
 * redisReply under another name, so nothing is copied.
 */
#include "client/session.h"

#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>

#include "client/print.h"
#include "common/mem.h"

#define ASK_WORDS_MAX 16

struct session {
    redisContext *redis;
    const char *place;  /* Address, for people; in 'place_text'. */
    int64_t timeout_us; /* 0: for ever. */
    const char *error;  /* Why the last receive failed; in 'error_text'. */
    struct buf place_text;
    struct buf error_text;
    bool closed; /* By the server. */
};

static struct timeval timeval_from(int64_t us)
{
    return (struct timeval){.tv_sec = us / 1000000, .tv_usec = us % 1000000};
}

static redisContext *dial(const struct target *target, int64_t timeout_us)
{
    const struct timeval timeout = timeval_from(timeout_us);

    if (target->socket != NULL) {
        return timeout_us > 0
                   ? redisConnectUnixWithTimeout(target->socket, timeout)
                   : redisConnectUnix(target->socket);
    }
    return timeout_us > 0
               ? redisConnectWithTimeout(target->host, target->port, timeout)
               : redisConnect(target->host, target->port);
}

/* Keeps in 'session->error' what went wrong; 'system_error' is errno as the
 * failed call left it. */
static void explain(struct session *session, int system_error)
{
    const redisContext *redis = session->redis;
    struct buf *b = &session->error_text;

    buf_clear(b);
    session->closed = redis->err == REDIS_ERR_EOF ||
                      (redis->err == REDIS_ERR_IO &&
                       (system_error == ECONNRESET || system_error == EPIPE));
    if (session->closed) {
        buf_printf(b, "%s closed the connection", session_place(session));
    } else if (redis->err == REDIS_ERR_IO &&
               (system_error == EAGAIN || system_error == EWOULDBLOCK ||
                system_error == EINPROGRESS || system_error == ETIMEDOUT)) {
        buf_printf(b, "%s did not answer within %.3g s", session_place(session),
                   (double)session->timeout_us / 1e6);
    } else {
        buf_printf(b, "%s: %s", session_place(session), redis->errstr);
    }
    session->error = buf_string(b);
}

/* Sends AUTH and SELECT as 'target' wants them. */
static enum status introduce(struct session *session,
                             const struct target *target, struct buf *why)
{
    char db[16];
    struct reply *replies[2] = {NULL, NULL};
    enum status status = STATUS_OK;
    size_t n = 0;

    if (target->user != NULL) {
        /* There are users who need no password. */
        replies[n++] =
            session_ask(session, "AUTH", target->user,
                        target->password != NULL ? target->password : "", NULL);
    } else if (target->password != NULL) {
        replies[n++] = session_ask(session, "AUTH", target->password, NULL);
    }
    if (target->db != 0) {
        (void)snprintf(db, sizeof(db), "%d", target->db);
        replies[n++] = session_ask(session, "SELECT", db, NULL);
    }
    for (size_t i = 0; i < n; i++) {
        if (status == STATUS_OK && replies[i] == NULL) {
            buf_append_string(why, session_error(session));
            status = STATUS_CONNECTION;
        } else if (status == STATUS_OK &&
                   reply_kind(replies[i]) == REPLY_ERROR) {
            buf_printf(why, "%s answered: ", session_place(session));
            buf_append_slice(why, reply_text(replies[i]));
            status = STATUS_SERVER;
        }
        reply_free(replies[i]);
    }
    return status;
}

enum status session_open(struct session **sessionp, const struct target *target,
                         int64_t timeout_us, struct buf *why)
{
    struct session *session = xcalloc(1, sizeof(*session));
    enum status status;

    session->timeout_us = timeout_us;
    target_describe(target, &session->place_text);
    session->place = buf_string(&session->place_text);
    session->redis = dial(target, timeout_us);
    if (session->redis == NULL) {
        buf_append_string(why, "out of memory");
        status = STATUS_CONNECTION;
        goto fail;
    }
    if (session->redis->err != 0) {
        buf_printf(why, "cannot connect to %s: %s", session_place(session),
                   session->redis->errstr);
        status = STATUS_CONNECTION;
        goto fail;
    }
    if (timeout_us > 0) {
        (void)redisSetTimeout(session->redis, timeval_from(timeout_us));
    }
    status = introduce(session, target, why);
    if (status != STATUS_OK) {
        goto fail;
    }
    *sessionp = session;
    return STATUS_OK;
fail:
    session_close(session);
    return status;
}

void session_close(struct session *session)
{
    if (session == NULL) {
        return;
    }
    if (session->redis != NULL) {
        redisFree(session->redis);
    }
    buf_destroy(&session->place_text);
    buf_destroy(&session->error_text);
    free(session);
}

void session_send(struct session *session, const struct slice *words,
                  size_t count)
{
    const char **data = xmalloc((count + 1) * sizeof(*data));
    size_t *sizes = xmalloc((count + 1) * sizeof(*sizes));

    for (size_t i = 0; i < count; i++) {
        data[i] = words[i].size > 0 ? words[i].data : "";
        sizes[i] = words[i].size;
    }
    /* Fails only for want of memory, and then says so at the next receive. */
    (void)redisAppendCommandArgv(session->redis, (int)count, data, sizes);
    free(sizes);
    free(data);
}

struct reply *session_receive(struct session *session)
{
    void *reply = NULL;

    errno = 0;
    if (redisGetReply(session->redis, &reply) != REDIS_OK) {
        explain(session, errno);
        return NULL;
    }
    return reply;
}

/* Sends all that is waiting.  False: the server is gone. */
static bool flush(redisContext *redis)
{
    int done = 0;

    while (!done) {
        if (redisBufferWrite(redis, &done) != REDIS_OK) {
            return false;
        }
    }
    return true;
}

enum session_event session_await(struct session *session, int wake_fd,
                                 int64_t timeout_us, struct reply **replyp)
{
    redisContext *const redis = session->redis;
    const int timeout_ms = timeout_us == 0 ? -1
                           : timeout_us / 1000 >= INT32_MAX
                               ? INT32_MAX
                               : (int)(timeout_us / 1000) + 1;
    void *reply = NULL;

    errno = 0;
    if (!flush(redis)) {
        explain(session, errno);
        return SESSION_LOST;
    }
    for (;;) {
        struct pollfd polled[] = {{.fd = redis->fd, .events = POLLIN},
                                  {.fd = wake_fd, .events = POLLIN}};
        errno = 0;
        if (redisGetReplyFromReader(redis, &reply) != REDIS_OK) {
            break;
        }
        if (reply != NULL) {
            *replyp = reply;
            return SESSION_REPLY;
        }
        const int n = poll(polled, ARRAY_LEN(polled), timeout_ms);
        if (n == 0) {
            return SESSION_QUIET;
        }
        if (n > 0 && polled[1].revents != 0) {
            return SESSION_WOKEN;
        }
        if (n > 0 && redisBufferRead(redis) != REDIS_OK) {
            break;
        }
    }
    explain(session, errno);
    return SESSION_LOST;
}

struct reply *session_ask(struct session *session, const char *word, ...)
{
    struct slice words[ASK_WORDS_MAX];
    size_t count = 0;
    va_list args;

    va_start(args, word);
    while (word != NULL && count < ASK_WORDS_MAX) {
        words[count++] = slice_from_string(word);
        word = va_arg(args, const char *);
    }
    va_end(args);
    session_send(session, words, count);
    return session_receive(session);
}

const char *session_error(const struct session *session)
{
    return session->error;
}

bool session_was_closed(const struct session *session)
{
    return session->closed;
}

const char *session_place(const struct session *session)
{
    return session->place;
}

enum status session_check(const struct session *session,
                          const struct reply *reply)
{
    if (reply == NULL) {
        complain("%s", session_error(session));
        return STATUS_CONNECTION;
    }
    if (reply_kind(reply) == REPLY_ERROR) {
        const struct slice text = reply_text(reply);
        complain("%s answered: %.*s", session_place(session), (int)text.size,
                 text.data);
        return STATUS_SERVER;
    }
    return STATUS_OK;
}

/* ---- replies ---- */

static const redisReply *raw(const struct reply *reply)
{
    return (const redisReply *)(const void *)reply;
}

enum reply_kind reply_kind(const struct reply *reply)
{
    switch (raw(reply)->type) {
    case REDIS_REPLY_STRING:
        return REPLY_STRING;
    case REDIS_REPLY_STATUS:
        return REPLY_STATUS;
    case REDIS_REPLY_ERROR:
        return REPLY_ERROR;
    case REDIS_REPLY_INTEGER:
        return REPLY_INTEGER;
    case REDIS_REPLY_ARRAY:
        return REPLY_ARRAY;
    default:
        return REPLY_NIL;
    }
}

struct slice reply_text(const struct reply *reply)
{
    switch (raw(reply)->type) {
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
    case REDIS_REPLY_ERROR:
        return slice_make(raw(reply)->str, raw(reply)->len);
    default:
        return SLICE("");
    }
}

int64_t reply_integer(const struct reply *reply)
{
    return raw(reply)->type == REDIS_REPLY_INTEGER ? raw(reply)->integer : 0;
}

size_t reply_count(const struct reply *reply)
{
    return raw(reply)->type == REDIS_REPLY_ARRAY ? raw(reply)->elements : 0;
}

const struct reply *reply_at(const struct reply *reply, size_t index)
{
    return (const struct reply *)(const void *)raw(reply)->element[index];
}

const struct reply *reply_field(const struct reply *reply, const char *name)
{
    for (size_t i = 0; i + 1 < reply_count(reply); i += 2) {
        if (slice_equal(reply_text(reply_at(reply, i)),
                        slice_from_string(name))) {
            return reply_at(reply, i + 1);
        }
    }
    return NULL;
}

void reply_free(struct reply *reply)
{
    if (reply != NULL) {
        freeReplyObject(reply);
    }
}
