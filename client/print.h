/* SPDX-License-Identifier: MIT */
/*
 * Text for people and their terminals: what a terminal can do, how wide text
 * is on it, text made harmless and cut to a width, colours, and messages.
 *
 * Text from the store may hold control characters that would move the cursor
 * or worse; whatever goes to a terminal passes through print_safe() first.
 *
 * Thread-safety: print_init() before any thread starts; the rest any thread,
 * lines of different threads may come in any order.
 */
#ifndef CLIENT_PRINT_H
#define CLIENT_PRINT_H

#include "client/args.h"
#include "client/status.h"
#include "common/attr.h"
#include "common/buf.h"

#include <stdio.h>

/* One of the standard streams. */
struct terminal {
    bool is_terminal;
    bool color;
    int columns; /* Width; meaningful if is_terminal. */
};

enum style { STYLE_BOLD, STYLE_DIM, STYLE_RED, STYLE_GREEN, STYLE_YELLOW };

/* Finds out what standard output and standard error are, and takes a UTF-8
 * locale, so that widths can be known. */
void print_init(enum args_color color);

const struct terminal *print_stdout(void);
const struct terminal *print_stderr(void);

/* ---- text on a terminal ---- */

/* Appends 's' with everything a terminal would act upon spelled out: \n \t \r
 * \e, \xNN for other control bytes and what is no UTF-8, \u{NNNN} for
 * characters that cannot be seen or that change the direction of writing. */
void print_safe(struct buf *b, struct slice s);

/* The same line by line, with the lines' ends as they are. */
void print_safe_lines(struct buf *b, struct slice text);

/* How many columns safe text takes: 2 for wide characters, 0 for accents that
 * combine with what is before them. */
size_t print_width(struct slice safe);

enum print_align { ALIGN_LEFT, ALIGN_RIGHT };

/* Appends safe text in exactly 'width' columns: padded, or cut with an
 * ellipsis. */
void print_cell(struct buf *b, struct slice safe, size_t width,
                enum print_align align);

/* Appends 'text', which is safe, in 'style' if 'terminal' shows colours. */
void print_styled(struct buf *b, const struct terminal *terminal,
                  enum style style, const char *text);

/* Appends "1 book" or "2 books". */
void print_count(struct buf *b, int64_t n, const char *one, const char *many);

/* Appends "250 ms", "12.3 s", "5 min 6 s", "4 h 5 min" or "3 d 4 h". */
void print_duration(struct buf *b, int64_t ms);

/* ---- text in a pipe ---- */

/* Appends 's' with tab, newline, carriage return and backslash as \t \n \r
 * \\, so that it is one field of one line. */
void print_tsv(struct buf *b, struct slice s);

/* ---- messages ---- */

/* Writes "bookctl: …" and a newline to standard error, made harmless if that
 * is a terminal. */
void complain(const char *format, ...) PRINTF(1, 2);

/* Writes 'b' to 'file' and empties it.  What fails for standard output is kept
 * for print_finish(); of other files the owner asks ferror(). */
void print_write(FILE *file, struct buf *b);

/* Flushes standard output.  STATUS_OK, or STATUS_REFUSED with a message when
 * something could not be written; a reader that left (head) is no error. */
enum status print_finish(void);

#endif
