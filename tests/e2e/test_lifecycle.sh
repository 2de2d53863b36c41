#!/bin/bash
# SPDX-License-Identifier: MIT
# Start, reload and stop: what an administrator and systemd see of bookd.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-cli

# ---- stop ----

test_sigterm_ends_with_status_0() {
    start_bookd
    kill -s TERM "$pid"
    wait_end
    equal 0 "$status"
    like '*server: stopped*' "$(cat "$log")"
}

test_sigint_ends_with_status_0() {
    start_bookd
    kill -s INT "$pid"
    wait_end
    equal 0 "$status"
}

test_a_stop_waits_for_the_replies_that_are_owed() {
    start_bookd --store-delay 300ms
    dial
    say 'GET book:1\r\n'
    until_true info_is store_reads 1
    kill -s TERM "$pid"
    like '$*' "$(hear)"
    like '{"id":1,*' "$(hear)"
    expect '' hear
    wait_good_end
}

test_a_stop_accepts_no_more_connections() {
    start_bookd --store-delay 1h --store-timeout 1h
    dial
    say 'GET book:1\r\n'
    until_true info_is store_reads 1
    kill -s TERM "$pid"
    wait_log '*server: stopping*'
    expect_like '*Connection refused*' cli PING
    kill -s TERM "$pid"
    wait_end
}

test_a_second_signal_ends_at_once() {
    start_bookd --store-delay 1h --store-timeout 1h --shutdown-timeout 1h
    dial
    say 'GET book:1\r\n'
    until_true info_is store_reads 1
    kill -s TERM "$pid"
    wait_log '*server: stopping*'
    kill -s TERM "$pid"
    wait_end
    equal 143 "$status"
}

test_shutdown_timeout_ends_the_wait() {
    start_bookd --store-delay 1h --store-timeout 1h --shutdown-timeout 50ms
    dial
    say 'GET book:1\r\n'
    until_true info_is store_reads 1
    kill -s TERM "$pid"
    wait_good_end
    like '*deadline reached*' "$(cat "$log")"
}

test_shutdown_ends_with_status_0() {
    start_bookd
    expect '' cli SHUTDOWN
    wait_good_end
}

test_shutdown_takes_the_words_of_redis() {
    start_bookd
    expect 'ERR syntax error' cli SHUTDOWN soon
    expect '' cli SHUTDOWN NOSAVE NOW
    wait_good_end
}

test_the_unix_socket_is_removed_at_the_end() {
    start_bookd --unixsocket "$dir/bookd.sock"
    expect PONG redis-cli -s "$dir/bookd.sock" PING
    stop_bookd
    [ ! -e "$dir/bookd.sock" ] || fail "the socket file is still there"
}

test_a_unix_socket_left_behind_is_taken_over() {
    start_bookd --unixsocket "$dir/bookd.sock"
    kill_bookd
    [ -S "$dir/bookd.sock" ] || fail "no socket file was left behind"
    start_bookd --unixsocket "$dir/bookd.sock"
    expect PONG redis-cli -s "$dir/bookd.sock" PING
}

test_bookd_serves_a_unix_socket_alone() {
    launch_bookd --port 0 --unixsocket "$dir/bookd.sock" --dir "$dir"
    wait_log '*server: ready*'
    expect PONG redis-cli -s "$dir/bookd.sock" PING
}

# ---- reload ----

test_sighup_reads_the_file_again() {
    echo 'max-age 1s' >bookd.conf
    draw_port
    launch_bookd "$dir/bookd.conf" --port "$port" --dir "$dir"
    is_ready || skip "port $port was taken"
    expect $'max-age\n1s' cli CONFIG GET max-age

    echo 'max-age 2s' >bookd.conf
    kill -s HUP "$pid"
    wait_log '*server: reloaded*'
    expect $'max-age\n2s' cli CONFIG GET max-age
}

test_a_reload_with_an_error_changes_nothing() {
    echo 'max-age 1s' >bookd.conf
    start_with_file

    printf 'max-age 2s\nno-such-thing 1\n' >bookd.conf
    kill -s HUP "$pid"
    wait_log '*reload failed*bookd.conf:2:*no-such-thing*'
    expect $'max-age\n1s' cli CONFIG GET max-age
}

