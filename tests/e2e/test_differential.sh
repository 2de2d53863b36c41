#!/bin/bash
# SPDX-License-Identifier: MIT
# The same random commands for Redis and for bookd: the same replies.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
needs redis-server redis-cli python3

# How many commands each; 1000000 takes a few minutes.
: "${DIFFERENTIAL_COMMANDS:=6000}"

# same RESP WAY: with plain keys written that way.
same() {
    start_redis
    start_bookd --plain-writes "$2" --seed-books no
    python3 "$BOOKD_SRC/tests/e2e/differential.py" "$redis_port" "$port" \
        --resp "$1" --commands "$DIFFERENTIAL_COMMANDS" \
        --seed "${DIFFERENTIAL_SEED:-1}"
    local verdict=$?
    kill "$redis_pid"
    equal 0 "$verdict" "they differ"
}

test_through_in_resp2() { same 2 through; }
test_through_in_resp3() { same 3 through; }
test_behind_in_resp2() { same 2 behind; }
test_behind_in_resp3() { same 3 behind; }
test_none_in_resp2() { same 2 none; }
test_none_in_resp3() { same 3 none; }

run_tests "$@"
