#!/bin/bash
# SPDX-License-Identifier: MIT
# node-redis, in both protocols.
. "${BOOKD_SRC:-.}/tests/e2e/lib.sh"
. "$BOOKD_SRC/tests/e2e/clients/lib.sh"
needs sqlite3
needs_module redis

test_node_redis() {
    start_for_clients
    RESP=2 check_with "node-redis RESP2" node "$clients/node_redis.js"
    RESP=3 check_with "node-redis RESP3" node "$clients/node_redis.js"
}

run_tests "$@"
