/* SPDX-License-Identifier: MIT */
/*
 * HSCAN.
 *
 * Each field of a hash has a place that its name alone decides: where in the
 * numbers below 2^63 its hash lies.  A page of HSCAN is all fields in a stretch
 * of these numbers, and the cursor is where the next stretch begins.  So a
 * field that is there throughout is answered, once, whatever is written
 * meanwhile, and nobody keeps a state.  A stretch is as long as 'COUNT' fields
 * need on average.  Small hashes, and records, are answered whole.
 */
#include "common/glob.h"
#include "common/hash.h"
#include "server/command/args.h"
#include "server/command/handlers.h"
#include "server/command/hash_read.h"
#include "server/command/read.h"

#define COUNT_DEFAULT 10
/* Up to so many fields are one page, whatever COUNT says: as many as
 * redis.conf has Redis keep, and answer, in one piece. */
#define PAGE_FIELDS_MIN 512

#define PLACES ((uint64_t)1 << 63)

/* Bytes of a reply beside a name and a value: their sizes and line ends. */
#define FIELD_BYTES 32

struct page {
    uint64_t first, end; /* Places; 'end' is no part of it. */
    struct slice pattern;
};

/* The same from one run of the program to the next, as cursors are. */
static uint64_t place_of(struct slice name)
{
    return hash_bytes_keyed(name, 0, 0) >> 1;
}

static bool is_in(const struct page *page, struct slice name)
{
    if (page->first > 0 || page->end < PLACES) {
        const uint64_t place = place_of(name);
        if (place < page->first || place >= page->end) {
            return false;
        }
    }
    return glob_match(page->pattern, name, false);
}

/* Reads the options from argument 3 on; replies on error. */
static bool scan_options(struct request *r, struct slice *pattern,
                         int64_t *count)
{
    for (size_t i = 3; i < r->argc; i += 2) {
        const bool has_value = i + 1 < r->argc;
        if (has_value && arg_is(r, i, "MATCH")) {
            *pattern = r->argv[i + 1];
        } else if (has_value && arg_is(r, i, "COUNT")) {
            if (!arg_integer(r, i + 1, count)) {
                return false;
            }
            if (*count < 1) {
                reply_err(&r->reply, ERR_SYNTAX, NULL);
                return false;
            }
        } else {
            reply_err(&r->reply, ERR_SYNTAX, NULL);
            return false;
        }
    }
    return true;
}

/* The page of about 'count' of 'n' fields that begins at 'cursor'. */
static struct page page_at(uint64_t cursor, size_t n, uint64_t count)
{
    const uint64_t at_least = count > PAGE_FIELDS_MIN ? count : PAGE_FIELDS_MIN;
    struct page page = {.first = 0, .end = PLACES};

    if (n > at_least) {
        const uint64_t length = PLACES / n * at_least;
        page.first = cursor < PLACES ? cursor : PLACES; /* Any is harmless. */
        page.end = length < PLACES - page.first ? page.first + length : PLACES;
    }
    return page;
}

/* The elements are written aside, until it is known how many they are. */
static void reply_page(struct request *r, struct fields *fields,
                       const struct page *page)
{
    struct buf elements = {0};
    struct reply aside = {.out = &elements, .protocol = r->reply.protocol};
    struct slice name;
    struct slice value;
    size_t n = 0;

    if (buf_try_reserve(&elements, fields->bytes.size +
                                       fields_count(fields) * FIELD_BYTES) ==
        NULL) {
        reply_err(&r->reply, ERR_NOMEM, NULL);
        return;
    }
    while (fields_next(fields, &name, &value)) {
        if (is_in(page, name)) {
            reply_bulk(&aside, name);
            reply_bulk(&aside, value);
            n += 2;
        }
    }
    reply_array(&r->reply, 2);
    reply_bulk_int64(&r->reply, page->end < PLACES ? (int64_t)page->end : 0);
    reply_array(&r->reply, n);
    buf_append_slice(r->reply.out, buf_slice(&elements));
    buf_destroy(&elements);
}

static void empty_scan(struct reply *reply)
{
    reply_array(reply, 2);
    reply_bulk(reply, SLICE("0"));
    reply_array(reply, 0);
}

static void answer_hscan(struct request *r, const struct answer *a)
{
    struct slice pattern = SLICE("*");
    int64_t count = COUNT_DEFAULT;
    uint64_t cursor = 0;
    struct fields fields;

    if (!hash_read(r, a, empty_scan, &fields) ||
        !scan_options(r, &pattern, &count)) {
        return;
    }
    (void)arg_cursor(r, 2, &cursor); /* It is one: cmd_hscan() has looked. */
    struct page page = page_at(cursor, fields_count(&fields), (uint64_t)count);
    page.pattern = pattern;
    reply_page(r, &fields, &page);
}

enum command_status cmd_hscan(struct request *r)
{
    uint64_t cursor;

    if (!arg_cursor(r, 2, &cursor)) {
        return COMMAND_DONE;
    }
    return read_key(r, r->argv[1], answer_hscan);
}
