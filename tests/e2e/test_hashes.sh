#!/bin/bash
# SPDX-License-Identifier: MIT
# Hashes on plain keys: where they live, what others are told of them, and files
# of before there were any.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli sqlite3

# each_way FUNCTION: once for each way to write, with a bookd of its own.
each_way() {
    local way
    for way in through behind none; do
        start_bookd --plain-writes "$way"
        "$1"
        stop_bookd
        rm -f bookd.db*
    done
}

test_a_hash_comes_back() {
    each_way hash_comes_back
}
hash_comes_back() {
    expect 2 cli HSET h a 1 b 2
    expect hash cli TYPE h
    expect $'a\n1\nb\n2' cli HGETALL h
    cli BOOK.EVICT h >/dev/null
    expect $'a\n1\nb\n2' cli HGETALL h
    expect OK cli RENAME h i
    expect 1 cli COPY i j
    expect 1 cli EXPIRE i 100
    expect 2 cli HINCRBY i a 1
    expect $'2\n1' cli <<<$'HGET i a\nHGET j a'
    at_least 90 "$(cli TTL i)"
    expect 2 cli HDEL i a b
    expect 'none' cli TYPE i
}

test_scan_tells_hashes_from_strings() {
    each_way scan_types
}
scan_types() {
    expect 1 cli HSET my:hash f v
    expect OK cli SET my:string v
    expect $'0\nmy:hash' cli SCAN 0 MATCH 'my:*' COUNT 1000 TYPE hash
    expect $'0\nmy:string' cli SCAN 0 MATCH 'my:*' COUNT 1000 TYPE string
    expect 0 cli SCAN 0 MATCH 'my:*' COUNT 1000 TYPE list
}

test_what_was_acknowledged_is_there_after_a_kill() {
    start_bookd --plain-writes through
    expect 1 cli HSET h f 1
    expect 2 cli HINCRBY h f 1
    expect OK cli SET s v
    expect OK cli SET was:string v
    expect 1 cli DEL was:string
    expect 1 cli HSET was:string f v
    kill_bookd
    start_bookd
    expect 2 cli HGET h f
    expect hash cli TYPE was:string
    expect string cli TYPE s
}

test_sql_sees_the_type() {
    start_bookd --plain-writes through
    expect 1 cli HSET h f v
    expect OK cli SET s v
    stop_bookd
    equal 'h|hash s|' "$(sqlite3 bookd.db \
        'SELECT CAST(key AS TEXT), type FROM bookd_plain ORDER BY 1' | paste -sd' ')"
}

test_a_file_of_version_2_is_brought_up_to_date() {
    start_bookd --plain-writes through
    expect OK cli SET s v
    stop_bookd
    # Keys that begin with a NUL, of which one becomes what another is.
    sqlite3 bookd.db "ALTER TABLE bookd_plain DROP COLUMN type;
        INSERT INTO bookd_plain(key, value) VALUES
            (x'00', x'31'), (x'000000', x'32'), (x'00036B', x'33');
        UPDATE bookd_meta SET value = '2' WHERE name = 'schema_version'"
    start_bookd --plain-writes through
    expect v cli GET s
    expect $'1\n2\n3' cli <<<'MGET "\x00" "\x00\x00\x00" "\x00\x03k"'
    expect 0 cli -n 3 DBSIZE
    expect 1 cli HSET h f v
    stop_bookd
    equal 3 "$(sqlite3 bookd.db \
        "SELECT value FROM bookd_meta WHERE name = 'schema_version'")"
}

# What subscribers are told of these commands, "event key" each.
told_of() {
    local line heard=''
    dial
    say 'PSUBSCRIBE __keyevent@0__:*\r\nPING\r\n'
    while [ "$(hear)" != pong ]; do :; done
    cli <<<"$1"$'\nSET the:end x' >/dev/null
    while [[ $heard != *'set the:end '* ]]; do
        line=$(hear) || fail "heard only: $heard"
        case $line in
        '__keyevent@0__:*') ;; # The pattern.
        __keyevent@0__:*)
            heard+="${line#*:} "
            hear >/dev/null
            heard+="$(hear) "
            ;;
        esac
    done
    hang_up
    printf '%s' "$heard"
}

test_what_others_write_as_a_hash_does_no_harm() {
    start_bookd --plain-writes through
    sqlite3 bookd.db "INSERT INTO bookd_plain(key, value, type) VALUES
         (CAST('short' AS BLOB), x'0200000001610162', 'hash'),
         (CAST('twice' AS BLOB), x'020000000161016201610163', 'hash')"
    expect_like '*damaged*' cli HGETALL short
    expect_like '*damaged*' cli HSET short f v
    expect $'OK\nQUEUED\nQUEUED\n1\n1' cli <<<$'MULTI\nDEL short\nHSET short f v\nEXEC'
    expect $'f\nv' cli HGETALL short
    expect 0 cli HSET twice a 1
    expect $'a\n1' cli HGETALL twice
}

test_subscribers_are_told_as_by_redis() {
    start_bookd --notify-keyspace-events KEA
    equal 'hset h hset h hincrby h hincrbyfloat h hdel h hdel h del h set the:end ' \
        "$(told_of $'HSET h f 1\nHSETNX h g 1\nHSETNX h g 2\nHINCRBY h f 1
HINCRBYFLOAT h f 1\nHDEL h g nothing\nHDEL h nothing\nHDEL h f')"
}

test_a_watched_hash_is_seen_to_change() {
    start_bookd
    dial
    say 'HSET h f 1\r\nWATCH h\r\nMULTI\r\nHGET h f\r\nPING\r\n'
    while [ "$(hear)" != +QUEUED ]; do :; done
    cli HSET h f 2 >/dev/null
    say 'EXEC\r\n'
    hear >/dev/null
    expect '*-1' hear
    hang_up
}

test_book_get_shows_an_object() {
    start_bookd
    expect 2 cli HSET h a 1 b '"'
    like '*{"a":"1","b":"\\""}*' "$(cli BOOK.GET h)"
    like '*{"b":"\\"","c":null}*' "$(cli BOOK.GET h FIELDS b c)"
    like $'*type\nhash*' "$(cli BOOK.WHY h)"
}

test_a_hash_that_the_database_refuses_is_set_aside() {
    start_bookd --plain-writes behind --behind-interval 10ms
    sqlite3 bookd.db "CREATE TRIGGER no BEFORE INSERT ON bookd_plain
        WHEN NEW.type = 'hash' BEGIN SELECT RAISE(ABORT, 'no hashes'); END"
    expect 2 cli HSET h a 1 b 2
    until_true letters_are 1
    like $'*no hashes*fields\na\n1\nb\n2\n*' "$(cli BOOK.DEADLETTER GET 1)"
    sqlite3 bookd.db 'DROP TRIGGER no'
    until_true rewritten
    expect $'a\n1\nb\n2' cli HGETALL h
}
letters_are() { [ "$(cli BOOK.DEADLETTER COUNT)" = "$1" ]; }
rewritten() {
    cli BOOK.DEADLETTER RETRY ALL >/dev/null
    letters_are 0
}

run_tests "$@"
