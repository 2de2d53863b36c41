/* SPDX-License-Identifier: MIT */
/*
 * Two threads count up together; built by test_race_detector.c twice, with
 * ThreadSanitizer: with the lock, and, if LEAVE_OUT_THE_LOCK is defined,
 * without.
 *
 * Without the lock both threads read, add and write back as they please, and
 * one overwrites what the other has added.  Whether that happens depends on
 * luck; the sanitizer reports the race also when it does not.
 *
 * The sanitizer takes no report from threads that run one after the other, for
 * then the waitgroup orders them.  So both start counting from one line.
 */
#include <stdio.h>

#include "common/lock.h"
#include "common/waitgroup.h"

#define ROUNDS 1000

static struct mutex lock;
static int count;
static struct waitgroup line; /* Done by each thread when it is there. */

static void count_up(void *arg)
{
    (void)arg;
    wg_done(&line);
    wg_wait(&line);
    for (int i = 0; i < ROUNDS; i++) {
#ifndef LEAVE_OUT_THE_LOCK
        mutex_lock(&lock);
#endif
        count++;
#ifndef LEAVE_OUT_THE_LOCK
        mutex_unlock(&lock);
#endif
    }
}

int main(void)
{
    struct waitgroup wg;

    mutex_init(&lock, LOCK_LEAF, "count");
    wg_init(&wg);
    wg_init(&line);
    wg_add(&line, 2);
    for (int i = 0; i < 2; i++) {
        if (wg_go(&wg, "count", count_up, NULL) != ERR_OK) {
            return 2;
        }
    }
    wg_wait(&wg);
    (void)printf("count=%d\n", count);
    wg_destroy(&line);
    wg_destroy(&wg);
    mutex_destroy(&lock);
    return 0;
}
