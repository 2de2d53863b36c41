#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016 # the $ is that of the protocol
# How fresh an answer is: what one request asks for (BOOK.GET), what a table is
# given, how expiry is spread, and what BOOK.WHY says about it.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli

set_config() {
    expect OK cli CONFIG SET "$@"
}

# source_within KEY WORD...: "cache" or "store", asked with these bounds.
source_within() {
    cli BOOK.GET "$@" | sed -n 4p
}

# why KEY MEMBER...: what BOOK.WHY says, with spaces between the members; - for
# those that are not there.
why() {
    cli BOOK.WHY "$1" | awk -v names="${*:2}" '
        NR % 2 { name = $0; next }
        { value[name] = $0 }
        END {
            n = split(names, wanted, " ")
            for (i = 1; i <= n; i++)
                printf "%s%s", wanted[i] in value ? value[wanted[i]] : "-",
                    i < n ? " " : "\n"
        }'
}

why_is() {
    [ "$(why "$1" "$2")" = "$3" ]
}

state_is() {
    why_is "$1" state "$2"
}

# ---- what one request asks for ----

test_maxage_0_asks_the_store() {
    start_bookd
    expect store source_of book:2
    expect store source_within book:2 MAXAGE 0
    # By which all that ask later profit.
    expect cache source_of book:2
    expect '2 2' infos store_reads fills
}

test_maxage_takes_a_copy_that_is_young_enough() {
    start_bookd
    expect store source_of book:1
    expect cache source_within book:1 MAXAGE 3600000
    expect '1 1' infos store_reads outcome_fresh_hit
}

test_maxage_never_loosens_what_is_configured() {
    start_bookd --max-age 0s --stale-while-revalidate 0s
    expect store source_of book:1
    expect store source_within book:1 MAXAGE 3600000 STALE 3600000
}

test_stale_lets_an_older_copy_answer_while_the_store_is_asked() {
    start_bookd
    expect store source_of book:2
    expect cache source_within book:2 MAXAGE 0 STALE 3600000
    until_true info_is fills 2
    expect '1 1' infos outcome_stale_hit refreshes
}

test_stale_0_wants_no_copy_beyond_max_age() {
    start_bookd --max-age 0s
    expect store source_of book:1
    expect cache source_of book:1
    until_true info_is flights 0
    expect store source_within book:1 STALE 0
}

test_wait_0_takes_the_copy_or_nothing() {
    start_bookd --store-delay 1h --shutdown-timeout 0s
    expect_like 'STORETIMEOUT *' cli BOOK.GET book:1 WAIT 0
    set_config store-delay 0ms
    expect store source_of book:2
    set_config store-delay 1h
    expect cache source_within book:2 MAXAGE 0 WAIT 0
    expect '1 1' infos outcome_timeout outcome_stale_if_error
}

test_wait_bounds_the_wait() {
    start_bookd --store-timeout 1h --shutdown-timeout 0s
    expect store source_of book:1
    set_config store-delay 1h
    # There is a copy of the one and none of the other.
    expect cache source_within book:1 MAXAGE 0 WAIT 20
    expect_like 'STORETIMEOUT *' cli BOOK.GET book:2 WAIT 20
    expect '1 1' infos outcome_timeout outcome_stale_if_error
}

test_wait_does_not_outlast_store_timeout() {
    start_bookd --store-delay 1h --store-timeout 20ms --shutdown-timeout 0s
    expect_like 'STORETIMEOUT *' cli BOOK.GET book:1 WAIT 3600000
}

test_a_wait_that_is_long_enough_gets_the_stores_answer() {
    start_bookd --store-delay 20ms
    expect store source_within book:1 WAIT 3600000
}