test_a_reload_leaves_alone_what_the_command_line_gave() {
    echo 'max-age 1s' >bookd.conf
    start_with_file --max-age 9s

    echo 'max-age 2s' >bookd.conf
    kill -s HUP "$pid"
    wait_log '*server: reloaded*'
    expect $'max-age\n9s' cli CONFIG GET max-age
}

test_a_reload_names_what_needs_a_restart() {
    echo 'io-threads 2' >bookd.conf
    start_with_file

    echo 'io-threads 3' >bookd.conf
    kill -s HUP "$pid"
    wait_log '*not changed until a restart*io-threads stays 2*'
    expect $'io-threads\n2' cli CONFIG GET io-threads
}

test_a_reload_without_a_file_is_harmless() {
    start_bookd
    kill -s HUP "$pid"
    wait_log '*there is no config file*'
    expect PONG cli PING
}

# start_with_file ARG...: with ./bookd.conf.
start_with_file() {
    while draw_port &&
        launch_bookd "$dir/bookd.conf" --port "$port" --dir "$dir" "$@"; do
        is_ready && return
    done
}

# ---- what keeps bookd from starting ----

test_a_port_in_use_is_said() {
    local first
    start_bookd
    first=$port
    mkdir other
    bookd_fails 1 "*port $first on 127.0.0.1 is in use*--port*" \
        --port "$first" --dir "$dir/other"
    expect PONG cli PING
}

test_a_unix_socket_in_use_is_said() {
    start_bookd --unixsocket "$dir/bookd.sock"
    mkdir other
    bookd_fails 1 '*bookd.sock is in use*' \
        --port 0 --unixsocket "$dir/bookd.sock" --dir "$dir/other"
}

test_nowhere_to_listen_is_said() {
    bookd_fails 1 '*nowhere to listen*' --port 0
}

test_a_file_that_is_no_socket_is_kept() {
    echo precious >bookd.sock
    bookd_fails 1 '*bookd.sock exists and is no socket*' \
        --port 0 --unixsocket "$dir/bookd.sock"
    expect precious cat bookd.sock
}

test_a_missing_dir_is_said() {
    bookd_fails 1 "*$dir/nowhere: No such file*" --dir "$dir/nowhere"
}

test_a_bad_line_of_the_file_is_named_by_file_and_line() {
    printf '# fine\nport 7390\n\nmax-age fast\n' >bad.conf
    bookd_fails 1 '*bad.conf:4: max-age: "fast" is not *' bad.conf
}

test_an_unknown_directive_suggests_the_known_one() {
    echo 'max-memory 1gb' >bad.conf
    bookd_fails 1 '*bad.conf:1:*max-memory*did you mean maxmemory?*' bad.conf
}

test_a_missing_file_is_said() {
    bookd_fails 1 '*nowhere.conf: No such file*' nowhere.conf
}

test_a_bad_option_is_a_usage_error() {
    bookd_fails 2 '*--max-age*' --max-agee 1s
    bookd_fails 2 '*max-age: the value is missing*' --max-age
    bookd_fails 2 '*max-age: "5" is not*' --max-age 5
    bookd_fails 2 '*"stray" is no option*' file stray
}

# ---- what keeps the store from opening ----

test_a_store_in_a_missing_directory_is_said() {
    bookd_fails 1 "*cannot start:*'$dir/nowhere'*No such file*" \
        --port 0 --store "sqlite:$dir/nowhere/books.db"
}

# Root may do everything, so these two run bookd as nobody then.
test_a_store_in_an_unwritable_directory_is_said() {
    without_powers
    mkdir "$open/closed"
    chmod 555 "$open/closed"
    expect_like '*cannot start:*cannot write to the directory*closed*' \
        "${nobody[@]}" "$bookd" --port 0 --store "sqlite:$open/closed/books.db"
}

