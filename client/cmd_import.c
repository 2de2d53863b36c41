/* SPDX-License-Identifier: MIT */
/*
 * import: a CSV file into the store.
 *
 *     csv_next ─► header: which cell is which column (plan)
 *              └► record ─► book ─► SET with the whole row, in pipelines
 *                   └─ refused: "line 12: reason"
 *
 * A whole row replaces a whole row (SET, not HSET), so that a cell that is
 * empty in the file is missing in the store afterwards, whatever was there.
 */
#include "client/client.h"
#include "client/csv.h"
#include "client/fetch.h"
#include "client/nearest.h"
#include "client/print.h"
#include "client/progress.h"
#include "client/utf8.h"
#include "common/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#define REFUSALS_SHOWN 20 /* More are counted only. */

/* From which cells of a record a column is taken: the first that is not
 * empty. */
struct source {
    size_t cells[ARGS_LIST_MAX];
    size_t count;
};

struct import {
    const char *name; /* Of the file, for people. */
    FILE *file;
    struct csv *csv;
    struct session *session;
    struct source plan[BOOK_COLUMNS];
    size_t n_cells; /* Of the header; every record must have as many. */
    struct progress progress;

    int64_t lines[FETCH_BATCH]; /* Of the books sent and not yet answered. */
    size_t n_sent;

    int64_t n_imported;
    int64_t n_refused;
    enum status status;
};

/* ---- the plan ---- */

/* The index of the cell that the header calls 'name', or n_cells. */
static size_t find_cell(const struct import *import, struct slice name)
{
    size_t i = 0;

    while (i < import->n_cells &&
           !slice_equal_nocase(csv_field(import->csv, i), name)) {
        i++;
    }
    return i;
}

static void complain_of_cell(const struct import *import, const char *name)
{
    char **names = xcalloc(import->n_cells, sizeof(*names));
    struct buf all = {0};
    const char *nearest;

    for (size_t i = 0; i < import->n_cells; i++) {
        names[i] = xslicedup(csv_field(import->csv, i));
        buf_printf(&all, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    nearest = nearest_name(name, (const char *const *)names, import->n_cells);
    if (nearest != NULL) {
        complain("%s has no column %s; did you mean %s?", import->name, name,
                 nearest);
    } else {
        complain("%s has no column %s; it has: %s", import->name, name,
                 buf_string(&all));
    }
    for (size_t i = 0; i < import->n_cells; i++) {
        free(names[i]);
    }
    free(names);
    buf_destroy(&all);
}

/* Takes one --map into the plan. */
static bool plan_map(struct import *import, const char *map)
{
    const char *equals = strchr(map, '=');
    enum book_column column;
    size_t cell;

    if (equals == NULL) {
        complain("--map %s: it must be COLUMN=NAME, as in title=%s", map, map);
        return false;
    }
    column = book_column(slice_make(map, (size_t)(equals - map)));
    if (column == BOOK_COLUMNS) {
        complain("--map %s: a book has the columns id, title, author, year",
                 map);
        return false;
    }
    cell = find_cell(import, slice_from_string(equals + 1));
    if (cell == import->n_cells) {
        complain_of_cell(import, equals + 1);
        return false;
    }
    struct source *source = &import->plan[column];
    source->cells[source->count++] = cell;
    return true;
}

/* Makes the plan from the header, which has just been read. */
static bool make_plan(struct import *import, const struct args_list *maps)
{
    import->n_cells = csv_count(import->csv);
    for (size_t i = 0; i < maps->count; i++) {
        if (!plan_map(import, maps->items[i])) {
            return false;
        }
    }
    for (enum book_column c = 0; c < BOOK_COLUMNS; c++) {
        struct source *source = &import->plan[c];
        const char *name = book_columns[c].name;
        const size_t cell = find_cell(import, slice_from_string(name));

        if (source->count == 0 && cell < import->n_cells) {
            source->cells[source->count++] = cell;
        }
        if (source->count == 0 && (c == BOOK_ID || c == BOOK_TITLE)) {
            complain_of_cell(import, name);
            complain("say which column it is: --map %s=NAME", name);
            return false;
        }
        if (source->count == 0) {
            complain("%s has no column %s: it will be missing", import->name,
                     name);
        }
    }
    return true;
}

/* ---- one record ---- */

/* A whole number as tables spell them: spaces around it, a sign, zeros behind
 * a point.  Spells it in 'out' as a store does. */
static bool read_number(struct slice text, struct buf *out)
{
    int64_t value = 0;
    bool negative = false;
    size_t i = 0;
    size_t digits = 0;

    while (text.size > 0 && text.data[text.size - 1] == ' ') {
        text.size--;
    }
    while (i < text.size && text.data[i] == ' ') {
        i++;
    }
    if (i < text.size && (text.data[i] == '-' || text.data[i] == '+')) {
        negative = text.data[i++] == '-';
    }
    for (; i < text.size && text.data[i] >= '0' && text.data[i] <= '9'; i++) {
        const int digit = text.data[i] - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, digit, &value)) {
            return false; /* Counted downwards: there are more negatives. */
        }
        digits++;
    }
    if (i < text.size && text.data[i] == '.') {
        i++;
        while (i < text.size && text.data[i] == '0') {
            i++;
        }
    }
    if (digits == 0 || i < text.size || (!negative && value == INT64_MIN)) {
        return false;
    }
    buf_append_int64(out, negative ? value : -value);
    return true;
}

