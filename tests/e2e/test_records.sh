#!/bin/bash
# SPDX-License-Identifier: MIT
# Records: rows of the table books, read and written over the Redis protocol.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli

# ---- reading ----

test_the_ten_books_are_json_objects_in_column_order() {
    local id title author year key
    start_bookd
    while IFS='"' read -r id title _ author year; do
        id=${id//[!0-9]/}
        year=${year//[!0-9]/}
        expect "{\"id\":$id,\"title\":\"$title\",\"author\":\"$author\",\"year\":$year}" \
            cli GET "book:$id"
        key=$id
    done < <(grep '^BOOK(' "$BOOKD_SRC/server/store/seed.def")
    equal 10 "$key"
}

test_a_missing_row_is_nil() {
    start_bookd
    expect '(nil)' show GET book:11
    expect '(nil)' show3 GET book:11
    expect '(integer) 0' show EXISTS book:11
    expect none cli TYPE book:11
}

test_an_id_that_is_no_integer_is_nil_and_not_asked_of_the_store() {
    local id
    start_bookd
    for id in 03 +3 3.0 3x ' 3' x '' 99999999999999999999 -0 --3; do
        expect '(nil)' show GET "book:$id"
        expect '(integer) 0' show EXISTS "book:$id"
    done
    expect 0 info store_reads
}

test_every_integer_is_an_id() {
    local id
    start_bookd
    for id in -1 0 9223372036854775807 -9223372036854775808; do
        expect OK cli SET "book:$id" '{"title":"t"}'
        like "{\"id\":$id,*" "$(cold_get "book:$id")"
    done
}

test_a_record_is_a_hash() {
    start_bookd
    expect hash cli TYPE book:4
    expect 'Les Misérables' cli HGET book:4 title
    expect $'1862\nVictor Hugo' cli HMGET book:4 year author
}

test_column_names_are_case_sensitive() {
    start_bookd
    expect '(nil)' show HGET book:4 Title
}

test_records_do_not_expire() {
    start_bookd
    expect '(integer) -1' show TTL book:4
    expect_like 'ERR a record cannot expire*' \
        cli SET book:4 '{"title":"t"}' EX 10
}

test_mget_mixes_records_plain_keys_and_nothing() {
    start_bookd
    expect OK cli SET plain 1
    expect $'1) "1"\n2) (nil)\n3) "{\\"id\\":2,\\"title\\":\\"The Hobbit\\",\\"author\\":\\"J.R.R. Tolkien\\",\\"year\\":1937}"' \
        show MGET plain book:11 book:2
}

# ---- what there is, is what the store has ----

test_dbsize_counts_rows_and_plain_keys_cached_or_not() {
    start_bookd
    expect '(integer) 10' show DBSIZE
    expect OK cli SET a 1
    expect '(integer) 11' show DBSIZE
    expect 1 cli DEL book:1
    expect '(integer) 10' show DBSIZE
}

test_exists_finds_rows_that_are_not_cached() {
    start_bookd
    expect 0 info cache_entries
    expect '(integer) 2' show EXISTS book:1 book:10 book:11
}

test_scan_finds_rows_that_are_not_cached() {
    start_bookd
    expect OK cli SET plain 1
    expect $'book:1\nbook:10\nbook:2\nbook:3\nbook:4\nbook:5\nbook:6\nbook:7\nbook:8\nbook:9\nplain' \
        sorted_scan
}

sorted_scan() {
    cli --scan "$@" | LC_ALL=C sort
}

test_scan_in_small_steps_finds_each_key_once() {
    local i
    start_bookd
    for ((i = 0; i < 100; i++)); do
        echo "SET plain:$i x"
    done | cli >/dev/null
    equal 110 "$(scan_all COUNT 3 | wc -l)" "all"
    equal 110 "$(scan_all COUNT 3 | sort -u | wc -l)" "different ones"
    equal 100 "$(scan_all COUNT 7 MATCH 'plain:*' | wc -l)" "plain"
    equal 10 "$(scan_all COUNT 7 MATCH 'book:*' | wc -l)" "records"
}

test_scan_by_type() {
    start_bookd
    expect OK cli SET plain 1
    expect $'0\nplain' cli SCAN 0 COUNT 100 TYPE string
    equal 11 "$(cli SCAN 0 COUNT 100 TYPE hash | wc -l)"
}

test_keys_match_globs() {
    start_bookd
    expect OK cli SET plain 1
    expect $'book:1\nbook:10' cli KEYS 'book:1*'
    expect plain cli KEYS 'pl[a-b]?n'
    expect '' cli KEYS 'Plain'
    equal 11 "$(cli KEYS '*' | wc -l)"
}

test_a_row_that_was_deleted_is_gone_everywhere() {
    start_bookd
    expect 1 cli DEL book:5
    expect '(nil)' show GET book:5
    expect 0 cli EXISTS book:5
    expect '' cli KEYS book:5
    expect 9 cli DBSIZE
}

# ---- writing ----

test_set_makes_a_row() {
    start_bookd
    expect OK cli SET book:11 '{"title":"Dune","author":"Frank Herbert","year":1965}'
    expect '{"id":11,"title":"Dune","author":"Frank Herbert","year":1965}' \
        cli GET book:11
    stop_bookd
    start_bookd
    expect '{"id":11,"title":"Dune","author":"Frank Herbert","year":1965}' \
        cli GET book:11
}

test_set_replaces_the_whole_row() {
    start_bookd
    expect OK cli SET book:2 '{"title":"T"}'
    expect '{"id":2,"title":"T","author":null,"year":null}' cli GET book:2
    expect '{"id":2,"title":"T","author":null,"year":null}' cold_get book:2
}

# Past the cache.
cold_get() {
    cli BOOK.EVICT "$1" >/dev/null
    cli GET "$1"
}

test_set_takes_the_id_of_the_key_again() {
    start_bookd
    expect OK cli SET book:11 '{"id":11,"title":"T"}'
    expect_like 'ERR *"id" in the object is not the one in the key*' \
        cli SET book:11 '{"id":12,"title":"T"}'
}

test_set_refuses_what_is_no_row() {
    start_bookd
    local value
    for value in text '' 3 null '[1]' '"text"' '{"title":' '{"title":"a"}x'; do
        expect_like 'ERR *JSON*' cli SET book:11 "$value"
    done
    expect_like 'ERR *no column "pages"; its columns are id, title, author, year*' \
        cli SET book:11 '{"title":"T","pages":3}'
    expect_like 'ERR *"title" is an object*' cli SET book:11 '{"title":{}}'
    expect_like 'ERR *"title" is there twice*' \
        cli SET book:11 '{"title":"a","title":"b"}'
    expect '(nil)' show GET book:11
}

test_constraints_of_the_table_are_errors_and_change_nothing() {
    start_bookd
    expect_like 'ERR constraint*' cli SET book:2 '{"author":"nobody"}'
    expect_like 'ERR constraint*' cli HSET book:12 author nobody
    expect_like 'ERR *' cli SET book:2 '{"title":"T","year":"soon"}'
    expect_like 'ERR *' cli HSET book:2 year soon
    expect '{"id":2,"title":"The Hobbit","author":"J.R.R. Tolkien","year":1937}' \
        cli GET book:2
    expect '{"id":2,"title":"The Hobbit","author":"J.R.R. Tolkien","year":1937}' \
        cold_get book:2
    expect '(nil)' show GET book:12
}

test_an_error_of_one_write_spares_its_neighbours() {
    start_bookd
    expect_like '+OK|-ERR *|+OK|' ask \
        "SET book:21 '{\"title\":\"a\"}'\r\nSET book:22 '{}'\r\nSET book:23 '{\"title\":\"c\"}'"
    expect 2 cli EXISTS book:21 book:22 book:23
}

test_writes_to_what_is_no_id_are_refused() {
    start_bookd
    expect_like 'ERR *key of a record*' cli SET book:x '{"title":"T"}'
    expect_like 'ERR *key of a record*' cli HSET book:03 title T
}

test_hset_changes_columns_and_keeps_the_others() {
    start_bookd
    expect '(integer) 0' show HSET book:2 title 'Der Hobbit' year 1957
    expect '{"id":2,"title":"Der Hobbit","author":"J.R.R. Tolkien","year":1957}' \
        cli GET book:2
    expect '{"id":2,"title":"Der Hobbit","author":"J.R.R. Tolkien","year":1957}' \
        cold_get book:2
}

test_hset_makes_a_row_and_counts_new_columns() {
    start_bookd
    expect '(integer) 1' show HSET book:11 title T
    expect '(integer) 1' show HSET book:11 title U year 5
    expect '{"id":11,"title":"U","author":null,"year":5}' cli GET book:11
}

test_hset_of_the_same_column_twice_takes_the_last() {
    start_bookd
    expect '(integer) 1' show HSET book:11 title A title B
    expect B cli HGET book:11 title
}

test_hset_refuses_unknown_columns_and_other_keys() {
    start_bookd
    expect_like 'ERR *no column "pages"*' cli HSET book:2 pages 3
    expect_like 'ERR *"id" is the key*' cli HSET book:2 id 3
    expect '(integer) 0' show HSET book:2 id 2
}

test_a_null_column_is_a_field_that_is_not_there() {
    start_bookd
    expect OK cli SET book:11 '{"title":"T","year":null}'
    expect '(nil)' show HGET book:11 year
    expect 0 cli HEXISTS book:11 year
    expect 2 cli HLEN book:11
    expect $'id\ntitle' cli HKEYS book:11
    expect $'11\nT' cli HVALS book:11
    expect '{"id":11,"title":"T","author":null,"year":null}' cli GET book:11
}

test_an_empty_column_is_there() {
    start_bookd
    expect OK cli SET book:11 '{"title":""}'
    expect '""' show HGET book:11 title
    expect 1 cli HEXISTS book:11 title
}

test_del_counts_the_rows_there_were() {
    start_bookd
    expect OK cli SET plain 1
    expect 3 cli DEL book:1 book:2 book:99 plain nothing
    expect 0 cli DEL book:1
    expect '(nil)' show HGET book:1 title
}

test_a_negative_copy_gives_way_to_a_new_row() {
    start_bookd
    expect '(nil)' show GET book:11
    expect OK cli SET book:11 '{"title":"T"}'
    expect '{"id":11,"title":"T","author":null,"year":null}' cli GET book:11
}

test_a_write_is_in_the_cache_afterwards() {
    start_bookd
    expect OK cli SET book:11 '{"title":"T"}'
    expect cache source_of book:11
    expect 1 cli DEL book:11
    expect cache source_of book:11
    expect 0 info store_reads
}

test_text_comes_back_as_it_was() {
    local title
    start_bookd
    for title in 'Les Misérables' '日本語 🙂' "it's" 'a\\\\b' 'say \"hi\"' \
        'tab\tnew\nline' '\u00e9' 'NULL' "'; DROP TABLE books; --" '%s%n'; do
        expect OK cli SET book:11 "{\"title\":\"$title\"}"
        equal "$(printf '%b' "$title" | sed 's/\\"/"/g')" \
            "$(cold_get_title)" "$title"
    done
    expect 11 cli DBSIZE
}

cold_get_title() {
    cli BOOK.EVICT book:11 >/dev/null
    cli HGET book:11 title
}

test_json_is_escaped() {
    start_bookd
    expect 1 cli HSET book:11 title $'quote " backslash \\ newline \n tab \t bell \a'
    expect '{"id":11,"title":"quote \" backslash \\ newline \n tab \t bell \u0007","author":null,"year":null}' \
        cold_get book:11
}

test_bytes_that_are_no_utf8_come_back_from_hget() {
    start_bookd
    expect '(integer) 1' show HSET book:11 title $'a\xffb'
    cli BOOK.EVICT book:11 >/dev/null
    equal '61ff62' "$(cli HGET book:11 title | head -c 3 | od -An -tx1 | tr -d ' ')"
}

test_rows_that_sqlite_wrote_are_served() {
    needs sqlite3
    start_bookd
    stop_bookd
    sqlite3 bookd.db "INSERT INTO books VALUES (77, 'By hand', NULL, 2001)"
    start_bookd
    expect '{"id":77,"title":"By hand","author":null,"year":2001}' cli GET book:77
}

test_what_is_written_is_a_row_for_sqlite() {
    needs sqlite3
    start_bookd
    expect OK cli SET book:11 '{"title":"Dune","year":1965}'
    expect 0 cli HSET book:2 year 1938
    expect '11|Dune||1965' sqlite3 bookd.db 'SELECT * FROM books WHERE id = 11'
    expect '1938|integer' sqlite3 bookd.db \
        'SELECT year, typeof(year) FROM books WHERE id = 2'
}

run_tests "$@"
