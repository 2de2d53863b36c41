/* SPDX-License-Identifier: MIT */
/*
 * The checker of histories, checked: it finds what is planted, believes what
 * is right, and says of small random histories what trying all orders says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/attr.h"
#include "tests/support/linear.h"
#include "tests/support/stress.h"

#define MS INT64_C(1000000)

/* Operations in a row of a table: kind, value, begin, end. */
#define R(v, b, e)                                                        \
    {                                                                     \
        .kind = LINEAR_READ, .value = (v), .begin_ns = (b), .end_ns = (e) \
    }
#define W(v, b, e)                                                         \
    {                                                                      \
        .kind = LINEAR_WRITE, .value = (v), .begin_ns = (b), .end_ns = (e) \
    }
#define NX(v, b, e)                                                         \
    {                                                                       \
        .kind = LINEAR_CREATE, .value = (v), .begin_ns = (b), .end_ns = (e) \
    }
#define D(b, e)                                               \
    {                                                         \
        .kind = LINEAR_DELETE, .begin_ns = (b), .end_ns = (e) \
    }
#define ADD(v, b, e)                                                     \
    {                                                                    \
        .kind = LINEAR_ADD, .value = (v), .begin_ns = (b), .end_ns = (e) \
    }
/* Nobody knows whether they happened. */
#define W_PERHAPS(v, b)                                                       \
    {                                                                         \
        .kind = LINEAR_WRITE, .unknown = true, .value = (v), .begin_ns = (b), \
        .end_ns = LINEAR_NEVER                                                \
    }
#define D_PERHAPS(b)                                             \
    {                                                            \
        .kind = LINEAR_DELETE, .unknown = true, .begin_ns = (b), \
        .end_ns = LINEAR_NEVER                                   \
    }
#define ADD_PERHAPS(b)                                        \
    {                                                         \
        .kind = LINEAR_ADD, .unknown = true, .begin_ns = (b), \
        .end_ns = LINEAR_NEVER                                \
    }

/* Likewise, but not after 'e'. */
#define ADD_CUT(b, e)                                                       \
    {                                                                       \
        .kind = LINEAR_ADD, .unknown = true, .begin_ns = (b), .end_ns = (e) \
    }

#define OPS 6
#define NOTHING LINEAR_ABSENT

static const struct linear_rules strict = {0};

static size_t count_ops(const struct linear_op *ops)
{
    size_t n = 0;

    while (n < OPS && ops[n].end_ns != 0) {
        n++;
    }
    return n;
}

struct example {
    const char *what;
    bool good;
    struct linear_op ops[OPS];
};

/* Both checkers must say of it what it says of itself. */
static void check_examples(const struct example *examples, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct linear_op ops[OPS];
        struct buf why = {0};

        memcpy(ops, examples[i].ops, sizeof ops);
        const size_t n_ops = count_ops(ops);
        if (linear_try_all(ops, n_ops) != examples[i].good) {
            fail_msg("trying all: %s", examples[i].what);
        }
        if (linear_check(ops, n_ops, &strict, &why) != examples[i].good) {
            fail_msg("checking: %s: %s", examples[i].what, buf_string(&why));
        }
        assert_int_equal(why.size == 0, examples[i].good);
        buf_destroy(&why);
    }
}

