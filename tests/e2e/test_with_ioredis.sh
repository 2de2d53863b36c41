#!/bin/bash
# SPDX-License-Identifier: MIT
# ioredis.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
. "$BOOKD_SRC/tests/e2e/clients/lib.sh"
needs sqlite3
needs_module ioredis

test_ioredis() {
    start_for_clients
    check_with ioredis node "$clients/ioredis.js"
}

run_tests "$@"
