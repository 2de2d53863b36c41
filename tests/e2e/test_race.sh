#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016 # the $ is that of the protocol
# The lookup: who answers, cache or store, by policy and age, and when the store
# is slow, busy or down.  Seen by BOOK.GET and by the counters of INFO.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli

set_config() {
    expect OK cli CONFIG SET "$@"
}

# ---- a copy that is fresh ----

test_the_first_answer_is_the_stores_the_second_the_caches() {
    start_bookd
    expect store source_of book:1
    expect cache source_of book:1
    expect '2 1 1 1 0' infos lookups lookup_store_answers \
        lookup_cache_answers store_reads lookup_races
}

test_a_cold_get_takes_the_stores_delay_and_a_warm_one_does_not() {
    start_bookd --store-delay 100ms
    cli BOOK.GET book:1 >cold
    cli BOOK.GET book:1 >warm
    at_least 100000 "$(tail -n 1 cold)" "microseconds"
    at_least "$(tail -n 1 warm)" 99999 "microseconds"
}

test_age_is_that_of_the_copy() {
    start_bookd
    expect 0 age_of book:1
    until_true older_than 5 book:1
}
age_of() {
    cli BOOK.GET "$1" | sed -n 6p
}
older_than() {
    [ "$(age_of "$2")" -ge "$1" ]
}

test_race_never_asks_one_of_both() {
    start_bookd --race never
    expect store source_of book:1
    expect cache source_of book:1
    expect '0 1' infos lookup_races store_reads
}

test_race_always_asks_the_store_each_time_and_the_cache_answers() {
    start_bookd --race always --store-delay 20ms
    expect store source_of book:1
    expect cache source_of book:1
    until_true info_is fills 2
    expect cache source_of book:1
    until_true info_is fills 3
    expect '3 2 2 0' infos store_reads lookup_races outcome_race_cache \
        outcome_race_store
}

test_race_always_brings_the_rows_of_other_writers_into_the_cache() {
    needs sqlite3
    start_bookd --race always
    expect 'The Hobbit' cli HGET book:2 title
    sqlite3 bookd.db "UPDATE books SET title = 'Changed' WHERE id = 2"
    until_true title_is book:2 Changed
}
title_is() {
    [ "$(cli HGET "$1" title)" = "$2" ]
}

test_race_never_and_stale_do_not_ask_while_the_copy_is_fresh() {
    start_bookd
    expect store source_of book:2
    expect cache source_of book:2
    set_config race never
    expect cache source_of book:2
    expect 1 info store_reads
    expect 1 cli BOOK.EVICT book:2
    expect store source_of book:2
}

# ---- a copy that is stale: max-age 0s makes every copy so ----

test_race_stale_answers_from_a_stale_copy_and_refreshes_it() {
    start_bookd --max-age 0s
    expect store source_of book:2
    expect cache source_of book:2
    until_true info_is fills 2
    expect '1 1' infos refreshes outcome_stale_hit
}

test_race_never_asks_the_store_about_a_stale_copy() {
    start_bookd --max-age 0s --race never
    expect store source_of book:1
    expect store source_of book:1
    expect '2 0' infos store_reads lookup_races
}

test_beyond_stale_while_revalidate_the_store_answers() {
    start_bookd --max-age 0s --stale-while-revalidate 0s
    expect store source_of book:1
    expect store source_of book:1
    expect '2 0' infos store_reads outcome_stale_hit
}

test_policies_change_at_run_time() {
    start_bookd
    expect store source_of book:1
    expect cache source_of book:1
    set_config max-age 0s stale-while-revalidate 0s
    expect store source_of book:1
    set_config max-age 60s
    expect cache source_of book:1
}

# ---- "not found" ----

test_a_missing_row_is_remembered() {
    start_bookd
    expect store source_of book:99
    expect cache source_of book:99
    expect '1 1 1' infos store_reads outcome_negative_hit \
        cache_negative_entries
}

test_a_missing_plain_key_is_remembered() {
    start_bookd
    expect store source_of nothing
    expect cache source_of nothing
    expect cache source_of nothing
    expect 1 info store_reads
}

test_negative_max_age_ends_that() {
    start_bookd --negative-max-age 0s
    expect store source_of book:99
    expect store source_of book:99
}

test_race_always_asks_again_about_what_is_missing() {
    needs sqlite3
    start_bookd --race always
    expect '(nil)' show GET book:99
    sqlite3 bookd.db "INSERT INTO books(id, title) VALUES(99, 'New')"
    until_true title_is book:99 New
}

# ---- one flight a key ----

test_lookups_of_one_key_share_one_read() {
    start_bookd --store-delay 200ms
    local i text=
    for ((i = 0; i < 50; i++)); do
        text+='STRLEN book:1\r\n'
    done
    wire "${text}QUIT\r\n" >replies
    expect '1 49 50' infos store_reads flights_joined lookup_store_answers
    equal "$(printf '%s' "$(cli GET book:1)" | wc -c)" \
        "$(tr -d ':' <replies | cut -d '|' -f 50)" "the last reply"
}

