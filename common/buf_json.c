/* SPDX-License-Identifier: MIT */
/*
 * Bytes as a JSON string: whatever comes in, valid JSON in valid UTF-8 goes
 * out.
 *
 * Bytes that are no UTF-8 are replaced as Unicode recommends ("substitution
 * of maximal subparts"): each longest run that could have begun a character
 * becomes one U+FFFD.  So a cut-off euro sign gives one, and a lone
 * continuation byte gives one too.
 * Source: RFC 8259 section 7; Unicode 15, table 3-7 and section 3.9.
 */
#include "common/buf.h"

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD in UTF-8. */

/* Reads one character that begins with a byte above 0x7F at 'at', where 'left'
 * bytes are.  Returns how many bytes belong together and says in '*valid'
 * whether they are a character. */
static size_t read_character(const unsigned char *at, size_t left, bool *valid)
{
    const unsigned char lead = at[0];
    /* What the second byte may be; narrower after some leads, to exclude the
     * overlong forms, the surrogates, and what is above U+10FFFF. */
    unsigned char low = 0x80;
    unsigned char high = 0xBF;
    size_t length;

    if (lead >= 0xC2 && lead <= 0xDF) {
        length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        length = 3;
        low = lead == 0xE0 ? 0xA0 : 0x80;
        high = lead == 0xED ? 0x9F : 0xBF;
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        length = 4;
        low = lead == 0xF0 ? 0x90 : 0x80;
        high = lead == 0xF4 ? 0x8F : 0xBF;
    } else {
        *valid = false;
        return 1;
    }
    for (size_t i = 1; i < length; i++) {
        if (i == left || at[i] < low || at[i] > high) {
            *valid = false;
            return i;
        }
        low = 0x80;
        high = 0xBF;
    }
    *valid = true;
    return length;
}

static void append_escaped(struct buf *b, unsigned char c)
{
    switch (c) {
    case '"':
        buf_append_string(b, "\\\"");
        break;
    case '\\':
        buf_append_string(b, "\\\\");
        break;
    case '\b':
        buf_append_string(b, "\\b");
        break;
    case '\f':
        buf_append_string(b, "\\f");
        break;
    case '\n':
        buf_append_string(b, "\\n");
        break;
    case '\r':
        buf_append_string(b, "\\r");
        break;
    case '\t':
        buf_append_string(b, "\\t");
        break;
    default:
        buf_printf(b, "\\u%04x", c);
        break;
    }
}

void buf_append_json(struct buf *b, struct slice s)
{
    const unsigned char *at = (const unsigned char *)s.data;
    size_t left = s.size;
    size_t plain = 0; /* Bytes from 'at' on that go out as they are. */

    buf_append_char(b, '"');
    while (plain < left) {
        const unsigned char c = at[plain];
        size_t length = 1;
        bool valid = true;

        if (c > 0x7F) {
            length = read_character(at + plain, left - plain, &valid);
        }
        if (valid && c >= 0x20 && c != '"' && c != '\\') {
            plain += length;
            continue;
        }
        buf_append(b, at, plain);
        if (valid) {
            append_escaped(b, c);
        } else {
            buf_append_string(b, REPLACEMENT);
        }
        at += plain + length;
        left -= plain + length;
        plain = 0;
    }
    buf_append(b, at, plain);
    buf_append_char(b, '"');
}
