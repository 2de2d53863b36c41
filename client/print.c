/* SPDX-License-Identifier: MIT */
/*
 * Widths come from wcwidth(), which takes a code point as glibc's wchar_t is
 * one.
 */
#include "client/print.h"

#include "client/utf8.h"

#include <errno.h>
#include <inttypes.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#define DEFAULT_COLUMNS 80
#define ELLIPSIS "\xE2\x80\xA6" /* U+2026 in UTF-8; one column. */

static struct terminal out, err;

static struct terminal look_at(int fd, enum args_color color)
{
    struct terminal t = {.is_terminal = isatty(fd) != 0};
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    const char *columns = getenv("COLUMNS");
    struct winsize size;
    int64_t value;

    if (color == ARGS_COLOR_AUTO) {
        t.color = t.is_terminal && (no_color == NULL || no_color[0] == '\0') &&
                  (term == NULL || strcmp(term, "dumb") != 0);
    } else {
        t.color = color == ARGS_COLOR_ALWAYS;
    }
    t.columns = DEFAULT_COLUMNS;
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        t.columns = size.ws_col;
    } else if (columns != NULL &&
               slice_to_int64(slice_from_string(columns), &value) &&
               value > 0 && value < 10000) {
        t.columns = (int)value;
    }
    return t;
}

void print_init(enum args_color color)
{
    if (setlocale(LC_CTYPE, "") == NULL ||
        strcmp(nl_langinfo(CODESET), "UTF-8") != 0) {
        (void)setlocale(LC_CTYPE, "C.UTF-8");
    }
    out = look_at(STDOUT_FILENO, color);
    err = look_at(STDERR_FILENO, color);
}

const struct terminal *print_stdout(void)
{
    return &out;
}

const struct terminal *print_stderr(void)
{
    return &err;
}

/* ---- characters ---- */

static struct slice rest(struct slice s, size_t size)
{
    return slice_make(s.data + size, s.size - size);
}

/* Embeddings, overrides and isolates: they can make a line read otherwise
 * than it is.  Source: Unicode Standard Annex 9. */
static bool changes_direction(uint32_t c)
{
    return (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) ||
           c == 0x200E || c == 0x200F || c == 0x061C;
}

static void append_control(struct buf *b, uint32_t c)
{
    static const char letters[] = {
        ['\t'] = 't', ['\n'] = 'n', ['\r'] = 'r', [0x1B] = 'e'};

    buf_append_char(b, '\\');
    if (c < sizeof(letters) && letters[c] != '\0') {
        buf_append_char(b, letters[c]);
    } else {
        buf_printf(b, "x%02x", c);
    }
}

void print_safe(struct buf *b, struct slice s)
{
    while (s.size > 0) {
        uint32_t c = 0;
        const size_t size = utf8_decode(s, &c);

        if (size == 0) {
            buf_printf(b, "\\x%02x", (unsigned char)s.data[0]);
        } else if (c < 0x20 || (c >= 0x7F && c < 0xA0)) {
            append_control(b, c);
        } else if (changes_direction(c) || wcwidth((wchar_t)c) < 0) {
            buf_printf(b, "\\u{%04X}", c);
        } else {
            buf_append(b, s.data, size);
        }
        s = rest(s, size == 0 ? 1 : size);
    }
}

void print_safe_lines(struct buf *b, struct slice text)
{
    while (text.size > 0) {
        const char *end = memchr(text.data, '\n', text.size);
        size_t size = end != NULL ? (size_t)(end - text.data) : text.size;
        const size_t whole = size + (end != NULL ? 1 : 0);

        if (size > 0 && end != NULL && text.data[size - 1] == '\r') {
            size--;
        }
        print_safe(b, slice_make(text.data, size));
        if (end != NULL) {
            buf_append_char(b, '\n');
        }
        text = slice_make(text.data + whole, text.size - whole);
    }
}

/* Columns and bytes of the character that 's', not empty, begins with. */
static size_t measure(struct slice s, size_t *size)
{
    uint32_t c;
    int width;

    *size = utf8_decode(s, &c);
    if (*size == 0) {
        *size = 1;
        return 1;
    }
    width = wcwidth((wchar_t)c);
    return width < 0 ? 1 : (size_t)width;
}

size_t print_width(struct slice safe)
{
    size_t width = 0;

    while (safe.size > 0) {
        size_t size;
        width += measure(safe, &size);
        safe = rest(safe, size);
    }
    return width;
}