static void test_planted_violations_are_found(void **state)
{
    static const struct example examples[] = {
        {"an old value after the new write was acknowledged",
         false,
         {W(1, 1, 2), W(2, 3, 4), R(1, 5, 6)}},
        {"an old value while the write is under way",
         true,
         {W(1, 1, 2), W(2, 3, 6), R(1, 4, 5)}},
        {"new, then old, while the write is under way",
         false,
         {W(1, 1, 2), W(2, 3, 9), R(2, 4, 5), R(1, 6, 7)}},
        {"back and forth between two that overlap",
         false,
         {W(1, 1, 9), W(2, 1, 9), R(1, 2, 3), R(2, 4, 5), R(1, 6, 7)}},
        {"a value nobody wrote", false, {W(1, 1, 2), R(3, 3, 4)}},
        {"a value from the future", false, {R(1, 1, 2), W(1, 3, 4)}},
        {"a lost write", false, {W(1, 1, 2), R(NOTHING, 3, 4)}},
        {"a write lost to a delete before it",
         false,
         {D(1, 2), W(1, 3, 4), R(NOTHING, 5, 6)}},
        {"a write lost to a delete beside it",
         true,
         {W(1, 1, 3), D(2, 4), R(NOTHING, 5, 6)}},
        {"a value from the dead", false, {W(1, 1, 2), D(3, 4), R(1, 5, 6)}},
        {"nothing, between two reads of a value",
         false,
         {W(1, 1, 2), R(1, 3, 4), R(NOTHING, 5, 6), R(1, 7, 8)}},
        {"created though it was there",
         false,
         {W(1, 1, 2), NX(2, 3, 4), R(2, 5, 6)}},
        {"created twice", false, {NX(1, 1, 2), NX(2, 3, 4)}},
        {"created, deleted, created",
         true,
         {NX(1, 1, 2), D(3, 4), NX(2, 5, 6)}},
    };

    (void)state;
    check_examples(examples, ARRAY_LEN(examples));
}

static void test_unknown_outcomes_may_be_seen_late_or_never(void **state)
{
    static const struct example examples[] = {
        {"never", true, {W(1, 1, 2), W_PERHAPS(2, 3), R(1, 8, 9)}},
        {"late", true, {W(1, 1, 2), W_PERHAPS(2, 3), R(1, 5, 6), R(2, 8, 9)}},
        {"seen and gone again",
         false,
         {W(1, 1, 2), W_PERHAPS(2, 3), R(2, 5, 6), R(1, 8, 9)}},
        {"after a younger write",
         true,
         {W_PERHAPS(1, 1), W(2, 3, 4), R(2, 5, 6), R(1, 8, 9)}},
        {"before it began", false, {R(2, 1, 2), W_PERHAPS(2, 3)}},
        {"a delete, late",
         true,
         {D_PERHAPS(1), W(1, 2, 3), R(1, 4, 5), R(NOTHING, 6, 7)}},
        {"a delete that did not happen",
         true,
         {W(1, 1, 2), D_PERHAPS(3), R(1, 4, 5)}},
    };

    (void)state;
    check_examples(examples, ARRAY_LEN(examples));
}

static void test_counters_show_their_order(void **state)
{
    static const struct example examples[] = {
        {"in order",
         true,
         {R(NOTHING, 1, 2), ADD(1, 3, 4), R(1, 5, 6), ADD(2, 7, 8)}},
        {"an add was lost", false, {ADD(1, 1, 2), ADD(1, 3, 4)}},
        {"an old count", false, {ADD(1, 1, 2), ADD(2, 3, 4), R(1, 5, 6)}},
        {"backwards", false, {ADD(2, 1, 2), ADD(1, 3, 4)}},
        {"beside each other", true, {ADD(2, 1, 4), ADD(1, 2, 3)}},
        {"new, then old", false, {ADD(1, 1, 9), R(1, 2, 3), R(NOTHING, 4, 5)}},
        {"skipped", false, {ADD(1, 1, 2), R(2, 3, 4)}},
        {"skipped by one that nobody knows of",
         true,
         {ADD(1, 1, 2), ADD_PERHAPS(2), R(2, 3, 4)}},
        {"skipped by the second of two, the first had not happened",
         true,
         {ADD(1, 1, 2), ADD_CUT(1, 3), R(1, 4, 5), ADD_PERHAPS(6), R(2, 7, 8)}},
        {"what was cut short did not happen later",
         false,
         {ADD(1, 1, 2), ADD_CUT(1, 3), R(1, 4, 5), R(2, 7, 8)}},
        {"it began too late",
         false,
         {ADD(1, 1, 2), R(2, 3, 4), ADD_PERHAPS(5)}},
    };

    (void)state;
    check_examples(examples, ARRAY_LEN(examples));
}

