/* SPDX-License-Identifier: MIT */
#include "server/resp/reply.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

/* A type byte, 20 digits, CRLF, and CRLF behind a value. */
#define HEADER_BYTES 32

/* ---- pieces ---- */

static size_t format_uint64(char *to, uint64_t value)
{
    char digits[20];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    for (size_t i = 0; i < n; i++) {
        to[i] = digits[n - 1 - i];
    }
    return n;
}

/* Writes "<type><number>\r\n" and returns its size. */
static size_t format_header(char *to, char type, uint64_t number)
{
    to[0] = type;
    size_t n = 1 + format_uint64(to + 1, number);
    to[n++] = '\r';
    to[n++] = '\n';
    return n;
}

static void header(struct reply *r, char type, uint64_t number)
{
    char *to = buf_reserve(r->out, HEADER_BYTES);
    buf_commit(r->out, format_header(to, type, number));
}

static void raw(struct reply *r, struct slice text)
{
    buf_append_slice(r->out, text);
}

static bool is_resp3(const struct reply *r)
{
    return r->protocol >= 3;
}

/* ---- lines ---- */

void reply_simple(struct reply *r, const char *text)
{
    buf_append_char(r->out, '+');
    buf_append_string(r->out, text);
    raw(r, SLICE("\r\n"));
}

void reply_ok(struct reply *r)
{
    raw(r, SLICE("+OK\r\n"));
}

/* The first word of an error line; cut if it is too long. */
static void keep_code(struct reply *r, const char *text, size_t size)
{
    size_t n = 0;
    while (n < size && n + 1 < REPLY_CODE_SIZE && text[n] != ' ') {
        n++;
    }
    memcpy(r->error_code, text, n);
    r->error_code[n] = '\0';
}

/* Ends an error line whose text begins at 'start': a line break inside it
 * would let whoever chose the text forge a reply. */
static void end_error(struct reply *r, size_t start)
{
    char *text = buf_data(r->out);
    for (size_t i = start; i < r->out->size; i++) {
        if (text[i] == '\r' || text[i] == '\n') {
            text[i] = ' ';
        }
    }
    keep_code(r, text + start, r->out->size - start);
    raw(r, SLICE("\r\n"));
    r->n_errors++;
}

void reply_error(struct reply *r, const char *text)
{
    buf_append_char(r->out, '-');
    size_t start = r->out->size;
    buf_append_string(r->out, text);
    end_error(r, start);
}

void reply_errorf(struct reply *r, const char *format, ...)
{
    buf_append_char(r->out, '-');
    size_t start = r->out->size;
    va_list args;
    va_start(args, format);
    buf_vprintf(r->out, format, args);
    va_end(args);
    end_error(r, start);
}

void reply_err(struct reply *r, enum err err, const char *detail)
{
    static const char *const texts[ERR_COUNT] = {
#define ERROR(name, code, text) [ERR_##name] = code " " text,
#include "server/resp/errors.def"
#undef ERROR
    };
    if (detail == NULL || detail[0] == '\0') {
        reply_error(r, texts[err]);
    } else {
        reply_errorf(r, "%s: %s", texts[err], detail);
    }
}

/* ---- values ---- */

void reply_integer(struct reply *r, int64_t value)
{
    char *to = buf_reserve(r->out, HEADER_BYTES);
    size_t n = 0;
    to[n++] = ':';
    if (value < 0) {
        to[n++] = '-';
    }
    n += format_uint64(to + n, value < 0 ? -(uint64_t)value : (uint64_t)value);
    to[n++] = '\r';
    to[n++] = '\n';
    buf_commit(r->out, n);
}

void reply_bulk(struct reply *r, struct slice value)
{
    char *to = buf_reserve(r->out, HEADER_BYTES + value.size);
    size_t n = format_header(to, '$', value.size);
    if (value.size > 0) {
        memcpy(to + n, value.data, value.size);
        n += value.size;
    }
    to[n++] = '\r';
    to[n++] = '\n';
    buf_commit(r->out, n);
}

void reply_bulk_string(struct reply *r, const char *value)
{
    reply_bulk(r, slice_from_string(value));
}

/* "-9223372036854775808" and a NUL. */
#define INTEGER_SIZE 21

void reply_bulk_int64(struct reply *r, int64_t value)
{
    char text[INTEGER_SIZE];
    const int size = snprintf(text, sizeof text, "%lld", (long long)value);

    reply_bulk(r, slice_make(text, (size_t)size));
}

void reply_bulkf(struct reply *r, const char *format, ...)
{
    struct buf text = {0};
    va_list args;
    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    reply_bulk(r, buf_slice(&text));
    buf_destroy(&text);
}

void reply_verbatim(struct reply *r, const char *format3, struct slice value)
{
    if (!is_resp3(r)) {
        reply_bulk(r, value);
        return;
    }
    header(r, '=', value.size + 4);
    buf_append(r->out, format3, 3);
    buf_append_char(r->out, ':');
    raw(r, value);
    raw(r, SLICE("\r\n"));
}

void reply_double(struct reply *r, double value)
{
    char text[40];
    if (isinf(value)) {
        snprintf(text, sizeof(text), value > 0 ? "inf" : "-inf");
    } else if (isnan(value)) {
        snprintf(text, sizeof(text), "nan");
    } else {
        snprintf(text, sizeof(text), "%.17g", value);
    }
    if (is_resp3(r)) {
        buf_printf(r->out, ",%s\r\n", text);
    } else {
        reply_bulk_string(r, text);
    }
}

void reply_bool(struct reply *r, bool value)
{
    if (is_resp3(r)) {
        raw(r, value ? SLICE("#t\r\n") : SLICE("#f\r\n"));
    } else {
        reply_integer(r, value ? 1 : 0);
    }
}

void reply_null(struct reply *r)
{
    raw(r, is_resp3(r) ? SLICE("_\r\n") : SLICE("$-1\r\n"));
}

void reply_null_array(struct reply *r)
{
    raw(r, is_resp3(r) ? SLICE("_\r\n") : SLICE("*-1\r\n"));
}

/* ---- headers ---- */

void reply_array(struct reply *r, size_t n)
{
    header(r, '*', n);
}

void reply_map(struct reply *r, size_t n)
{
    if (is_resp3(r)) {
        header(r, '%', n);
    } else {
        header(r, '*', 2 * n);
    }
}

void reply_set(struct reply *r, size_t n)
{
    header(r, is_resp3(r) ? '~' : '*', n);
}

void reply_push(struct reply *r, size_t n)
{
    header(r, is_resp3(r) ? '>' : '*', n);
}

void reply_big_number(struct reply *r, const char *digits)
{
    if (!is_resp3(r)) {
        reply_bulk_string(r, digits);
        return;
    }
    buf_append_char(r->out, '(');
    buf_append_string(r->out, digits);
    raw(r, SLICE("\r\n"));
}

void reply_attribute(struct reply *r, size_t n)
{
    assert(is_resp3(r));
    header(r, '|', n);
}
