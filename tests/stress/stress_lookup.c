/* SPDX-License-Identifier: MIT */
/*
 * Lookups (some within bounds of their own), writes, cancels, evictions, clears
 * and changes of directives, all at once on a few keys and a cache too small
 * for them, over a store that fails, hangs, is gone for a while or has a long
 * tail, and a breaker in between; round after round.
 *
 *     stress_lookup [OPERATIONS]     until so many lookups and writes began
 *                                    (STRESS_OPERATIONS says the same), or
 *                                    for STRESS_SECONDS
 *
 * Each player is a loop: a thread with a home channel.  A key is written by
 * one player and looked up by all; what its history (support/history.h) does
 * not allow ends the program.  Besides: every lookup and every write is
 * answered exactly once unless it was cancelled; an answer says truly how it
 * came about, and keeps the bounds of its lookup; the outcomes add up to the
 * lookups; a round leaves no flight and no timer; what is in the store in the
 * end is what was acknowledged.
 *
 * One row more is changed by nobody but another program, so that copies of it
 * get old.  Every other round has short windows that stay as they are, and no
 * answer may show a row that was replaced longer ago than they allow.
 *
 * A round ends in one of three ways: the players wait for their answers; the
 * store closes while they wait; or they leave, and answers come to homes that
 * are closed.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>

#include "common/task.h"
#include "common/waitgroup.h"
#include "server/admin/stats.h"
#include "server/lookup/flight.h"
#include "server/lookup/freshness.h"
#include "server/lookup/record.h"
#include "tests/support/history.h"
#include "tests/support/lookup_fixture.h"
#include "tests/support/stress.h"

#define PLAYERS 3
#define KEYS 12 /* Half of them records, half plain. */
#define ASKS 48 /* Under way at the same time, of a player. */
#define WRITES 16
#define PADDING_MAX 400u
#define ROUND_US 400000
#define CACHE_BYTES ((size_t)6 * 1024)

enum ending { END_ANSWERED, END_STORE_CLOSED, END_LEFT, ENDINGS };

struct key {
    char text[24];
    bool record;
    struct history history;
};

/* The row that another program changes: the n-th time to number n. */
#define CHANGES_MAX 4096
#define OUTSIDE_ID "900"

struct outside {
    _Atomic uint64_t n_changes;              /* Release/acquire. */
    _Atomic int64_t changed_us[CHANGES_MAX]; /* When that was done, at last. */
};

struct round {
    struct fixture *f;
    bool tight; /* Has the windows of 'tight', for all its time. */
    struct outside outside;
    struct key outside_key; /* Without a history. */
    enum ending ending;
    bool durable; /* Plain keys reach the store. */
    _Atomic bool over;
    struct waitgroup asking; /* Players that still ask and write. */
    struct history_clears clears;
    struct key keys[KEYS];
};

enum state { STATE_FREE, STATE_PENDING, STATE_ENDED };

struct ask {
    struct player *player;
    struct key *key;
    struct lookup_bounds bounds;
    struct history_look look;
    int64_t start_us;
    struct pending_lookup *pending;
    enum state state;
};

struct write {
    struct player *player;
    struct key *key; /* NULL: a clear. */
    uint64_t number;
    enum state state;
};

struct player {
    struct round *round;
    size_t index;
    uint64_t random;
    struct chan *home;
    struct buf scratch;
    struct ask asks[ASKS];
    struct write writes[WRITES];
    size_t n_asks; /* Pending. */
    size_t n_writes;
};

static _Atomic uint64_t n_lookups, n_writes, n_cancelled, n_errors, n_checked;

static uint32_t draw(struct player *p, uint32_t limit)
{
    return stress_random(&p->random, limit);
}

static void require(const struct key *key, const char *wrong)
{
    if (wrong != NULL) {
        log_fatal("stress_lookup: %s: %s", key->text, wrong);
    }
}

/* ---- values: "NUMBER:xxx…", as long as the number says ---- */

