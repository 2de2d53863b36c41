#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016 # the $ is that of the protocol
# Connections as an administrator sees them, and the limits on them.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli

# field NAME: of the line of CLIENT LIST on stdin.
field() {
    sed -n "s/.* $1=\([^ ]*\).*/\1/p"
}

test_client_list_shows_who_is_there() {
    start_bookd
    dial
    say 'HELLO 3 SETNAME reader\r\nCLIENT SETINFO LIB-NAME mylib\r\nCLIENT SETINFO LIB-VER 1.2\r\nECHO ready\r\n'
    until hear | grep -q ready; do :; done
    cli CLIENT LIST >list
    equal 2 "$(wc -l <list)" "clients"
    grep ' name=reader ' list >line || fail "$(cat list)"
    expect 3 field resp <line
    expect mylib field lib-name <line
    expect 1.2 field lib-ver <line
    expect echo field cmd <line
    expect "127.0.0.1:$port" field laddr <line
    expect 2 info connected_clients
    hang_up
}

test_client_list_shows_what_is_pending() {
    start_bookd --store-delay 1h --store-timeout 1h --shutdown-timeout 0s
    dial
    say 'CLIENT SETNAME waiter\r\nGET book:1\r\nGET book:2\r\n'
    hear >/dev/null
    until_true info_is store_reads 2
    until_true pending_is 2
}
pending_is() {
    [ "$(cli CLIENT LIST | grep ' name=waiter ' | field pending)" = "$1" ]
}

test_a_client_that_left_is_gone_from_the_list() {
    start_bookd
    dial
    say 'CLIENT SETNAME guest\r\n'
    hear >/dev/null
    hang_up
    until_true nobody_called guest
}
nobody_called() {
    ! cli CLIENT LIST | grep -q " name=$1 "
}

test_one_client_too_many_is_told_so() {
    start_bookd --maxclients 2
    dial
    say 'PING\r\n'
    equal +PONG "$(hear)"
    local first=$conn
    dial
    say 'PING\r\n'
    equal +PONG "$(hear)"
    expect '-ERR max number of clients reached|' wire ''
    # A place that was left is free again.
    hang_up
    conn=$first
    until_true one_client
}
one_client() {
    say 'INFO clients\r\n'
    local line found=
    while line=$(hear) && [[ $line != maxclients:* ]]; do
        [[ $line != connected_clients:1 ]] || found=yes
    done
    hear >/dev/null
    [ -n "$found" ]
}

test_rejected_clients_are_counted() {
    start_bookd --maxclients 1
    dial
    say 'PING\r\n'
    hear >/dev/null
    wire '' >/dev/null
    say 'INFO stats\r\n'
    local line
    while line=$(hear); do
        [[ $line != rejected_connections:* ]] || break
    done
    equal rejected_connections:1 "$line"
}

test_maxclients_changes_at_run_time() {
    start_bookd --maxclients 1
    expect OK cli CONFIG SET maxclients 2
    dial
    say 'PING\r\n'
    hear >/dev/null
    expect PONG cli PING
}

test_an_idle_client_is_disconnected() {
    start_bookd --timeout 1s
    dial
    expect '' hear
}

test_a_client_that_waits_for_the_store_is_not_idle() {
    start_bookd --timeout 1s --store-delay 2500ms
    dial
    say 'HGET book:2 title\r\n'
    equal '$10' "$(hear)"
    equal 'The Hobbit' "$(hear)"
}

test_counters_of_traffic_count() {
    start_bookd
    expect PONG cli PING
    expect PONG cli PING
    local text
    text=$(cli INFO stats)
    # INFO is counted when it has ended, as in Redis.
    like '*total_connections_received:3*total_commands_processed:2*' "$text"
    like '*total_error_replies:0*' "$text"
    cli NOSUCH >/dev/null
    expect 1 info total_error_replies
}

test_ipv6_is_served_where_there_is_one() {
    start_bookd
    (exec 3<>"/dev/tcp/::1/$port") 2>/dev/null ||
        skip "this machine has no ::1"
    expect PONG redis-cli -h ::1 -p "$port" PING
}

test_bind_limits_who_is_served() {
    start_bookd --bind 127.0.0.1
    expect_like '*refused*' redis-cli -h ::1 -p "$port" PING
    expect PONG cli PING
}

test_the_unix_socket_has_the_permissions_asked_for() {
    start_bookd --unixsocket "$dir/bookd.sock" --unixsocketperm 770
    expect 770 stat -c %a bookd.sock
}

run_tests "$@"
