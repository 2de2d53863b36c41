#!/bin/bash
# SPDX-License-Identifier: MIT
# Other programs at work on bookd's database: what they commit is seen, and so
# is what they do to the file.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli sqlite3

# What is told within milliseconds is waited for by looking, with no bound that
# a slow machine could miss; how fast it is shows in bench_feed.

sql() {
    sqlite3 -cmd '.timeout 10000' "$dir/bookd.db" "$@"
}

title() {
    cli HGET "$1" title
}

title_is() {
    [ "$(title "$1")" = "$2" ]
}

key_is() {
    [ "$(cli GET key)" = "$1" ]
}

# fails KEY GLOB: a GET of KEY is answered by that error.
fails() {
    # shellcheck disable=SC2053 # a pattern is meant
    [[ $(cli GET "$1" 2>&1) == $2 ]]
}

with_copies() {
    start_bookd --max-age 1h --negative-max-age 1h --stale-while-revalidate 0s "$@"
    cli GET book:3 >/dev/null
    cli GET book:4 >/dev/null
    cli GET book:77 >/dev/null
    equal cache "$(source_of book:3)"
}

remove_feed() {
    sql 'DROP TRIGGER bookd_feed_books_insert; DROP TRIGGER bookd_feed_books_update;
         DROP TRIGGER bookd_feed_books_delete; DROP TABLE bookd_changes'
}

test_rows_that_others_change_are_read_again_and_no_others() {
    with_copies
    equal ok "$(info feed)"
    sql "UPDATE books SET title = 'theirs' WHERE id = 3"
    until_true title_is book:3 theirs
    equal cache "$(source_of book:4)"
    sql "DELETE FROM books WHERE id = 3"
    until_true title_is book:3 ''
    equal cache "$(source_of book:4)"
    equal 2 "$(info feed_changes)"
    equal 0 "$(info feed_resets)"
}

test_a_negative_copy_goes_when_others_insert_the_row() {
    with_copies
    equal '' "$(cli GET book:77)"
    sql "INSERT INTO books(id, title) VALUES(77, 'new')"
    until_true title_is book:77 new
}

test_our_own_writes_are_no_changes_by_others() {
    with_copies --record-writes through --plain-writes through
    cli HSET book:3 title ours >/dev/null
    cli SET key value >/dev/null
    cli HSET book:3 title again >/dev/null
    equal again "$(title book:3)"
    equal 0 "$(info feed_changes)"
    equal 0 "$(info feed_resets)"
    equal 0 "$(sql 'SELECT count(*) FROM bookd_changes')"
}

test_a_transaction_of_many_rows_is_seen() {
    local rows=20000
    with_copies
    sql "WITH RECURSIVE n(i) AS (VALUES(1000) UNION ALL SELECT i + 1 FROM n LIMIT $rows)
         INSERT INTO books(id, title) SELECT i, 'many' FROM n;
         UPDATE books SET title = 'last' WHERE id = 3"
    until_true title_is book:3 last
    until_true info_is feed_changes $((rows + 1))
}

test_what_was_told_is_taken_out_of_the_table() {
    with_copies
    sql "WITH RECURSIVE n(i) AS (VALUES(1000) UNION ALL SELECT i + 1 FROM n LIMIT 3000)
         INSERT INTO books(id, title) SELECT i, 'many' FROM n"
    until_true info_is feed_changes 3000
    few_are_left() {
        [ "$(sql 'SELECT count(*) FROM bookd_changes')" -lt 1000 ]
    }
    until_true few_are_left
}

test_without_a_feed_all_copies_are_read_again() {
    start_bookd
    remove_feed
    restart_bookd --max-age 1h
    cli GET book:3 >/dev/null
    cli GET book:4 >/dev/null
    equal cache "$(source_of book:3)"
    sql "UPDATE books SET title = 'theirs' WHERE id = 3"
    until_true title_is book:3 theirs
    equal store "$(source_of book:4)"
    equal cache "$(source_of book:4)"
    at_least 1 "$(info feed_resets)"
}

