/* SPDX-License-Identifier: MIT */
/* SQLite and the fake engine do the same with the same writes: what the tests
 * of the layers above rely on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/attr.h"
#include "common/clock.h"
#include "tests/support/engine_bed.h"
#include "tests/support/fake_store.h"

static struct engine_bed beds[2]; /* SQLite, and the fake one. */
static struct fake_store *fake;

static int set_up(void **state)
{
    (void)state;
    clock_set_manual(1000000);
    fake = fake_store_new();
    engine_bed_open(&beds[0], &engine_sqlite, &mappings_builtin,
                    "DELETE FROM books");
    engine_bed_open(&beds[1], fake_store_engine(fake), &mappings_builtin, NULL);
    for (size_t i = 0; i < ARRAY_LEN(beds); i++) {
        engine_bed_begin(&beds[i]);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(beds); i++) {
        beds[i].engine->rollback(beds[i].writer);
        engine_bed_close(&beds[i]);
    }
    fake_store_free(fake);
    clock_set_real();
    return 0;
}

/* Both have returned the same; of errors, the same error. */
static void assert_same(const char *a, const char *b)
{
    const size_t size = strcspn(a, ":");

    if (strncmp(a, b, size) != 0 || (a[size] != ':' && strcmp(a, b) != 0)) {
        fail_msg("sqlite says '%s', the fake one '%s'", a, b);
    }
}

/* ---- one at a time ---- */

static const char *put(const char *key, const char *value)
{
    const char *text = engine_bed_put(&beds[0], key, value);

    assert_same(text, engine_bed_put(&beds[1], key, value));
    return text;
}

static const char *read_key(const char *key)
{
    const char *text = engine_bed_read(&beds[0], key);

    assert_same(text, engine_bed_read(&beds[1], key));
    return text;
}

#define SET(...)                                         \
    (assert_same(engine_bed_set(&beds[0], __VA_ARGS__),  \
                 engine_bed_set(&beds[1], __VA_ARGS__)), \
     buf_string(&beds[0].text))

static void commit(void)
{
    for (size_t i = 0; i < ARRAY_LEN(beds); i++) {
        assert_string_equal(engine_bed_commit(&beds[i]), "");
        engine_bed_begin(&beds[i]);
    }
}

static void begin_group(void)
{
    for (size_t i = 0; i < ARRAY_LEN(beds); i++) {
        assert_int_equal(
            beds[i].engine->begin_group(beds[i].writer, &beds[i].detail),
            ERR_OK);
    }
}

static void end_group(bool keep)
{
    for (size_t i = 0; i < ARRAY_LEN(beds); i++) {
        assert_int_equal(
            beds[i].engine->end_group(beds[i].writer, keep, &beds[i].detail),
            ERR_OK);
    }
}

static void test_reads_see_what_the_transaction_did(void **state)
{
    (void)state;
    assert_string_equal(read_key("k"), "=");
    assert_string_equal(put("k", "v"), "+1 v");
    assert_string_equal(read_key("k"), "= v");
    assert_string_equal(put("book:1", "{\"title\":\"x\"}"), "+1 1|x|NULL|NULL");
    assert_string_equal(read_key("book:1"), "= 1|x|NULL|NULL");
    assert_string_equal(read_key("book:01"), "=");
    assert_string_equal(put("k", NULL), "~1");
    assert_string_equal(read_key("k"), "=");
    assert_int_equal(beds[0].n_applied, beds[1].n_applied);
    assert_int_equal(beds[0].n_applied, 3);
}

static void test_null_fields_are_nulls(void **state)
{
    (void)state;
    assert_string_equal(SET("book:1", "title", "x", "year", "1", NULL),
                        "+1 new=2 1|x|NULL|1");
    assert_string_equal(SET("book:1", "year", "(null)", NULL),
                        "~1 1|x|NULL|NULL");
    assert_string_equal(SET("book:1", "id", "1", "year", "3", NULL),
                        "~1 new=1 1|x|NULL|3");
    SET("book:1", "title", "(null)", NULL);
    SET("book:1", "id", "(null)", NULL);
    SET("book:1", "id", "2", NULL);
    SET("book:1", "nosuch", "2", NULL);
    assert_string_equal(read_key("book:1"), "= 1|x|NULL|3");
}

