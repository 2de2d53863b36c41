#!/bin/bash
# SPDX-License-Identifier: MIT
# What COMMAND tells of the commands is what Redis tells of them.
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

run_tests "$@"
