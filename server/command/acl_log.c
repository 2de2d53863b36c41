/* SPDX-License-Identifier: MIT */
#include "server/command/acl_log.h"

#include "common/lock.h"
#include "common/mem.h"

#include <sys/queue.h>

/* Source: ACL LOG of Redis 7.0. */
#define GROUPED_MS 60000
#define LOOKED_AT 10

/* Of an object that is longer, this much is kept. */
#define OBJECT_BYTES_MAX 1024

struct entry {
    TAILQ_ENTRY(entry) siblings;
    struct acl_log_entry is; /* Its strings are owned. */
};

struct acl_log {
    struct mutex lock; /* Rank LOCK_LEAF. */
    TAILQ_HEAD(entry_list, entry)
    entries GUARDED_BY(lock); /* The newest first. */
    size_t n GUARDED_BY(lock);
};

struct acl_log *acl_log_new(void)
{
    struct acl_log *log = xcalloc(1, sizeof *log);

    mutex_init(&log->lock, LOCK_LEAF, "acl_log");
    TAILQ_INIT(&log->entries);
    return log;
}

void acl_log_free(struct acl_log *log)
{
    if (log == NULL) {
        return;
    }
    acl_log_reset(log);
    mutex_destroy(&log->lock);
    free(log);
}

static struct slice own(struct slice s)
{
    const size_t size = s.size < OBJECT_BYTES_MAX ? s.size : OBJECT_BYTES_MAX;

    return slice_make(xslicedup(slice_make(s.data, size)), size);
}

static void disown(struct slice s)
{
    free((void *)(uintptr_t)s.data);
}

static void entry_free(struct entry *e)
{
    disown(e->is.object);
    disown(e->is.user);
    disown(e->is.client);
    free(e);
}

static bool is_same(const struct acl_log_entry *a,
                    const struct acl_log_entry *b)
{
    return a->reason == b->reason && a->in_multi == b->in_multi &&
           b->at_ms - a->at_ms <= GROUPED_MS &&
           slice_equal(a->object, b->object) && slice_equal(a->user, b->user);
}

static struct entry *find(struct acl_log *log,
                          const struct acl_log_entry *entry) REQUIRES(log->lock)
{
    struct entry *e = TAILQ_FIRST(&log->entries);

    for (int i = 0; e != NULL && i < LOOKED_AT; i++) {
        if (is_same(&e->is, entry)) {
            return e;
        }
        e = TAILQ_NEXT(e, siblings);
    }
    return NULL;
}

void acl_log_add(struct acl_log *log, const struct acl_log_entry *entry,
                 size_t max)
{
    struct entry *fresh = xmalloc(sizeof *fresh);

    *fresh = (struct entry){.is = *entry};
    fresh->is.count = 1;
    fresh->is.object = own(entry->object);
    fresh->is.user = own(entry->user);
    fresh->is.client = own(entry->client);
    mutex_lock(&log->lock);
    struct entry *old = find(log, &fresh->is);
    if (old != NULL) {
        TAILQ_REMOVE(&log->entries, old, siblings);
        log->n--;
        fresh->is.count += old->is.count;
        entry_free(old);
    }
    TAILQ_INSERT_HEAD(&log->entries, fresh, siblings);
    log->n++;
    while (log->n > max) {
        struct entry *last = TAILQ_LAST(&log->entries, entry_list);
        TAILQ_REMOVE(&log->entries, last, siblings);
        log->n--;
        entry_free(last);
    }
    mutex_unlock(&log->lock);
}

void acl_log_tell(struct acl_log *log, size_t n,
                  void (*begin)(void *arg, size_t n),
                  void (*tell)(void *arg, const struct acl_log_entry *entry),
                  void *arg)
{
    mutex_lock(&log->lock);
    n = n < log->n ? n : log->n;
    begin(arg, n);
    for (struct entry *e = TAILQ_FIRST(&log->entries); n > 0; n--) {
        tell(arg, &e->is);
        e = TAILQ_NEXT(e, siblings);
    }
    mutex_unlock(&log->lock);
}

void acl_log_reset(struct acl_log *log)
{
    mutex_lock(&log->lock);
    while (!TAILQ_EMPTY(&log->entries)) {
        struct entry *e = TAILQ_FIRST(&log->entries);
        TAILQ_REMOVE(&log->entries, e, siblings);
        entry_free(e);
    }
    log->n = 0;
    mutex_unlock(&log->lock);
}
