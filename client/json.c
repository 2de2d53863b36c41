/* SPDX-License-Identifier: MIT */
/*
 * One look at the next byte decides; nothing is read twice.
 */
#include "client/json.h"

static int peek(const struct json *json)
{
    return json->rest.size > 0 ? (unsigned char)json->rest.data[0] : -1;
}

static void advance(struct json *json, size_t size)
{
    json->rest = slice_make(json->rest.data + size, json->rest.size - size);
}

static bool take(struct json *json, char c)
{
    while (peek(json) == ' ' || peek(json) == '\t' || peek(json) == '\n' ||
           peek(json) == '\r') {
        advance(json, 1);
    }
    if (peek(json) != (unsigned char)c) {
        return false;
    }
    advance(json, 1);
    return true;
}

/* The four digits of a \u escape. */
static bool take_hex(struct json *json, uint32_t *code)
{
    *code = 0;
    if (json->rest.size < 4) {
        return false;
    }
    for (size_t i = 0; i < 4; i++) {
        const int c = peek(json);
        uint32_t digit;

        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            digit = (uint32_t)((c | 0x20) - 'a' + 10);
        } else {
            return false;
        }
        *code = *code << 4 | digit;
        advance(json, 1);
    }
    return true;
}

static void append_utf8(struct buf *b, uint32_t code)
{
    if (code < 0x80) {
        buf_append_char(b, (char)code);
        return;
    }
    if (code < 0x800) {
        buf_append_char(b, (char)(0xC0 | code >> 6));
    } else {
        if (code < 0x10000) {
            buf_append_char(b, (char)(0xE0 | code >> 12));
        } else {
            buf_append_char(b, (char)(0xF0 | code >> 18));
            buf_append_char(b, (char)(0x80 | (code >> 12 & 0x3F)));
        }
        buf_append_char(b, (char)(0x80 | (code >> 6 & 0x3F)));
    }
    buf_append_char(b, (char)(0x80 | (code & 0x3F)));
}

/* What follows "\u": one code, or two that are a surrogate pair. */
static bool take_unicode(struct json *json, struct buf *out)
{
    uint32_t code;
    uint32_t low;

    if (!take_hex(json, &code)) {
        return false;
    }
    if (code >= 0xD800 && code < 0xDC00) {
        if (!slice_has_prefix(json->rest, SLICE("\\u"))) {
            return false;
        }
        advance(json, 2);
        if (!take_hex(json, &low) || low < 0xDC00 || low > 0xDFFF) {
            return false;
        }
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code <= 0xDFFF) {
        return false;
    }
    append_utf8(out, code);
    return true;
}

static bool take_escape(struct json *json, struct buf *out)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    const int c = peek(json);

    if (c <= 0) {
        return false;
    }
    advance(json, 1);
    if (c == 'u') {
        return take_unicode(json, out);
    }
    const char *at = strchr(letters, c);
    if (at == NULL) {
        return false;
    }
    buf_append_char(out, meanings[at - letters]);
    return true;
}

/* The rest of a string, behind its first quote. */
static bool take_string(struct json *json, struct buf *out)
{
    int c;

    buf_clear(out);
    while ((c = peek(json)) != '"') {
        if (c < 0x20) { /* A control character, or the end. */
            return false;
        }
        advance(json, 1);
        if (c != '\\') {
            buf_append_char(out, (char)c);
        } else if (!take_escape(json, out)) {
            return false;
        }
    }
    advance(json, 1);
    return true;
}

/* A number, true, false or null, by the letters they are made of: bookd wrote
 * it, so how is not examined. */
static bool take_word(struct json *json, struct buf *out)
{
    buf_clear(out);
    while (peek(json) > 0 && strchr("+-.0123456789abcdefghijklmnopqrstuvwxyzE",
                                    peek(json)) != NULL) {
        buf_append_char(out, (char)peek(json));
        advance(json, 1);
    }
    return out->size > 0;
}

static bool take_value(struct json *json, struct json_member *member)
{
    member->null = false;
    if (take(json, '"')) {
        return take_string(json, &member->value);
    }
    if (!take_word(json, &member->value)) {
        return false;
    }
    member->null = slice_equal(buf_slice(&member->value), SLICE("null"));
    return true;
}

bool json_next(struct json *json, struct json_member *member)
{
    const bool first = !json->started;

    json->started = true;
    if (json->failed || (first && !take(json, '{'))) {
        json->failed = true;
        return false;
    }
    if (take(json, '}')) {
        return false;
    }
    json->failed = (!first && !take(json, ',')) || !take(json, '"') ||
                   !take_string(json, &member->name) || !take(json, ':') ||
                   !take_value(json, member);
    return !json->failed;
}

void json_member_destroy(struct json_member *member)
{
    buf_destroy(&member->name);
    buf_destroy(&member->value);
}
