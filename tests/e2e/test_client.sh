#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016 # the $ is that of the protocol
# CLIENT and MONITOR: what connections may do to each other, and what they see
# of each other.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli

# both COMMAND REPLY [REPLY3]: REPLY3 is that over RESP3, if it is different.
both() {
    expect "$2" ask "$1"
    expect "${3-$2}" ask3 "$1"
}

# reply: sends a command on '$conn' and hears one line.
reply() {
    say "$1\r\n"
    hear
}

# Skips what a bulk string begins with, and prints the line in it.
hear_bulk() {
    hear >/dev/null
    hear
}

# my_id: the number of the connection '$conn'.
my_id() {
    local id
    id=$(reply 'CLIENT ID')
    echo "${id#:}"
}

# of_client ID FIELD: what CLIENT LIST says.
of_client() {
    cli CLIENT LIST ID "$1" | sed -n "s/.* $2=\([^ ]*\).*/\1/p"
}

# is_at ID FIELD VALUE: for until_true.
is_at() {
    [ "$(of_client "$1" "$2")" = "$3" ]
}

is_gone() {
    [ -z "$(cli CLIENT LIST ID "$1")" ]
}

# ---- LIST ----

test_list_by_number_and_type() {
    start_bookd
    dial
    local id
    id=$(my_id)
    expect_like "id=$id *" cli CLIENT LIST ID "$id"
    expect_like "id=$id *"$'\n'"id=$id *" cli CLIENT LIST ID "$id" 999 "$id" 0
    expect '' cli CLIENT LIST ID 999
    both 'CLIENT LIST ID x' '-ERR Invalid client ID|'
    both 'CLIENT LIST ID' '-ERR syntax error|'
    both 'CLIENT LIST WHAT 1' '-ERR syntax error|'
    both 'CLIENT LIST TYPE' '-ERR syntax error|'
    both 'CLIENT LIST TYPE what' "-ERR Unknown client type 'what'|"
    both 'CLIENT LIST TYPE master' '$0||' '=4|txt:|'
    expect_like "id=$id *" cli CLIENT LIST TYPE normal
    expect '' cli CLIENT LIST TYPE pubsub
    say 'SUBSCRIBE a\r\n'
    hear >/dev/null
    expect_like "id=$id * flags=P *" cli CLIENT LIST TYPE pubsub
}

test_list_shows_what_a_client_is_at() {
    start_bookd
    dial
    local id
    id=$(my_id)
    reply 'MULTI' >/dev/null
    reply 'SET a 1' >/dev/null
    expect x of_client "$id" flags
    expect 1 of_client "$id" multi
    at_least 100 "$(of_client "$id" multi-mem)"
    reply 'DISCARD' >/dev/null
    expect N of_client "$id" flags
    expect 0 of_client "$id" watch
    reply 'WATCH a b' >/dev/null
    expect 2 of_client "$id" watch
    reply 'UNWATCH' >/dev/null
    expect 0 of_client "$id" watch
    say 'GET half of it'
    until_true is_at "$id" qbuf 14
    expect unwatch of_client "$id" cmd
    expect r of_client "$id" events
}

# ---- KILL ----

test_kill_by_number_is_done_when_it_is_answered() {
    start_bookd --io-threads 2
    local i id
    for i in 1 2 3 4; do
        dial
        id=$(my_id)
        expect 1 cli CLIENT KILL ID "$id"
        expect '' cli CLIENT LIST ID "$id"
        expect '' hear
        hang_up
    done
}

test_kill_by_address_and_of_old() {
    start_bookd
    local address
    dial
    address=$(of_client "$(my_id)" addr)
    expect OK cli CLIENT KILL "$address"
    expect '' hear
    dial
    address=$(of_client "$(my_id)" addr)
    expect 0 cli CLIENT KILL ADDR "$address" LADDR 1.2.3.4:5
    expect 1 cli CLIENT KILL ADDR "$address" LADDR "127.0.0.1:$port"
    expect '' hear
    both 'CLIENT KILL 1.2.3.4:5' '-ERR No such client|'
}

test_kill_by_type_spares_the_asker() {
    start_bookd
    local normal pubsub
    dial
    normal=$conn
    dial
    pubsub=$conn
    say 'SUBSCRIBE a\r\n'
    hear >/dev/null
    hear_bulk >/dev/null
    expect ':1|+PONG|' ask 'CLIENT KILL TYPE pubsub\r\nPING'
    conn=$normal
    expect +PONG reply PING
    expect ':1|+PONG|' ask 'CLIENT KILL TYPE normal\r\nPING'
    expect '' hear
    conn=$pubsub
    hear_bulk >/dev/null
    hear >/dev/null
    expect '' hear
}

