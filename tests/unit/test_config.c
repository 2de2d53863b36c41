/* SPDX-License-Identifier: MIT */
/*
 * The configuration: the table itself, setting, batches, and being told.
 */
#include "server/admin/config.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/thread.h"
#include "server/admin/config_value.h"

#define SETTERS 4
#define ROUNDS 500

static int make(void **state)
{
    *state = config_new();
    return 0;
}

static int drop(void **state)
{
    config_free(*state);
    return 0;
}

/* Sets what must be right. */
static void set(struct config *c, enum config_id id, const char *text)
{
    struct buf detail = {0};
    assert_int_equal(config_set(c, id, slice_from_string(text), &detail),
                     ERR_OK);
    assert_int_equal(detail.size, 0);
}

static void assert_text(struct config *c, enum config_id id, const char *text)
{
    struct buf out = {0};
    config_format(c, id, &out);
    assert_string_equal(buf_string(&out), text);
    buf_destroy(&out);
}

/* ---- the table ---- */

static void test_every_default_is_right(void **state)
{
    struct config *c = *state;

    for (enum config_id id = 0; id < CONFIG_COUNT; id++) {
        const struct config_directive *d = &config_directives[id];
        struct buf detail = {0};
        assert_int_equal(
            config_check(c, id, slice_from_string(d->default_text), &detail),
            ERR_OK);
        assert_text(c, id, d->default_text);
    }
}

static void test_every_row_is_fit_to_print(void **state)
{
    (void)state;

    for (enum config_id id = 0; id < CONFIG_COUNT; id++) {
        const struct config_directive *d = &config_directives[id];
        assert_true(isupper((unsigned char)d->summary[0]));
        assert_int_equal(d->summary[strlen(d->summary) - 1], '.');
        assert_null(strstr(d->summary, "  "));
        assert_true(d->kind == CONFIG_CHOICE || config_value_is_text(d)
                        ? d->choices != NULL
                        : d->choices == NULL);
        for (const char *p = d->name; *p != '\0'; p++) {
            assert_true(islower((unsigned char)*p) || *p == '-');
        }
    }
}

static void test_sections_stand_together(void **state)
{
    (void)state;

    for (int id = 1; id < CONFIG_COUNT; id++) {
        const char *section = config_directives[id].section;
        if (strcmp(config_directives[id - 1].section, section) == 0) {
            continue;
        }
        for (int before = 0; before < id; before++) {
            assert_string_not_equal(config_directives[before].section, section);
        }
    }
}

static void test_choices_are_in_the_order_of_their_enums(void **state)
{
    struct config *c = *state;

    set(c, CONFIG_race, "always");
    set(c, CONFIG_plain_writes, "none");
    set(c, CONFIG_store_durability, "normal");

    assert_int_equal(config_number(c, CONFIG_race), RACE_ALWAYS);
    assert_int_equal(config_number(c, CONFIG_plain_writes), WRITES_NONE);
    assert_int_equal(config_number(c, CONFIG_store_durability),
                     DURABILITY_NORMAL);
}

static void test_records_cannot_live_in_memory_only(void **state)
{
    struct config *c = *state;
    struct buf detail = {0};

    assert_int_equal(
        config_set(c, CONFIG_record_writes, SLICE("none"), &detail),
        ERR_INVALID);

    assert_string_equal(
        buf_string(&detail),
        "record-writes: \"none\" is not one of through, behind");
    assert_int_equal(config_number(c, CONFIG_record_writes), WRITES_THROUGH);
    buf_destroy(&detail);
}

static void test_redis_names_take_and_give_bare_numbers(void **state)
{
    struct config *c = *state;
    struct buf out = {0};

    set(c, CONFIG_maxmemory, "268435456");
    set(c, CONFIG_timeout, "300");
    set(c, CONFIG_max_age, "10s");

    assert_int_equal(config_number(c, CONFIG_timeout), 300000000);
    config_format_redis(c, CONFIG_maxmemory, &out);
    buf_append_char(&out, ' ');
    config_format_redis(c, CONFIG_timeout, &out);
    buf_append_char(&out, ' ');
    config_format_redis(c, CONFIG_max_age, &out);
    assert_string_equal(buf_string(&out), "268435456 300 10s");
    buf_destroy(&out);
}

