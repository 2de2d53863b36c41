#!/bin/bash
# SPDX-License-Identifier: MIT
# What COMMAND tells of the commands is what Redis tells of them, and what is
# not there is so in Redis' words.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-server redis-cli python3

test_commands_are_described_as_by_redis() {
    start_redis
    start_bookd
    python3 "$BOOKD_SRC/tests/e2e/command_table.py" "$redis_port" "$port" ||
        fail "they differ"
}

test_getkeys_finds_the_keys() {
    start_bookd
    expect $'a\nb' cli COMMAND GETKEYS MSET a 1 b 2
    expect 'ERR The command has no key arguments' cli COMMAND GETKEYS ECHO a
    expect 'ERR Invalid command specified' cli COMMAND GETKEYS nosuch a
    expect 'ERR Invalid number of arguments specified for command' \
        cli COMMAND GETKEYS SET a
    expect 'ERR The command has no key arguments' \
        cli COMMAND GETKEYS SPUBLISH a b
}

test_getkeysandflags_knows_the_options_of_set() {
    start_bookd
    expect $'a\nOW\nupdate' cli COMMAND GETKEYSANDFLAGS SET a 1 NX
    expect $'a\nRW\naccess\nupdate' cli COMMAND GETKEYSANDFLAGS SET a 1 get
    expect $'a\nRW\naccess\ndelete\nb\nOW\nupdate' \
        cli COMMAND GETKEYSANDFLAGS RENAME a b
}

test_list_filters() {
    start_bookd
    expect $'client|id\nclient|info' cli COMMAND LIST FILTERBY PATTERN 'CLIENT|I*'
    expect '' cli COMMAND LIST FILTERBY MODULE any
    expect '' cli COMMAND LIST FILTERBY ACLCAT nosuch
    expect $'discard\nexec\nmulti\nunwatch\nwatch' \
        cli COMMAND LIST FILTERBY ACLCAT TRANSACTION
    expect 'ERR syntax error' cli COMMAND LIST FILTERBY
    expect 'ERR syntax error' cli COMMAND LIST NOSUCH
}

# Lists, sets, sorted sets, streams and scripts are for Redis.
test_commands_of_other_types_are_unknown_and_the_connection_lives() {
    local name replies='' lines=''
    start_redis
    start_bookd
    while read -r name; do
        if [[ $name == *'|'* ]] || grep -qx "$name" ours; then
            continue
        fi
        lines+="$name a b\r\n"
        replies+="-ERR unknown command '$name', with args beginning with: 'a' 'b' |"
    done < <(
        cli COMMAND LIST >ours
        redis-cli -p "$redis_port" COMMAND LIST | sort
    )
    [[ $lines == *'lpush a b'*'xadd a b'*'zadd a b'* ]] || fail "which? $lines"
    equal "$replies+PONG|+OK|" "$(wire "${lines}PING\r\nQUIT\r\n")"
}

# How Redis answers when it has no cluster, no replica and nothing to run.
readonly absent='CLUSTER INFO
CLUSTER SLOTS
CLUSTER
READONLY
READWRITE
ASKING
REPLICAOF NO ONE
SLAVEOF no one
REPLICAOF NO
FAILOVER
MODULE LIST
MODULE NOSUCH
FUNCTION FLUSH
FUNCTION FLUSH SYNC
FUNCTION FLUSH NEVER
FUNCTION LIST
FUNCTION LIST WITHCODE LIBRARYNAME x
FUNCTION LIST x
FUNCTION NOSUCH
SHUTDOWN ABORT
SHUTDOWN ABORT NOW
SHUTDOWN SAVE NOSAVE
SAVE
SAVE x
BGSAVE x
LOLWUT VERSION x
DEBUG SLEEP 0
DEBUG
CONFIG REWRITE'

test_what_is_absent_is_so_in_the_words_of_redis() {
    local line text=''
    start_redis
    start_bookd
    while IFS= read -r line; do
        text+="$line\r\n"
    done <<<"$absent"
    wire "${text}QUIT\r\n" | tr '|' '\n' >ours
    wire "${text}QUIT\r\n" "$redis_port" | tr '|' '\n' >theirs
    diff theirs ours || fail "Redis (<) is different"
}

test_replication_is_refused() {
    start_bookd
    local command
    for command in 'REPLICAOF 192.0.2.1 6379' 'PSYNC ? -1' 'SYNC' 'REPLCONF a b'; do
        expect_like '-ERR there is no replication: *' ask "$command"
    done
}

