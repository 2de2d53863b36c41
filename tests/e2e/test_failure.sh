#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016 # the $ is that of the protocol
# A store that is slow, failing, hung or gone, as BOOK.SIMULATE plays it: what
# goes on, what fails and how fast, how it is seen, and how it ends.  And that
# every lookup is counted by how it ended.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli

set_config() {
    expect OK cli CONFIG SET "$@"
}

# A bookd of which the tests may do with the store what they like.
start_fragile_bookd() {
    start_bookd --enable-simulate-command yes --shutdown-timeout 0s "$@"
}

simulate() {
    expect OK cli BOOK.SIMULATE "$@"
}

# config NAME: its value.
config() {
    cli CONFIG GET "$1" | sed -n 2p
}

now_us() {
    echo "${EPOCHREALTIME/[.,]/}"
}

# ms_since US: milliseconds since then.
ms_since() {
    echo $((($(now_us) - $1) / 1000))
}

answers_from_store() {
    [ "$(source_of "$1")" = store ]
}

fails_with() {
    [[ "$(cli GET "$2" 2>&1)" = "$1 "* ]]
}

# outcome_sum: of all tables.
outcome_sum() {
    cli INFO | awk -F: '
        /^outcome_/ { sub(/\r$/, ""); if ($1 !~ /_(books|plain)_/) n += $2 }
        END { print n }'
}

# outcome_sum_of TABLE
outcome_sum_of() {
    cli INFO | awk -F: -v prefix="outcome_$1_" '
        index($0, prefix) == 1 { n += $2 } END { print n + 0 }'
}

# ---- BOOK.SIMULATE ----

test_simulate_is_refused_unless_enabled() {
    start_bookd
    expect_like 'ERR *enable-simulate-command*' cli BOOK.SIMULATE delay 1s
    expect 0ms config store-delay
    expect_like 'ERR *' cli CONFIG SET enable-simulate-command yes
}

test_simulate_is_all_or_nothing() {
    start_fragile_bookd
    local words
    for words in 'delay 1s errors 200%' 'delay 1s what 1' 'delay 1s errors' \
        'delay 1s tail 1%' 'delay 1s outage 2s' 'delay 1s outage 2s..1s' \
        'delay 1s hang perhaps' 'delay 1s off' 'delay x'; do
        # shellcheck disable=SC2086 # words are meant
        expect_like 'ERR *' cli BOOK.SIMULATE $words
        expect 0ms config store-delay
    done
    expect '0% no' echo "$(config store-error-rate) $(config store-hang)"
}

test_simulate_sets_what_it_names_and_off_ends_it() {
    start_fragile_bookd
    simulate delay 100ms jitter 10ms tail 1%x20 errors 5%
    expect '100ms 10ms 1% 20 5%' echo "$(config store-delay)" \
        "$(config store-jitter)" "$(config store-tail-rate)" \
        "$(config store-tail-factor)" "$(config store-error-rate)"
    simulate DELAY 1ms
    expect '1ms 10ms' echo "$(config store-delay) $(config store-jitter)"
    simulate hang yes outage 1h..2h
    simulate off
    expect '0ms 0ms 0% 0% no 0s' echo "$(config store-delay)" \
        "$(config store-jitter)" "$(config store-tail-rate)" \
        "$(config store-error-rate)" "$(config store-hang)" \
        "$(config store-outage-for)"
    expect store source_of book:1
}

test_a_tail_makes_some_reads_slower() {
    start_fragile_bookd
    simulate delay 1ms tail 100%x50
    at_least 50000 "$(cli BOOK.GET book:1 | tail -n 1)" "microseconds"
    simulate tail 0%x50
    at_least 1000 "$(cli BOOK.GET book:2 | tail -n 1)" "microseconds"
}

# ---- a store that hangs ----

test_while_the_store_hangs_hits_go_on_and_misses_time_out() {
    start_fragile_bookd --store-timeout 200ms
    expect store source_of book:1
    simulate hang yes
    local since
    since=$(now_us)
    expect_like 'STORETIMEOUT *' cli GET book:2
    at_least 200 "$(ms_since "$since")" "milliseconds"
    expect cache source_of book:1
    expect '1 1' infos outcome_timeout store_reads_hung
}

test_a_hung_store_opens_the_breaker_and_then_misses_fail_at_once() {
    start_fragile_bookd --store-timeout 100ms --breaker-failures 3 \
        --breaker-probe-interval 1h
    expect closed info store_breaker
    expect store source_of book:1
    simulate hang yes
    until_true fails_with STOREDOWN "missing:$RANDOM"
    wait_log '*breaker*'
    expect '1' info store_breaker_opened
    # Far from store-timeout: the store is not asked.
    set_config store-timeout 1h
    expect_like 'STOREDOWN *' cli GET book:3
    expect 'open 0' infos store_breaker store_breaker_slots
    expect cache source_of book:1
}