/* ---- names ---- */

static void test_names_are_found_whatever_the_case(void **state)
{
    (void)state;

    assert_int_equal(config_find(SLICE("Store-Delay")), CONFIG_store_delay);
    assert_int_equal(config_find(SLICE("store-dela")), CONFIG_COUNT);
    assert_int_equal(config_find(SLICE("")), CONFIG_COUNT);
}

static void test_a_slip_of_the_finger_is_understood(void **state)
{
    (void)state;
    static const struct {
        const char *typed;
        enum config_id meant;
    } rows[] = {
        {"prot", CONFIG_port},
        {"stroe-delay", CONFIG_store_delay},
        {"store_delay", CONFIG_store_delay},
        {"MAXMEMRY", CONFIG_maxmemory},
        {"max-memory", CONFIG_maxmemory},
        {"timeouts", CONFIG_timeout},
        {"slaveof", CONFIG_COUNT},
        {"x", CONFIG_COUNT},
        {"", CONFIG_COUNT},
        {"a-name-that-is-longer-than-any-directive-will-be", CONFIG_COUNT},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(config_guess(slice_from_string(rows[i].typed)),
                         rows[i].meant);
    }
}

/* ---- setting ---- */

static void test_a_refused_value_changes_nothing(void **state)
{
    struct config *c = *state;
    struct buf detail = {0};

    assert_int_equal(config_set(c, CONFIG_port, SLICE("70000"), &detail),
                     ERR_RANGE);
    assert_int_equal(config_check(c, CONFIG_dir, SLICE(""), &detail),
                     ERR_RANGE);

    assert_int_equal(config_number(c, CONFIG_port), 7379);
    assert_text(c, CONFIG_dir, ".");
    buf_destroy(&detail);
}

static void test_strings_are_copied_out(void **state)
{
    struct config *c = *state;
    struct buf out = {0};

    set(c, CONFIG_dir, "/var/lib/a b");

    config_string(c, CONFIG_dir, &out);
    assert_string_equal(buf_string(&out), "/var/lib/a b");
    assert_int_equal(config_number(c, CONFIG_dir), 0);
    buf_destroy(&out);
}

static void test_a_batch_is_stored_at_once(void **state)
{
    struct config *c = *state;
    struct buf detail = {0};
    struct config_batch *batch = config_batch_new();

    assert_int_equal(
        config_batch_add(batch, CONFIG_max_age, SLICE("1s"), &detail), ERR_OK);
    assert_int_equal(
        config_batch_add(batch, CONFIG_max_age, SLICE("never"), &detail),
        ERR_INVALID);
    assert_int_equal(config_batch_add(batch, CONFIG_dir, SLICE("/a"), &detail),
                     ERR_OK);
    assert_int_equal(config_batch_add(batch, CONFIG_dir, SLICE("/b"), &detail),
                     ERR_OK);
    assert_text(c, CONFIG_max_age, "60s");

    config_commit(c, batch);

    assert_text(c, CONFIG_max_age, "1s");
    assert_text(c, CONFIG_dir, "/b");
    config_batch_free(batch);
    buf_destroy(&detail);
}

/* ---- being told ---- */

struct listener {
    struct config *config;
    int told;
    int64_t seen;
};

static void remember_max_age(void *arg)
{
    struct listener *l = arg;
    l->told++;
    l->seen = config_number(l->config, CONFIG_max_age);
}

static void test_a_change_is_told_and_seen(void **state)
{
    struct listener l = {.config = *state};
    config_on_change(l.config, CONFIG_max_age, remember_max_age, &l);

    set(l.config, CONFIG_max_age, "2s");

    assert_int_equal(l.told, 1);
    assert_int_equal(l.seen, 2000000);
}

static void test_the_same_value_is_no_change(void **state)
{
    struct listener l = {.config = *state};
    config_on_change(l.config, CONFIG_max_age, remember_max_age, &l);
    config_on_change(l.config, CONFIG_dir, remember_max_age, &l);

    set(l.config, CONFIG_max_age, "1m");
    set(l.config, CONFIG_dir, ".");
    set(l.config, CONFIG_race, "always");

    assert_int_equal(l.told, 0);
}

