/* SPDX-License-Identifier: MIT */
/*
 * Dead letters in memory, for the writer, who keeps their table.
 *
 * Thread-safety: any thread.
 */
#ifndef SERVER_STORE_DEADLETTER_INTERNAL_H
#define SERVER_STORE_DEADLETTER_INTERNAL_H

#include "server/store/deadletter.h"

struct dead_letters;

struct dead_letters *dead_letters_new(void);
void dead_letters_free(struct dead_letters *letters);

/* The id for a new letter.  Thread: the writer's. */
int64_t dead_letters_next_id(struct dead_letters *letters);
/* All letters with an id below this one are gone. */
int64_t dead_letters_first_id(struct dead_letters *letters);
int64_t dead_letters_last_id(struct dead_letters *letters);

/* Keeps a copy of 'from', whose id is the highest so far; the oldest go if
 * they are too many. */
void dead_letters_add(struct dead_letters *letters,
                      const struct dead_letter *from);
/* Drops those with an id from 'first' to 'last'; returns their number. */
size_t dead_letters_remove(struct dead_letters *letters, int64_t first,
                           int64_t last);

size_t dead_letters_count(struct dead_letters *letters);
size_t dead_letters_show(struct dead_letters *letters, int64_t after,
                         size_t count, dead_letter_fn *show, void *arg);

#endif
