/* SPDX-License-Identifier: MIT */
/*
 * Reads a flat JSON object, as bookd gives a record: names, and values that
 * are strings, numbers, true, false or null.  Nested values are refused.
 * Source: RFC 8259.
 *
 * Thread-safety: none; one owner.
 */
#ifndef CLIENT_JSON_H
#define CLIENT_JSON_H

#include "common/buf.h"

struct json_member {
    struct buf name;
    struct buf value; /* Of a string its characters, else as spelled. */
    bool null;
};

struct json {
    struct slice rest; /* Not read yet. */
    bool started;
    bool failed; /* Out: the text is no flat object. */
};

static inline struct json json_make(struct slice text)
{
    return (struct json){.rest = text};
}

/* Reads the next member into 'member', whose buffers are used again.  False
 * at the end, or when 'json->failed'. */
bool json_next(struct json *json, struct json_member *member);
void json_member_destroy(struct json_member *member);

#endif
