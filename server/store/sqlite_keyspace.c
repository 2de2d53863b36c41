/* SPDX-License-Identifier: MIT */
/*
 * Plain keys by database (plain_key.h): how many there are, and any one.
 *
 * The keys of a database are a range of the index on keys, those of database 0
 * two of them:
 *
 *     …  user:7 before 0x00 │ 00 00 … │ 00 01 … │ … │ 00 ff … │ from 0x01 on …
 *     database 0 ───────────┴─────────┘ 1         …   ours    └ database 0 ────
 *
 * So each is counted at a cost of its own.  While there is but database 0, all
 * rows are counted, which SQLite does without looking at them.
 *
 * Any key: of up to FEW keys each with the same chance; of more, that which has
 * the next id behind a random one, so that those behind a gap are likelier.
 */
#include "server/store/sqlite_internal.h"

#include <sqlite3.h>

#include "common/clock.h"
#include "common/mem.h"
#include "server/store/plain_key.h"

/* Keys among which one is chosen by counting. */
#define FEW 128

/* Random ids that are tried, and rows looked at behind each. */
#define TRIES 16
#define ROWS_A_TRY 256

/* ---- ranges ---- */

/* One range of keys: from 'first' up to, not with, 'end', if it has one. */
struct range {
    struct slice first, end;
    char bytes[2][PLAIN_KEY_PREFIX_SIZE];
};

/* Range 'part' of a database, from 0; false if there is none. */
static bool range_of(unsigned database, size_t part, struct range *range)
{
    range->bytes[0][0] = '\0';
    range->bytes[0][1] = (char)database;
    range->bytes[1][0] = '\0';
    range->bytes[1][1] = (char)(database + 1);
    range->first = slice_make(range->bytes[0], PLAIN_KEY_PREFIX_SIZE);
    range->end = slice_make(range->bytes[1], PLAIN_KEY_PREFIX_SIZE);
    if (database == PLAIN_KEY_DATABASES - 1) {
        range->end = SLICE("\1");
    }
    if (database == 0 && part == 0) {
        range->first = SLICE("");
    } else if (database == 0) {
        range->first = SLICE("\1");
        range->end = slice_make(NULL, 0);
    }
    return part == 0 || (database == 0 && part == 1);
}

bool sqlite_next_range(unsigned database, struct slice *first)
{
    /* Between the two of database 0 stand all others. */
    if (database == 0 && first->size > 0 && first->data[0] != '\0') {
        return false;
    }
    *first = SLICE("\1");
    return database == 0;
}

enum err sqlite_has_databases(struct engine_reader *reader, bool *has,
                              struct buf *detail)
{
    struct sqlite3_stmt *statement = reader->plain_by_key;
    enum err err = ERR_OK;

    sqlite_bind_blob(statement, 1, SLICE("\0\1"));
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *has = plain_key_database(sqlite_column(statement, 1).bytes) != 0;
    } else if (code == SQLITE_DONE) {
        *has = false;
    } else {
        err = sqlite_failed(reader->db, detail);
    }
    sqlite3_reset(statement);
    return err;
}

/* ---- counts ---- */

/* Adds the number that 'statement', bound, answers. */
static enum err add_count(struct engine_reader *reader,
                          struct sqlite3_stmt *statement, int64_t *n,
                          struct buf *detail)
{
    enum err err = ERR_OK;

    if (sqlite3_step(statement) == SQLITE_ROW) {
        *n += sqlite3_column_int64(statement, 0);
    } else {
        err = sqlite_failed(reader->db, detail);
    }
    sqlite3_reset(statement);
    return err;
}

/* Adds all keys of the database, expired ones too. */
static enum err count_ranges(struct engine_reader *reader, unsigned database,
                             int64_t *n, struct buf *detail)
{
    struct range range;
    enum err err = ERR_OK;

    for (size_t i = 0; err == ERR_OK && range_of(database, i, &range); i++) {
        struct sqlite3_stmt *statement = range.end.data == NULL
                                             ? reader->plain_count_from
                                             : reader->plain_count_range;
        sqlite_bind_blob(statement, 1, range.first);
        if (range.end.data != NULL) {
            sqlite_bind_blob(statement, 2, range.end);
        }
        err = add_count(reader, statement, n, detail);
    }
    return err;
}

/* Few: each transaction takes some out. */
static enum err count_expired(struct engine_reader *reader, int64_t now_ms,
                              int64_t n[PLAIN_KEY_DATABASES],
                              struct buf *detail)
{
    struct sqlite3_stmt *statement = reader->plain_expired;
    int code;

    sqlite3_bind_int64(statement, 1, now_ms);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        n[plain_key_database(sqlite_column(statement, 0).bytes)]++;
    }
    return sqlite_end(reader->db, statement, code, detail);
}

