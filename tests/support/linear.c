/* SPDX-License-Identifier: MIT */
/*
 * Comparisons of times are strict: two operations of which one ends in the
 * nanosecond in which the other begins have overlapped.  So a tie is never
 * held against anybody.
 */
#include "tests/support/linear.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/attr.h"
#include "common/mem.h"

#define ALWAYS INT64_MIN

/* A write and the reads of its value. */
struct cluster {
    uint64_t value;
    const struct linear_op *write;
    int64_t first_end;  /* Certain from here … */
    int64_t last_begin; /* … to here; the other way round, it needs no more
                           than a moment between them. */
    const struct linear_op *first_ended;
    const struct linear_op *last_begun;
    bool was_read;
};

/* One delete, or what acts like one. */
struct gap {
    int64_t begin, end;
    int64_t last_end; /* The latest 'end' of all gaps up to this one. */
};

struct check {
    const struct linear_op *ops;
    size_t n;
    const struct linear_rules *rules;
    struct buf *why;
    struct cluster *clusters; /* By value; later by first_end. */
    size_t n_clusters;
    struct cluster *zones; /* The certain ones, by first_end. */
    size_t n_zones;
    struct gap *gaps; /* By 'begin'. */
    size_t n_gaps;
    int64_t *written; /* Per cluster by first_end: the latest begin of a write
                         among those up to it. */
};

/* ---- words ---- */

static void describe(struct buf *why, const struct linear_op *op)
{
    static const char *const kinds[] = {"read", "wrote", "created", "deleted",
                                        "added up to"};

    if (op == NULL) {
        return;
    }
    buf_printf(why, "\n    client %u %s%s", op->client, kinds[op->kind],
               op->unknown ? " (perhaps)" : "");
    if (op->kind == LINEAR_READ && op->value == LINEAR_ABSENT) {
        buf_append_string(why, " nothing");
    } else if (op->kind != LINEAR_DELETE) {
        buf_printf(why, " %" PRIu64, op->value);
    }
    buf_printf(why, " from %" PRId64 " to %" PRId64 " ns", op->begin_ns,
               op->end_ns);
    if (op->expires_ns != 0) {
        buf_printf(why, ", to expire at %" PRId64 " ns", op->expires_ns);
    }
    if (op->epoch > 0) {
        buf_printf(why, " (epoch %u)", op->epoch);
    }
}

/* Says what is wrong and shows up to three operations; always false. */
static bool wrong(struct check *c, const char *sentence,
                  const struct linear_op *a, const struct linear_op *b,
                  const struct linear_op *d)
{
    if (c->why != NULL) {
        buf_append_string(c->why, sentence);
        describe(c->why, a);
        describe(c->why, b);
        describe(c->why, d);
    }
    return false;
}

/* ---- clusters ---- */

static bool is_write(const struct linear_op *op)
{
    return op->kind == LINEAR_WRITE || op->kind == LINEAR_CREATE;
}

static int64_t begin_of(const struct check *c, const struct linear_op *read)
{
    return read->begin_ns == ALWAYS ? ALWAYS
                                    : read->begin_ns - c->rules->stale_ns;
}

static int by_value(const void *a, const void *b)
{
    const struct cluster *x = a, *y = b;

    return x->value < y->value ? -1 : x->value > y->value;
}

static int by_first_end(const void *a, const void *b)
{
    const struct cluster *x = a, *y = b;

    return x->first_end < y->first_end ? -1 : x->first_end > y->first_end;
}

static struct cluster *find_cluster(const struct check *c, uint64_t value)
{
    const struct cluster wanted = {.value = value};

    return bsearch(&wanted, c->clusters, c->n_clusters, sizeof wanted,
                   by_value);
}