test_fields_are_those_that_are_asked_for() {
    start_bookd
    expect_like 'value
{"title":"The Hobbit","year":1937}
source
store*' \
        cli BOOK.GET book:2 FIELDS title year
    expect_like 'value
{"year":1937,"title":"The Hobbit"}
source
cache*' \
        cli BOOK.GET book:2 MAXAGE 3600000 FIELDS year title
    expect_like '*"nothing"*' cli BOOK.GET book:2 FIELDS nothing
    expect_like '%4|$5|value|_|*' ask3 'BOOK.GET book:99 FIELDS title'
    expect OK cli SET plain value
    expect_like 'WRONGTYPE *' cli BOOK.GET plain FIELDS title
}

test_options_that_make_no_sense_are_refused() {
    start_bookd
    local options
    for options in MAXAGE STALE WAIT FIELDS 'MAXAGE 1 STALE' WHAT 'WHAT 1' \
        'FIELDS title MAXAGE 0'; do
        # shellcheck disable=SC2086 # words are meant
        expect_like 'ERR *' cli BOOK.GET book:1 $options
    done
    for options in 'MAXAGE -1' 'STALE x' 'WAIT 1.5' 'WAIT 9223372036854775807'; do
        # shellcheck disable=SC2086
        expect_like "ERR ${options% *} takes a number of milliseconds*" \
            cli BOOK.GET book:1 $options
    done
    expect 0 info outcome_timeout
}

# ---- tables ----

test_a_table_has_a_max_age_of_its_own() {
    start_bookd --plain-writes through --stale-while-revalidate 0s
    set_config table 'books max-age 0s'
    expect 'table
books max-age 0s' cli CONFIG GET table
    expect store source_of book:1
    expect store source_of book:1
    expect store source_of plain
    expect cache source_of plain
    set_config table 'books max-age default'
    expect cache source_of book:1
}

test_a_table_has_negative_max_age_and_stale_if_error_of_its_own() {
    start_bookd --plain-writes through
    set_config table 'books negative-max-age 0s stale-if-error 0s'
    expect store source_of book:99
    expect store source_of book:99
    expect store source_of plain
    expect cache source_of plain
    expect store source_of book:1
    set_config max-age 0s stale-while-revalidate 0s store-error-rate 100%
    expect_like 'STOREDOWN *' cli GET book:1
}

test_tables_are_read_from_the_file_and_the_command_line_wins() {
    printf '%s\n' 'table books max-age 7s stale-if-error 1d' >conf
    while draw_port && launch_bookd conf --port "$port" --dir "$dir" \
        --table books max-age 8s; do
        is_ready && break
    done
    expect 'table
books max-age 8s stale-if-error 1d' cli CONFIG GET table
}

test_a_table_that_is_not_there_is_refused() {
    start_bookd
    expect_like 'ERR *' cli CONFIG SET table 'films max-age 1s'
    expect_like 'ERR *' cli CONFIG SET table 'books color 1s'
    expect_like 'ERR *' cli CONFIG SET table 'books max-age'
    expect table cli CONFIG GET table
}

# ---- when copies expire ----

test_copies_filled_together_do_not_expire_together() {
    start_bookd --max-age 1h --freshness-jitter 50%
    local i
    for ((i = 1; i <= 10; i++)); do
        expect store source_of "book:$i"
    done
    for ((i = 1; i <= 10; i++)); do
        why "book:$i" max-age-left-ms
    done >left
    # 1 h ± 50 %, and the time since.
    awk '$1 > 5400000 || $1 < 1700000 { exit 1 }' left ||
        fail "beyond the bounds: $(cat left)"
    at_least 600000 $(($(sort -n left | tail -n 1) - $(sort -n left | head -n 1))) \
        "milliseconds between the first and the last"
    equal "$(why book:1 max-age-left-ms | cut -c 1-3)" \
        "$(head -n 1 left | cut -c 1-3)" "book:1, asked again"
}

test_without_jitter_they_do() {
    start_bookd --max-age 1h --freshness-jitter 0%
    local i
    for ((i = 1; i <= 10; i++)); do
        expect store source_of "book:$i"
    done
    # What is left and the age, each a part of a millisecond short.
    for ((i = 1; i <= 10; i++)); do
        like '3[65][09]*' "$(($(why "book:$i" max-age-left-ms age-ms | tr ' ' +)))"
    done
}

