#!/bin/bash
# SPDX-License-Identifier: MIT
# Writes of records, column by column, and what plain keys do that records do
# not.  How strings behave is compared with Redis' in test_differential.sh.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli sqlite3

sql() { sqlite3 -cmd '.timeout 5000' bookd.db "$1"; }

# ---- records ----

test_hset_counts_columns_that_were_null() {
    start_bookd
    expect 0 cli HSET book:3 title New year 1860
    expect 2 cli HSET book:11 title Eleven author A
    expect '11|Eleven|A|' sql 'SELECT * FROM books WHERE id = 11'
    expect OK cli HMSET book:11 year 2000 title Twelve
    expect 'Twelve|2000' sql 'SELECT title, year FROM books WHERE id = 11'
    expect_like '*constraint*NOT NULL constraint failed: books.title*' cli HSET book:12 author A
    expect_like '*no column*' cli HSET book:3 nosuch x
}

test_hsetnx_leaves_what_there_is() {
    start_bookd
    expect 0 cli HSETNX book:3 title New
    expect 'A Tale of Two Cities' cli HGET book:3 title
    expect 1 cli HSETNX book:11 title Eleven
    expect 1 cli HSETNX book:11 author A
    expect 0 cli HSETNX book:11 author B
    expect 'Eleven|A' sql 'SELECT title, author FROM books WHERE id = 11'
}

test_hdel_makes_columns_null() {
    start_bookd
    expect 2 cli HDEL book:3 author year author nosuch
    expect 0 cli HDEL book:3 author
    expect 0 cli HDEL book:99 author
    expect '3|A Tale of Two Cities||' sql 'SELECT * FROM books WHERE id = 3'
    expect_like '*NOT NULL constraint failed: books.title*' cli HDEL book:3 title
    expect_like '*id is part of*DEL deletes the record*' cli HDEL book:3 id
    expect 1 cli EXISTS book:3
    expect 0 sql 'SELECT count(*) FROM books WHERE id = 99'
}

test_numbers_in_columns() {
    start_bookd
    expect 1869 cli HINCRBY book:3 year 10
    expect 1869 sql 'SELECT year FROM books WHERE id = 3'
    expect_like '*hash value is not an integer*' cli HINCRBY book:3 title 1
    expect_like '*hash value is not a float*' cli HINCRBYFLOAT book:3 title 1
    expect_like '*value is not an integer or out of range*' cli HINCRBY book:3 year x
    expect_like '*would overflow*' cli HINCRBY book:3 year 9223372036854775807
    expect 1870 cli HINCRBYFLOAT book:3 year 1.0
    expect_like '*NOT NULL constraint failed*' cli HINCRBY book:99 year 1
}

test_a_record_is_set_under_conditions() {
    start_bookd
    expect '(nil)' show SET book:3 '{"title":"New"}' NX
    expect '(nil)' show SET book:11 '{"title":"New"}' XX
    expect OK cli SET book:11 '{"title":"Eleven"}' NX
    expect '{"id":11,"title":"Eleven","author":null,"year":null}' \
        cli SET book:11 '{"title":"Twelve"}' GET
    expect '{"id":11,"title":"Twelve","author":null,"year":null}' cli GETDEL book:11
    expect '(nil)' show GETDEL book:11
    expect 0 sql 'SELECT count(*) FROM books WHERE id = 11'
    expect 2 cli UNLINK book:1 book:2 book:99
    expect 8 sql 'SELECT count(*) FROM books'
}

test_mset_writes_rows_and_keys_or_nothing() {
    start_bookd
    expect OK cli MSET a 1 book:11 '{"title":"Eleven"}' b 2
    expect 'Eleven' sql 'SELECT title FROM books WHERE id = 11'
    expect_like '*NOT NULL constraint failed: books.title*' \
        cli MSET a 9 book:12 '{"author":"A"}' c 3
    expect 1 cli GET a
    expect 0 cli EXISTS book:12 c
    expect 0 cli MSETNX d 1 book:11 '{"title":"New"}'
    expect 0 cli EXISTS d
    expect 1 cli MSETNX d 1 book:13 '{"title":"Thirteen"}'
}

test_what_a_record_cannot_do_is_said() {
    local command
    start_bookd
    for command in 'EXPIRE book:3 10' 'PEXPIREAT book:3 1' 'SETEX book:3 5 {}' \
        'GETEX book:3 EX 10' 'SET book:3 {} KEEPTTL'; do
        # shellcheck disable=SC2086 # words are meant
        expect_like '*ERR a record cannot expire*' cli $command
    done
    for command in 'RENAME book:3 k' 'RENAMENX k book:3' 'COPY book:3 k'; do
        # shellcheck disable=SC2086
        expect_like '*ERR a record cannot be renamed, copied or moved*' cli $command
    done
    for command in 'APPEND book:3 x' 'INCR book:3' 'SETRANGE book:3 0 x' \
        'INCRBYFLOAT book:3 1'; do
        # shellcheck disable=SC2086
        expect_like '*WRONGTYPE*' cli $command
    done
    expect 0 cli PERSIST book:3
    expect -1 cli PTTL book:3
    expect 'A Tale of Two Cities' cli HGET book:3 title
}

# ---- version tokens ----

test_a_version_shows_a_write_on_another_connection() {
    local version
    start_bookd --race never
    expect 0 cli HSET book:3 title New
    version=$(cli BOOK.VERSION book:3)
    at_least 1 "$version"
    at_least "$version" "$(cli BOOK.VERSION)"
    expect_like '*New*cache*' one_line BOOK.GET book:3 MINVERSION "$version"
    expect_like '*New*store*' one_line BOOK.GET book:3 MINVERSION "$((version + 1000000))"
    expect_like '*MINVERSION takes*' cli BOOK.GET book:3 MINVERSION -1
    expect_like '*syntax error*' cli BOOK.GET book:3 MINVERSION
    at_least 1 "$(cli BOOK.VERSION nosuch)"
}
one_line() { cli "$@" | tr '\n' ' '; }

# ---- dead letters ----

test_what_the_database_refuses_is_set_aside() {
    start_bookd --record-writes behind --behind-interval 10ms
    expect 0 cli BOOK.DEADLETTER COUNT
    expect 'A Tale of Two Cities' cli HGET book:3 title
    sql 'CREATE TRIGGER no BEFORE UPDATE ON books WHEN NEW.year = 7
         BEGIN SELECT RAISE(ABORT, '"'not seven'"'); END'
    until_true refused
    expect_like '*book:3*not seven*' one_line BOOK.DEADLETTER LIST
    expect_like '*year*7*' one_line BOOK.DEADLETTER GET 1
    expect '(nil)' show BOOK.DEADLETTER GET 99
    expect 1859 sql 'SELECT year FROM books WHERE id = 3'
    sql 'DROP TRIGGER no'
    until_true rewritten
    until_true year_is 7
    expect 0 cli BOOK.DEADLETTER DROP ALL
    expect_like '*named by its number*' cli BOOK.DEADLETTER DROP x
}
# Without a copy of the row the write goes through, and is refused at once.
refused() {
    cli HGET book:3 year >/dev/null
    cli HSET book:3 year 7 >/dev/null
    [ "$(cli BOOK.DEADLETTER COUNT)" -gt 0 ]
}
rewritten() {
    cli BOOK.DEADLETTER RETRY ALL >/dev/null
    [ "$(cli BOOK.DEADLETTER COUNT)" = 0 ]
}
year_is() { [ "$(sql 'SELECT year FROM books WHERE id = 3')" = "$1" ]; }

run_tests "$@"
