/* SPDX-License-Identifier: MIT */
/*
 * The request side of the Redis protocol: bytes to an argument vector.
 *
 * The parser reads from the bytes of one command on, as far as they have
 * arrived, and remembers where it stopped, so that no byte is looked at twice
 * however small the pieces.  It copies nothing: arguments are slices of the
 * input.  Lengths that a client announces cost no memory before their bytes
 * have arrived, and are refused beyond the limits.
 *
 * Both forms are read: multibulk ("*2\r\n$3\r\nGET\r\n…") and inline
 * ("GET book:3\r\n", with Redis' quoting; unquoted pieces are kept in a
 * buffer of the parser).
 *
 * Thread-safety: none; one parser a connection.  Does no I/O.
 * Source: https://redis.io/docs/reference/protocol-spec and the error texts
 * of redis-server 7.
 */
#ifndef SERVER_RESP_PARSE_H
#define SERVER_RESP_PARSE_H

#include "common/buf.h"
#include "common/slice.h"

/* What a client may send that has to authenticate first: enough for that.
 * Source: Redis, where it does so to save its memory from strangers. */
#define RESP_STRANGER_ARGS 10
#define RESP_STRANGER_BULK_BYTES ((size_t)16 << 10)

struct resp_limits {
    size_t max_args;         /* Arguments of one command. */
    size_t max_bulk_bytes;   /* Bytes of one argument. */
    size_t max_inline_bytes; /* Bytes of an inline line, or of a length line. */
    size_t max_command_bytes; /* Bytes of one whole command. */
    bool is_stranger; /* Has not said who it is yet: RESP_STRANGER_… count. */
};

enum resp_status {
    RESP_COMMAND,    /* argv[0 .. argc) is a whole command (argc > 0). */
    RESP_NOTHING,    /* An empty line or "*0": skip used_bytes, no reply. */
    RESP_INCOMPLETE, /* More bytes are needed. */
    RESP_ERROR       /* 'error' says why, in Redis' words; then close. */
};

struct resp_parser {
    struct slice *argv; /* Owned array; slices of the input (or 'words'). */
    size_t argc;
    size_t used_bytes; /* Bytes of input the command took. */
    const char *error; /* "Protocol error: …" after RESP_ERROR; static or in
                          'error_text'. */
    /* Private from here. */
    size_t argv_capacity;
    size_t position;  /* Bytes of input already understood. */
    size_t scanned;   /* Bytes searched for the end of a line. */
    long args_left;   /* Arguments still to come; -1 before the header. */
    long bulk_size;   /* Size of the argument being read; -1 before it. */
    struct buf words; /* Arguments of an inline command, unquoted. */
    char error_text[64];
};

void resp_parser_init(struct resp_parser *p);
void resp_parser_destroy(struct resp_parser *p);

/* Reads on in 'input', which begins where the last command ended and has only
 * grown since the last RESP_INCOMPLETE (it may have moved).  After
 * RESP_COMMAND or RESP_NOTHING the next call begins a new command, at
 * input + used_bytes.  argv is valid until then, or until 'input' changes. */
enum resp_status resp_parse(struct resp_parser *p,
                            const struct resp_limits *limits,
                            struct slice input);

#endif
