/* SPDX-License-Identifier: MIT */
#include "server/lookup/changes.h"

#include "common/mem.h"

#include <assert.h>
#include <stdlib.h>

/* The parts of the program that listen are few and known. */
#define LISTENERS_MAX 4

struct changes {
    struct {
        change_fn *hear;
        void *arg;
    } listeners[LISTENERS_MAX];
    size_t n;
};

struct changes *changes_new(void)
{
    return xcalloc(1, sizeof(struct changes));
}

void changes_free(struct changes *changes)
{
    free(changes);
}

void changes_listen(struct changes *changes, change_fn *listener, void *arg)
{
    assert(changes->n < LISTENERS_MAX);
    changes->listeners[changes->n].hear = listener;
    changes->listeners[changes->n].arg = arg;
    changes->n++;
}

void changes_tell(const struct changes *changes, const struct change *change)
{
    for (size_t i = 0; i < changes->n; i++) {
        changes->listeners[i].hear(changes->listeners[i].arg, change);
    }
}