static void make_value(uint64_t number, struct buf *out)
{
    const size_t padding = (size_t)(number * 37 % PADDING_MAX);

    buf_printf(out, "%" PRIu64 ":", number);
    memset(buf_reserve(out, padding), 'x', padding);
    buf_commit(out, padding);
}

static uint64_t value_number(struct slice value)
{
    struct buf expected = {0};
    uint64_t number = 0;

    for (size_t i = 0; i < value.size && value.data[i] != ':'; i++) {
        CHECK(value.data[i] >= '0' && value.data[i] <= '9');
        number = number * 10 + (uint64_t)(value.data[i] - '0');
    }
    make_value(number, &expected);
    CHECK(slice_equal(value, buf_slice(&expected)));
    buf_destroy(&expected);
    return number;
}

/* ---- the row that changes outside ---- */

static const char *const tight[][2] = {{"max-age", "2ms"},
                                       {"freshness-jitter", "10%"},
                                       {"stale-while-revalidate", "3ms"},
                                       {"stale-if-error", "5ms"},
                                       {"store-timeout", "5ms"}};

/* max-age and its jitter and the longer window; a read that is joined is not
 * even as old as store-timeout. */
#define TIGHT_US (2000 + 200 + 5000)

/* By the first player only. */
static void change_outside(struct round *round)
{
    struct outside *o = &round->outside;
    const uint64_t number = o->n_changes + 1;
    struct buf title = {0};

    if (number < CHANGES_MAX) {
        make_value(number, &title);
        fake_store_set_book(round->f->fake, OUTSIDE_ID, buf_string(&title),
                            NULL, NULL);
        o->changed_us[number] = clock_now_us();
        atomic_store_explicit(&o->n_changes, number, memory_order_release);
    }
    buf_destroy(&title);
}

static void check_outside(const struct round *round, uint64_t number,
                          int64_t start_us)
{
    const struct outside *o = &round->outside;
    const uint64_t n_changes =
        atomic_load_explicit(&o->n_changes, memory_order_acquire);

    CHECK(number <= n_changes + 1); /* The next may be under way. */
    CHECK(!round->tight || number >= n_changes ||
          o->changed_us[number + 1] > start_us - TIGHT_US);
}

/* ---- lookups ---- */

static enum outcome outcome_of(enum err err)
{
    switch (err) {
    case ERR_STORE_TIMEOUT:
        return OUTCOME_timeout;
    case ERR_STORE_BUSY:
        return OUTCOME_busy;
    default:
        CHECK(err == ERR_STORE_DOWN || err == ERR_SHUTTING_DOWN);
        return OUTCOME_down;
    }
}

static int64_t sum_us(int64_t a, int64_t b)
{
    return a > FRESHNESS_NO_BOUND - b ? FRESHNESS_NO_BOUND : a + b;
}

/* Plain keys may be pinned, and then have no age.  A copy that was filled after
 * the lookup had begun is as young as the store's own answer: its age is 0. */
static bool is_younger(const struct ask *ask, const struct answer *a,
                       int64_t bound_us)
{
    return !ask->key->record || a->age_us == 0 || a->age_us < bound_us;
}

/* Does the answer keep the bounds of its lookup, and name itself rightly? */
static void check_way(const struct ask *ask, const struct answer *a)
{
    const struct lookup_bounds *bounds = &ask->bounds;
    const bool waits = bounds->wait_us > 0;

    CHECK(a->took_us >= 0 && a->age_us >= 0);
    switch (a->how) {
    case OUTCOME_fresh_hit:
        CHECK(a->source == LOOKUP_CACHE && a->outcome == LOOKUP_FOUND);
        CHECK(is_younger(ask, a, bounds->max_age_us));
        break;
    case OUTCOME_negative_hit:
        CHECK(a->source == LOOKUP_CACHE && a->outcome == LOOKUP_MISS);
        break;
    case OUTCOME_stale_hit:
    case OUTCOME_race_cache:
        CHECK(a->source == LOOKUP_CACHE && a->outcome != LOOKUP_FAILED);
        CHECK(is_younger(ask, a, sum_us(bounds->max_age_us, bounds->stale_us)));
        break;
    case OUTCOME_miss:
    case OUTCOME_joined:
    case OUTCOME_race_store:
        CHECK(waits && a->source == LOOKUP_STORE && a->age_us == 0);
        CHECK(a->outcome != LOOKUP_FAILED);
        break;
    case OUTCOME_stale_if_error:
        CHECK(a->source == LOOKUP_CACHE && a->outcome != LOOKUP_FAILED);
        break;
    case OUTCOME_impossible:
        CHECK(ask->key->history.forgetful && a->outcome == LOOKUP_MISS);
        break;
    default:
        CHECK(a->outcome == LOOKUP_FAILED && a->how == outcome_of(a->err));
        break;
    }
}

