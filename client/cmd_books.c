/* SPDX-License-Identifier: MIT */
/*
 * get, list, add, set, rm: books one by one.
 *
 * bookd has no conditional write yet, so add and set look first and write
 * second.  Between the two somebody else may write; what then happens is in
 * the manual.
 */
#include "client/client.h"
#include "client/fetch.h"
#include "client/print.h"
#include "client/utf8.h"
#include "common/mem.h"

#include <inttypes.h>

static enum output_format format_of(const struct options *options)
{
    if (options->json) {
        return OUTPUT_JSON;
    }
    if (options->csv) {
        return OUTPUT_CSV;
    }
    return print_stdout()->is_terminal ? OUTPUT_TABLE : OUTPUT_TSV;
}

/* ---- get, list ---- */

struct shower {
    struct output *output;
    bool name_missing; /* Complain of ids without a book. */
    enum status status;
};

static bool show(int64_t id, const struct book *book, void *context)
{
    struct shower *shower = context;

    if (book != NULL) {
        output_row(shower->output, book->cells);
    } else if (shower->name_missing) {
        complain("Book not found id: %" PRId64, id);
        shower->status = STATUS_NOT_FOUND;
    }
    return !ferror(stdout); /* The reader may have left. */
}

static enum status show_books(const struct client *client,
                              const struct id_list *list,
                              const struct fetch_bounds *bounds,
                              bool name_missing, bool single)
{
    struct shower shower = {.name_missing = name_missing};
    enum status status;

    shower.output = output_new(stdout, format_of(&client->args->options),
                               single, book_columns, BOOK_COLUMNS);
    status = fetch_books(client->session, list->ids, list->count, bounds, show,
                         &shower);
    output_end(shower.output);
    return status_worse(status, shower.status);
}

/* The option 'id', in milliseconds as bookd counts. */
static bool bound(const struct args *args, enum option_id id, int64_t us,
                  int64_t *ms)
{
    *ms = args->given[id] ? us / 1000 : FETCH_NO_BOUND;
    if (us % 1000 != 0) {
        complain("--%s counts in whole milliseconds", option_infos[id].name);
        return false;
    }
    return true;
}

static bool parse_bounds(const struct args *args, struct fetch_bounds *bounds)
{
    const struct options *o = &args->options;

    return bound(args, OPTION_max_age_us, o->max_age_us, &bounds->max_age_ms) &&
           bound(args, OPTION_stale_us, o->stale_us, &bounds->stale_ms) &&
           bound(args, OPTION_wait_us, o->wait_us, &bounds->wait_ms);
}

enum status command_get(struct client *client)
{
    const bool *given = client->args->given;
    const bool bounded = given[OPTION_max_age_us] || given[OPTION_stale_us] ||
                         given[OPTION_wait_us];
    struct fetch_bounds bounds;
    struct id_list list = {0};
    enum status status = STATUS_USAGE;

    if (fetch_parse_ids(client->args, &list) &&
        parse_bounds(client->args, &bounds)) {
        status = client_connect(client);
    }
    if (status == STATUS_OK) {
        status = show_books(client, &list, bounded ? &bounds : NULL, true,
                            list.count == 1);
    }
    id_list_destroy(&list);
    return status;
}

enum status command_list(struct client *client)
{
    const struct args *args = client->args;
    struct id_list list = {0};
    enum status status = client_connect(client);

    if (status == STATUS_OK) {
        status = fetch_ids(client->session, &list);
    }
    if (args->given[OPTION_limit] &&
        args->options.limit < (int64_t)list.count) {
        list.count = (size_t)args->options.limit;
    }
    if (status == STATUS_OK) {
        status = show_books(client, &list, NULL, false, false);
    }
    id_list_destroy(&list);
    return status;
}

/* ---- add, set ---- */

