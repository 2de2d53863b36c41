/* SPDX-License-Identifier: MIT */
/*
 * What each thread counts for itself and somebody adds up: the ground of
 * stats.h and outcomes.h.
 *
 *     thread A counts ──► its block ─┐
 *     thread B counts ──► its block ─┼─► total ─ baseline = figure
 *     threads that ended ► retired ──┘          (set by a reset)
 *
 * A tally is one kind of block.  A thread makes its block at its first count
 * and is the only one to write to it, so counting takes no lock and shares no
 * cache line; when the thread ends, its block is added to 'retired'.  Nothing
 * is ever set back: a reset remembers the total, to be subtracted from then
 * on.
 *
 * Thread-safety: any thread.  One lock of rank LOCK_STATS guards the blocks,
 * 'retired' and 'baseline' of all tallies.  What is in a block is atomic: its
 * owner writes while others add it up.
 */
#ifndef SERVER_ADMIN_TALLY_H
#define SERVER_ADMIN_TALLY_H

#include <stddef.h>

/* Static, for the life of the program. */
struct tally {
    size_t size; /* Of a block, 'retired', and 'baseline'; zeroed is empty. */
    void (*add)(void *to, const void *from);
    void (*subtract)(void *from, const void *what);
    /* Frees what a block owns beside itself; NULL: nothing.  Of a sum, whoever
     * asked for it does that. */
    void (*clear)(void *block);
    /* Runs on a thread that ends, after its last count went to 'retired': it
     * has no block from here on. */
    void (*forget)(void);
    void *retired;  /* What ended threads counted.  Under the lock. */
    void *baseline; /* The total at the last reset.  Under the lock. */
    struct tally_block *blocks; /* Of threads that run.  Under the lock. */
};

/* Makes the calling thread's block, which has none, and returns it. */
void *tally_register(struct tally *t);

/* Stores into '*sum' what was counted since start or the last reset. */
void tally_sum(struct tally *t, void *sum);

/* Sums begin at zero again. */
void tally_reset(struct tally *t);

#endif
