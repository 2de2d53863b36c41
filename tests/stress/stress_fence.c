/* SPDX-License-Identifier: MIT */
/*
 * Slow fills against writes: thousands of schedules, each of a few events on
 * one key, in an order drawn at random and then kept by gates.
 *
 *     stress_fence [SCHEDULES [SEED]]
 *
 * A schedule closes two gates in the store, that of reads (before they look,
 * or with the row in hand) and that of commits (before or after).  Then
 * lookups, writes, deletes, evictions and changes by others come in any order,
 * and the gates open, now this first, now that.  Whatever a read brings may be
 * old by then.  It must not be cached: all lookups of the key, those at the
 * end too, must have seen one register (support/linear.h), on a clock that
 * counts events.
 *
 * Where assertions are compiled in, the same schedules are then played with
 * the fence switched off, and must be found wrong.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/attr.h"
#include "server/lookup/feed.h"
#include "server/lookup/flight.h"
#include "tests/support/linear.h"
#include "tests/support/lookup_fixture.h"
#include "tests/support/stress.h"

#define SCHEDULES 10000u
#define EVENTS_MAX 10u
#define PHASES_MAX 3u
#define KEY_SIZE 32

/* Lookups and writes of one phase; each ends in it. */
struct schedule {
    struct fixture *f;
    uint64_t random;
    char key[KEY_SIZE];
    bool record;
    bool outside; /* Others write, too. */
    int64_t now;  /* Counts events. */
    struct linear_log log;
    struct asked asked[EVENTS_MAX];
    struct linear_op asked_ops[EVENTS_MAX];
    size_t n_asked;
    struct written written[EVENTS_MAX];
    struct linear_op written_ops[EVENTS_MAX];
    size_t n_written;
};

static uint64_t n_values;

static uint32_t draw(struct schedule *s, uint32_t limit)
{
    return stress_random(&s->random, limit);
}

/* ---- lookups ---- */

/* The number in "7" or in {"id":3,"title":"7",…}. */
static uint64_t number_of(const char *text)
{
    const char *title = strstr(text, "\"title\":\"");

    return strtoull(title == NULL ? text : title + 9, NULL, 10);
}

static void end_asked(struct schedule *s, size_t i)
{
    struct linear_op *op = &s->asked_ops[i];
    const char *text = asked_text(&s->asked[i]);

    op->end_ns = ++s->now;
    op->value = strcmp(text, "(none)") == 0 ? LINEAR_ABSENT : number_of(text);
    CHECK(s->asked[i].answer.outcome != LOOKUP_FAILED);
    *linear_log_add(&s->log) = *op;
    asked_free(&s->asked[i]);
}

/* True if the answer has come at once. */
static bool ask(struct schedule *s)
{
    const size_t i = s->n_asked;

    s->asked_ops[i] =
        (struct linear_op){.kind = LINEAR_READ, .begin_ns = ++s->now};
    fixture_ask(s->f, s->key, &s->asked[i]);
    const bool answered = s->asked[i].answered;
    if (answered) {
        end_asked(s, i);
    } else {
        s->n_asked++;
    }
    return answered;
}

/* ---- writes ---- */

static void end_written(struct schedule *s, size_t i)
{
    CHECK(s->written[i].answered && s->written[i].result.err == ERR_OK);
    s->written_ops[i].end_ns = ++s->now;
    *linear_log_add(&s->log) = s->written_ops[i];
    written_free(&s->written[i]);
}

static void write_value(struct schedule *s, bool delete)
{
    const size_t i = s->n_written++;
    const uint64_t number = ++n_values;
    char value[64];

    snprintf(value, sizeof value,
             s->record ? "{\"title\":\"%" PRIu64 "\"}" : "%" PRIu64, number);
    s->written_ops[i] =
        (struct linear_op){.kind = delete ? LINEAR_DELETE : LINEAR_WRITE,
                           .value = delete ? LINEAR_ABSENT : number,
                           .begin_ns = ++s->now};
    fixture_put(s->f, s->key, delete ? NULL : value, &s->written[i]);
}

/* Another program writes, and the feed has told of it before it returns. */
static void write_outside(struct schedule *s)
{
    const struct store_observer feed = feed_observer(lookup_feed(s->f->lookup));
    const uint64_t number = ++n_values;
    struct linear_op op = {
        .kind = LINEAR_WRITE, .value = number, .begin_ns = ++s->now};
    char value[32];

    snprintf(value, sizeof value, "%" PRIu64, number);
    if (s->record) {
        fake_store_set_book(s->f->fake, s->key + 5, value, NULL, NULL);
    } else {
        fake_store_set_plain(s->f->fake, s->key, value, 0);
    }
    if (draw(s, 2) == 0) {
        feed.changed(feed.arg, slice_from_string(s->key), STORE_ROW_WRITTEN);
    } else {
        feed.changed_all(feed.arg, NULL);
    }
    op.end_ns = ++s->now;
    *linear_log_add(&s->log) = op;
}

/* ---- schedules ---- */