/* Reads "column=value" into 'book' and marks the column in 'given'. */
static bool parse_assignment(const char *word, struct book *book,
                             bool given[BOOK_COLUMNS])
{
    const char *equals = strchr(word, '=');
    const size_t size = equals == NULL ? strlen(word) : (size_t)(equals - word);
    const enum book_column column = book_column(slice_make(word, size));
    struct slice value;
    int64_t number;

    if (equals == NULL || column == BOOK_COLUMNS) {
        complain("%s: a book has COLUMN=VALUE for title, author and year",
                 word);
        return false;
    }
    if (given[column]) {
        complain("%s: this column was given before", word);
        return false;
    }
    value = slice_from_string(equals + 1);
    if (!utf8_is_valid(value)) {
        complain("%s: the value is not UTF-8", word);
        return false;
    }
    if (book_columns[column].number && value.size > 0 &&
        !slice_to_int64(value, &number)) {
        complain("%s: %s is a whole number", word, book_columns[column].name);
        return false;
    }
    book->cells[column] = value.size == 0 ? cell_missing() : cell_make(value);
    given[column] = true;
    return true;
}

static bool parse_assignments(const struct args *args, size_t first,
                              struct book *book, bool given[BOOK_COLUMNS])
{
    for (size_t i = first; i < args->n_words; i++) {
        if (!parse_assignment(args->words[i], book, given)) {
            return false;
        }
    }
    return true;
}

static bool check_title(const struct book *book)
{
    if (book->cells[BOOK_TITLE].missing) {
        complain("a book needs a title, as in title='Dune'");
        return false;
    }
    return true;
}

static struct reply *ask_about(struct session *session, const char *command,
                               int64_t id)
{
    struct buf key = {0};
    struct reply *reply;

    book_key(&key, id);
    reply = session_ask(session, command, buf_string(&key), NULL);
    buf_destroy(&key);
    return reply;
}

/* Receives the reply to a write. */
static enum status finish_write(struct session *session)
{
    struct reply *reply = session_receive(session);
    const enum status status = session_check(session, reply);

    reply_free(reply);
    return status;
}

static enum status show_one(const struct client *client, int64_t id)
{
    const struct id_list list = {.ids = &id, .count = 1};

    return show_books(client, &list, NULL, true, true);
}

/* The id after the greatest there is. */
static enum status next_id(struct session *session, int64_t *id)
{
    struct id_list list = {0};
    enum status status = fetch_ids(session, &list);

    if (status == STATUS_OK) {
        const int64_t last = list.count > 0 ? list.ids[list.count - 1] : 0;
        if (last == INT64_MAX) {
            complain("there is no id after the greatest; choose one");
            status = STATUS_REFUSED;
        } else {
            *id = last < 0 ? 1 : last + 1;
        }
    }
    id_list_destroy(&list);
    return status;
}

/* STATUS_REFUSED if there is a book 'id' already. */
static enum status check_free(struct session *session, int64_t id)
{
    struct reply *reply = ask_about(session, "EXISTS", id);
    enum status status = session_check(session, reply);

    if (status == STATUS_OK && reply_integer(reply) != 0) {
        complain("there is a book %" PRId64 " already; change it with "
                 "'bookctl set %" PRId64 " …'",
                 id, id);
        status = STATUS_REFUSED;
    }
    reply_free(reply);
    return status;
}

/* The id that add is given as its first word or as id=…; false if none. */
static bool chosen_id(const struct args *args, const struct book *book,
                      bool *chosen, int64_t *id)
{
    *chosen = book_id(book, id);
    if (strchr(args->words[0], '=') == NULL) {
        if (*chosen) {
            complain("the id is given twice");
            return false;
        }
        *chosen = true;
        return fetch_parse_id(args->words[0], id);
    }
    return true;
}

enum status command_add(struct client *client)
{
    const struct args *args = client->args;
    const size_t first = strchr(args->words[0], '=') == NULL ? 1 : 0;
    struct book book = {.cells = {{.missing = true},
                                  {.missing = true},
                                  {.missing = true},
                                  {.missing = true}}};
    bool given[BOOK_COLUMNS] = {false};
    struct buf text = {0};
    bool chosen;
    int64_t id = 0;
    enum status status;