test_kill_without_skipme_takes_the_asker_after_its_reply() {
    start_bookd
    expect ':1|' wire 'CLIENT KILL USER default SKIPME no\r\nPING\r\n'
    expect ':0|+PONG|' ask 'CLIENT KILL USER default SKIPME yes\r\nPING'
    expect ':0|+PONG|' ask 'CLIENT KILL MAXAGE 1000 SKIPME no\r\nPING'
}

test_kill_in_a_transaction() {
    start_bookd
    dial
    expect_like '+OK|+QUEUED|+QUEUED|\*2|+PONG|:1|' \
        ask "MULTI\r\nPING\r\nCLIENT KILL ID $(my_id)\r\nEXEC"
    expect '' hear
}

test_kill_refuses_what_it_does_not_understand() {
    start_bookd
    both 'CLIENT KILL' "-ERR wrong number of arguments for 'client|kill' command|"
    both 'CLIENT KILL ID 0' '-ERR client-id should be greater than 0|'
    both 'CLIENT KILL ID x' '-ERR client-id should be greater than 0|'
    both 'CLIENT KILL ID 999' ':0|'
    both 'CLIENT KILL ID 999 TYPE what' "-ERR Unknown client type 'what'|"
    both 'CLIENT KILL USER nobody' "-ERR No such user 'nobody'|"
    both 'CLIENT KILL TYPE normal SKIPME maybe' '-ERR syntax error|'
    both 'CLIENT KILL WHAT 1' '-ERR syntax error|'
    both 'CLIENT KILL ID 5 WHAT' '-ERR syntax error|'
    both 'CLIENT KILL MAXAGE x' '-ERR maxage is not an integer or out of range|'
}

test_kill_reaches_who_waits_for_the_store() {
    start_bookd --store-hang yes
    dial
    local id
    id=$(my_id)
    say 'GET book:3\r\n'
    until_true is_at "$id" pending 1
    expect 1 cli CLIENT KILL ID "$id"
    expect '' hear
    cli CONFIG SET store-hang no >/dev/null
}

# ---- PAUSE ----

test_pause_all_holds_everything_in_order() {
    start_bookd
    dial
    expect OK cli CLIENT PAUSE 300
    say 'SET a 1\r\nGET a\r\nNOSUCH\r\nPING\r\n'
    expect +OK hear
    expect '$1' hear
    expect 1 hear
    expect_like '-ERR unknown command*' hear
    expect +PONG hear
}

test_pause_write_lets_reads_pass_until_unpause() {
    start_bookd
    dial
    local id
    id=$(my_id)
    expect OK cli CLIENT PAUSE 1000000 WRITE
    say 'GET a\r\nSET a 1\r\nGET a\r\n'
    expect '$-1' hear
    until_true is_at "$id" flags b
    expect set of_client "$id" cmd
    expect '' cli GET a
    expect OK cli CLIENT UNPAUSE
    expect +OK hear
    expect '$1' hear
    expect 1 hear
    expect N of_client "$id" flags
}

test_pause_does_not_keep_the_killed_nor_who_left() {
    start_bookd
    dial
    local id
    id=$(my_id)
    expect OK cli CLIENT PAUSE 1000000 WRITE
    say 'SET a 1\r\n'
    until_true is_at "$id" flags b
    expect 1 cli CLIENT KILL ID "$id"
    expect '' hear
    hang_up
    dial
    id=$(my_id)
    say 'SET a 2\r\n'
    until_true is_at "$id" flags b
    hang_up
    until_true is_gone "$id"
    cli CLIENT UNPAUSE >/dev/null
    expect '' cli GET a
}

test_pause_ends_with_the_server() {
    start_bookd
    dial
    local id
    id=$(my_id)
    expect OK cli CLIENT PAUSE 1000000 WRITE
    say 'SET a 1\r\n'
    until_true is_at "$id" flags b
    stop_bookd
    expect +OK hear
}

test_pause_refuses_what_it_does_not_understand() {
    start_bookd
    both 'CLIENT PAUSE x' '-ERR timeout is not an integer or out of range|'
    both 'CLIENT PAUSE -1' '-ERR timeout is negative|'
    both 'CLIENT PAUSE 10 WHAT' '-ERR CLIENT PAUSE mode must be WRITE or ALL|'
    both 'CLIENT PAUSE 1 ALL x' "-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.|"
    both 'CLIENT PAUSE 0' '+OK|'
    both 'CLIENT UNPAUSE' '+OK|'
}