static struct cell pick(const struct import *import, enum book_column column)
{
    const struct source *source = &import->plan[column];

    for (size_t i = 0; i < source->count; i++) {
        const struct slice text = csv_field(import->csv, source->cells[i]);
        if (text.size > 0) {
            return cell_make(text);
        }
    }
    return cell_missing();
}

/* Reads the record into 'book', whose numbers are spelled in 'numbers'.
 * Otherwise says in 'why' what is wrong with it. */
static bool read_book(const struct import *import, struct book *book,
                      struct buf numbers[BOOK_COLUMNS], struct buf *why)
{
    if (csv_count(import->csv) != import->n_cells) {
        buf_printf(why, "it has %zu cells, the header has %zu",
                   csv_count(import->csv), import->n_cells);
        return false;
    }
    for (enum book_column c = 0; c < BOOK_COLUMNS; c++) {
        struct cell *cell = &book->cells[c];
        const char *name = book_columns[c].name;

        *cell = pick(import, c);
        if (cell->missing && (c == BOOK_ID || c == BOOK_TITLE)) {
            buf_printf(why, "the %s is missing", name);
            return false;
        }
        if (!utf8_is_valid(cell->text)) {
            buf_printf(why, "the %s is not UTF-8", name);
            return false;
        }
        if (cell->missing || !book_columns[c].number) {
            continue;
        }
        buf_clear(&numbers[c]);
        if (!read_number(cell->text, &numbers[c])) {
            buf_printf(why, "the %s is no whole number: ", name);
            buf_append_slice(why, cell->text);
            return false;
        }
        cell->text = buf_slice(&numbers[c]);
    }
    return true;
}

/* ---- sending ---- */

static void refuse(struct import *import, int64_t line, struct slice reason)
{
    import->n_refused++;
    if (import->n_refused <= REFUSALS_SHOWN) {
        progress_clear(&import->progress);
        complain("%s line %" PRId64 ": %.*s", import->name, line,
                 (int)reason.size, reason.data);
    } else if (import->n_refused == REFUSALS_SHOWN + 1) {
        progress_clear(&import->progress);
        complain("further refused lines are only counted");
    }
}

/* Receives the answers to all that was sent.  False if it is of no use to go
 * on. */
