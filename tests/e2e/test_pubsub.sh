#!/bin/bash
# SPDX-License-Identifier: MIT
# shellcheck disable=SC2016 # the $ is that of the protocol
# Publish and subscribe, notifications of changes, and bookctl watch, with the
# clients that people have.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli

# hear_message: the next message of RESP2 on '$conn', its parts with spaces
# between them.
hear_message() {
    local n part words=()
    n=$(hear) || return
    for ((n = ${n#\*}; n > 0; n--)); do
        part=$(hear) || return
        [[ $part == :* ]] || part=$(hear)
        words+=("$part")
    done
    printf '%s\n' "${words[*]}"
}

# subscribers CHANNEL N: for until_true.
subscribers() {
    [ "$(cli PUBSUB NUMSUB "$1" | sed -n 2p)" = "$2" ]
}

# ---- channels ----

test_a_message_reaches_all_who_subscribed() {
    start_bookd --io-threads 4
    local all=() i
    for i in {1..12}; do
        dial
        all+=("$conn")
        say 'SUBSCRIBE news\r\n'
        equal 'subscribe news :1' "$(hear_message)"
    done
    expect 12 cli PUBLISH news hello
    for conn in "${all[@]}"; do
        equal 'message news hello' "$(hear_message)"
        hang_up
    done
    until_true subscribers news 0
    expect 0 cli PUBLISH news hello
}

test_messages_of_one_publisher_keep_their_order() {
    start_bookd --io-threads 2
    local first
    dial
    first=$conn
    say 'PSUBSCRIBE n*\r\n'
    hear_message >/dev/null
    dial
    say 'SUBSCRIBE n1\r\n'
    hear_message >/dev/null
    seq -f 'PUBLISH n1 %.0f' 300 | pour >poured
    expect '0 300' cat poured
    for i in {1..300}; do
        printf 'message n1 %d\n' "$i"
    done >expected
    for i in {1..300}; do
        hear_message
    done >got
    cmp expected got || fail "not in order"
    conn=$first
    for i in {1..300}; do
        hear_message
    done | sed 's/^pmessage n\* /message /' >got
    cmp expected got || fail "not in order"
}

test_in_resp3_one_connection_does_all() {
    start_bookd
    equal '>3|$9|subscribe|$1|a|:1|>3|$7|message|$1|a|$1|x|:1|$4|book|' \
        "$(ask3 'SUBSCRIBE a\r\nPUBLISH a x\r\nECHO book')"
}

test_a_message_waits_for_the_replies_that_are_owed() {
    start_bookd --store-delay 1h --store-timeout 300ms
    dial
    say 'HELLO 3\r\nSUBSCRIBE a\r\nGET book:1\r\n'
    until_true info_is store_reads 1
    expect 1 cli PUBLISH a x
    until hear | grep -q '^>3'; do :; done # of SUBSCRIBE
    for i in {1..5}; do hear >/dev/null; done
    like '-STORETIMEOUT *' "$(hear)"
    equal '>3' "$(hear)"
    hang_up
}

test_transactions_publish() {
    start_bookd
    equal '+OK|+QUEUED|+QUEUED|*2|+OK|:0|' \
        "$(ask 'MULTI\r\nSET a 1\r\nPUBLISH b x\r\nEXEC')"
}

test_a_subscriber_that_does_not_read_is_disconnected() {
    start_bookd --client-output-buffer-limit pubsub 1mb 0 0
    dial
    say 'SUBSCRIBE a\r\n'
    hear_message >/dev/null
    local i large
    large=$(printf '%050000d' 0)
    for ((i = 0; i < 400; i++)); do
        echo "PUBLISH a $large"
    done | pour >/dev/null
    wait_log '*conn: closed, it reads too slowly*'
    until_true info_is client_output_buffer_limit_disconnections 1
    until_true subscribers a 0
    hang_up
}

test_python_subscribes() {
    command -v python3 >/dev/null && python3 -c 'import redis' 2>/dev/null ||
        skip "python3-redis is not installed"
    start_bookd
    timeout "$PATIENCE" python3 - "$port" <<'EOF' || fail "python is not content"
import sys, redis
r = redis.Redis(host="127.0.0.1", port=int(sys.argv[1]), decode_responses=True)
p = r.pubsub()
p.subscribe('news')
p.psubscribe('n*')
def next_one():
    while True:
        m = p.get_message(timeout=10)
        assert m is not None
        if m['type'] in ('message', 'pmessage'):
            return m['type'], m['pattern'], m['channel'], m['data']
while not (r.pubsub_numsub('news') == [('news', 1)] and r.pubsub_numpat() == 1):
    p.get_message(timeout=1)
assert r.publish('news', 'hello') == 2
assert next_one() == ('message', None, 'news', 'hello')
assert next_one() == ('pmessage', 'n*', 'news', 'hello')
assert r.pubsub_channels() == ['news']
p.unsubscribe()
p.punsubscribe()
p.close()
EOF
}

# ---- changes ----

# watch ARG...: bookctl watch in the background, its lines in the file 'seen'.
# It ends with its bookd at the latest.
watch() {
    "$bookctl" -p "$port" watch "$@" >seen 2>complaints &
    watcher=$!
    until_true subscribers __keyevent@0__:resync 1
}

# saw N: for until_true.
saw() {
    [ "$(wc -l <seen)" -ge "$1" ]
}

# seen N: what was seen once it is N lines, without the times, | for tabs.
seen() {
    until_true saw "$1"
    cut -f2- seen | tr '\t' '|'
}

end_watch() {
    kill -s INT "$watcher"
    wait "$watcher"
    equal 0 $? "exit status of bookctl watch"
    equal '' "$(cat complaints)"
}

test_watch_shows_what_clients_write() {
    start_bookd
    watch
    cli SET k v >/dev/null
    cli HSET book:3 title New >/dev/null
    cli DEL k none book:4 >/dev/null
    cli INCR n >/dev/null
    cli EXPIRE n 100 >/dev/null
    equal 'set|k
hset|book:3
del|k
del|book:4
incrby|n
expire|n' "$(seen 6)"
    end_watch
}

test_watch_shows_what_is_asked_for_once() {
    start_bookd
    watch 'book:*' 'book:3' 'x?'
    cli SET k v >/dev/null
    cli HSET book:3 title New >/dev/null
    cli SET x1 v >/dev/null
    equal 'hset|book:3
set|x1' "$(seen 2)"
    end_watch
}

test_watch_shows_values() {
    start_bookd
    watch --values
    cli SET k $'a\tb' >/dev/null
    cli HSET book:3 title New >/dev/null
    cli DEL k >/dev/null
    equal 'set|k|a\tb
hset|book:3|{"id":3,"title":"New","author":"Charles Dickens","year":1859}
del|k|' "$(seen 3)"
    end_watch
}

test_watch_has_json() {
    command -v jq >/dev/null || skip "jq is not installed"
    start_bookd
    watch --json --values
    cli SET 'a"b' v >/dev/null
    cli DEL 'a"b' >/dev/null
    until_true saw 2
    equal '["set","a\"b","v"]
["del","a\"b",null]' "$(jq -c '[.event, .key, .value]' seen)"
    end_watch
}

test_watch_shows_what_other_programs_change() {
    needs sqlite3
    start_bookd
    watch 'book:*'
    sqlite3 bookd.db "UPDATE books SET title = 'Changed' WHERE id = 3;
        DELETE FROM books WHERE id = 4;
        INSERT INTO books(id, title) VALUES(77, 'Added')" >/dev/null
    until_true saw 3
    equal 'del|book:4
hset|book:3
hset|book:77' "$(seen 3 | sort)"
    end_watch
}

test_watch_shows_what_expires() {
    local way
    for way in through behind none; do
        start_bookd --plain-writes "$way" --behind-interval 10ms
        watch
        cli SET k v PX 50 >/dev/null
        until_true grep -q $'\texpired\tk' seen
        end_watch
        stop_bookd
    done
}

test_watch_shows_what_is_evicted_from_memory() {
    start_bookd --plain-writes none --maxmemory 1mb
    watch
    local i
    for ((i = 0; i < 3000; i++)); do
        printf 'SET key:%d %01000d\n' "$i" 0
    done | pour >/dev/null
    until_true grep -q $'\tevicted\tkey:' seen
    end_watch
}

test_watch_ends_with_the_server() {
    start_bookd
    watch
    stop_bookd
    wait "$watcher"
    equal 3 $? "exit status of bookctl watch"
    like '*closed the connection' "$(cat complaints)"
}

test_watch_says_when_changes_are_not_told() {
    start_bookd --notify-keyspace-events Ex
    watch
    like '*notify-keyspace-events is "xE"*' "$(cat complaints)"
    kill -s TERM "$watcher"
    wait "$watcher"
    equal 0 $? "exit status of bookctl watch"
}

# ---- configuration ----

test_events_are_configured_as_in_redis() {
    start_bookd
    expect $'notify-keyspace-events\nAKE' cli CONFIG GET notify-keyspace-events
    expect OK cli CONFIG SET notify-keyspace-events 'KEg$lshzxetd'
    expect $'notify-keyspace-events\nAKE' cli CONFIG GET notify-keyspace-events
    expect OK cli CONFIG SET notify-keyspace-events ''
    expect_like '*CONFIG SET failed*Ag$lshzxeKEtmdn*' \
        cli CONFIG SET notify-keyspace-events Kq
    expect 'notify-keyspace-events' cli CONFIG GET notify-keyspace-events
}

test_limits_of_output_are_configured_as_in_redis() {
    cat >bookd.conf <<'EOF'
client-output-buffer-limit normal 0 0 0
client-output-buffer-limit pubsub 2mb 1mb 5
EOF
    while draw_port && launch_bookd bookd.conf --port "$port" --dir "$dir"; do
        is_ready && break
    done
    expect $'client-output-buffer-limit\nnormal 0 0 0 slave 268435456 67108864 60 pubsub 2097152 1048576 5' \
        cli CONFIG GET client-output-buffer-limit
    expect OK cli CONFIG SET client-output-buffer-limit 'slave 1mb 0 0'
    expect $'client-output-buffer-limit\nnormal 0 0 0 slave 1048576 0 0 pubsub 2097152 1048576 5' \
        cli CONFIG GET client-output-buffer-limit
    expect_like '*is not one of normal, replica, slave, pubsub' \
        cli CONFIG SET client-output-buffer-limit 'other 1 2 3'
}

run_tests "$@"