static const char *judge_number(const struct ask *ask, uint64_t number)
{
    const struct round *round = ask->player->round;

    if (ask->key == &round->outside_key) {
        check_outside(round, number, ask->start_us);
        return NULL;
    }
    return history_found(&ask->key->history, &ask->look, number);
}

static const char *judge_miss(const struct ask *ask)
{
    if (ask->key == &ask->player->round->outside_key) {
        return "missed, and was always there";
    }
    return history_missed(&ask->key->history, &ask->look, clock_wall_ms());
}

static void check_answer(const struct ask *ask, const struct answer *a)
{
    struct key *key = ask->key;
    struct slice value = a->bytes;
    enum column_type type;

    n_checked++;
    check_way(ask, a);
    CHECK((a->mapping != NULL) == key->record);
    switch (a->outcome) {
    case LOOKUP_FAILED:
        n_errors++;
        break;
    case LOOKUP_MISS:
        require(key, judge_miss(ask));
        break;
    case LOOKUP_FOUND:
        if (key->record) {
            CHECK(slice_equal(record_column(value, 0, &type),
                              slice_from_string(key->text + 5)));
            value = record_column(value, 1, &type);
        }
        require(key, judge_number(ask, value_number(value)));
        break;
    }
}

static void on_answer(void *arg, const struct answer *answer)
{
    struct ask *a = arg;

    CHECK(a->state == STATE_PENDING);
    a->state = STATE_ENDED;
    a->player->n_asks--;
    check_answer(a, answer);
}

static int64_t draw_bound(struct player *p)
{
    static const int64_t bounds_us[] = {
        FRESHNESS_NO_BOUND, FRESHNESS_NO_BOUND, 0, 500, 3000, 50000};

    return bounds_us[draw(p, ARRAY_LEN(bounds_us))];
}

static struct lookup_bounds draw_bounds(struct player *p)
{
    if (draw(p, 4) > 0) {
        return (struct lookup_bounds){.max_age_us = FRESHNESS_NO_BOUND,
                                      .stale_us = FRESHNESS_NO_BOUND,
                                      .wait_us = FRESHNESS_NO_BOUND};
    }
    return (struct lookup_bounds){.max_age_us = draw_bound(p),
                                  .stale_us = draw_bound(p),
                                  .wait_us = draw_bound(p)};
}

static void ask_key(struct player *p, struct ask *a)
{
    struct key *key = draw(p, 8) == 0 ? &p->round->outside_key
                                      : &p->round->keys[draw(p, KEYS)];
    const struct lookup_caller caller = {.home = chan_tx(p->home),
                                         .done = on_answer,
                                         .arg = a,
                                         .start_us = clock_now_us()};
    struct answer answer;

    n_lookups++;
    *a = (struct ask){.player = p,
                      .key = key,
                      .bounds = draw_bounds(p),
                      .start_us = caller.start_us,
                      .look = history_look(&key->history, clock_wall_ms())};
    buf_clear(&p->scratch);
    a->pending = lookup_get(p->round->f->lookup, slice_from_string(key->text),
                            &a->bounds, &caller, &p->scratch, &answer);
    if (a->pending == NULL) {
        a->state = STATE_ENDED;
        check_answer(a, &answer);
    } else {
        a->state = STATE_PENDING;
        p->n_asks++;
    }
}

