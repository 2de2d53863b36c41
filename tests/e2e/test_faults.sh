#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A disk that is full, a database that another program keeps locked, a damaged
# file, a file that may not be written: bookd lives, says no OK that is not
# true, reads from its copies go on, and when the fault is gone so is the
# trouble, without a restart.
#
# stress/stress_disk has every single call fail; here it is the real system.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli sqlite3 prlimit

# Words to start a program with files of at most $1 KiB.  Instead of a signal
# it gets an error, as of a disk that is full.
with_room_for() {
    # shellcheck disable=SC2016 # for the other shell
    with=(bash -c 'trap "" XFSZ && ulimit -S -f "$1" && exec "${@:2}"' room "$1")
}

# Lifts that limit from the bookd that runs.
make_room() {
    prlimit --pid "$pid" --fsize=unlimited
}

# A value of 20 KiB that begins with $1.
big() {
    printf '%s:%020480d' "$1" 0
}

# Writes key:1, key:2 … until one is refused; 'n' is how many were not.
fill_disk() {
    local reply
    for ((n = 0; n < 2000; n++)); do
        reply=$(cli SET "key:$((n + 1))" "$(big $((n + 1)))")
        if [ "$reply" != OK ]; then
            like 'STOREDOWN *' "$reply"
            return
        fi
    done
    fail "the disk was never full"
}

# What was acknowledged is there, whether cached or not.
expect_keys() {
    local i
    for ((i = 1; i <= $1; i++)); do
        [ "$(cli GET "key:$i")" = "$(big "$i")" ] || fail "key:$i is lost"
    done
}

test_a_full_disk_refuses_writes_and_reads_go_on() {
    local n
    with_room_for 1024
    start_bookd --plain-writes through
    expect 'A Tale of Two Cities' cli HGET book:3 title
    fill_disk

    expect 'A Tale of Two Cities' cli HGET book:3 title
    expect 'The Hobbit' cli HGET book:2 title
    expect_keys "$n"
}

test_when_there_is_room_again_writes_go_on() {
    local n
    with_room_for 1024
    start_bookd --plain-writes through
    fill_disk

    make_room
    until_true expect_ok SET more room
    with=()
    restart_bookd --plain-writes through
    expect_keys "$n"
    expect room cli GET more
    expect ok sqlite3 "$dir/bookd.db" 'PRAGMA integrity_check'
}

# For until_true.
expect_ok() {
    [ "$(cli "$@")" = OK ]
}

test_behind_a_full_disk_nothing_acknowledged_is_lost() {
    local i
    with_room_for 512
    start_bookd --plain-writes behind --behind-interval 10ms
    for ((i = 1; i <= 100; i++)); do
        expect OK cli SET "key:$i" "$(big "$i")"
    done
    until_true info_is store_writer failing
    expect_keys 100
    make_room
    until_true info_is store_writer ok
    with=()
    restart_bookd
    expect_keys 100
}

# Opens a shell of SQLite on the store; sql STATEMENT prints its answer.
open_sql() {
    coproc SQL { sqlite3 -batch "$dir/bookd.db" 2>&1; }
}
sql() {
    local line
    echo "$1; SELECT 'done';" >&"${SQL[1]}"
    while IFS= read -r -t "$PATIENCE" -u "${SQL[0]}" line; do
        [ "$line" = "done" ] && return
        echo "$line"
    done
    fail "no answer to $1"
}

test_while_another_program_locks_the_database_reads_go_on() {
    start_bookd --store-timeout 500ms --plain-writes through
    expect OK cli SET before 1
    open_sql
    sql 'BEGIN IMMEDIATE'

    expect_like 'STOREBUSY *' cli SET during 1
    expect_like 'STOREBUSY *' cli HSET book:3 title during
    expect_like 'STOREBUSY *' cli DEL before
    expect 1 cli GET before
    expect 'The Hobbit' cli HGET book:2 title
    expect 1 cli BOOK.EVICT book:2
    expect 'The Hobbit' cli HGET book:2 title
    sql ROLLBACK
    until_true expect_ok SET after 1
    expect '' cli GET during
    expect 'A Tale of Two Cities' cli HGET book:3 title
}

test_a_write_waits_for_a_lock_that_is_let_go_in_time() {
    start_bookd --store-timeout 60s --plain-writes through
    open_sql
    sql 'BEGIN IMMEDIATE'
    sql "UPDATE books SET author = 'theirs' WHERE id = 3"

    dial
    say 'HSET book:3 title ours\r\n'
    until_true info_is store_writer failing
    sql COMMIT
    expect :0 hear
    hang_up
    expect 'ours|theirs' sqlite3 "$dir/bookd.db" \
        'SELECT title, author FROM books WHERE id = 3'
    expect theirs cli HGET book:3 author
}