enum err sqlite_count_plain(struct engine_reader *reader, unsigned database,
                            int64_t *n_keys, struct buf *detail)
{
    int64_t expired[PLAIN_KEY_DATABASES] = {0};
    bool has_databases = true;
    enum err err = ERR_OK;

    if (!reader->has_plain) {
        return ERR_OK;
    }
    if (database == 0) {
        err = sqlite_has_databases(reader, &has_databases, detail);
    }
    if (err == ERR_OK && !has_databases) {
        sqlite3_bind_int64(reader->plain_count, 1, clock_wall_ms());
        return add_count(reader, reader->plain_count, n_keys, detail);
    }
    if (err == ERR_OK) {
        err = count_ranges(reader, database, n_keys, detail);
    }
    if (err == ERR_OK) {
        err = count_expired(reader, clock_wall_ms(), expired, detail);
        *n_keys -= expired[database];
    }
    return err;
}

/* The number of the first database from 'from' on, other than 0, that has
 * keys; PLAIN_KEY_DATABASES if there is none. */
static enum err find_database(struct engine_reader *reader, unsigned from,
                              unsigned *found, struct buf *detail)
{
    struct sqlite3_stmt *statement = reader->plain_by_key;
    struct range range;
    enum err err = ERR_OK;

    *found = PLAIN_KEY_DATABASES;
    if (from == PLAIN_KEY_DATABASES) {
        return ERR_OK;
    }
    (void)range_of(from, 0, &range);
    sqlite_bind_blob(statement, 1, range.first);
    const int code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        const unsigned database =
            plain_key_database(sqlite_column(statement, 1).bytes);
        *found = database != 0 ? database : PLAIN_KEY_DATABASES;
    } else if (code != SQLITE_DONE) {
        err = sqlite_failed(reader->db, detail);
    }
    sqlite3_reset(statement);
    return err;
}

static enum err sum_expiring(struct engine_reader *reader, int64_t now_ms,
                             struct store_figures *figures, struct buf *detail)
{
    struct sqlite3_stmt *statement = reader->plain_expiring;
    int code;

    sqlite3_bind_int64(statement, 1, now_ms);
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        struct store_figures *f =
            &figures[plain_key_database(sqlite_column(statement, 0).bytes)];
        f->n_expiring++;
        f->sum_ttl_ms += sqlite3_column_int64(statement, 1) - now_ms;
    }
    return sqlite_end(reader->db, statement, code, detail);
}

static enum err count_records(struct engine_reader *reader,
                              struct store_walk *walk, struct buf *detail)
{
    const struct mappings *mappings = reader->mappings;

    walk->n_keys = 0;
    for (size_t i = 0; i < mappings->count; i++) {
        /* A table that does not fit any more has none. */
        const enum err err = sqlite_count_rows(reader, &mappings->list[i],
                                               &walk->n_keys, detail);
        if (err != ERR_OK && err != ERR_STORE_MAPPING) {
            return err;
        }
        buf_clear(detail);
    }
    return ERR_OK;
}

enum err sqlite_keyspace(struct engine_reader *reader, struct store_walk *walk,
                         struct buf *detail)
{
    const int64_t now_ms = clock_wall_ms();
    struct store_figures *figures = walk->figures;
    int64_t expired[PLAIN_KEY_DATABASES] = {0};
    unsigned database = 0;

    memset(figures, 0, PLAIN_KEY_DATABASES * sizeof figures[0]);
    enum err err = count_records(reader, walk, detail);
    if (err != ERR_OK || !reader->has_plain) {
        return err;
    }
    err = sqlite_count_plain(reader, 0, &figures[0].n_keys, detail);
    while (err == ERR_OK && database < PLAIN_KEY_DATABASES) {
        err = find_database(reader, database + 1, &database, detail);
        if (err == ERR_OK && database < PLAIN_KEY_DATABASES) {
            err = count_ranges(reader, database, &figures[database].n_keys,
                               detail);
        }
    }
    if (err == ERR_OK) {
        err = count_expired(reader, now_ms, expired, detail);
    }
    for (size_t i = 1; i < PLAIN_KEY_DATABASES; i++) {
        figures[i].n_keys -= expired[i]; /* Of 0 they were not counted. */
    }
    return err == ERR_OK ? sum_expiring(reader, now_ms, figures, detail) : err;
}

/* ---- any key ---- */

/* One key of several, and of how many it is one. */
struct choice {
    struct buf key;
    int64_t weight;
};

static uint64_t draw(uint64_t below)
{
    uint64_t random;

    sqlite3_randomness(sizeof random, &random);
    return below == 0 ? random : random % below;
}

static void choose(struct choice *choice, struct slice key)
{
    buf_clear(&choice->key);
    buf_append_slice(&choice->key, key);
}

