/* SPDX-License-Identifier: MIT */
/*
 * why: what a get would be answered now, by whom, and for which reason: in a
 * sentence, and below it everything that bookd says (BOOK.WHY).
 *
 *     book:3: the cache would answer: its copy is 12.3 s old, fresh for
 *     another 47.7 s.
 *       table      books
 *       state      fresh
 *       …
 *
 * The facts are bookd's; only the sentence is made here.  A state or an answer
 * that is not known here, of a newer bookd, is told in bookd's own words.
 */
#include "client/client.h"
#include "client/fetch.h"
#include "client/print.h"

#include <inttypes.h>

/* ---- what bookd says ---- */

static struct slice text_of(const struct reply *why, const char *name)
{
    const struct reply *const value = reply_field(why, name);

    return value != NULL ? reply_text(value) : SLICE("");
}

static bool is(const struct reply *why, const char *name, const char *text)
{
    return slice_equal(text_of(why, name), slice_from_string(text));
}

static int64_t number_of(const struct reply *why, const char *name)
{
    const struct reply *const value = reply_field(why, name);

    return value != NULL ? reply_integer(value) : 0;
}

static bool has_copy(const struct reply *why)
{
    return reply_field(why, "age-ms") != NULL;
}

/* ---- the sentence ---- */

static void append_field(struct buf *b, const struct reply *why,
                         const char *name)
{
    print_safe(b, text_of(why, name));
}

static void append_who(struct buf *b, const struct reply *why)
{
    static const struct {
        const char *answers, *text;
    } known[] = {
        {"cache", "the cache would answer"},
        {"store", "the store would be asked"},
        {"both", "cache and store would both be asked"},
        {"nobody", "nobody would be asked"},
    };

    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (is(why, "answers", known[i].answers)) {
            buf_append_string(b, known[i].text);
            return;
        }
    }
    append_field(b, why, "answers");
}

/* ", fresh for another 47 s" or ", past its max-age by 3 s". */
static void append_freshness(struct buf *b, const struct reply *why)
{
    const int64_t left_ms = number_of(why, "max-age-left-ms");

    if (left_ms > 0) {
        buf_append_string(b, ", fresh for another ");
        print_duration(b, left_ms);
    } else {
        buf_append_string(b, ", past its max-age by ");
        print_duration(b, -left_ms);
    }
}

/* What there is in the cache. */
static void append_copy(struct buf *b, const struct reply *why)
{
    const int64_t age_ms = number_of(why, "age-ms");

    if (is(why, "state", "negative")) {
        const int64_t left_ms = number_of(why, "max-age-left-ms");
        print_duration(b, age_ms);
        buf_append_string(b, " ago the store had no such row, which is ");
        buf_append_string(b, left_ms > 0 ? "believed for another "
                                         : "believed no longer");
        if (left_ms > 0) {
            print_duration(b, left_ms);
        }
        return;
    }
    buf_append_string(b, "its copy is ");
    print_duration(b, age_ms);
    buf_append_string(b, " old");
    if (is(why, "state", "dirty")) {
        buf_append_string(b, ", a write that is not in the store yet");
    } else if (is(why, "state", "memory")) {
        buf_append_string(b, ", kept in memory only");
    } else {
        append_freshness(b, why);
    }
}

/* What becomes of a stale copy, and who has the last word. */
static void append_rules(struct buf *b, const struct reply *why)
{
    const int64_t stale_ms = number_of(why, "stale-while-revalidate-left-ms");

    if (is(why, "answers", "both")) {
        buf_append_string(b, "; race is always, so the first answer wins");
    } else if (is(why, "state", "stale") && is(why, "answers", "cache")) {
        buf_append_string(b, "; for another ");
        print_duration(b, stale_ms);
        buf_append_string(
            b, " it may answer while the store is asked for a newer one");
    } else if (is(why, "state", "stale")) {
        buf_append_string(b, "; race is ");
        append_field(b, why, "race");
        buf_append_string(b, ", so it does not answer while the store can");
    }
}

/* The copy as a last resort. */
static void append_resort(struct buf *b, const struct reply *why)
{
    const int64_t error_ms = number_of(why, "stale-if-error-left-ms");

    if ((is(why, "state", "old") || is(why, "state", "stale")) &&
        error_ms > 0) {
        buf_append_string(
            b, " If the store fails, the copy may answer for another ");
        print_duration(b, error_ms);
        buf_append_char(b, '.');
    }
}

