/* SPDX-License-Identifier: MIT */
/*
 * A record as the cache keeps it: a row in one run of bytes from which both
 * kinds of reply are made by copying.
 *
 *     ┌────────────┬──────────────────────────┬───────────────┬───────────┐
 *     │ json bytes │ columns: type, at, size  │ {"id":3,…}    │ leftovers │
 *     └────────────┴──────────────────────────┴───────────────┴───────────┘
 *
 * GET sends the JSON object.  The H commands send single columns: a column
 * whose bytes stand in the JSON text unchanged points there; one that JSON
 * must escape (quotes, control bytes, blobs) has its exact bytes among the
 * leftovers.  Column names are the mapping's, in its order.
 *
 * JSON has no blobs: they are base64 in the object, exact in HGET.
 *
 * Thread-safety: pure functions over bytes.
 */
#ifndef SERVER_LOOKUP_RECORD_H
#define SERVER_LOOKUP_RECORD_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/slice.h"
#include "server/store/store.h"

/* Appends 'row', a row of a mapped table, to 'out' in the form above.
 * Errors: ERR_NOMEM, and nothing was appended. */
NODISCARD
enum err record_encode(const struct store_row *row, struct buf *out);

/* The JSON object of a whole encoded record. */
struct slice record_json(struct slice record);

/* Column 'index' (in the mapping's order): its exact bytes, and its type in
 * '*type'.  A NULL column is empty. */
struct slice record_column(struct slice record, size_t index,
                           enum column_type *type);

/* Appends a JSON object of 'n' of the columns, in the order of 'indices'. */
void record_append_json(const struct mapping *mapping, struct slice record,
                        const size_t *indices, size_t n, struct buf *out);

#endif