static void cancel(struct ask *a)
{
    if (a->state == STATE_PENDING) {
        lookup_cancel(a->pending);
        a->state = STATE_ENDED;
        a->player->n_asks--;
        n_cancelled++;
    }
}

/* ---- writes ---- */

static void end_write(struct write *w, enum err err)
{
    struct round *round = w->player->round;

    CHECK(err == ERR_OK || err == ERR_STORE_DOWN || err == ERR_STORE_LOCKED ||
          err == ERR_CONSTRAINT || err == ERR_NOMEM);
    w->state = STATE_ENDED;
    if (w->key == NULL) {
        history_clear_end(&round->clears, w->number, err == ERR_OK);
    } else {
        require(w->key,
                history_end(&w->key->history, w->number, err == ERR_OK));
    }
}

static void on_written(void *arg, const struct update_outcome *outcome)
{
    struct write *w = arg;

    CHECK(w->state == STATE_PENDING);
    w->player->n_writes--;
    end_write(w, outcome->err);
}

static void start(struct write *w, const struct update *update)
{
    struct player *p = w->player;
    const struct update_caller caller = {
        .home = chan_tx(p->home), .done = on_written, .arg = w};

    n_writes++;
    p->n_writes++;
    w->state = STATE_PENDING;
    (void)update_start(p->round->f->lookup, update, 1, &caller);
}

static void start_delete(struct write *w)
{
    w->number = history_begin(&w->key->history, CHANGE_DELETE, 0);
    start(w, &(struct update){.op = w->key->record ? STORE_DELETE_ROW
                                                   : STORE_DELETE_PLAIN,
                              .key = slice_from_string(w->key->text)});
}

static void start_put_plain(struct write *w)
{
    const bool expires = draw(w->player, 4) == 0;
    const int64_t expires_ms =
        expires ? clock_wall_ms() + 1 + draw(w->player, 40) : 0;
    struct buf value = {0};

    w->number = history_begin(&w->key->history, CHANGE_PUT, expires_ms);
    make_value(w->number, &value);
    start(w, &(struct update){.op = STORE_PUT_PLAIN,
                              .key = slice_from_string(w->key->text),
                              .value = buf_slice(&value),
                              .expires_ms = expires_ms});
    buf_destroy(&value);
}

static void start_put_record(struct write *w)
{
    const bool whole = draw(w->player, 2) == 0;
    struct buf title = {0};
    struct buf json = {0};

    w->number = history_begin(&w->key->history, CHANGE_PUT, 0);
    make_value(w->number, &title);
    buf_printf(&json, "{\"title\":\"%s\",\"author\":null}", buf_string(&title));
    const struct slice fields[] = {SLICE("title"), buf_slice(&title)};
    start(w, &(struct update){.op = whole ? STORE_PUT_ROW : STORE_SET_COLUMNS,
                              .key = slice_from_string(w->key->text),
                              .value = whole ? buf_slice(&json) : SLICE(""),
                              .fields = fields,
                              .n_fields = whole ? 0 : ARRAY_LEN(fields)});
    buf_destroy(&title);
    buf_destroy(&json);
}

/* A key of this player: nobody else writes it. */
static void write_key(struct player *p, struct write *w)
{
    const size_t i = draw(p, KEYS / PLAYERS) * PLAYERS + p->index;

    *w = (struct write){.player = p, .key = &p->round->keys[i]};
    if (draw(p, 3) == 0) {
        start_delete(w);
    } else if (w->key->record) {
        start_put_record(w);
    } else {
        start_put_plain(w);
    }
}

/* One at a time, by the first player. */
static void clear_plain(struct player *p, struct write *w)
{
    struct round *round = p->round;

    if (p->index == 0 && round->clears.begun == round->clears.ended) {
        *w = (struct write){.player = p,
                            .number = history_clear_begin(&round->clears)};
        start(w, &(struct update){.op = STORE_CLEAR_PLAIN});
    }
}

/* ---- disturbances ---- */

