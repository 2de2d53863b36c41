/* SPDX-License-Identifier: MIT */
/*
 *                 ┌──── other ────► UNQUOTED ──── , ────► FIELD
 *     FIELD ──────┤
 *                 └────── " ──────► QUOTED ◄─── " ───┐
 *                                     └───── " ────► QUOTE ──── , ────► FIELD
 *                                                      └─ other ─► bad
 *
 * A line's end outside QUOTED ends the record.  The fields of a record lie one
 * behind the other in 'text'; 'ends' says where each ends.
 */
#include "client/csv.h"

#include "common/mem.h"

enum state { FIELD, UNQUOTED, QUOTED, QUOTE };

#define END_OF_LINE (-2) /* LF, or CR LF; beside EOF. */

struct csv {
    FILE *file;
    struct buf text; /* All fields of the record. */
    size_t *ends;    /* Where each field ends in 'text'. */
    size_t n_fields;
    size_t ends_capacity;
    int64_t line;        /* Being read, from 1. */
    int64_t record_line; /* On which the record begins. */
    int64_t bytes;
    bool crlf;          /* The last END_OF_LINE was CR LF. */
    const char *reason; /* NULL while the record is good. */
};

struct csv *csv_new(FILE *file)
{
    struct csv *csv = xcalloc(1, sizeof(*csv));

    csv->file = file;
    csv->line = 1;
    return csv;
}

void csv_free(struct csv *csv)
{
    if (csv == NULL) {
        return;
    }
    buf_destroy(&csv->text);
    free(csv->ends);
    free(csv);
}

static int next_byte(struct csv *csv)
{
    const int c = getc_unlocked(csv->file);

    csv->bytes += c != EOF;
    return c;
}

static void put_back(struct csv *csv, int c)
{
    if (c != EOF) {
        (void)ungetc(c, csv->file);
        csv->bytes--;
    }
}

/* The next byte, with the two forms of a line's end as END_OF_LINE. */
static int next(struct csv *csv)
{
    int c = next_byte(csv);

    csv->crlf = c == '\r';
    if (csv->crlf) {
        const int following = next_byte(csv);
        if (following != '\n' && following != EOF) {
            put_back(csv, following);
            return '\r';
        }
        c = '\n';
    }
    if (c == '\n') {
        csv->line++;
        return END_OF_LINE;
    }
    return c;
}

static void skip_mark(struct csv *csv)
{
    static const unsigned char mark[] = {0xEF, 0xBB, 0xBF};
    size_t n = 0;

    while (n < sizeof(mark)) {
        const int c = next_byte(csv);
        if (c != mark[n]) {
            put_back(csv, c);
            break;
        }
        n++;
    }
    /* Part of a mark is text. */
    if (n < sizeof(mark)) {
        buf_append(&csv->text, mark, n);
    }
}

static void end_field(struct csv *csv)
{
    if (csv->n_fields == csv->ends_capacity) {
        csv->ends_capacity = csv->ends_capacity * 2 + 32;
        csv->ends =
            xrealloc(csv->ends, csv->ends_capacity * sizeof(*csv->ends));
    }
    csv->ends[csv->n_fields++] = csv->text.size;
}

static void skip_line(struct csv *csv)
{
    int c;

    do {
        c = next(csv);
    } while (c != END_OF_LINE && c != EOF);
}

/* Takes 'c', which is no end, in '*state'.  False if it breaks the rules. */
static bool take(struct csv *csv, enum state *state, int c)
{
    if (*state == QUOTED) {
        if (c == '"') {
            *state = QUOTE;
        } else {
            buf_append_char(&csv->text, (char)c);
        }
    } else if (c == ',') {
        end_field(csv);
        *state = FIELD;
    } else if (c == '"' && *state == FIELD) {
        *state = QUOTED;
    } else if (c == '"' && *state == QUOTE) {
        buf_append_char(&csv->text, '"');
        *state = QUOTED;
    } else if (*state == QUOTE) {
        csv->reason = "there is text behind a closing quote";
        return false;
    } else {
        buf_append_char(&csv->text, (char)c);
        *state = UNQUOTED;
    }
    return true;
}

/* Reads one record.  Returns false at the end of the file. */
static bool read_record(struct csv *csv)
{
    enum state state = csv->text.size > 0 ? UNQUOTED : FIELD;
    bool quoted = false;

    csv->record_line = csv->line;
    for (;;) {
        const int c = next(csv);

        if (c == EOF) {
            if (state == QUOTED) {
                csv->reason = "a quote is never closed";
            }
            if (csv->n_fields == 0 && csv->text.size == 0 && !quoted) {
                return false;
            }
            break;
        }
        if (c == END_OF_LINE) {
            if (state != QUOTED) {
                break;
            }
            buf_append_string(&csv->text, csv->crlf ? "\r\n" : "\n");
            continue;
        }
        if (!take(csv, &state, c)) {
            skip_line(csv);
            break;
        }
        quoted = quoted || state == QUOTED;
        if (csv->text.size + csv->n_fields > CSV_RECORD_MAX) {
            csv->reason = "it is longer than 1 MiB; is a quote never closed?";
            skip_line(csv);
            break;
        }
    }
    end_field(csv);
    return true;
}

enum csv_result csv_next(struct csv *csv)
{
    do {
        buf_clear(&csv->text);
        csv->n_fields = 0;
        csv->reason = NULL;
        if (csv->bytes == 0) {
            skip_mark(csv);
        }
        if (!read_record(csv)) {
            return CSV_END;
        }
        /* An empty line has one field of nothing. */
    } while (csv->reason == NULL && csv->n_fields == 1 && csv->ends[0] == 0);
    return csv->reason == NULL ? CSV_RECORD : CSV_BAD;
}

size_t csv_count(const struct csv *csv)
{
    return csv->n_fields;
}

struct slice csv_field(const struct csv *csv, size_t index)
{
    const size_t start = index == 0 ? 0 : csv->ends[index - 1];

    return slice_make(buf_slice(&csv->text).data + start,
                      csv->ends[index] - start);
}

int64_t csv_line(const struct csv *csv)
{
    return csv->record_line;
}

const char *csv_reason(const struct csv *csv)
{
    return csv->reason;
}

int64_t csv_bytes(const struct csv *csv)
{
    return csv->bytes;
}

void csv_append(struct buf *b, struct slice field, bool first)
{
    bool plain = true;

    for (size_t i = 0; i < field.size && plain; i++) {
        plain =
            strchr(",\"\r\n", field.data[i]) == NULL || field.data[i] == '\0';
    }
    if (!first) {
        buf_append_char(b, ',');
    }
    if (plain) {
        buf_append_slice(b, field);
        return;
    }
    buf_append_char(b, '"');
    for (size_t i = 0; i < field.size; i++) {
        if (field.data[i] == '"') {
            buf_append_char(b, '"');
        }
        buf_append_char(b, field.data[i]);
    }
    buf_append_char(b, '"');
}
