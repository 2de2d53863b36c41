/* SPDX-License-Identifier: MIT */
/*
 * Rows on their way out: as an aligned table on a terminal, as tab-separated
 * lines in a pipe, as CSV, as JSON.
 *
 * Rows stream: only a table looks ahead, at OUTPUT_LOOKAHEAD rows, to choose
 * the widths of its columns, which then hold to the end.
 *
 * Thread-safety: none; one owner.
 */
#ifndef CLIENT_OUTPUT_H
#define CLIENT_OUTPUT_H

#include "common/buf.h"

#include <stdio.h>

#define OUTPUT_LOOKAHEAD 500 /* A few screens; a few hundred kilobytes. */

enum output_format { OUTPUT_TABLE, OUTPUT_TSV, OUTPUT_CSV, OUTPUT_JSON };

struct column {
    const char *name; /* Heading, and name in JSON. */
    bool number;      /* Right-aligned; in JSON without quotes. */
};

struct cell {
    struct slice text;
    bool missing; /* NULL in the database. */
};

static inline struct cell cell_make(struct slice text)
{
    return (struct cell){.text = text};
}

static inline struct cell cell_missing(void)
{
    return (struct cell){.missing = true, .text = SLICE("")};
}

struct output;

/* Writes rows of 'columns' to 'file'; both are borrowed.  With 'single', JSON
 * is the one object instead of an array of objects. */
struct output *output_new(FILE *file, enum output_format format, bool single,
                          const struct column *columns, size_t n_columns);
void output_row(struct output *output, const struct cell *cells);
/* Writes what is still held back and frees 'output'.  Errors of 'file' are
 * found by its owner, with ferror(). */
void output_end(struct output *output);

/* Appends one row as a JSON object.  A cell of a number column that holds no
 * whole number becomes a string, lest the result be no JSON. */
void output_json_object(struct buf *b, const struct column *columns,
                        const struct cell *cells, size_t n_columns);

#endif
