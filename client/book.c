/* SPDX-License-Identifier: MIT */
/*
 * Books from the store and back.  HGETALL leaves missing columns out; the JSON
 * object has them as null, so that a whole book replaces a whole book.
 */
#include "client/book.h"

#include "client/json.h"
#include "client/session.h"

#define PREFIX "book:"

const struct column book_columns[BOOK_COLUMNS] = {
    [BOOK_ID] = {.name = "id", .number = true},
    [BOOK_TITLE] = {.name = "title"},
    [BOOK_AUTHOR] = {.name = "author"},
    [BOOK_YEAR] = {.name = "year", .number = true}};

enum book_column book_column(struct slice name)
{
    enum book_column i = 0;

    while (i < BOOK_COLUMNS &&
           !slice_equal(name, slice_from_string(book_columns[i].name))) {
        i++;
    }
    return i;
}

void book_key(struct buf *b, int64_t id)
{
    buf_append_string(b, PREFIX);
    buf_append_int64(b, id);
}

bool book_id_from_key(struct slice key, int64_t *id)
{
    const struct slice prefix = SLICE(PREFIX);

    return slice_has_prefix(key, prefix) &&
           slice_to_int64(
               slice_make(key.data + prefix.size, key.size - prefix.size), id);
}

bool book_id(const struct book *book, int64_t *id)
{
    return !book->cells[BOOK_ID].missing &&
           slice_to_int64(book->cells[BOOK_ID].text, id);
}

bool book_from_hash(struct book *book, const struct reply *reply)
{
    if (reply_count(reply) == 0) {
        return false;
    }
    for (size_t i = 0; i < BOOK_COLUMNS; i++) {
        const struct reply *value = reply_field(reply, book_columns[i].name);
        book->cells[i] =
            value == NULL ? cell_missing() : cell_make(reply_text(value));
    }
    return true;
}

bool book_from_json(struct book *book, struct slice json, struct buf *text)
{
    struct json reader = json_make(json);
    struct json_member member = {0};
    size_t starts[BOOK_COLUMNS];

    /* 'text' moves as it grows: slices of it are made when it is complete. */
    for (size_t i = 0; i < BOOK_COLUMNS; i++) {
        book->cells[i] = cell_missing();
    }
    buf_clear(text);
    while (json_next(&reader, &member)) {
        const enum book_column column = book_column(buf_slice(&member.name));
        if (column == BOOK_COLUMNS || member.null) {
            continue;
        }
        starts[column] = text->size;
        buf_append_slice(text, buf_slice(&member.value));
        book->cells[column].text.size = member.value.size;
        book->cells[column].missing = false;
    }
    json_member_destroy(&member);
    for (size_t i = 0; i < BOOK_COLUMNS; i++) {
        struct cell *cell = &book->cells[i];
        if (!cell->missing) {
            cell->text =
                slice_make(buf_slice(text).data + starts[i], cell->text.size);
        }
    }
    return !reader.failed;
}

void book_json(struct buf *b, const struct book *book)
{
    output_json_object(b, book_columns, book->cells, BOOK_COLUMNS);
}

void book_send(const struct book *book, int64_t id, struct session *session)
{
    struct buf key = {0};
    struct buf json = {0};

    book_key(&key, id);
    book_json(&json, book);
    const struct slice words[] = {SLICE("SET"), buf_slice(&key),
                                  buf_slice(&json)};
    session_send(session, words, ARRAY_LEN(words));
    buf_destroy(&json);
    buf_destroy(&key);
}
