#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016 # the $ is that of the protocol
# redis-cli in its modes; test_terminal.c has it on a terminal.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli

test_resp3() {
    start_bookd
    expect $'1# "id" => "2"\n2# "title" => "The Hobbit"\n3# "author" => "J.R.R. Tolkien"\n4# "year" => "1937"' \
        show3 HGETALL book:2
    expect '(nil)' show3 GET book:99
}

test_scan_mode() {
    start_bookd
    equal 10 "$(cli --scan | wc -l)" "keys"
    equal 2 "$(cli --scan --pattern 'book:1*' | wc -l)" "keys"
}

test_pipe_mode() {
    local i
    start_bookd
    for ((i = 1; i <= 5000; i++)); do
        printf '*3\r\n$3\r\nSET\r\n$%d\r\nkey:%d\r\n$%d\r\n%d\r\n' \
            $((4 + ${#i})) $i ${#i} $i
    done >commands
    expect_like '*errors: 0, replies: 5000' cli --pipe <commands
    expect 5010 cli DBSIZE
    expect 4711 cli GET key:4711
}

test_pipe_mode_counts_errors() {
    start_bookd
    printf 'SET a 1\r\nNOSUCH\r\nSET b 2\r\n' >commands
    expect_like '*errors: 1, replies: 3' cli --pipe <commands
}

test_argument_from_stdin() {
    start_bookd
    printf 'two\nlines' >value
    expect OK cli -x SET key <value
    expect $'two\nlines' cli GET key
}

test_repeat_and_csv_and_json() {
    start_bookd
    expect $'PONG\nPONG\nPONG' cli -r 3 PING
    expect '"book:1","book:10"' cli --csv KEYS 'book:1*'
    expect '{"id":"2","title":"The Hobbit","author":"J.R.R. Tolkien","year":"1937"}' \
        cli --json HGETALL book:2
}

test_memory_and_latency_modes_end_in_order() {
    start_bookd
    expect_like '*keys*' cli --bigkeys
    expect_like '*' timeout 2 redis-cli -p "$port" --latency -i 1
    expect PONG cli PING
}

test_redis_benchmark_runs() {
    command -v redis-benchmark >/dev/null || skip "redis-benchmark is not there"
    start_bookd
    redis-benchmark -p "$port" -n 5000 -c 20 -P 8 -q -t ping,set,get >shown 2>&1
    grep -q 'GET: .* requests per second' shown || fail "$(cat shown)"
    expect 0 info total_error_replies
}

run_tests "$@"
