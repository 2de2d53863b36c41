/* SPDX-License-Identifier: MIT */
/*
 * Reading a URI from left to right: scheme, what is before the last '@', the
 * host (in brackets when it is an IPv6 address), the port, the database.
 * Source: RFC 3986; the meaning of the parts is that of redis-cli.
 */
#include "client/target.h"

#include "common/mem.h"

#include <string.h>

void target_init(struct target *target)
{
    *target =
        (struct target){.host = xstrdup(TARGET_HOST), .port = TARGET_PORT};
}

void target_destroy(struct target *target)
{
    free(target->host);
    free(target->socket);
    free(target->user);
    free(target->password);
    *target = (struct target){0};
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A string with each %XX replaced by its byte; NULL if one is malformed or
 * names the byte 0. */
static char *decode(struct slice s)
{
    char *text = xmalloc(s.size + 1);
    size_t n = 0;

    for (size_t i = 0; i < s.size; i++) {
        char c = s.data[i];
        if (c == '%') {
            const int high = i + 2 < s.size ? hex_digit(s.data[i + 1]) : -1;
            const int low = i + 2 < s.size ? hex_digit(s.data[i + 2]) : -1;
            c = (char)(high * 16 + low);
            if (high < 0 || low < 0 || c == '\0') {
                free(text);
                return NULL;
            }
            i += 2;
        }
        text[n++] = c;
    }
    text[n] = '\0';
    return text;
}

/* Cuts what is before the first 'separator' off the front of '*rest'; all of
 * it when there is no separator.  Returns whether there was one. */
static bool cut(struct slice *rest, char separator, struct slice *front)
{
    const char *at = memchr(rest->data, separator, rest->size);

    if (at == NULL) {
        *front = *rest;
        *rest = slice_make(rest->data + rest->size, 0);
        return false;
    }
    *front = slice_make(rest->data, (size_t)(at - rest->data));
    *rest = slice_make(at + 1, rest->size - front->size - 1);
    return true;
}

static bool parse_credentials(struct target *target, struct slice text)
{
    struct slice user;
    const bool has_password = cut(&text, ':', &user);

    if (user.size > 0) {
        target->user = decode(user);
        if (target->user == NULL) {
            return false;
        }
    }
    if (has_password) {
        target->password = decode(text);
        if (target->password == NULL) {
            return false;
        }
    }
    return true;
}

static bool parse_number(struct slice text, int64_t min, int64_t max,
                         int *number)
{
    int64_t value;

    if (!slice_to_int64(text, &value) || value < min || value > max) {
        return false;
    }
    *number = (int)value;
    return true;
}

static bool parse_place(struct target *target, struct slice text)
{
    struct slice host = text;

    if (text.size > 0 && text.data[0] == '[') {
        text = slice_make(text.data + 1, text.size - 1);
        if (!cut(&text, ']', &host) || (text.size > 0 && text.data[0] != ':')) {
            return false;
        }
        if (text.size > 0) {
            text = slice_make(text.data + 1, text.size - 1);
        }
    } else {
        cut(&text, ':', &host);
    }
    if (host.size > 0) {
        free(target->host);
        target->host = decode(host);
    }
    return target->host != NULL &&
           (text.size == 0 || parse_number(text, 1, 65535, &target->port));
}

/* What follows "redis://"; returns NULL or what is wrong. */
static const char *parse_redis(struct target *target, struct slice rest)
{
    const char *at = memrchr(rest.data, '@', rest.size);
    struct slice place;

    if (at != NULL) {
        const size_t size = (size_t)(at - rest.data);
        if (!parse_credentials(target, slice_make(rest.data, size))) {
            return "a malformed % in the user or the password";
        }
        rest = slice_make(at + 1, rest.size - size - 1);
    }
    cut(&rest, '/', &place);
    if (!parse_place(target, place)) {
        return "the host or the port is malformed";
    }
    if (rest.size > 0 && !parse_number(rest, 0, INT32_MAX, &target->db)) {
        return "the database behind the / is not a number";
    }
    return NULL;
}

enum err target_parse(struct target *target, const char *uri, struct buf *why)
{
    const struct slice text = slice_from_string(uri);
    const struct slice redis = SLICE("redis://");
    const struct slice local = SLICE("unix://");
    struct target parsed;
    const char *wrong = NULL;

    target_init(&parsed);
    if (slice_has_prefix(text, redis)) {
        wrong = parse_redis(&parsed, slice_make(text.data + redis.size,
                                                text.size - redis.size));
    } else if (slice_has_prefix(text, local)) {
        if (text.size == local.size) {
            wrong = "the path is missing";
        } else {
            target_set_socket(&parsed, uri + local.size);
        }
    } else if (slice_has_prefix(text, SLICE("rediss://"))) {
        wrong = "rediss:// needs TLS, which bookctl does not speak";
    } else {
        wrong = "it must begin with redis:// or unix://";
    }
    if (wrong != NULL) {
        buf_append_string(why, wrong);
        target_destroy(&parsed);
        return ERR_INVALID;
    }
    target_destroy(target);
    *target = parsed;
    return ERR_OK;
}

enum err target_set_tcp(struct target *target, const char *host, int64_t port)
{
    if (port < 0 || port > 65535) {
        return ERR_RANGE;
    }
    free(target->socket);
    target->socket = NULL;
    if (host != NULL) {
        free(target->host);
        target->host = xstrdup(host);
    } else if (target->host == NULL) {
        target->host = xstrdup(TARGET_HOST);
    }
    if (port != 0) {
        target->port = (int)port;
    }
    return ERR_OK;
}

void target_set_socket(struct target *target, const char *path)
{
    free(target->socket);
    target->socket = xstrdup(path);
    free(target->host);
    target->host = NULL;
}

void target_describe(const struct target *target, struct buf *out)
{
    if (target->socket != NULL) {
        buf_append_string(out, target->socket);
    } else if (strchr(target->host, ':') != NULL) {
        buf_printf(out, "[%s]:%d", target->host, target->port);
    } else {
        buf_printf(out, "%s:%d", target->host, target->port);
    }
}