test_an_unreadable_store_file_is_said() {
    without_powers
    touch "$open/books.db"
    chmod 000 "$open/books.db"
    expect_like '*cannot start:*books.db*Permission denied*' \
        "${nobody[@]}" "$bookd" --port 0 --store "sqlite:$open/books.db"
}

# Sets 'nobody' to words that run a program without root's powers, and 'open'
# to a directory that everybody can use; ours is closed to others.
nobody=()
without_powers() {
    open=$(mktemp -d -p /tmp)
    # shellcheck disable=SC2064 # now is right
    trap "chmod -R u+rwX '$open'; rm -rf '$open'" EXIT
    chmod 777 "$open"
    cd "$open" || exit 1
    nobody=(env)
    if [ "$(id -u)" -eq 0 ]; then
        command -v setpriv >/dev/null || skip "setpriv is not installed"
        nobody=(setpriv --reuid=65534 --regid=65534 --clear-groups)
        "${nobody[@]}" test -x "$bookd" ||
            skip "the build directory is closed to others"
    fi
}

test_a_store_that_another_program_locks_is_said() {
    needs sqlite3
    start_bookd
    stop_bookd
    mkfifo commands
    sqlite3 bookd.db <commands >answers &
    local sqlite=$!
    exec {to_sqlite}>commands
    mkfifo ready
    echo "PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE;" >&"$to_sqlite"
    echo ".shell echo locked >ready" >&"$to_sqlite"
    cat ready >/dev/null
    bookd_fails 1 '*cannot start:*bookd.db*lock*stop that first*' \
        --port 0 --dir "$dir"
    exec {to_sqlite}>&-
    wait "$sqlite"
}

test_a_corrupt_store_is_said() {
    head -c 8192 /dev/urandom >bookd.db
    bookd_fails 1 '*cannot start:*bookd.db*not a database*' \
        --port 0 --dir "$dir"
}

test_a_store_with_a_damaged_schema_is_said() {
    start_bookd
    stop_bookd
    # Behind the header, which is 100 bytes, begins the schema.
    head -c 3000 /dev/zero | tr '\0' x |
        dd of=bookd.db bs=1 seek=100 conv=notrunc status=none
    bookd_fails 1 '*cannot start:*bookd.db*backup*' --port 0 --dir "$dir"
}

test_a_store_of_another_program_is_said_and_not_touched() {
    needs sqlite3
    sqlite3 bookd.db 'CREATE TABLE theirs(x); INSERT INTO theirs VALUES (1)'
    cp bookd.db before.db
    bookd_fails 1 '*cannot start:*bookd.db*another program*' \
        --port 0 --dir "$dir"
    cmp bookd.db before.db || fail "it was changed"
}

test_a_store_of_another_version_is_said() {
    needs sqlite3
    start_bookd
    stop_bookd
    sqlite3 bookd.db \
        "UPDATE bookd_meta SET value = '99' WHERE name = 'schema_version'"
    bookd_fails 1 '*cannot start:*version 99*' --port 0 --dir "$dir"
}

test_an_unknown_engine_is_said() {
    bookd_fails 1 '*cannot start:*oracle:x*sqlite:PATH*' \
        --port 0 --store oracle:x
}

test_a_store_that_is_a_directory_is_said() {
    mkdir bookd.db
    bookd_fails 1 '*cannot start:*bookd.db*is a directory*' \
        --port 0 --dir "$dir"
}

# ---- what the store keeps ----

test_kill_9_keeps_what_was_acknowledged_through() {
    start_bookd --plain-writes through
    expect OK cli SET plain kept
    expect 0 cli HSET book:1 title Kept
    expect 1 cli DEL book:2
    kill_bookd
    start_bookd --plain-writes through
    expect kept cli GET plain
    expect Kept cli HGET book:1 title
    expect '(nil)' show GET book:2
}