/* Another key, after 'weight' others with the same chance. */
static void consider(struct choice *choice, struct slice key)
{
    choice->weight++;
    if (draw((uint64_t)choice->weight) == 0) {
        choose(choice, key);
    }
}

/* A key that lives and is of the walk's database, at the row of 'statement'. */
static bool take_plain(struct sqlite3_stmt *statement, unsigned database,
                       int64_t now_ms, struct slice *key)
{
    *key = sqlite_column(statement, 1).bytes;
    return plain_key_database(*key) == database &&
           (sqlite3_column_type(statement, 2) == SQLITE_NULL ||
            sqlite3_column_int64(statement, 2) > now_ms);
}

/* Considers up to FEW keys of the database, in their order. */
static enum err choose_of_few(struct engine_reader *reader, unsigned database,
                              struct choice *choice, struct buf *detail)
{
    struct sqlite3_stmt *statement = reader->plain_by_key;
    const int64_t now_ms = clock_wall_ms();
    enum err err = ERR_OK;
    struct range range;
    int code = SQLITE_ROW;

    for (size_t i = 0; err == ERR_OK && code == SQLITE_ROW &&
                       choice->weight < FEW && range_of(database, i, &range);
         i++) {
        struct slice key;
        sqlite_bind_blob(statement, 1, range.first);
        while (choice->weight < FEW &&
               (code = sqlite3_step(statement)) == SQLITE_ROW) {
            if (take_plain(statement, database, now_ms, &key)) {
                consider(choice, key);
            } else if (plain_key_database(key) != database) {
                break;
            }
        }
        err = sqlite_end(reader->db, statement, code, detail);
    }
    return err;
}

/* The first and the last number of a column of a table, by its index. */
static enum err ends_of(struct engine_reader *reader, const char *column,
                        const char *table, int64_t *first, int64_t *last,
                        struct buf *detail)
{
    struct sqlite3_stmt *statement = NULL;
    struct buf sql = {0};

    buf_printf(&sql, "SELECT (SELECT min(%s) FROM ", column);
    sqlite_append_name(&sql, table);
    buf_printf(&sql, "), (SELECT max(%s) FROM ", column);
    sqlite_append_name(&sql, table);
    buf_append_string(&sql, ")");
    enum err err =
        sqlite_prepare(reader->db, buf_string(&sql), &statement, detail);
    if (err == ERR_OK && sqlite3_step(statement) == SQLITE_ROW) {
        *first = sqlite3_column_int64(statement, 0);
        *last = sqlite3_column_int64(statement, 1);
    } else if (err == ERR_OK) {
        err = sqlite_failed(reader->db, detail);
    }
    sqlite3_finalize(statement);
    buf_destroy(&sql);
    return err;
}

/* From 'first' to 'last', as likely. */
static int64_t draw_between(int64_t first, int64_t last)
{
    return (int64_t)((uint64_t)first +
                     draw((uint64_t)last - (uint64_t)first + 1));
}

static int64_t span(int64_t first, int64_t last)
{
    const uint64_t n = (uint64_t)last - (uint64_t)first;

    return n >= INT64_MAX / 1024 ? INT64_MAX / 1024 : (int64_t)n + 1;
}

/* Of many keys: by their ids.  If none is found, what was chosen stays. */
static enum err choose_by_id(struct engine_reader *reader, unsigned database,
                             struct choice *choice, struct buf *detail)
{
    struct sqlite3_stmt *statement = reader->plain_scan;
    const int64_t now_ms = clock_wall_ms();
    int64_t first = 0;
    int64_t last = 0;
    bool found = false;
    enum err err = ends_of(reader, "id", "bookd_plain", &first, &last, detail);

    for (size_t i = 0; i < TRIES && err == ERR_OK && !found; i++) {
        int code = SQLITE_ROW;
        struct slice key;
        sqlite3_bind_int64(statement, 1, draw_between(first, last));
        for (size_t n = 0; n < ROWS_A_TRY && !found &&
                           (code = sqlite3_step(statement)) == SQLITE_ROW;
             n++) {
            found = take_plain(statement, database, now_ms, &key);
        }
        if (found) {
            choose(choice, key);
            choice->weight = span(first, last);
        }
        err = sqlite_end(reader->db, statement, code, detail);
    }
    return err;
}

static enum err choose_plain(struct engine_reader *reader, unsigned database,
                             struct choice *choice, struct buf *detail)
{
    if (!reader->has_plain) {
        return ERR_OK;
    }
    const enum err err = choose_of_few(reader, database, choice, detail);

    return err == ERR_OK && choice->weight == FEW
               ? choose_by_id(reader, database, choice, detail)
               : err;
}

/* Considers the keys of rows that 'statement', bound, finds, up to 'max'. */
static enum err choose_of_rows(struct engine_reader *reader,
                               const struct mapping *mapping,
                               struct sqlite3_stmt *statement, int column,
                               int64_t max, struct choice *choice,
                               struct buf *detail)
{
    int code = SQLITE_ROW;