/* ---- rules that trying all orders does not know ---- */

static bool is_good(const struct linear_op *ops,
                    const struct linear_rules *rules)
{
    struct linear_op copy[OPS];
    struct buf why = {0};

    memcpy(copy, ops, sizeof copy);
    const bool good = linear_check(copy, count_ops(copy), rules, &why);
    buf_destroy(&why);
    return good;
}

static void test_foreign_writes_are_seen_within_the_bound(void **state)
{
    const struct linear_rules rules = {.stale_ns = 10};
    const struct linear_op in_time[OPS] = {W(1, 1, 2), W(2, 3, 4),
                                           R(1, 14, 15)};
    const struct linear_op late[OPS] = {W(1, 1, 2), W(2, 3, 4), R(1, 15, 16)};
    const struct linear_op missed[OPS] = {W(1, 1, 2), R(NOTHING, 13, 14)};

    (void)state;
    assert_true(is_good(in_time, &rules));
    assert_false(is_good(late, &rules));
    assert_false(is_good(missed, &rules));
}

static void test_values_end_when_they_expire(void **state)
{
    const struct linear_rules rules = {.expiry_slack_ns = 2};
    struct linear_op ops[OPS] = {W(1, 1, 2), R(1, 11, 12)};

    (void)state;
    ops[0].expires_ns = 10;
    assert_true(is_good(ops, &rules));
    ops[1] = (struct linear_op)R(1, 13, 14);
    assert_false(is_good(ops, &rules));
    ops[1] = (struct linear_op)R(NOTHING, 8, 9);
    assert_true(is_good(ops, &rules));
    ops[1] = (struct linear_op)R(NOTHING, 6, 7);
    assert_false(is_good(ops, &rules));
}

/* The server is killed at 100; what was acknowledged before 50 must stay. */
static bool kill_is_good(struct linear_op a, struct linear_op b,
                         struct linear_op left)
{
    const int64_t kills[] = {100};
    const struct linear_rules rules = {.loss_ns = 50, .kills_ns = kills};
    struct linear_op ops[OPS] = {a, b, left};

    ops[2].epoch = 1;
    return is_good(ops, &rules);
}

#define KILL(a, b, left)                                   \
    kill_is_good((struct linear_op)a, (struct linear_op)b, \
                 (struct linear_op)left)

static void test_a_kill_loses_only_the_last_writes(void **state)
{
    (void)state;
    assert_true(KILL(W(1, 1, 2), W(2, 3, 4), R(2, 200, 201)));
    assert_true(KILL(W(1, 1, 2), W(2, 59, 60), R(1, 200, 201)));
    assert_false(KILL(W(1, 1, 2), W(2, 39, 40), R(1, 200, 201)));
    assert_false(KILL(W(1, 1, 2), W(2, 59, 60), R(NOTHING, 200, 201)));
    assert_true(KILL(W(1, 59, 60), W(2, 61, 62), R(NOTHING, 200, 201)));
    assert_false(KILL(W(1, 1, 2), D(39, 40), R(1, 200, 201)));
    assert_true(KILL(W(1, 1, 2), D(59, 60), R(1, 200, 201)));
    assert_true(KILL(W(1, 1, 2), W_PERHAPS(2, 90), R(2, 200, 201)));
    assert_false(KILL(W(1, 1, 2), W(2, 3, 4), R(3, 200, 201)));
}

static void test_what_a_kill_left_is_where_it_goes_on(void **state)
{
    const int64_t kills[] = {100};
    const struct linear_rules rules = {.loss_ns = 50, .kills_ns = kills};
    struct linear_op ops[OPS] = {W(1, 1, 2), W(2, 59, 60), R(1, 200, 201),
                                 R(1, 202, 203)};

    (void)state;
    ops[2].epoch = ops[3].epoch = 1;
    assert_true(is_good(ops, &rules));
    ops[3].value = 2; /* It came back. */
    assert_false(is_good(ops, &rules));
}

