#!/bin/bash
# SPDX-License-Identifier: MIT
# redis-cli in all its modes.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
. "$BOOKD_SRC/tests/e2e/clients/lib.sh"
needs redis-cli sqlite3

test_redis_cli() {
    start_for_clients
    check_with redis-cli bash "$clients/redis_cli.sh"
}

run_tests "$@"