/* One cluster for each write. */
static bool make_clusters(struct check *c)
{
    for (size_t i = 0; i < c->n; i++) {
        const struct linear_op *op = &c->ops[i];
        if (is_write(op)) {
            c->clusters[c->n_clusters++] = (struct cluster){
                .value = op->value,
                .write = op,
                .first_end = op->end_ns,
                .last_begin = op->begin_ns,
                .first_ended = op,
                .last_begun = op,
            };
        }
    }
    qsort(c->clusters, c->n_clusters, sizeof *c->clusters, by_value);
    for (size_t i = 1; i < c->n_clusters; i++) {
        if (c->clusters[i].value == c->clusters[i - 1].value) {
            return wrong(c, "a value was written twice (by the test)",
                         c->clusters[i].write, c->clusters[i - 1].write, NULL);
        }
    }
    return true;
}

static bool add_read(struct check *c, const struct linear_op *read)
{
    struct cluster *cluster = find_cluster(c, read->value);

    if (cluster == NULL) {
        return wrong(c, "a value was read that nobody wrote", read, NULL, NULL);
    }
    const struct linear_op *write = cluster->write;
    if (read->end_ns < write->begin_ns) {
        return wrong(c, "a value was read before it was written", read, write,
                     NULL);
    }
    if (write->expires_ns != 0 &&
        read->begin_ns > write->expires_ns + c->rules->expiry_slack_ns) {
        return wrong(c, "a value was read after it had expired", write, read,
                     NULL);
    }
    const int64_t begin_ns = begin_of(c, read);
    if (read->end_ns < cluster->first_end) {
        cluster->first_end = read->end_ns;
        cluster->first_ended = read;
    }
    if (begin_ns > cluster->last_begin) {
        cluster->last_begin = begin_ns;
        cluster->last_begun = read;
    }
    cluster->was_read = true;
    return true;
}

static bool add_reads(struct check *c)
{
    bool good = true;

    for (size_t i = 0; i < c->n && good; i++) {
        if (c->ops[i].kind == LINEAR_READ && c->ops[i].value != LINEAR_ABSENT) {
            good = add_read(c, &c->ops[i]);
        }
    }
    return good;
}

/* Leaves out the unknown writes that nobody read, and sorts the rest. */
static void settle_clusters(struct check *c)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->n_clusters; i++) {
        if (!c->clusters[i].write->unknown || c->clusters[i].was_read) {
            c->clusters[kept++] = c->clusters[i];
        }
    }
    c->n_clusters = kept;
    qsort(c->clusters, kept, sizeof *c->clusters, by_first_end);
    for (size_t i = 0; i < kept; i++) {
        const struct cluster *cluster = &c->clusters[i];
        const int64_t begin_ns = cluster->write->begin_ns;
        c->written[i] = i > 0 && c->written[i - 1] > begin_ns
                            ? c->written[i - 1]
                            : begin_ns;
        if (cluster->first_end < cluster->last_begin) {
            c->zones[c->n_zones++] = *cluster;
        }
    }
}

/* ---- certain times ---- */

static bool zones_are_apart(struct check *c)
{
    for (size_t i = 1; i < c->n_zones; i++) {
        const struct cluster *a = &c->zones[i - 1];
        const struct cluster *b = &c->zones[i];
        if (b->first_end < a->last_begin) {
            return wrong(c, "an old value was read after a newer one was sure",
                         a->first_ended, b->first_ended, a->last_begun);
        }
    }
    return true;
}

/* The zone within which all of 'begin' to 'end' lies, or NULL.  Zones do not
 * overlap, so it can only be the last that begins before. */
static const struct cluster *zone_around(const struct check *c, int64_t begin,
                                         int64_t end)
{
    size_t low = 0;
    size_t high = c->n_zones;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (c->zones[middle].first_end < begin) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low > 0 && end < c->zones[low - 1].last_begin ? &c->zones[low - 1]
                                                         : NULL;
}

static bool moments_have_room(struct check *c)
{
    for (size_t i = 0; i < c->n_clusters; i++) {
        const struct cluster *cluster = &c->clusters[i];
        const struct cluster *zone = NULL;
        if (cluster->first_end >= cluster->last_begin) {
            zone = zone_around(c, cluster->last_begin, cluster->first_end);
        }
        if (zone != NULL) {
            return wrong(c,
                         "a write had its time inside that of another value, "
                         "which was read again after it",
                         zone->first_ended, cluster->write, zone->last_begun);
        }
    }
    return true;
}

