/* SPDX-License-Identifier: MIT */
/*
 * The reply side of the Redis protocol: values to bytes, in RESP2 or RESP3.
 *
 * A reply writes to a buffer in the protocol its client chose with HELLO;
 * what RESP2 lacks (maps, sets, doubles, booleans, null) is written as Redis
 * writes it there.
 *
 * Thread-safety: none; one writer at a time.
 * Source: https://redis.io/docs/reference/protocol-spec.
 */
#ifndef SERVER_RESP_REPLY_H
#define SERVER_RESP_REPLY_H

#include "common/attr.h"
#include "common/buf.h"
#include "common/err.h"
#include "common/slice.h"

/* Room for the code of an error, "STORETIMEOUT", and a NUL. */
#define REPLY_CODE_SIZE 16

struct reply {
    struct buf *out;                  /* Borrowed. */
    int protocol;                     /* 2 or 3. */
    unsigned n_errors;                /* Error lines written so far. */
    char error_code[REPLY_CODE_SIZE]; /* Of the last one: "ERR". */
};

void reply_simple(struct reply *r, const char *text); /* +text */
void reply_ok(struct reply *r);                       /* +OK */
/* An error line; 'text' begins with its code: "ERR …", "WRONGTYPE …".  CR and
 * LF in it become spaces. */
void reply_error(struct reply *r, const char *text);
void reply_errorf(struct reply *r, const char *format, ...) PRINTF(2, 3);
/* The error as this table tells it (errors.def): code, text, what to do, and
 * 'detail' behind it unless NULL or "". */
void reply_err(struct reply *r, enum err err, const char *detail);
void reply_integer(struct reply *r, int64_t value);
void reply_bulk(struct reply *r, struct slice value);
void reply_bulk_string(struct reply *r, const char *value);
void reply_bulk_int64(struct reply *r, int64_t value); /* As text. */
void reply_bulkf(struct reply *r, const char *format, ...) PRINTF(2, 3);
void reply_verbatim(struct reply *r, const char *format3, struct slice value);
void reply_double(struct reply *r, double value);
void reply_bool(struct reply *r, bool value);
void reply_null(struct reply *r);       /* "$-1" or "_" */
void reply_null_array(struct reply *r); /* "*-1" or "_" */
/* Headers; the elements follow.  'n' pairs for a map. */
void reply_array(struct reply *r, size_t n);
void reply_map(struct reply *r, size_t n);
void reply_set(struct reply *r, size_t n);
void reply_push(struct reply *r, size_t n);
void reply_big_number(struct reply *r, const char *digits);
/* RESP3 only: 'n' pairs follow, and then the value that they are about. */
void reply_attribute(struct reply *r, size_t n);

#endif
