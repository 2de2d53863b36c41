/* SPDX-License-Identifier: MIT */
/*
 * A table keeps its rows as safe text until the lookahead is full, then
 * chooses the widths: every column gets what its widest cell needs, and while
 * that is more than the terminal has, the widest columns give way first.
 */
#include "client/output.h"

#include "client/csv.h"
#include "client/print.h"
#include "common/mem.h"

#define GAP 2       /* Spaces between the columns of a table. */
#define MIN_WIDTH 4 /* A column is not cut to less. */

struct output {
    FILE *file;
    enum output_format format;
    bool single;
    const struct column *columns;
    size_t n_columns;
    size_t n_rows; /* So far. */
    struct buf line;

    /* A table only. */
    struct buf *held;  /* OUTPUT_LOOKAHEAD rows of cells, as safe text. */
    size_t n_held;     /* Rows in 'held'. */
    size_t *widths;    /* Of each column. */
    bool widths_known; /* Chosen; rows go out at once. */
};

struct output *output_new(FILE *file, enum output_format format, bool single,
                          const struct column *columns, size_t n_columns)
{
    struct output *o = xcalloc(1, sizeof(*o));

    *o = (struct output){.file = file,
                         .format = format,
                         .single = single,
                         .columns = columns,
                         .n_columns = n_columns};
    if (format == OUTPUT_TABLE) {
        o->held = xcalloc(OUTPUT_LOOKAHEAD * n_columns, sizeof(*o->held));
        o->widths = xcalloc(n_columns, sizeof(*o->widths));
    }
    return o;
}

/* Writes what is in 'line'; to a terminal only what does it no harm. */
static void write_line(struct output *o)
{
    struct buf safe = {0};

    if (o->format == OUTPUT_TABLE || o->file != stdout ||
        !print_stdout()->is_terminal) {
        print_write(o->file, &o->line); /* A table was made safe before. */
        return;
    }
    print_safe_lines(&safe, buf_slice(&o->line));
    print_write(o->file, &safe);
    buf_clear(&o->line);
    buf_destroy(&safe);
}

/* ---- tables ---- */

static enum print_align align_of(const struct output *o, size_t column)
{
    return o->columns[column].number ? ALIGN_RIGHT : ALIGN_LEFT;
}

static void choose_widths(struct output *o)
{
    size_t total = GAP * (o->n_columns - 1);

    for (size_t c = 0; c < o->n_columns; c++) {
        o->widths[c] = strlen(o->columns[c].name);
        for (size_t r = 0; r < o->n_held; r++) {
            const size_t width =
                print_width(buf_slice(&o->held[r * o->n_columns + c]));
            o->widths[c] = width > o->widths[c] ? width : o->widths[c];
        }
        total += o->widths[c];
    }
    while (total > (size_t)print_stdout()->columns) {
        size_t widest = 0;
        for (size_t c = 1; c < o->n_columns; c++) {
            widest = o->widths[c] > o->widths[widest] ? c : widest;
        }
        if (o->widths[widest] <= MIN_WIDTH) {
            break;
        }
        o->widths[widest]--;
        total--;
    }
    o->widths_known = true;
}

static void trim_end(struct buf *b)
{
    while (b->size > 0 && buf_data(b)[b->size - 1] == ' ') {
        buf_truncate(b, b->size - 1);
    }
}

static void write_table_row(struct output *o, const struct buf *cells)
{
    for (size_t c = 0; c < o->n_columns; c++) {
        if (c > 0) {
            buf_append(&o->line, "  ", GAP);
        }
        print_cell(&o->line, buf_slice(&cells[c]), o->widths[c],
                   align_of(o, c));
    }
    trim_end(&o->line);
    buf_append_char(&o->line, '\n');
    write_line(o);
}

static void write_heading(struct output *o)
{
    struct buf plain = {0};

    for (size_t c = 0; c < o->n_columns; c++) {
        if (c > 0) {
            buf_append(&plain, "  ", GAP);
        }
        print_cell(&plain, slice_from_string(o->columns[c].name), o->widths[c],
                   align_of(o, c));
    }
    trim_end(&plain);
    print_styled(&o->line, print_stdout(), STYLE_BOLD, buf_string(&plain));
    buf_append_char(&o->line, '\n');
    write_line(o);
    buf_destroy(&plain);
}

