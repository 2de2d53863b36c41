/* SPDX-License-Identifier: MIT */
/*
 * The gate before the database file: how all connections leave one file before
 * the first of them opens another.
 *
 *     reader   enter ─► read … ─► leave          writer   follow ─► BEGIN …
 *                 │ waits                                    │ closes itself
 *     watcher  shut ─► everybody out? closes the readers ─► open
 *
 * SQLite keeps one shared index of the log for all connections of a process
 * to one file, and finds the log by its name.  When a file is put in another's
 * place, or loses its log, a new connection beside an old one would read the
 * pages of one through the index of the other.  So there must be a moment at
 * which none is open.
 *
 * Readers that do nothing are closed by the watcher, those at work are waited
 * for; they open anew when they are used next.  The writer's thread closes its
 * connection itself, between two transactions and when no reader is at work:
 * what a snapshot does not have cannot be moved out of the log.  What waits to
 * be written goes to the file that is there then.
 *
 * While the gate is shut, and while what is in the file's place is no good, no
 * connection is open.  The fields of struct engine_database that the file
 * decides are written then, and at no other time.
 *
 * Thread-safety: any thread, as said below.
 */
#ifndef SERVER_STORE_SQLITE_GATE_H
#define SERVER_STORE_SQLITE_GATE_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/lock.h"

struct engine_database;
struct engine_reader;
struct engine_writer;

struct sqlite_gate {
    struct mutex lock; /* Rank LOCK_LEAF. */
    struct cond opened;
    bool shut GUARDED_BY(lock);
    bool moves_log GUARDED_BY(lock);   /* See sqlite_gate_shut(). */
    bool writer_open GUARDED_BY(lock); /* The writer has a connection. */
    size_t n_inside GUARDED_BY(lock);  /* Readers between enter and leave. */
    struct engine_reader *readers GUARDED_BY(lock); /* All there are. */
    enum err trouble GUARDED_BY(lock); /* Why no file is open; ERR_OK. */
    struct buf reason GUARDED_BY(lock);
};

void sqlite_gate_init(struct sqlite_gate *gate);
void sqlite_gate_destroy(struct sqlite_gate *gate);

/* ---- readers ---- */

/* A new reader with its connection, and one that goes. */
void sqlite_gate_join(struct engine_database *database,
                      struct engine_reader *reader);
void sqlite_gate_part(struct engine_reader *reader);

/* Waits until the gate is open, which the watcher sees to, and connects the
 * reader if it is not.  After an error it is not inside. */
NODISCARD
enum err sqlite_gate_enter(struct engine_reader *reader, struct buf *detail);
void sqlite_gate_leave(struct engine_reader *reader);

/* ---- the writer, between transactions ---- */

void sqlite_gate_join_writer(struct engine_database *database);
void sqlite_gate_part_writer(struct engine_database *database);

/* Leaves a file that is to be left, and connects if it may.  Errors:
 * ERR_STORE_LOCKED while the gate is shut; why there is no file. */
NODISCARD
enum err sqlite_gate_follow(struct engine_writer *writer, struct buf *detail);

/* ---- the watcher ---- */

/* Shuts the gate: nobody begins anything.  True once no reader and no writer
 * has a connection; to be called again until then.  'moves_log': the log is
 * lost to the file, so the writer moves it there before he leaves. */
bool sqlite_gate_shut(struct engine_database *database, bool moves_log);
/* Opens it; or leaves everybody outside, with an error and its reason. */
void sqlite_gate_open(struct engine_database *database, enum err trouble,
                      const struct buf *reason);

#endif
