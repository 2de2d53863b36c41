#!/bin/bash
# SPDX-License-Identifier: MIT
# Clients with copies of their own: CLIENT TRACKING over RESP3, and over RESP2
# with the messages redirected; what is told, when, and to whom.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli

# hear_value: the next value on '$conn', its parts with spaces between them.
hear_value() {
    local n part words=()
    part=$(hear) || return
    case $part in
    [*%~\>]*)
        n=${part#?}
        [[ $part == %* ]] && n=$((2 * n))
        for (( ; n > 0; n--)); do
            words+=("$(hear_value)")
        done
        printf '%s\n' "${words[*]}"
        ;;
    _ | \$-1) echo '(nil)' ;;
    \$*) hear ;;
    +*) printf '%s\n' "${part#+}" ;;
    *) printf '%s\n' "$part" ;;
    esac
}

# expect_next TEXT: the next value on '$conn'.
expect_next() {
    equal "$1" "$(hear_value)"
}

# track WORDS: a connection over RESP3 that tracks so.
track() {
    dial
    say 'HELLO 3\r\n'
    hear_value >/dev/null
    command_is OK "CLIENT TRACKING ON $*"
}

# command_is REPLY COMMAND: said on '$conn', with nothing pushed before it.
command_is() {
    say "$2\r\n"
    expect_next "$1"
}

