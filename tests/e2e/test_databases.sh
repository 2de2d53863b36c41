#!/bin/bash
# SPDX-License-Identifier: MIT
# Databases: which keys are whose, what is written down of them, and what others
# are told.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli

# of DATABASE COMMAND...
of() {
    local database=$1
    shift
    cli -n "$database" "$@"
}

test_each_database_has_its_own_keys() {
    start_bookd
    expect OK of 0 SET key zero
    expect OK of 3 SET key three
    expect zero of 0 GET key
    expect three of 3 GET key
    expect '' of 4 GET key
    expect 1 of 3 DEL key
    expect zero of 0 GET key
}

test_keys_of_databases_survive_a_restart() {
    start_bookd
    expect OK of 3 SET key three
    expect 2 of 3 HSET hash a 1 b 2
    restart_bookd
    expect three of 3 GET key
    expect 2 of 3 HGET hash b
    expect '' of 0 GET key
}

test_records_are_in_database_0_alone() {
    start_bookd
    expect '' of 1 GET book:3
    expect OK of 1 SET book:3 'no record'
    expect 'no record' of 1 GET book:3
    expect string of 1 TYPE book:3
    expect 'book:3' of 1 KEYS '*'
    expect_like '*A Tale of Two Cities*' of 0 GET book:3
    expect OK of 1 FLUSHDB
    expect_like '*A Tale of Two Cities*' of 0 GET book:3
}

test_a_key_may_begin_with_a_nul_in_any_database() {
    local nul='"\\x00\\x03key"'
    start_bookd
    expect "+OK|+OK|+OK|+OK|+OK|\$4|zero|:11|+OK|\$5|three|\$3|nul|:2|+OK|" \
        wire "SET $nul zero\r\nSELECT 3\r\nSET key three\r\nSET $nul nul\r\nSELECT 0\r\nGET $nul\r\nDBSIZE\r\nSELECT 3\r\nGET key\r\nGET $nul\r\nDBSIZE\r\nQUIT\r\n"
}

test_a_walk_meets_its_own_keys_only() {
    local i
    start_bookd
    for i in $(seq 1 40); do
        echo "SET key:$i 1"
        echo "SELECT 2"
        echo "SET other:$i 1"
        echo "SELECT 0"
    done | cli >/dev/null
    equal 40 "$(of 0 --scan --pattern 'key:*' | sort -u | wc -l)"
    equal 0 "$(of 0 --scan --pattern 'other:*' | wc -l)"
    equal 40 "$(of 2 --scan | sort -u | wc -l)"
    expect 40 of 2 DBSIZE
    expect 50 of 0 DBSIZE
    expect '' of 5 KEYS '*'
    expect_like 'other:*' of 2 RANDOMKEY
    expect '' of 5 RANDOMKEY
}

test_flushdb_leaves_other_databases() {
    start_bookd
    cli MSET a 0 b 0 >/dev/null
    of 1 SET a 1 >/dev/null
    of 2 SET a 2 >/dev/null
    expect OK of 1 FLUSHDB
    expect '' of 1 GET a
    expect 2 of 2 GET a
    expect 0 of 0 GET a
    expect OK of 0 FLUSHDB
    expect '' of 0 GET a
    expect 2 of 2 GET a
    restart_bookd
    expect '' of 1 GET a
    expect '' of 0 GET a
    expect 2 of 2 GET a
}

test_flushdb_of_what_is_in_the_log_survives_a_kill() {
    start_bookd --plain-writes through
    of 1 SET a 1 >/dev/null
    of 2 SET a 2 >/dev/null
    expect OK of 1 FLUSHDB
    of 1 SET b 1 >/dev/null
    kill_bookd
    start_bookd --plain-writes through
    expect '' of 1 GET a
    expect 1 of 1 GET b
    expect 2 of 2 GET a
}

test_flushdb_in_a_transaction_deletes_the_keys_of_its_database() {
    local writes
    for writes in through behind none; do
        start_bookd --plain-writes "$writes"
        of 3 SET a 3 >/dev/null
        of 4 SET a 4 >/dev/null
        expect '+OK|+OK|+QUEUED|*1|+OK|+OK|' \
            wire 'SELECT 3\r\nMULTI\r\nFLUSHDB\r\nEXEC\r\nQUIT\r\n'
        expect '' of 3 GET a
        expect 4 of 4 GET a
        stop_bookd
    done
}

test_flushdb_of_keys_in_memory_only() {
    start_bookd --plain-writes none
    of 0 SET a 0 >/dev/null
    of 1 SET a 1 >/dev/null
    expect 1 of 1 DBSIZE
    expect 'a' of 1 KEYS '*'
    expect 'a' of 1 RANDOMKEY
    expect OK of 1 FLUSHDB
    expect '' of 1 GET a
    expect '' of 1 RANDOMKEY
    expect 0 of 0 GET a
}

