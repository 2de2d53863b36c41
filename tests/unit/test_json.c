/* SPDX-License-Identifier: MIT */
/*
 * Reading a record's JSON object, and INFO.
 */
#include "client/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "client/book.h"
#include "client/info.h"

/* "name=value;" for each member, "name;" for null, "!" for what fails. */
static void understand(const char *text, struct buf *out)
{
    struct json json = json_make(slice_from_string(text));
    struct json_member member = {0};

    while (json_next(&json, &member)) {
        buf_append_slice(out, buf_slice(&member.name));
        if (!member.null) {
            buf_append_char(out, '=');
            buf_append_slice(out, buf_slice(&member.value));
        }
        buf_append_char(out, ';');
    }
    if (json.failed) {
        buf_append_char(out, '!');
    }
    json_member_destroy(&member);
}

static void test_objects(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } cases[] = {
        {"{}", ""},
        {" { } ", ""},
        {"{\"id\":3,\"title\":\"x\",\"year\":null}", "id=3;title=x;year;"},
        {"{ \"a\" : -1.5e3 , \"b\" : true }", "a=-1.5e3;b=true;"},
        {"{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"}", "a=\"\\/\b\f\n\r\t;"},
        {"{\"a\":\"\\u00e9\\u20ac\\ud83d\\udcd6\"}",
         "a=\u00e9\u20ac\U0001F4D6;"},
        {"{\"null\":\"null\"}", "null=null;"},
        {"", "!"},
        {"[]", "!"},
        {"{\"a\"}", "!"},
        {"{\"a\":1", "a=1;!"},
        {"{\"a\":1,}", "a=1;!"},
        {"{\"a\":1 \"b\":2}", "a=1;!"},
        {"{\"a\":{}}", "!"},
        {"{\"a\":\"x", "!"},
        {"{\"a\":\"\\x\"}", "!"},
        {"{\"a\":\"\\", "!"},
        {"{\"a\":\"\\u12\"}", "!"},
        {"{\"a\":\"\\ud83d\"}", "!"},
        {"{\"a\":\"\\udcd6\"}", "!"},
        {"{\"a\":\"line\nend\"}", "!"},
    };
    (void)state;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf out = {0};

        understand(cases[i].text, &out);

        assert_string_equal(buf_string(&out), cases[i].expected);
        buf_destroy(&out);
    }
}

static void test_a_book_survives_json(void **state)
{
    const char *json =
        "{\"id\":42,\"title\":\"\\\"\u00c9\\\"\\n\",\"author\":null,"
        "\"year\":-720}";
    struct book book;
    struct buf text = {0};
    struct buf out = {0};
    int64_t id = 0;
    (void)state;

    assert_true(book_from_json(&book, slice_from_string(json), &text));
    book_json(&out, &book);

    assert_string_equal(buf_string(&out), json);
    assert_true(book_id(&book, &id));
    assert_int_equal(id, 42);
    buf_destroy(&text);
    buf_destroy(&out);
}

static void test_columns_nobody_knows_are_passed_over(void **state)
{
    struct book book;
    struct buf text = {0};
    (void)state;

    assert_true(book_from_json(
        &book, SLICE("{\"shelf\":\"B4\",\"title\":\"Dune\"}"), &text));

    assert_true(slice_equal(book.cells[BOOK_TITLE].text, SLICE("Dune")));
    assert_true(book.cells[BOOK_ID].missing);
    buf_destroy(&text);
}

static void test_keys_of_books(void **state)
{
    struct buf key = {0};
    int64_t id;
    (void)state;

    book_key(&key, -3);
    assert_string_equal(buf_string(&key), "book:-3");
    assert_true(book_id_from_key(buf_slice(&key), &id));
    assert_int_equal(id, -3);
    assert_false(book_id_from_key(SLICE("book:"), &id));
    assert_false(book_id_from_key(SLICE("book:03"), &id));
    assert_false(book_id_from_key(SLICE("books:3"), &id));
    buf_destroy(&key);
}

static void test_info_is_values_by_name(void **state)
{
    struct info info = {0};
    struct buf json = {0};
    (void)state;

    info_parse(&info, SLICE("# Server\r\nversion:0.1.0\r\nport:7379\r\n\r\n"
                            "# CPU\r\nsys:0.25\r\nid:12345678901234567890\r\n"
                            "place:sqlite:/x"));
    info_json(&info, &json);

    assert_int_equal(info.count, 5);
    assert_int_equal(info_number(&info, "port"), 7379);
    assert_int_equal(info_number(&info, "version"), 0);
    assert_int_equal(info_number(&info, "nothing"), 0);
    assert_true(slice_equal(info_text(&info, "place"), SLICE("sqlite:/x")));
    assert_string_equal(buf_string(&json),
                        "{\n  \"version\": \"0.1.0\",\n  \"port\": 7379,\n"
                        "  \"sys\": 0.25,\n"
                        "  \"id\": \"12345678901234567890\",\n"
                        "  \"place\": \"sqlite:/x\"\n}\n");
    info_destroy(&info);
    buf_destroy(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects),
        cmocka_unit_test(test_a_book_survives_json),
        cmocka_unit_test(test_columns_nobody_knows_are_passed_over),
        cmocka_unit_test(test_keys_of_books),
        cmocka_unit_test(test_info_is_values_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
