/* SPDX-License-Identifier: MIT */
/*
 * A pool of worker threads that range over a channel of jobs.
 *
 *     submit ──► [ channel of jobs ] ──► worker ──► job->run(job, worker arg)
 *                   withdraw: a job that no worker took yet is never run
 *
 * A job is embedded in what it is about and belongs to the pool from a
 * successful submit until it ran, was dropped, or was withdrawn.
 *
 * Withdrawing marks a queued job; the worker that meets it calls 'drop'
 * instead of 'run'.  So the job's memory must live until 'run' or 'drop'.
 *
 * Thread-safety: any thread may submit and withdraw; one owner stops and frees.
 */
#ifndef COMMON_POOL_H
#define COMMON_POOL_H

#include "common/attr.h"
#include "common/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct pool;
struct pool_job;

typedef void pool_fn(struct pool_job *job, void *worker);

enum pool_job_state {
    POOL_JOB_IDLE, /* Zeroed, or refused: not the pool's. */
    POOL_JOB_QUEUED,
    POOL_JOB_RUNNING,  /* Or has run. */
    POOL_JOB_WITHDRAWN /* Dropped soon, or already. */
};

struct pool_job {
    pool_fn *run;      /* Called once on a worker thread, or … */
    pool_fn *drop;     /* … this, if it was withdrawn. */
    _Atomic int state; /* enum pool_job_state; left to the pool. */
};

/* What each worker owns (a database connection, say): 'open' runs on the
 * worker's thread before its first job, 'close' after its last.  Both may be
 * NULL.  'open' returns the worker's argument in '*worker'; if it fails the
 * whole pool_new() fails. */
struct pool_hooks {
    enum err (*open)(void *context, size_t index, void **worker);
    void (*close)(void *context, void *worker);
    void *context;
};

/* 'n_workers' threads named "name/0" and so on, and a queue of 'capacity'
 * jobs (may be CHAN_UNBOUNDED).  Waits until all workers are open. */
NODISCARD
enum err pool_start(struct pool **poolp, const char *name, size_t n_workers,
                    size_t capacity, const struct pool_hooks *hooks);

/* Queues 'job' without waiting.  Errors: ERR_FULL, ERR_CLOSED. */
NODISCARD
enum err pool_submit(struct pool *pool, struct pool_job *job);

/* True if 'job' was still queued: it will not run; 'drop' will be called. */
NODISCARD
bool pool_withdraw(struct pool_job *job);

/* Refuses new jobs, lets the queued ones run, joins the workers.  Idempotent;
 * by the owner, not from a job. */
void pool_stop(struct pool *pool);
/* Stops, then frees.  pool_free(NULL) is fine. */
void pool_free(struct pool *pool);

#endif
