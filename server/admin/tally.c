/* SPDX-License-Identifier: MIT */
/*
 * Each block is in two lists: that of its tally, to be added up, and that of
 * its thread, which a thread-specific key holds so that the thread's end is
 * noticed.
 */
#include "server/admin/tally.h"

#include "common/lock.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that processors hand about as one. */
#define CACHE_LINE 64

/* Aligned so that no two threads' counts share a line, and none of them a
 * line with the links, which other threads write. */
struct tally_block {
    struct tally *tally;
    struct tally_block *sibling; /* The thread's next, of another tally. */
    struct tally_block *next;    /* Under the lock; as is 'prev'. */
    struct tally_block **prev;   /* What points to this block. */
    _Alignas(CACHE_LINE) unsigned char counts[]; /* Written by its thread. */
};

static struct mutex lock; /* Rank LOCK_STATS; held for a pass over blocks. */
static pthread_key_t key; /* The first block of the thread. */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* A thread ends: what it counted stays. */
static void retire(void *arg)
{
    struct tally_block *b = arg;
    while (b != NULL) {
        struct tally_block *sibling = b->sibling;
        mutex_lock(&lock);
        b->tally->add(b->tally->retired, b->counts);
        *b->prev = b->next;
        if (b->next != NULL) {
            b->next->prev = b->prev;
        }
        mutex_unlock(&lock);
        /* Other destructors may still count: they get a new block. */
        b->tally->forget();
        if (b->tally->clear != NULL) {
            b->tally->clear(b->counts);
        }
        free(b);
        b = sibling;
    }
}

static void init(void)
{
    mutex_init(&lock, LOCK_STATS, "stats");
    if (pthread_key_create(&key, retire) != 0) {
        abort();
    }
}

static void ensure_init(void)
{
    if (pthread_once(&once, init) != 0) {
        abort();
    }
}

void *tally_register(struct tally *t)
{
    ensure_init();
    const size_t size = sizeof(struct tally_block) + t->size;
    const size_t lines = (size + CACHE_LINE - 1) / CACHE_LINE;
    struct tally_block *b = aligned_alloc(CACHE_LINE, lines * CACHE_LINE);
    if (b == NULL) {
        abort();
    }
    memset(b, 0, lines * CACHE_LINE);
    b->tally = t;
    b->sibling = pthread_getspecific(key);
    if (pthread_setspecific(key, b) != 0) {
        abort();
    }
    mutex_lock(&lock);
    b->next = t->blocks;
    b->prev = &t->blocks;
    if (b->next != NULL) {
        b->next->prev = &b->next;
    }
    t->blocks = b;
    mutex_unlock(&lock);
    return b->counts;
}

/* What was counted since start, resets or not. */
static void total(const struct tally *t, void *sum) REQUIRES(lock)
{
    memset(sum, 0, t->size);
    t->add(sum, t->retired);
    for (const struct tally_block *b = t->blocks; b != NULL; b = b->next) {
        t->add(sum, b->counts);
    }
}

void tally_sum(struct tally *t, void *sum)
{
    ensure_init();
    mutex_lock(&lock);
    total(t, sum);
    t->subtract(sum, t->baseline);
    mutex_unlock(&lock);
}

void tally_reset(struct tally *t)
{
    ensure_init();
    mutex_lock(&lock);
    if (t->clear != NULL) {
        t->clear(t->baseline);
    }
    total(t, t->baseline);
    mutex_unlock(&lock);
}
