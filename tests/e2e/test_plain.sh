#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016 # the $ is that of the protocol
# Plain keys: bytes that bookd keeps for its clients, through, behind or none.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli

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

# ---- values ----

test_a_value_comes_back() {
    each_way value_comes_back
}
value_comes_back() {
    expect OK cli SET key value
    expect value cli GET key
    expect OK cli SET key other
    expect other cli GET key
    expect string cli TYPE key
    expect 5 cli STRLEN key
    expect 1 cli EXISTS key
    expect key cli KEYS 'k*'
    expect 11 cli DBSIZE
    equal 11 "$(cli --scan | wc -l)" "keys of a scan"
    expect 1 cli DEL key
    expect '(nil)' show GET key
    expect 0 cli DEL key
    expect 0 cli EXISTS key
    expect 10 cli DBSIZE
    equal 10 "$(cli --scan | wc -l)" "keys of a scan"
}

test_an_empty_value_is_no_missing_one() {
    each_way empty_value
}
empty_value() {
    expect OK cli SET key ''
    expect '""' show GET key
    expect '(integer) 1' show EXISTS key
    expect 0 cli STRLEN key
    cli BOOK.EVICT key >/dev/null
    expect '""' show GET key
}

test_an_empty_key_is_a_key() {
    each_way empty_key
}
empty_key() {
    expect OK cli SET '' value
    expect value cli GET ''
    expect 1 cli DEL ''
}

test_all_bytes_come_back() {
    start_bookd --plain-writes through
    head -c 100000 /dev/urandom >bytes
    expect OK cli -x SET key <bytes
    expect 100000 cli STRLEN key
    cli GET key | head -c 100000 | cmp - bytes || fail "from the cache"
    expect 1 cli BOOK.EVICT key
    cli GET key | head -c 100000 | cmp - bytes || fail "from the store"
}

test_a_value_beyond_maxmemory_is_served_from_the_store() {
    start_bookd --plain-writes through --maxmemory 1mb
    head -c 3000000 /dev/zero >bytes
    expect OK cli -x SET key <bytes
    expect 3000000 cli STRLEN key
    expect store source_of_size
}
source_of_size() {
    cli BOOK.GET key | tr -d '\0' | sed -n 4p
}

# ---- where they live ----

test_through_and_behind_outlive_a_stop() {
    local way
    for way in through behind; do
        start_bookd --plain-writes "$way" --behind-interval 1h
        expect OK cli SET "key:$way" value
        stop_bookd
        start_bookd
        expect value cli GET "key:$way"
        stop_bookd
    done
}

test_none_ends_with_the_process() {
    start_bookd --plain-writes none
    expect OK cli SET key value
    expect 1 info cache_memory_only_entries
    restart_bookd --plain-writes none
    expect '(nil)' show GET key
    expect 10 cli DBSIZE
    expect 0 info store_reads
}

test_behind_writes_within_its_interval() {
    start_bookd --behind-interval 10ms
    expect OK cli SET key value
    until_true info_is dirty_keys 0
    kill_bookd
    start_bookd
    expect value cli GET key
}

test_behind_is_acknowledged_before_it_is_written() {
    start_bookd --behind-interval 1h
    expect OK cli SET key value
    expect '1 0' infos dirty_keys store_writes
    expect value cli GET key
}

test_a_walk_sees_what_is_still_behind() {
    start_bookd --behind-interval 1h
    expect OK cli SET key value
    expect 11 cli DBSIZE
    expect key cli KEYS 'k*'
}

test_del_reaches_what_is_still_behind() {
    start_bookd --behind-interval 1h
    expect OK cli SET key value
    expect 1 cli DEL key
    expect '(nil)' show GET key
    restart_bookd
    expect '(nil)' show GET key
}

test_many_writes_behind_are_few_commits() {
    local i
    start_bookd
    for ((i = 0; i < 1000; i++)); do
        echo "SET key:$i $i"
    done | pour >/dev/null
    expect 1010 cli DBSIZE
    equal 1000 "$(info store_writes)" "writes"
    [ "$(info store_commits)" -lt 100 ] || fail "$(info store_commits) commits"
}

test_concurrent_writes_through_share_commits() {
    local i
    start_bookd --plain-writes through
    for ((i = 0; i < 1000; i++)); do
        echo "SET key:$i $i"
    done | pour >/dev/null
    equal 1000 "$(info store_writes)" "writes"
    [ "$(info store_commits)" -lt 500 ] || fail "$(info store_commits) commits"
}

test_pipelined_writes_of_one_key_keep_their_order() {
    each_way keep_order
}
keep_order() {
    local i text=
    for ((i = 1; i <= 100; i++)); do
        text+="SET key $i\r\nGET key\r\n"
    done
    wire "${text}QUIT\r\n" | tr '|' '\n' | grep -E '^[0-9]+$' >answers
    seq 100 | diff - answers || fail "a read overtook a write"
}

# ---- expiry ----

test_expiry_is_shown_by_ttl() {
    each_way expiry_shown
}
expiry_shown() {
    expect OK cli SET key value EX 100
    at_least 90 "$(cli TTL key)" "TTL"
    expect OK cli SET key value
    expect -1 cli TTL key
}

