/* SPDX-License-Identifier: MIT */
#include "server/command/calls.h"

#include "common/lock.h"
#include "common/mem.h"
#include "server/admin/tally.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    ROWS = 0
#define COMMAND(...) +1
#include "server/command/commands.def"
#undef COMMAND
};

/* Of one command.  Relaxed: each count stands alone. */
struct row {
    _Atomic int64_t calls;
    _Atomic int64_t took_us;
    _Atomic int64_t rejected;
    _Atomic int64_t failed;
    /* Owned; NULL until it is needed.  Release, paired with the acquire of who
     * adds up: who sees it sees it empty or filled. */
    _Atomic(struct histogram *) latency_us;
};

/* Of one thread, written by that thread only; also sums of these. */
struct calls_sum {
    struct row rows[ROWS];
};

static _Thread_local struct calls_sum *mine;

static int64_t load(const _Atomic int64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

static void change(_Atomic int64_t *count, int64_t n)
{
    atomic_store_explicit(count, load(count) + n, memory_order_relaxed);
}

static struct histogram *latency_of(const struct row *row)
{
    return atomic_load_explicit(&row->latency_us, memory_order_acquire);
}

static struct histogram *make_latency(struct row *row)
{
    struct histogram *h = xcalloc(1, sizeof *h);

    atomic_store_explicit(&row->latency_us, h, memory_order_release);
    return h;
}

/* ---- the tally ---- */

static void add(void *to_arg, const void *from_arg)
{
    struct calls_sum *to = to_arg;
    const struct calls_sum *from = from_arg;

    for (size_t i = 0; i < ROWS; i++) {
        const struct row *f = &from->rows[i];
        struct row *t = &to->rows[i];
        change(&t->calls, load(&f->calls));
        change(&t->took_us, load(&f->took_us));
        change(&t->rejected, load(&f->rejected));
        change(&t->failed, load(&f->failed));
        const struct histogram *h = latency_of(f);
        if (h != NULL) {
            struct histogram *sum = latency_of(t);
            histogram_add(sum != NULL ? sum : make_latency(t), h);
        }
    }
}

static void subtract(void *from_arg, const void *what_arg)
{
    struct calls_sum *from = from_arg;
    const struct calls_sum *what = what_arg;

    for (size_t i = 0; i < ROWS; i++) {
        struct row *f = &from->rows[i];
        const struct row *w = &what->rows[i];
        change(&f->calls, -load(&w->calls));
        change(&f->took_us, -load(&w->took_us));
        change(&f->rejected, -load(&w->rejected));
        change(&f->failed, -load(&w->failed));
        if (latency_of(w) != NULL) {
            histogram_subtract(latency_of(f), latency_of(w));
        }
    }
}

static void clear(void *arg)
{
    struct calls_sum *sum = arg;

    for (size_t i = 0; i < ROWS; i++) {
        free(latency_of(&sum->rows[i]));
        atomic_store_explicit(&sum->rows[i].latency_us, NULL,
                              memory_order_relaxed);
    }
}

static void forget(void)
{
    mine = NULL;
}

static struct calls_sum retired, baseline;
static struct tally tally = {
    .size = sizeof(struct calls_sum),
    .add = add,
    .subtract = subtract,
    .clear = clear,
    .forget = forget,
    .retired = &retired,
    .baseline = &baseline,
};

/* ---- errors ---- */

/* Codes are our own words, so there are few; what is beyond is not counted. */
#define CODES_MAX 64

struct code {
    char code[REPLY_CODE_SIZE];
    int64_t count;
};

static struct mutex errors_lock; /* Rank LOCK_LEAF. */
static pthread_once_t errors_once = PTHREAD_ONCE_INIT;
static struct code codes[CODES_MAX] GUARDED_BY(errors_lock);
static size_t n_codes GUARDED_BY(errors_lock);

static void errors_init(void)
{
    mutex_init(&errors_lock, LOCK_LEAF, "errors");
}

static void lock_errors(void) ACQUIRE(errors_lock)
{
    if (pthread_once(&errors_once, errors_init) != 0) {
        abort();
    }
    mutex_lock(&errors_lock);
}

void calls_error(const char *code, int64_t n)
{
    size_t i = 0;

    lock_errors();
    while (i < n_codes && strcmp(codes[i].code, code) != 0) {
        i++;
    }
    if (i == n_codes && n_codes < CODES_MAX) {
        n_codes++;
        codes[i] = (struct code){0};
        (void)strncpy(codes[i].code, code, REPLY_CODE_SIZE - 1);
    }
    if (i < n_codes) {
        codes[i].count += n;
    }
    mutex_unlock(&errors_lock);
}

void calls_print_errors(struct buf *out)
{
    lock_errors();
    for (size_t i = 0; i < n_codes; i++) {
        buf_printf(out, "errorstat_%s:count=%lld\r\n", codes[i].code,
                   (long long)codes[i].count);
    }
    mutex_unlock(&errors_lock);
}

/* ---- counting ---- */

static struct row *row_of(const struct command *command)
{
    assert(n_commands == ROWS);
    if (mine == NULL) {
        mine = tally_register(&tally);
    }
    return &mine->rows[command - commands];
}

void calls_ended(const struct command *command, int64_t took_us, bool failed,
                 bool with_latency)
{
    struct row *row = row_of(command);

    change(&row->calls, 1);
    change(&row->took_us, took_us);
    if (failed) {
        change(&row->failed, 1);
    }
    if (with_latency) {
        /* Our own pointer: no need to acquire what we released. */
        struct histogram *h =
            atomic_load_explicit(&row->latency_us, memory_order_relaxed);
        histogram_record(h != NULL ? h : make_latency(row), took_us);
    }
}

void calls_rejected(const struct command *command)
{
    change(&row_of(command)->rejected, 1);
}

void calls_reset(void)
{
    tally_reset(&tally);
    lock_errors();
    n_codes = 0;
    mutex_unlock(&errors_lock);
}

/* ---- asking ---- */

struct calls_sum *calls_sum(void)
{
    struct calls_sum *sum = xmalloc(sizeof *sum);

    tally_sum(&tally, sum);
    return sum;
}

void calls_sum_free(struct calls_sum *sum)
{
    clear(sum);
    free(sum);
}

struct call_counts calls_of(const struct calls_sum *sum,
                            const struct command *command)
{
    const struct row *row = &sum->rows[command - commands];
    const struct histogram *h = latency_of(row);

    return (struct call_counts){
        .calls = load(&row->calls),
        .took_us = load(&row->took_us),
        .rejected = load(&row->rejected),
        .failed = load(&row->failed),
        .latency_us = h != NULL && histogram_count(h) > 0 ? h : NULL};
}

void calls_print(struct buf *out)
{
    struct calls_sum *sum = calls_sum();

    for (const struct command *c = commands; c < commands + n_commands; c++) {
        const struct call_counts n = calls_of(sum, c);
        if (n.calls == 0 && n.rejected == 0) {
            continue;
        }
        buf_printf(out,
                   "cmdstat_%s:calls=%lld,usec=%lld,usec_per_call=%.2f,"
                   "rejected_calls=%lld,failed_calls=%lld\r\n",
                   c->name, (long long)n.calls, (long long)n.took_us,
                   n.calls == 0 ? 0 : (double)n.took_us / (double)n.calls,
                   (long long)n.rejected, (long long)n.failed);
    }
    calls_sum_free(sum);
}

/* "p50=4.000,p99.9=7.000": each number as it was written. */
static void print_quantiles(const struct histogram *h, const char *percentiles,
                            struct buf *out)
{
    const char *p = percentiles;

    while (*p != '\0') {
        const size_t size = strcspn(p, " ");
        const double q = strtod(p, NULL) / 100;
        buf_printf(out, "%sp%.*s=%.3f", p == percentiles ? "" : ",", (int)size,
                   p, (double)histogram_quantile(h, q));
        p += size;
        p += strspn(p, " ");
    }
}

void calls_print_latency(const char *percentiles, struct buf *out)
{
    struct calls_sum *sum = calls_sum();

    for (const struct command *c = commands; c < commands + n_commands; c++) {
        const struct histogram *h = calls_of(sum, c).latency_us;
        if (h != NULL) {
            buf_printf(out, "latency_percentiles_usec_%s:", c->name);
            print_quantiles(h, percentiles, out);
            buf_append_string(out, "\r\n");
        }
    }
    calls_sum_free(sum);
}