/* Writes the rows held back. */
static void release(struct output *o)
{
    if (!o->widths_known && o->n_held > 0) {
        choose_widths(o);
        write_heading(o);
    }
    for (size_t r = 0; r < o->n_held; r++) {
        write_table_row(o, &o->held[r * o->n_columns]);
    }
    o->n_held = 0;
}

static void add_to_table(struct output *o, const struct cell *cells)
{
    struct buf *row = &o->held[o->n_held * o->n_columns];

    for (size_t c = 0; c < o->n_columns; c++) {
        buf_clear(&row[c]);
        print_safe(&row[c], cells[c].text);
    }
    o->n_held++;
    if (o->widths_known || o->n_held == OUTPUT_LOOKAHEAD) {
        release(o);
    }
}

/* ---- the other formats ---- */

static void add_tsv(struct output *o, const struct cell *cells)
{
    for (size_t c = 0; c < o->n_columns; c++) {
        if (c > 0) {
            buf_append_char(&o->line, '\t');
        }
        print_tsv(&o->line, cells[c].text);
    }
    buf_append_char(&o->line, '\n');
}

static void add_csv_heading(struct output *o)
{
    for (size_t c = 0; c < o->n_columns; c++) {
        csv_append(&o->line, slice_from_string(o->columns[c].name), c == 0);
    }
    buf_append_char(&o->line, '\n');
}

static void add_csv(struct output *o, const struct cell *cells)
{
    if (o->n_rows == 0) {
        add_csv_heading(o);
    }
    for (size_t c = 0; c < o->n_columns; c++) {
        csv_append(&o->line, cells[c].text, c == 0);
    }
    buf_append_char(&o->line, '\n');
}

void output_json_object(struct buf *b, const struct column *columns,
                        const struct cell *cells, size_t n_columns)
{
    int64_t number;

    for (size_t c = 0; c < n_columns; c++) {
        buf_append_char(b, c == 0 ? '{' : ',');
        buf_append_json(b, slice_from_string(columns[c].name));
        buf_append_char(b, ':');
        if (cells[c].missing) {
            buf_append_string(b, "null");
        } else if (columns[c].number &&
                   slice_to_int64(cells[c].text, &number)) {
            buf_append_slice(b, cells[c].text);
        } else {
            buf_append_json(b, cells[c].text);
        }
    }
    buf_append_char(b, '}');
}

static void add_json(struct output *o, const struct cell *cells)
{
    if (!o->single) {
        buf_append_string(&o->line, o->n_rows == 0 ? "[\n" : ",\n");
    }
    output_json_object(&o->line, o->columns, cells, o->n_columns);
}

void output_row(struct output *o, const struct cell *cells)
{
    switch (o->format) {
    case OUTPUT_TABLE:
        add_to_table(o, cells);
        break;
    case OUTPUT_TSV:
        add_tsv(o, cells);
        break;
    case OUTPUT_CSV:
        add_csv(o, cells);
        break;
    case OUTPUT_JSON:
        add_json(o, cells);
        break;
    }
    write_line(o);
    o->n_rows++;
}

void output_end(struct output *o)
{
    if (o->format == OUTPUT_TABLE) {
        release(o);
        for (size_t i = 0; i < OUTPUT_LOOKAHEAD * o->n_columns; i++) {
            buf_destroy(&o->held[i]);
        }
    } else if (o->format == OUTPUT_CSV && o->n_rows == 0) {
        add_csv_heading(o);
    } else if (o->format == OUTPUT_JSON) {
        if (o->single) {
            buf_append_string(&o->line, o->n_rows > 0 ? "\n" : "");
        } else {
            buf_append_string(&o->line, o->n_rows > 0 ? "\n]\n" : "[]\n");
        }
    }
    write_line(o);
    free(o->held);
    free(o->widths);
    buf_destroy(&o->line);
    free(o);
}