/* ---- nothing there ---- */

static int by_begin(const void *a, const void *b)
{
    const struct gap *x = a, *y = b;

    return x->begin < y->begin ? -1 : x->begin > y->begin;
}

static void make_gaps(struct check *c)
{
    const int64_t slack_ns = c->rules->expiry_slack_ns;
    int64_t last_end = ALWAYS;

    /* At first there is nothing. */
    c->gaps[c->n_gaps++] = (struct gap){.begin = ALWAYS, .end = ALWAYS};
    for (size_t i = 0; i < c->n; i++) {
        const struct linear_op *op = &c->ops[i];
        if (op->kind == LINEAR_DELETE) {
            c->gaps[c->n_gaps++] =
                (struct gap){.begin = op->begin_ns, .end = op->end_ns};
        } else if (op->expires_ns != 0) {
            c->gaps[c->n_gaps++] = (struct gap){
                .begin = op->expires_ns - slack_ns, .end = LINEAR_NEVER};
        }
    }
    qsort(c->gaps, c->n_gaps, sizeof *c->gaps, by_begin);
    for (size_t i = 0; i < c->n_gaps; i++) {
        last_end = c->gaps[i].end > last_end ? c->gaps[i].end : last_end;
        c->gaps[i].last_end = last_end;
    }
}

/* The latest begin of a write that is surely over before 'begin'. */
static int64_t last_written(const struct check *c, int64_t begin)
{
    size_t low = 0;
    size_t high = c->n_clusters;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (c->clusters[middle].first_end < begin) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? ALWAYS : c->written[low - 1];
}

/* The latest end of a delete that began no later than 'end'. */
static int64_t last_deleted(const struct check *c, int64_t end)
{
    size_t low = 0;
    size_t high = c->n_gaps;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (c->gaps[middle].begin <= end) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? ALWAYS : c->gaps[low - 1].last_end;
}

static const struct linear_op *write_begun_at(const struct check *c,
                                              int64_t begin)
{
    for (size_t i = 0; i < c->n_clusters; i++) {
        if (c->clusters[i].write->begin_ns == begin) {
            return c->clusters[i].write;
        }
    }
    return NULL;
}

/* 'op' saw nothing; the last delete that may be why must not be before a write
 * that is before 'op'. */
static bool absence_is_possible(struct check *c, const struct linear_op *op)
{
    const int64_t begin_ns =
        op->kind == LINEAR_READ ? begin_of(c, op) : op->begin_ns;
    const struct cluster *zone = zone_around(c, begin_ns, op->end_ns);

    if (zone != NULL) {
        return wrong(c, "nothing was there while a value was",
                     zone->first_ended, op, zone->last_begun);
    }
    const int64_t written_ns = last_written(c, begin_ns);
    if (last_deleted(c, op->end_ns) < written_ns) {
        return wrong(c, "nothing was there after a write, and no delete since",
                     write_begun_at(c, written_ns), op, NULL);
    }
    return true;
}

static bool check_absence(struct check *c)
{
    bool good = true;

    make_gaps(c);
    for (size_t i = 0; i < c->n && good; i++) {
        const struct linear_op *op = &c->ops[i];
        const struct cluster *zone = NULL;
        if ((op->kind == LINEAR_READ && op->value == LINEAR_ABSENT) ||
            (op->kind == LINEAR_CREATE && !op->unknown)) {
            good = absence_is_possible(c, op);
        } else if (op->kind == LINEAR_DELETE && !op->unknown) {
            zone = zone_around(c, op->begin_ns, op->end_ns);
        }
        if (zone != NULL) {
            good = wrong(c, "a value was read again after it was deleted",
                         zone->first_ended, op, zone->last_begun);
        }
    }
    return good;
}

/* ---- registers ---- */

static void check_open(struct check *c)
{
    c->clusters = xcalloc(c->n + 1, sizeof *c->clusters);
    c->zones = xcalloc(c->n + 1, sizeof *c->zones);
    c->gaps = xcalloc(c->n + 1, sizeof *c->gaps);
    c->written = xcalloc(c->n + 1, sizeof *c->written);
}

