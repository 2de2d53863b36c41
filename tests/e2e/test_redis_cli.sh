#!/bin/bash
# SPDX-License-Identifier: MIT
# redis-cli as people use it: on a terminal, with hints, in its special modes.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli script

# Runs redis-cli on a pseudo-terminal with the lines of stdin typed into it,
# and prints what it showed, without colours.  A terminal without a size would
# be asked for it, and ours does not answer.
on_a_terminal() {
    HOME=$dir TERM=xterm timeout "$PATIENCE" \
        script -qec "stty cols 200 rows 50; redis-cli -p $port $*" \
            /dev/null 2>&1 |
        sed -e 's/\x1b\[[0-9;]*[A-Za-z]//g' -e 's/\r/\n/g'
}

test_it_starts_on_a_terminal_without_an_error_or_a_delay() {
    start_bookd
    local start=$SECONDS
    printf 'PING\nGET book:2\nexit\n' | on_a_terminal >shown
    grep -q "127.0.0.1:$port> " shown || fail "no prompt: $(cat shown)"
    grep -qx 'PONG' shown || fail "no PONG: $(cat shown)"
    grep -q '\\"title\\":\\"The Hobbit\\"' shown || fail "no book: $(cat shown)"
    if grep -iE 'error|could not|unknown' shown; then
        fail "$(cat shown)"
    fi
    [ $((SECONDS - start)) -lt 10 ] || fail "it took $((SECONDS - start)) s"
    expect 0 info total_error_replies
}

test_hints_come_from_our_command_table() {
    start_bookd
    { printf 'set '; printf '\x03'; } | on_a_terminal >shown
    grep -q 'key value' shown || fail "no hint: $(cat shown)"
}

test_help_knows_our_commands() {
    start_bookd
    printf 'help book.get\nhelp set\nexit\n' | on_a_terminal >shown
    if grep -iE 'error|unknown' shown; then
        fail "$(cat shown)"
    fi
}

test_resp3_on_a_terminal() {
    start_bookd
    printf 'HGETALL book:2\nexit\n' | on_a_terminal -3 >shown
    grep -q '1# "id" => "2"' shown || fail "no map: $(cat shown)"
}

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
