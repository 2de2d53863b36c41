/* SPDX-License-Identifier: MIT */
/*
 * Files and command lines: split into directive and words, checked one by
 * one, and committed together if nothing was wrong.
 *
 *     line    =  [ name words ] [ '#' anything ]
 *     word    =  bare | '"' characters and escapes '"'
 *     escape  =  '\' followed by one of  " \ n r t  or by xHH
 *
 * A '#' begins a comment where a word could begin.
 */
#include "server/admin/config.h"

#include "common/mem.h"
#include "server/admin/config_batch.h"

#include <errno.h>
#include <stdio.h>

/* Longest line that is read; beyond any directive's bound. */
#define LINE_MAX_BYTES 65536

/* Where a complaint is about: put in front of it. */
struct place {
    const char *path; /* NULL: the command line. */
    size_t line;
};

static void begin_complaint(const struct place *place, struct buf *detail)
{
    if (place->path != NULL) {
        buf_printf(detail, "%s:%zu: ", place->path, place->line);
    }
}

/* ---- one directive ---- */

/* The words of one directive's value. */
struct words {
    struct buf joined; /* With a space between them. */
    size_t count;
};

static void words_clear(struct words *w)
{
    buf_clear(&w->joined);
    w->count = 0;
}

/* What goes between the last word and the next. */
static void words_next(struct words *w)
{
    if (w->count++ > 0) {
        buf_append_char(&w->joined, ' ');
    }
}

static void complain_unknown(struct slice name, struct buf *detail)
{
    struct buf quoted = {0};
    config_value_quote(slice_make(name.data, name.size < 64 ? name.size : 64),
                       &quoted);
    buf_printf(detail, "%s: there is no such directive", buf_string(&quoted));
    buf_destroy(&quoted);
    const enum config_id guess = config_guess(name);
    if (guess < CONFIG_COUNT) {
        buf_printf(detail, "; did you mean %s?", config_directives[guess].name);
    }
}

/* Adds "name words" to 'batch'; false with a complaint in 'detail'. */
static bool add(struct config_batch *batch, struct slice name,
                struct words *words, const struct place *place,
                struct buf *detail)
{
    const size_t size = detail->size;
    begin_complaint(place, detail);
    const enum config_id id = config_find(name);
    if (id == CONFIG_COUNT) {
        complain_unknown(name, detail);
    } else if (words->count == 0) {
        buf_printf(detail,
                   "%s: a value is missing: ", config_directives[id].name);
        config_value_describe(&config_directives[id], detail);
    } else if (words->count > 1 && config_directives[id].kind != CONFIG_WORDS) {
        buf_printf(detail,
                   "%s takes one value, not %zu; "
                   "a value with spaces belongs in double quotes",
                   config_directives[id].name, words->count);
    } else if (config_batch_add(batch, id, buf_slice(&words->joined), detail) ==
               ERR_OK) {
        buf_truncate(detail, size);
        return true;
    }
    buf_append_char(detail, '\n');
    return false;
}

/* ---- files ---- */

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int hex_digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *p = c == '\0' ? NULL : strchr(digits, c | 0x20);
    return p == NULL ? -1 : (int)(p - digits);
}

/* Reads one escape behind a '\' at '*p'; false if it is none. */
static bool take_escape(const char **p, struct buf *out)
{
    const char c = **p;
    if (c == 'x') {
        const int high = hex_digit((*p)[1]);
        const int low = high < 0 ? -1 : hex_digit((*p)[2]);
        if (low < 0) {
            return false;
        }
        buf_append_char(out, (char)(high << 4 | low));
        *p += 3;
        return true;
    }
    const char *from = "\"\\nrt";
    const char *to = "\"\\\n\r\t";
    const char *found = c == '\0' ? NULL : strchr(from, c);
    if (found == NULL) {
        return false;
    }
    buf_append_char(out, to[found - from]);
    *p += 1;
    return true;
}

/* Reads the rest of a word whose opening quote was read.  Returns what is
 * wrong with it, or NULL. */
