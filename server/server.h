/* SPDX-License-Identifier: MIT */
/*
 * The server: its parts built in order, run, and torn down in exact reverse.
 *
 *     timers → store → cache → lookup → clients → I/O loops → listener
 *
 * Stopping: the listener closes; each connection gets the replies it is owed,
 * for at most 'shutdown-timeout'; the loops end; the store commits every write
 * that was accepted and checkpoints.  A second signal ends the process at
 * once.
 *
 * Thread-safety: server_run() is called once, on the main thread, which
 * becomes the main loop: it accepts, sees signals, and keeps the watchdog fed.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "server/store/store.h"

struct config;
struct mapping_set;

/* Serves 'tables' until a signal or SHUTDOWN.  'config_path' is NULL or the
 * file that SIGHUP reads again.  On failure to start, 'detail' says why; an
 * error without a detail came at the end, and was logged. */
NODISCARD
enum err server_run(struct config *config, struct mapping_set *tables,
                    const char *config_path, struct buf *detail);

/* Does 'task' to the database instead of serving it; 'report' says what was
 * done. */
NODISCARD
enum err server_maintain(struct config *config, struct mapping_set *tables,
                         enum store_task task, struct buf *report,
                         struct buf *detail);

#endif