# On a busy machine a flight may end before what is meant to happen during it;
# so these try until it did.  What must hold is looked at each time.

test_a_flight_goes_on_when_its_client_leaves() {
    start_bookd --store-delay 100ms
    local attempt=0
    until_true a_client_left
}
a_client_left() {
    local key=book:$((++attempt))
    dial
    # A reply that is not read makes the end of the connection a sudden one.
    say "PING\r\nGET $key\r\n"
    until_true info_is store_reads "$attempt"
    hang_up
    until_true info_is fills "$attempt"
    expect cache source_of "$key"
    [ "$(info outcome_abandoned)" -gt 0 ]
}

test_mget_asks_for_all_keys_at_once() {
    start_bookd --store-delay 50ms
    dial
    say 'MGET book:1 book:2 book:3 book:4\r\n'
    until_true info_is store_reads 4
    hear >/dev/null
    hang_up
}
test_a_write_is_seen_by_the_lookups_after_it() {
    start_bookd --store-delay 200ms
    local attempt=0
    until_true a_write_came_between
    expect 0 cli HSET book:2 title 'The last'
    expect 'The last' cold_title
}
a_write_came_between() {
    local title="Title $((++attempt))" reads
    cli BOOK.EVICT book:2 >/dev/null
    reads=$(info store_reads)
    dial
    say 'HGET book:2 title\r\n'
    until_true info_is store_reads $((reads + 1))
    # While that flight is under way:
    expect 0 cli HSET book:2 title "$title"
    expect "$title" cli HGET book:2 title
    hear >/dev/null
    hear >/dev/null
    hang_up
    expect "$title" cli HGET book:2 title
    [ "$(info fills_fenced)" -gt 0 ]
}
cold_title() {
    cli BOOK.EVICT book:2 >/dev/null
    cli HGET book:2 title
}

test_a_deleted_row_does_not_come_back_from_a_flight() {
    start_bookd --store-delay 200ms
    until_true a_delete_came_between
}
a_delete_came_between() {
    local reads
    expect OK cli SET book:2 '{"title":"T"}'
    cli BOOK.EVICT book:2 >/dev/null
    reads=$(info store_reads)
    dial
    say 'HGET book:2 title\r\n'
    until_true info_is store_reads $((reads + 1))
    expect 1 cli DEL book:2
    expect '(nil)' show GET book:2
    hear >/dev/null
    hear >/dev/null
    hang_up
    expect '(nil)' show GET book:2
    [ "$(info fills_fenced)" -gt 0 ]
}

# ---- a store that fails ----

test_a_failed_store_is_an_error_and_never_a_missing_row() {
    local command
    start_bookd --store-error-rate 100% --breaker-failures 0
    for command in 'GET book:1' 'GET book:99' 'GET plain' 'MGET book:1 plain' \
        'EXISTS book:1' 'TYPE book:1' 'HGET book:1 title' 'HGETALL book:1' \
        'HLEN book:1' 'HMGET book:1 title' 'STRLEN book:1' 'TTL plain' \
        'BOOK.GET book:1'; do
        # shellcheck disable=SC2086 # words are meant
        expect_like 'STOREDOWN *' cli $command
    done
    at_least 13 "$(info store_errors)" "errors"
    at_least 13 "$(info outcome_down)" "lookups that failed"
}

test_a_failure_is_not_remembered() {
    start_bookd --store-error-rate 100%
    expect_like 'STOREDOWN *' cli GET book:1
    set_config store-error-rate 0%
    expect store source_of book:1
}

test_a_stale_copy_answers_when_the_store_fails() {
    start_bookd
    expect store source_of book:1
    set_config max-age 0s stale-while-revalidate 0s store-error-rate 100%
    expect cache source_of book:1
    expect 1 info outcome_stale_if_error
}

test_beyond_stale_if_error_no_copy_answers() {
    start_bookd --stale-if-error 0s
    expect store source_of book:1
    set_config max-age 0s stale-while-revalidate 0s store-error-rate 100%
    expect_like 'STOREDOWN *' cli GET book:1
}

test_a_negative_copy_does_not_answer_for_a_failed_store() {
    start_bookd
    expect '(nil)' show GET book:99
    set_config negative-max-age 0s store-error-rate 100%
    expect_like 'STOREDOWN *' cli GET book:99
}

test_a_fresh_copy_needs_no_store() {
    start_bookd
    expect store source_of book:1
    set_config store-error-rate 100%
    expect cache source_of book:1
}

test_race_always_survives_a_failed_refresh() {
    start_bookd --race always
    expect store source_of book:1
    set_config store-error-rate 100%
    like '{"id":1,*' "$(cli GET book:1)"
    like '{"id":1,*' "$(cli GET book:1)"
}