test_hung_reads_go_on_when_the_hang_ends() {
    start_fragile_bookd --store-timeout 1h
    simulate hang yes
    dial
    say 'HGET book:2 title\r\n'
    until_true info_is store_reads_hung 1
    simulate hang no
    equal '$10' "$(hear)"
    equal 'The Hobbit' "$(hear)"
    hang_up
}

test_the_recovery_of_the_store_is_seen() {
    start_fragile_bookd --store-timeout 50ms --breaker-failures 2 \
        --breaker-probe-interval 50ms
    simulate hang yes
    until_true fails_with STOREDOWN book:1
    simulate off
    until_true answers_from_store book:2
    local i=100
    until_true recovered
    expect closed info store_breaker
}
# Reads are what closes it.
recovered() {
    cli GET "book:$((++i))" >/dev/null
    info_is store_breaker closed
}

test_the_breaker_tells_the_log_each_change_once() {
    start_fragile_bookd --breaker-failures 2 --breaker-probe-interval 20ms
    simulate errors 100%
    local i
    for ((i = 1; i <= 10; i++)); do
        expect_like 'STOREDOWN *' cli GET "book:$i"
    done
    expect '1 open' infos store_breaker_opened store_breaker
    simulate off
    until_true recovered
    stop_bookd
    expect 'open half-open closed' breaker_states
}

breaker_states() {
    sed -n 's/.*store: breaker \([a-z-]*\).*/\1/p' bookd.log | paste -sd ' '
}

test_breaker_failures_0_never_opens_it() {
    start_fragile_bookd --breaker-failures 0
    simulate errors 100%
    local i
    for ((i = 1; i <= 20; i++)); do
        expect_like 'STOREDOWN *' cli GET "book:$i"
    done
    expect 'closed 20' infos store_breaker store_reads
}

test_an_open_breaker_does_not_ask_the_store() {
    start_fragile_bookd --breaker-failures 2 --breaker-probe-interval 1h
    simulate errors 100%
    local i
    for ((i = 1; i <= 10; i++)); do
        expect_like 'STOREDOWN *' cli GET "book:$i"
    done
    expect 'open 10' infos store_breaker outcome_down
    at_least "$(info store_errors)" 2 "reads that failed"
}

# ---- an outage ----

test_an_outage_begins_and_ends_when_it_is_told_to() {
    start_fragile_bookd --breaker-failures 0
    simulate outage 1h..3h
    expect store source_of book:1
    simulate outage 0s..1h
    expect_like 'STOREDOWN *' cli GET book:2
    simulate outage 0s..100ms
    until_true answers_from_store book:2
    simulate outage 50ms..1h
    local i=100
    until_true a_read_fails
}
a_read_fails() {
    i=$((i + 1))
    fails_with STOREDOWN "book:$i"
}

test_an_outage_of_the_same_length_counts_anew() {
    start_fragile_bookd --breaker-failures 0
    simulate outage 1h..2h
    expect store source_of book:1
    simulate outage 0s..1h
    expect_like 'STOREDOWN *' cli GET book:2
}

test_copies_answer_during_an_outage() {
    start_fragile_bookd --breaker-probe-interval 20ms
    local i
    for ((i = 1; i <= 10; i++)); do
        expect store source_of "book:$i"
    done
    set_config max-age 0s stale-while-revalidate 0s
    simulate outage 0s..1h
    for ((i = 1; i <= 10; i++)); do
        expect cache source_of "book:$i"
    done
    expect '10 0 open' infos outcome_stale_if_error outcome_down store_breaker
    simulate off
    until_true answers_from_store book:2
}

test_copies_that_others_made_old_answer_during_an_outage() {
    needs sqlite3
    start_fragile_bookd --breaker-probe-interval 20ms
    expect 'The Hobbit' cli HGET book:2 title
    simulate outage 0s..1h
    sqlite3 bookd.db "UPDATE books SET title = 'Changed' WHERE id = 2"
    until_true info_is feed_changes 1
    # What is known to be wrong is gone.
    expect_like 'STOREDOWN *' cli GET book:2
    simulate off
    until_true title_is book:2 Changed
}
title_is() {
    [ "$(cli HGET "$1" title)" = "$2" ]
}

test_beyond_stale_if_error_an_outage_is_shown() {
    start_fragile_bookd --stale-if-error 0s
    expect store source_of book:1
    set_config max-age 0s stale-while-revalidate 0s
    simulate outage 0s..1h
    expect_like 'STOREDOWN *' cli GET book:1
}

test_a_fresh_copy_does_not_notice_an_outage() {
    start_fragile_bookd
    expect store source_of book:1
    simulate outage 0s..1h
    expect cache source_of book:1
    expect '1 0' infos outcome_fresh_hit outcome_stale_if_error
}

