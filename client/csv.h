/* SPDX-License-Identifier: MIT */
/*
 * CSV as RFC 4180 describes it, read from a stream, one record at a time.
 *
 * Beyond the RFC, as files in the wild want it: lines may end in LF alone, a
 * byte order mark at the start is skipped, empty lines are skipped, and a
 * quote inside an unquoted field is an ordinary character.
 *
 * A record that breaks the rules is reported with its line and a reason, and
 * reading goes on with the next line.
 *
 * It does not guess separators or encodings.
 *
 * Thread-safety: none; one owner.
 */
#ifndef CLIENT_CSV_H
#define CLIENT_CSV_H

#include "common/attr.h"
#include "common/buf.h"

#include <stdio.h>

/* A longer record is refused: most likely a quote was never closed. */
#define CSV_RECORD_MAX ((size_t)1 << 20)

enum csv_result {
    CSV_RECORD,
    CSV_BAD, /* See csv_reason(). */
    CSV_END
};

struct csv;

/* Reads from 'file', which is borrowed. */
struct csv *csv_new(FILE *file);
void csv_free(struct csv *csv);

/* Reads the next record.  After CSV_END the owner of the file may ask ferror()
 * whether that was the end. */
NODISCARD
enum csv_result csv_next(struct csv *csv);

/* The fields of the record; valid until the next csv_next(). */
size_t csv_count(const struct csv *csv);
struct slice csv_field(const struct csv *csv, size_t index);

/* The line the record begins on, from 1. */
int64_t csv_line(const struct csv *csv);
/* What is wrong with a bad record. */
const char *csv_reason(const struct csv *csv);
/* Bytes read so far. */
int64_t csv_bytes(const struct csv *csv);

/* Appends 'field', quoted if it must be, with a comma in front unless it is
 * the first of its line. */
void csv_append(struct buf *b, struct slice field, bool first);

#endif