static void pad(struct buf *b, size_t columns)
{
    memset(buf_reserve(b, columns + 1), ' ', columns);
    buf_commit(b, columns);
}

void print_cell(struct buf *b, struct slice safe, size_t width,
                enum print_align align)
{
    const size_t natural = print_width(safe);
    size_t used = 0;

    if (natural <= width) {
        if (align == ALIGN_RIGHT) {
            pad(b, width - natural);
        }
        buf_append_slice(b, safe);
        if (align == ALIGN_LEFT) {
            pad(b, width - natural);
        }
        return;
    }
    while (safe.size > 0) {
        size_t size;
        const size_t columns = measure(safe, &size);
        if (used + columns + 1 > width) {
            break;
        }
        buf_append(b, safe.data, size);
        used += columns;
        safe = rest(safe, size);
    }
    if (width > 0) {
        buf_append_string(b, ELLIPSIS);
        pad(b, width - used - 1);
    }
}

void print_styled(struct buf *b, const struct terminal *terminal,
                  enum style style, const char *text)
{
    static const char *const codes[] = {[STYLE_BOLD] = "1",
                                        [STYLE_DIM] = "2",
                                        [STYLE_RED] = "31",
                                        [STYLE_GREEN] = "32",
                                        [STYLE_YELLOW] = "33"};

    if (terminal->color) {
        buf_printf(b, "\x1b[%sm%s\x1b[0m", codes[style], text);
    } else {
        buf_append_string(b, text);
    }
}

void print_count(struct buf *b, int64_t n, const char *one, const char *many)
{
    buf_append_int64(b, n);
    buf_append_char(b, ' ');
    buf_append_string(b, n == 1 ? one : many);
}

void print_duration(struct buf *b, int64_t ms)
{
    const int64_t s = ms / 1000;

    if (ms < 1000) {
        buf_printf(b, "%" PRId64 " ms", ms);
    } else if (s < 60) {
        buf_printf(b, "%" PRId64 ".%" PRId64 " s", s, ms % 1000 / 100);
    } else if (s < 3600) {
        buf_printf(b, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    } else if (s < 86400) {
        buf_printf(b, "%" PRId64 " h %" PRId64 " min", s / 3600, s % 3600 / 60);
    } else {
        buf_printf(b, "%" PRId64 " d %" PRId64 " h", s / 86400,
                   s % 86400 / 3600);
    }
}

void print_tsv(struct buf *b, struct slice s)
{
    for (size_t i = 0; i < s.size; i++) {
        switch (s.data[i]) {
        case '\t':
            buf_append_string(b, "\\t");
            break;
        case '\n':
            buf_append_string(b, "\\n");
            break;
        case '\r':
            buf_append_string(b, "\\r");
            break;
        case '\\':
            buf_append_string(b, "\\\\");
            break;
        default:
            buf_append_char(b, s.data[i]);
        }
    }
}

/* ---- messages and the end ---- */

void complain(const char *format, ...)
{
    struct buf text = {0};
    struct buf line = {0};
    va_list args;

    va_start(args, format);
    buf_vprintf(&text, format, args);
    va_end(args);
    print_styled(&line, &err, STYLE_RED, "bookctl:");
    buf_append_char(&line, ' ');
    if (err.is_terminal) {
        print_safe(&line, slice_make(buf_string(&text), text.size));
    } else {
        buf_append_slice(&line, buf_slice(&text));
    }
    buf_append_char(&line, '\n');
    (void)fflush(stdout);
    (void)fwrite(buf_data(&line), 1, line.size, stderr);
    buf_destroy(&line);
    buf_destroy(&text);
}

/* The first error of standard output; stdio forgets it.  Main thread only. */
static int out_errno;

void print_write(FILE *file, struct buf *b)
{
    if (b->size > 0 && fwrite(buf_data(b), 1, b->size, file) != b->size &&
        file == stdout && out_errno == 0) {
        out_errno = errno;
    }
    buf_clear(b);
}

enum status print_finish(void)
{
    if (fflush(stdout) != 0 && out_errno == 0) {
        out_errno = errno;
    }
    if (out_errno == 0 || out_errno == EPIPE) {
        return STATUS_OK;
    }
    complain("cannot write the output: %s", strerror(out_errno));
    return STATUS_REFUSED;
}