static void test_what_a_kill_left_may_expire_after_it(void **state)
{
    const int64_t kills[] = {100};
    const struct linear_rules rules = {.loss_ns = 50, .kills_ns = kills};
    struct linear_op ops[OPS] = {W(1, 1, 2), R(1, 200, 201),
                                 R(NOTHING, 302, 303)};

    (void)state;
    ops[1].epoch = ops[2].epoch = 1;
    assert_false(is_good(ops, &rules));
    ops[0].expires_ns = 300;
    assert_true(is_good(ops, &rules));
}

/* ---- random histories ---- */

struct shape {
    bool deletes;
    bool creates;
    bool counter;
};

static uint64_t random_state = 88172645463325252U;

static uint32_t draw(uint32_t limit)
{
    return stress_random(&random_state, limit);
}

static enum linear_kind draw_kind(const struct shape *shape)
{
    const uint32_t n = draw(6);

    if (n < 3) {
        return LINEAR_READ;
    }
    if (shape->counter) {
        return LINEAR_ADD;
    }
    return shape->deletes && n == 3   ? LINEAR_DELETE
           : shape->creates && n == 4 ? LINEAR_CREATE
                                      : LINEAR_WRITE;
}

/* What 'op' does to '*value', or sees of it. */
static void happen(struct linear_op *op, uint64_t *value)
{
    switch (op->kind) {
    case LINEAR_READ:
        op->value = *value;
        return;
    case LINEAR_DELETE:
        *value = LINEAR_ABSENT;
        return;
    case LINEAR_ADD:
        op->value = *value + 1;
        break;
    case LINEAR_CREATE:
    case LINEAR_WRITE:
        break;
    }
    *value = op->value;
}

/* A history that came about in the order of its array, of small times with
 * many ties, and some of it perhaps unknown. */
static void make_history(const struct shape *shape, struct linear_op *ops,
                         size_t n)
{
    uint64_t value = LINEAR_ABSENT;
    int64_t now = 1;

    for (size_t i = 0; i < n; i++) {
        struct linear_op *op = &ops[i];
        now += draw(3);
        *op = (struct linear_op){.kind = draw_kind(shape),
                                 .value = i + 1,
                                 .begin_ns = now - draw(5),
                                 .end_ns = now + draw(5)};
        if (op->kind == LINEAR_CREATE && value != LINEAR_ABSENT) {
            op->kind = LINEAR_READ;
        }
        if (op->kind != LINEAR_READ && draw(5) == 0) {
            op->unknown = true;
            op->end_ns = LINEAR_NEVER;
        }
        if (!op->unknown || draw(2) == 0) {
            happen(op, &value);
        }
    }
}

/* Changes one thing, which may or may not make it impossible. */
static void spoil(struct linear_op *ops, size_t n)
{
    struct linear_op *op = &ops[draw((uint32_t)n)];

    if (op->kind == LINEAR_READ && draw(2) == 0) {
        op->value = draw((uint32_t)n + 1);
    } else if (!op->unknown) {
        const int64_t by = (int64_t)draw(13) - 6;
        op->begin_ns += by;
        op->end_ns += by;
    }
}

/* Compares both checkers; the number of violations that only trying all orders
 * finds, of '*n_bad'. */
static size_t compare(const struct shape *shape, size_t *n_bad)
{
    const size_t n_histories = 30000;
    size_t n_missed = 0;

    *n_bad = 0;
    for (size_t i = 0; i < n_histories; i++) {
        struct linear_op ops[LINEAR_TRY_MAX];
        const size_t n = 2 + draw(8);
        struct buf why = {0};

        make_history(shape, ops, n);
        for (uint32_t k = draw(3); k > 0; k--) {
            spoil(ops, n);
        }
        const bool truth = linear_try_all(ops, n);
        const bool said = linear_check(ops, n, &strict, &why);
        if (truth && !said) {
            fail_msg("history %zu is good, and yet: %s", i, buf_string(&why));
        }
        *n_bad += truth ? 0 : 1;
        n_missed += !truth && said;
        buf_destroy(&why);
    }
    return n_missed;
}