static const char *take_quoted(const char **p, struct buf *out)
{
    while (**p != '"') {
        if (**p == '\0') {
            return "a closing quote is missing";
        }
        if (**p != '\\') {
            buf_append_char(out, *(*p)++);
            continue;
        }
        ++*p;
        if (!take_escape(p, out)) {
            return "a backslash in quotes takes one of \" \\ n r t xHH";
        }
    }
    ++*p;
    if (**p != '\0' && !is_space(**p)) {
        return "a space is missing behind a closing quote";
    }
    return NULL;
}

/* Splits the value part of a line.  Returns what is wrong with it, or NULL. */
static const char *split(const char *p, struct words *words)
{
    for (;;) {
        while (is_space(*p)) {
            p++;
        }
        if (*p == '\0' || *p == '#') {
            return NULL;
        }
        words_next(words);
        if (*p == '"') {
            p++;
            const char *wrong = take_quoted(&p, &words->joined);
            if (wrong != NULL) {
                return wrong;
            }
            continue;
        }
        for (; *p != '\0' && !is_space(*p); p++) {
            if (*p == '"') {
                return "a quote stands inside a word; put all of it in quotes";
            }
            buf_append_char(&words->joined, *p);
        }
    }
}

/* One line without its newline; false with a complaint in 'detail'. */
static bool load_line(struct config_batch *batch, const char *line,
                      struct words *words, const struct place *place,
                      struct buf *detail)
{
    while (is_space(*line)) {
        line++;
    }
    if (*line == '\0' || *line == '#') {
        return true;
    }
    const char *end = line;
    while (*end != '\0' && !is_space(*end)) {
        end++;
    }
    words_clear(words);
    const char *wrong = split(end, words);
    if (wrong != NULL) {
        begin_complaint(place, detail);
        buf_printf(detail, "%s\n", wrong);
        return false;
    }
    return add(batch, slice_make(line, (size_t)(end - line)), words, place,
               detail);
}

/* All lines of an open file. */
static enum err load_lines(struct config_batch *batch, FILE *file,
                           struct place *place, struct buf *detail)
{
    enum err err = ERR_OK;
    struct words words = {0};
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    while ((size = getline(&line, &capacity, file)) >= 0) {
        place->line++;
        if (size > LINE_MAX_BYTES || strlen(line) != (size_t)size) {
            begin_complaint(place, detail);
            buf_append_string(detail, size > LINE_MAX_BYTES
                                          ? "the line is too long\n"
                                          : "a zero byte; this is no text\n");
            err = ERR_INVALID;
            break; /* Not a configuration: one complaint is enough. */
        }
        if (!load_line(batch, line, &words, place, detail)) {
            err = ERR_INVALID;
        }
    }
    if (ferror(file)) {
        buf_printf(detail, "%s: %s\n", place->path, strerror(errno));
        err = ERR_IO;
    }
    free(line);
    buf_destroy(&words.joined);
    return err;
}

static enum err open_failed(const char *path, struct buf *detail)
{
    const int error = errno;
    buf_printf(detail, "%s: %s\n", path, strerror(error));
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return ERR_PERMISSION;
    default:
        return ERR_IO;
    }
}

/* Makes a file's batch that of a reload: what it does not name is at its
 * default, and what cannot change now is taken out and named if it differs. */
static void prepare_reload(const struct config *c, struct config_batch *batch,
                           const char *path, struct buf *detail)
{
    for (enum config_id id = 0; id < CONFIG_COUNT; id++) {
        const struct config_directive *d = &config_directives[id];
        if (!batch->given[id]) {
            batch->values[id] = config_value_default(d);
            batch->given[id] = true;
        }
        if (d->at_run_time || config_is_pinned(c, id)) {
            continue;
        }
        struct config_value now = config_value_now(c, id);
        if (!config_value_equal(&now, &batch->values[id])) {
            struct buf text = {0};
            config_value_format(d, &now, &text);
            buf_printf(detail, "%s: %s stays ", path, d->name);
            config_value_quote(buf_slice(&text), detail);
            buf_append_string(detail, " until a restart, which makes it ");
            buf_clear(&text);
            config_value_format(d, &batch->values[id], &text);
            config_value_quote(buf_slice(&text), detail);
            buf_append_char(detail, '\n');
            buf_destroy(&text);
        }
        config_value_destroy(&now);
        config_value_destroy(&batch->values[id]);
        batch->given[id] = false;
    }
}