static void test_a_group_is_kept_or_taken_back(void **state)
{
    (void)state;
    put("a", "1");
    begin_group();
    put("a", "2");
    put("b", "2");
    SET("book:1", "title", "x", NULL);
    end_group(false);
    assert_string_equal(read_key("a"), "= 1");
    assert_string_equal(read_key("b"), "=");
    assert_string_equal(read_key("book:1"), "=");
    begin_group();
    put("a", "3");
    SET("book:1", "title", "x", NULL);
    end_group(true);
    commit();
    assert_string_equal(read_key("a"), "= 3");
    assert_string_equal(read_key("book:1"), "= 1|x|NULL|NULL");
}

static void test_a_failure_inside_a_group_leaves_it_as_it_was(void **state)
{
    (void)state;
    begin_group();
    put("a", "1");
    SET("book:1", "title", "x", NULL);
    SET("book:1", "title", "(null)", NULL);
    SET("book:2", "author", "nobody", NULL);
    put("book:1", "no object");
    assert_string_equal(read_key("a"), "= 1");
    assert_string_equal(read_key("book:1"), "= 1|x|NULL|NULL");
    end_group(true);
    commit();
    assert_string_equal(read_key("book:1"), "= 1|x|NULL|NULL");
    assert_string_equal(read_key("book:2"), "=");
}

/* ---- decisions ---- */

static struct {
    unsigned n_calls;
    bool found;
    char now[64];
    enum store_op op; /* To do; or … */
    enum err err;     /* … to fail with. */
    struct slice value;
} decision;

static enum err decide(struct store_write *write, const struct store_row *now,
                       struct buf *detail)
{
    decision.n_calls++;
    decision.found = now != NULL;
    if (now != NULL) {
        const struct slice bytes =
            now->columns[now->mapping == NULL ? 0 : 1].bytes;
        snprintf(decision.now, sizeof(decision.now), "%.*s", (int)bytes.size,
                 bytes.data);
    }
    if (decision.err != ERR_OK) {
        buf_append_string(detail, "as decided");
        return decision.err;
    }
    write->op = decision.op;
    write->value = decision.value;
    return ERR_OK;
}

static const char *decide_on(const char *key, enum store_op op)
{
    struct slice id = {0};
    const struct mapping *mapping =
        mapping_find(&mappings_builtin, slice_from_string(key), &id);
    struct store_write writes[2];

    for (size_t i = 0; i < ARRAY_LEN(beds); i++) {
        writes[i] = (struct store_write){
            .op = op,
            .mapping = mapping,
            .key = mapping != NULL ? id : slice_from_string(key),
            .decide = decide};
        engine_bed_apply(&beds[i], &writes[i]);
    }
    assert_same(buf_string(&beds[0].text), buf_string(&beds[1].text));
    return buf_string(&beds[0].text);
}

static void test_a_decision_sees_what_is_there(void **state)
{
    (void)state;
    memset(&decision, 0, sizeof(decision));
    decision.op = STORE_PUT_PLAIN;
    decision.value = SLICE("decided");
    assert_string_equal(decide_on("k", STORE_READ), "+1 decided");
    assert_false(decision.found);
    assert_string_equal(decide_on("k", STORE_DELETE_PLAIN), "~1 decided");
    assert_true(decision.found);
    assert_string_equal(decision.now, "decided");
    assert_int_equal(decision.n_calls, 4);

    decision.op = STORE_READ;
    SET("book:1", "title", "x", NULL);
    assert_string_equal(decide_on("book:1", STORE_DELETE_ROW),
                        "= 1|x|NULL|NULL");
    assert_string_equal(decision.now, "x");
    decide_on("book:01", STORE_DELETE_ROW);
    assert_false(decision.found);
    decision.op = STORE_DELETE_ROW;
    assert_string_equal(decide_on("book:1", STORE_READ), "~1");
}