# ---- REPLY ----

test_reply_off_and_on() {
    start_bookd
    both 'CLIENT REPLY OFF\r\nPING\r\nNOSUCH\r\nGET\r\nGET book:3\r\nCLIENT REPLY ON\r\nPING' \
        '+OK|+PONG|'
    both 'CLIENT REPLY WHAT' '-ERR syntax error|'
    expect '' wire 'CLIENT REPLY OFF\r\nPING\r\nQUIT\r\n'
    expect '' wire 'CLIENT REPLY OFF\r\n*x\r\n'
}

test_reply_skip_is_about_the_next_one() {
    start_bookd
    both 'CLIENT REPLY SKIP\r\nPING\r\nPING' '+PONG|'
    both 'CLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nPING\r\nPING a' '$1|a|'
    both 'CLIENT REPLY SKIP\r\nCLIENT REPLY ON' '+OK|'
    both 'CLIENT REPLY SKIP\r\nGET book:3\r\nPING' '+PONG|'
}

test_reply_off_lets_messages_pass() {
    start_bookd
    expect '*3|$9|subscribe|$1|a|:1|*3|$11|unsubscribe|$1|a|:0|+OK|' \
        ask 'CLIENT REPLY OFF\r\nSUBSCRIBE a\r\nPING\r\nUNSUBSCRIBE a\r\nCLIENT REPLY ON'
    dial
    say 'CLIENT REPLY OFF\r\nSUBSCRIBE a\r\n'
    for line in '*3' '$9' subscribe '$1' a ':1'; do
        expect "$line" hear
    done
    expect 1 cli PUBLISH a hello
    for line in '*3' '$7' message '$1' a '$5' hello; do
        expect "$line" hear
    done
}

test_reset_ends_it_all() {
    start_bookd
    expect '+RESET|+PONG|' ask 'CLIENT REPLY OFF\r\nRESET\r\nPING'
    dial
    local id
    id=$(my_id)
    expect +OK reply 'CLIENT NO-EVICT ON'
    expect +OK reply 'CLIENT NO-TOUCH ON'
    expect eT of_client "$id" flags
    expect +OK reply MONITOR
    expect OeT of_client "$id" flags
    expect +RESET reply RESET
    expect N of_client "$id" flags
    expect +PONG reply PING
}

test_no_evict_and_no_touch() {
    start_bookd
    both 'CLIENT NO-EVICT on' '+OK|'
    both 'CLIENT NO-EVICT off' '+OK|'
    both 'CLIENT NO-EVICT what' '-ERR syntax error|'
    both 'CLIENT NO-TOUCH on' '+OK|'
    both 'CLIENT NO-TOUCH what' '-ERR syntax error|'
}

# ---- limits ----

test_maxmemory_clients_takes_the_fattest() {
    start_bookd --maxmemory-clients 2mb
    local thin
    dial
    thin=$conn
    expect +OK reply 'CLIENT SETNAME thin'
    dial
    say '*2\r\n$4\r\nECHO\r\n$4000000\r\n'
    { head -c 3000000 /dev/zero >&"$conn"; } 2>/dev/null
    expect '' hear
    conn=$thin
    expect +PONG reply PING
    expect 1 info evicted_clients
}

test_no_evict_is_left_alone_by_maxmemory_clients() {
    start_bookd --maxmemory-clients 2mb
    dial
    expect +OK reply 'CLIENT NO-EVICT on'
    say '*2\r\n$6\r\nSTRLEN\r\n$3000000\r\n'
    head -c 3000000 /dev/zero >&"$conn"
    say '\r\n'
    expect :0 hear
}

test_maxmemory_clients_may_be_a_share() {
    start_bookd
    expect OK cli CONFIG SET maxmemory-clients 5%
    expect $'maxmemory-clients\n5%' cli CONFIG GET maxmemory-clients
    expect OK cli CONFIG SET maxmemory-clients 10mb
    expect $'maxmemory-clients\n10485760' cli CONFIG GET maxmemory-clients
    expect_like '*argument must be a memory or percent value' \
        cli CONFIG SET maxmemory-clients x
}

test_protected_mode_serves_this_machine_only() {
    local address
    address=$(hostname -I 2>/dev/null)
    address=${address%% *}
    [[ $address == *.*.*.* ]] || skip 'no other address'
    start_bookd --bind "127.0.0.1 $address"
    expect_like '*DENIED*' timeout "$PATIENCE" redis-cli -h "$address" \
        -p "$port" PING
    expect PONG cli PING
    expect OK cli CONFIG SET protected-mode no
    expect PONG timeout "$PATIENCE" redis-cli -h "$address" -p "$port" PING
}