test_without_a_feed_our_own_writes_leave_the_copies_alone() {
    start_bookd
    remove_feed
    restart_bookd --max-age 1h --record-writes through
    cli GET book:4 >/dev/null
    for i in 1 2 3; do
        cli HSET book:3 title "ours $i" >/dev/null
    done
    equal cache "$(source_of book:4)"
    equal 0 "$(info feed_resets)"
}

test_subscribers_hear_of_rows_that_others_change() {
    start_bookd --notify-keyspace-events KEA
    dial
    say 'PSUBSCRIBE __key*__:*\r\nPING\r\n'
    while [ "$(hear)" != pong ]; do :; done
    sql "UPDATE books SET title = 'theirs' WHERE id = 3"
    local line heard=''
    while [[ $heard != *'__keyevent@0__:hset $6 book:3 '* ]]; do
        line=$(hear) || fail "heard only: $heard"
        heard+="$line "
    done
    like '*__keyspace@0__:book:3 $4 hset *' "$heard"
    hang_up
}

test_a_file_moved_in_is_opened() {
    with_copies --plain-writes through
    cli SET key ours >/dev/null
    sql ".backup '$dir/new.db'"
    sqlite3 "$dir/new.db" "UPDATE books SET title = 'new' WHERE id = 3"
    mv "$dir/new.db" "$dir/bookd.db"
    wait_log '*opened anew because it was replaced*'
    until_true title_is book:3 new
    until_true key_is ours # From the log of the new file, if it is there.
    equal OK "$(cli SET key there)"
    equal 0 "$(cli HSET book:4 title there)"
    sql "UPDATE books SET title = 'newer' WHERE id = 3"
    until_true title_is book:3 newer
    restart_bookd
    equal there "$(cli GET key)"
    equal there "$(title book:4)"
    equal ok "$(sql 'PRAGMA integrity_check')"
}

test_the_old_file_has_all_that_was_acknowledged() {
    with_copies --record-writes through
    equal 0 "$(cli HSET book:3 title acknowledged)"
    sql ".backup '$dir/new.db'"
    equal 0 "$(cli HSET book:4 title later)"
    ln "$dir/bookd.db" "$dir/old.db"
    mv "$dir/new.db" "$dir/bookd.db"
    wait_log '*opened anew because it was replaced*'
    until_true info_is store_file ok
    equal later "$(sqlite3 "$dir/old.db" 'SELECT title FROM books WHERE id = 4')"
    equal ok "$(sqlite3 "$dir/old.db" 'PRAGMA integrity_check')"
    equal acknowledged "$(title book:3)"
    equal 'Les Misérables' "$(title book:4)"
}

test_what_waits_to_be_written_goes_to_the_new_file() {
    with_copies --plain-writes behind --behind-interval 1h
    sql ".backup '$dir/new.db'"
    equal OK "$(cli SET key waits)"
    mv "$dir/new.db" "$dir/bookd.db"
    wait_log '*opened anew because it was replaced*'
    until_true info_is store_file ok
    equal waits "$(cli GET key)"
    restart_bookd
    equal waits "$(cli GET key)"
}

test_a_file_that_is_gone_is_waited_for() {
    with_copies --record-writes through
    equal 0 "$(cli HSET book:3 title 'in the log')"
    mv "$dir/bookd.db" "$dir/elsewhere.db"
    until_true fails book:9 'STOREDOWN*'
    until_true info_is feed failing
    like '*bookd.db*' "$(info store_file)"
    like 'STOREDOWN*' "$(cli HSET book:3 title lost 2>&1)"
    equal 'in the log' "$(title book:3)" 'the copy, while the store fails'
    mv "$dir/elsewhere.db" "$dir/bookd.db"
    until_true info_is feed ok
    equal store "$(source_of book:3)"
    equal 'in the log' "$(title book:3)"
    equal 0 "$(cli HSET book:3 title found)"
}

