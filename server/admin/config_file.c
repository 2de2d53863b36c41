/* SPDX-License-Identifier: MIT */
/*
 * Files and command lines: split into directive and words, checked one by
 * one, and committed together if nothing was wrong.
 *
 *     line    =  [ name words ] [ '#' anything ]
 *     word    =  bare | '"' characters and escapes '"'
 *     escape  =  '\' followed by one of  " \ n r t  or by xHH
 *
 * A '#' begins a comment where a word could begin, but not in a line of 'user',
 * where it begins a password's digest.
 */
#include "server/admin/config.h"

#include "common/mem.h"
#include "server/admin/config_batch.h"
#include "server/admin/config_tables.h"
#include "server/admin/config_text.h"

#include <errno.h>
#include <stdio.h>

/* Larger than any configuration; what is larger was named by mistake. */
#define FILE_MAX_BYTES (1 << 20)

/* Where a complaint is about. */
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
    struct buf quoted; /* The same, each in quotes if it needs them. */
    size_t count;
    size_t start; /* Of the last one in 'joined'. */
};

static void words_clear(struct words *w)
{
    buf_clear(&w->joined);
    buf_clear(&w->quoted);
    w->count = 0;
}

static void words_destroy(struct words *w)
{
    buf_destroy(&w->joined);
    buf_destroy(&w->quoted);
}

/* What goes between the last word and the next. */
static void words_next(struct words *w)
{
    if (w->count++ > 0) {
        buf_append_char(&w->joined, ' ');
    }
    w->start = w->joined.size;
}

/* The word that words_next() began is whole.  A ';' in it ends an entry of a
 * 'table' unless it was in quotes. */
static void words_end(struct words *w, bool in_quotes)
{
    const struct slice word = slice_make(buf_slice(&w->joined).data + w->start,
                                         w->joined.size - w->start);
    bool plain = word.size > 0;

    for (size_t i = 0; plain && i < word.size; i++) {
        plain = (unsigned char)word.data[i] > ' ' && word.data[i] != '"' &&
                word.data[i] != '\\' && !(in_quotes && word.data[i] == ';');
    }
    buf_append_string(&w->quoted, w->count > 1 ? " " : "");
    if (plain) {
        buf_append_slice(&w->quoted, word);
    } else {
        config_tables_quote(word, &w->quoted);
    }
}

static void complain_unknown(struct slice name, const struct place *place,
                             struct buf *detail)
{
    const bool is_file = place->path != NULL;
    buf_printf(detail, "there is no %s ", is_file ? "directive" : "option");
    config_text_show(name, detail);
    const enum config_id guess = config_guess(name);
    if (guess < CONFIG_COUNT) {
        buf_printf(detail, "; did you mean %s%s?", is_file ? "" : "--",
                   config_directives[guess].name);
    }
}

static void complain_count(const struct config_directive *d,
                           const struct words *words, struct buf *detail)
{
    if (words->count == 0) {
        buf_printf(detail, "%s: the value is missing: ", d->name);
        config_text_describe(d, detail);
        return;
    }
    buf_printf(detail, "%s: ", d->name);
    config_text_show(buf_slice(&words->joined), detail);
    buf_printf(detail,
               " are %zu values; it takes one, and one that has spaces "
               "belongs in quotes",
               words->count);
}

static bool takes_words(const struct config_directive *d)
{
    return d->kind == CONFIG_WORDS || d->kind == CONFIG_PERCENTILES ||
           d->kind == CONFIG_TABLES || d->kind == CONFIG_LIMITS ||
           d->kind == CONFIG_USERS;
}

/* Adds "name words" to 'batch', which is for 'c'; false with a complaint in
 * 'detail'. */
static bool add(const struct config *c, struct config_batch *batch,
                struct slice name, const struct words *words,
                const struct place *place, struct buf *detail)
{
    const size_t size = detail->size;
    begin_complaint(place, detail);
    const enum config_id id = config_find(name);
    const bool is_quoted = (id == CONFIG_table && words->count > 1) ||
                           (id == CONFIG_user && words->joined.size > 0);
    const struct slice value =
        buf_slice(is_quoted ? &words->quoted : &words->joined);
    if (id == CONFIG_COUNT) {
        complain_unknown(name, place, detail);
    } else if (words->count != 1 &&
               (words->count == 0 || !takes_words(&config_directives[id]))) {
        complain_count(&config_directives[id], words, detail);
    } else if (config_check_from_file(c, id, value, detail) == ERR_OK &&
               config_batch_add(batch, id, value, detail) == ERR_OK) {
        buf_truncate(detail, size);
        return true;
    }
    buf_append_char(detail, '\n');
    return false;
}

/* ---- files ---- */

/* Splits the value part of a line.  Returns what is wrong with it, or NULL. */
static const char *split(const char *p, bool has_comments, struct words *words)
{
    for (;;) {
        while (config_text_is_space(*p)) {
            p++;
        }
        if (*p == '\0' || (*p == '#' && has_comments)) {
            return NULL;
        }
        words_next(words);
        if (*p == '"') {
            p++;
            const char *wrong = config_text_unquote(&p, &words->joined);
            if (wrong == NULL && *p != '\0' && !config_text_is_space(*p)) {
                wrong = "a space is missing behind a closing quote";
            }
            if (wrong != NULL) {
                return wrong;
            }
            words_end(words, true);
            continue;
        }
        for (; *p != '\0' && !config_text_is_space(*p); p++) {
            if (*p == '"') {
                return "a quote stands inside a word; put all of it in quotes";
            }
            buf_append_char(&words->joined, *p);
        }
        words_end(words, false);
    }
}