static bool settle(struct import *import)
{
    size_t n_failed = 0;

    for (size_t i = 0; i < import->n_sent; i++) {
        struct reply *reply = session_receive(import->session);

        if (reply == NULL) {
            progress_clear(&import->progress);
            import->status = status_worse(
                import->status, session_check(import->session, reply));
            return false;
        }
        if (reply_kind(reply) == REPLY_ERROR) {
            refuse(import, import->lines[i], reply_text(reply));
            n_failed++;
        } else {
            import->n_imported++;
        }
        reply_free(reply);
    }
    if (n_failed > 0) {
        import->status = status_worse(import->status, STATUS_SERVER);
    }
    if (n_failed == import->n_sent && n_failed > 1) {
        progress_clear(&import->progress);
        complain("%s refused a whole batch of %zu; giving up",
                 session_place(import->session), n_failed);
        return false;
    }
    import->n_sent = 0;
    progress_update(&import->progress, csv_bytes(import->csv),
                    import->n_imported);
    return true;
}

static void send_book(struct import *import, const struct book *book)
{
    int64_t id = 0;

    (void)book_id(book, &id); /* It was checked. */
    book_send(book, id, import->session);
    import->lines[import->n_sent++] = csv_line(import->csv);
}

static void import_records(struct import *import)
{
    struct buf numbers[BOOK_COLUMNS] = {{0}};
    struct buf why = {0};
    enum csv_result result;
    bool go_on = true;

    while (go_on && (result = csv_next(import->csv)) != CSV_END) {
        struct book book;

        buf_clear(&why);
        if (result == CSV_BAD) {
            refuse(import, csv_line(import->csv),
                   slice_from_string(csv_reason(import->csv)));
        } else if (!read_book(import, &book, numbers, &why)) {
            refuse(import, csv_line(import->csv), buf_slice(&why));
        } else {
            send_book(import, &book);
        }
        if (import->n_sent == FETCH_BATCH) {
            go_on = settle(import);
        }
    }
    if (go_on && import->n_sent > 0) {
        (void)settle(import);
    }
    for (size_t i = 0; i < BOOK_COLUMNS; i++) {
        buf_destroy(&numbers[i]);
    }
    buf_destroy(&why);
}

static void report(struct import *import)
{
    struct buf line = {0};

    progress_clear(&import->progress);
    if (ferror(import->file)) {
        complain("cannot read %s: %s", import->name, strerror(errno));
        import->status = status_worse(import->status, STATUS_REFUSED);
    }
    if (import->n_refused > 0 && import->status == STATUS_OK) {
        import->status = STATUS_REFUSED;
    }
    print_count(&line, import->n_imported, "book", "books");
    buf_append_string(&line, " imported, ");
    print_count(&line, import->n_refused, "line", "lines");
    buf_append_string(&line, " refused\n");
    print_write(stdout, &line);
    buf_destroy(&line);
}

enum status command_import(struct client *client)
{
    const struct options *options = &client->args->options;
    const char *path = client->args->words[0];
    const bool standard_input = strcmp(path, "-") == 0;
    struct import import = {.name = standard_input ? "standard input" : path,
                            .file = standard_input ? stdin : NULL};
    struct stat about;

    if (!standard_input) {
        import.file = fopen(path, "re");
    }
    if (import.file == NULL) {
        complain("cannot read %s: %s", path, strerror(errno));
        return STATUS_REFUSED;
    }
    import.csv = csv_new(import.file);
    progress_init(&import.progress, "books",
                  fstat(fileno(import.file), &about) == 0 &&
                          S_ISREG(about.st_mode)
                      ? about.st_size
                      : 0);
    if (csv_next(import.csv) != CSV_RECORD) {
        complain("%s: %s", import.name,
                 ferror(import.file) ? strerror(errno)
                                     : "there is no header line");
        import.status = STATUS_REFUSED;
    } else if (!make_plan(&import, &options->map)) {
        import.status = STATUS_USAGE;
    } else if ((import.status = client_connect(client)) == STATUS_OK) {
        import.session = client->session;
        import_records(&import);
        report(&import);
    }
    csv_free(import.csv);
    if (!standard_input) {
        (void)fclose(import.file);
    }
    return import.status;
}
