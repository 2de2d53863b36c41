/* SPDX-License-Identifier: MIT */
/*
 * A book as bookctl sees it: four columns of text, each of which may be
 * missing, and the key it has in bookd.
 *
 * Thread-safety: plain values that borrow their bytes.
 */
#ifndef CLIENT_BOOK_H
#define CLIENT_BOOK_H

#include "client/output.h"
#include "common/buf.h"

struct reply;
struct session;

enum book_column { BOOK_ID, BOOK_TITLE, BOOK_AUTHOR, BOOK_YEAR, BOOK_COLUMNS };

/* Names and types, in the order of the table. */
extern const struct column book_columns[BOOK_COLUMNS];

#define BOOK_KEYS "book:*" /* The pattern of all keys. */

struct book {
    struct cell cells[BOOK_COLUMNS];
};

/* The column called 'name', or BOOK_COLUMNS. */
enum book_column book_column(struct slice name);

/* Appends the key of the book 'id'. */
void book_key(struct buf *b, int64_t id);
/* The id in a key; false if it is not the key of a book. */
bool book_id_from_key(struct slice key, int64_t *id);
/* The number in the id cell; false if there is none. */
bool book_id(const struct book *book, int64_t *id);

/* Reads the reply to HGETALL.  False if it says that there is no book. */
bool book_from_hash(struct book *book, const struct reply *reply);

/* Reads a book from its JSON object, as GET gives it; the bytes go to 'text',
 * which must outlive the book.  False if it is none. */
bool book_from_json(struct book *book, struct slice json, struct buf *text);

/* Appends the book as a JSON object, as bookd takes and gives it. */
void book_json(struct buf *b, const struct book *book);

/* Has 'session' send the whole of 'book' as the book 'id', in place of what is
 * there; the reply is still to be received. */
void book_send(const struct book *book, int64_t id, struct session *session);

#endif