static void test_an_expired_key_is_nothing_to_decide_on(void **state)
{
    const int64_t now_ms = clock_wall_ms();

    (void)state;
    memset(&decision, 0, sizeof(decision));
    for (size_t i = 0; i < ARRAY_LEN(beds); i++) {
        struct store_write write = {.op = STORE_PUT_PLAIN,
                                    .key = SLICE("k"),
                                    .value = SLICE("v"),
                                    .expires_ms = now_ms + 10};
        engine_bed_apply(&beds[i], &write);
    }
    decision.op = STORE_READ;
    assert_string_equal(decide_on("k", STORE_READ), "= v");
    clock_advance(20000);
    assert_string_equal(decide_on("k", STORE_READ), "=");
    assert_false(decision.found);
}

static void test_a_decision_may_refuse(void **state)
{
    (void)state;
    memset(&decision, 0, sizeof(decision));
    put("k", "v");
    decision.err = ERR_WRONG_TYPE;
    decide_on("k", STORE_PUT_PLAIN);
    assert_string_equal(buf_string(&beds[1].text),
                        "wrong type of value: as decided");
    assert_string_equal(read_key("k"), "= v");
}

/* ---- streams ---- */

static uint64_t random_state;

static unsigned draw(unsigned n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % n;
}

static void step(void)
{
    static const char *const plain[] = {"a", "b", "c", ""};
    static const char *const books[] = {"book:1", "book:2", "book:-3",
                                        "book:03", "book:x"};
    static const char *const names[] = {"title", "author", "year", "id", "z"};
    static const char *const values[] = {"x", "7", "", "(null)", "1"};
    static const char *const objects[] = {
        "{\"title\":\"t\"}", "{\"title\":\"t\",\"year\":\"4\"}", "{}", "[1]",
        "{\"title\":null}",  "{\"year\":\"x\",\"title\":\"t\"}"};

    switch (draw(8)) {
    case 0:
        put(plain[draw(ARRAY_LEN(plain))], draw(3) == 0 ? NULL : "v");
        break;
    case 1:
        read_key(plain[draw(ARRAY_LEN(plain))]);
        break;
    case 2:
        put(books[draw(ARRAY_LEN(books))],
            draw(3) == 0 ? NULL : objects[draw(ARRAY_LEN(objects))]);
        break;
    case 3:
        read_key(books[draw(ARRAY_LEN(books))]);
        break;
    default: {
        const char *key = books[draw(ARRAY_LEN(books))];
        const char *f[] = {names[draw(ARRAY_LEN(names))],
                           values[draw(ARRAY_LEN(values))], names[draw(3)],
                           values[draw(ARRAY_LEN(values))]};
        SET(key, f[0], f[1], f[2], f[3], NULL);
        break;
    }
    }
}

static void test_random_streams_end_alike(void **state)
{
    bool in_group = false;

    (void)state;
    random_state = UINT64_C(88172645463325252);
    for (int i = 0; i < 20000; i++) {
        if (draw(10) == 0) {
            if (in_group) {
                end_group(draw(2) == 0);
            } else {
                begin_group();
            }
            in_group = !in_group;
        } else if (!in_group && draw(20) == 0) {
            commit();
        }
        step();
    }
    assert_int_equal(beds[0].n_applied, beds[1].n_applied);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_reads_see_what_the_transaction_did),
        CASE(test_null_fields_are_nulls),
        CASE(test_a_group_is_kept_or_taken_back),
        CASE(test_a_failure_inside_a_group_leaves_it_as_it_was),
        CASE(test_a_decision_sees_what_is_there),
        CASE(test_an_expired_key_is_nothing_to_decide_on),
        CASE(test_a_decision_may_refuse),
        CASE(test_random_streams_end_alike),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