/* One line without its newline; false with a complaint in 'detail'. */
static bool load_line(const struct config *c, struct config_batch *batch,
                      const char *line, struct words *words,
                      const struct place *place, struct buf *detail)
{
    while (config_text_is_space(*line)) {
        line++;
    }
    if (*line == '\0' || *line == '#') {
        return true;
    }
    const char *end = line;
    while (*end != '\0' && !config_text_is_space(*end)) {
        end++;
    }
    const struct slice name = slice_make(line, (size_t)(end - line));
    words_clear(words);
    const char *wrong = split(end, config_find(name) != CONFIG_user, words);
    if (wrong != NULL) {
        begin_complaint(place, detail);
        buf_printf(detail, "%s\n", wrong);
        return false;
    }
    return add(c, batch, name, words, place, detail);
}

/* All lines of 'text'. */
static enum err load_lines(const struct config *c, struct config_batch *batch,
                           const char *path, struct buf *text,
                           struct buf *detail)
{
    enum err err = ERR_OK;
    struct words words = {0};
    struct place place = {.path = path};
    while (text->size > 0) {
        char *line = buf_data(text);
        char *end = memchr(line, '\n', text->size);
        if (end == NULL) {
            (void)buf_string(text); /* Ends the last line. */
            line = buf_data(text);
            end = line + text->size;
        }
        *end = '\0';
        place.line++;
        if (!load_line(c, batch, line, &words, &place, detail)) {
            err = ERR_INVALID;
        }
        const size_t used = (size_t)(end - line) + 1;
        buf_consume(text, used < text->size ? used : text->size);
    }
    words_destroy(&words);
    return err;
}

static enum err system_failed(const char *path, struct buf *detail)
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

enum err config_read_file(const char *path, struct buf *text,
                          struct buf *detail)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return system_failed(path, detail);
    }
    enum err err = ERR_OK;
    const size_t size =
        fread(buf_reserve(text, FILE_MAX_BYTES), 1, FILE_MAX_BYTES, file);
    buf_commit(text, size);
    if (ferror(file)) {
        err = system_failed(path, detail);
    } else if (size == FILE_MAX_BYTES ||
               (size > 0 && memchr(buf_data(text), '\0', size) != NULL)) {
        buf_printf(detail, "%s: this is no configuration file\n", path);
        err = ERR_INVALID;
    }
    fclose(file);
    return err;
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
        if (id == CONFIG_table) {
            config_compare_tables(c, batch->values[id].text, path, detail);
        }
        if (d->at_run_time || config_is_pinned(c, id)) {
            continue;
        }
        struct config_value now = config_value_now(c, id);
        if (!config_value_equal(&now, &batch->values[id]) &&
            d->kind == CONFIG_USERS) {
            /* It has passwords in it, which belong in no log. */
            buf_printf(detail, "%s: %s stays as it is until a restart\n", path,
                       d->name);
        } else if (!config_value_equal(&now, &batch->values[id])) {
            struct buf text = {0};
            config_value_format(d, &now, &text);
            buf_printf(detail, "%s: %s stays ", path, d->name);
            config_text_quote(buf_slice(&text), detail);
            buf_append_string(detail, " until a restart, which makes it ");
            buf_clear(&text);
            config_value_format(d, &batch->values[id], &text);
            config_text_quote(buf_slice(&text), detail);
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
    struct buf text = {0};
    struct config_batch batch = {0};
    enum err err = config_read_file(path, &text, detail);
    if (err == ERR_OK) {
        err = load_lines(c, &batch, path, &text, detail);
    }
    buf_destroy(&text);
    if (err == ERR_OK) {
        if (run_time_only) {
            prepare_reload(c, &batch, path, detail);
        }
        config_commit_from(
            c, &batch, run_time_only ? CONFIG_FROM_RELOAD : CONFIG_FROM_FILE);
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
        config_text_show(slice_from_string(argv[i]), detail);
        buf_append_string(detail, " is no option; options begin with --\n");
        err = ERR_INVALID;
    }
    while (i < argc) {
        const char *name = argv[i++] + 2;
        const size_t name_size = strcspn(name, "=");
        words_clear(&words);
        if (name[name_size] == '=') {
            words_next(&words);
            buf_append_string(&words.joined, name + name_size + 1);
            words_end(&words, false);
        }
        for (; i < argc && !is_option(argv[i]); i++) {
            words_next(&words);
            buf_append_string(&words.joined, argv[i]);
            words_end(&words, false);
        }
        if (!add(c, &batch, slice_make(name, name_size), &words, &place,
                 detail)) {
            err = ERR_INVALID;
        }
    }
    if (err == ERR_OK) {
        config_commit_from(c, &batch, CONFIG_FROM_ARGS);
    }
    words_destroy(&words);
    config_batch_clear(&batch);
    return err;
}