static const struct setting {
    const char *directive;
    const char *values[4];
} settings[] = {
    {"max-age", {"60s", "60s", "2ms", "0s"}},
    {"freshness-jitter", {"0%", "10%", "10%", "50%"}},
    {"stale-while-revalidate", {"5m", "5m", "2ms", "0s"}},
    {"stale-if-error", {"1h", "1h", "5ms", "0s"}},
    {"store-timeout", {"5s", "5s", "20ms", "1ms"}},
#define WINDOWS 5 /* Those above, as in 'tight'. */
    {"negative-max-age", {"5s", "5s", "2ms", "0s"}},
    {"race", {"stale", "never", "always", "always"}},
    {"store-delay", {"0ms", "500us", "2ms", "5ms"}},
    {"store-jitter", {"0ms", "0ms", "1ms", "3ms"}},
    {"store-error-rate", {"0%", "0%", "2%", "20%"}},
    {"store-tail-rate", {"0%", "0%", "1%", "10%"}},
    {"store-tail-factor", {"10", "10", "1", "30"}},
    {"store-hang", {"no", "no", "no", "yes"}},
    {"store-outage-after", {"0s", "0s", "1ms", "5ms"}},
    {"store-outage-for", {"0s", "0s", "2ms", "20ms"}},
    {"breaker-failures", {"5", "5", "0", "1"}},
    {"breaker-probe-interval", {"1ms", "1ms", "2ms", "10ms"}},
    {"store-concurrency", {"64", "64", "4", "1"}},
    {"store-queue", {"64", "64", "4", "0"}},
    {"behind-interval", {"1ms", "5ms", "20ms", "50ms"}},
};

static void change_setting(struct player *p)
{
    const uint32_t i = draw(p, ARRAY_LEN(settings));

    if (i >= WINDOWS || !p->round->tight) {
        fixture_set(p->round->f, settings[i].directive,
                    settings[i].values[draw(p, 4)]);
    }
}

/* A store that hangs or is gone stays so but for a short while, or nothing else
 * would be seen. */
static void heal_store(struct fixture *f)
{
    fixture_set(f, "store-hang", "no");
    fixture_set(f, "store-outage-for", "0s");
    fixture_set(f, "store-error-rate", "0%");
}

/* A commit that fails takes all writes of its group with it, and the deferred
 * ones wait a second for the next attempt; so not too often. */
static void fail_store(struct player *p)
{
    struct fake_store *fake = p->round->f->fake;

    fake_store_forgive(fake);
    switch (draw(p, 8)) {
    case 0:
        fake_store_fail(fake, FAKE_COMMIT, NULL, 1, ERR_STORE_DOWN);
        break;
    case 1:
        fake_store_fail(fake, FAKE_BEGIN, NULL, 2, ERR_STORE_LOCKED);
        break;
    case 2:
    case 3: /* A row's own fault: the others of its group live. */
        fake_store_fail(fake, FAKE_APPLY,
                        p->round->keys[draw(p, KEYS / 2)].text, 1,
                        ERR_CONSTRAINT);
        break;
    default:
        fake_store_fail(fake, FAKE_READ, NULL, 1 + draw(p, 5), ERR_STORE_DOWN);
        break;
    }
}

static void disturb(struct player *p)
{
    struct fixture *f = p->round->f;
    const char *key = p->round->keys[draw(p, KEYS)].text;

    switch (draw(p, 8)) {
    case 0:
    case 1:
        change_setting(p);
        break;
    case 2:
        cache_set_max_bytes(f->cache, CACHE_BYTES << draw(p, 6));
        break;
    case 3:
        (void)cache_expire_some(f->cache, clock_wall_ms(), 8);
        break;
    case 4:
        if (draw(p, 20) == 0) {
            fail_store(p);
        }
        break;
    case 5:
        heal_store(f);
        break;
    default:
        (void)lookup_evict(f->lookup, slice_from_string(key));
        break;
    }
}

/* ---- a player ---- */