test_clients_that_turn_off_what_is_absent_are_told_that_it_is() {
    start_bookd
    expect '+OK|+OK|+OK|' \
        ask 'REPLICAOF NO ONE\r\nSLAVEOF NO ONE\r\nFUNCTION FLUSH ASYNC'
    expect '*0|*0|' ask 'MODULE LIST\r\nFUNCTION LIST'
    expect '-ERR FAILOVER requires connected replicas.|' ask 'FAILOVER'
    local command
    for command in 'CLUSTER SHARDS' 'ASKING' 'READONLY' 'READWRITE'; do
        expect '-ERR This instance has cluster support disabled|' ask "$command"
    done
}

test_module_and_function_help() {
    start_bookd
    expect_like '*LIST*' cli MODULE HELP
    expect_like '*FLUSH*' cli FUNCTION HELP
    expect $'running_script\n\nengines' cli FUNCTION STATS
}

test_save_puts_what_was_acknowledged_into_the_store() {
    needs sqlite3
    start_bookd --plain-writes behind --behind-interval 1h
    expect OK cli SET key value
    expect 'Background saving started' cli BGSAVE
    expect 'Background append only file rewriting started' cli BGREWRITEAOF
    expect OK cli SAVE
    kill_bookd
    start_bookd
    expect value cli GET key
}

test_lolwut_draws_and_names_the_version() {
    start_bookd
    expect_like $'*═══*\n*bookd *. Redis ver. 7.0.15' cli LOLWUT
    equal 20 "$(cli LOLWUT VERSION 5 20 1 | sed -n '10s/═/x/gp' | tr -d '\n' | wc -c)"
}

# ---- DEBUG ----

test_debug_is_for_those_who_may() {
    start_bookd --enable-debug-command local
    expect OK cli DEBUG SLEEP 0
    expect_like 'ERR *immutable*' cli CONFIG SET enable-debug-command yes
}

# RESP2 and RESP3: all types, and errors.
readonly debug='DEBUG NOSUCH
DEBUG SLEEP
DEBUG SLEEP x
DEBUG SLEEP -1
DEBUG SLEEP 0.001
DEBUG SET-ACTIVE-EXPIRE 0
DEBUG SET-ACTIVE-EXPIRE 1
DEBUG CHANGE-REPL-ID
DEBUG LOG hello
DEBUG ERROR "MYERR some text"
DEBUG ERROR
DEBUG PROTOCOL nosuch
DEBUG PROTOCOL string
DEBUG PROTOCOL integer
DEBUG PROTOCOL double
DEBUG PROTOCOL bignum
DEBUG PROTOCOL null
DEBUG PROTOCOL array
DEBUG PROTOCOL set
DEBUG PROTOCOL map
DEBUG PROTOCOL attrib
DEBUG PROTOCOL push
DEBUG PROTOCOL verbatim
DEBUG PROTOCOL true
DEBUG PROTOCOL false'

test_debug_answers_as_redis() {
    local line hello text=''
    start_redis --enable-debug-command yes
    start_bookd --enable-debug-command yes
    while IFS= read -r line; do
        text+="$line\r\n"
    done <<<"$debug"
    for hello in '' 'HELLO 3\r\n'; do
        wire "$hello${text}QUIT\r\n" | tr '|' '\n' >ours
        wire "$hello${text}QUIT\r\n" "$redis_port" | tr '|' '\n' >theirs
        if [ -n "$hello" ]; then
            sed -i '1,/^modules$/d' ours theirs
        fi
        diff theirs ours || fail "Redis (<) is different ${hello:+over RESP3}"
    done
    expect_like '*SLEEP <seconds>*' cli DEBUG HELP
}

test_debug_object_tells_the_encoding() {
    start_bookd --enable-debug-command yes
    expect OK cli SET key value
    expect 2 cli HSET hash a 1 b 2
    expect_like '*encoding:embstr serializedlength:5 *lru_seconds_idle:*' \
        cli DEBUG OBJECT key
    expect_like '*encoding:listpack *' cli DEBUG OBJECT hash
    expect_like '*encoding:hashtable *' cli DEBUG OBJECT book:3
    expect OK cli CONFIG SET hash-max-listpack-entries 1
    expect hashtable cli OBJECT ENCODING hash
    expect '-ERR no such key|' ask 'DEBUG OBJECT nothing'
    expect '+OK|-ERR no such key|' ask 'SELECT 3\r\nDEBUG OBJECT key'
    expect_like '+OK|+QUEUED|\*1|-ERR *|' \
        ask 'MULTI\r\nDEBUG OBJECT key\r\nEXEC'
}

test_debug_sleep_holds_nobody_else() {
    start_bookd --enable-debug-command yes --io-threads 1 \
        --shutdown-timeout 10ms
    dial
    say 'DEBUG SLEEP 1000\r\nPING\r\n'
    expect PONG cli PING
    hang_up
}

run_tests "$@"