test_kill_9_in_a_storm_of_writes_keeps_all_that_were_acknowledged() {
    local i last=0
    start_bookd --plain-writes through
    dial
    for ((i = 1; i <= 2000; i++)); do
        echo "SET key:$i $i"
    done >&"$conn"
    equal +OK "$(hear)"
    kill_bookd
    last=$((1 + $(tr -d '\r' <&"$conn" 2>/dev/null | grep -cx +OK)))
    start_bookd --plain-writes through
    expect "$last" cli GET "key:$last"
    expect 1 cli GET key:1
    at_least $((10 + last)) "$(cli DBSIZE)"
}

test_a_store_is_seeded_only_when_it_is_created() {
    start_bookd
    expect 1 cli DEL book:1
    stop_bookd
    start_bookd
    expect '(nil)' show GET book:1
    expect 9 cli DBSIZE
}

test_seed_books_no_leaves_the_store_empty() {
    start_bookd --seed-books no
    expect 0 cli DBSIZE
    expect '(nil)' show GET book:1
}

test_the_store_file_is_well_afterwards() {
    needs sqlite3
    start_bookd
    expect OK cli SET plain value
    stop_bookd
    expect ok sqlite3 bookd.db 'PRAGMA integrity_check'
    expect 10 sqlite3 bookd.db 'SELECT count(*) FROM books'
    expect value sqlite3 bookd.db \
        "SELECT CAST(value AS TEXT) FROM bookd_plain WHERE key = CAST('plain' AS BLOB)"
}

# ---- options that print ----

test_version_is_one_line() {
    expect_like 'bookd [0-9]*.[0-9]*' "$bookd" --version
}

test_help_names_every_directive() {
    local name n=0
    "$bookd" --help >help
    for name in $("$bookd" --print-config |
        sed -n 's/^\(# \)\?\([a-z][a-z0-9-]*\) .*/\2/p' | sort -u); do
        "$bookd" --print-config "--$name" 2>/dev/null >/dev/null
        [ $? -eq 2 ] || continue # A word of a comment.
        grep -q "^DIRECTIVE([a-z_]*, \"$name\"" \
            "$BOOKD_SRC/server/admin/config.def" || continue
        grep -q -e "--$name " help || fail "--help does not mention $name"
        n=$((n + 1))
    done
    equal "$(grep -c '^DIRECTIVE' "$BOOKD_SRC/server/admin/config.def")" "$n"
}

test_print_config_is_the_sample_configuration() {
    diff <("$bookd" --print-config) "$BOOKD_SRC/conf/bookd.conf" ||
        fail "run make docs"
}

test_print_config_is_a_configuration() {
    "$bookd" --print-config --max-age 7s --race always >printed.conf
    expect 'printed.conf: good' "$bookd" --check-config printed.conf
    diff <("$bookd" --print-config printed.conf) printed.conf ||
        fail "printed again it is different"
    grep -qx 'max-age 7s' printed.conf || fail "max-age is not in it"
}

test_check_config_says_what_is_wrong() {
    printf 'race never\nrace sometimes\nport 70000\n' >bad.conf
    expect_like '*bad.conf:2: race: "sometimes"*bad.conf:3: port: "70000"*' \
        "$bookd" --check-config bad.conf
    "$bookd" --check-config bad.conf 2>/dev/null
    equal 1 $? "exit status"
}

# ---- systemd ----

test_a_passed_socket_is_served() {
    needs systemd-socket-activate
    draw_port
    with=(systemd-socket-activate -l "127.0.0.1:$port")
    launch_bookd --port 1 --dir "$dir"
    wait_log '*Listening on*'
    expect PONG cli PING
    expect "$port" info tcp_port
}

test_the_journal_gets_levels_for_timestamps() {
    local device_and_inode
    : >journal
    device_and_inode=$(stat -c %d:%i journal)
    JOURNAL_STREAM=$device_and_inode \
        "$bookd" --port 0 --dir "$dir" 2>journal
    like '*<3>server: cannot start: nowhere to listen*' "$(cat journal)"
    if grep -E '^[0-9]{4}-' journal; then
        fail "the journal has its own clock"
    fi
}

test_a_terminal_gets_timestamps_and_levels_in_words() {
    start_bookd
    like '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T*Z info: *' \
        "$(head -n 1 "$log")"
}

run_tests "$@"