# expect_told KEY...: the next messages tell of these, each once, together or
# one after the other, as they come from another thread.
expect_told() {
    local told=() message
    while [ ${#told[@]} -lt $# ]; do
        message=$(hear_value)
        like 'invalidate *' "$message"
        read -ra message <<<"$message"
        told+=("${message[@]:1}")
    done
    equal "$*" "${told[*]}"
}

# nothing_came: no push waits on '$conn', nor is any under way from what was
# written before by others: they had their replies, and a push is sent at once.
nothing_came() {
    command_is here 'ECHO here'
    command_is here 'ECHO here'
}

test_a_key_that_was_read_is_told_of_once() {
    start_bookd --io-threads 2
    track
    command_is '(nil)' 'GET k'
    expect OK cli SET k 1
    expect_next 'invalidate k'
    expect OK cli SET k 2
    nothing_came
    command_is 2 'GET k'
    expect 1 cli DEL k
    expect_next 'invalidate k'
}

test_whatever_reads_a_key_is_tracked() {
    start_bookd
    local read
    track
    for read in 'EXISTS k' 'TTL k' 'TYPE k' 'STRLEN k' 'MGET j k' \
        'GETRANGE k 0 1' 'BOOK.GET k'; do
        say "$read\r\n"
        hear_value >/dev/null
        expect OK cli SET k 1
        expect_next 'invalidate k'
    done
    for read in 'HGET book:3 title' 'HGETALL book:3' 'GET book:3' \
        'HLEN book:3'; do
        say "$read\r\n"
        hear_value >/dev/null
        cli HSET book:3 year "$RANDOM" >/dev/null
        expect_next 'invalidate book:3'
    done
}

test_debug_object_is_no_read_of_its_key() {
    start_bookd --enable-debug-command yes
    cli SET k v EX 100 >/dev/null
    track
    say 'DEBUG OBJECT k\r\n'
    like 'Value at:*' "$(hear_value)"
    track BCAST
    say 'DEBUG OBJECT k\r\n'
    like 'Value at:*' "$(hear_value)"
    cli SET k w >/dev/null
    expect_told k
}

test_what_another_program_changes_is_told() {
    start_bookd
    track
    say 'MGET book:3 book:4 book:99\r\n'
    hear_value >/dev/null
    sqlite3 -cmd '.timeout 10000' "$dir/bookd.db" \
        "UPDATE books SET title = 'Else' WHERE id = 3"
    expect_next 'invalidate book:3'
    sqlite3 -cmd '.timeout 10000' "$dir/bookd.db" \
        "INSERT INTO books (id, title) VALUES (99, 'New')"
    expect_next 'invalidate book:99'
    command_is Else 'HGET book:3 title'
}

test_without_a_change_feed_all_is_told() {
    start_bookd
    stop_bookd
    "$bookd" --remove-change-feed --dir "$dir" >/dev/null ||
        fail "the change feed is not removed"
    start_bookd
    track
    say 'GET book:3\r\n'
    hear_value >/dev/null
    sqlite3 -cmd '.timeout 10000' "$dir/bookd.db" \
        "UPDATE books SET title = 'Else' WHERE id = 4"
    expect_next 'invalidate (nil)'
}

test_flushes_are_told_as_all() {
    start_bookd
    track
    command_is '(nil)' 'GET k'
    expect OK cli FLUSHALL
    expect_next 'invalidate (nil)'
    expect OK cli FLUSHDB
    expect_next 'invalidate (nil)'
    equal 0 "$(info tracking_total_keys)"
}

# evicted KEY: which can only be once the table has it.
evicted() {
    [ "$(cli BOOK.EVICT "$1")" = 1 ]
}

test_keys_are_told_of_in_their_database() {
    start_bookd
    track
    command_is OK 'SELECT 3'
    command_is '(nil)' 'GET k'
    expect OK cli SET k other
    nothing_came
    expect OK cli -n 3 SET k 1
    expect_next 'invalidate k'
    command_is 1 'GET k'
    expect OK cli SWAPDB 3 4
    expect_next 'invalidate (nil)'
    command_is '(nil)' 'GET k'
    expect OK cli -n 3 FLUSHDB
    expect_next 'invalidate (nil)'
    hang_up

    track BCAST PREFIX k
    expect OK cli -n 5 SET k5 1
    expect_next 'invalidate k5'
}

# with_expiry MODE...: expiry is told under these modes, though the cache may
# have no copy of the key.
with_expiry() {
    local mode
    for mode; do
        start_bookd --plain-writes "$mode"
        track
        expect OK cli SET k 1 PX 1000
        command_is 1 'GET k'
        [ "$mode" = none ] || until_true evicted k
        expect_next 'invalidate k'
        command_is '(nil)' 'GET k'
        stop_bookd
    done
}

test_expiry_is_told() {
    with_expiry through behind none
}

test_expiry_is_told_by_prefix_too() {
    start_bookd --plain-writes through
    track BCAST PREFIX k
    expect OK cli SET k 1 PX 1000
    expect_next 'invalidate k'
    command_is 1 'GET k'
    until_true evicted k
    expect_next 'invalidate k'
}

test_an_evicted_key_of_memory_alone_is_told() {
    start_bookd --plain-writes none --maxmemory 1mb
    local i gone=() told=() message
    track
    for i in {1..20}; do
        expect OK cli SET "k$i" 1
        command_is 1 "GET k$i"
    done
    for i in {1..400}; do
        printf 'SET fill:%d %010000d\n' "$i" 0
    done | pour >/dev/null
    # Which of them go is for the cache to say.
    for i in {1..20}; do
        [ "$(cli EXISTS "k$i")" = 1 ] || gone+=("k$i")
    done
    [ ${#gone[@]} -gt 0 ] || fail 'none of them had to go'
    while [ ${#told[@]} -lt ${#gone[@]} ]; do
        message=$(hear_value)
        like 'invalidate *' "$message"
        read -ra message <<<"$message"
        told+=("${message[@]:1}")
    done
    equal "${gone[*]}" "$(printf '%s\n' "${told[@]}" | sort -V | paste -sd' ')"
}

test_the_reply_comes_before_its_invalidation() {
    start_bookd --store-delay 200ms --plain-writes through
    track
    say 'GET book:3\r\nECHO behind\r\n'
    until_true info_is store_reads_running 1
    cli HSET book:3 title New >/dev/null
    hear_value | grep -q '"id":3' || fail 'no reply first'
    # Both come behind the reply, in either order.
    equal $'behind\ninvalidate book:3' \
        "$({
            hear_value
            hear_value
        } | sort)"
}

test_the_writer_is_told_behind_its_reply() {
    start_bookd
    track
    command_is '(nil)' 'GET k'
    command_is OK 'SET k 1'
    expect_next 'invalidate k'
    command_is 1 'GET k'
    command_is OK 'MULTI'
    command_is QUEUED 'SET k 2'
    command_is QUEUED 'SET l 2'
    command_is QUEUED 'GET l'
    command_is 'OK OK 2' EXEC
    expect_told k l
}

test_who_wants_no_loop_stays_tracked() {
    start_bookd
    local mode
    for mode in through behind; do
        cli CONFIG SET plain-writes "$mode" >/dev/null
        track NOLOOP
        command_is "$(show GET k | tr -d '"')" 'GET k'
        command_is OK 'SET k 1'
        nothing_came
        expect OK cli SET k 2
        expect_next 'invalidate k'
        hang_up
    done
}

test_prefixes() {
    start_bookd --io-threads 2
    track BCAST PREFIX user: PREFIX book:
    expect OK cli MSET user:1 a user:2 b other c
    expect_told user:1 user:2
    cli HSET book:3 title x >/dev/null
    expect_next 'invalidate book:3'
    equal 2 "$(info tracking_total_prefixes)"
    equal 0 "$(info tracking_total_keys)"
    hang_up
    until_true info_is tracking_total_prefixes 0

    track BCAST NOLOOP
    command_is OK 'SET any 1'
    nothing_came
    expect OK cli SET any 2
    expect_next 'invalidate any'
}

test_what_is_tracked_by_choice() {
    start_bookd
    track OPTIN
    command_is '(nil)' 'GET k'
    expect OK cli SET k 1
    nothing_came
    command_is OK 'CLIENT CACHING YES'
    command_is '1 (nil)' 'MGET k l'
    command_is '(nil)' 'GET m'
    expect OK cli MSET k 2 l 2 m 2
    expect_told k l
    command_is OK 'CLIENT CACHING YES'
    command_is OK 'MULTI'
    command_is QUEUED 'GET k'
    command_is QUEUED 'GET l'
    command_is '2 2' EXEC
    command_is 2 'GET m'
    expect OK cli MSET k 3 l 3 m 3
    expect_told k l
    hang_up

    track OPTOUT
    command_is OK 'CLIENT CACHING NO'
    command_is 3 'GET k'
    command_is 3 'GET l'
    expect OK cli MSET k 4 l 4
    expect_next 'invalidate l'
    nothing_came
}

test_redirected_to_a_subscriber() {
    start_bookd --io-threads 2
    local id reader _
    for _ in 1 2 3; do # On one loop, and on two.
        dial
        say 'CLIENT ID\r\n'
        id=$(hear)
        say 'SUBSCRIBE __redis__:invalidate\r\n'
        expect_next 'subscribe __redis__:invalidate :1'
        local target=$conn
        dial
        reader=$conn
        command_is OK "CLIENT TRACKING ON REDIRECT ${id#:}"
        command_is "$id" 'CLIENT GETREDIR'
        say 'GET k\r\n'
        hear_value >/dev/null
        expect OK cli SET k 1
        conn=$target
        expect_next 'message __redis__:invalidate k'
        expect OK cli FLUSHALL
        expect_next 'message __redis__:invalidate (nil)'
        conn=$reader
        command_is '(nil)' 'GET k'
        expect_like "*flags=t *redir=${id#:}*" cli CLIENT LIST
    done
}

# is_broken: '$conn' tracks, and is told that nobody hears it.
is_broken() {
    say 'CLIENT TRACKINGINFO\r\n'
    [[ $(hear_value) == *broken_redirect* ]]
}

test_who_is_redirected_to_nobody_is_told_so() {
    start_bookd --io-threads 2
    dial
    say 'CLIENT ID\r\n'
    local id target=$conn reader
    id=$(hear)
    track "REDIRECT ${id#:}"
    command_is '(nil)' 'GET k'
    reader=$conn
    conn=$target
    hang_up
    until_true info_is connected_clients 2
    conn=$reader
    expect OK cli SET k 1
    expect_next "tracking-redir-broken $id"
    is_broken || fail 'not broken'
    expect_like '*flags=tR *' cli CLIENT LIST
}

test_the_table_is_bounded() {
    start_bookd --tracking-table-max-keys 10
    track
    local i n=0 value words
    for i in {1..50}; do
        say "GET key$i\r\n"
    done
    # Fifty replies, and forty keys told of, in any number of messages.
    for ((i = 0; i < 50 || n < 40; i++)); do
        value=$(hear_value)
        if [[ $value == invalidate* ]]; then
            i=$((i - 1))
            read -ra words <<<"$value"
            n=$((n + ${#words[@]} - 1))
        fi
    done
    equal 40 "$n"
    until_true info_is tracking_total_keys 10
    expect OK cli CONFIG SET tracking-table-max-keys 4
    until_true info_is tracking_total_keys 4
}

test_nothing_is_left_of_who_has_left() {
    start_bookd --io-threads 2
    track
    say 'MGET a b c\r\n'
    hear_value >/dev/null
    equal '1 3 3' "$(infos tracking_clients tracking_total_keys \
        tracking_total_items)"
    hang_up
    until_true info_is tracking_clients 0
    until_true info_is tracking_total_keys 0
    until_true info_is tracking_total_items 0

    track BCAST
    command_is RESET RESET
    command_is '(nil)' 'GET k'
    equal 0 "$(info tracking_clients)"
}

test_errors_are_those_of_redis() {
    start_bookd
    command -v redis-server >/dev/null || skip 'no redis-server'
    # shellcheck disable=SC2119 # without arguments of its own
    start_redis
    local line ours theirs
    while read -r line; do
        ours=$(printf '%s\n' "$line" | redis-cli -p "$port" 2>&1)
        # shellcheck disable=SC2154 # start_redis sets it.
        theirs=$(printf '%s\n' "$line" | redis-cli -p "$redis_port" 2>&1)
        equal "$theirs" "$ours" "$line"
    done <<'END'
CLIENT TRACKING
CLIENT TRACKING perhaps
CLIENT TRACKING ON else
CLIENT TRACKING ON REDIRECT
CLIENT TRACKING ON REDIRECT x
CLIENT TRACKING ON REDIRECT 0
CLIENT TRACKING ON REDIRECT 999999
CLIENT TRACKING ON PREFIX a
CLIENT TRACKING ON BCAST OPTIN
CLIENT TRACKING ON BCAST OPTOUT
CLIENT TRACKING ON OPTIN OPTOUT
CLIENT TRACKING ON BCAST PREFIX foo PREFIX foobar
CLIENT TRACKING ON BCAST PREFIX foobar PREFIX foo
CLIENT TRACKING OFF else
CLIENT TRACKING OFF
CLIENT CACHING
CLIENT CACHING YES
CLIENT CACHING else
CLIENT GETREDIR
CLIENT GETREDIR else
CLIENT TRACKINGINFO
CLIENT TRACKINGINFO else
END
}

test_options_that_do_not_fit_what_was_before() {
    start_bookd
    dial
    command_is OK 'CLIENT TRACKING ON BCAST PREFIX foo'
    say 'CLIENT TRACKING ON BCAST PREFIX foox\r\n'
    equal "-ERR Prefix 'foox' overlaps with an existing prefix 'foo'. Prefixes for a single client must not overlap." "$(hear_value)"
    command_is OK 'CLIENT TRACKING ON BCAST PREFIX bar'
    command_is 'flags on bcast redirect :0 prefixes bar foo' \
        'CLIENT TRACKINGINFO'
    say 'CLIENT TRACKING ON\r\n'
    equal "-ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode." "$(hear_value)"
    command_is OK 'CLIENT TRACKING OFF'
    command_is 'flags off redirect :-1 prefixes ' 'CLIENT TRACKINGINFO'
    command_is OK 'CLIENT TRACKING ON OPTIN NOLOOP'
    say 'CLIENT TRACKING ON OPTOUT\r\n'
    equal "-ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode." "$(hear_value)"
    say 'CLIENT CACHING NO\r\n'
    equal '-ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.' "$(hear_value)"
    command_is OK 'CLIENT CACHING YES'
    command_is 'flags on optin caching-yes noloop redirect :0 prefixes ' \
        'CLIENT TRACKINGINFO'
}

run_tests "$@"
