/* SPDX-License-Identifier: MIT */
/*
 * SCAN may give a key twice and promises no order, so the ids are collected
 * and sorted before anything is shown: eight bytes a book.
 */
#include "client/fetch.h"

#include "client/print.h"
#include "client/session.h"
#include "common/mem.h"

#include <inttypes.h>

#define SCAN_COUNT "1000" /* Keys a page. */

void id_list_add(struct id_list *list, int64_t id)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity * 2 + 64;
        list->ids = xrealloc(list->ids, list->capacity * sizeof(*list->ids));
    }
    list->ids[list->count++] = id;
}

void id_list_destroy(struct id_list *list)
{
    free(list->ids);
    *list = (struct id_list){0};
}

bool fetch_parse_id(const char *word, int64_t *id)
{
    if (!slice_to_int64(slice_from_string(word), id)) {
        complain("%s is no id: an id is a whole number", word);
        return false;
    }
    return true;
}

bool fetch_parse_ids(const struct args *args, struct id_list *list)
{
    for (size_t i = 0; i < args->n_words; i++) {
        int64_t id;
        if (!fetch_parse_id(args->words[i], &id)) {
            return false;
        }
        id_list_add(list, id);
    }
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a;
    const int64_t y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void sort_unique(struct id_list *list)
{
    size_t kept = 0;

    if (list->count == 0) {
        return;
    }
    qsort(list->ids, list->count, sizeof(*list->ids), compare_ids);
    for (size_t i = 1; i < list->count; i++) {
        if (list->ids[i] != list->ids[kept]) {
            list->ids[++kept] = list->ids[i];
        }
    }
    list->count = kept + 1;
}

/* Adds the ids of one page; false if 'reply' is not a page. */
static bool take_page(const struct reply *reply, struct id_list *list,
                      struct buf *cursor)
{
    if (reply_count(reply) != 2) {
        return false;
    }
    const struct reply *keys = reply_at(reply, 1);
    for (size_t i = 0; i < reply_count(keys); i++) {
        int64_t id;
        if (book_id_from_key(reply_text(reply_at(keys, i)), &id)) {
            id_list_add(list, id);
        }
    }
    buf_clear(cursor);
    buf_append_slice(cursor, reply_text(reply_at(reply, 0)));
    return cursor->size > 0;
}

enum status fetch_ids(struct session *session, struct id_list *list)
{
    struct buf cursor = {0};
    enum status status;

    buf_append_char(&cursor, '0');
    do {
        struct reply *reply =
            session_ask(session, "SCAN", buf_string(&cursor), "MATCH",
                        BOOK_KEYS, "COUNT", SCAN_COUNT, NULL);
        status = session_check(session, reply);
        if (status == STATUS_OK && !take_page(reply, list, &cursor)) {
            complain("%s does not answer SCAN as it should",
                     session_place(session));
            status = STATUS_SERVER;
        }
        reply_free(reply);
    } while (status == STATUS_OK && strcmp(buf_string(&cursor), "0") != 0);
    buf_destroy(&cursor);
    sort_unique(list);
    return status;
}

/* The words behind the key of a BOOK.GET. */
struct bound_words {
    char numbers[3][24];
    struct slice words[6];
    size_t count;
};

static void add_bound(struct bound_words *w, const char *name, int64_t ms)
{
    char *const number = w->numbers[w->count / 2];

    if (ms != FETCH_NO_BOUND) {
        (void)snprintf(number, sizeof(w->numbers[0]), "%" PRId64, ms);
        w->words[w->count++] = slice_from_string(name);
        w->words[w->count++] = slice_from_string(number);
    }
}

/* Sends the question about one book; HGETALL knows of no bounds. */
static void ask_one(struct session *session, struct slice key,
                    const struct fetch_bounds *bounds)
{
    struct slice words[2 + 6] = {SLICE("HGETALL"), key};
    struct bound_words w = {.count = 0};

    if (bounds != NULL) {
        words[0] = SLICE("BOOK.GET");
        add_bound(&w, "MAXAGE", bounds->max_age_ms);
        add_bound(&w, "STALE", bounds->stale_ms);
        add_bound(&w, "WAIT", bounds->wait_ms);
        memcpy(words + 2, w.words, w.count * sizeof(*words));
    }
    session_send(session, words, 2 + w.count);
}

static void ask_batch(struct session *session, const int64_t *ids, size_t count,
                      const struct fetch_bounds *bounds)
{
    struct buf key = {0};

    for (size_t i = 0; i < count; i++) {
        buf_clear(&key);
        book_key(&key, ids[i]);
        ask_one(session, buf_slice(&key), bounds);
    }
    buf_destroy(&key);
}

/* Reads either answer; false if there is no such book.  'text' is for the
 * bytes of the book. */
static bool read_book(struct book *book, const struct reply *reply,
                      struct buf *text)
{
    const struct reply *const value = reply_field(reply, "value");

    /* A hash of a book has no field of that name. */
    return value != NULL ? reply_kind(value) == REPLY_STRING &&
                               book_from_json(book, reply_text(value), text)
                         : book_from_hash(book, reply);
}

/* Receives the reply about 'id' and hands it on; '*stop' when there is no use
 * in going on. */
static enum status receive_one(struct session *session, int64_t id,
                               fetch_fn *each, void *context, bool *stop)
{
    struct reply *reply = session_receive(session);
    enum status status = STATUS_OK;
    struct buf bytes = {0};
    struct book book;

    if (reply == NULL) {
        *stop = true;
        status = session_check(session, reply);
    } else if (reply_kind(reply) == REPLY_ERROR) {
        const struct slice text = reply_text(reply);
        complain("book %lld: %s answered: %.*s", (long long)id,
                 session_place(session), (int)text.size, text.data);
        status = STATUS_SERVER;
    } else {
        *stop =
            !each(id, read_book(&book, reply, &bytes) ? &book : NULL, context);
    }
    buf_destroy(&bytes);
    reply_free(reply);
    return status;
}

enum status fetch_books(struct session *session, const int64_t *ids,
                        size_t count, const struct fetch_bounds *bounds,
                        fetch_fn *each, void *context)
{
    enum status worst = STATUS_OK;
    bool stop = false;

    for (size_t first = 0; first < count && !stop; first += FETCH_BATCH) {
        const size_t left = count - first;
        const size_t n = left < FETCH_BATCH ? left : FETCH_BATCH;

        ask_batch(session, ids + first, n, bounds);
        for (size_t i = 0; i < n && !stop; i++) {
            worst = status_worse(worst, receive_one(session, ids[first + i],
                                                    each, context, &stop));
        }
    }
    return worst;
}