test_behind_a_lock_writes_are_acknowledged_and_kept() {
    start_bookd --store-timeout 500ms --plain-writes behind \
        --behind-interval 10ms
    open_sql
    sql 'BEGIN IMMEDIATE'
    expect OK cli SET during 1
    until_true info_is store_writer failing
    expect 1 cli GET during
    sql ROLLBACK
    until_true info_is store_writer ok
    restart_bookd
    expect 1 cli GET during
}

# A store of 2000 books on more pages than one.
many_books() {
    start_bookd --seed-books no
    stop_bookd
    sqlite3 "$dir/bookd.db" "WITH RECURSIVE n(id) AS
        (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 2000)
        INSERT INTO books SELECT id, 'Book ' || id, hex(zeroblob(100)), 1900
        FROM n; DROP TABLE IF EXISTS bookd_none; PRAGMA wal_checkpoint(TRUNCATE)" \
        >/dev/null
}

test_a_damaged_page_is_an_error_and_not_a_missing_row() {
    local size half
    many_books
    start_bookd --stale-if-error 0s --breaker-failures 0
    expect 'Book 1' cli HGET book:1 title
    expect 'Book 2000' cli HGET book:2000 title
    size=$(stat -c %s "$dir/bookd.db")
    half=$((size / 8192)) # In pages.
    cp "$dir/bookd.db" "$dir/good"
    # All of the second half but the last page, of book 2000, with ones.
    head -c $(((size / 4096 - half) * 4096)) /dev/zero | tr '\0' '\377' |
        dd of="$dir/bookd.db" bs=4096 seek=$half conv=notrunc status=none

    expect_like 'STOREDOWN *' cli HGET book:1500 title
    expect_like 'STOREDOWN *' cli GET book:1501
    expect_like 'STOREDOWN *' cli EXISTS book:1502
    expect 'Book 1' cli HGET book:1 title
    expect 'Book 2000' cli HGET book:2000 title
    expect PONG cli PING

    # Restored, without a restart.
    dd if="$dir/good" of="$dir/bookd.db" bs=4096 skip=$half seek=$half \
        conv=notrunc status=none
    until_true title_is 1500 'Book 1500'
    expect ok sqlite3 "$dir/bookd.db" 'PRAGMA integrity_check'
}

# For until_true.
title_is() {
    [ "$(cli HGET "book:$1" title)" = "$2" ]
}

test_a_write_into_damage_is_refused() {
    local size
    many_books
    start_bookd --record-writes through
    size=$(stat -c %s "$dir/bookd.db")
    cp "$dir/bookd.db" "$dir/good"
    head -c $((size / 8192 * 4096)) /dev/zero | tr '\0' '\377' |
        dd of="$dir/bookd.db" bs=4096 seek=$((size / 8192)) conv=notrunc \
            status=none
    expect_like 'STOREDOWN *' cli HSET book:1500 title new
    expect PONG cli PING
    dd if="$dir/good" of="$dir/bookd.db" bs=4096 conv=notrunc status=none
    until_true title_is 1500 'Book 1500'
}

# Runs what follows as nobody, whom a file's mode binds, in a directory of his.
as_nobody() {
    dir=$(mktemp -d /tmp/bookd-XXXXXX)
    # shellcheck disable=SC2064 # now is right
    trap "rm -rf '$dir'; [ -z \"\$pid\" ] || kill -s KILL \"\$pid\"" EXIT
    if [ "$(id -u)" = 0 ]; then
        chown 65534:65534 "$dir"
        with=(setpriv --reuid=65534 --regid=65534 --clear-groups)
    fi
    "${with[@]}" "$bookd" --version >/dev/null 2>&1 ||
        skip "nobody may not run $bookd"
}

test_a_file_that_may_not_be_written_is_refused_at_start() {
    as_nobody
    start_bookd
    stop_bookd
    chmod a-w "$dir/bookd.db"
    draw_port
    launch_bookd --port "$port" --dir "$dir"
    wait_end
    [ "$status" -ne 0 ] || fail "it started"
    like '*bookd.db*' "$(cat "$log")"
}

test_a_file_made_read_only_while_bookd_runs_tells_no_lies() {
    local reply
    as_nobody
    start_bookd --plain-writes through
    expect OK cli SET before 1
    chmod a-w "$dir"/bookd.db*
    reply=$(cli SET during 1)
    expect 1 cli GET before
    expect 'The Hobbit' cli HGET book:2 title
    chmod u+w "$dir"/bookd.db*
    until_true expect_ok SET after 1
    restart_bookd --plain-writes through
    if [ "$reply" = OK ]; then
        expect 1 cli GET during
    fi
    expect 1 cli GET after
}

run_tests "$@"
