/* SPDX-License-Identifier: MIT */
/*
 * Books by the hundred: all ids of the store, and the books of given ids, in
 * pipelines of FETCH_BATCH.
 *
 * Thread-safety: none; one owner.
 */
#ifndef CLIENT_FETCH_H
#define CLIENT_FETCH_H

#include "client/book.h"
#include "client/status.h"
#include "common/attr.h"

struct args;
struct session;

#define FETCH_BATCH 500 /* A pipeline fills the round trip, not the memory. */

struct id_list {
    int64_t *ids;
    size_t count;
    size_t capacity;
};

void id_list_add(struct id_list *list, int64_t id);
void id_list_destroy(struct id_list *list);

/* Reads 'word' as the id of a book; complains if it is none. */
NODISCARD
bool fetch_parse_id(const char *word, int64_t *id);

/* Reads all arguments as ids of books; complains if one is none. */
NODISCARD
bool fetch_parse_ids(const struct args *args, struct id_list *list);

/* The ids of all books, ascending, each once.  Complains on failure. */
NODISCARD
enum status fetch_ids(struct session *session, struct id_list *list);

/* How fresh books have to be, and how long to wait for that. */
struct fetch_bounds {
    int64_t max_age_ms; /* These three: FETCH_NO_BOUND if not asked for. */
    int64_t stale_ms;
    int64_t wait_ms;
};

#define FETCH_NO_BOUND (-1)

/* Called for each id in the order given, with its book or with NULL where
 * there is none.  Returns false to stop. */
typedef bool fetch_fn(int64_t id, const struct book *book, void *context);

/* Asks for the books 'ids', within 'bounds' if that is not NULL.  An error about one book is complained of, and the
 * others still come; the result is the worst that happened. */
NODISCARD
enum status fetch_books(struct session *session, const int64_t *ids,
                        size_t count, const struct fetch_bounds *bounds,
                        fetch_fn *each, void *context);

#endif