test_a_slow_store_is_given_up() {
    start_bookd --store-delay 1h --store-timeout 20ms
    expect_like 'STORETIMEOUT *' cli GET book:1
    expect_like 'STORETIMEOUT *' cli GET book:1
    # A read that is given up holds its key no longer.
    expect '2 2 1' infos outcome_timeout store_reads flights_let_go
}

test_a_stale_copy_answers_when_the_store_is_too_slow() {
    start_bookd --store-timeout 20ms
    expect store source_of book:1
    set_config max-age 0s stale-while-revalidate 0s store-delay 1h
    expect cache source_of book:1
    expect 1 info outcome_stale_if_error
}

test_each_waiter_has_a_deadline_of_its_own() {
    start_bookd --store-delay 1h --store-timeout 1h
    dial
    say 'GET book:1\r\n'
    until_true info_is store_reads 1
    expect_like 'STORETIMEOUT *' cli BOOK.GET book:1 WAIT 20
    expect '1 1 1' infos outcome_timeout flights_joined flights
    set_config shutdown-timeout 0s
}

test_a_full_queue_is_busy() {
    start_bookd --store-delay 1h --store-timeout 1h --store-concurrency 1 \
        --store-queue 1 --shutdown-timeout 0s
    dial
    say 'GET book:1\r\nGET book:2\r\n'
    until_true info_is store_reads 2
    expect_like 'STOREBUSY *' cli GET book:3
    expect 1 info outcome_busy
}

test_a_stale_copy_answers_when_the_store_is_busy() {
    start_bookd --store-timeout 1h --shutdown-timeout 0s
    expect store source_of book:3
    set_config max-age 0s stale-while-revalidate 0s store-delay 1h \
        store-concurrency 1 store-queue 0
    dial
    say 'GET book:1\r\n'
    until_true info_is store_reads 2
    expect cache source_of book:3
}

test_refreshes_leave_half_of_the_store_to_misses() {
    start_bookd --store-timeout 1h --shutdown-timeout 0s
    local i
    for ((i = 1; i <= 10; i++)); do
        expect store source_of "book:$i"
    done
    set_config max-age 0s store-delay 1h store-concurrency 4
    for ((i = 1; i <= 10; i++)); do
        expect cache source_of "book:$i"
    done
    expect '2 8' infos refreshes refreshes_skipped
}

test_jitter_spreads_the_delay() {
    local i
    start_bookd --store-delay 20ms --store-jitter 20ms
    for ((i = 1; i <= 10; i++)); do
        cli BOOK.GET "book:$i" | tail -n 1
    done >took
    [ "$(sort -u took | wc -l)" -gt 1 ] || fail "all took the same time"
}

test_a_locked_database_delays_a_write_until_it_is_open() {
    needs sqlite3
    start_bookd --store-timeout 1h
    mkfifo commands
    sqlite3 bookd.db <commands >/dev/null &
    local sqlite=$!
    exec {to_sqlite}>commands
    mkfifo locked
    printf '%s\n' 'BEGIN IMMEDIATE;' '.shell echo >locked' >&"$to_sqlite"
    cat locked >/dev/null
    dial
    say 'HSET book:2 title Changed\r\n'
    wait_log '*store: * failed*'
    like '{"id":1,*' "$(cli GET book:1)" # Readers go on.
    echo 'ROLLBACK;' >&"$to_sqlite"
    equal :0 "$(hear)" "the reply to HSET"
    exec {to_sqlite}>&-
    wait "$sqlite"
}

test_a_database_locked_for_too_long_is_busy() {
    needs sqlite3
    start_bookd --store-timeout 50ms
    mkfifo commands
    sqlite3 bookd.db <commands >/dev/null &
    local sqlite=$!
    exec {to_sqlite}>commands
    mkfifo locked
    printf '%s\n' 'BEGIN IMMEDIATE;' '.shell echo >locked' >&"$to_sqlite"
    cat locked >/dev/null
    expect_like 'STOREBUSY *locked*' cli HSET book:2 title Changed
    exec {to_sqlite}>&-
    wait "$sqlite"
    expect 'The Hobbit' cli HGET book:2 title
}

# ---- a great many at once ----

test_100_pipelined_cold_gets_overlap() {
    local i text=
    start_bookd --store-delay 1h --store-timeout 1h --shutdown-timeout 0s
    for ((i = 1; i <= 100; i++)); do
        text+="GET book:$i\r\n"
    done
    dial
    say "$text"
    # All are with the store while the first is not answered.
    until_true info_is store_reads 100
    expect 0 info lookup_store_answers
    hang_up
}

test_cheap_commands_do_not_overtake_slow_ones() {
    start_bookd --store-delay 50ms
    expect '$10|The Hobbit|+PONG|$8|I, Robot|$1|x|$4|1937|+OK|' wire \
        'HGET book:2 title\r\nPING\r\nHGET book:6 title\r\nECHO x\r\nHGET book:2 year\r\nQUIT\r\n'
}

run_tests "$@"