    for (size_t n = 0; n < ROWS_A_TRY && choice->weight < max &&
                       (code = sqlite3_step(statement)) == SQLITE_ROW;
         n++) {
        if (sqlite_take_row_key(reader, mapping, statement, column)) {
            consider(choice, buf_slice(&reader->key));
        }
    }
    return sqlite_end(reader->db, statement, code, detail);
}

static enum err choose_record(struct engine_reader *reader,
                              const struct mapping *mapping,
                              struct choice *choice, struct buf *detail)
{
    const struct sqlite_row_scan *scan = &reader->row_scans[mapping->index];
    int64_t first = 0;
    int64_t last = 0;
    enum err err = sqlite_check_fit(reader->database, mapping, detail);

    if (err != ERR_OK) {
        buf_clear(detail);
        return err == ERR_STORE_MAPPING ? ERR_OK : err;
    }
    if (scan->by_rowid == NULL) {
        return choose_of_rows(reader, mapping, scan->first, 0, FEW, choice,
                              detail);
    }
    sqlite3_bind_int64(scan->by_rowid, 1, INT64_MIN);
    err =
        choose_of_rows(reader, mapping, scan->by_rowid, 1, FEW, choice, detail);
    if (err != ERR_OK || choice->weight < FEW) {
        return err;
    }
    err = ends_of(reader, sqlite_name_of_rowid(reader->db, mapping),
                  mapping->table, &first, &last, detail);
    if (err == ERR_OK) {
        choice->weight = 0;
        sqlite3_bind_int64(scan->by_rowid, 1, draw_between(first, last));
        err = choose_of_rows(reader, mapping, scan->by_rowid, 1, 1, choice,
                             detail);
        choice->weight = span(first, last);
    }
    return err;
}

/* The tables one after the other: each takes the place of those before with the
 * chance that its share of all keys is. */
enum err sqlite_random(struct engine_reader *reader, struct store_walk *walk,
                       struct buf *detail)
{
    const struct mappings *mappings = reader->mappings;
    struct choice chosen = {0};
    enum err err = walk->records_only
                       ? ERR_OK
                       : choose_plain(reader, walk->database, &chosen, detail);

    for (size_t i = 0;
         i < mappings->count && err == ERR_OK && !walk->plain_only; i++) {
        struct choice other = {0};
        err = choose_record(reader, &mappings->list[i], &other, detail);
        chosen.weight += other.weight;
        if (other.weight > 0 &&
            draw((uint64_t)chosen.weight) < (uint64_t)other.weight) {
            choose(&chosen, buf_slice(&other.key));
        }
        buf_destroy(&other.key);
    }
    walk->n_keys = chosen.weight;
    if (err == ERR_OK && chosen.weight > 0) {
        walk->key(walk, buf_slice(&chosen.key));
    }
    buf_destroy(&chosen.key);
    return err;
}

/* ---- statements ---- */

enum err sqlite_keyspace_prepare(struct engine_reader *reader,
                                 struct buf *detail)
{
    const struct {
        const char *sql;
        struct sqlite3_stmt **statement;
    } statements[] = {
        {"SELECT id, key, expires_ms, type FROM bookd_plain WHERE key >= ?1 "
         "ORDER BY key",
         &reader->plain_by_key},
        /* The index on expires_ms holds only keys that expire. */
        {"SELECT (SELECT count(*) FROM bookd_plain) - "
         "(SELECT count(*) FROM bookd_plain WHERE expires_ms <= ?1)",
         &reader->plain_count},
        {"SELECT count(*) FROM bookd_plain WHERE key >= ?1 AND key < ?2",
         &reader->plain_count_range},
        {"SELECT count(*) FROM bookd_plain WHERE key >= ?1",
         &reader->plain_count_from},
        {"SELECT key, expires_ms FROM bookd_plain WHERE expires_ms > ?1",
         &reader->plain_expiring},
        {"SELECT key FROM bookd_plain WHERE expires_ms <= ?1",
         &reader->plain_expired},
    };
    enum err err = ERR_OK;

    for (size_t i = 0; i < ARRAY_LEN(statements) && err == ERR_OK; i++) {
        err = sqlite_prepare(reader->db, statements[i].sql,
                             statements[i].statement, detail);
    }
    return err;
}

void sqlite_keyspace_finalize(struct engine_reader *reader)
{
    struct sqlite3_stmt **const statements[] = {
        &reader->plain_by_key,      &reader->plain_count,
        &reader->plain_count_range, &reader->plain_count_from,
        &reader->plain_expiring,    &reader->plain_expired};

    for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
        sqlite3_finalize(*statements[i]);
        *statements[i] = NULL;
    }
}
