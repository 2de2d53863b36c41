/* SPDX-License-Identifier: MIT */
/*
 * How often each command was called, how long that took, and how it ended:
 * INFO's Commandstats, Latencystats and Errorstats, and LATENCY HISTOGRAM.
 *
 * Each thread counts in a block of its own (admin/tally.h), summed when
 * somebody asks.  A histogram takes some 5 KB, so a thread makes that of a
 * command when it first runs it.  Errors are rare, and are counted under a
 * lock, by their codes.
 *
 * Thread-safety: any thread.
 */
#ifndef SERVER_COMMAND_CALLS_H
#define SERVER_COMMAND_CALLS_H

#include "common/buf.h"
#include "common/histogram.h"
#include "server/command/command.h"

/* A call of 'command' has ended, 'took_us' after it began; it 'failed' if it
 * replied an error.  'with_latency': also for its histogram. */
void calls_ended(const struct command *command, int64_t took_us, bool failed,
                 bool with_latency);

/* A call was refused before it began: the wrong number of arguments, no right
 * to it … */
void calls_rejected(const struct command *command);

/* 'n' errors were replied that begin with 'code': "ERR". */
void calls_error(const char *code, int64_t n);

/* All begins at zero again. */
void calls_reset(void);

struct call_counts {
    int64_t calls;
    int64_t took_us;  /* All of them together. */
    int64_t rejected; /* Not among 'calls'. */
    int64_t failed;
    const struct histogram *latency_us; /* NULL: nothing was recorded. */
};

/* What was counted until now. */
struct calls_sum;
struct calls_sum *calls_sum(void);
void calls_sum_free(struct calls_sum *sum);
struct call_counts calls_of(const struct calls_sum *sum,
                            const struct command *command);

/* "cmdstat_get:calls=…" of each command that was called or refused. */
void calls_print(struct buf *out);
/* "errorstat_ERR:count=…" of each code. */
void calls_print_errors(struct buf *out);
/* "latency_percentiles_usec_get:p50=…" of each command, for the percentages in
 * 'percentiles', numbers with spaces between them. */
void calls_print_latency(const char *percentiles, struct buf *out);

#endif