test_an_expired_key_is_gone() {
    each_way expired
}
expired() {
    expect OK cli SET key value PX 20
    expect OK cli SET other value
    until_true gone key
    expect '(nil)' show GET key
    expect 0 cli EXISTS key
    expect -2 cli TTL key
    expect 0 cli DEL key
    expect 11 cli DBSIZE
    expect '' cli KEYS key
    expect value cli GET other
}
gone() {
    [ "$(cli EXISTS "$1")" = 0 ]
}

test_a_time_in_the_past_is_gone_at_once() {
    each_way past
}
past() {
    expect OK cli SET key value PXAT 1000
    expect '(nil)' show GET key
    expect 10 cli DBSIZE
}

test_expiry_outlives_a_restart() {
    start_bookd
    expect OK cli SET key value EX 1000
    expect OK cli SET short value PX 1
    restart_bookd
    at_least 900 "$(cli TTL key)" "TTL"
    until_true gone short
}

test_an_expired_key_can_be_set_again() {
    each_way again
}
again() {
    expect OK cli SET key value PX 1
    until_true gone key
    expect OK cli SET key other
    expect other cli GET key
    expect -1 cli TTL key
}

test_an_expiry_that_is_still_behind_hides_the_older_value() {
    start_bookd --behind-interval 1h
    expect OK cli SET key old
    expect 11 cli DBSIZE # And thereby it is in the store.
    expect OK cli SET key new PX 20
    expect OK cli SET witness value
    # Until expired copies were looked for several times.
    until_true older_than 350 witness
    expect '(nil)' show GET key
}
older_than() {
    [ "$(cli BOOK.GET "$2" | sed -n 6p)" -ge "$1" ]
}

# ---- FLUSHALL and BOOK.EVICT ----

test_flushall_deletes_plain_keys_and_keeps_rows() {
    each_way flush
}
flush() {
    expect OK cli SET a 1
    expect OK cli SET b 2
    like '{"id":1,*' "$(cli GET book:1)"
    expect OK cli FLUSHALL
    expect '(nil)' show GET a
    expect 10 cli DBSIZE
    expect store source_of book:1
}

test_flushall_is_final_for_what_was_behind() {
    start_bookd --behind-interval 1h
    expect OK cli SET a 1
    expect OK cli FLUSHALL
    expect '(nil)' show GET a
    restart_bookd
    expect '(nil)' show GET a
    expect 10 cli DBSIZE
}

test_what_is_set_after_flushall_stays() {
    start_bookd --behind-interval 1h
    expect '+OK|+OK|+OK|$1|2|' ask 'SET a 1\r\nFLUSHALL\r\nSET a 2\r\nGET a'
    restart_bookd
    expect 2 cli GET a
}

test_evict_drops_the_copy_and_nothing_else() {
    start_bookd --plain-writes through
    expect OK cli SET key value
    expect cache source_of key
    until_true info_is dirty_keys 0 # The table has it.
    expect 1 cli BOOK.EVICT key
    expect store source_of key
    expect cache source_of key
}

test_evict_spares_what_is_nowhere_else() {
    start_bookd --behind-interval 1h
    expect OK cli SET key value
    expect 0 cli BOOK.EVICT key
    expect value cli GET key
    stop_bookd
    start_bookd --plain-writes none
    expect OK cli SET key value
    expect 0 cli BOOK.EVICT key
    expect value cli GET key
}

# ---- maxmemory ----

test_maxmemory_is_honoured() {
    start_bookd --plain-writes through --maxmemory 1mb
    expect '0 3000' set_many
    at_least 1000 "$(info evicted_keys)" "evictions"
    [ "$(info cache_used_bytes)" -le 1048576 ] ||
        fail "$(info cache_used_bytes) bytes are used"
    expect 1000 cli STRLEN key:0
    expect 1000 cli STRLEN key:2999
}
# 3000 keys of 1000 bytes.
set_many() {
    local i value
    value=$(head -c 1000 /dev/zero | tr '\0' x)
    for ((i = 0; i < 3000; i++)); do
        echo "SET key:$i $value"
    done | pour
}

test_maxmemory_changes_at_run_time() {
    start_bookd --plain-writes through --maxmemory 64mb
    expect '0 3000' set_many
    at_least 3000000 "$(info cache_used_bytes)" "bytes"
    expect OK cli CONFIG SET maxmemory 1mb
    until_true fits 1048576
}
fits() {
    [ "$(info cache_used_bytes)" -le "$1" ]
}

test_dirty_copies_are_not_evicted() {
    local i
    start_bookd --maxmemory 2mb --behind-interval 1h
    expect '0 3000' set_many
    for i in 0 1000 2999; do
        expect 1000 cli STRLEN "key:$i"
    done
    restart_bookd
    expect 3010 cli DBSIZE
}

test_none_forgets_keys_when_memory_is_full() {
    start_bookd --plain-writes none --maxmemory 1mb
    expect '0 3000' set_many
    at_least 1000 "$(info evicted_keys)" "evictions"
    expect OK cli SET another value
    expect value cli GET another
    equal $((10 + $(info cache_memory_only_entries))) "$(cli DBSIZE)" "keys"
}

run_tests "$@"