test_an_outage_is_never_taken_for_a_missing_row() {
    start_fragile_bookd
    simulate outage 0s..1h
    expect_like 'STOREDOWN *' cli GET book:1
    expect_like 'STOREDOWN *' cli GET book:99
    simulate off
    until_true answers_from_store book:1
    expect 0 info outcome_negative_hit
}

# ---- too much to do ----

test_more_than_the_queue_holds_is_busy() {
    start_fragile_bookd --store-concurrency 2 --store-queue 3 \
        --store-timeout 1h
    expect store source_of book:10
    simulate delay 1h
    dial
    say 'MGET book:1 book:2 book:3 book:4 book:5\r\n'
    until_true info_is store_reads_queued 3
    expect_like 'STOREBUSY *' cli GET book:6
    expect_like 'STOREBUSY *' cli GET book:7
    expect cache source_of book:10
    expect 2 info outcome_busy
    hang_up
}

# ---- the numbers ----

# Each way in which a lookup can end, but the races, which are below.
mixed_run() {
    expect store source_of book:1   # miss
    expect cache source_of book:1   # fresh_hit
    expect store source_of book:99  # miss
    expect cache source_of book:99  # negative_hit
    expect OK cli SET plain value
    expect value cli GET plain      # fresh_hit
    expect '(nil)' show GET book:x  # impossible
    set_config max-age 0s
    expect cache source_of book:1   # stale_hit
    until_true info_is flights 0
    set_config stale-while-revalidate 0s
    simulate errors 100%
    expect cache source_of book:1   # stale_if_error
    expect_like 'STOREDOWN *' cli GET book:2 # down
    simulate off
    simulate delay 1h
    set_config store-timeout 20ms
    expect_like 'STORETIMEOUT *' cli GET book:3 # timeout
    set_config store-timeout 1h
    dial
    # A reply that is not read makes the end of the connection a sudden one.
    say 'PING\r\nGET book:4\r\nGET book:4\r\n'
    until_true info_is flights_joined 1
    hang_up
    until_true info_is outcome_abandoned 2
    set_config store-concurrency 1 store-queue 0
    expect_like 'STOREBUSY *' cli GET book:6 # busy
}

test_the_outcomes_sum_to_the_lookups() {
    start_fragile_bookd --plain-writes through --breaker-failures 0
    mixed_run
    expect '2 2 1 1 1' infos outcome_miss outcome_fresh_hit \
        outcome_negative_hit outcome_impossible outcome_stale_hit
    expect '1 1 1 1 2' infos outcome_stale_if_error outcome_down \
        outcome_timeout outcome_busy outcome_abandoned
    equal "$(info lookups)" "$(outcome_sum)" "the sum of the outcomes"
    equal "$(info lookups)" \
        "$(($(outcome_sum_of books) + $(outcome_sum_of plain)))" \
        "the sum of those of the tables"
    expect 1 outcome_sum_of plain
}

test_races_and_joins_are_outcomes_too() {
    start_fragile_bookd --race always
    local i text=
    for ((i = 1; i <= 300; i++)); do
        text+="GET book:$((i % 12))\nGET plain$((i % 7))\n"
    done
    printf '%b' "$text" | pour >replies
    equal '0 600' "$(cat replies)"
    # All of these have a copy by now.
    printf '%b' "$text" | pour >replies
    equal '0 600' "$(cat replies)"
    at_least 1 "$(($(info outcome_race_cache) + $(info outcome_race_store)))" \
        "races"
    equal 1200 "$(info lookups)"
    equal 1200 "$(outcome_sum)" "the sum of the outcomes"
}

test_each_outcome_has_its_latency() {
    start_fragile_bookd
    simulate delay 20ms
    cli GET book:1 >/dev/null
    simulate off
    cli GET book:1 >/dev/null
    local line
    line=$(info latency_miss_us)
    like 'count=1,p50=*,p90=*,p99=*,p99.9=*,max=*' "$line"
    at_least 20000 "${line##*max=}" "microseconds of a miss"
    like 'count=1,*' "$(info latency_fresh_hit_us)"
    like 'count=2,*' "$(info latency_all_us)"
    expect '' info latency_timeout_us
}

test_latency_includes_the_wait_in_the_queue() {
    start_fragile_bookd --store-concurrency 1
    simulate delay 50ms
    cli MGET book:1 book:2 book:3 >/dev/null
    local line
    line=$(info latency_miss_us)
    at_least 150000 "${line##*max=}" "microseconds of the last"
}

test_resetstat_forgets_outcomes_and_latencies() {
    start_bookd
    cli GET book:1 >/dev/null
    expect OK cli CONFIG RESETSTAT
    expect '0 0' infos lookups outcome_miss
    expect_like 'count=0,*' info latency_all_us
    expect '' info latency_miss_us
}

run_tests "$@"