# ---- UNBLOCK ----

test_unblock_of_who_does_not_wait() {
    start_bookd
    dial
    both "CLIENT UNBLOCK $(my_id)" ':0|'
    both 'CLIENT UNBLOCK 999' ':0|'
    both 'CLIENT UNBLOCK x' '-ERR value is not an integer or out of range|'
    both 'CLIENT UNBLOCK 1 WHAT' \
        '-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR|'
    both 'CLIENT UNBLOCK 1 ERROR x' "-ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.|"
}

test_unblock_ends_a_read_that_says_how_long_it_waits() {
    start_bookd --store-hang yes
    dial
    local id
    id=$(my_id)
    say 'BOOK.GET book:3 WAIT 1000000\r\n'
    until_true is_at "$id" pending 1
    expect 1 cli CLIENT UNBLOCK "$id" ERROR
    expect '-UNBLOCKED client unblocked via CLIENT UNBLOCK' hear
    expect 0 cli CLIENT UNBLOCK "$id"
    say 'BOOK.GET book:3 WAIT 1000000\r\nPING\r\n'
    until_true is_at "$id" pending 1
    expect 1 cli CLIENT UNBLOCK "$id"
    expect_like '-STORETIMEOUT *' hear
    expect +PONG hear
    say 'GET book:3\r\n'
    until_true is_at "$id" pending 1
    expect 0 cli CLIENT UNBLOCK "$id"
    cli CONFIG SET store-hang no >/dev/null
}

# ---- MONITOR ----

# The next line of MONITOR from the first word of the command on.
hear_command() {
    local line
    line=$(hear)
    like '+[0-9]*.[0-9][0-9][0-9][0-9][0-9][0-9] \[0 127.0.0.1:*\] "*' "$line"
    printf '%s\n' "${line#*] }"
}

test_monitor_shows_commands_as_they_were_written() {
    start_bookd
    both 'MONITOR x' "-ERR wrong number of arguments for 'monitor' command|"
    dial
    expect +OK reply MONITOR
    ask 'get "a\\x01b\\\\\\n\\"\xff"\r\nPING\r\nGET\r\nNOSUCH' >/dev/null
    expect '"get" "a\x01b\\\n\"\xff"' hear_command
    expect '"PING"' hear_command
    expect '"QUIT"' hear_command
}

test_monitor_shows_a_transaction_when_it_runs() {
    start_bookd
    dial
    expect +OK reply MONITOR
    ask 'MULTI\r\nSET a 1\r\nPING\r\nEXEC\r\nMULTI\r\nGET a\r\nDISCARD' >/dev/null
    for line in '"MULTI"' '"SET" "a" "1"' '"PING"' '"EXEC"' '"MULTI"' \
        '"DISCARD"' '"QUIT"'; do
        expect "$line" hear_command
    done
}

test_monitor_does_not_show_secrets_and_what_administrators_ask() {
    start_bookd
    dial
    expect +OK reply MONITOR
    ask 'CONFIG GET maxclients\r\nCLIENT LIST\r\nHELLO 2 AUTH default secret SETNAME me\r\nPING' >/dev/null
    expect '"HELLO" "2" "AUTH" "(redacted)" "(redacted)" "SETNAME" "me"' \
        hear_command
    expect '"PING"' hear_command
}

test_who_monitors_may_not_touch_keys() {
    start_bookd
    dial
    expect +OK reply MONITOR
    expect "-ERR Replica can't interact with the keyspace" reply 'GET a'
    expect "-ERR Replica can't interact with the keyspace" reply 'SET a 1'
    expect +PONG reply PING
    expect '"PING"' hear_command
    expect +RESET reply RESET
    expect '$-1' reply 'GET a'
}

test_monitor_is_no_part_of_a_transaction() {
    start_bookd
    both 'MULTI\r\nMONITOR\r\nEXEC' \
        "+OK|+QUEUED|*1|-ERR MONITOR isn't allowed for DENY BLOCKING client|"
}

test_all_loops_hear_of_all() {
    start_bookd --io-threads 3
    local i monitors=()
    for i in 1 2 3; do
        dial
        expect +OK reply MONITOR
        monitors+=("$conn")
    done
    for i in 1 2 3 4; do
        cli ECHO "$i" >/dev/null
    done
    for conn in "${monitors[@]}"; do
        for i in 1 2 3 4; do
            expect "\"ECHO\" \"$i\"" hear_command
        done
    done
}

run_tests "$@"