static void test_who_is_taken_out_is_told_no_more(void **state)
{
    struct listener l = {.config = *state};
    struct listener other = {.config = *state};
    config_on_change(l.config, CONFIG_max_age, remember_max_age, &l);
    config_on_change(l.config, CONFIG_race, remember_max_age, &l);
    config_on_change(l.config, CONFIG_max_age, remember_max_age, &other);

    config_off_change(l.config, remember_max_age, &l);
    set(l.config, CONFIG_max_age, "2s");
    set(l.config, CONFIG_race, "always");

    assert_int_equal(l.told, 0);
    assert_int_equal(other.told, 1);
}

/* Reads a string and sets another directive: both take the lock. */
static void set_race(void *arg)
{
    struct listener *l = arg;
    struct buf out = {0};
    config_string(l->config, CONFIG_dir, &out);
    buf_clear(&out);
    l->told +=
        config_set(l->config, CONFIG_race, SLICE("always"), &out) == ERR_OK;
    buf_destroy(&out);
}

static void test_who_is_told_may_read_and_set(void **state)
{
    struct listener l = {.config = *state};
    struct listener of_race = {.config = *state};
    config_on_change(l.config, CONFIG_dir, set_race, &l);
    config_on_change(l.config, CONFIG_race, remember_max_age, &of_race);

    set(l.config, CONFIG_dir, "/tmp");

    assert_int_equal(l.told, 1);
    assert_int_equal(of_race.told, 1);
    assert_int_equal(config_number(l.config, CONFIG_race), RACE_ALWAYS);
}

struct setter {
    struct config *config;
    int64_t first;
    int failures;
};

static void set_many(void *arg)
{
    struct setter *s = arg;
    struct buf text = {0};
    struct buf detail = {0};
    for (int64_t i = 0; i < ROUNDS; i++) {
        buf_clear(&text);
        buf_printf(&text, "%dms", (int)(s->first + i));
        s->failures += config_set(s->config, CONFIG_max_age, buf_slice(&text),
                                  &detail) != ERR_OK;
        s->failures += config_set(s->config, CONFIG_dir, buf_slice(&text),
                                  &detail) != ERR_OK;
    }
    buf_destroy(&text);
    buf_destroy(&detail);
}

/* 'told' and 'seen' are plain: ThreadSanitizer would report two at a time. */
static void test_of_many_setters_the_last_value_is_seen(void **state)
{
    struct listener l = {.config = *state};
    struct setter setters[SETTERS];
    struct thread threads[SETTERS];
    config_on_change(l.config, CONFIG_max_age, remember_max_age, &l);

    for (int i = 0; i < SETTERS; i++) {
        setters[i] = (struct setter){.config = l.config, .first = i * ROUNDS};
        assert_int_equal(
            thread_start(&threads[i], "setter", set_many, &setters[i]), ERR_OK);
    }
    for (int i = 0; i < SETTERS; i++) {
        thread_join(&threads[i]);
        assert_int_equal(setters[i].failures, 0);
    }

    assert_true(l.told > 0);
    assert_int_equal(l.seen, config_number(l.config, CONFIG_max_age));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, make, drop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_every_default_is_right),
        TEST(test_every_row_is_fit_to_print),
        TEST(test_sections_stand_together),
        TEST(test_choices_are_in_the_order_of_their_enums),
        TEST(test_records_cannot_live_in_memory_only),
        TEST(test_redis_names_take_and_give_bare_numbers),
        TEST(test_names_are_found_whatever_the_case),
        TEST(test_a_slip_of_the_finger_is_understood),
        TEST(test_a_refused_value_changes_nothing),
        TEST(test_strings_are_copied_out),
        TEST(test_a_batch_is_stored_at_once),
        TEST(test_a_change_is_told_and_seen),
        TEST(test_the_same_value_is_no_change),
        TEST(test_who_is_taken_out_is_told_no_more),
        TEST(test_who_is_told_may_read_and_set),
        TEST(test_of_many_setters_the_last_value_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