static void append_flight(struct buf *b, const struct reply *why)
{
    const int64_t waiters = number_of(why, "flight-waiters");

    if (!is(why, "flight", "yes")) {
        return;
    }
    buf_append_string(b, " A read of the store is under way for ");
    print_duration(b, number_of(why, "flight-age-ms"));
    buf_append_string(b, ", and ");
    if (waiters == 0) {
        buf_append_string(b, "nobody waits for it.");
    } else {
        print_count(b, waiters, "lookup waits", "lookups wait");
        buf_append_string(b, " for it.");
    }
}

static void append_sentence(struct buf *b, const char *key,
                            const struct reply *why)
{
    buf_printf(b, "%s: ", key);
    append_who(b, why);
    buf_append_string(b, ": ");
    if (has_copy(why)) {
        append_copy(b, why);
        append_rules(b, why);
    } else {
        append_field(b, why, "reason");
    }
    buf_append_char(b, '.');
    append_resort(b, why);
    append_flight(b, why);
    buf_append_char(b, '\n');
}

/* ---- everything ---- */

static void append_value(struct buf *b, const struct reply *value)
{
    if (reply_kind(value) == REPLY_INTEGER) {
        buf_append_int64(b, reply_integer(value));
    } else {
        print_safe(b, reply_text(value));
    }
}

/* One line for each field, the values below each other. */
static void append_table(struct buf *b, const struct reply *why)
{
    const size_t n = reply_count(why);
    size_t width = 0;

    for (size_t i = 0; i < n; i += 2) {
        const size_t size = print_width(reply_text(reply_at(why, i)));
        width = size > width ? size : width;
    }
    for (size_t i = 0; i < n; i += 2) {
        buf_append_string(b, "  ");
        print_cell(b, reply_text(reply_at(why, i)), width, ALIGN_LEFT);
        buf_append_string(b, "  ");
        append_value(b, reply_at(why, i + 1));
        buf_append_char(b, '\n');
    }
}

static void append_json(struct buf *b, const char *key, const struct reply *why)
{
    buf_append_string(b, "{\"key\":");
    buf_append_json(b, slice_from_string(key));
    for (size_t i = 0; i < reply_count(why); i += 2) {
        const struct reply *const value = reply_at(why, i + 1);
        buf_append_char(b, ',');
        buf_append_json(b, reply_text(reply_at(why, i)));
        buf_append_char(b, ':');
        if (reply_kind(value) == REPLY_INTEGER) {
            buf_append_int64(b, reply_integer(value));
        } else {
            buf_append_json(b, reply_text(value));
        }
    }
    buf_append_char(b, '}');
}

/* ---- the command ---- */

/* What separates the answer 'i' of 'n' from the one before. */
static const char *separator(const struct options *options, size_t i, size_t n)
{
    if (!options->json) {
        return i == 0 ? "" : "\n";
    }
    if (n == 1) {
        return "";
    }
    return i == 0 ? "[\n" : ",\n";
}

static enum status explain(const struct client *client, int64_t id, size_t i,
                           size_t n)
{
    const struct options *const options = &client->args->options;
    struct buf key = {0};
    struct buf b = {0};

    book_key(&key, id);
    struct reply *const why =
        session_ask(client->session, "BOOK.WHY", buf_string(&key), NULL);
    enum status status = session_check(client->session, why);
    if (status == STATUS_OK &&
        (reply_kind(why) != REPLY_ARRAY || reply_count(why) % 2 != 0)) {
        complain("%s does not answer BOOK.WHY as it should",
                 session_place(client->session));
        status = STATUS_SERVER;
    }
    if (status == STATUS_OK) {
        buf_append_string(&b, separator(options, i, n));
        if (options->json) {
            append_json(&b, buf_string(&key), why);
        } else {
            append_sentence(&b, buf_string(&key), why);
            append_table(&b, why);
        }
        print_write(stdout, &b);
    }
    reply_free(why);
    buf_destroy(&key);
    buf_destroy(&b);
    return status;
}

enum status command_why(struct client *client)
{
    struct id_list list = {0};
    enum status status = STATUS_USAGE;

    if (fetch_parse_ids(client->args, &list)) {
        status = client_connect(client);
    }
    for (size_t i = 0; i < list.count && status == STATUS_OK; i++) {
        status = explain(client, list.ids[i], i, list.count);
    }
    if (client->args->options.json && status == STATUS_OK) {
        (void)fputs(list.count > 1 ? "\n]\n" : "\n", stdout);
    }
    id_list_destroy(&list);
    return status;
}