static void check_close(struct check *c)
{
    free(c->clusters);
    free(c->zones);
    free(c->gaps);
    free(c->written);
}

static bool check_register(struct check *c)
{
    if (!make_clusters(c) || !add_reads(c)) {
        return false;
    }
    settle_clusters(c);
    return zones_are_apart(c) && moments_have_room(c) && check_absence(c);
}

/* ---- counters ---- */

static int by_count(const void *a, const void *b)
{
    const struct linear_op *x = a, *y = b;

    if (x->unknown != y->unknown) {
        return x->unknown ? 1 : -1; /* At the end, by their beginning. */
    }
    if (x->unknown) {
        return x->begin_ns < y->begin_ns ? -1 : x->begin_ns > y->begin_ns;
    }
    if (x->value != y->value) {
        return x->value < y->value ? -1 : 1;
    }
    /* What makes a value before what reads it. */
    return (y->kind == LINEAR_ADD) - (x->kind == LINEAR_ADD);
}

/* Goes up through the values, making each as early as possible: not before the
 * one below it, nor before the last read of that had begun. */
static bool check_counter(struct check *c, struct linear_op *ops)
{
    size_t next_unknown = 0;
    uint64_t value = 0;
    int64_t made_ns = ALWAYS; /* 'value' was. */
    int64_t read_ns = ALWAYS; /* The last read of it so far began. */

    qsort(ops, c->n, sizeof *ops, by_count);
    while (next_unknown < c->n && !ops[next_unknown].unknown) {
        next_unknown++;
    }
    const size_t n_known = next_unknown;
    for (size_t i = 0; i < n_known; i++) {
        const struct linear_op *op = &ops[i];
        if (op->kind == LINEAR_ADD && op->value == value) {
            return wrong(c, "two adds had the same result", op, &ops[i - 1],
                         NULL);
        }
        while (value < op->value) {
            /* An add that nobody knows of makes what is missing. */
            const bool own = op->kind == LINEAR_ADD && value + 1 == op->value;
            made_ns = read_ns > made_ns ? read_ns : made_ns;
            /* Of those that a kill cut short before, none happened any more. */
            while (!own && next_unknown < c->n &&
                   ops[next_unknown].end_ns < made_ns) {
                next_unknown++;
            }
            const struct linear_op *add = own ? op : &ops[next_unknown];
            if (!own && next_unknown++ == c->n) {
                return wrong(c, "the counter skipped a value", op, NULL, NULL);
            }
            made_ns = add->begin_ns > made_ns ? add->begin_ns : made_ns;
            read_ns = ALWAYS;
            value++;
            if (add->end_ns < made_ns) {
                return wrong(c, "an add came after what it was counted before",
                             add, op, NULL);
            }
        }
        if (op->kind == LINEAR_READ) {
            const int64_t begin_ns = begin_of(c, op);
            if (op->end_ns < made_ns) {
                return wrong(c, "a count was read before it was reached", op,
                             NULL, NULL);
            }
            read_ns = begin_ns > read_ns ? begin_ns : read_ns;
        }
    }
    return true;
}

/* ---- kills ---- */

static int by_epoch(const void *a, const void *b)
{
    const struct linear_op *x = a, *y = b;

    if (x->epoch != y->epoch) {
        return x->epoch < y->epoch ? -1 : 1;
    }
    return x->begin_ns < y->begin_ns ? -1 : x->begin_ns > y->begin_ns;
}

/* 'left' was found after the kill that ended the epoch of 'c': no write that
 * surely came after it may have been acknowledged in time. */