    if (!parse_assignments(args, first, &book, given) ||
        !chosen_id(args, &book, &chosen, &id) || !check_title(&book)) {
        return STATUS_USAGE;
    }
    status = client_connect(client);
    if (status == STATUS_OK) {
        status = chosen ? check_free(client->session, id)
                        : next_id(client->session, &id);
    }
    if (status != STATUS_OK) {
        return status;
    }
    buf_append_int64(&text, id);
    book.cells[BOOK_ID] = cell_make(buf_slice(&text));
    book_send(&book, id, client->session);
    status = finish_write(client->session);
    buf_destroy(&text);
    return status == STATUS_OK ? show_one(client, id) : status;
}

/* Sends the columns that were given, and no others. */
static void send_columns(const struct book *book,
                         const bool given[BOOK_COLUMNS], int64_t id,
                         struct session *session)
{
    struct slice words[2 + 2 * BOOK_COLUMNS] = {SLICE("HSET")};
    struct buf key = {0};
    size_t n = 2;

    book_key(&key, id);
    words[1] = buf_slice(&key);
    for (size_t i = 0; i < BOOK_COLUMNS; i++) {
        if (given[i]) {
            words[n++] = slice_from_string(book_columns[i].name);
            words[n++] = book->cells[i].text;
        }
    }
    session_send(session, words, n);
    buf_destroy(&key);
}

/* Changes the book 'id', which 'reply' (to HGETALL) holds, to what was given.
 * Columns are set one by one, so that two people may change two columns of a
 * book at a time; only to empty one the whole book is written. */
static enum status change(struct session *session, int64_t id,
                          const struct reply *reply, const struct book *wanted,
                          const bool given[BOOK_COLUMNS])
{
    struct book book;
    bool empties = false;

    if (!book_from_hash(&book, reply)) {
        complain("Book not found id: %" PRId64, id);
        return STATUS_NOT_FOUND;
    }
    for (size_t i = 0; i < BOOK_COLUMNS; i++) {
        if (given[i]) {
            book.cells[i] = wanted->cells[i];
            empties = empties || wanted->cells[i].missing;
        }
    }
    if (!check_title(&book)) {
        return STATUS_USAGE;
    }
    if (empties) {
        book_send(&book, id, session);
    } else {
        send_columns(wanted, given, id, session);
    }
    return finish_write(session);
}

enum status command_set(struct client *client)
{
    const struct args *args = client->args;
    struct book wanted = {0};
    bool given[BOOK_COLUMNS] = {false};
    struct reply *reply;
    enum status status;
    int64_t id;

    if (!fetch_parse_id(args->words[0], &id) ||
        !parse_assignments(args, 1, &wanted, given)) {
        return STATUS_USAGE;
    }
    if (given[BOOK_ID]) {
        complain("the id of a book cannot be changed");
        return STATUS_USAGE;
    }
    status = client_connect(client);
    if (status != STATUS_OK) {
        return status;
    }
    reply = ask_about(client->session, "HGETALL", id);
    status = session_check(client->session, reply);
    if (status == STATUS_OK) {
        status = change(client->session, id, reply, &wanted, given);
    }
    reply_free(reply);
    return status == STATUS_OK ? show_one(client, id) : status;
}

/* ---- rm ---- */

enum status command_rm(struct client *client)
{
    struct id_list list = {0};
    enum status worst = STATUS_USAGE;

    if (fetch_parse_ids(client->args, &list)) {
        worst = client_connect(client);
    }
    for (size_t i = 0; i < list.count && client->session != NULL; i++) {
        struct reply *reply = ask_about(client->session, "DEL", list.ids[i]);
        enum status status = session_check(client->session, reply);

        if (status == STATUS_OK && reply_integer(reply) == 0) {
            complain("Book not found id: %" PRId64, list.ids[i]);
            status = STATUS_NOT_FOUND;
        }
        worst = status_worse(worst, status);
        reply_free(reply);
        if (status == STATUS_CONNECTION) {
            break;
        }
    }
    id_list_destroy(&list);
    return worst;
}