# ---- BOOK.WHY ----

test_why_of_what_is_not_cached() {
    start_bookd
    expect 'books absent store no -' why book:1 table state answers flight origin
    expect 'plain absent store' why nothing table state answers
    expect 'books absent nobody' why book:x table state answers
    expect 'there is no copy' why book:1 reason
    expect '0 0' infos store_reads lookups
}

test_why_of_a_fresh_copy_says_where_it_is_from() {
    start_bookd --store-delay 20ms --freshness-jitter 0%
    expect store source_of book:1
    expect 'fresh cache stale miss' why book:1 state answers race origin
    at_least 20000 "$(why book:1 store-took-us)" "microseconds"
    at_least "$(why book:1 max-age-left-ms)" 60000
    at_least "$(why book:1 stale-while-revalidate-left-ms)" 360000
    at_least 300000 "$(why book:1 stale-while-revalidate-left-ms)"
    at_least 3600000 "$(why book:1 stale-if-error-left-ms)"
    at_least 1 "$(why book:1 version)" "version"
    at_least 50 "$(why book:1 bytes)" "bytes"
    expect 'the copy is younger than max-age' why book:1 reason
}

test_why_of_a_refresh_and_of_a_write() {
    start_bookd --max-age 0s
    expect store source_of book:1
    expect cache source_of book:1
    until_true why_is book:1 origin refresh
    expect 0 cli HSET book:1 title Changed
    expect write why book:1 origin
}

test_why_of_a_stale_copy_depends_on_race() {
    start_bookd --max-age 0s
    expect store source_of book:1
    expect 'stale cache' why book:1 state answers
    set_config race never
    expect 'stale store' why book:1 state answers
    set_config race always
    expect 'stale both' why book:1 state answers
    set_config max-age 1h
    expect 'fresh both' why book:1 state answers
}

test_why_of_an_old_copy_says_if_it_answers_for_a_failed_store() {
    start_bookd --max-age 0s --stale-while-revalidate 0s
    expect store source_of book:1
    expect 'old store' why book:1 state answers
    expect_like '*if the store fails*' why book:1 reason
    set_config stale-if-error 0s
    expect 'the copy is past its stale window' why book:1 reason
}

test_why_of_a_negative_copy() {
    start_bookd
    expect store source_of book:99
    expect 'negative cache miss' why book:99 state answers origin
    set_config negative-max-age 0s
    expect 'negative store' why book:99 state answers
}

test_why_of_a_write_that_waits_for_the_store() {
    start_bookd --behind-interval 1h
    expect OK cli SET plain value
    expect 'plain dirty cache write' why plain table state answers origin
}

test_why_of_a_key_in_memory_only() {
    start_bookd --plain-writes none
    expect OK cli SET plain value
    expect 'memory cache write' why plain state answers origin
    expect 'absent nobody' why nothing state answers
}

test_why_shows_the_flight_and_its_waiters() {
    start_bookd --store-delay 1h --store-timeout 1h --shutdown-timeout 0s
    dial
    # A reply that is not read makes the end of the connection a sudden one.
    say 'PING\r\nGET book:1\r\nGET book:1\r\nGET book:1\r\n'
    until_true why_is book:1 flight-waiters 3
    expect 'absent store yes 3' why book:1 state answers flight flight-waiters
    hang_up
    until_true why_is book:1 flight-waiters 0
    expect yes why book:1 flight
}

test_why_changes_nothing() {
    start_bookd --max-age 0s
    expect store source_of book:1
    expect stale why book:1 state
    expect stale why book:1 state
    expect '1 1 0' infos store_reads lookups refreshes
}

test_why_takes_one_key() {
    start_bookd
    expect_like "ERR wrong number of arguments for 'book.why'*" cli BOOK.WHY
    expect_like "ERR wrong number of arguments for 'book.why'*" \
        cli BOOK.WHY book:1 book:2
}

run_tests "$@"