/* The lookups that have begun reads stand at the gate, row in hand or not. */
static void play_event(struct schedule *s, bool held, enum fake_moment moment,
                       unsigned *n_held)
{
    switch (draw(s, 6)) {
    case 0:
    case 1:
        if (!ask(s) && held && *n_held == 0) {
            fake_store_wait_held(s->f->fake, FAKE_READ, moment, ++*n_held);
        }
        break;
    case 2:
        write_value(s, false);
        break;
    case 3:
        write_value(s, draw(s, 2) == 0);
        break;
    case 4:
        (void)lookup_evict(s->f->lookup, slice_from_string(s->key));
        break;
    default:
        /* Not while ours are on their way, which would then undo theirs. */
        if (s->outside && s->n_written == 0) {
            write_outside(s);
        }
        break;
    }
}

static void finish(struct schedule *s)
{
    for (size_t i = 0; i < s->n_written; i++) {
        fixture_run_write(s->f, &s->written[i]);
        end_written(s, i);
    }
    s->n_written = 0;
}

static void finish_asked(struct schedule *s)
{
    for (size_t i = 0; i < s->n_asked; i++) {
        fixture_run(s->f, &s->asked[i]);
        end_asked(s, i);
    }
    s->n_asked = 0;
}

/* Gates close, events come, gates open. */
static void play_phase(struct schedule *s)
{
    const enum fake_moment read_moment =
        draw(s, 3) == 0 ? FAKE_BEFORE : FAKE_AFTER;
    const enum fake_moment commit_moment =
        draw(s, 2) == 0 ? FAKE_BEFORE : FAKE_AFTER;
    const bool hold_commits = draw(s, 3) == 0;
    const bool reads_first = hold_commits && draw(s, 2) == 0;
    const uint32_t n_events = 1 + draw(s, EVENTS_MAX - 1);
    unsigned n_held = 0;

    fake_store_hold(s->f->fake, FAKE_READ, read_moment);
    if (hold_commits) {
        fake_store_hold(s->f->fake, FAKE_COMMIT, commit_moment);
    }
    for (uint32_t i = 0; i < n_events; i++) {
        play_event(s, true, read_moment, &n_held);
        if (!hold_commits) {
            finish(s); /* Acknowledged while the read still stands there. */
        }
    }
    if (reads_first) {
        fake_store_release(s->f->fake, FAKE_READ, read_moment);
        finish_asked(s);
    }
    if (hold_commits) {
        fake_store_release(s->f->fake, FAKE_COMMIT, commit_moment);
    }
    finish(s);
    if (!reads_first) {
        fake_store_release(s->f->fake, FAKE_READ, read_moment);
    }
    finish_asked(s);
    for (int i = 0; i < 2; i++) {
        (void)ask(s);
        finish_asked(s);
    }
}

/* Plays schedule 'n'; true if all was as of one register. */
static bool play(struct fixture *f, bool outside, uint64_t n, uint64_t seed,
                 struct buf *why)
{
    static const struct linear_rules strict = {0};
    struct schedule *s = calloc(1, sizeof *s);

    CHECK(s != NULL);
    s->f = f;
    s->outside = outside;
    s->random = (seed + n) * UINT64_C(0x9e3779b97f4a7c15) | 1;
    s->record = draw(s, 2) == 0;
    snprintf(s->key, sizeof s->key,
             s->record ? "book:%" PRIu64 : "key:%" PRIu64, n + 100);
    for (uint32_t i = 1 + draw(s, PHASES_MAX); i > 0; i--) {
        play_phase(s);
    }
    const bool good = linear_check(s->log.ops, s->log.n, &strict, why);
    linear_log_destroy(&s->log);
    free(s);
    return good;
}

/* The number of schedules that went wrong; stops at the first 'max'. */
static unsigned play_all(bool behind, unsigned n_schedules, uint64_t seed,
                         unsigned max, struct buf *why)
{
    const char *const directives[] = {behind ? "plain-writes behind"
                                             : "plain-writes through",
                                      "race never",
                                      "max-age 1h",
                                      "negative-max-age 1h",
                                      "store-threads 12",
                                      "breaker-failures 0",
                                      NULL};
    struct fixture *f = fixture_new(directives);
    unsigned n_wrong = 0;

    for (unsigned n = 0; n < n_schedules && n_wrong < max; n++) {
        n_wrong += play(f, !behind, n, seed, why) ? 0 : 1;
    }
    fixture_free(f);
    return n_wrong;
}

int main(int argc, char **argv)
{
    const unsigned n_schedules = argc > 1 ? (unsigned)atoi(argv[1]) : SCHEDULES;
    const uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct buf why = {0};

    for (int behind = 0; behind < 2; behind++) {
        if (play_all(behind == 1, n_schedules / 2, seed, 1, &why) > 0) {
            log_fatal("stress_fence: %s: %s", behind ? "behind" : "through",
                      buf_string(&why));
        }
    }
    printf("%u schedules, 0 stale fills\n", n_schedules);
#ifndef NDEBUG
    flights_test_no_fence(true);
    const unsigned n_wrong = play_all(false, n_schedules, seed, 100, &why);
    flights_test_no_fence(false);
    printf("without the fence: %u found wrong\n", n_wrong);
    CHECK(n_wrong > 0);
#endif
    buf_destroy(&why);
    return 0;
}