static bool loss_is_allowed(struct check *c, const struct linear_op *left,
                            int64_t safe_ns)
{
    const struct cluster *kept = NULL;
    int64_t lost_ns = ALWAYS;
    const struct linear_op *lost = NULL;

    for (size_t i = 0; i < c->n_clusters; i++) {
        if (c->clusters[i].value == left->value) {
            kept = &c->clusters[i];
        }
    }
    if (left->value == LINEAR_ABSENT) {
        for (size_t i = 0; i < c->n_clusters; i++) {
            const struct linear_op *write = c->clusters[i].write;
            if (!write->unknown && write->end_ns < safe_ns &&
                write->begin_ns > lost_ns) {
                lost_ns = write->begin_ns;
                lost = write;
            }
        }
        return last_deleted(c, LINEAR_NEVER) >= lost_ns ||
               wrong(c, "a write was lost in a kill", lost, left, NULL);
    }
    for (size_t i = 0; kept != NULL && i < c->n; i++) {
        const struct linear_op *op = &c->ops[i];
        if ((is_write(op) || op->kind == LINEAR_DELETE) && op != kept->write &&
            !op->unknown && op->end_ns < safe_ns &&
            kept->first_end < op->begin_ns) {
            return wrong(c, "a write was lost in a kill", kept->write, op,
                         left);
        }
    }
    return true;
}

/* When the value that a kill left will end. */
static int64_t expiry_of(const struct check *c, uint64_t value)
{
    for (size_t i = 0; i < c->n; i++) {
        if (is_write(&c->ops[i]) && c->ops[i].value == value) {
            return c->ops[i].expires_ns;
        }
    }
    return 0;
}

/* One epoch, which began with what 'first' found (NULL: nothing), and was
 * followed by one that began with what 'left' found (NULL: it is the last). */
static bool check_epoch(struct check *c, struct linear_op *ops, size_t n,
                        const struct linear_op *first,
                        const struct linear_op *left)
{
    struct linear_op *all = xcalloc(n + 2, sizeof *all);
    struct check epoch = {.ops = all, .n = n, .rules = c->rules, .why = c->why};

    memcpy(all, ops, n * sizeof *all);
    if (first != NULL && first->value != LINEAR_ABSENT) {
        all[epoch.n++] =
            (struct linear_op){.kind = LINEAR_WRITE,
                               .value = first->value,
                               .epoch = first->epoch,
                               .expires_ns = expiry_of(c, first->value),
                               .begin_ns = ALWAYS + 1,
                               .end_ns = ALWAYS + 1};
    }
    if (left != NULL && left->value != LINEAR_ABSENT) {
        /* Was it ever there?  A read that excludes nothing asks that. */
        all[epoch.n] = *left;
        all[epoch.n].begin_ns = ALWAYS;
        all[epoch.n++].end_ns = LINEAR_NEVER;
    }
    check_open(&epoch);
    const bool good =
        check_register(&epoch) &&
        (left == NULL || loss_is_allowed(&epoch, left,
                                         c->rules->kills_ns[left->epoch - 1] -
                                             c->rules->loss_ns));
    check_close(&epoch);
    free(all);
    return good;
}

static bool check_epochs(struct check *c, struct linear_op *ops)
{
    const struct linear_op *first = NULL;
    size_t end;
    bool good = true;

    qsort(ops, c->n, sizeof *ops, by_epoch);
    for (size_t i = 0; i < c->n && good; i = end) {
        end = i;
        while (end < c->n && ops[end].epoch == ops[i].epoch) {
            end++;
        }
        const struct linear_op *left = end < c->n ? &ops[end] : NULL;
        if (left != NULL && left->kind != LINEAR_READ) {
            return wrong(c, "nobody asked what was left (the test)", left, NULL,
                         NULL);
        }
        good = check_epoch(c, &ops[i], end - i, first, left);
        first = left;
    }
    return good;
}

bool linear_check(struct linear_op *ops, size_t n,
                  const struct linear_rules *rules, struct buf *why)
{
    struct check c = {.ops = ops, .n = n, .rules = rules, .why = why};
    bool good;

    for (size_t i = 0; i < n; i++) {
        if (ops[i].kind == LINEAR_ADD) {
            return check_counter(&c, ops);
        }
    }
    if (rules->loss_ns > 0) {
        return check_epochs(&c, ops);
    }
    check_open(&c);
    good = check_register(&c);
    check_close(&c);
    return good;
}