static void test_registers_are_judged_as_by_all_orders(void **state)
{
    const struct shape shape = {0};
    size_t n_bad;

    (void)state;
    const size_t n_missed = compare(&shape, &n_bad);
    assert_true(n_bad > 5000);
    assert_int_equal(0, n_missed);
}

static void test_counters_are_judged_as_by_all_orders(void **state)
{
    const struct shape shape = {.counter = true};
    size_t n_bad;

    (void)state;
    const size_t n_missed = compare(&shape, &n_bad);
    assert_true(n_bad > 5000);
    assert_int_equal(0, n_missed);
}

static void test_deletes_hide_few_violations_and_invent_none(void **state)
{
    const struct shape shape = {.deletes = true, .creates = true};
    size_t n_bad;

    (void)state;
    const size_t n_missed = compare(&shape, &n_bad);
    print_message("missed %zu of %zu\n", n_missed, n_bad);
    assert_true(n_bad > 5000);
    assert_true(n_missed * 20 < n_bad);
}

/* ---- logs ---- */

static const struct linear_rules *rules_of(void *arg, uint32_t key)
{
    (void)key;
    return arg;
}

static void test_each_key_of_a_log_is_checked(void **state)
{
    struct linear_log log = {0};
    struct linear_log more = {0};
    struct linear_rules rules = {0};
    struct buf why = {0};

    (void)state;
    *linear_log_add(&log) = (struct linear_op)W(1, 1, 2);
    *linear_log_add(&more) = (struct linear_op)R(1, 3, 4);
    *linear_log_add(&more) = (struct linear_op)R(1, 3, 4);
    more.ops[1].key = 7;
    linear_log_append(&log, &more);

    assert_int_equal(1, linear_log_check(&log, rules_of, &rules, &why));
    assert_non_null(strstr(buf_string(&why), "key 7: "));

    linear_log_destroy(&log);
    linear_log_destroy(&more);
    buf_destroy(&why);
}

static void test_a_long_history_is_checked_in_no_time(void **state)
{
    const size_t n = 200000;
    struct linear_log log = {0};
    struct linear_rules rules = {0};
    struct buf why = {0};

    (void)state;
    for (size_t i = 0; i < n; i++) {
        const int64_t at = (int64_t)i * 10;
        struct linear_op *op = linear_log_add(&log);
        op->kind = i % 2 == 0 ? LINEAR_WRITE : LINEAR_READ;
        op->value = i / 2 + 1;
        op->begin_ns = at;
        op->end_ns = at + 15; /* Beside the next. */
    }
    const int64_t start_ns = linear_now_ns();
    assert_int_equal(0, linear_log_check(&log, rules_of, &rules, &why));
    print_message("%zu operations in %d ms\n", n,
                  (int)((linear_now_ns() - start_ns) / MS));

    linear_log_destroy(&log);
    buf_destroy(&why);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_planted_violations_are_found),
        cmocka_unit_test(test_unknown_outcomes_may_be_seen_late_or_never),
        cmocka_unit_test(test_counters_show_their_order),
        cmocka_unit_test(test_foreign_writes_are_seen_within_the_bound),
        cmocka_unit_test(test_values_end_when_they_expire),
        cmocka_unit_test(test_a_kill_loses_only_the_last_writes),
        cmocka_unit_test(test_what_a_kill_left_is_where_it_goes_on),
        cmocka_unit_test(test_what_a_kill_left_may_expire_after_it),
        cmocka_unit_test(test_registers_are_judged_as_by_all_orders),
        cmocka_unit_test(test_counters_are_judged_as_by_all_orders),
        cmocka_unit_test(test_deletes_hide_few_violations_and_invent_none),
        cmocka_unit_test(test_each_key_of_a_log_is_checked),
        cmocka_unit_test(test_a_long_history_is_checked_in_no_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