test_swapped_databases_stay_swapped() {
    start_bookd
    of 0 SET key zero >/dev/null
    of 1 SET key one >/dev/null
    of 1 SET book:3 plain >/dev/null
    expect OK cli SWAPDB 0 1
    expect one of 0 GET key
    expect zero of 1 GET key
    expect_like '*A Tale of Two Cities*' of 0 GET book:3
    equal 1 "$(of 0 KEYS 'book:3' | wc -l)"
    restart_bookd
    expect one of 0 GET key
    expect zero of 1 GET key
    expect OK cli SWAPDB 1 0
    expect zero of 0 GET key
    expect plain of 1 GET book:3
}

test_swapped_databases_are_still_swapped_after_flushall() {
    start_bookd
    expect OK cli SWAPDB 0 1
    expect OK cli FLUSHALL
    of 1 SET key one >/dev/null
    expect '' of 0 GET key
    restart_bookd
    expect one of 1 GET key
    expect '' of 0 GET key
}

test_swapdb_is_a_change_to_who_watches() {
    start_bookd
    dial
    say 'SELECT 1\r\nWATCH key\r\nMULTI\r\nSET key 1\r\n'
    expect '+OK' hear
    expect '+OK' hear
    expect '+OK' hear
    expect '+QUEUED' hear
    expect OK cli SWAPDB 1 2
    say 'EXEC\r\n'
    expect '*-1' hear
}

test_flushdb_is_a_change_to_who_watches_its_keys() {
    start_bookd
    of 1 SET key 1 >/dev/null
    dial
    say 'SELECT 2\r\nWATCH key\r\nMULTI\r\nSET key 1\r\n'
    for _ in 1 2 3; do expect '+OK' hear; done
    expect '+QUEUED' hear
    expect OK of 1 FLUSHDB
    say 'EXEC\r\n'
    expect '*1' hear
}

test_select_in_a_transaction_counts_if_that_is_carried_out() {
    start_bookd
    expect '+OK|+OK|+QUEUED|+QUEUED|*2|+OK|+OK|$1|5|+OK|' \
        wire 'SELECT 1\r\nMULTI\r\nSELECT 5\r\nSET key 5\r\nEXEC\r\nGET key\r\nQUIT\r\n'
}

test_move_and_copy_into_another_database() {
    start_bookd
    of 0 SET key value EX 1000 >/dev/null
    expect 1 of 0 MOVE key 7
    expect '' of 0 GET key
    expect value of 7 GET key
    at_least 990 "$(of 7 TTL key)"
    expect 1 of 7 COPY key key DB 0
    expect 0 of 7 MOVE key 0
    expect_like 'ERR a record cannot be *' of 0 MOVE book:3 1
    expect_like 'ERR a record cannot be *' of 0 COPY book:3 a DB 1
    of 1 SET book:3 x >/dev/null
    expect_like 'ERR a record cannot be *' of 1 MOVE book:3 0
    expect 1 of 1 MOVE book:3 2
}

test_what_is_moved_is_there_once() {
    start_bookd
    of 0 SET key 0 >/dev/null
    of 1 SET key 1 >/dev/null
    expect '+OK|:0|+OK|:1|:0|+OK|' \
        wire 'SELECT 0\r\nMOVE key 1\r\nSELECT 1\r\nMOVE key 2\r\nMOVE key 2\r\nQUIT\r\n'
    expect 1 of 2 GET key
    expect '' of 1 GET key
}

test_info_shows_the_databases() {
    start_bookd
    of 0 SET a 1 >/dev/null
    of 3 MSET a 1 b 2 c 3 >/dev/null
    of 3 EXPIRE c 1000 >/dev/null
    expect_like '*db0:keys=11,expires=0,avg_ttl=0*db3:keys=3,expires=1,avg_ttl=9*' \
        cli INFO keyspace
    of 3 FLUSHDB >/dev/null
    equal 0 "$(cli INFO keyspace | grep -c db3)"
}

test_changes_are_told_with_the_database() {
    start_bookd
    dial
    say 'PSUBSCRIBE __key*\r\n'
    until [ "$(hear)" = ':1' ]; do :; done
    of 4 SET key value >/dev/null
    for _ in 1 2 3 4 5 6; do hear >/dev/null; done
    expect '__keyspace@4__:key' hear
    hang_up
}

test_client_list_shows_the_database() {
    start_bookd
    expect_like '* db=6 *' of 6 CLIENT INFO
    expect '+OK|+RESET|+OK|' wire 'SELECT 6\r\nRESET\r\nQUIT\r\n'
}

test_who_waits_is_blocked_and_who_asks_how_many_is_not() {
    start_bookd
    equal 0 "$(info blocked_clients)"
    dial
    say 'WAIT 1 0\r\n'
    until_true info_is blocked_clients 1
    hang_up
    until_true info_is blocked_clients 0
}

test_wait_ends_after_its_time_and_may_be_left() {
    start_bookd
    expect 0 cli WAIT 0 0
    expect 0 cli WAIT 1 10
    dial
    say 'WAIT 1 0\r\n'
    hang_up
    expect PONG cli PING
    stop_bookd
}

run_tests "$@"
