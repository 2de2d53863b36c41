/* SPDX-License-Identifier: MIT */
#include "server/lookup/record.h"

#include <assert.h>

struct header {
    uint32_t json_size;
    uint32_t n_columns;
};

struct column {
    uint32_t type; /* enum column_type. */
    uint32_t at;   /* From the start of the record. */
    uint32_t size;
};

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Source: RFC 4648 section 4. */
static void append_base64(struct buf *out, struct slice s)
{
    const unsigned char *in = (const unsigned char *)s.data;

    buf_append_char(out, '"');
    for (size_t i = 0; i < s.size; i += 3) {
        const size_t left = s.size - i;
        const uint32_t group = (uint32_t)in[i] << 16 |
                               (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
                               (left > 2 ? (uint32_t)in[i + 2] : 0);
        buf_append_char(out, base64_digits[group >> 18]);
        buf_append_char(out, base64_digits[group >> 12 & 63]);
        buf_append_char(out, left > 1 ? base64_digits[group >> 6 & 63] : '=');
        buf_append_char(out, left > 2 ? base64_digits[group & 63] : '=');
    }
    buf_append_char(out, '"');
}

/* A REAL as SQL prints it, unless JSON has no word for it (Inf, NaN). */
static void append_real(struct buf *out, struct slice s)
{
    for (size_t i = 0; i < s.size; i++) {
        if (strchr("0123456789+-.eE", s.data[i]) == NULL) {
            buf_append_string(out, "null");
            return;
        }
    }
    buf_append_slice(out, s);
}

/* True if 'out' is just 'bytes' from 'at' on, but for 'n_behind' bytes at the
 * end.  Its size alone does not tell: U+FFFD in place of three bytes that are
 * no UTF-8 is as long as they were, and so is null in place of -Inf. */
static bool has_bytes(const struct buf *out, size_t at, struct slice bytes,
                      size_t n_behind)
{
    return slice_equal(
        slice_make(buf_data(out) + at, out->size - at - n_behind), bytes);
}

/* Appends the column's JSON value; sets '*inside' to where its exact bytes
 * stand in it, and returns false if they do not. */
static bool append_value(struct buf *out, const struct store_column *column,
                         size_t *inside)
{
    *inside = out->size;
    switch (column->type) {
    case COLUMN_INTEGER:
        buf_append_slice(out, column->bytes);
        return true;
    case COLUMN_REAL:
        append_real(out, column->bytes);
        return has_bytes(out, *inside, column->bytes, 0);
    case COLUMN_TEXT:
        buf_append_json(out, column->bytes);
        *inside += 1;
        return has_bytes(out, *inside, column->bytes, 1);
    case COLUMN_BLOB:
        append_base64(out, column->bytes);
        return false;
    case COLUMN_NULL:
        break;
    }
    buf_append_string(out, "null");
    return true;
}

/* ---- how much room a record needs, at most ---- */

static size_t max_json_string(struct slice s)
{
    size_t bytes = 2; /* Quotes. */

    for (size_t i = 0; i < s.size; i++) {
        const unsigned char c = (unsigned char)s.data[i];
        if (c > 0x7F) {
            bytes += 3; /* U+FFFD, if it is no UTF-8. */
        } else {
            bytes += c < 0x20 || c == '"' || c == '\\' ? 6 : 1;
        }
    }
    return bytes;
}

/* Of the JSON value, and the exact bytes behind the object if need be. */
static size_t max_value(const struct store_column *column)
{
    const size_t size = column->bytes.size;
    size_t json = 0;

    switch (column->type) {
    case COLUMN_TEXT:
        json = max_json_string(column->bytes);
        return json == size + 2 ? json : json + size;
    case COLUMN_BLOB:
        return 2 + (size + 2) / 3 * 4 + size;
    case COLUMN_INTEGER:
    case COLUMN_REAL:
    case COLUMN_NULL:
        break;
    }
    return sizeof "null" + 2 * size;
}

/* What buf_printf() wants to find free, whatever it prints. */
#define PRINT_ROOM 64

static size_t max_record(const struct store_row *row)
{
    const struct mapping *mapping = row->mapping;
    size_t bytes = sizeof(struct header) + sizeof "{}" + PRINT_ROOM;

    for (size_t i = 0; i < mapping->n_columns; i++) {
        bytes += sizeof(struct column) + sizeof ",:" +
                 max_json_string(slice_from_string(mapping->columns[i])) +
                 max_value(&row->columns[i]);
    }
    return bytes;
}

enum err record_encode(const struct store_row *row, struct buf *out)
{
    const struct mapping *mapping = row->mapping;
    const size_t table_size = mapping->n_columns * sizeof(struct column);
    const size_t start = out->size;
    struct header header = {.n_columns = (uint32_t)mapping->n_columns};

    /* Whoever wrote the row chose its size, so all room that it may need is
     * taken first, and what follows cannot fail. */
    char *head = buf_try_reserve(out, max_record(row));
    if (head == NULL) {
        return ERR_NOMEM;
    }
    /* Filled in at the end. */
    memset(head, 0, sizeof header + table_size);
    buf_commit(out, sizeof header + table_size);

    const size_t json_start = out->size;
    for (size_t i = 0; i < mapping->n_columns; i++) {
        const struct store_column *from = &row->columns[i];
        struct column to = {.type = from->type,
                            .size = (uint32_t)from->bytes.size};
        size_t inside = 0;
        buf_append_char(out, i == 0 ? '{' : ',');
        buf_append_json(out, slice_from_string(mapping->columns[i]));
        buf_append_char(out, ':');
        if (append_value(out, from, &inside)) {
            to.at = (uint32_t)(inside - start);
        }
        memcpy(buf_data(out) + start + sizeof header + i * sizeof to, &to,
               sizeof to);
    }
    buf_append_char(out, '}');
    header.json_size = (uint32_t)(out->size - json_start);
    memcpy(buf_data(out) + start, &header, sizeof header);

    for (size_t i = 0; i < mapping->n_columns; i++) {
        const size_t place = start + sizeof header + i * sizeof(struct column);
        struct column column;
        memcpy(&column, buf_data(out) + place, sizeof column);
        if (column.at == 0) {
            column.at = (uint32_t)(out->size - start);
            buf_append_slice(out, row->columns[i].bytes);
            memcpy(buf_data(out) + place, &column, sizeof column);
        }
    }
    assert(out->size - start <= max_record(row));
    return ERR_OK;
}

static struct header read_header(struct slice record)
{
    struct header header;

    assert(record.size >= sizeof header);
    memcpy(&header, record.data, sizeof header);
    return header;
}

struct slice record_json(struct slice record)
{
    const struct header header = read_header(record);

    return slice_make(record.data + sizeof header +
                          header.n_columns * sizeof(struct column),
                      header.json_size);
}

struct slice record_column(struct slice record, size_t index,
                           enum column_type *type)
{
    struct column column;

    assert(index < read_header(record).n_columns);
    memcpy(&column, record.data + sizeof(struct header) + index * sizeof column,
           sizeof column);
    *type = column.type;
    if (column.type == COLUMN_NULL) {
        return SLICE("");
    }
    return slice_make(record.data + column.at, column.size);
}

void record_append_json(const struct mapping *mapping, struct slice record,
                        const size_t *indices, size_t n, struct buf *out)
{
    buf_append_char(out, '{');
    for (size_t i = 0; i < n; i++) {
        struct store_column column;
        size_t inside;
        column.bytes = record_column(record, indices[i], &column.type);
        if (i > 0) {
            buf_append_char(out, ',');
        }
        buf_append_json(out, slice_from_string(mapping->columns[indices[i]]));
        buf_append_char(out, ':');
        (void)append_value(out, &column, &inside);
    }
    buf_append_char(out, '}');
}