/* Runs what came home, waiting for the first until 'wait_us' from now. */
static void run_home(struct player *p, int64_t wait_us)
{
    struct task task;

    if (chan_recv_until(chan_rx(p->home), &task, clock_real_us() + wait_us) ==
        ERR_OK) {
        task.run(task.arg);
    }
    while (chan_try_recv(chan_rx(p->home), &task) == ERR_OK) {
        task.run(task.arg);
    }
}

static void act(struct player *p)
{
    struct ask *a = &p->asks[draw(p, ASKS)];
    struct write *w = &p->writes[draw(p, WRITES)];
    const uint32_t what = draw(p, 100);

    if (p->index == 0 && draw(p, 50) == 0) {
        change_outside(p->round);
    }
    if (what < 70) {
        if (a->state != STATE_PENDING) {
            ask_key(p, a);
        }
    } else if (what < 85) {
        if (w->state != STATE_PENDING) {
            write_key(p, w);
        }
    } else if (what < 90) {
        cancel(a);
    } else if (what < 99) {
        disturb(p);
    } else if (w->state != STATE_PENDING) {
        clear_plain(p, w);
    }
}

static void leave(struct player *p)
{
    for (size_t i = 0; i < ASKS; i++) {
        cancel(&p->asks[i]);
    }
    chan_close(chan_tx(p->home));
    run_home(p, 0);
}

static void play(void *arg)
{
    struct player *p = arg;
    struct round *round = p->round;

    while (!atomic_load_explicit(&round->over, memory_order_relaxed)) {
        act(p);
        if (p->n_asks > ASKS / 2 || p->n_writes > WRITES / 2) {
            run_home(p, 500);
        } else if (draw(p, 4) == 0) {
            run_home(p, 0);
        }
    }
    if (round->ending == END_LEFT) {
        leave(p);
    }
    wg_done(&round->asking);
    while (round->ending != END_LEFT && p->n_asks + p->n_writes > 0) {
        run_home(p, 10000);
    }
}

/* ---- rounds ---- */

static void make_keys(struct round *round)
{
    for (size_t i = 0; i < KEYS; i++) {
        struct key *key = &round->keys[i];
        const bool exists = i % 4 < 2;
        key->record = i < KEYS / 2;
        snprintf(key->text, sizeof key->text, key->record ? "book:%zu" : "k%zu",
                 i);
        key->history.clears = key->record ? NULL : &round->clears;
        key->history.in_order = i % PLAYERS == 0;
        key->history.forgetful = !key->record && !round->durable;
        history_init(&key->history, exists && (key->record || round->durable));
        if (exists && key->record) {
            fake_store_set_book(round->f->fake, key->text + 5, "0:", NULL,
                                NULL);
        } else if (exists) {
            fake_store_set_plain(round->f->fake, key->text, "0:", 0);
        }
    }
}

/* What the store holds must be what a lookup begun now may answer. */
static void check_store(struct round *round)
{
    for (size_t i = 0; i < KEYS; i++) {
        struct key *key = &round->keys[i];
        const struct history_look look = history_look(&key->history, 0);
        struct buf value = {0};
        if (!key->record && !round->durable) {
            continue;
        }
        if (fake_store_get(round->f->fake, key->text,
                           key->record ? "title" : NULL, &value)) {
            require(key, history_found(&key->history, &look,
                                       value_number(buf_slice(&value))));
        } else {
            require(key, history_missed(&key->history, &look, 0));
        }
        buf_destroy(&value);
    }
}

static void wait_until(int64_t until_us)
{
    struct chan *never = chan_new(1, 0);
    char nothing;

    CHECK(chan_recv_until(chan_rx(never), &nothing, until_us) == ERR_TIMEOUT);
    chan_free(never);
}

static void close_store(struct round *round)
{
    /* What was acknowledged is given up only if the store never recovers. */
    fake_store_forgive(round->f->fake);
    store_close(round->f->store);
    round->f->store = NULL;
}

