/* SPDX-License-Identifier: MIT */
#include "server/store/sqlite_gate.h"

#include <assert.h>

#include <sqlite3.h>

#include "server/store/sqlite_internal.h"

void sqlite_gate_init(struct sqlite_gate *gate)
{
    *gate = (struct sqlite_gate){.trouble = ERR_OK};
    mutex_init(&gate->lock, LOCK_LEAF, "sqlite gate");
    cond_init(&gate->opened);
}

void sqlite_gate_destroy(struct sqlite_gate *gate)
{
    buf_destroy(&gate->reason);
    cond_destroy(&gate->opened);
    mutex_destroy(&gate->lock);
}

enum err sqlite_check_fit(const struct engine_database *database,
                          const struct mapping *mapping, struct buf *detail)
{
    if (mapping == NULL || database->misfits[mapping->index] == NULL) {
        return ERR_OK;
    }
    buf_append_string(detail, database->misfits[mapping->index]);
    return ERR_STORE_MAPPING;
}

/* ---- readers ---- */

void sqlite_gate_join(struct engine_database *database,
                      struct engine_reader *reader)
{
    struct sqlite_gate *gate = &database->gate;

    mutex_lock(&gate->lock);
    reader->next = gate->readers;
    gate->readers = reader;
    mutex_unlock(&gate->lock);
}

void sqlite_gate_part(struct engine_reader *reader)
{
    struct sqlite_gate *gate = &reader->database->gate;

    mutex_lock(&gate->lock);
    struct engine_reader **link = &gate->readers;
    while (*link != NULL && *link != reader) {
        link = &(*link)->next;
    }
    if (*link != NULL) {
        *link = reader->next;
    }
    mutex_unlock(&gate->lock);
}

enum err sqlite_gate_enter(struct engine_reader *reader, struct buf *detail)
{
    struct sqlite_gate *gate = &reader->database->gate;

    mutex_lock(&gate->lock);
    while (gate->shut) {
        cond_wait(&gate->opened, &gate->lock);
    }
    enum err err = gate->trouble;
    if (err == ERR_OK) {
        gate->n_inside++;
    } else {
        buf_append_slice(detail, buf_slice(&gate->reason));
    }
    mutex_unlock(&gate->lock);

    if (err == ERR_OK && reader->db == NULL) {
        err = sqlite_reader_connect(reader, detail);
        if (err != ERR_OK) {
            sqlite_gate_leave(reader);
        }
    }
    return err;
}

void sqlite_gate_leave(struct engine_reader *reader)
{
    struct sqlite_gate *gate = &reader->database->gate;

    mutex_lock(&gate->lock);
    gate->n_inside--;
    mutex_unlock(&gate->lock);
}

/* ---- the writer ---- */

void sqlite_gate_join_writer(struct engine_database *database)
{
    mutex_lock(&database->gate.lock);
    database->gate.writer_open = true;
    mutex_unlock(&database->gate.lock);
}

void sqlite_gate_part_writer(struct engine_database *database)
{
    mutex_lock(&database->gate.lock);
    database->gate.writer_open = false;
    mutex_unlock(&database->gate.lock);
}

enum err sqlite_gate_follow(struct engine_writer *writer, struct buf *detail)
{
    struct engine_database *database = writer->database;
    struct sqlite_gate *gate = &database->gate;

    assert(writer->db == NULL || sqlite3_get_autocommit(writer->db));
    mutex_lock(&gate->lock);
    const bool shut = gate->shut;
    const bool may_leave = gate->n_inside == 0;
    const bool moves_log = gate->moves_log;
    enum err err = gate->trouble;
    if (!shut && err == ERR_OK) {
        gate->writer_open = true; /* From now on he is waited for. */
    } else if (!shut) {
        buf_append_slice(detail, buf_slice(&gate->reason));
    }
    mutex_unlock(&gate->lock);

    if (shut) {
        if (writer->db != NULL && may_leave &&
            (!moves_log || sqlite_writer_move_log(writer))) {
            sqlite_writer_disconnect(writer);
        }
        if (writer->db == NULL) {
            sqlite_gate_part_writer(database);
        }
        buf_append_string(detail, "the database file is being exchanged");
        return ERR_STORE_LOCKED;
    }
    if (err == ERR_OK && writer->db == NULL) {
        err = sqlite_writer_connect(writer, detail);
        if (err != ERR_OK) {
            sqlite_gate_part_writer(database);
        }
    }
    return err;
}

/* ---- the watcher ---- */

bool sqlite_gate_shut(struct engine_database *database, bool moves_log)
{
    struct sqlite_gate *gate = &database->gate;

    mutex_lock(&gate->lock);
    gate->shut = true;
    gate->moves_log = moves_log;
    const bool empty = gate->n_inside == 0 && !gate->writer_open;
    struct engine_reader *reader = empty ? gate->readers : NULL;
    mutex_unlock(&gate->lock);

    /* Nobody uses them now; readers join and part only while the store is
     * opened and closed, when nobody watches. */
    for (; reader != NULL; reader = reader->next) {
        sqlite_reader_disconnect(reader);
    }
    return empty;
}

void sqlite_gate_open(struct engine_database *database, enum err trouble,
                      const struct buf *reason)
{
    struct sqlite_gate *gate = &database->gate;

    mutex_lock(&gate->lock);
    gate->shut = false;
    gate->trouble = trouble;
    buf_clear(&gate->reason);
    buf_append_slice(&gate->reason, buf_slice(reason));
    cond_broadcast(&gate->opened);
    mutex_unlock(&gate->lock);
}

void sqlite_describe(struct engine_database *database, struct buf *out)
{
    struct sqlite_gate *gate = &database->gate;
    const struct mappings *mappings = database->mappings;

    mutex_lock(&gate->lock);
    if (gate->shut) {
        buf_append_string(out, "store_file:is being opened anew\r\n");
    } else if (gate->trouble != ERR_OK) {
        buf_append_string(out, "store_file:");
        buf_append_slice(out, buf_slice(&gate->reason));
        buf_append_string(out, "\r\n");
    } else {
        buf_append_string(out, "store_file:ok\r\n");
        for (size_t i = 0; i < mappings->count; i++) {
            if (database->misfits[i] != NULL) {
                buf_printf(out, "store_misfit_%s:%s\r\n",
                           mappings->list[i].table, database->misfits[i]);
            }
        }
    }
    mutex_unlock(&gate->lock);
}
