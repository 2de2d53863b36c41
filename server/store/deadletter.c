/* SPDX-License-Identifier: MIT */
/*
 * The list is in order of the ids.  A letter is one allocation: its own bytes
 * stand behind it.
 */
#include "server/store/deadletter.h"

#include <stdlib.h>
#include <string.h>

#include "common/lock.h"
#include "common/log.h"
#include "common/mem.h"
#include "server/store/deadletter_internal.h"

struct letter {
    struct letter *next;
    size_t n_bytes;
    struct dead_letter is;
    struct slice fields[]; /* And the bytes of all slices. */
};

struct dead_letters {
    struct mutex lock; /* Rank LOCK_LEAF. */
    struct letter *first GUARDED_BY(lock);
    struct letter **end GUARDED_BY(lock);
    size_t count GUARDED_BY(lock);
    size_t n_bytes GUARDED_BY(lock);
    int64_t last_id GUARDED_BY(lock);
};

const char *dead_letter_op(enum store_op op)
{
    static const char *const names[] = {
        [STORE_PUT_PLAIN] = "PUT_PLAIN",
        [STORE_DELETE_PLAIN] = "DELETE_PLAIN",
        [STORE_CLEAR_PLAIN] = "CLEAR_PLAIN",
        [STORE_PUT_ROW] = "PUT_ROW",
        [STORE_SET_COLUMNS] = "SET_COLUMNS",
        [STORE_DELETE_ROW] = "DELETE_ROW",
        [STORE_READ] = "READ",
        [STORE_GROUP] = "GROUP",
        [STORE_BARRIER] = "BARRIER",
    };
    return names[op];
}

struct dead_letters *dead_letters_new(void)
{
    struct dead_letters *letters = xcalloc(1, sizeof(*letters));

    mutex_init(&letters->lock, LOCK_LEAF, "dead-letters");
    mutex_lock(&letters->lock); /* Nobody else knows it yet. */
    letters->end = &letters->first;
    mutex_unlock(&letters->lock);
    return letters;
}

void dead_letters_free(struct dead_letters *letters)
{
    if (letters == NULL) {
        return;
    }
    (void)dead_letters_remove(letters, 0, INT64_MAX);
    mutex_destroy(&letters->lock);
    free(letters);
}

int64_t dead_letters_next_id(struct dead_letters *letters)
{
    mutex_lock(&letters->lock);
    const int64_t id = ++letters->last_id;
    mutex_unlock(&letters->lock);
    return id;
}

int64_t dead_letters_last_id(struct dead_letters *letters)
{
    mutex_lock(&letters->lock);
    const int64_t id = letters->last_id;
    mutex_unlock(&letters->lock);
    return id;
}

int64_t dead_letters_first_id(struct dead_letters *letters)
{
    mutex_lock(&letters->lock);
    const int64_t id = letters->first == NULL ? 0 : letters->first->is.id;
    mutex_unlock(&letters->lock);
    return id;
}

/* ---- keeping ---- */

static char *copy_in(char *to, struct slice *slice)
{
    if (slice->data == NULL) {
        return to; /* A NULL stays one. */
    }
    if (slice->size > 0) {
        memcpy(to, slice->data, slice->size);
    }
    slice->data = to;
    return to + slice->size;
}

/* NULL when memory is exhausted. */
static struct letter *copy_letter(const struct dead_letter *from)
{
    const size_t table_bytes = from->n_fields * sizeof(struct slice);
    size_t bytes = sizeof(struct letter) + table_bytes + from->key.size +
                   from->value.size + from->detail.size;

    for (size_t i = 0; i < from->n_fields; i++) {
        bytes += from->fields[i].size;
    }
    struct letter *letter = try_malloc(bytes);
    if (letter == NULL) {
        return NULL;
    }
    *letter = (struct letter){.n_bytes = bytes, .is = *from};
    char *to = (char *)letter->fields + table_bytes;
    to = copy_in(to, &letter->is.key);
    to = copy_in(to, &letter->is.value);
    to = copy_in(to, &letter->is.detail);
    for (size_t i = 0; i < from->n_fields; i++) {
        letter->fields[i] = from->fields[i];
        to = copy_in(to, &letter->fields[i]);
    }
    letter->is.fields = letter->fields;
    return letter;
}

/* Takes the letter that '*link' points to out of the list, and frees it. */
static void drop_at(struct dead_letters *letters, struct letter **link)
    REQUIRES(letters->lock)
{
    struct letter *letter = *link;

    *link = letter->next;
    if (letters->end == &letter->next) {
        letters->end = link;
    }
    letters->count--;
    letters->n_bytes -= letter->n_bytes;
    free(letter);
}

void dead_letters_add(struct dead_letters *letters,
                      const struct dead_letter *from)
{
    struct letter *letter = copy_letter(from);
    size_t n_dropped = 0;

    mutex_lock(&letters->lock);
    letters->last_id =
        from->id > letters->last_id ? from->id : letters->last_id;
    if (letter != NULL) {
        *letters->end = letter;
        letters->end = &letter->next;
        letters->count++;
        letters->n_bytes += letter->n_bytes;
    }
    while (letters->count > DEAD_LETTERS_MAX ||
           (letters->n_bytes > DEAD_LETTER_BYTES_MAX && letters->count > 1)) {
        drop_at(letters, &letters->first);
        n_dropped++;
    }
    mutex_unlock(&letters->lock);

    if (letter == NULL) {
        log_error("store: no memory for dead letter id=%lld",
                  (long long)from->id);
    }
    if (n_dropped > 0) {
        log_error("store: too many dead letters, oldest lost count=%zu",
                  n_dropped);
    }
}

size_t dead_letters_remove(struct dead_letters *letters, int64_t first,
                           int64_t last)
{
    size_t n_dropped = 0;

    mutex_lock(&letters->lock);
    struct letter **link = &letters->first;
    while (*link != NULL && (*link)->is.id <= last) {
        if ((*link)->is.id < first) {
            link = &(*link)->next;
        } else {
            drop_at(letters, link);
            n_dropped++;
        }
    }
    mutex_unlock(&letters->lock);
    return n_dropped;
}

/* ---- looking ---- */

size_t dead_letters_count(struct dead_letters *letters)
{
    mutex_lock(&letters->lock);
    const size_t count = letters->count;
    mutex_unlock(&letters->lock);
    return count;
}

size_t dead_letters_show(struct dead_letters *letters, int64_t after,
                         size_t count, dead_letter_fn *show, void *arg)
{
    size_t n_shown = 0;

    mutex_lock(&letters->lock);
    for (const struct letter *l = letters->first; l != NULL && n_shown < count;
         l = l->next) {
        if (l->is.id > after) {
            show(arg, &l->is);
            n_shown++;
        }
    }
    mutex_unlock(&letters->lock);
    return n_shown;
}
