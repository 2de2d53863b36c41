/* SPDX-License-Identifier: MIT */
/*
 * Witnesses: clients of a bookd that read and write a few keys at random, and
 * record what they did and saw, for linear.h to judge.
 *
 * Every value says a number that no other write has; of a record each column
 * does, so that half of a write is seen at once.  Keys of a pair are written
 * together only, and so are one register: whoever reads either has read both.
 *
 * What is wrong by itself, without the others (half of a pair, bytes that
 * nobody wrote, an error that is none of the store's), ends the program.
 *
 * Thread-safety: a witness belongs to one thread.
 */
#ifndef TESTS_SUPPORT_WITNESS_H
#define TESTS_SUPPORT_WITNESS_H

#include "tests/support/daemon.h"
#include "tests/support/linear.h"

struct redisContext;

enum witness_kind {
    WITNESS_PLAIN,
    WITNESS_RECORD,
    WITNESS_COUNTER, /* Plain. */
    WITNESS_TALLY,   /* A counter that is a column of a record. */
    WITNESS_PAIR,    /* Two plain keys. */
    WITNESS_MIXED,   /* A plain key and a record. */
    WITNESS_FOREIGN, /* A record that others write … */
    WITNESS_SHARED,  /* … also. */
    WITNESS_KINDS
};

#define WITNESS_EACH 3 /* Keys of each kind. */
#define WITNESS_KEYS ((uint32_t)WITNESS_KINDS * WITNESS_EACH)

/* Number 'key' is of this kind, and has this name; the second of a pair. */
enum witness_kind witness_kind(uint32_t key);
void witness_name(uint32_t key, bool second, char name[32]);
/* The id of a key that is a record. */
int64_t witness_id(uint32_t key);

struct witness {
    struct redisContext *connection;
    uint64_t random;
    uint16_t index; /* Of all who write, from 0 … */
    uint16_t n;     /* … so many. */
    uint16_t epoch;
    unsigned kinds; /* Bits of those it looks at. */
    uint64_t n_values;
    uint64_t n_errors; /* That the store had. */
    struct linear_log log;
};

/* 'index', 'n', 'random', 'kinds' are set, the rest zeroed. */
void witness_connect(struct witness *w, const struct daemon *d);
void witness_disconnect(struct witness *w);
void witness_destroy(struct witness *w);

/* Makes the rows that must be there, of a store that is new. */
void witness_prepare(struct witness *w);
/* One random operation; false once the server is gone. */
bool witness_act(struct witness *w);
/* Reads one key until the store has no error: its number. */
uint64_t witness_read(struct witness *w, uint32_t key);
/* Reads every key of its kinds once, until the store has no error. */
void witness_read_all(struct witness *w);
/* Asks something whose answer is of no interest. */
void witness_say(struct witness *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A number for a value that nobody else will have. */
uint64_t witness_number(struct witness *w);

#endif
