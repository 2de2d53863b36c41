#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016 # the $ is that of the protocol
# MULTI, EXEC and WATCH: one SQL transaction, all of it or nothing.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli sqlite3

each_way() {
    local way
    for way in through behind none; do
        start_bookd --plain-writes "$way"
        "$1"
        stop_bookd
        rm -f bookd.db*
    done
}

# sql STATEMENT: in bookd's file, from outside.
sql() { sqlite3 -cmd '.timeout 5000' bookd.db "$1"; }

# hears LINE...: what the dialled connection answers next.
hears() {
    local expected
    for expected; do
        equal "$expected" "$(hear)" "an answer"
    done
}

test_rows_and_keys_change_together() {
    start_bookd --plain-writes through
    rows_and_keys
    stop_bookd
    rm -f bookd.db*
    start_bookd --plain-writes behind
    rows_and_keys
}

test_memory_alone_and_records_do_not_mix() {
    start_bookd --plain-writes none
    expect_like '*|-ERR a transaction with both records and plain keys needs plain-writes through or behind*' \
        wire 'MULTI\r\nHSET book:3 title New\r\nSET k 5\r\nEXEC\r\nQUIT\r\n'
    expect 'A Tale of Two Cities' cli HGET book:3 title
    expect '(nil)' show GET k
}
rows_and_keys() {
    expect '+OK|+QUEUED|+QUEUED|+QUEUED|*3|:0|+OK|$1|5|+OK|' wire \
        'MULTI\r\nHSET book:3 title New\r\nSET k 5\r\nGET k\r\nEXEC\r\nQUIT\r\n'
    expect New cli HGET book:3 title
    expect New sql 'SELECT title FROM books WHERE id = 3'
    expect 5 cli GET k
}

test_a_constraint_takes_all_back() {
    start_bookd --plain-writes through
    constraint
    stop_bookd
    rm -f bookd.db*
    start_bookd --plain-writes behind
    constraint
}
constraint() {
    expect_like '*EXECABORT Transaction rolled back, nothing was changed: NOT NULL constraint failed: books.title*' \
        wire 'MULTI\r\nSET k 5\r\nHSET book:3 title New\r\nHSET book:99 author A\r\nEXEC\r\nQUIT\r\n'
    expect 'A Tale of Two Cities' cli HGET book:3 title
    expect '(nil)' show GET k
    expect 10 sql 'SELECT count(*) FROM books'
}

test_a_wrong_type_fails_alone() {
    each_way wrong_type
}
wrong_type() {
    expect '+OK|+QUEUED|+QUEUED|+QUEUED|*3|+OK|-ERR value is not an integer or out of range|:6|+OK|' \
        wire 'MULTI\r\nSET k value\r\nINCR k\r\nAPPEND k x\r\nEXEC\r\nQUIT\r\n'
    expect valuex cli GET k
}

test_all_of_it_outlives_kill() {
    start_bookd --plain-writes through
    expect '+OK|+QUEUED|+QUEUED|*2|+OK|:0|+OK|' wire \
        'MULTI\r\nSET k v\r\nHSET book:3 title New\r\nEXEC\r\nQUIT\r\n'
    kill_bookd
    start_bookd --plain-writes through
    expect v cli GET k
    expect New cli HGET book:3 title
}

test_a_watched_key_that_changes_stops_exec() {
    each_way watched
}
watched() {
    dial
    say 'WATCH k book:3\r\nMULTI\r\nSET k mine\r\n'
    hears +OK +OK +QUEUED
    expect OK cli SET k other
    say 'EXEC\r\nWATCH book:3\r\nMULTI\r\nSET k mine\r\n'
    hears '*-1' +OK +OK +QUEUED
    expect 0 cli HSET book:3 title New
    say 'EXEC\r\nWATCH k\r\nMULTI\r\nSET k mine\r\nEXEC\r\n'
    hears '*-1' +OK +OK +QUEUED '*1' +OK
    hang_up
    expect mine cli GET k
}

test_a_change_in_sql_stops_exec() {
    start_bookd
    expect 'A Tale of Two Cities' cli HGET book:3 title
    dial
    say 'WATCH book:3\r\n'
    hears +OK
    sql "UPDATE books SET title = 'Outside' WHERE id = 3"
    until_true title_is Outside
    say 'MULTI\r\nHSET book:3 title Mine\r\nEXEC\r\n'
    hears +OK +QUEUED '*-1'
    hang_up
    expect Outside cli HGET book:3 title
}
title_is() { [ "$(cli HGET book:3 title)" = "$1" ]; }

test_a_watched_key_that_expires_stops_exec() {
    start_bookd --plain-writes none
    expect OK cli SET k v PX 30
    dial
    say 'WATCH k\r\n'
    hears +OK
    until_true is_gone k
    say 'MULTI\r\nSET k mine\r\nEXEC\r\n'
    hears +OK +QUEUED '*-1'
    hang_up
}
is_gone() { [ "$(cli EXISTS "$1")" = 0 ]; }

test_walks_cannot_be_part_of_it() {
    start_bookd
    expect_like '*-ERR Command not allowed inside a transaction|-EXECABORT *' \
        wire 'MULTI\r\nDBSIZE\r\nEXEC\r\nQUIT\r\n'
}

test_other_commands_run_in_their_place() {
    start_bookd
    expect '+OK|+QUEUED|+QUEUED|+QUEUED|+QUEUED|*4|+OK|+OK|$2|me|:1|+OK|' wire \
        'MULTI\r\nSET k 1\r\nCLIENT SETNAME me\r\nCLIENT GETNAME\r\nEXISTS k\r\nEXEC\r\nQUIT\r\n'
}

test_a_queue_longer_than_a_lower_limit_grows_no_more() {
    local value
    value=$(printf '%600000s' x)
    start_bookd --client-query-buffer-limit 4mb
    dial
    say 'MULTI\r\n'
    expect +OK hear
    for _ in 1 2 3; do
        say "*3\\r\\n\$3\\r\\nSET\\r\\n\$1\\r\\na\\r\\n\$600000\\r\\n$value\\r\\n"
        expect +QUEUED hear
    done
    expect OK cli CONFIG SET client-query-buffer-limit 1mb
    say 'SET a 1\r\n'
    expect_like '-*a transaction is at most client-query-buffer-limit' hear
    say 'EXEC\r\n'
    expect_like '-EXECABORT *' hear
    hang_up
}

test_a_queue_shows_in_client_list() {
    start_bookd
    dial
    say 'CLIENT SETNAME me\r\nMULTI\r\nSET k v\r\n'
    hears +OK +OK +QUEUED
    expect_like '*name=me*flags=x*multi=1*' cli CLIENT LIST
    hang_up
}

test_readers_see_all_or_nothing() {
    local i sums
    start_bookd --plain-writes through
    expect OK cli MSET a 100 b 0
    for ((i = 0; i < 300; i++)); do
        printf 'MULTI\nDECR a\nINCR b\nEXEC\n'
    done | cli >/dev/null &
    sums=$(for ((i = 0; i < 300; i++)); do
        printf 'MULTI\nGET a\nGET b\nEXEC\n'
    done | cli | grep -v 'OK\|QUEUED' | paste -d' ' - - | awk 'NF == 2 { print $1 + $2 }' | sort -u)
    wait $!
    equal 100 "$sums" "sums that readers saw"
    expect -200 cli GET a
}

run_tests "$@"