test_a_backup_copied_over_the_file_is_noticed() {
    with_copies --record-writes through
    sql ".backup '$dir/save.db'"
    cli HSET book:3 title 'after the backup' >/dev/null
    cat "$dir/save.db" >"$dir/bookd.db"
    wait_log '*opened anew because it was written over*'
    until_true title_is book:3 'A Tale of Two Cities'
    equal 0 "$(cli HSET book:3 title 'on we go')"
    equal 'on we go' "$(title book:3)"
    stop_bookd
    equal ok "$(sql 'PRAGMA integrity_check')"
}

test_a_backup_restored_by_sqlite_is_seen() {
    with_copies --record-writes through
    sql ".backup '$dir/save.db'"
    cli HSET book:3 title 'after the backup' >/dev/null
    equal cache "$(source_of book:4)"
    sql ".restore '$dir/save.db'"
    until_true title_is book:3 'A Tale of Two Cities'
    equal store "$(source_of book:4)"
    equal 0 "$(cli HSET book:3 title 'on we go')"
    equal 'on we go' "$(title book:3)"
    equal ok "$(sql 'PRAGMA integrity_check')"
}

test_a_log_that_is_removed_loses_nothing() {
    with_copies --record-writes through
    cli HSET book:3 title acknowledged >/dev/null
    rm "$dir/bookd.db-wal"
    wait_log '*opened anew because its log was removed*'
    until_true info_is store_file ok
    equal acknowledged "$(title book:3)"
    equal acknowledged "$(sql 'SELECT title FROM books WHERE id = 3')"
    sql "UPDATE books SET title = 'theirs' WHERE id = 3"
    until_true title_is book:3 theirs
    stop_bookd
    equal ok "$(sql 'PRAGMA integrity_check')"
}

test_a_table_that_fits_no_more_fails_alone_until_it_fits() {
    with_copies --plain-writes through
    cli SET key value >/dev/null
    sql 'ALTER TABLE books RENAME COLUMN title TO name'
    wait_log '*a mapping fits no more table=books*'
    until_true fails book:3 '*no longer fits its mapping*'
    like '*title*' "$(info store_misfit_books)"
    like '*no longer fits its mapping*' "$(cli HSET book:3 title x 2>&1)"
    equal value "$(cli GET key)"
    equal OK "$(cli SET key other)"
    sql 'ALTER TABLE books RENAME COLUMN name TO title'
    wait_log '*a mapping fits again table=books*'
    until_true title_is book:3 'A Tale of Two Cities'
    equal '' "$(info store_misfit_books)"
    sql 'DROP TABLE books'
    wait_log '*a mapping fits no more table=books*'
    until_true fails book:3 '*no longer fits its mapping*'
    equal other "$(cli GET key)"
}

test_a_change_of_the_schema_makes_all_copies_old() {
    with_copies
    sql 'CREATE INDEX by_year ON books(year)'
    resets() {
        [ "$(info feed_resets)" -ge 1 ]
    }
    until_true resets
    equal store "$(source_of book:3)"
}

test_an_end_while_the_file_is_gone_is_in_order() {
    with_copies
    mv "$dir/bookd.db" "$dir/elsewhere.db"
    until_true info_is feed failing
    stop_bookd
}

test_the_lag_is_shown_in_milliseconds() {
    with_copies
    sql "UPDATE books SET title = 'theirs' WHERE id = 3"
    until_true title_is book:3 theirs
    until_true info_is feed_changes 1
    like '+([0-9]).[0-9][0-9][0-9]' "$(info feed_lag_ms)"
    like '+([0-9]).[0-9][0-9][0-9]' "$(info feed_lag_ms_p99)"
    like '+([0-9]).[0-9][0-9][0-9]' "$(info feed_lag_ms_max)"
}

run_tests "$@"