static void open_round(struct round *round, uint64_t number)
{
    static const char *const modes[] = {
        "plain-writes behind", "plain-writes through", "plain-writes none"};
    const size_t mode = number % 4 % ARRAY_LEN(modes); /* Behind: half. */
    const char *const directives[] = {modes[mode], "behind-interval 5ms", NULL};

    memset(round, 0, sizeof *round);
    round->ending = (enum ending)(number % ENDINGS);
    round->durable = mode != 2;
    round->tight = number % 8 < 4; /* With each mode and each ending. */
    round->f = fixture_new(directives);
    cache_set_max_bytes(round->f->cache, CACHE_BYTES);
    for (size_t i = 0; round->tight && i < ARRAY_LEN(tight); i++) {
        fixture_set(round->f, tight[i][0], tight[i][1]);
    }
    make_keys(round);
    round->outside_key =
        (struct key){.text = "book:" OUTSIDE_ID, .record = true};
    fake_store_set_book(round->f->fake, OUTSIDE_ID, "0:", NULL, NULL);
    wg_init(&round->asking);
}

static void play_round(uint64_t number)
{
    static struct round round;
    static struct player players[PLAYERS];
    struct waitgroup playing;

    open_round(&round, number);
    wg_init(&playing);
    wg_add(&round.asking, PLAYERS);
    for (size_t i = 0; i < PLAYERS; i++) {
        players[i] = (struct player){
            .round = &round,
            .index = i,
            .random = number * 31 + i + 1,
            .home = chan_new(sizeof(struct task), CHAN_UNBOUNDED)};
        CHECK(wg_go(&playing, "player", play, &players[i]) == ERR_OK);
    }
    wait_until(clock_real_us() + ROUND_US);
    round.over = true;
    wg_wait(&round.asking);
    if (round.ending == END_ANSWERED) {
        heal_store(round.f);
        wg_wait(&playing);
    }
    close_store(&round);
    wg_wait(&playing);

    CHECK(flights_count(lookup_flights(round.f->lookup)) == 0);
    CHECK(timers_count(round.f->timers) == 0);
    CHECK((uint64_t)outcomes_total() == n_lookups);
    check_store(&round);
    wg_destroy(&playing);
    wg_destroy(&round.asking);
    fixture_free(round.f);
    for (size_t i = 0; i < PLAYERS; i++) {
        chan_free(players[i].home);
        buf_destroy(&players[i].scratch);
    }
}

/* How many operations are wanted; 0: as many as fit in the time. */
static uint64_t wanted(int argc, char **argv)
{
    const char *text = argc > 1 ? argv[1] : getenv("STRESS_OPERATIONS");

    return text == NULL ? 0 : strtoull(text, NULL, 10);
}

static void report(uint64_t n_rounds)
{
    printf("%" PRIu64 " rounds, %" PRIu64 " lookups (%" PRIu64
           " cancelled, %" PRIu64 " failed), %" PRIu64 " writes\n",
           n_rounds, n_lookups, n_cancelled, n_errors, n_writes);
    for (size_t i = 0; i < OUTCOME_COUNT; i++) {
        printf("%s %" PRId64 "%s", outcome_rows[i].name, outcomes_sum(i),
               i + 1 < OUTCOME_COUNT ? ", " : "\n");
    }
    printf("fills %" PRId64 ", fenced %" PRId64 ", withdrawn %" PRId64
           ", let go %" PRId64 "\n",
           stats_sum(STATS_fills), stats_sum(STATS_fills_fenced),
           stats_sum(STATS_reads_withdrawn), stats_sum(STATS_flights_let_go));
    /* The first one would have ended the program. */
    printf("%" PRIu64 " operations, %" PRIu64
           " replies checked, 0 replies outside what the model permits\n",
           n_lookups + n_writes, n_checked);
}

int main(int argc, char **argv)
{
    const uint64_t n_wanted = wanted(argc, argv);
    const int64_t end_us = stress_end_us();
    uint64_t number = 0;

    log_init();
    log_set_level(LOG_LEVEL_ERROR);
    while (number < 3 || n_lookups + n_writes < n_wanted ||
           (n_wanted == 0 && clock_real_us() < end_us)) {
        play_round(number++);
    }
    report(number);
    return 0;
}