enum err config_load(struct config *c, const char *path, bool run_time_only,
                     struct buf *detail)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return open_failed(path, detail);
    }
    struct config_batch batch = {0};
    struct place place = {.path = path};
    const enum err err = load_lines(&batch, file, &place, detail);
    fclose(file);
    if (err == ERR_OK) {
        if (run_time_only) {
            prepare_reload(c, &batch, path, detail);
        }
        config_commit_from(c, &batch, CONFIG_FROM_FILE);
    }
    config_batch_clear(&batch);
    return err;
}

/* ---- the command line ---- */

static bool is_option(const char *arg)
{
    return strncmp(arg, "--", 2) == 0;
}

enum err config_load_args(struct config *c, int argc, char *const *argv,
                          struct buf *detail)
{
    enum err err = ERR_OK;
    struct config_batch batch = {0};
    struct words words = {0};
    const struct place place = {0};
    int i = 0;
    for (; i < argc && !is_option(argv[i]); i++) {
        buf_append_string(detail, "\"");
        buf_append_string(detail, argv[i]);
        buf_append_string(detail, "\" is no option; options begin with --\n");
        err = ERR_INVALID;
    }
    while (i < argc) {
        const char *name = argv[i++] + 2;
        const size_t name_size = strcspn(name, "=");
        words_clear(&words);
        if (name[name_size] == '=') {
            words_next(&words);
            buf_append_string(&words.joined, name + name_size + 1);
        }
        for (; i < argc && !is_option(argv[i]); i++) {
            words_next(&words);
            buf_append_string(&words.joined, argv[i]);
        }
        if (!add(&batch, slice_make(name, name_size), &words, &place, detail)) {
            err = ERR_INVALID;
        }
    }
    if (err == ERR_OK) {
        config_commit_from(c, &batch, CONFIG_FROM_ARGS);
    }
    buf_destroy(&words.joined);
    config_batch_clear(&batch);
    return err;
}

/* ---- what was probably meant ---- */

/* Longer names are not looked at; ours have at most 25 letters. */
#define GUESS_MAX 40

static size_t min_of(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, deletions, substitutions and swaps of neighbours between 'a'
 * and 'b', whatever the case.  Both at most GUESS_MAX long.
 * Source: optimal string alignment distance. */
static size_t distance(struct slice a, const char *b)
{
    const size_t b_size = strlen(b);
    size_t rows[3][GUESS_MAX + 1]; /* Row i of the matrix is rows[i % 3]. */
    for (size_t j = 0; j <= b_size; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a.size; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3];
        const size_t *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            const bool same = (a.data[i - 1] | 0x20) == (b[j - 1] | 0x20);
            row[j] = min_of(min_of(above[j] + 1, row[j - 1] + 1),
                            above[j - 1] + !same);
            if (i > 1 && j > 1 && (a.data[i - 1] | 0x20) == b[j - 2] &&
                (a.data[i - 2] | 0x20) == b[j - 1]) {
                row[j] = min_of(row[j], above2[j - 2] + 1);
            }
        }
    }
    return rows[a.size % 3][b_size];
}

enum config_id config_guess(struct slice name)
{
    enum config_id best = CONFIG_COUNT;
    if (name.size == 0 || name.size > GUESS_MAX) {
        return best;
    }
    /* A third of the letters wrong is still that word. */
    size_t best_distance = name.size / 3 + 1;
    for (enum config_id id = 0; id < CONFIG_COUNT; id++) {
        const size_t d = distance(name, config_directives[id].name);
        if (d < best_distance) {
            best = id;
            best_distance = d;
        }
    }
    return best;
}
